/* Encode of the types x = d * scale[g] * code - dmin * min[g]: Q2_K, Q4_K, Q5_K. Scales and mins are unsigned.
 *
 * For each block minimise sum w (x - d scale[g] code + dmin min[g])^2:
 *   1. each sub-block alone: scan steps and lower ends around its range; for the codes that each gives, least squares
 *      for (a, b), b >= 0, in a code - b; codes anew; the best pair is kept;
 *   2. d and dmin: scan the ways to make the integers reach the a's and the b's, separately;
 *   3. with both rounded to f16: each sub-block tries its scale and min and their neighbours with the codes chosen
 *      anew; then least squares for (d, dmin) over the whole block, round, repeat. The best block really seen is
 *      kept. */
#include <math.h>

#include "quant/blocks.h"
#include "quant/codec_int.h"
#include "quant/encode_int.h"
#include "quant/lattice.h"
#include "quant/quant.h"

typedef struct grid {
    int n_sub, sub;
    int scale_max; /* scales and mins: 0..scale_max */
    float top;     /* codes: 0..top */
    float scan;    /* the step is varied by this many codes up and down */
    int n_scan, n_low;
} grid;

typedef struct solution {
    uint16_t d, dmin;
    int scale[16], min[16];
    double error;
} solution;

static const grid q2_grid = { 16, 16, 15, 3, 1.2f, 13, 5 };
static const grid q4_grid = { 8, 32, 63, 15, 1.8f, 19, 4 };
static const grid q5_grid = { 8, 32, 63, 31, 1.8f, 19, 3 };

/* Weighted moments of a sub-block for one choice of codes u. */
typedef struct moments {
    double w, u, uu, x, xu, error;
} moments;

/* The codes for (a, b), their moments, and the error with (a, b) as they are. */
static moments measure(const grid *g, const float *x, const float *w, float a, float b)
{
    moments m = { 0 };
    float inverse = a > 0 ? 1 / a : 0;
    for (int j = 0; j < g->sub; j++) {
        float u = a > 0 ? encode_round((x[j] + b) * inverse, 0, g->top) : 0;
        double wj = (double)w[j], wu = wj * (double)u, e = (double)x[j] - (double)(a * u - b);
        m.w += wj;
        m.u += wu;
        m.uu += wu * (double)u;
        m.x += wj * (double)x[j];
        m.xu += wu * (double)x[j];
        m.error += wj * e * e;
    }
    return m;
}

/* Least squares for x = a u - b with a, b >= 0. Returns how much of S(w x x) it explains. */
static double fit(const moments *m, float *a, float *b)
{
    double determinant = m->w * m->uu - m->u * m->u;
    double fa = 0, fb = -1;
    if (determinant > 0) {
        fa = (m->w * m->xu - m->u * m->x) / determinant;
        fb = (m->u * m->xu - m->uu * m->x) / determinant;
    }
    if (!(fb >= 0) || !(fa >= 0)) { /* on the border: b = 0, or a = 0 */
        double only_a = m->uu > 0 && m->xu > 0 ? m->xu * m->xu / m->uu : 0;
        double only_b = m->w > 0 && m->x < 0 ? m->x * m->x / m->w : 0;
        fa = only_a >= only_b && m->uu > 0 && m->xu > 0 ? m->xu / m->uu : 0;
        fb = only_a >= only_b || !(m->w > 0) ? 0 : -m->x / m->w;
    }
    *a = (float)fa;
    *b = (float)fb;
    return 2 * fa * m->xu - 2 * fb * m->x - fa * fa * m->uu + 2 * fa * fb * m->u - fb * fb * m->w;
}

/* Step 1. */
static void best_line(const grid *g, const float *x, const float *w, float *a, float *b)
{
    float low = 0, high = x[0];
    for (int j = 0; j < g->sub; j++) {
        low = x[j] < low ? x[j] : low;
        high = x[j] > high ? x[j] : high;
    }
    *a = *b = 0;
    double best = -INFINITY;
    if (!(high > low)) { /* all equal and not above 0 */
        *b = -low;
        return;
    }
    for (int i = 0; i < g->n_scan * g->n_low; i++) {
        float delta = g->scan * (2 * (float)(i % g->n_scan) / (float)(g->n_scan - 1) - 1);
        float from = low * (1 - 0.08f * (float)(i / g->n_scan));
        float na = (high - from) / (g->top + delta), nb = -from;
        for (int again = 0; again < 3; again++) {
            moments m = measure(g, x, w, na, nb);
            double explained = fit(&m, &na, &nb);
            if (!(explained > best))
                break;
            best = explained;
            *a = na;
            *b = nb;
        }
    }
}

/* Step 2: the factor f for which the integers round(v / f) in 0..limit lose least. */
static float best_factor(const float *v, const double *curvature, int n, int limit)
{
    float largest = 0, best = 0;
    for (int i = 0; i < n; i++)
        largest = v[i] > largest ? v[i] : largest;
    double least = INFINITY;
    for (int i = 0; largest > 0 && i < 33; i++) {
        float f = largest / ((float)limit * (1.06f - 0.01f * (float)i)), loss_at = (float)limit;
        double loss = 0;
        for (int k = 0; k < n; k++) {
            double e = (double)v[k] - (double)(f * encode_round(v[k] / f, 0, loss_at));
            loss += curvature[k] * e * e;
        }
        if (loss < least) {
            least = loss;
            best = f;
        }
    }
    return best;
}

/* The best integers around the present ones for one sub-block. */
static moments best_pair(const grid *g, const float *x, const float *w, float d, float dmin, int *scale, int *min)
{
    moments best = { .error = INFINITY };
    int s0 = *scale, m0 = *min;
    for (int i = 0; i < 9; i++) {
        int s = s0 + i / 3 - 1, m = m0 + i % 3 - 1;
        if (s < 0 || s > g->scale_max || m < 0 || m > g->scale_max)
            continue;
        moments now = measure(g, x, w, d * (float)s, dmin * (float)m);
        if (now.error < best.error) {
            best = now;
            *scale = s;
            *min = m;
        }
    }
    return best;
}

/* Step 3. */
static void refine(const grid *g, const float *x, const float *w, const float *a, const float *b, float d, float dmin,
                   solution *best)
{
    solution now = { 0 };
    for (int sweep = 0; sweep < 5; sweep++) {
        now.d = encode_f16((double)d);
        now.dmin = encode_f16((double)dmin);
        now.error = 0;
        float rd = half_to_f32(now.d), rm = half_to_f32(now.dmin), limit = (float)g->scale_max;
        moments all = { 0 };
        for (int i = 0; i < g->n_sub; i++) {
            if (sweep == 0) {
                now.scale[i] = rd > 0 ? (int)encode_round(a[i] / rd, 0, limit) : 0;
                now.min[i] = rm > 0 ? (int)encode_round(b[i] / rm, 0, limit) : 0;
            }
            moments m = best_pair(g, x + i * g->sub, w + i * g->sub, rd, rm, &now.scale[i], &now.min[i]);
            double s = now.scale[i], n = now.min[i];
            now.error += m.error;
            all.w += n * n * m.w; /* the same least squares, with u = scale * code and 1 = min */
            all.u += s * n * m.u;
            all.uu += s * s * m.uu;
            all.x += n * m.x;
            all.xu += s * m.xu;
        }
        if (now.error < best->error)
            *best = now;
        fit(&all, &d, &dmin);
        if (encode_f16((double)d) == now.d && encode_f16((double)dmin) == now.dmin && sweep > 0)
            break;
    }
}

static void solve(const grid *g, const float *x, const float *w, solution *best)
{
    float a[16] = { 0 }, b[16] = { 0 };
    double along_a[16] = { 0 }, along_b[16] = { 0 };
    for (int i = 0; i < g->n_sub; i++) {
        best_line(g, x + i * g->sub, w + i * g->sub, &a[i], &b[i]);
        moments m = measure(g, x + i * g->sub, w + i * g->sub, a[i], b[i]);
        along_a[i] = m.uu;
        along_b[i] = m.w;
    }
    *best = (solution){ .error = INFINITY };
    refine(g, x, w, a, b, 0, 0, best); /* all zero: what every better one has to beat */
    float d = best_factor(a, along_a, g->n_sub, g->scale_max), dmin = best_factor(b, along_b, g->n_sub, g->scale_max);
    refine(g, x, w, a, b, d, dmin, best);
    float largest_a = 0, largest_b = 0;
    for (int i = 0; i < g->n_sub; i++) {
        largest_a = a[i] > largest_a ? a[i] : largest_a;
        largest_b = b[i] > largest_b ? b[i] : largest_b;
    }
    refine(g, x, w, a, b, largest_a / (float)g->scale_max, largest_b / (float)g->scale_max, best);
}

static solution encode_block(const grid *g, const float *x, const float *weights, uint8_t codes[ENCODE_MAX])
{
    float w[ENCODE_MAX];
    solution s;
    encode_weights(weights, (size_t)(g->n_sub * g->sub), w);
    solve(g, x, w, &s);
    float d = half_to_f32(s.d), dmin = half_to_f32(s.dmin);
    for (int j = 0; j < g->n_sub * g->sub; j++) {
        float a = d * (float)s.scale[j / g->sub], b = dmin * (float)s.min[j / g->sub];
        float inverse = a > 0 ? 1 / a : 0;
        codes[j] = (uint8_t)(a > 0 ? encode_round((x[j] + b) * inverse, 0, g->top) : 0);
    }
    return s;
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

void quant_encode_q2_k(const float *row, void *out, size_t n, const float *weights)
{
    block_q2_k *b = out;
    for (size_t i = 0; i < n / 256; i++, b++) {
        uint8_t codes[ENCODE_MAX];
        solution s = encode_block(&q2_grid, row + 256 * i, weights ? weights + 256 * i : NULL, codes);
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
        solution s = encode_block(g, row + 256 * i, weights ? weights + 256 * i : NULL, codes);
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
