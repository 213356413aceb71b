/* Encode of the types x = d * scale[g] * code - dmin * min[g]: Q2_K, Q4_K, Q5_K. Scales and mins are unsigned.
 *
 * For each block minimise sum w (x - d scale[g] code + dmin min[g])^2, 16 candidates at a time (lanes_int.h):
 *   1. each sub-block alone: the best line a code - b, b >= 0 (line_int.h);
 *   2. d: scan the ways to make the integers reach the a's, each of which may be wrong where b makes up for it; then
 *      dmin, to reach the b's that remain;
 *   3. with both rounded to f16: each sub-block tries five scales and for each the mins that then suit best, with the
 *      codes chosen anew; then least squares for (d, dmin) over the whole block, round, repeat. The best block really
 *      seen is kept. */
#include <math.h>

#include "quant/blocks.h"
#include "quant/codec_int.h"
#include "quant/encode_int.h"
#include "quant/lanes_int.h"
#include "quant/lattice.h"
#include "quant/line_int.h"
#include "quant/quant.h"

typedef struct grid {
    int n_sub, sub;
    int scale_max; /* scales and mins: 0..scale_max */
    int starts, sweeps;
    line_scan scan;
} grid;

typedef struct solution {
    uint16_t d, dmin;
    int scale[16], min[16];
    float error;
} solution;

static const grid q2_grid = { 16, 16, 15, 3, 3, { 3, true, 1.5f, 0.6f, 2, 1 } };
static const grid q4_grid = { 8, 32, 63, 2, 2, { 15, true, 2.7f, 0.24f, 2, 1 } };
static const grid q5_grid = { 8, 32, 63, 2, 2, { 31, true, 2.7f, 0.16f, 2, 1 } };

enum { STARTS_MAX = 4 };

/* Step 2: the factors f for which the integers round(v / f) in 0..limit lose least, best first. */
static void best_factors(const float *v, const float *curvature, int n, int limit, float f[STARTS_MAX])
{
    const lanes_grid integers = { .low = 0, .high = (float)limit };
    float largest = 0, tries[LANES], loss[STARTS_MAX];
    for (int i = 0; i < n; i++)
        largest = v[i] > largest ? v[i] : largest;
    for (int k = 0; k < STARTS_MAX; k++) {
        f[k] = largest / (float)limit;
        loss[k] = INFINITY;
    }
    for (int pass = 0; largest > 0 && pass < 2; pass++) {
        lanes_sums s;
        for (int i = 0; i < LANES; i++)
            tries[i] = largest / ((float)limit * (1.06f - 0.0125f * (float)(LANES * pass + i)));
        quant_lanes(&integers, v, curvature, n, tries, &s);
        quant_lanes_keep(&s, tries, STARTS_MAX, f, loss);
    }
}

/* The nearest of 0..limit to v over the step whose inverse is given (0: none). */
static float to_integer(float v, float inverse, float limit)
{
    return lanes_round(v * inverse, 0, limit);
}

static float inverse_of(float step)
{
    return step > 0 ? 1 / step : 0;
}

/* The b that suits a line best when its step is a. */
static float offset_at(const line_fit *f, float a)
{
    float b = (a - f->a) * f->mean - f->m;
    return b > 0 ? b : 0;
}

static float best_dmin(const grid *g, const line_fit *lines, const float *sums, float d)
{
    float b[16], f[STARTS_MAX], inverse = inverse_of(d);
    for (int i = 0; i < g->n_sub; i++)
        b[i] = offset_at(&lines[i], d * to_integer(lines[i].a, inverse, (float)g->scale_max));
    best_factors(b, sums, g->n_sub, g->scale_max, f);
    return f[0];
}

/* Joint least squares for (d, dmin): what it takes from the sub-blocks. Values are d s u - dmin n. */
typedef struct joint {
    float dd, dm, mm, ed, em;
} joint;

static void joint_add(joint *t, const lanes_lines *s, int i, float w, float scale, float min)
{
    t->dd += scale * scale * s->uu[i];
    t->dm -= scale * min * s->u[i];
    t->mm += min * min * w;
    t->ed += scale * s->eu[i];
    t->em -= min * s->e[i];
}

static void joint_step(const joint *t, float *d, float *dmin)
{
    float determinant = t->dd * t->mm - t->dm * t->dm;
    if (determinant > 1e-6f * t->dd * t->mm) {
        *d += (t->mm * t->ed - t->dm * t->em) / determinant;
        *dmin += (t->dd * t->em - t->dm * t->ed) / determinant;
    } else if (t->dd > 0) {
        *d += t->ed / t->dd;
    }
    *dmin = *dmin > 0 ? *dmin : 0;
}

/* One sub-block: five scales around the line's, three mins for each. Makes `line` the one of the codes chosen. */
static void best_pair(const grid *g, const float *x, const float *w, float sum, float d, float dmin, line_fit *line,
                      int *scale, int *min, float *error, joint *all)
{
    static const float scale_by[LANES] = { -2, -2, -2, -1, -1, -1, 0, 0, 0, 1, 1, 1, 2, 2, 2 };
    static const float min_by[LANES] = { -1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1, -1, 0, 1 };
    float scales[LANES], mins[LANES], a[LANES], m[LANES], limit = (float)g->scale_max, per_dmin = inverse_of(dmin);
    float centre = to_integer(line->a, inverse_of(d), limit);
    lanes_lines s;
    lanes_fits f;
    for (int i = 0; i < LANES; i++) {
        scales[i] = lanes_round(centre + scale_by[i], 0, limit);
        mins[i] = lanes_round(to_integer(offset_at(line, d * scales[i]), per_dmin, limit) + min_by[i], 0, limit);
    }
    scales[LANES - 1] = mins[LANES - 1] = 0;
    for (int i = 0; i < LANES; i++) {
        a[i] = d * scales[i];
        m[i] = -(dmin * mins[i]);
    }
    quant_lanes_line(g->scan.top, x, w, g->sub, a, m, &s);
    int best = lanes_least(s.ee);
    *scale = (int)scales[best];
    *min = (int)mins[best];
    *error += s.ee[best];
    joint_add(all, &s, best, sum, scales[best], mins[best]);
    lanes_fit_line(&s, best, sum, a, m, 0, &f);
    if (*scale > 0 && f.loss[best] < INFINITY)
        *line = line_of(&f, best);
}

/* Step 3. */
static void refine(const grid *g, const encode_block *b, const line_fit *from, const float *sums, float d, float dmin,
                   solution *best)
{
    solution now = { 0 };
    line_fit lines[16];
    for (int i = 0; i < g->n_sub; i++)
        lines[i] = from[i];
    for (int sweep = 0; sweep < g->sweeps; sweep++) {
        joint all = { 0 };
        uint16_t d16 = encode_step(b, d), dmin16 = encode_step(b, dmin);
        if (sweep > 0 && d16 == now.d && dmin16 == now.dmin)
            return;
        now.d = d16;
        now.dmin = dmin16;
        now.error = 0;
        d = half_to_f32(d16) * b->down;
        dmin = half_to_f32(dmin16) * b->down;
        for (int i = 0; i < g->n_sub; i++)
            best_pair(g, b->x + i * g->sub, b->w + i * g->sub, sums[i], d, dmin, &lines[i], &now.scale[i], &now.min[i],
                      &now.error, &all);
        if (!(now.error < best->error))
            return;
        *best = now;
        joint_step(&all, &d, &dmin);
    }
}

static solution solve(const grid *g, const encode_block *b)
{
    line_fit lines[16];
    float a[16], spread[16], sums[16], d[STARTS_MAX];
    for (int i = 0; i < g->n_sub; i++) {
        line_fit two[2];
        quant_best_lines(&g->scan, b->x + i * g->sub, b->w + i * g->sub, g->sub, two);
        lines[i] = two[0];
        a[i] = lines[i].a;
        spread[i] = lines[i].spread;
        sums[i] = 0;
        for (int j = 0; j < g->sub; j++)
            sums[i] += b->w[i * g->sub + j];
    }
    solution best = { .error = encode_squares(b) };
    best_factors(a, spread, g->n_sub, g->scale_max, d);
    for (int k = 0; k < g->starts; k++)
        refine(g, b, lines, sums, d[k], best_dmin(g, lines, sums, d[k]), &best);
    return best;
}

static solution encode_one(const grid *g, const float *x, const float *weights, uint8_t codes[ENCODE_MAX])
{
    const lanes_grid codes_of = { .low = 0, .high = g->scan.top };
    encode_block b;
    encode_open(&b, x, weights, g->n_sub * g->sub);
    solution s = solve(g, &b);
    float d = half_to_f32(s.d) * b.down, dmin = half_to_f32(s.dmin) * b.down;
    for (int j = 0; j < b.n; j++) {
        float step = d * (float)s.scale[j / g->sub], m = -(dmin * (float)s.min[j / g->sub]);
        codes[j] = (uint8_t)quant_lanes_code(&codes_of, step > 0 ? (b.x[j] - m) * (1 / step) : 0);
    }
    return s;
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

void quant_encode_q2_k(const float *row, void *out, size_t n, const float *weights)
{
    block_q2_k *b = out;
    for (size_t i = 0; i < n / 256; i++, b++) {
        uint8_t codes[ENCODE_MAX];
        solution s = encode_one(&q2_grid, row + 256 * i, weights ? weights + 256 * i : NULL, codes);
        half_store_u16(b->d, s.d);
        half_store_u16(b->dmin, s.dmin);
        for (int j = 0; j < 16; j++)
            b->scales[j] = (uint8_t)(s.scale[j] | s.min[j] << 4);
        lattice_find(QUANT_Q2_K)->put(b, codes);
    }
}

/* Q4_K and Q5_K begin alike. */
static void pack_k4_scales(const solution *s, block_q4_k *b)
{
    half_store_u16(b->d, s->d);
    half_store_u16(b->dmin, s->dmin);
    for (int j = 0; j < 4; j++) {
        b->scales[j] = (uint8_t)(s->scale[j] | (s->scale[j + 4] >> 4) << 6);
        b->scales[j + 4] = (uint8_t)(s->min[j] | (s->min[j + 4] >> 4) << 6);
        b->scales[j + 8] = (uint8_t)((s->scale[j + 4] & 15) | (s->min[j + 4] & 15) << 4);
    }
}

static void encode_k4(uint32_t type, const grid *g, const float *row, char *out, size_t n, const float *weights)
{
    size_t bytes = quant_row_bytes(type, 256);
    for (size_t i = 0; i < n / 256; i++, out += bytes) {
        uint8_t codes[ENCODE_MAX];
        solution s = encode_one(g, row + 256 * i, weights ? weights + 256 * i : NULL, codes);
        pack_k4_scales(&s, (block_q4_k *)out);
        lattice_find(type)->put(out, codes);
    }
}

void quant_encode_q4_k(const float *row, void *out, size_t n, const float *weights)
{
    encode_k4(QUANT_Q4_K, &q4_grid, row, out, n, weights);
}

void quant_encode_q5_k(const float *row, void *out, size_t n, const float *weights)
{
    encode_k4(QUANT_Q5_K, &q5_grid, row, out, n, weights);
}
