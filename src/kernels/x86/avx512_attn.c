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

INLINE void page_scores(enum kernels_kv kv, const kernels_attn *a, const void *page, ptrdiff_t ahead, int from, int to,
                        const int n, const float *const q[GROUP], float *const score[GROUP])
{
    float *at[GROUP];
    for (int i = 0; i < n; i++)
        at[i] = score[i] + from;
    if (from == 0 && to == KERNELS_PAGE) {
        scores(kv, a, page, ahead, 0, n, 4, q, at);
        return;
    }
    for (; from < to; from += 16) {
        scores(kv, a, page, ahead, (size_t)from, n, 1, q, at);
        for (int i = 0; i < n; i++)
            at[i] += 16;
    }
}

INLINE void page_values(enum kernels_kv kv, size_t dim, const void *page, ptrdiff_t ahead, int from, int to,
                        const int n, const float *const p[GROUP], float *const out[GROUP])
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

INLINE void weigh(float *p, int from, int to, range own, float *state)
{
    weigh16(p, from, to, own, state);
}

INLINE void widen(const uint16_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += 16)
        _mm512_storeu_ps(out + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(in + i))));
}

#define PAGE_FUNCTIONS
#include "kernels/x86/crowd_attn_int.h"

void kernels_avx512_attn(kernels *k)
{
    k->attend[KV_F16] = attend_f16;
    k->attend[KV_F32] = attend_f32;
}
