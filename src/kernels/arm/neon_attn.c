/* Attention for AArch64. Queries of one KV head go through the pages in groups of up to four, so that a key or value is
 * loaded and widened once for all of them.
 *
 * Scores: 16 keys lie in four registers, one chain over the head dimension a lane. Values: four dimensions lie in a
 * register, one chain over the positions a lane. Few queries take more keys or dimensions at once: sixteen chains hide
 * the latency of the multipliers and leave half of the registers to what is loaded. */
#include "kernels/arm/neon_attn_int.h"

enum { CHAINS = 16 }; /* registers that accumulate */

/* Values i..i+3 of a page. */
INLINE float32x4_t page4(enum kernels_kv kv, const void *page, size_t i)
{
    return kv == KV_F32 ? vld1q_f32((const float *)page + i) : half4((const uint16_t *)page + i);
}

/* Scores of `blocks` x 4 keys from `at` of a page for n queries; score[i] points at those of query i. */
INLINE void scores(enum kernels_kv kv, const kernels_attn *a, const void *page, size_t at, const int n,
                   const int blocks, const float *const q[GROUP], float *const score[GROUP])
{
    const size_t dim = a->head_dim, base = at * dim; /* (at / 16) * dim * 16 */
    float32x4_t acc[GROUP][CHAINS];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 16
        for (int b = 0; b < blocks; b++)
            acc[i][b] = set4(0.0f);
    for (size_t d = 0; d < dim; d++)
#pragma GCC unroll 16
        for (int b = 0; b < blocks; b++) {
            float32x4_t key = page4(kv, page, base + 16 * d + 16 * dim * ((size_t)b / 4) + 4 * ((size_t)b % 4));
#pragma GCC unroll 4
            for (int i = 0; i < n; i++)
                acc[i][b] = vfmaq_n_f32(acc[i][b], key, q[i][d]);
        }
    const float32x4_t scale = set4(a->scale);
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 16
        for (int b = 0; b < blocks; b++) {
            float32x4_t s = vmulq_f32(acc[i][b], scale);
            vst1q_f32(score[i] + 4 * b, capped4(a, s));
        }
}

/* Adds p * value over positions [from, to) of a page to n weighted sums, `blocks` x 4 dimensions from d on. */
INLINE void values(enum kernels_kv kv, size_t dim, const void *page, int from, int to, size_t d, const int n,
                   const int blocks, const float *const p[GROUP], float *const out[GROUP])
{
    float32x4_t acc[GROUP][CHAINS];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 16
        for (int b = 0; b < blocks; b++)
            acc[i][b] = vld1q_f32(out[i] + d + 4 * (size_t)b);
    for (int at = from; at < to; at++) {
        size_t index = ((size_t)KERNELS_PAGE + (size_t)at) * dim + d;
#pragma GCC unroll 16
        for (int b = 0; b < blocks; b++) {
            float32x4_t v = page4(kv, page, index + 4 * (size_t)b);
#pragma GCC unroll 4
            for (int i = 0; i < n; i++)
                acc[i][b] = vfmaq_n_f32(acc[i][b], v, p[i][at]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 16
        for (int b = 0; b < blocks; b++)
            vst1q_f32(out[i] + d + 4 * (size_t)b, acc[i][b]);
}

/* A group of n queries with a common [first, last] within the span (positions relative to it). */
INLINE void attend_group(enum kernels_kv kv, const kernels_attn *a, const void *const *pages, int first, int last,
                         const kernels_query *queries, const int n)
{
    _Alignas(16) float p[GROUP][KERNELS_SPAN];
    const size_t dim = a->head_dim;
    const float *q[GROUP];
    float *score[GROUP], *out[GROUP];
    for (int i = 0; i < n; i++)
        q[i] = queries[i].q;
    const int wide = n == 1 ? 16 : n == 2 ? 8 : 4; /* blocks of 4 keys or dimensions */
    for (int at = first & ~15, step; at <= last; at += step) {
        step = at % (4 * wide) == 0 && at + 4 * wide <= ((last + 16) & ~15) ? 4 * wide : 16;
        for (int i = 0; i < n; i++)
            score[i] = p[i] + at;
        if (step == 4 * wide)
            scores(kv, a, pages[at / KERNELS_PAGE], (size_t)at % KERNELS_PAGE, n, wide, q, score);
        else
            scores(kv, a, pages[at / KERNELS_PAGE], (size_t)at % KERNELS_PAGE, n, 4, q, score);
    }
    for (int i = 0; i < n; i++) {
        float *state = queries[i].state;
        memset(state, 0, (KERNELS_STATE_HEADER + dim) * sizeof *state);
        weigh(p[i], first, last, state);
        out[i] = state + KERNELS_STATE_HEADER;
    }
    for (int page = first / KERNELS_PAGE; page <= last / KERNELS_PAGE; page++) {
        int base = page * KERNELS_PAGE;
        int from = first > base ? first - base : 0, to = last - base < KERNELS_PAGE ? last - base + 1 : KERNELS_PAGE;
        const float *weights[GROUP];
        for (int i = 0; i < n; i++)
            weights[i] = p[i] + base;
        size_t d = 0;
        for (; d + 4 * (size_t)wide <= dim; d += 4 * (size_t)wide)
            values(kv, dim, pages[page], from, to, d, n, wide, weights, out);
        for (; d < dim; d += 8)
            values(kv, dim, pages[page], from, to, d, n, 2, weights, out);
    }
}

INLINE void group_f16(const kernels_attn *a, const void *const *pages, int first, int last,
                      const kernels_query *queries, const int n)
{
    attend_group(KV_F16, a, pages, first, last, queries, n);
}

static void attend_f16(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                       size_t n_queries)
{
    attend_in_groups(group_f16, a, pages, span, queries, n_queries);
}

INLINE void group_f32(const kernels_attn *a, const void *const *pages, int first, int last,
                      const kernels_query *queries, const int n)
{
    attend_group(KV_F32, a, pages, first, last, queries, n);
}

static void attend_f32(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                       size_t n_queries)
{
    attend_in_groups(group_f32, a, pages, span, queries, n_queries);
}

/* ---- storing: keys go to every sixteenth place, values to one row ---- */

INLINE uint16x4_t narrow4(const float *x)
{
    float32x4_t v = max4(min4(vld1q_f32(x), set4(65504.0f)), set4(-65504.0f));
    return vreinterpret_u16_f16(vcvt_f16_f32(v));
}

static void store_f16(void *page, size_t head_dim, int at, const float *key, const float *value)
{
    uint16_t *k = (uint16_t *)page + (size_t)at / 16 * head_dim * 16 + (size_t)at % 16;
    uint16_t *v = (uint16_t *)page + (KERNELS_PAGE + (size_t)at) * head_dim;
    for (size_t d = 0; d < head_dim; d += 4) {
        uint16_t four[4];
        vst1_u16(four, narrow4(key + d));
        for (size_t i = 0; i < 4; i++)
            k[16 * (d + i)] = four[i];
        vst1_u16(v + d, narrow4(value + d));
    }
}

void kernels_neon_attn(kernels *k)
{
    k->kv_store[KV_F16] = store_f16;
    k->attend[KV_F16] = attend_f16;
    k->attend[KV_F32] = attend_f32;
}
