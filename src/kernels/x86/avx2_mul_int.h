/* avx2_mul_int.h: integer weights on AVX2 without VNNI: the types, their codes and scales. Private to kernels/x86.
 *
 * Codes are unpacked into bytes, group g of four values in register g, four bytes a row. u8 x i8 products are summed in
 * 16 bits for as many groups as cannot overflow (`fold`, asserted below); then one vpmaddwd with the sub-block's scale,
 * doubled into both halves of each row's lane, takes the sum to 32 bits. Offsets and mins come in through the sums of
 * activations. avx2_mul.c multiplies one token, avx2_tile.c many. */
#ifndef KERNELS_X86_AVX2_MUL_INT_H
#define KERNELS_X86_AVX2_MUL_INT_H

#include "kernels/levels_int.h"
#include "kernels/x86/avx2_int.h"
#include "quant/blocks.h"

/* vpmaddubsw gives 2 products; `fold` of them are added in 16 bits. Activations are -127..127. */
_Static_assert(8 * 2 * 15 * 127 <= INT16_MAX, "4 bits: eight groups");
_Static_assert(4 * 2 * 31 * 127 <= INT16_MAX, "5 bits: four groups");
_Static_assert(2 * 2 * 63 * 127 <= INT16_MAX, "6 bits: two groups");
_Static_assert(4 * 2 * 24 * 127 <= INT16_MAX, "MXFP4 plus 12: four groups");
_Static_assert(1 * 2 * 128 * 127 <= INT16_MAX, "8 bits by the sign trick: one group");

/*     name    type          low high fold offset min sub16 table */
#define AVX2_TYPES(X)                                                                                                  \
    X(q4_0, QUANT_Q4_0, 4, 0, 8, 8, false, false, NULL)                                                                \
    X(q4_1, QUANT_Q4_1, 4, 0, 8, 0, true, false, NULL)                                                                 \
    X(q5_0, QUANT_Q5_0, 4, 1, 4, 16, false, false, NULL)                                                               \
    X(q5_1, QUANT_Q5_1, 4, 1, 4, 0, true, false, NULL)                                                                 \
    X(q8_0, QUANT_Q8_0, 8, 0, 0, 0, false, false, NULL)                                                                \
    X(iq4_nl, QUANT_IQ4_NL, 4, 0, 0, 0, false, false, quant_iq4_values)                                                \
    X(mxfp4, QUANT_MXFP4, 4, 0, 4, 12, false, false, quant_e2m1_doubled)                                               \
    X(q2_k, QUANT_Q2_K, 2, 0, 8, 0, true, true, NULL)                                                                  \
    X(q3_k, QUANT_Q3_K, 2, 1, 4, 4, false, true, NULL)                                                                 \
    X(q4_k, QUANT_Q4_K, 4, 0, 8, 0, true, false, NULL)                                                                 \
    X(q5_k, QUANT_Q5_K, 4, 1, 4, 0, true, false, NULL)                                                                 \
    X(q6_k, QUANT_Q6_K, 4, 2, 2, 32, false, true, NULL)                                                                \
    X(iq4_xs, QUANT_IQ4_XS, 4, 0, 0, 0, false, false, quant_iq4_values)

typedef struct spec {
    int type, low, high; /* planes, as in layout.c */
    int fold;            /* groups summed in 16 bits; 0: signed weights, by the sign trick */
    int offset;          /* subtracted from the codes */
    bool min;            /* has a min term */
    bool sub16;          /* K types: sub-blocks of 16 */
    const int8_t *table; /* NULL, or the value of each 4-bit code */
} spec;

INLINE __m256i at(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* Bits [from, from + bits) of every byte. */
INLINE __m256i bits_of(__m256i v, int from, int to, int mask)
{
    __m256i s = from > to ? _mm256_srli_epi16(v, from - to) : _mm256_slli_epi16(v, to - from);
    return _mm256_and_si256(s, _mm256_set1_epi8((char)(mask << to)));
}

/* The codes of 32 values of rows 8h..8h+7: register g is group g. p points at the 32 values of the panel plus 32 h. */
INLINE void unpack(const spec s, const uint8_t *p, __m256i table, __m256i w[8])
{
    const uint8_t *high = p + 64 * s.low;
    UNROLL
    for (int g = 0; g < 8; g++) {
        if (s.low == 8)
            w[g] = at(p + 64 * g);
        if (s.low == 4)
            w[g] = bits_of(at(p + 64 * (g & 3)), g & 4, 0, 15);
        if (s.low == 2)
            w[g] = bits_of(at(p + 64 * (g >> 2)), 2 * (g & 3), 0, 3);
        if (s.high == 1)
            w[g] = _mm256_or_si256(w[g], bits_of(at(high), g, s.low, 1));
        if (s.high == 2)
            w[g] = _mm256_or_si256(w[g], bits_of(at(high + 64 * (g >> 2)), 2 * (g & 3), s.low, 3));
        if (s.table)
            w[g] = _mm256_shuffle_epi8(table, w[g]);
    }
}

INLINE __m256i bytes4(const int8_t *a)
{
    return _mm256_set1_epi32(load32(a));
}

INLINE __m256 half8(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

INLINE __m256i table_of(const spec s)
{
    if (!s.table)
        return _mm256_setzero_si256();
    __m128i t = _mm_loadu_si128((const __m128i *)(const void *)s.table);
    return _mm256_broadcastsi128_si256(_mm_add_epi8(t, _mm_set1_epi8((char)s.offset)));
}

/* ---- types of 32 values ---- */

INLINE __m256 scale8(const spec s, const uint8_t *scales, int h)
{
    if (s.type != QUANT_MXFP4)
        return half8(scales + 16 * h);
    __m256i e = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(scales + 8 * h)));
    __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    __m256i small = _mm256_sllv_epi32(_mm256_set1_epi32(0x200000), e); /* 2^(e - 128) below 2^-126 */
    __m256i is_normal = _mm256_cmpgt_epi32(e, _mm256_set1_epi32(1));
    return _mm256_castsi256_ps(_mm256_blendv_epi8(small, normal, is_normal));
}

/* ---- K types ---- */

/* Scales of one block of 16 rows, ready for vpmaddwd: [..][half]. */
typedef struct k_scales {
    __m256i c[16][2];   /* the scale of sub-block j, twice in each row's lane */
    __m256i pair[8][2]; /* factors of the sums of 16 activations 2j, 2j + 1: mins, or scales if codes have an offset */
    __m256 d[2], m[2];
} k_scales;

/* 16 unsigned (or signed) bytes, one a row, as doubled 16-bit lanes of 8 rows. */
INLINE void double16(__m128i c, bool is_signed, __m256i out[2])
{
    const __m256i low = _mm256_setr_epi8(0, -1, 0, -1, 1, -1, 1, -1, 2, -1, 2, -1, 3, -1, 3, -1, /* rows 4..7 */
                                         4, -1, 4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7, -1);
    const __m256i eight = _mm256_set1_epi16(8);
    __m256i v = _mm256_broadcastsi128_si256(c);
    if (is_signed) {
        const __m256i up = _mm256_slli_epi16(low, 8); /* the byte into the high half; below it row 0, shifted out */
        out[0] = _mm256_srai_epi16(_mm256_shuffle_epi8(v, up), 8);
        out[1] = _mm256_srai_epi16(_mm256_shuffle_epi8(v, _mm256_add_epi16(up, _mm256_slli_epi16(eight, 8))), 8);
        return;
    }
    out[0] = _mm256_shuffle_epi8(v, low);
    out[1] = _mm256_shuffle_epi8(v, _mm256_add_epi16(low, eight));
}

/* Bytes a and b of each row side by side as 16-bit lanes. */
INLINE void pair16(__m128i a, __m128i b, bool is_signed, __m256i out[2])
{
    __m128i low = _mm_unpacklo_epi8(a, b), high = _mm_unpackhi_epi8(a, b);
    out[0] = is_signed ? _mm256_cvtepi8_epi16(low) : _mm256_cvtepu8_epi16(low);
    out[1] = is_signed ? _mm256_cvtepi8_epi16(high) : _mm256_cvtepu8_epi16(high);
}

INLINE void scales_q4_q5(const uint8_t *p, k_scales *s) /* p: [12][16] */
{
    for (int j = 0; j < 4; j++) {
        __m128i a = at16(p + 16 * j), b = at16(p + 16 * (j + 4)), c = at16(p + 16 * (j + 8));
        double16(bits16(a, 0, 0, 63), false, s->c[j]);
        double16(_mm_or_si128(bits16(c, 0, 0, 15), bits16(a, 6, 4, 3)), false, s->c[j + 4]);
        double16(bits16(b, 0, 0, 63), false, s->pair[j]);
        double16(_mm_or_si128(bits16(c, 4, 0, 15), bits16(b, 6, 4, 3)), false, s->pair[j + 4]);
    }
}

INLINE void scales_q2(const uint8_t *p, k_scales *s) /* p: [16][16] */
{
    for (int j = 0; j < 8; j++) {
        __m128i a = at16(p + 32 * j), b = at16(p + 32 * j + 16);
        double16(bits16(a, 0, 0, 15), false, s->c[2 * j]);
        double16(bits16(b, 0, 0, 15), false, s->c[2 * j + 1]);
        pair16(bits16(a, 4, 0, 15), bits16(b, 4, 0, 15), false, s->pair[j]);
    }
}

INLINE void scales_q6(const uint8_t *p, k_scales *s) /* p: i8 [16][16] */
{
    for (int j = 0; j < 8; j++) {
        __m128i a = at16(p + 32 * j), b = at16(p + 32 * j + 16);
        double16(a, true, s->c[2 * j]);
        double16(b, true, s->c[2 * j + 1]);
        pair16(a, b, true, s->pair[j]);
    }
}

INLINE void scales_q3(const uint8_t *p, k_scales *s)
{
    __m128i c[16];
    rows_q3_k(p, c);
    for (int j = 0; j < 16; j++)
        double16(c[j], true, s->c[j]);
    for (int j = 0; j < 8; j++)
        pair16(c[2 * j], c[2 * j + 1], true, s->pair[j]);
}

INLINE void scales_xs(const uint8_t *p, k_scales *s)
{
    __m128i c[8];
    rows_iq4_xs(p, c);
    for (int j = 0; j < 8; j++)
        double16(c[j], true, s->c[j]);
    memcpy(s->pair, s->c, sizeof s->pair); /* the tile kernel offsets these codes by 128 */
}

INLINE void unpack_scales(const spec s, const uint8_t *p, k_scales *k)
{
    const bool two = s.min;
    for (int h = 0; h < 2; h++) {
        k->d[h] = half8(p + 16 * h);
        k->m[h] = two ? negate8(half8(p + 32 + 16 * h)) : _mm256_setzero_ps();
    }
    p += two ? 64 : 32;
    if (s.type == QUANT_Q4_K || s.type == QUANT_Q5_K)
        scales_q4_q5(p, k);
    if (s.type == QUANT_Q2_K)
        scales_q2(p, k);
    if (s.type == QUANT_Q3_K)
        scales_q3(p, k);
    if (s.type == QUANT_Q6_K)
        scales_q6(p, k);
    if (s.type == QUANT_IQ4_XS)
        scales_xs(p, k);
}

INLINE bool is_k(const spec s) /* known when compiling: each type has the code of its own block only */
{
    return s.type == QUANT_Q2_K || s.type == QUANT_Q3_K || s.type == QUANT_Q4_K || s.type == QUANT_Q5_K ||
           s.type == QUANT_Q6_K || s.type == QUANT_IQ4_XS;
}

/* avx2_tile.c: kernels.mul for more than one token. */
#define AVX2_TILE(name, ...)                                                                                           \
    void kernels_avx2_tile_##name(const void *panels, size_t n_panels, size_t cols, const void *acts,                  \
                                  size_t act_stride, size_t n_tokens, float *out, size_t out_stride);
AVX2_TYPES(AVX2_TILE)
#undef AVX2_TILE

#endif
