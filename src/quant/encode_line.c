/* Search of the types x = d * code + m with any m: Q4_1, Q5_1.
 *
 * For a block minimise sum w (x - d code - m)^2: scan steps and lower ends around the block's range; for the codes that
 * each gives, least squares for (d, m), codes anew, while that helps. The best few lines are rounded to f16, with m
 * fitted again to the rounded d; what is kept is the best block really seen, the plain rounding's among them. */
#include <math.h>

#include "quant/blocks.h"
#include "quant/codec_int.h"
#include "quant/encode_int.h"
#include "quant/lattice.h"
#include "quant/quant.h"

typedef struct line {
    float d, m;
} line;

typedef struct rounded {
    uint16_t d, m;
    double error;
} rounded;

enum { SCAN_STEPS = 17, SCAN_ENDS = 5, AGAIN = 4 };

static float code_at(float x, line l, float top)
{
    return l.d != 0 ? encode_round((x - l.m) / l.d, 0, top) : 0;
}

/* The error of a line as it is; *next is the best line for the codes that it gives. */
static double measure(const float x[32], const float w[32], line l, float top, line *next)
{
    double sw = 0, su = 0, suu = 0, sx = 0, sxu = 0, error = 0;
    for (int j = 0; j < 32; j++) {
        double u = (double)code_at(x[j], l, top), wj = (double)w[j], v = (double)x[j];
        double e = v - (double)(l.d * (float)u + l.m);
        sw += wj;
        su += wj * u;
        suu += wj * u * u;
        sx += wj * v;
        sxu += wj * v * u;
        error += wj * e * e;
    }
    double determinant = sw * suu - su * su;
    *next = l;
    if (determinant > 0) {
        next->d = (float)((sw * sxu - su * sx) / determinant);
        next->m = (float)((suu * sx - su * sxu) / determinant);
    }
    return error;
}

/* The line in the file's precision: d rounded, m the best for that d and the codes, rounded. */
static void round_line(const float x[32], const float w[32], line l, float top, rounded *best)
{
    double sw = 0, rest = 0;
    line r = { half_to_f32(encode_f16((double)l.d)), l.m }, unused;
    for (int j = 0; j < 32; j++) {
        sw += (double)w[j];
        rest += (double)w[j] * ((double)x[j] - (double)(r.d * code_at(x[j], r, top)));
    }
    rounded now = { encode_f16((double)l.d), encode_f16(sw > 0 ? rest / sw : (double)l.m), 0 };
    r.m = half_to_f32(now.m);
    now.error = measure(x, w, r, top, &unused);
    if (now.error < best->error)
        *best = now;
}

static rounded solve(const float x[32], const float w[32], float top)
{
    float low = x[0], high = x[0];
    for (int j = 1; j < 32; j++) {
        low = x[j] < low ? x[j] : low;
        high = x[j] > high ? x[j] : high;
    }
    rounded best = { .error = INFINITY };
    float range = high - low;
    round_line(x, w, (line){ 0, low }, top, &best);
    for (int i = 0; range > 0 && i < SCAN_STEPS * SCAN_ENDS; i++) {
        float shorter = 0.06f * (float)(i / SCAN_STEPS), stretch = 0.1f * (float)(i % SCAN_STEPS - SCAN_STEPS / 2);
        line l = { range * (1 - shorter) / (top + stretch), low + range * shorter / 2 }, next;
        double last = INFINITY;
        for (int again = 0; again < AGAIN; again++) {
            double error = measure(x, w, l, top, &next);
            round_line(x, w, l, top, &best);
            if (!(error < last))
                break;
            last = error;
            l = next;
        }
    }
    return best;
}

static void search(uint32_t type, float top, const float *row, char *out, size_t n, const float *weights)
{
    size_t bytes = quant_row_bytes(type, 32);
    for (size_t i = 0; i < n / 32; i++, out += bytes) {
        float w[ENCODE_MAX];
        uint8_t codes[ENCODE_MAX];
        const float *x = row + 32 * i;
        encode_weights(weights ? weights + 32 * i : NULL, 32, w);
        rounded r = solve(x, w, top);
        line l = { half_to_f32(r.d), half_to_f32(r.m) };
        for (int j = 0; j < 32; j++)
            codes[j] = (uint8_t)code_at(x[j], l, top);
        half_store_u16((uint8_t *)out, r.d);
        half_store_u16((uint8_t *)out + 2, r.m);
        lattice_find(type)->put(out, codes);
        encode_or_plain(type, x, w, out);
    }
}

void quant_search_q4_1(const float *row, void *out, size_t n, const float *weights)
{
    search(QUANT_Q4_1, 15, row, out, n, weights);
}

void quant_search_q5_1(const float *row, void *out, size_t n, const float *weights)
{
    search(QUANT_Q5_1, 31, row, out, n, weights);
}
