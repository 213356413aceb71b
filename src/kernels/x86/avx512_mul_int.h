/* avx512_mul_int.h: integer weights on AVX-512: the types, their codes and scales. Used by avx512_mul.c and, for many
 * tokens, by the files of AMX. Private to kernels/x86. */
#ifndef KERNELS_X86_AVX512_MUL_INT_H
#define KERNELS_X86_AVX512_MUL_INT_H

#include "kernels/levels_int.h"
#include "kernels/x86/avx2_int.h"
#include "quant/blocks.h"

/*     name    type          low high offset min sub16 table; signed weights (Q8_0, the IQ4 table) are offset by 128 */
#define AVX512_32_TYPES(X)                                                                                             \
    X(q4_0, QUANT_Q4_0, 4, 0, 8, false, false, NULL)                                                                   \
    X(q4_1, QUANT_Q4_1, 4, 0, 0, true, false, NULL)                                                                    \
    X(q5_0, QUANT_Q5_0, 4, 1, 16, false, false, NULL)                                                                  \
    X(q5_1, QUANT_Q5_1, 4, 1, 0, true, false, NULL)                                                                    \
    X(q8_0, QUANT_Q8_0, 8, 0, 128, false, false, NULL)                                                                 \
    X(iq4_nl, QUANT_IQ4_NL, 4, 0, 128, false, false, quant_iq4_values)                                                 \
    X(mxfp4, QUANT_MXFP4, 4, 0, 12, false, false, quant_e2m1_doubled)
#define AVX512_K_TYPES(X)                                                                                              \
    X(q2_k, QUANT_Q2_K, 2, 0, 0, true, true, NULL)                                                                     \
    X(q3_k, QUANT_Q3_K, 2, 1, 4, false, true, NULL)                                                                    \
    X(q4_k, QUANT_Q4_K, 4, 0, 0, true, false, NULL)                                                                    \
    X(q5_k, QUANT_Q5_K, 4, 1, 0, true, false, NULL)                                                                    \
    X(q6_k, QUANT_Q6_K, 4, 2, 32, false, true, NULL)                                                                   \
    X(iq4_xs, QUANT_IQ4_XS, 4, 0, 128, false, false, quant_iq4_values)
#define AVX512_TYPES(X) AVX512_32_TYPES(X) AVX512_K_TYPES(X)

/* mul[type] of the level avx512. */
#define AVX512_DECLARE(name, ...)                                                                                      \
    void kernels_avx512_##name(const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,  \
                               size_t n_tokens, float *out, size_t out_stride);
AVX512_TYPES(AVX512_DECLARE)

typedef struct spec {
    int type, low, high; /* planes, as in layout.c */
    int offset;          /* subtracted from the unsigned codes */
    bool min;            /* has a min term */
    bool sub16;          /* K types: sub-blocks of 16 */
    const int8_t *table; /* NULL, or the value of each 4-bit code */
} spec;

INLINE __m512i at(const uint8_t *p)
{
    return _mm512_loadu_si512((const void *)p);
}

INLINE __m512i bits_of(__m512i v, int from, int to, int mask)
{
    __m512i s = from > to ? _mm512_srli_epi16(v, (unsigned)(from - to)) : _mm512_slli_epi16(v, (unsigned)(to - from));
    return _mm512_and_si512(s, _mm512_set1_epi8((char)(mask << to)));
}

/* The codes of 32 values of 16 rows: register g is group g. */
INLINE void unpack(const spec s, const uint8_t *p, __m512i table, __m512i w[8])
{
    const uint8_t *high = p + 64 * s.low;
    UNROLL
    for (int g = 0; g < 8; g++) {
        if (s.low == 8)
            w[g] = _mm512_xor_si512(at(p + 64 * g), _mm512_set1_epi8((char)0x80)); /* i8 + 128 */
        if (s.low == 4)
            w[g] = bits_of(at(p + 64 * (g & 3)), g & 4, 0, 15);
        if (s.low == 2)
            w[g] = bits_of(at(p + 64 * (g >> 2)), 2 * (g & 3), 0, 3);
        if (s.high == 1)
            w[g] = _mm512_or_si512(w[g], bits_of(at(high), g, s.low, 1));
        if (s.high == 2)
            w[g] = _mm512_or_si512(w[g], bits_of(at(high + 64 * (g >> 2)), 2 * (g & 3), s.low, 3));
        if (s.table)
            w[g] = _mm512_shuffle_epi8(table, w[g]);
    }
}

INLINE __m512 half16(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

INLINE __m512i table_of(const spec s)
{
    if (!s.table)
        return _mm512_setzero_si512();
    return _mm512_broadcast_i32x4(_mm_add_epi8(at16((const uint8_t *)s.table), _mm_set1_epi8((char)s.offset)));
}

INLINE __m512 scale16(const spec s, const uint8_t *scales)
{
    if (s.type != QUANT_MXFP4)
        return half16(scales);
    __m512i e = _mm512_cvtepu8_epi32(at16(scales)); /* 2^(e - 128): subnormal below 2 */
    __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    __m512i small = _mm512_sllv_epi32(_mm512_set1_epi32(0x200000), e);
    return _mm512_castsi512_ps(
        _mm512_mask_blend_epi32(_mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2)), normal, small));
}

INLINE bool is_k(const spec s) /* known when compiling: each type has the code of its own block only */
{
    return s.type == QUANT_Q2_K || s.type == QUANT_Q3_K || s.type == QUANT_Q4_K || s.type == QUANT_Q5_K ||
           s.type == QUANT_Q6_K || s.type == QUANT_IQ4_XS;
}

#endif
