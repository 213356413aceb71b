/* avx512_attn_int.h: avx2_attn_int.h with sixteen floats to a register. For files compiled for AVX-512. Private to
 * kernels/. */
#ifndef KERNELS_X86_AVX512_ATTN_INT_H
#define KERNELS_X86_AVX512_ATTN_INT_H

#include "kernels/x86/avx2_attn_int.h"

/* tanh is rare here (soft-caps): two halves of avx2_int.h's. */
INLINE __m512 join16(__m256 low, __m256 high)
{
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}

INLINE __m512 tanh16(__m512 x)
{
    return join16(tanh8(_mm512_castps512_ps256(x)), tanh8(_mm512_extractf32x8_ps(x, 1)));
}

/* The soft-cap, where there is one. */
INLINE __m512 capped16(const kernels_attn *a, __m512 s)
{
    const __m512 cap = _mm512_set1_ps(a->softcap);
    if (a->softcap != 0.0f)
        s = _mm512_mul_ps(cap, tanh16(_mm512_mul_ps(s, _mm512_div_ps(_mm512_set1_ps(1.0f), cap))));
    return s;
}

/* exp8 of avx2_int.h, sixteen at once. */
INLINE __m512 exp16(__m512 x)
{
    const __m512 round = _mm512_set1_ps(0x1.8p23f);
    __mmask16 keep = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-80.0f), _CMP_NLT_UQ);
    __m512 t = _mm512_min_ps(x, _mm512_set1_ps(88.0f));
    __m512 n = _mm512_mul_ps(t, _mm512_set1_ps(0x1.715476p+0f));
    n = _mm512_sub_ps(_mm512_add_ps(n, round), round);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e43p-1f), t);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-0x1.05c61p-29f), r);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(0x1.6a2314p-10f), r, _mm512_set1_ps(0x1.123a8ep-7f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.5558f6p-5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.555490p-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.fffffcp-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    __m512i scale = _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23);
    return _mm512_maskz_mul_ps(keep, p, _mm512_castsi512_ps(scale));
}

/* Scores of positions [from, to) become weights: outside of the query's own range they are +0. Maximum and sum go into
 * the state. */
INLINE void weigh16(float *p, int from, int to, range own, float *state)
{
    for (int i = from; i < own.first; i++)
        p[i] = -INFINITY; /* exp gives +0, and they are no maximum */
    for (int i = own.last + 1; i < to; i++)
        p[i] = -INFINITY;
    __m512 m = _mm512_set1_ps(-INFINITY);
    for (int i = from; i < to; i += 16)
        m = _mm512_max_ps(_mm512_loadu_ps(p + i), m);
    state[0] = _mm512_reduce_max_ps(m);
    const __m512 top = _mm512_set1_ps(state[0]);
    __m512 lane = _mm512_setzero_ps();
    for (int i = from; i < to; i += 16) {
        __m512 e = exp16(_mm512_sub_ps(_mm512_loadu_ps(p + i), top));
        _mm512_storeu_ps(p + i, e);
        lane = _mm512_add_ps(lane, e);
    }
    state[1] = sum16(_mm512_castps512_ps256(lane), _mm512_extractf32x8_ps(lane, 1));
}

#endif
