/* Integer matrix kernels for AVX-512 with VNNI: the scheme of avx2_mul.c with all 16 rows in one register.
 *
 * vpdpbusd multiplies unsigned codes with signed activations and adds four products to a 32-bit lane, exactly. Signed
 * weights (Q8_0, the IQ4 table) are made unsigned by adding 128, which the sums of activations take back. */
#include "kernels/levels_int.h"
#include "kernels/x86/avx2_int.h"
#include "quant/blocks.h"

_Static_assert(32ll * 255 * 127 < INT32_MAX, "a sub-block of any unsigned codes");

enum {
    TILE = 32,  /* tokens that share one unpacking */
    PANELS = 2, /* panels that share one broadcast: loads are scarce, one of 64 bytes a cycle */
    COLS = 2,   /* tokens that go in step; 3, 4 and 6 measured the same, and less for sub-blocks of 16 */
};

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

INLINE __m512i bytes4(const int8_t *a)
{
    return _mm512_set1_epi32(load32(a));
}

/* Adds groups g..g+n of `np` panels times `nt` tokens to the sums. */
INLINE void dots(__m512i w[PANELS][8], const int np, const int8_t *a, size_t stride, const int nt, const int g,
                 const int n, __m512i sum[COLS][PANELS])
{
    const int8_t *row[COLS];
    UNROLL
    for (int t = 0; t < nt; t++) {
        row[t] = a + (size_t)t * stride;
        OPAQUE(row[t]);
    }
    UNROLL
    for (int i = g; i < g + n; i++) {
        UNROLL
        for (int t = 0; t < nt; t++) {
            const __m512i x = bytes4(row[t] + 4 * i);
            UNROLL
            for (int q = 0; q < np; q++)
                sum[t][q] = _mm512_dpbusd_epi32(sum[t][q], w[q][i], x);
        }
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

/* ---- types of 32 values ---- */

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

/* Block b of `np` panels times nt tokens. */
INLINE void add_block(const spec s, __m512i w[PANELS][8], const int np, const __m512 d[PANELS], const __m512 m[PANELS],
                      size_t b, size_t cols, const char *act, size_t stride, const int nt, __m512 acc[][PANELS])
{
    __m512i sum[COLS][PANELS];
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
        for (int q = 0; q < np; q++)
            sum[t][q] = _mm512_set1_epi32(-s.offset * load32(act + (size_t)t * stride + cols + 4 * b));
    dots(w, np, (const int8_t *)act + 32 * b, stride, nt, 0, 8, sum);
    UNROLL
    for (int t = 0; t < nt; t++, act += stride) {
        const __m512 da = _mm512_set1_ps(((const float *)(const void *)(act + cols + cols / 8))[b]);
        const __m512 total = _mm512_set1_ps((float)load32(act + cols + 4 * b));
        UNROLL
        for (int q = 0; q < np; q++) {
            acc[t][q] = _mm512_fmadd_ps(_mm512_mul_ps(d[q], da), _mm512_cvtepi32_ps(sum[t][q]), acc[t][q]);
            if (s.min)
                acc[t][q] = _mm512_fmadd_ps(_mm512_mul_ps(m[q], da), total, acc[t][q]);
        }
    }
}

/* `np` adjacent panels, panel_bytes apart, times nt tokens. */
INLINE void panels_32(const spec s, const uint8_t *codes, size_t panel_bytes, const int np, size_t n, size_t ahead,
                      const char *acts, size_t stride, size_t nt, float *out, size_t out_stride)
{
    const size_t code_bytes = 64u * (size_t)(s.low + s.high), cols = n * 32;
    const size_t scale_bytes = s.type == QUANT_MXFP4 ? 16 : s.min ? 64 : 32;
    const __m512i table = table_of(s);
    const uint8_t *next = codes + ahead, *scales = codes + n * code_bytes;
    __m512 acc[TILE][PANELS];
    for (size_t t = 0; t < nt; t++)
        acc[t][0] = acc[t][1] = _mm512_setzero_ps();
    for (size_t b = 0; b < n; b++, codes += code_bytes, scales += scale_bytes) {
        if (ahead)
            prefetch(next + b * (code_bytes + scale_bytes), code_bytes + scale_bytes);
        __m512i w[PANELS][8];
        __m512 d[PANELS], m[PANELS];
        UNROLL
        for (int q = 0; q < np; q++) {
            unpack(s, codes + (size_t)q * panel_bytes, table, w[q]);
            d[q] = scale16(s, scales + (size_t)q * panel_bytes);
            m[q] = s.min ? half16(scales + (size_t)q * panel_bytes + 32) : d[q];
        }
        size_t t = 0;
        for (; t + COLS <= nt; t += COLS)
            add_block(s, w, np, d, m, b, cols, acts + t * stride, stride, COLS, acc + t);
        for (; t < nt; t++)
            add_block(s, w, np, d, m, b, cols, acts + t * stride, stride, 1, acc + t);
    }
    for (size_t t = 0; t < nt; t++)
        UNROLL
        for (int q = 0; q < np; q++)
            _mm512_storeu_ps(out + t * out_stride + (size_t)q * ROWS, acc[t][q]);
}

/* ---- K types ---- */

typedef struct k_scales {
    __m512i c[16];   /* the scale of sub-block j */
    __m512i pair[8]; /* factors of the sums of 16 activations 2j, 2j + 1, as 16-bit pairs */
    __m512 d, m;
} k_scales;

/* Bytes a and b (signed; unsigned ones are below 128) of each row side by side. */
INLINE __m512i pair16(__m128i a, __m128i b)
{
    return _mm512_cvtepi8_epi16(_mm256_set_m128i(_mm_unpackhi_epi8(a, b), _mm_unpacklo_epi8(a, b)));
}

INLINE void put(k_scales *k, int j, __m128i scale, __m128i min) /* a sub-block of 32 */
{
    k->c[j] = _mm512_cvtepi8_epi32(scale);
    k->pair[j] = pair16(min, min);
}

INLINE void scales_q4_q5(const uint8_t *p, k_scales *k) /* p: [12][16] */
{
    for (int j = 0; j < 4; j++) {
        __m128i a = at16(p + 16 * j), b = at16(p + 16 * (j + 4)), c = at16(p + 16 * (j + 8));
        put(k, j, bits16(a, 0, 0, 63), bits16(b, 0, 0, 63));
        put(k, j + 4, _mm_or_si128(bits16(c, 0, 0, 15), bits16(a, 6, 4, 3)),
            _mm_or_si128(bits16(c, 4, 0, 15), bits16(b, 6, 4, 3)));
    }
}

INLINE void scales_of_16(const spec s, const uint8_t *p, k_scales *k) /* Q2_K: u8 [16][16]; Q6_K: i8 [16][16] */
{
    for (int j = 0; j < 8; j++) {
        __m128i a = at16(p + 32 * j), b = at16(p + 32 * j + 16), ca = a, cb = b;
        if (s.type == QUANT_Q2_K) {
            ca = bits16(a, 0, 0, 15);
            cb = bits16(b, 0, 0, 15);
            k->pair[j] = pair16(bits16(a, 4, 0, 15), bits16(b, 4, 0, 15));
        } else {
            k->pair[j] = pair16(a, b);
        }
        k->c[2 * j] = _mm512_cvtepi8_epi32(ca);
        k->c[2 * j + 1] = _mm512_cvtepi8_epi32(cb);
    }
}

INLINE void scales_q3(const uint8_t *p, k_scales *k)
{
    __m128i c[16];
    rows_q3_k(p, c);
    for (int j = 0; j < 16; j++)
        k->c[j] = _mm512_cvtepi8_epi32(c[j]);
    for (int j = 0; j < 8; j++)
        k->pair[j] = pair16(c[2 * j], c[2 * j + 1]);
}

INLINE void scales_xs(const uint8_t *p, k_scales *k)
{
    __m128i c[8];
    rows_iq4_xs(p, c);
    for (int j = 0; j < 8; j++)
        put(k, j, c[j], c[j]);
}

INLINE void unpack_scales(const spec s, const uint8_t *p, k_scales *k)
{
    k->d = half16(p);
    k->m = s.min ? _mm512_xor_ps(half16(p + 32), _mm512_set1_ps(-0.0f)) : _mm512_setzero_ps();
    p += s.min ? 64 : 32;
    if (s.type == QUANT_Q4_K || s.type == QUANT_Q5_K)
        scales_q4_q5(p, k);
    if (s.type == QUANT_Q2_K || s.type == QUANT_Q6_K)
        scales_of_16(s, p, k);
    if (s.type == QUANT_Q3_K)
        scales_q3(p, k);
    if (s.type == QUANT_IQ4_XS)
        scales_xs(p, k);
}

/* Sum over j of pair j times the sums of activations 2j and 2j + 1. */
INLINE __m512i sum_pairs(const k_scales *k, const int8_t *sums)
{
    __m512i even = _mm512_setzero_si512(), odd = even;
    UNROLL
    for (int j = 0; j < 8; j += 2) {
        even = _mm512_dpwssd_epi32(even, k->pair[j], bytes4(sums + 4 * j));
        odd = _mm512_dpwssd_epi32(odd, k->pair[j + 1], bytes4(sums + 4 * j + 4));
    }
    return _mm512_add_epi32(even, odd);
}

/* A scale c as 16-bit pairs (c, 256 c), for a sum split into its lowest byte and the rest: vpdpwssd is then the whole
 * product and its addition, where vpmulld alone takes longer. Sums stay below 2^23. */
INLINE __m512i scale_pairs(__m512i c)
{
    return _mm512_mask_blend_epi16(0xAAAAAAAA, c, _mm512_slli_epi32(c, 24));
}

INLINE __m512i split(__m512i sum)
{
    const __m512i bytes = _mm512_set_epi8(14, 13, -1, 12, 10, 9, -1, 8, 6, 5, -1, 4, 2, 1, -1, 0, 14, 13, -1, 12, 10, 9,
                                          -1, 8, 6, 5, -1, 4, 2, 1, -1, 0, 14, 13, -1, 12, 10, 9, -1, 8, 6, 5, -1, 4, 2,
                                          1, -1, 0, 14, 13, -1, 12, 10, 9, -1, 8, 6, 5, -1, 4, 2, 1, -1, 0);
    return _mm512_shuffle_epi8(sum, bytes);
}
_Static_assert(32 * 255 * 127 < 1 << 23 && 128 * 256 <= 1 << 15, "sums and scales split into 16 bits");

/* Groups g..g+n of a sub-block: adds their part to the totals of nt tokens. */
INLINE void add_32(__m512i w[PANELS][8], const int np, const int g, const int n, __m512i c[PANELS], const int8_t *a,
                   size_t stride, const int nt, __m512i total[][PANELS])
{
    __m512i sum[COLS][PANELS];
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
        for (int q = 0; q < np; q++)
            sum[t][q] = _mm512_setzero_si512();
    dots(w, np, a, stride, nt, g, n, sum);
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
        for (int q = 0; q < np; q++)
            total[t][q] = _mm512_dpwssd_epi32(total[t][q], split(sum[t][q]), c[q]);
}

INLINE void add_sub_block(const spec s, __m512i w[PANELS][8], const int np, __m512i c[2][PANELS],
                          const int8_t *a, size_t stride, const int nt, __m512i total[][PANELS])
{
    if (!s.sub16) {
        add_32(w, np, 0, 8, c[0], a, stride, nt, total);
        return;
    }
    add_32(w, np, 0, 4, c[0], a, stride, nt, total);
    add_32(w, np, 4, 4, c[1], a, stride, nt, total);
}

/* The end of a block of 256: offsets, mins, and the step in f32. act is the token's row, sums its sums of the block. */
INLINE void end_256(const spec s, const k_scales *k, const __m512i total, const int8_t *sums, const __m512 da,
                    __m512 *acc)
{
    __m512i sum = total, pairs = _mm512_setzero_si512();
    if (s.min || s.offset)
        pairs = sum_pairs(k, sums);
    if (s.offset)
        sum = _mm512_sub_epi32(sum, _mm512_mullo_epi32(pairs, _mm512_set1_epi32(s.offset)));
    *acc = _mm512_fmadd_ps(_mm512_mul_ps(k->d, da), _mm512_cvtepi32_ps(sum), *acc);
    if (s.min)
        *acc = _mm512_fmadd_ps(_mm512_mul_ps(k->m, da), _mm512_cvtepi32_ps(pairs), *acc);
}

INLINE void panels_256(const spec s, const uint8_t *codes, size_t panel_bytes, const int np, size_t scale_bytes,
                       size_t n, size_t ahead, const char *acts, size_t stride, size_t nt, float *out,
                       size_t out_stride)
{
    const size_t per32 = 64u * (size_t)(s.low + s.high), cols = n * 256;
    const __m512i table = table_of(s);
    __m512 acc[TILE][PANELS];
    __m512i total[TILE][PANELS];
    const uint8_t *scales = codes + n * 8 * per32;
    k_scales k[PANELS];
    for (size_t t = 0; t < nt; t++)
        acc[t][0] = acc[t][1] = _mm512_setzero_ps();
    for (size_t b = 0; b < n; b++, scales += scale_bytes) {
        UNROLL
        for (int q = 0; q < np; q++) {
            if (ahead)
                prefetch(scales + (size_t)q * panel_bytes + ahead, scale_bytes);
            unpack_scales(s, scales + (size_t)q * panel_bytes, &k[q]);
        }
        for (size_t t = 0; t < nt; t++)
            total[t][0] = total[t][1] = _mm512_setzero_si512();
        for (int j = 0; j < 8; j++, codes += per32) {
            __m512i w[PANELS][8], c[2][PANELS];
            UNROLL
            for (int q = 0; q < np; q++) {
                if (ahead)
                    prefetch(codes + (size_t)q * panel_bytes + AHEAD, per32);
                unpack(s, codes + (size_t)q * panel_bytes, table, w[q]);
                c[0][q] = scale_pairs(k[q].c[s.sub16 ? 2 * j : j]);
                c[1][q] = scale_pairs(k[q].c[s.sub16 ? 2 * j + 1 : j]);
            }
            const int8_t *a = (const int8_t *)acts + 256 * b + 32 * j;
            size_t t = 0;
            for (; t + COLS <= nt; t += COLS)
                add_sub_block(s, w, np, c, a + t * stride, stride, COLS, total + t);
            for (; t < nt; t++)
                add_sub_block(s, w, np, c, a + t * stride, stride, 1, total + t);
        }
        const char *act = acts;
        for (size_t t = 0; t < nt; t++, act += stride)
            UNROLL
            for (int q = 0; q < np; q++)
                end_256(s, &k[q], total[t][q], (const int8_t *)act + cols + 32 * b,
                        _mm512_set1_ps(((const float *)(const void *)(act + cols + cols / 8))[b]), &acc[t][q]);
    }
    for (size_t t = 0; t < nt; t++)
        UNROLL
        for (int q = 0; q < np; q++)
            _mm512_storeu_ps(out + t * out_stride + (size_t)q * ROWS, acc[t][q]);
}

/* ---- drivers ---- */

INLINE bool is_k(const spec s) /* known when compiling: each type has the code of its own block only */
{
    return s.type == QUANT_Q2_K || s.type == QUANT_Q3_K || s.type == QUANT_Q4_K || s.type == QUANT_Q5_K ||
           s.type == QUANT_Q6_K || s.type == QUANT_IQ4_XS;
}

/* `np` panels times all tokens; np and whether it is one token are known when compiling. */
INLINE void mul_panels(const spec s, const uint8_t *codes, size_t panel_bytes, const int np, size_t n,
                       const char *acts, size_t stride, size_t n_tokens, float *out, size_t out_stride)
{
    const layout *l = layout_of(s.type);
    for (size_t t = 0, nt; t < n_tokens; t += nt) {
        const char *a = acts + t * stride;
        float *o = out + t * out_stride;
        size_t ahead = t ? 0 : panel_bytes * (size_t)np;
        nt = n_tokens - t < TILE ? n_tokens - t : TILE;
        if (is_k(s))
            panels_256(s, codes, panel_bytes, np, l->scale_bytes, n, ahead, a, stride, nt, o, out_stride);
        else
            panels_32(s, codes, panel_bytes, np, n, ahead, a, stride, nt, o, out_stride);
    }
}

INLINE void mul(const spec s, const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,
                size_t n_tokens, float *out, size_t out_stride)
{
    const layout *l = layout_of(s.type);
    const size_t n = cols / l->block, panel_bytes = n * ((size_t)l->code_bytes + l->scale_bytes);
    const uint8_t *codes = panels;
    size_t p = 0;
    if (n_tokens > 1)
        for (; p + PANELS <= n_panels; p += PANELS, codes += PANELS * panel_bytes, out += PANELS * ROWS)
            mul_panels(s, codes, panel_bytes, PANELS, n, acts, act_stride, n_tokens, out, out_stride);
    for (; p < n_panels; p++, codes += panel_bytes, out += ROWS) {
        if (n_tokens == 1)
            mul_panels(s, codes, panel_bytes, 1, n, acts, act_stride, 1, out, out_stride);
        else
            mul_panels(s, codes, panel_bytes, 1, n, acts, act_stride, n_tokens, out, out_stride);
    }
}

#define MUL(name, ...)                                                                                                 \
    static void name(const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,            \
                     size_t n_tokens, float *out, size_t out_stride)                                                   \
    {                                                                                                                  \
        const spec s = { __VA_ARGS__ };                                                                                \
        mul(s, panels, n_panels, cols, acts, act_stride, n_tokens, out, out_stride);                                   \
    }
/*               type  low high offset min sub16 table */
MUL(mul_q4_0, QUANT_Q4_0, 4, 0, 8, false, false, NULL)
MUL(mul_q4_1, QUANT_Q4_1, 4, 0, 0, true, false, NULL)
MUL(mul_q5_0, QUANT_Q5_0, 4, 1, 16, false, false, NULL)
MUL(mul_q5_1, QUANT_Q5_1, 4, 1, 0, true, false, NULL)
MUL(mul_q8_0, QUANT_Q8_0, 8, 0, 128, false, false, NULL)
MUL(mul_iq4_nl, QUANT_IQ4_NL, 4, 0, 128, false, false, quant_iq4_values)
MUL(mul_mxfp4, QUANT_MXFP4, 4, 0, 12, false, false, quant_e2m1_doubled)
MUL(mul_q2_k, QUANT_Q2_K, 2, 0, 0, true, true, NULL)
MUL(mul_q3_k, QUANT_Q3_K, 2, 1, 4, false, true, NULL)
MUL(mul_q4_k, QUANT_Q4_K, 4, 0, 0, true, false, NULL)
MUL(mul_q5_k, QUANT_Q5_K, 4, 1, 0, true, false, NULL)
MUL(mul_q6_k, QUANT_Q6_K, 4, 2, 32, false, true, NULL)
MUL(mul_iq4_xs, QUANT_IQ4_XS, 4, 0, 128, false, false, quant_iq4_values)

void kernels_avx512_mul(kernels *k)
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
