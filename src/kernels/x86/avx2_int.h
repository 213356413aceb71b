/* avx2_int.h: the functions of docs/NUMERICS.md on eight floats at once, bit for bit those of maths.c, and loads of
 * part of a vector. For files compiled with -mavx2 -mfma -mf16c. Private to kernels/. */
#ifndef KERNELS_X86_AVX2_INT_H
#define KERNELS_X86_AVX2_INT_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/layout_int.h"

/* Makes the compiler forget how a pointer came about, so that it addresses by constant distances from it; else it keeps
 * a register for every distance, and spills them. */
#define OPAQUE(pointer) __asm__("" : "+r"(pointer))

INLINE __m256 exp8(__m256 x)
{
    const __m256 round = _mm256_set1_ps(0x1.8p23f);
    __m256 zero = _mm256_cmp_ps(x, _mm256_set1_ps(-80.0f), _CMP_LT_OQ);
    __m256 t = _mm256_min_ps(x, _mm256_set1_ps(88.0f)); /* x < 88 ? x : 88, NaN gives 88 */
    __m256 n = _mm256_mul_ps(t, _mm256_set1_ps(0x1.715476p+0f));
    n = _mm256_sub_ps(_mm256_add_ps(n, round), round);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e43p-1f), t);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-0x1.05c61p-29f), r);
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(0x1.6a2314p-10f), r, _mm256_set1_ps(0x1.123a8ep-7f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.5558f6p-5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.555490p-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.fffffcp-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    __m256i scale = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_andnot_ps(zero, _mm256_mul_ps(p, _mm256_castsi256_ps(scale)));
}

INLINE __m256 negate8(__m256 x)
{
    return _mm256_xor_ps(x, _mm256_set1_ps(-0.0f));
}

INLINE __m256 silu8(__m256 x)
{
    return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), exp8(negate8(x))));
}

INLINE __m256 gelu8(__m256 x)
{
    __m256 c = _mm256_fmadd_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(0x1.2444f2p-4f), _mm256_set1_ps(0x1.988454p+0f));
    return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), exp8(negate8(_mm256_mul_ps(x, c)))));
}

INLINE __m256 gelu_erf8(__m256 x)
{
    __m256 a = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x), p = _mm256_set1_ps(0x1.2ce640p-26f);
    p = _mm256_fmadd_ps(p, a, _mm256_set1_ps(-0x1.236312p-21f));
    p = _mm256_fmadd_ps(p, a, _mm256_set1_ps(0x1.df6740p-18f));
    p = _mm256_fmadd_ps(p, a, _mm256_set1_ps(-0x1.aa72b6p-15f));
    p = _mm256_fmadd_ps(p, a, _mm256_set1_ps(0x1.89a772p-13f));
    p = _mm256_fmadd_ps(p, a, _mm256_set1_ps(0x1.739212p-17f));
    p = _mm256_fmadd_ps(p, a, _mm256_set1_ps(-0x1.3c649ep-8f));
    p = _mm256_fmadd_ps(p, a, _mm256_set1_ps(0x1.29d7cep-5f));
    p = _mm256_fmadd_ps(p, a, _mm256_set1_ps(0x1.45f1bcp-2f));
    p = _mm256_fmadd_ps(p, a, _mm256_set1_ps(0x1.988460p-1f));
    __m256 tail = _mm256_mul_ps(_mm256_set1_ps(0.5f), exp8(negate8(_mm256_mul_ps(a, p))));
    return _mm256_fnmadd_ps(a, tail, _mm256_max_ps(x, _mm256_setzero_ps()));
}

INLINE __m256 tanh8(__m256 x)
{
    __m256 sign = _mm256_and_ps(x, _mm256_set1_ps(-0.0f)), a = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
    __m256 z = _mm256_mul_ps(x, x);
    __m256 q = _mm256_fmadd_ps(_mm256_set1_ps(-0x1.75e1a8p-8f), z, _mm256_set1_ps(0x1.522692p-6f));
    q = _mm256_fmadd_ps(q, z, _mm256_set1_ps(-0x1.b83c58p-5f));
    q = _mm256_fmadd_ps(q, z, _mm256_set1_ps(0x1.110726p-3f));
    q = _mm256_fmadd_ps(q, z, _mm256_set1_ps(-0x1.555532p-2f));
    __m256 small = _mm256_fmadd_ps(_mm256_mul_ps(x, z), q, x);
    __m256 e = _mm256_add_ps(exp8(_mm256_add_ps(a, a)), _mm256_set1_ps(1.0f));
    __m256 large = _mm256_sub_ps(_mm256_set1_ps(1.0f), _mm256_div_ps(_mm256_set1_ps(2.0f), e));
    large = _mm256_xor_ps(large, sign);
    return _mm256_blendv_ps(large, small, _mm256_cmp_ps(a, _mm256_set1_ps(0.625f), _CMP_LT_OQ));
}

/* The first n (0..8) floats, the rest zero. */
INLINE __m256i first8(size_t n)
{
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < 8 ? (int)n : 8), index);
}

/* tree16 from lanes 0..7 and 8..15. */
INLINE float sum16(__m256 low, __m256 high)
{
    __m256 a = _mm256_add_ps(low, high);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

/* ---- quantisation: the steps of NUMERICS.md, "Activations" ---- */

INLINE __m256 abs8(__m256 x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

INLINE float largest8(__m256 v) /* no NaN in v */
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

INLINE float largest(const float *x, size_t n) /* of |x|; n is a multiple of 8 */
{
    __m256 m = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += 8)
        m = _mm256_max_ps(abs8(_mm256_loadu_ps(x + i)), m); /* |x| > m ? |x| : m */
    return largest8(m);
}

INLINE __m256i codes8(const float *x, __m256 id, float top)
{
    __m256 v = _mm256_mul_ps(_mm256_loadu_ps(x), id);
    v = _mm256_min_ps(v, _mm256_set1_ps(top)); /* NaN gives top */
    v = _mm256_max_ps(v, _mm256_set1_ps(-top));
    return _mm256_cvtps_epi32(v);
}

/* Asks for bytes that are needed soon, into the second level. The hardware's own prefetching stops at every page, and
 * one token reads each weight once. A core has some 16 lines under way, and a longer burst makes the loads behind it
 * wait: kernels of blocks of 32 ask for the next panel block by block, those of 256 for codes AHEAD bytes before they
 * are read and for scales a panel before. No byte is touched, so the address may lie beyond the matrix. */
enum { AHEAD = 4096 };
INLINE void prefetch(const void *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)p + i, _MM_HINT_T1);
}

/* ---- scales of 16 rows, a byte a row ---- */

INLINE __m128i at16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* Bits [from, from + bits) of every byte, moved to bit `to`. */
INLINE __m128i bits16(__m128i v, int from, int to, int mask)
{
    __m128i s = from > to ? _mm_srli_epi16(v, from - to) : _mm_slli_epi16(v, to - from);
    return _mm_and_si128(s, _mm_set1_epi8((char)(mask << to)));
}

/* The six-bit scales and mins of Q4_K and Q5_K, from [12][16] bytes. */
INLINE void rows_q4_q5(const uint8_t *p, __m128i c[8], __m128i m[8])
{
    UNROLL
    for (int j = 0; j < 4; j++) {
        __m128i a = at16(p + 16 * j), b = at16(p + 16 * (j + 4)), both = at16(p + 16 * (j + 8));
        c[j] = bits16(a, 0, 0, 63);
        m[j] = bits16(b, 0, 0, 63);
        c[j + 4] = _mm_or_si128(bits16(both, 0, 0, 15), bits16(a, 6, 4, 3));
        m[j + 4] = _mm_or_si128(bits16(both, 4, 0, 15), bits16(b, 6, 4, 3));
    }
}

/* The 16 scales of Q3_K, from [12][16] bytes. */
INLINE void rows_q3_k(const uint8_t *p, __m128i c[16])
{
    const __m128i minus = _mm_set1_epi8(32);
    UNROLL
    for (int j = 0; j < 8; j++) {
        __m128i low = at16(p + 16 * j), high = at16(p + 16 * (8 + j % 4));
        __m128i first = j < 4 ? bits16(high, 0, 4, 3) : bits16(high, 2, 4, 3);
        __m128i second = j < 4 ? bits16(high, 4, 4, 3) : bits16(high, 6, 4, 3);
        c[j] = _mm_sub_epi8(_mm_or_si128(bits16(low, 0, 0, 15), first), minus);
        c[j + 8] = _mm_sub_epi8(_mm_or_si128(bits16(low, 4, 0, 15), second), minus);
    }
}

/* The 8 scales of IQ4_XS, from u16 [16] (two bits a sub-block) and [4][16] bytes. */
INLINE void rows_iq4_xs(const uint8_t *p, __m128i c[8])
{
    const __m128i a = at16(p), b = at16(p + 16), byte = _mm_set1_epi16(255), minus = _mm_set1_epi8(32);
    const __m128i high[2] = { _mm_packus_epi16(_mm_and_si128(a, byte), _mm_and_si128(b, byte)),
                              _mm_packus_epi16(_mm_srli_epi16(a, 8), _mm_srli_epi16(b, 8)) };
    UNROLL
    for (int j = 0; j < 8; j++) {
        __m128i low = bits16(at16(p + 32 + 16 * (j / 2)), 4 * (j & 1), 0, 15);
        c[j] = _mm_sub_epi8(_mm_or_si128(low, bits16(high[j / 4], 2 * (j & 3), 4, 3)), minus);
    }
}

INLINE int32_t load32(const void *p)
{
    int32_t v;
    memcpy(&v, p, 4);
    return v;
}

#endif
