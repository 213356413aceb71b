/* Attention for AVX2. Queries of one KV head go through the pages in groups of up to four, so that a key or value is
 * loaded and widened once for all of them.
 *
 * Scores: 16 keys lie in 16 lanes (two registers), one chain over the head dimension each. Values: 8 dimensions lie in
 * 8 lanes, one chain over the positions each. Few queries take more keys or dimensions at once: eight chains hide the
 * latency of the multiplier. */
#include <math.h>

#include "kernels/levels_int.h"
#include "kernels/x86/avx2_attn_int.h"

enum { CHAINS = 8 }; /* registers that accumulate */

/* Values i..i+7 of a page. */
INLINE __m256 page8(enum kernels_kv kv, const void *page, size_t i)
{
    if (kv == KV_F32)
        return _mm256_loadu_ps((const float *)page + i);
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)((const uint16_t *)page + i)));
}

/* Scores of `blocks` x 8 keys from `at` of a page for n queries; score[i] points at those of query i. */
INLINE void scores(enum kernels_kv kv, const kernels_attn *a, const void *page, ptrdiff_t ahead, size_t at, const int n,
                   const int blocks, const float *const q[GROUP], float *const score[GROUP])
{
    const size_t dim = a->head_dim, base = at * dim, size = kv == KV_F32 ? 4 : 2; /* (at / 16) * dim * 16 */
    __m256 acc[GROUP][CHAINS];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++)
            acc[i][b] = _mm256_setzero_ps();
    for (size_t d = 0; d < dim; d++) {
#pragma GCC unroll 4
        for (int b = 0; b < blocks * (int)size; b += 8)
            ask((const char *)page + size * base + 8 * (d * (size_t)blocks * size + (size_t)b), ahead);
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++) {
            __m256 key = page8(kv, page, base + 16 * d + 16 * dim * ((size_t)b / 2) + 8 * ((size_t)b % 2));
#pragma GCC unroll 4
            for (int i = 0; i < n; i++)
                acc[i][b] = _mm256_fmadd_ps(_mm256_broadcast_ss(q[i] + d), key, acc[i][b]);
        }
    }
    const __m256 scale = _mm256_set1_ps(a->scale);
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++) {
            __m256 s = _mm256_mul_ps(acc[i][b], scale);
            _mm256_storeu_ps(score[i] + 8 * b, capped8(a, s));
        }
}

/* Adds p * value over positions [from, to) of a page to n weighted sums, `blocks` x 8 dimensions from d on. */
INLINE void values(enum kernels_kv kv, size_t dim, const void *page, ptrdiff_t ahead, int from, int to, size_t d,
                   const int n, const int blocks, const float *const p[GROUP], float *const out[GROUP])
{
    __m256 acc[GROUP][CHAINS];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++)
            acc[i][b] = _mm256_loadu_ps(out[i] + d + 8 * (size_t)b);
    for (int at = from; at < to; at++) {
        size_t index = ((size_t)KERNELS_PAGE + (size_t)at) * dim + d;
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++) {
            __m256 v = page8(kv, page, index + 8 * (size_t)b);
            if (b % (kv == KV_F32 ? 2 : 4) == 0)
                ask((const char *)page + (kv == KV_F32 ? 4 : 2) * (index + 8 * (size_t)b), ahead);
#pragma GCC unroll 4
            for (int i = 0; i < n; i++)
                acc[i][b] = _mm256_fmadd_ps(_mm256_broadcast_ss(p[i] + at), v, acc[i][b]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++)
            _mm256_storeu_ps(out[i] + d + 8 * (size_t)b, acc[i][b]);
}

/* A group of n queries over the union of their ranges: where one of them may not look its weight is +0. */
INLINE void attend_group(enum kernels_kv kv, const kernels_attn *a, const void *const *pages, const range *own,
                         const kernels_query *queries, const int n)
{
    _Alignas(32) float p[GROUP][KERNELS_SPAN];
    const int first = union_of(own, n).first, last = union_of(own, n).last;
    const size_t dim = a->head_dim;
    const float *q[GROUP];
    float *score[GROUP], *out[GROUP];
    for (int i = 0; i < n; i++)
        q[i] = queries[i].q;
    const int wide = n == 1 ? 8 : n == 2 ? 4 : 2; /* blocks of 8 keys or dimensions */
    for (int at = first & ~15, step; at <= last; at += step) {
        step = at % (8 * wide) == 0 && at + 8 * wide <= ((last + 16) & ~15) ? 8 * wide : 16;
        for (int i = 0; i < n; i++)
            score[i] = p[i] + at;
        const int page = at / KERNELS_PAGE;
        const ptrdiff_t ahead = to_next(pages, page, last / KERNELS_PAGE);
        if (step == 8 * wide)
            scores(kv, a, pages[page], ahead, (size_t)at % KERNELS_PAGE, n, wide, q, score);
        else
            scores(kv, a, pages[page], ahead, (size_t)at % KERNELS_PAGE, n, 2, q, score);
    }
    for (int i = 0; i < n; i++) {
        float *state = queries[i].state;
        memset(state, 0, (KERNELS_STATE_HEADER + dim) * sizeof *state);
        weigh8(p[i], first & ~15, (last + 16) & ~15, own[i], state);
        out[i] = state + KERNELS_STATE_HEADER;
    }
    for (int page = first / KERNELS_PAGE; page <= last / KERNELS_PAGE; page++) {
        int base = page * KERNELS_PAGE;
        int from = first > base ? first - base : 0, to = last - base < KERNELS_PAGE ? last - base + 1 : KERNELS_PAGE;
        const ptrdiff_t ahead = to_next(pages, page, last / KERNELS_PAGE);
        const float *weights[GROUP];
        for (int i = 0; i < n; i++)
            weights[i] = p[i] + base;
        size_t d = 0;
        for (; d + 8 * (size_t)wide <= dim; d += 8 * (size_t)wide)
            values(kv, dim, pages[page], ahead, from, to, d, n, wide, weights, out);
        for (; d < dim; d += 8)
            values(kv, dim, pages[page], ahead, from, to, d, n, 1, weights, out);
    }
}

INLINE void group_f16(const kernels_attn *a, const void *const *pages, const range *own, const kernels_query *queries,
                      const int n)
{
    attend_group(KV_F16, a, pages, own, queries, n);
}

static void attend_f16(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                       size_t n_queries)
{
    attend_in_groups(group_f16, a, pages, span, queries, n_queries);
}

INLINE void group_f32(const kernels_attn *a, const void *const *pages, const range *own, const kernels_query *queries,
                      const int n)
{
    attend_group(KV_F32, a, pages, own, queries, n);
}

static void attend_f32(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                       size_t n_queries)
{
    attend_in_groups(group_f32, a, pages, span, queries, n_queries);
}

static void attend_merge(float *into, const float *next, size_t head_dim)
{
    if (next[1] == 0.0f)
        return;
    if (into[1] == 0.0f) {
        memcpy(into, next, (KERNELS_STATE_HEADER + head_dim) * sizeof *into);
        return;
    }
    float m = into[0] > next[0] ? into[0] : next[0];
    __m256 scale = exp8(_mm256_setr_ps(into[0] - m, next[0] - m, 0, 0, 0, 0, 0, 0));
    const __m256 a = _mm256_broadcastss_ps(_mm256_castps256_ps128(scale));
    const __m256 b = _mm256_permutevar8x32_ps(scale, _mm256_set1_epi32(1));
    __m256 sum = _mm256_fmadd_ps(_mm256_set1_ps(next[1]), b, _mm256_mul_ps(_mm256_set1_ps(into[1]), a));
    into[0] = m;
    into[1] = _mm256_cvtss_f32(sum);
    for (size_t d = KERNELS_STATE_HEADER; d < KERNELS_STATE_HEADER + head_dim; d += 8) {
        __m256 old = _mm256_mul_ps(_mm256_loadu_ps(into + d), a);
        _mm256_storeu_ps(into + d, _mm256_fmadd_ps(_mm256_loadu_ps(next + d), b, old));
    }
}

static void attend_finish(const float *state, size_t head_dim, float *out)
{
    const __m256 inverse = _mm256_set1_ps(state[1] == 0.0f ? 0.0f : 1.0f / state[1]);
    for (size_t d = 0; d < head_dim; d += 8)
        _mm256_storeu_ps(out + d, _mm256_mul_ps(_mm256_loadu_ps(state + KERNELS_STATE_HEADER + d), inverse));
}

/* ---- storing: keys go to every sixteenth place, values to one row ---- */

INLINE __m128i narrow8(const float *x)
{
    __m256 v = _mm256_min_ps(_mm256_loadu_ps(x), _mm256_set1_ps(65504.0f));
    return _mm256_cvtps_ph(_mm256_max_ps(v, _mm256_set1_ps(-65504.0f)), _MM_FROUND_TO_NEAREST_INT);
}

static void store_f16(void *page, size_t head_dim, int at, const float *key, const float *value)
{
    uint16_t *k = (uint16_t *)page + (size_t)at / 16 * head_dim * 16 + (size_t)at % 16;
    uint16_t *v = (uint16_t *)page + (KERNELS_PAGE + (size_t)at) * head_dim;
    for (size_t d = 0; d < head_dim; d += 8) {
        uint16_t eight[8];
        _mm_storeu_si128((__m128i *)(void *)eight, narrow8(key + d));
        for (size_t i = 0; i < 8; i++)
            k[16 * (d + i)] = eight[i];
        _mm_storeu_si128((__m128i *)(void *)(v + d), narrow8(value + d));
    }
}

void kernels_avx2_attn(kernels *k)
{
    k->kv_store[KV_F16] = store_f16;
    k->attend[KV_F16] = attend_f16;
    k->attend[KV_F32] = attend_f32;
    k->attend_merge = attend_merge;
    k->attend_finish = attend_finish;
}
