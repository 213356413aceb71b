/* Integer matrix kernels for AVX2 without VNNI.
 *
 * Weights stay, inputs pass by: for 32 values of 8 rows the codes are unpacked into eight registers (group g of four
 * values in register g, four bytes a row), then every token of the tile multiplies them with its eight broadcast words.
 * u8 x i8 products are summed in 16 bits for as many groups as cannot overflow (`fold`, asserted below); then one
 * vpmaddwd with the sub-block's scale, doubled into both halves of each row's lane, takes the sum to 32 bits. Offsets
 * and mins come in through the sums of activations.
 *
 * Measured on one Zen 3 thread: the same scheme with the scale multiplied group by group runs at half the speed. */
#include "kernels/levels_int.h"
#include "kernels/x86/avx2_int.h"
#include "quant/blocks.h"

/* vpmaddubsw gives 2 products; `fold` of them are added in 16 bits. Activations are -127..127. */
_Static_assert(8 * 2 * 15 * 127 <= INT16_MAX, "4 bits: eight groups");
_Static_assert(4 * 2 * 31 * 127 <= INT16_MAX, "5 bits: four groups");
_Static_assert(2 * 2 * 63 * 127 <= INT16_MAX, "6 bits: two groups");
_Static_assert(4 * 2 * 24 * 127 <= INT16_MAX, "MXFP4 plus 12: four groups");
_Static_assert(1 * 2 * 128 * 127 <= INT16_MAX, "8 bits by the sign trick: one group");

enum { TILE = 32 }; /* tokens that share one unpacking; their accumulators and inputs stay in the first-level cache */

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
#pragma GCC unroll 8
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

/* Sum over `n` groups from g on, in 16 bits. */
INLINE __m256i fold16(const __m256i w[8], const int8_t *a, int g, int n)
{
    __m256i sum = _mm256_maddubs_epi16(w[g], bytes4(a + 4 * g));
#pragma GCC unroll 8
    for (int i = g + 1; i < g + n; i++)
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w[i], bytes4(a + 4 * i)));
    return sum;
}

/* ca * (groups 0..3) + cb * (groups 4..7) in 32 bits; ca and cb are the same for sub-blocks of 32. */
INLINE __m256i dot32(const spec s, const __m256i w[8], const int8_t *a, __m256i ca, __m256i cb)
{
    if (s.fold == 8 && !s.sub16)
        return _mm256_madd_epi16(fold16(w, a, 0, 8), ca);
    __m256i sum = _mm256_setzero_si256();
    if (s.fold) {
        const int n = s.fold > 4 ? 4 : s.fold;
#pragma GCC unroll 8
        for (int g = 0; g < 8; g += n)
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(fold16(w, a, g, n), g < 4 ? ca : cb));
        return sum;
    }
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) {
        __m256i signed_a = _mm256_sign_epi8(bytes4(a + 4 * g), w[g]);
        __m256i product = _mm256_maddubs_epi16(_mm256_abs_epi8(w[g]), signed_a);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(product, g < 4 ? ca : cb));
    }
    return sum;
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

/* One panel times nt tokens. acts is the first token's row. */
INLINE void panel_32(const spec s, const uint8_t *codes, const uint8_t *scales, size_t n, size_t ahead,
                     const char *acts, size_t stride, size_t nt, float *out, size_t out_stride)
{
    const size_t code_bytes = 64u * (size_t)(s.low + s.high);
    const size_t scale_bytes = s.type == QUANT_MXFP4 ? 16 : s.min ? 64 : 32;
    const size_t cols = n * 32;
    const __m256i ones = _mm256_set1_epi16(1), table = table_of(s);
    const uint8_t *next = codes + ahead;
    __m256 acc[TILE][2];
    for (size_t t = 0; t < nt; t++)
        acc[t][0] = acc[t][1] = _mm256_setzero_ps();
    for (size_t b = 0; b < n; b++, codes += code_bytes, scales += scale_bytes) {
        if (ahead)
            prefetch(next + b * (code_bytes + scale_bytes), code_bytes + scale_bytes);
        for (int h = 0; h < 2; h++) {
            __m256i w[8];
            unpack(s, codes + 32 * h, table, w);
            __m256 d = scale8(s, scales, h), m = s.min ? half8(scales + 32 + 16 * h) : d;
            const char *act = acts;
            for (size_t t = 0; t < nt; t++, act += stride) {
                __m256i sum = dot32(s, w, (const int8_t *)act + 32 * b, ones, ones);
                int32_t total = load32(act + cols + 4 * b);
                if (s.offset)
                    sum = _mm256_sub_epi32(sum, _mm256_set1_epi32(s.offset * total));
                __m256 da = _mm256_broadcast_ss((const float *)(const void *)(act + cols + cols / 8) + b);
                __m256 x = _mm256_fmadd_ps(_mm256_mul_ps(d, da), _mm256_cvtepi32_ps(sum), acc[t][h]);
                if (s.min)
                    x = _mm256_fmadd_ps(_mm256_mul_ps(m, da), _mm256_set1_ps((float)total), x);
                acc[t][h] = x;
            }
        }
    }
    for (size_t t = 0; t < nt; t++) {
        _mm256_storeu_ps(out + t * out_stride, acc[t][0]);
        _mm256_storeu_ps(out + t * out_stride + 8, acc[t][1]);
    }
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

INLINE __m128i at16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

INLINE __m128i bits16(__m128i v, int from, int to, int mask)
{
    __m128i s = from > to ? _mm_srli_epi16(v, from - to) : _mm_slli_epi16(v, to - from);
    return _mm_and_si128(s, _mm_set1_epi8((char)(mask << to)));
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

INLINE void scales_q3(const uint8_t *p, k_scales *s) /* p: [12][16] */
{
    const __m128i minus = _mm_set1_epi8(32);
    __m128i c[16];
    for (int j = 0; j < 8; j++) {
        __m128i low = at16(p + 16 * j), high = at16(p + 16 * (8 + j % 4));
        __m128i first = j < 4 ? bits16(high, 0, 4, 3) : bits16(high, 2, 4, 3);
        __m128i second = j < 4 ? bits16(high, 4, 4, 3) : bits16(high, 6, 4, 3);
        c[j] = _mm_sub_epi8(_mm_or_si128(bits16(low, 0, 0, 15), first), minus);
        c[j + 8] = _mm_sub_epi8(_mm_or_si128(bits16(low, 4, 0, 15), second), minus);
    }
    for (int j = 0; j < 16; j++)
        double16(c[j], true, s->c[j]);
    for (int j = 0; j < 8; j++)
        pair16(c[2 * j], c[2 * j + 1], true, s->pair[j]);
}

INLINE void scales_xs(const uint8_t *p, k_scales *s) /* p: u16 [16], [4][16] */
{
    int8_t c[8][ROWS];
    scales_iq4_xs(p, c);
    for (int j = 0; j < 8; j++)
        double16(at16((const uint8_t *)c[j]), true, s->c[j]);
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

/* Sum over j of pair j times the sums of activations 2j and 2j + 1. */
INLINE __m256i sum_pairs(const k_scales *k, int h, const int8_t *sums)
{
    __m256i total = _mm256_madd_epi16(k->pair[0][h], bytes4(sums));
#pragma GCC unroll 8
    for (int j = 1; j < 8; j++)
        total = _mm256_add_epi32(total, _mm256_madd_epi16(k->pair[j][h], bytes4(sums + 4 * j)));
    return total;
}

INLINE void panel_256(const spec s, const uint8_t *codes, const uint8_t *scales, size_t scale_bytes, size_t n,
                      size_t ahead, const char *acts, size_t stride, size_t nt, float *out, size_t out_stride)
{
    const size_t per32 = 64u * (size_t)(s.low + s.high), cols = n * 256;
    const __m256i table = table_of(s);
    __m256 acc[TILE][2];
    __m256i sum[TILE][2];
    const uint8_t *next = codes + ahead;
    k_scales k;
    for (size_t t = 0; t < nt; t++)
        acc[t][0] = acc[t][1] = _mm256_setzero_ps();
    for (size_t b = 0; b < n; b++, scales += scale_bytes) {
        if (ahead)
            prefetch(next + b * (8 * per32 + scale_bytes), 8 * per32 + scale_bytes);
        unpack_scales(s, scales, &k);
        for (size_t t = 0; t < nt; t++)
            sum[t][0] = sum[t][1] = _mm256_setzero_si256();
        for (int j = 0; j < 8; j++, codes += per32)
            for (int h = 0; h < 2; h++) {
                __m256i w[8];
                unpack(s, codes + 32 * h, table, w);
                const __m256i ca = k.c[s.sub16 ? 2 * j : j][h], cb = k.c[s.sub16 ? 2 * j + 1 : j][h];
                const int8_t *a = (const int8_t *)acts + 256 * b + 32 * j;
                for (size_t t = 0; t < nt; t++, a += stride)
                    sum[t][h] = _mm256_add_epi32(sum[t][h], dot32(s, w, a, ca, cb));
            }
        const char *act = acts;
        for (size_t t = 0; t < nt; t++, act += stride) {
            __m256 da = _mm256_broadcast_ss((const float *)(const void *)(act + cols + cols / 8) + b);
            for (int h = 0; h < 2; h++) {
                __m256i total = sum[t][h], pairs = _mm256_setzero_si256();
                if (s.min || s.offset)
                    pairs = sum_pairs(&k, h, (const int8_t *)act + cols + 32 * b);
                if (s.offset)
                    total = _mm256_sub_epi32(total, _mm256_mullo_epi32(pairs, _mm256_set1_epi32(s.offset)));
                __m256 x = _mm256_fmadd_ps(_mm256_mul_ps(k.d[h], da), _mm256_cvtepi32_ps(total), acc[t][h]);
                if (s.min)
                    x = _mm256_fmadd_ps(_mm256_mul_ps(k.m[h], da), _mm256_cvtepi32_ps(pairs), x);
                acc[t][h] = x;
            }
        }
    }
    for (size_t t = 0; t < nt; t++) {
        _mm256_storeu_ps(out + t * out_stride, acc[t][0]);
        _mm256_storeu_ps(out + t * out_stride + 8, acc[t][1]);
    }
}

/* ---- drivers ---- */

INLINE bool is_k(const spec s) /* known when compiling: each type has the code of its own block only */
{
    return s.type == QUANT_Q2_K || s.type == QUANT_Q3_K || s.type == QUANT_Q4_K || s.type == QUANT_Q5_K ||
           s.type == QUANT_Q6_K || s.type == QUANT_IQ4_XS;
}

INLINE void mul(const spec s, const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,
                size_t n_tokens, float *out, size_t out_stride)
{
    const layout *l = layout_of(s.type);
    const size_t n = cols / l->block, panel_bytes = n * ((size_t)l->code_bytes + l->scale_bytes);
    for (size_t p = 0; p < n_panels; p++) {
        const uint8_t *codes = (const uint8_t *)panels + p * panel_bytes, *scales = codes + n * l->code_bytes;
        for (size_t t = 0; t < n_tokens; t += TILE) {
            const char *a = (const char *)acts + t * act_stride;
            float *o = out + t * out_stride + p * ROWS;
            size_t nt = n_tokens - t < TILE ? n_tokens - t : TILE, ahead = t ? 0 : panel_bytes;
            if (!is_k(s)) {
                if (nt == 1)
                    panel_32(s, codes, scales, n, panel_bytes, a, act_stride, 1, o, out_stride);
                else
                    panel_32(s, codes, scales, n, ahead, a, act_stride, nt, o, out_stride);
            } else {
                if (nt == 1)
                    panel_256(s, codes, scales, l->scale_bytes, n, panel_bytes, a, act_stride, 1, o, out_stride);
                else
                    panel_256(s, codes, scales, l->scale_bytes, n, ahead, a, act_stride, nt, o, out_stride);
            }
        }
    }
}

#define MUL(name, ...)                                                                                                 \
    static void name(const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,            \
                     size_t n_tokens, float *out, size_t out_stride)                                                   \
    {                                                                                                                  \
        const spec s = { __VA_ARGS__ };                                                                                \
        mul(s, panels, n_panels, cols, acts, act_stride, n_tokens, out, out_stride);                                   \
    }
/*               type  low high fold offset min sub16 table */
MUL(mul_q4_0, QUANT_Q4_0, 4, 0, 8, 8, false, false, NULL)
MUL(mul_q4_1, QUANT_Q4_1, 4, 0, 8, 0, true, false, NULL)
MUL(mul_q5_0, QUANT_Q5_0, 4, 1, 4, 16, false, false, NULL)
MUL(mul_q5_1, QUANT_Q5_1, 4, 1, 4, 0, true, false, NULL)
MUL(mul_q8_0, QUANT_Q8_0, 8, 0, 0, 0, false, false, NULL)
MUL(mul_iq4_nl, QUANT_IQ4_NL, 4, 0, 0, 0, false, false, quant_iq4_values)
MUL(mul_mxfp4, QUANT_MXFP4, 4, 0, 4, 12, false, false, quant_e2m1_doubled)
MUL(mul_q2_k, QUANT_Q2_K, 2, 0, 8, 0, true, true, NULL)
MUL(mul_q3_k, QUANT_Q3_K, 2, 1, 4, 4, false, true, NULL)
MUL(mul_q4_k, QUANT_Q4_K, 4, 0, 8, 0, true, false, NULL)
MUL(mul_q5_k, QUANT_Q5_K, 4, 1, 4, 0, true, false, NULL)
MUL(mul_q6_k, QUANT_Q6_K, 4, 2, 2, 32, false, true, NULL)
MUL(mul_iq4_xs, QUANT_IQ4_XS, 4, 0, 0, 0, false, false, quant_iq4_values)

void kernels_avx2_mul(kernels *k)
{
    k->mul[QUANT_Q4_0] = mul_q4_0;
    k->mul[QUANT_Q4_1] = mul_q4_1;
    k->mul[QUANT_Q5_0] = mul_q5_0;
    k->mul[QUANT_Q5_1] = mul_q5_1;
    k->mul[QUANT_Q8_0] = mul_q8_0;
    k->mul[QUANT_IQ4_NL] = mul_iq4_nl;
    k->mul[QUANT_MXFP4] = mul_mxfp4;
    k->mul[QUANT_Q2_K] = mul_q2_k;
    k->mul[QUANT_Q3_K] = mul_q3_k;
    k->mul[QUANT_Q4_K] = mul_q4_k;
    k->mul[QUANT_Q5_K] = mul_q5_k;
    k->mul[QUANT_Q6_K] = mul_q6_k;
    k->mul[QUANT_IQ4_XS] = mul_iq4_xs;
}
