/* Attention for AVX-512: avx2_attn.c with 16 keys or 16 dimensions to a register. Head dimensions that are no multiple
 * of 16 end in a masked block. */
#include <math.h>

#include "kernels/levels_int.h"
#include "kernels/x86/avx512_attn_int.h"

enum { CHAINS = 8 }; /* registers that accumulate for each query */

INLINE __m512 page16(enum kernels_kv kv, const void *page, size_t i, __mmask16 mask)
{
    if (kv == KV_F32)
        return _mm512_maskz_loadu_ps(mask, (const float *)page + i);
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, (const uint16_t *)page + i));
}

/* Scores of `blocks` x 16 keys from `at` of a page for n queries. */
INLINE void scores(enum kernels_kv kv, const kernels_attn *a, const void *page, ptrdiff_t ahead, size_t at, const int n,
                   const int blocks, const float *const q[GROUP], float *const score[GROUP])
{
    const size_t dim = a->head_dim, base = at * dim, size = kv == KV_F32 ? 4 : 2;
    __m512 acc[GROUP][CHAINS];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++)
            acc[i][b] = _mm512_setzero_ps();
    for (size_t d = 0; d < dim; d++) {
#pragma GCC unroll 4
        for (int b = 0; b < blocks * (int)size; b += 4)
            ask((const char *)page + size * base + 16 * (d * (size_t)blocks * size + 4 * (size_t)b), ahead);
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            __m512 key = page16(kv, page, base + 16 * (d + dim * (size_t)b), 0xFFFF);
#pragma GCC unroll 4
            for (int i = 0; i < n; i++)
                acc[i][b] = _mm512_fmadd_ps(_mm512_set1_ps(q[i][d]), key, acc[i][b]);
        }
    }
    const __m512 scale = _mm512_set1_ps(a->scale);
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            __m512 s = _mm512_mul_ps(acc[i][b], scale);
            _mm512_storeu_ps(score[i] + 16 * b, capped16(a, s));
        }
}

/* Adds p * value over positions [from, to) of a page to n weighted sums, `blocks` x 16 dimensions from d on; the last
 * block is masked. */
INLINE void values(enum kernels_kv kv, size_t dim, const void *page, ptrdiff_t ahead, int from, int to, size_t d,
                   const int n, const int blocks, __mmask16 mask, const float *const p[GROUP], float *const out[GROUP])
{
    __m512 acc[GROUP][CHAINS];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++)
            acc[i][b] = _mm512_maskz_loadu_ps(mask, out[i] + d + 16 * (size_t)b);
    for (int at = from; at < to; at++) {
        size_t index = ((size_t)KERNELS_PAGE + (size_t)at) * dim + d;
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++) {
            __m512 v = page16(kv, page, index + 16 * (size_t)b, mask);
            if (kv == KV_F32 || b % 2 == 0)
                ask((const char *)page + (kv == KV_F32 ? 4 : 2) * (index + 16 * (size_t)b), ahead);
#pragma GCC unroll 4
            for (int i = 0; i < n; i++)
                acc[i][b] = _mm512_fmadd_ps(_mm512_set1_ps(p[i][at]), v, acc[i][b]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++)
            _mm512_mask_storeu_ps(out[i] + d + 16 * (size_t)b, mask, acc[i][b]);
}

INLINE void all_values(enum kernels_kv kv, size_t dim, const void *page, ptrdiff_t ahead, int from, int to, const int n,
                       const float *const p[GROUP], float *const out[GROUP])
{
    const int wide = n == 1 ? 8 : 4; /* blocks of 16 dimensions */
    size_t d = 0;
    for (; d + 16 * (size_t)wide <= dim; d += 16 * (size_t)wide)
        values(kv, dim, page, ahead, from, to, d, n, wide, 0xFFFF, p, out);
    if (n == 1)
        for (; d + 64 <= dim; d += 64)
            values(kv, dim, page, ahead, from, to, d, n, 4, 0xFFFF, p, out);
    for (; d < dim; d += 16)
        values(kv, dim, page, ahead, from, to, d, n, 1, dim - d < 16 ? 0xFF : 0xFFFF, p, out);
}

/* A group of n queries over the union of their ranges: where one of them may not look its weight is +0. */
INLINE void attend_group(enum kernels_kv kv, const kernels_attn *a, const void *const *pages, const range *own,
                         const kernels_query *queries, const int n)
{
    _Alignas(64) float p[GROUP][KERNELS_SPAN];
    const int first = union_of(own, n).first, last = union_of(own, n).last;
    const size_t dim = a->head_dim;
    const float *q[GROUP], *weights[GROUP];
    float *score[GROUP], *out[GROUP];
    for (int i = 0; i < n; i++)
        q[i] = queries[i].q;
    for (int at = first & ~15, step; at <= last; at += step) {
        step = at % 64 == 0 && at + 64 <= ((last + 16) & ~15) ? 64 : 16;
        for (int i = 0; i < n; i++)
            score[i] = p[i] + at;
        const int page = at / KERNELS_PAGE;
        const ptrdiff_t ahead = to_next(pages, page, last / KERNELS_PAGE);
        if (step == 64)
            scores(kv, a, pages[page], ahead, (size_t)at % KERNELS_PAGE, n, 4, q, score);
        else
            scores(kv, a, pages[page], ahead, (size_t)at % KERNELS_PAGE, n, 1, q, score);
    }
    for (int i = 0; i < n; i++) {
        float *state = queries[i].state;
        memset(state, 0, (KERNELS_STATE_HEADER + dim) * sizeof *state);
        weigh16(p[i], first & ~15, (last + 16) & ~15, own[i], state);
        out[i] = state + KERNELS_STATE_HEADER;
    }
    for (int page = first / KERNELS_PAGE; page <= last / KERNELS_PAGE; page++) {
        int base = page * KERNELS_PAGE;
        int from = first > base ? first - base : 0, to = last - base < KERNELS_PAGE ? last - base + 1 : KERNELS_PAGE;
        for (int i = 0; i < n; i++)
            weights[i] = p[i] + base;
        all_values(kv, dim, pages[page], to_next(pages, page, last / KERNELS_PAGE), from, to, n, weights, out);
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

void kernels_avx512_attn(kernels *k)
{
    k->attend[KV_F16] = attend_f16;
    k->attend[KV_F32] = attend_f32;
}
