/* attn_q8_int.h: attention over eight-bit pages, for every level of AArch64. Private to kernels/arm.
 *
 * 16 bytes of a page are four dimensions of 4 keys, or four positions of 4 dimensions; they are multiplied with four
 * codes of a query or of the weights. Loaded bytes serve all queries of a group.
 *
 * The file that includes this has defined sums4, the partial sums of 4 keys or dimensions, with no_sums, add_products
 * and total. */
#ifndef KERNELS_ARM_ATTN_Q8_INT_H
#define KERNELS_ARM_ATTN_Q8_INT_H

#include "kernels/arm/neon_attn_int.h"
#include "kernels/kv_q8_int.h"

enum { WIDE = 4 }; /* blocks of 4 keys or dimensions at once */

/* Codes of a query, or of the weights of a span, whole and as digits: code = 128 * high + low, low in -64..63. */
typedef struct wide_codes {
    int16_t code[KERNELS_SPAN];
    int8_t high[KERNELS_SPAN], low[KERNELS_SPAN];
    float scale;
} wide_codes;

_Static_assert(KERNELS_SPAN >= KERNELS_MAX_HEAD_DIM, "codes of a query have room");

INLINE sums4 no_sums(void);
INLINE sums4 add_products(sums4 sum, int8x16_t v, const wide_codes *c, size_t at);
INLINE int32x4_t total(sums4 sum);

/* Codes of values [from, to), multiples of 4, and their scale. */
INLINE void code_wide(const float *x, size_t from, size_t to, wide_codes *c)
{
    float32x4_t m = set4(0.0f);
    for (size_t i = from; i < to; i += 4)
        m = max4(vabsq_f32(vld1q_f32(x + i)), m);
    const float amax = vmaxvq_f32(m), top = Q8_WIDE_TOP;
    const bool zero = amax < 0x1p-100f;
    const float32x4_t id = set4(zero ? 0.0f : top / amax);
    for (size_t i = from; i < to; i += 4) {
        float32x4_t v = max4(min4(vmulq_f32(vld1q_f32(x + i), id), set4(top)), set4(-top));
        int32x4_t code = zero ? vdupq_n_s32(0) : vcvtnq_s32_f32(v);
        int32x4_t high = vshrq_n_s32(vaddq_s32(code, vdupq_n_s32(64)), 7);
        int32_t part[2][4];
        vst1_s16(c->code + i, vmovn_s32(code));
        vst1q_s32(part[0], high);
        vst1q_s32(part[1], vsubq_s32(code, vshlq_n_s32(high, 7)));
        for (size_t k = 0; k < 4; k++) {
            c->high[i + k] = (int8_t)part[0][k];
            c->low[i + k] = (int8_t)part[1][k];
        }
    }
    c->scale = zero ? 0.0f : amax / top;
}

/* Scores of 16 keys from `at` of a page for n queries. */
INLINE void scores(const kernels_attn *a, const void *page, size_t at, const int n, const wide_codes *q,
                   float *const score[GROUP])
{
    const size_t dim = a->head_dim, groups = q8_groups(dim);
    const int8_t *keys = q8_keys(page) + at * dim;
    const float *scales = q8_key_scales(page, dim) + at * groups;
    for (int b = 0; b < 4; b++) {
        float32x4_t acc[GROUP];
#pragma GCC unroll 4
        for (int i = 0; i < n; i++)
            acc[i] = set4(0.0f);
        for (size_t g = 0, d = 0; g < groups; g++) {
            sums4 sum[GROUP];
#pragma GCC unroll 4
            for (int i = 0; i < n; i++)
                sum[i] = no_sums();
            for (; d < dim && d < (g + 1) * Q8_GROUP; d += 4) {
                const int8x16_t key = vld1q_s8(keys + 16 * d + 16 * b);
#pragma GCC unroll 4
                for (int i = 0; i < n; i++)
                    sum[i] = add_products(sum[i], key, &q[i], d);
            }
            const float32x4_t scale = vld1q_f32(scales + 16 * g + 4 * b);
#pragma GCC unroll 4
            for (int i = 0; i < n; i++)
                acc[i] = vfmaq_f32(acc[i], scale, vcvtq_f32_s32(total(sum[i])));
        }
#pragma GCC unroll 4
        for (int i = 0; i < n; i++)
            vst1q_f32(score[i] + 4 * b, capped4(a, vmulq_n_f32(acc[i], q[i].scale * a->scale)));
    }
}

/* Weights become codes of weight times the value's scale, for positions [from, to), multiples of 16. A weight of +0 is
 * 0, whatever lies in the page. */
INLINE void code_weights(const void *const *pages, size_t dim, float *p, int from, int to, wide_codes *w)
{
    for (int i = from; i < to; i += 4) {
        float32x4_t e = vld1q_f32(p + i);
        float32x4_t v = vmulq_f32(e, vld1q_f32(q8_value_scales(pages[i / KERNELS_PAGE], dim) + i % KERNELS_PAGE));
        vst1q_f32(p + i, vbslq_f32(vceqzq_f32(e), set4(0.0f), v));
    }
    code_wide(p, (size_t)from, (size_t)to, w);
}

/* Weighted sums of `blocks` x 4 dimensions from d on over positions [from, to), multiples of 4, for n queries. */
INLINE void values(size_t dim, const void *const *pages, int from, int to, size_t d, const int n, const int blocks,
                   const wide_codes *w, float *const out[GROUP])
{
    sums4 sum[GROUP][WIDE];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++)
            sum[i][b] = no_sums();
    for (int at = from, end; at < to; at = end) {
        const int8_t *v = q8_values(pages[at / KERNELS_PAGE], dim) + ((size_t)(at % KERNELS_PAGE) * dim + 4 * d);
        end = (at | (KERNELS_PAGE - 1)) + 1;
        end = end < to ? end : to;
        for (int k = at; k < end; k += 4, v += 4 * dim)
#pragma GCC unroll 4
            for (int b = 0; b < blocks; b++) {
                const int8x16_t value = vld1q_s8(v + 16 * b);
#pragma GCC unroll 4
                for (int i = 0; i < n; i++)
                    sum[i][b] = add_products(sum[i][b], value, &w[i], (size_t)k);
            }
    }
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++)
            vst1q_f32(out[i] + d + 4 * (size_t)b, vmulq_n_f32(vcvtq_f32_s32(total(sum[i][b])), w[i].scale));
}

INLINE void attend_group(const kernels_attn *a, const void *const *pages, int first, int last,
                         const kernels_query *queries, const int n)
{
    _Alignas(16) float p[GROUP][KERNELS_SPAN];
    wide_codes q[GROUP], w[GROUP];
    const size_t dim = a->head_dim;
    const int from = first & ~15, to = (last + 16) & ~15, wide = n == 1 ? 4 : 2;
    float *score[GROUP], *out[GROUP];
    for (int i = 0; i < n; i++)
        code_wide(queries[i].q, 0, dim, &q[i]);
    for (int at = from; at < to; at += 16) {
        for (int i = 0; i < n; i++)
            score[i] = p[i] + at;
        scores(a, pages[at / KERNELS_PAGE], (size_t)at % KERNELS_PAGE, n, q, score);
    }
    for (int i = 0; i < n; i++) {
        memset(queries[i].state, 0, KERNELS_STATE_HEADER * sizeof(float));
        weigh(p[i], first, last, queries[i].state);
        code_weights(pages, dim, p[i], from, to, &w[i]);
        out[i] = queries[i].state + KERNELS_STATE_HEADER;
    }
    size_t d = 0;
    for (; d + 4 * (size_t)wide <= dim; d += 4 * (size_t)wide)
        values(dim, pages, first & ~3, (last + 4) & ~3, d, n, wide, w, out);
    for (; d < dim; d += 8)
        values(dim, pages, first & ~3, (last + 4) & ~3, d, n, 2, w, out);
}

static void attend_q8(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                      size_t n_queries)
{
    attend_in_groups(attend_group, a, pages, span, queries, n_queries);
}

#endif
