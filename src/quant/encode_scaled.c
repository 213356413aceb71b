/* Search of the types x = d * scale[g] * level(code): Q3_K, Q6_K, IQ4_XS, and with one sub-block and no scale IQ4_NL,
 * Q4_0, Q5_0, Q8_0.
 *
 * For each block minimise sum w (x - d scale[g] level)^2:
 *   1. each sub-block alone: scan multipliers of both signs around "the largest value meets the largest level"; for the
 *      codes that each gives, the best multiplier is a = S(w x l) / S(w l l) and leaves S(w x x) - S(w x l)^2 / S(w l
 * l);
 *   2. d: scan the ways to make the integer scales reach the a's; the proxy for the loss is S(w l l) (a - d scale)^2;
 *   3. the best few: with d rounded to f16 try each scale and its neighbours with the codes chosen anew, fit d to all
 *      codes by least squares, round, repeat. The best block that was really seen is kept. */
#include <math.h>
#include <string.h>

#include "quant/blocks.h"
#include "quant/codec_int.h"
#include "quant/encode_int.h"
#include "quant/lattice.h"
#include "quant/quant.h"

typedef struct grid {
    int n_sub, sub;            /* sub-blocks, values in each */
    int scale_min, scale_max;  /* both 1: no scales, d alone */
    float low, high;           /* uniform: levels are the integers low..high */
    const float *levels;       /* or 16 levels, ascending, and the 15 middles between them */
    const float *middles;
    float reach;               /* the largest |level| */
    float scan_from, scan_to;  /* the largest value meets reach * (from .. to) */
    int n_scan;
} grid;

typedef struct solution {
    uint16_t d;
    int scale[16];
    double error;
} solution;

static const float iq4_levels[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
static const float iq4_middles[15] = { -115.5f, -93.5f, -74, -57, -42, -28.5f, -16, -4.5f, 7, 19, 31.5f, 45.5f, 61, 79,
                                       101 };

static const grid q3_grid = { 16, 16, -32, 31, -4, 3, NULL, NULL, 4, 0.60f, 1.40f, 25 };
static const grid q6_grid = { 16, 16, -128, 127, -32, 31, NULL, NULL, 32, 0.94f, 1.06f, 17 };
static const grid iq4_xs_grid = { 8, 32, -32, 31, 0, 15, iq4_levels, iq4_middles, 127, 0.60f, 1.25f, 27 };
static const grid q4_0_grid = { 1, 32, 1, 1, -8, 7, NULL, NULL, 8, 0.60f, 1.30f, 41 };
static const grid q5_0_grid = { 1, 32, 1, 1, -16, 15, NULL, NULL, 16, 0.80f, 1.15f, 41 };
static const grid q8_0_grid = { 1, 32, 1, 1, -128, 127, NULL, NULL, 128, 0.98f, 1.02f, 17 };
static const grid iq4_nl_grid = { 1, 32, 1, 1, 0, 15, iq4_levels, iq4_middles, 127, 0.60f, 1.25f, 41 };

static int table_code(const float *middles, float v)
{
    int c = v > middles[7] ? 8 : 0;
    c += v > middles[c + 3] ? 4 : 0;
    c += v > middles[c + 1] ? 2 : 0;
    return c + (v > middles[c]);
}

static inline float level(const grid *g, float v)
{
    return g->levels ? g->levels[table_code(g->middles, v)] : encode_round(v, g->low, g->high);
}

typedef struct sums {
    double xl, ll, error;
} sums;

/* The codes for multiplier a, and what they cost. */
static sums measure(const grid *g, const float *x, const float *w, float a)
{
    sums s = { 0, 0, 0 };
    float inverse = a != 0 ? 1 / a : 0;
    for (int j = 0; j < g->sub; j++) {
        float l = a != 0 ? level(g, x[j] * inverse) : 0;
        double wl = (double)(w[j] * l), e = (double)x[j] - (double)(a * l);
        s.xl += wl * (double)x[j];
        s.ll += wl * (double)l;
        s.error += (double)w[j] * e * e;
    }
    return s;
}

/* Step 1. *ll is the curvature of the error around the result. */
static float best_multiplier(const grid *g, const float *x, const float *w, double *ll)
{
    float largest = 0, best = 0;
    for (int j = 0; j < g->sub; j++)
        largest = fabsf(x[j]) > largest ? fabsf(x[j]) : largest;
    double gain = 0;
    *ll = 0;
    if (!(largest > 0))
        return 0;
    for (int i = 0; i < 2 * g->n_scan; i++) {
        float t = g->scan_from + (g->scan_to - g->scan_from) * (float)(i / 2) / (float)(g->n_scan - 1);
        float a = largest / (g->reach * t) * (i % 2 ? -1.0f : 1.0f);
        for (int again = 0; again < 2; again++) { /* the fitted multiplier may prefer other codes */
            sums s = measure(g, x, w, a);
            if (!(s.ll > 0) || s.xl * s.xl / s.ll <= gain)
                break;
            gain = s.xl * s.xl / s.ll;
            best = a = (float)(s.xl / s.ll);
            *ll = s.ll;
        }
    }
    return best;
}

/* Step 2, the proxy. */
static double proxy(const grid *g, const float a[16], const double ll[16], float d)
{
    double loss = 0;
    for (int i = 0; i < g->n_sub; i++) {
        float s = encode_round(a[i] / d, (float)g->scale_min, (float)g->scale_max);
        double e = (double)a[i] - (double)(d * s);
        loss += ll[i] * e * e;
    }
    return loss;
}

/* The best integer scale near `centre` for one sub-block. */
static sums best_scale(const grid *g, const float *x, const float *w, float d, int centre, int *scale)
{
    sums best = { 0, 0, INFINITY };
    for (int s = centre - 1; s <= centre + 1; s++) {
        if (s < g->scale_min || s > g->scale_max)
            continue;
        sums now = measure(g, x, w, d * (float)s);
        if (now.error < best.error) {
            best = now;
            *scale = s;
        }
    }
    return best;
}

/* Step 3 from one d. Improves *best where it can. */
static void refine(const grid *g, const float *x, const float *w, const float a[16], float d, solution *best)
{
    int centre[16] = { 0 };
    solution now = { 0 };
    for (int sweep = 0; sweep < 4; sweep++) {
        now.d = encode_f16((double)d);
        now.error = 0;
        float rounded = half_to_f32(now.d);
        double xl = 0, ll = 0;
        for (int i = 0; i < g->n_sub; i++) {
            if (sweep == 0)
                centre[i] = rounded != 0 ? (int)encode_round(a[i] / rounded, (float)g->scale_min,
                    (float)g->scale_max) : 1;
            now.scale[i] = centre[i];
            sums s = best_scale(g, x + i * g->sub, w + i * g->sub, rounded, centre[i], &now.scale[i]);
            centre[i] = now.scale[i];
            now.error += s.error;
            xl += s.xl * now.scale[i];
            ll += s.ll * now.scale[i] * now.scale[i];
        }
        if (now.error < best->error)
            *best = now;
        if (!(ll > 0) || encode_f16(xl / ll) == now.d)
            break;
        d = (float)(xl / ll);
    }
}

static void solve(const grid *g, const float *x, const float *w, solution *best)
{
    enum { KEEP = 3, TRIES = 32 };
    float a[16] = { 0 }, largest = 0, kept[KEEP] = { 0 };
    double ll[16] = { 0 }, loss[KEEP] = { INFINITY, INFINITY, INFINITY };
    for (int i = 0; i < g->n_sub; i++) {
        a[i] = best_multiplier(g, x + i * g->sub, w + i * g->sub, &ll[i]);
        if (fabsf(a[i]) > fabsf(largest))
            largest = a[i];
    }
    *best = (solution){ .error = INFINITY };
    refine(g, x, w, a, 0, best); /* all zero: what every better one has to beat */
    if (largest == 0)
        return;
    for (int i = 0; i < TRIES; i++) {
        float step = (float)(g->scale_max - g->scale_min) / 256;
        float reach = i % 2 ? (float)g->scale_min + step * (float)(i / 2) : (float)g->scale_max - step * (float)(i / 2);
        float d = largest / reach;
        double now = proxy(g, a, ll, d);
        for (int k = 0; k < KEEP; k++) {
            if (now >= loss[k] || (k > 0 && d == kept[0]))
                continue;
            memmove(kept + k + 1, kept + k, sizeof *kept * (size_t)(KEEP - 1 - k));
            memmove(loss + k + 1, loss + k, sizeof *loss * (size_t)(KEEP - 1 - k));
            kept[k] = d;
            loss[k] = now;
            break;
        }
    }
    for (int k = 0; k < KEEP; k++)
        if (kept[k] != 0)
            refine(g, x, w, a, kept[k], best);
}

/* Solves one block and writes the level index of each value (0 = lowest level). */
static solution encode_block(const grid *g, const float *x, const float *weights, uint8_t codes[ENCODE_MAX])
{
    float w[ENCODE_MAX];
    solution s;
    encode_weights(weights, (size_t)(g->n_sub * g->sub), w);
    solve(g, x, w, &s);
    float d = half_to_f32(s.d);
    for (int j = 0; j < g->n_sub * g->sub; j++) {
        float a = d * (float)s.scale[j / g->sub], inverse = a != 0 ? 1 / a : 0, v = x[j] * inverse;
        codes[j] = (uint8_t)(g->levels ? table_code(g->middles, v) : (int)(encode_round(v, g->low, g->high) - g->low));
    }
    return s;
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

void quant_encode_q3_k(const float *row, void *out, size_t n, const float *weights)
{
    block_q3_k *b = out;
    for (size_t i = 0; i < n / 256; i++, b++) {
        uint8_t codes[ENCODE_MAX];
        solution s = encode_block(&q3_grid, row + 256 * i, weights ? weights + 256 * i : NULL, codes);
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
    for (size_t i = 0; i < n / 256; i++, b++) {
        uint8_t codes[ENCODE_MAX];
        solution s = encode_block(&q6_grid, row + 256 * i, weights ? weights + 256 * i : NULL, codes);
        half_store_u16(b->d, s.d);
        for (int j = 0; j < 16; j++)
            b->scales[j] = (int8_t)s.scale[j];
        lattice_find(QUANT_Q6_K)->put(b, codes);
    }
}

void quant_encode_iq4_xs(const float *row, void *out, size_t n, const float *weights)
{
    block_iq4_xs *b = out;
    for (size_t i = 0; i < n / 256; i++, b++) {
        uint8_t codes[ENCODE_MAX];
        solution s = encode_block(&iq4_xs_grid, row + 256 * i, weights ? weights + 256 * i : NULL, codes);
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
    for (size_t i = 0; i < n / 32; i++, out += bytes) {
        uint8_t codes[ENCODE_MAX];
        solution s = encode_block(g, row + 32 * i, weights ? weights + 32 * i : NULL, codes);
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
