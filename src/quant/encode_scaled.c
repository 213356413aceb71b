/* Search of the types x = d * scale[g] * level(code): Q3_K, Q6_K, IQ4_XS, and with one sub-block and no scale IQ4_NL,
 * Q4_0, Q5_0, Q8_0; MXFP4, whose steps are powers of two.
 *
 * For each block minimise sum w (x - d scale[g] level)^2, 16 candidates at a time (lanes_int.h):
 *   1. each sub-block alone: scan multipliers of both signs around "the largest value meets the largest level", then
 *      around the best two; for the codes that each gives, least squares;
 *   2. d: scan the ways to make the integer scales reach the multipliers; the proxy for the loss is S(w l l) (a - d
 *      scale)^2;
 *   3. the best few d, rounded to f16, side by side: each scale and its neighbours with the codes chosen anew, then d
 *      by least squares over all codes, rounded, again. The best block that was really seen is kept. */
#include <math.h>
#include <string.h>

#include "quant/blocks.h"
#include "quant/codec_int.h"
#include "quant/encode_int.h"
#include "quant/lanes_int.h"
#include "quant/lattice.h"
#include "quant/quant.h"

typedef struct grid {
    int n_sub, sub;           /* sub-blocks, values in each */
    int scale_min, scale_max; /* both 1: no scales, d alone */
    float low, high;          /* uniform: levels are the integers low..high */
    const int8_t *levels;     /* or 16 levels */
    float reach;              /* the largest |level| */
    float scan_from, scan_to; /* the largest value meets -reach * (from .. to) */
    int n_signs;              /* 2: and the same with the other sign */
    int n_wide, n_near;       /* passes of 16 candidates over the whole range; around the best two */
} grid;

typedef struct solution {
    uint16_t d;
    int scale[16];
    float error;
} solution;

static const grid q3_grid = { 16, 16, -32, 31, -4, 3, NULL, 4, 0.60f, 2.00f, 2, 1, 1 };
/* 6 and 8 bits: every candidate an integer level, so that what is on a grid already stays on it. */
static const grid q6_grid = { 16, 16, -128, 127, -32, 31, NULL, 32, 0.75f, 1.21875f, 1, 1, 1 };
static const grid iq4_xs_grid = { 8, 32, -32, 31, 0, 15, quant_iq4_values, 127, 0.60f, 1.35f, 2, 1, 1 };
static const grid q4_0_grid = { 1, 32, 1, 1, -8, 7, NULL, 8, 0.60f, 1.60f, 2, 2, 1 };
static const grid q5_0_grid = { 1, 32, 1, 1, -16, 15, NULL, 16, 0.75f, 1.20f, 2, 1, 2 };
static const grid q8_0_grid = { 1, 32, 1, 1, -128, 127, NULL, 128, 0.8828125f, 1.00f, 1, 1, 1 };
static const grid iq4_nl_grid = { 1, 32, 1, 1, 0, 15, quant_iq4_values, 127, 0.60f, 1.35f, 2, 1, 1 };

/* A multiplier fitted to the codes that it was found with. */
typedef struct fitted {
    float a, ll, loss;
} fitted;

/* Measures 16 multipliers and keeps the best two of all that were seen. */
static void consider(const grid *g, const lanes_grid *lanes, const float *x, const float *w, const float a[LANES],
                     fitted best[2])
{
    lanes_sums s;
    lanes_fits f;
    quant_lanes(lanes, x, w, g->sub, a, &s);
    quant_lanes_fit(&s, a, &f);
    for (int k = 0; k < 2; k++) {
        int i = lanes_least(f.loss);
        fitted now = { f.a[i], s.ll[i], f.loss[i] };
        if (now.loss < best[0].loss) {
            best[1] = best[0];
            best[0] = now;
        } else if (now.loss < best[1].loss) {
            best[1] = now;
        }
        f.loss[i] = INFINITY;
    }
}

/* Step 1. */
static void best_multipliers(const grid *g, const lanes_grid *lanes, const float *x, const float *w, fitted best[2])
{
    float largest = 0, a[LANES], wide = (g->scan_to - g->scan_from) / (float)(LANES / g->n_signs * g->n_wide - 1);
    for (int j = 0; j < g->sub; j++)
        largest = fabsf(x[j]) > fabsf(largest) ? x[j] : largest;
    best[0] = best[1] = (fitted){ 0, 0, INFINITY };
    if (largest == 0)
        return;
    for (int pass = 0; pass < g->n_wide; pass++) {
        for (int i = 0; i < LANES; i++) {
            float t = g->scan_from + wide * (float)((LANES * pass + i) / g->n_signs);
            a[i] = largest / (g->reach * t) * (i % g->n_signs ? 1.0f : -1.0f);
        }
        consider(g, lanes, x, w, a, best);
    }
    for (int pass = 0; pass < g->n_near; pass++) { /* the fitted multiplier may prefer other codes, too */
        for (int i = 0; i < LANES; i++)
            a[i] = best[i % 2].a * (1 + wide * 0.3f * (float)(i / 2 - 4));
        consider(g, lanes, x, w, a, best);
    }
}

/* One sub-block without scale: the best f16 near the best multipliers. */
static void solve_one(const grid *g, const lanes_grid *lanes, const encode_block *b, solution *best)
{
    fitted near[2];
    float a[LANES];
    uint16_t d[LANES];
    lanes_sums s;
    best_multipliers(g, lanes, b->x, b->w, near);
    for (int i = 0; i < LANES; i++) {
        d[i] = encode_step(b, near[i % 2].a * (1 + 0x1p-12f * (float)(i / 2 - 4)));
        a[i] = half_to_f32(d[i]) * b->down;
    }
    quant_lanes(lanes, b->x, b->w, g->sub, a, &s);
    for (int i = 0; i < LANES; i++)
        if (s.ee[i] < best->error)
            *best = (solution){ d[i], { 1 }, s.ee[i] };
}

enum { STARTS = 5, SWEEPS = 2 };

/* Step 2: STARTS values of d. */
static void best_steps(const grid *g, const fitted a[16], float d[STARTS])
{
    const lanes_grid integers = { .low = (float)g->scale_min, .high = (float)g->scale_max };
    float values[16], curvature[16], largest = 0, loss[STARTS], tries[LANES];
    for (int i = 0; i < g->n_sub; i++) {
        values[i] = a[i].a;
        curvature[i] = a[i].ll;
        if (fabsf(values[i]) > fabsf(largest))
            largest = values[i];
    }
    for (int k = 0; k < STARTS; k++) {
        d[k] = 0;
        loss[k] = INFINITY;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < LANES; i++) {
            float reach = (float)(pass ? g->scale_min : g->scale_max) * (1 - (float)i / 128);
            tries[i] = largest / reach;
        }
        lanes_sums s;
        quant_lanes(&integers, values, curvature, g->n_sub, tries, &s);
        quant_lanes_keep(&s, tries, STARTS, d, loss);
    }
}

/* Step 3: all starts side by side, three neighbouring scales for each. */
static void refine(const grid *g, const lanes_grid *lanes, const encode_block *b, const fitted a[16],
                   float d[STARTS], solution *best)
{
    solution now[STARTS];
    memset(now, 0, sizeof now);
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        float el[STARTS] = { 0 }, ll[STARTS] = { 0 };
        for (int k = 0; k < STARTS; k++) {
            now[k].d = encode_step(b, d[k]);
            now[k].error = 0;
            d[k] = half_to_f32(now[k].d) * b->down;
            for (int i = 0; sweep == 0 && i < g->n_sub; i++)
                now[k].scale[i] = d[k] != 0 ? (int)lanes_round(a[i].a / d[k], (float)g->scale_min,
                                                               (float)g->scale_max) : 0;
        }
        for (int i = 0; i < g->n_sub; i++) {
            float tries[LANES] = { 0 };
            lanes_sums s;
            for (int t = 0; t < 3 * STARTS; t++)
                tries[t] = d[t / 3] * lanes_round((float)(now[t / 3].scale[i] + t % 3 - 1), (float)g->scale_min,
                                                  (float)g->scale_max);
            quant_lanes(lanes, b->x + i * g->sub, b->w + i * g->sub, g->sub, tries, &s);
            for (int k = 0; k < STARTS; k++) {
                int t = s.ee[3 * k] < s.ee[3 * k + 1] ? 3 * k : 3 * k + 1;
                t = s.ee[3 * k + 2] < s.ee[t] ? 3 * k + 2 : t;
                int scale = (int)lanes_round((float)(now[k].scale[i] + t % 3 - 1), (float)g->scale_min,
                                             (float)g->scale_max);
                now[k].scale[i] = scale;
                now[k].error += s.ee[t];
                el[k] += s.el[t] * (float)scale;
                ll[k] += s.ll[t] * (float)(scale * scale);
            }
        }
        for (int k = 0; k < STARTS; k++) {
            if (now[k].error < best->error)
                *best = now[k];
            d[k] += ll[k] > 0 ? el[k] / ll[k] : 0;
        }
    }
}

/* Solves one block and writes the level index of each value (0 = lowest level). */
static solution solve(const grid *g, const lanes_grid *lanes, const float *x, const float *weights,
                      uint8_t codes[ENCODE_MAX])
{
    encode_block b;
    encode_open(&b, x, weights, g->n_sub * g->sub);
    solution best = { .error = encode_squares(&b) };
    if (g->n_sub == 1) {
        solve_one(g, lanes, &b, &best);
    } else {
        fitted a[16];
        float d[STARTS];
        for (int i = 0; i < g->n_sub; i++) {
            fitted two[2];
            best_multipliers(g, lanes, b.x + i * g->sub, b.w + i * g->sub, two);
            a[i] = two[0];
        }
        best_steps(g, a, d);
        refine(g, lanes, &b, a, d, &best);
    }
    for (int i = 0; i < g->n_sub; i++) {
        float step = half_to_f32(best.d) * b.down * (float)best.scale[i], inverse = step != 0 ? 1 / step : 0;
        for (int j = i * g->sub; j < (i + 1) * g->sub; j++)
            codes[j] = (uint8_t)quant_lanes_code(lanes, b.x[j] * inverse);
    }
    return best;
}

static void open_lanes(const grid *g, lanes_grid *lanes)
{
    lanes->low = g->low;
    lanes->high = g->high;
    lanes->levels = NULL;
    if (g->levels)
        quant_lanes_table(lanes, g->levels);
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

void quant_encode_q3_k(const float *row, void *out, size_t n, const float *weights)
{
    block_q3_k *b = out;
    lanes_grid lanes;
    open_lanes(&q3_grid, &lanes);
    for (size_t i = 0; i < n / 256; i++, b++) {
        uint8_t codes[ENCODE_MAX];
        solution s = solve(&q3_grid, &lanes, row + 256 * i, weights ? weights + 256 * i : NULL, codes);
        memset(b->scales, 0, sizeof b->scales);
        half_store_u16(b->d, s.d);
        for (int j = 0; j < 16; j++) {
            unsigned u = (unsigned)(s.scale[j] + 32);
            b->scales[j % 8] |= (uint8_t)((u & 15) << (j < 8 ? 0 : 4));
            b->scales[8 + j % 4] |= (uint8_t)((u >> 4) << (2 * (j / 4)));
        }
        lattice_find(QUANT_Q3_K)->put(b, codes);
    }
}

void quant_encode_q6_k(const float *row, void *out, size_t n, const float *weights)
{
    block_q6_k *b = out;
    lanes_grid lanes;
    open_lanes(&q6_grid, &lanes);
    for (size_t i = 0; i < n / 256; i++, b++) {
        uint8_t codes[ENCODE_MAX];
        solution s = solve(&q6_grid, &lanes, row + 256 * i, weights ? weights + 256 * i : NULL, codes);
        half_store_u16(b->d, s.d);
        for (int j = 0; j < 16; j++)
            b->scales[j] = (int8_t)s.scale[j];
        lattice_find(QUANT_Q6_K)->put(b, codes);
    }
}

void quant_encode_iq4_xs(const float *row, void *out, size_t n, const float *weights)
{
    block_iq4_xs *b = out;
    lanes_grid lanes;
    open_lanes(&iq4_xs_grid, &lanes);
    for (size_t i = 0; i < n / 256; i++, b++) {
        uint8_t codes[ENCODE_MAX];
        solution s = solve(&iq4_xs_grid, &lanes, row + 256 * i, weights ? weights + 256 * i : NULL, codes);
        memset(b, 0, sizeof *b);
        half_store_u16(b->d, s.d);
        for (int g = 0; g < 8; g++) {
            unsigned u = (unsigned)(s.scale[g] + 32);
            b->scales_l[g / 2] |= (uint8_t)((u & 15) << (4 * (g % 2)));
            b->scales_h[g / 4] |= (uint8_t)((u >> 4) << (2 * (g % 4)));
        }
        lattice_find(QUANT_IQ4_XS)->put(b, codes);
    }
}

/* Types of 32 values and one step, which comes first. */
static void encode_one(uint32_t type, const grid *g, const float *row, char *out, size_t n, const float *weights)
{
    size_t bytes = quant_row_bytes(type, 32);
    lanes_grid lanes;
    open_lanes(g, &lanes);
    for (size_t i = 0; i < n / 32; i++, out += bytes) {
        uint8_t codes[ENCODE_MAX];
        solution s = solve(g, &lanes, row + 32 * i, weights ? weights + 32 * i : NULL, codes);
        half_store_u16((uint8_t *)out, s.d);
        lattice_find(type)->put(out, codes);
    }
}

/* The same for types that have a plain rounding beside it. */
static void search_one(uint32_t type, const grid *g, const float *row, char *out, size_t n, const float *weights)
{
    size_t bytes = quant_row_bytes(type, 32);
    encode_one(type, g, row, out, n, weights);
    for (size_t i = 0; i < n / 32; i++, out += bytes) {
        float w[ENCODE_MAX];
        encode_weights(weights ? weights + 32 * i : NULL, 32, w);
        encode_or_plain(type, row + 32 * i, w, out);
    }
}

void quant_encode_iq4_nl(const float *row, void *out, size_t n, const float *weights)
{
    encode_one(QUANT_IQ4_NL, &iq4_nl_grid, row, out, n, weights);
}

void quant_search_q4_0(const float *row, void *out, size_t n, const float *weights)
{
    search_one(QUANT_Q4_0, &q4_0_grid, row, out, n, weights);
}

void quant_search_q5_0(const float *row, void *out, size_t n, const float *weights)
{
    search_one(QUANT_Q5_0, &q5_0_grid, row, out, n, weights);
}

void quant_search_q8_0(const float *row, void *out, size_t n, const float *weights)
{
    search_one(QUANT_Q8_0, &q8_0_grid, row, out, n, weights);
}

/* MXFP4: the exponents around the plain one, which is usually right or one too small. */
void quant_search_mxfp4(const float *row, void *out, size_t n, const float *weights)
{
    enum { BELOW = 4 };
    const lattice *l = lattice_find(QUANT_MXFP4);
    block_mxfp4 *p = out;
    lanes_grid lanes = { 0 };
    quant_lanes_table(&lanes, l->levels);
    quant_encode_mxfp4(row, out, n, NULL);
    for (size_t i = 0; i < n / 32; i++, p++) {
        encode_block b;
        float a[LANES];
        uint8_t codes[ENCODE_MAX], e[LANES];
        lanes_sums s;
        block_mxfp4 found;
        encode_open(&b, row + 32 * i, weights ? weights + 32 * i : NULL, 32);
        for (int k = 0; k < LANES; k++) {
            int wanted = p->e + k - BELOW;
            e[k] = (uint8_t)(wanted < 0 ? 0 : wanted > 254 ? 254 : wanted);
            a[k] = half_from_e8m0(e[k]) * b.down;
        }
        quant_lanes(&lanes, b.x, b.w, 32, a, &s);
        int best = lanes_least(s.ee);
        for (int j = 0; j < 32; j++)
            codes[j] = (uint8_t)quant_lanes_code(&lanes, a[best] != 0 ? b.x[j] * (1 / a[best]) : 0);
        found.e = e[best];
        l->put(&found, codes);
        const quant_traits *t = quant_find(QUANT_MXFP4);
        if (encode_loss(t, &found, row + 32 * i, b.w) < encode_loss(t, p, row + 32 * i, b.w))
            *p = found;
    }
}
