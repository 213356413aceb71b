/* Search of the types x = d * code + m with any m: Q4_1, Q5_1. And what they share with x = a code - b, b >= 0.
 *
 * For a block minimise sum w (x - d code - m)^2, 16 candidates at a time (lanes_int.h): scan steps and lower ends
 * around the block's range, then around the best two; for the codes that each gives, least squares for (d, m). The best
 * lines are rounded to f16, with m fitted again to the rounded d; what is kept is the best block really seen, the plain
 * rounding's among them. */
#include "quant/line_int.h"

#include <float.h>
#include <math.h>

#include "quant/blocks.h"
#include "quant/codec_int.h"
#include "quant/encode_int.h"
#include "quant/lattice.h"
#include "quant/quant.h"

static const line_scan q4_1_scan = { 15, false, 4.5f, 0.16f, 3, 1 };
static const line_scan q5_1_scan = { 31, false, 6.0f, 0.08f, 3, 1 };

static void consider(const line_scan *scan, const float *x, const float *w, int n, float sum, const float a[LANES],
                     const float m[LANES], line_fit best[2])
{
    lanes_lines s;
    lanes_fits f;
    quant_lanes_line(scan->top, x, w, n, a, m, &s);
    quant_lanes_fit_line(&s, sum, a, m, scan->below ? 0 : FLT_MAX, &f);
    for (int k = 0; k < 2; k++) {
        int i = lanes_least(f.loss);
        line_fit now = line_of(&f, i);
        if (now.loss < best[0].loss) {
            best[1] = best[0];
            best[0] = now;
        } else if (now.loss < best[1].loss) {
            best[1] = now;
        }
        f.loss[i] = INFINITY;
    }
}

void quant_best_lines(const line_scan *scan, const float *x, const float *w, int n, line_fit best[2])
{
    float low = scan->below && x[0] > 0 ? 0 : x[0], high = x[0], sum = 0, a[LANES], m[LANES];
    for (int j = 0; j < n; j++) {
        low = x[j] < low ? x[j] : low;
        high = x[j] > high ? x[j] : high;
        sum += w[j];
    }
    best[0] = best[1] = (line_fit){ 0, low, INFINITY, 0, 0 };
    float range = high - low;
    if (!(range > 0))
        return;
    float step = 2 * scan->stretch / (float)(LANES * scan->n_wide - 1);
    for (int pass = 0; pass < scan->n_wide; pass++) {
        for (int i = 0; i < LANES; i++) {
            int c = LANES * pass + i;
            float later = scan->shorter * (float)(c * 5 % 8) / 7, steps = scan->top + step * (float)c - scan->stretch;
            m[i] = scan->below ? low * (1 - later) : low + range * later / 2;
            a[i] = (scan->below ? high - m[i] : range * (1 - later)) / steps;
        }
        consider(scan, x, w, n, sum, a, m, best);
    }
    for (int pass = 0; pass < scan->n_near; pass++) {
        line_fit around[2] = { best[0], best[1].loss < INFINITY ? best[1] : best[0] };
        for (int i = 0; i < LANES; i++) {
            const line_fit *f = &around[i % 2];
            float da = f->a * 0.3f / scan->top * (float)(i / 2 - 4);
            a[i] = f->a + da;
            m[i] = f->m - da * f->mean;
            m[i] = scan->below && m[i] > 0 ? 0 : m[i];
        }
        consider(scan, x, w, n, sum, a, m, best);
    }
}

typedef struct rounded {
    uint16_t d, m;
    float error;
} rounded;

/* The best lines in the file's precision: d rounded, m the best for that d and the codes, rounded. */
static rounded round_lines(const line_scan *scan, const encode_block *b, const line_fit near[2])
{
    float a[LANES], m[LANES];
    rounded all[LANES], best = { 0, 0, INFINITY };
    lanes_lines s;
    for (int i = 0; i < LANES; i++) {
        const line_fit *f = &near[near[1].loss < INFINITY ? i % 2 : 0];
        all[i].d = encode_step(b, f->a * (1 + 0x1p-12f * (float)(i / 2 - 4)));
        a[i] = half_to_f32(all[i].d) * b->down;
        all[i].m = encode_step(b, f->m + (f->a - a[i]) * f->mean);
        m[i] = half_to_f32(all[i].m) * b->down;
    }
    quant_lanes_line(scan->top, b->x, b->w, b->n, a, m, &s);
    for (int i = 0; i < LANES; i++) {
        all[i].error = s.ee[i];
        if (all[i].error < best.error)
            best = all[i];
    }
    return best;
}

static void search(uint32_t type, const line_scan *scan, const float *row, char *out, size_t n, const float *weights)
{
    size_t bytes = (size_t)quant_row_bytes(type, 32);
    const lanes_grid codes_of = { .low = 0, .high = scan->top };
    const lattice *l = lattice_find(type);
    for (size_t i = 0; i < n / 32; i++, out += bytes) {
        encode_block b;
        line_fit near[2];
        uint8_t codes[ENCODE_MAX];
        encode_open(&b, row + 32 * i, weights ? weights + 32 * i : NULL, 32);
        quant_best_lines(scan, b.x, b.w, 32, near);
        rounded r = round_lines(scan, &b, near);
        float d = half_to_f32(r.d) * b.down, m = half_to_f32(r.m) * b.down, inverse = d != 0 ? 1 / d : 0;
        for (int j = 0; j < 32; j++)
            codes[j] = (uint8_t)quant_lanes_code(&codes_of, (b.x[j] - m) * inverse);
        half_store_u16((uint8_t *)out, r.d);
        half_store_u16((uint8_t *)out + 2, r.m);
        l->put(out, codes);
        encode_or_plain(type, row + 32 * i, b.w, out);
    }
}

void quant_search_q4_1(const float *row, void *out, size_t n, const float *weights)
{
    search(QUANT_Q4_1, &q4_1_scan, row, out, n, weights);
}

void quant_search_q5_1(const float *row, void *out, size_t n, const float *weights)
{
    search(QUANT_Q5_1, &q5_1_scan, row, out, n, weights);
}
