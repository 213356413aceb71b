/* mul_int.h: the integer matrix kernels of AArch64, for every level of it. Private to kernels/arm.
 *
 * A 64-byte vector of a panel is four registers of 4 rows x 4 values: what sdot takes. Weights stay, inputs pass by:
 * for 32 values of 8 rows the codes are unpacked into 16 registers, then every token of the tile is multiplied with
 * them. All codes fit i8 (unsigned ones are below 64); the offset of a code is taken back through the sums of
 * activations.
 *
 * The file that includes this has defined dot16 and dot32: sums over 16 and 32 values of 4 rows. */
#ifndef KERNELS_ARM_MUL_INT_H
#define KERNELS_ARM_MUL_INT_H

#include "kernels/arm/neon_int.h"
#include "kernels/levels_int.h"
#include "quant/blocks.h"

enum {
    TILE = 32, /* tokens that share one unpacking; even, because i8mm takes them in pairs */
    QUADS = 2, /* registers of 4 rows unpacked at once */
};

typedef struct spec {
    int type, low, high; /* planes, as in layout.c */
    int offset;          /* subtracted from the codes */
    bool min;            /* has a min term */
    bool sub16;          /* K types: sub-blocks of 16 */
    bool wide;           /* codes take all 8 bits */
    const int8_t *table; /* NULL, or the value of each 4-bit code */
} spec;

/*           name     type      low high offset min sub16  wide   table */
#define ARM_TYPES(X)                                                                                                   \
    X(q4_0, QUANT_Q4_0, 4, 0, 8, false, false, false, NULL)                                                            \
    X(q4_1, QUANT_Q4_1, 4, 0, 0, true, false, false, NULL)                                                             \
    X(q5_0, QUANT_Q5_0, 4, 1, 16, false, false, false, NULL)                                                           \
    X(q5_1, QUANT_Q5_1, 4, 1, 0, true, false, false, NULL)                                                             \
    X(q8_0, QUANT_Q8_0, 8, 0, 0, false, false, true, NULL)                                                             \
    X(iq4_nl, QUANT_IQ4_NL, 4, 0, 0, false, false, true, quant_iq4_values)                                             \
    X(mxfp4, QUANT_MXFP4, 4, 0, 0, false, false, false, quant_e2m1_doubled)                                            \
    X(q2_k, QUANT_Q2_K, 2, 0, 0, true, true, false, NULL)                                                              \
    X(q3_k, QUANT_Q3_K, 2, 1, 4, false, true, false, NULL)                                                             \
    X(q4_k, QUANT_Q4_K, 4, 0, 0, true, false, false, NULL)                                                             \
    X(q5_k, QUANT_Q5_K, 4, 1, 0, true, false, false, NULL)                                                             \
    X(q6_k, QUANT_Q6_K, 4, 2, 32, false, true, false, NULL)                                                            \
    X(iq4_xs, QUANT_IQ4_XS, 4, 0, 0, false, false, true, quant_iq4_values)

/* Sums of products over 16 and 32 values of 4 rows; a: the activations. */
INLINE int32x4_t dot16(const spec s, const int8x16_t w[4], const int8_t *a);
INLINE int32x4_t dot32(const spec s, const int8x16_t w[8], const int8_t *a);

INLINE uint8x16_t bits_of(uint8x16_t v, int from, int to, int mask)
{
    uint8x16_t s = from > to ? v >> (from - to) : v << (to - from);
    return s & vdupq_n_u8((uint8_t)(mask << to));
}

INLINE int8x16_t table_of(const spec s)
{
    return s.table ? vld1q_s8(s.table) : vdupq_n_s8(0);
}

/* The codes of 32 values of 4 rows: register g is group g. p: the 32 values of the panel, plus 16 bytes a quad. */
INLINE void unpack(const spec s, const uint8_t *p, int8x16_t table, int8x16_t w[8])
{
    const uint8_t *high = p + 64 * s.low;
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) {
        uint8x16_t u = vdupq_n_u8(0);
        if (s.low == 8)
            u = vld1q_u8(p + 64 * g);
        if (s.low == 4)
            u = bits_of(vld1q_u8(p + 64 * (g & 3)), g & 4, 0, 15);
        if (s.low == 2)
            u = bits_of(vld1q_u8(p + 64 * (g >> 2)), 2 * (g & 3), 0, 3);
        if (s.high == 1)
            u = u | bits_of(vld1q_u8(high), g, s.low, 1);
        if (s.high == 2)
            u = u | bits_of(vld1q_u8(high + 64 * (g >> 2)), 2 * (g & 3), s.low, 3);
        w[g] = s.table ? vqtbl1q_s8(table, u) : vreinterpretq_s8_u8(u);
    }
}

INLINE const float *scales_at(const char *act, size_t cols)
{
    return (const float *)(const void *)(act + cols + cols / 8);
}

/* ---- types of 32 values ---- */

INLINE float32x4_t scale4(const spec s, const uint8_t *scales, int quad)
{
    if (s.type != QUANT_MXFP4)
        return half4(scales + 8 * quad);
    uint32_t four;
    memcpy(&four, scales + 4 * quad, 4);
    uint32x4_t e = vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four)))); /* 2^(e - 128): subnormal below 2 */
    uint32x4_t normal = (e - 1) << 23, small = vshlq_u32(vdupq_n_u32(0x200000), vreinterpretq_s32_u32(e));
    return vreinterpretq_f32_u32(vbslq_u32(vcltq_u32(e, vdupq_n_u32(2)), small, normal));
}

/* One group of 32 of one token and 4 rows: from the exact sum to the accumulator. */
INLINE float32x4_t finish_32(const spec s, float32x4_t d, float32x4_t m, int32x4_t sum, const char *act, size_t cols,
                             size_t b, float32x4_t acc)
{
    int32_t total = act_sums32(act, cols)[b];
    float da = scales_at(act, cols)[b];
    if (s.offset)
        sum = vsubq_s32(sum, vdupq_n_s32(s.offset * total));
    acc = vfmaq_f32(acc, vmulq_n_f32(d, da), vcvtq_f32_s32(sum));
    if (s.min)
        acc = vfmaq_f32(acc, vmulq_n_f32(m, da), set4((float)total));
    return acc;
}

INLINE size_t scale_bytes_32(const spec s)
{
    return s.type == QUANT_MXFP4 ? 16 : s.min ? 64 : 32;
}

/* One panel times nt tokens. acts is the first token's row. */
INLINE void panel_32(const spec s, const uint8_t *codes, const uint8_t *scales, size_t n, const char *acts,
                     size_t stride, size_t nt, float *out, size_t out_stride)
{
    const size_t code_bytes = 64u * (size_t)(s.low + s.high), cols = n * 32;
    const int8x16_t table = table_of(s);
    float32x4_t acc[TILE][4];
    for (size_t t = 0; t < nt; t++)
        acc[t][0] = acc[t][1] = acc[t][2] = acc[t][3] = set4(0.0f);
    for (size_t b = 0; b < n; b++, codes += code_bytes, scales += scale_bytes_32(s))
        for (int h = 0; h < 4; h += QUADS) {
            int8x16_t w[QUADS][8];
            float32x4_t d[QUADS], m[QUADS];
#pragma GCC unroll 2
            for (int q = 0; q < QUADS; q++) {
                unpack(s, codes + 16 * (h + q), table, w[q]);
                d[q] = scale4(s, scales, h + q);
                m[q] = s.min ? half4(scales + 32 + 8 * (h + q)) : d[q];
            }
            const char *act = acts;
            for (size_t t = 0; t < nt; t++, act += stride)
#pragma GCC unroll 2
                for (int q = 0; q < QUADS; q++)
                    acc[t][h + q] = finish_32(s, d[q], m[q], dot32(s, w[q], (const int8_t *)act + 32 * b), act, cols, b,
                                              acc[t][h + q]);
        }
    for (size_t t = 0; t < nt; t++)
        for (size_t q = 0; q < 4; q++)
            vst1q_f32(out + t * out_stride + 4 * q, acc[t][q]);
}

/* ---- K types ---- */

typedef struct k_scales {
    int16x4_t c[16][4]; /* the scale of sub-block j, by quad */
    int16x4_t f[16][4]; /* factors of the sums of activations of sub-block j: mins, or scales if codes have an offset */
    float32x4_t d[4], m[4];
} k_scales;

INLINE void put(int16x4_t to[4], int8x16_t v)
{
    int16x8_t low = vmovl_s8(vget_low_s8(v)), high = vmovl_high_s8(v);
    to[0] = vget_low_s16(low), to[1] = vget_high_s16(low);
    to[2] = vget_low_s16(high), to[3] = vget_high_s16(high);
}

INLINE void put_u(int16x4_t to[4], uint8x16_t v) /* below 128 */
{
    put(to, vreinterpretq_s8_u8(v));
}

INLINE void scales_q4_q5(const uint8_t *p, k_scales *k) /* p: [12][16] */
{
    for (int j = 0; j < 4; j++) {
        uint8x16_t a = vld1q_u8(p + 16 * j), b = vld1q_u8(p + 16 * (j + 4)), c = vld1q_u8(p + 16 * (j + 8));
        put_u(k->c[j], bits_of(a, 0, 0, 63));
        put_u(k->f[j], bits_of(b, 0, 0, 63));
        put_u(k->c[j + 4], bits_of(c, 0, 0, 15) | bits_of(a, 6, 4, 3));
        put_u(k->f[j + 4], bits_of(c, 4, 0, 15) | bits_of(b, 6, 4, 3));
    }
}

INLINE void scales_q2(const uint8_t *p, k_scales *k) /* p: [16][16] */
{
    for (int j = 0; j < 16; j++) {
        uint8x16_t v = vld1q_u8(p + 16 * j);
        put_u(k->c[j], bits_of(v, 0, 0, 15));
        put_u(k->f[j], bits_of(v, 4, 0, 15));
    }
}

INLINE void scales_signed(const int8_t *p, int n, k_scales *k) /* n x 16 */
{
    for (int j = 0; j < n; j++) {
        put(k->c[j], vld1q_s8(p + 16 * j));
        put(k->f[j], vld1q_s8(p + 16 * j));
    }
}

INLINE void unpack_scales(const spec s, const uint8_t *p, k_scales *k)
{
    int8_t c[16][ROWS];
    for (int q = 0; q < 4; q++) {
        k->d[q] = half4(p + 8 * q);
        k->m[q] = s.min ? vnegq_f32(half4(p + 32 + 8 * q)) : set4(0.0f);
    }
    p += s.min ? 64 : 32;
    if (s.type == QUANT_Q4_K || s.type == QUANT_Q5_K)
        scales_q4_q5(p, k);
    if (s.type == QUANT_Q2_K)
        scales_q2(p, k);
    if (s.type == QUANT_Q6_K)
        scales_signed((const int8_t *)p, 16, k);
    if (s.type == QUANT_Q3_K) {
        scales_k3(p, c);
        scales_signed(c[0], 16, k);
    }
    if (s.type == QUANT_IQ4_XS) {
        scales_iq4_xs(p, c);
        scales_signed(c[0], 8, k);
    }
}

/* acc + sum over j < 4 of f[j] times lane j of sums. */
INLINE int32x4_t factors4(int32x4_t acc, const int16x4_t f[4][4], int q, int16x4_t sums)
{
    acc = vmlal_lane_s16(acc, f[0][q], sums, 0);
    acc = vmlal_lane_s16(acc, f[1][q], sums, 1);
    acc = vmlal_lane_s16(acc, f[2][q], sums, 2);
    return vmlal_lane_s16(acc, f[3][q], sums, 3);
}

/* One block of 256 of one token and 16 rows: from the exact sums to the accumulators. */
INLINE void finish_256(const spec s, const k_scales *k, const int32x4_t sum[4], const char *act, size_t cols, size_t b,
                       float32x4_t acc[4])
{
    const float da = scales_at(act, cols)[b];
    const int16_t *sums = (const int16_t *)(const void *)(act + cols) + 16 * b;
    const int16x8_t s0 = vld1q_s16(sums), s1 = vld1q_s16(sums + 8), s01 = vpaddq_s16(s0, s1);
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) {
        int32x4_t total = sum[q], f = vdupq_n_s32(0);
        if (s.min || s.offset) {
            f = factors4(f, k->f, q, vget_low_s16(s.sub16 ? s0 : s01));
            f = factors4(f, k->f + 4, q, vget_high_s16(s.sub16 ? s0 : s01));
        }
        if ((s.min || s.offset) && s.sub16) {
            f = factors4(f, k->f + 8, q, vget_low_s16(s1));
            f = factors4(f, k->f + 12, q, vget_high_s16(s1));
        }
        if (s.offset)
            total = vmlsq_s32(total, f, vdupq_n_s32(s.offset));
        acc[q] = vfmaq_f32(acc[q], vmulq_n_f32(k->d[q], da), vcvtq_f32_s32(total));
        if (s.min)
            acc[q] = vfmaq_f32(acc[q], vmulq_n_f32(k->m[q], da), vcvtq_f32_s32(f));
    }
}

INLINE void panel_256(const spec s, const uint8_t *codes, const uint8_t *scales, size_t scale_bytes, size_t n,
                      const char *acts, size_t stride, size_t nt, float *out, size_t out_stride)
{
    const size_t per32 = 64u * (size_t)(s.low + s.high), cols = n * 256;
    const int8x16_t table = table_of(s);
    float32x4_t acc[TILE][4];
    int32x4_t sum[TILE][4];
    k_scales k;
    for (size_t t = 0; t < nt; t++)
        acc[t][0] = acc[t][1] = acc[t][2] = acc[t][3] = set4(0.0f);
    for (size_t b = 0; b < n; b++, scales += scale_bytes) {
        unpack_scales(s, scales, &k);
        for (size_t t = 0; t < nt; t++)
            sum[t][0] = sum[t][1] = sum[t][2] = sum[t][3] = vdupq_n_s32(0);
        for (int j = 0; j < 8; j++, codes += per32)
            for (int h = 0; h < 4; h += QUADS) {
                int8x16_t w[QUADS][8];
                int32x4_t ca[QUADS], cb[QUADS];
#pragma GCC unroll 2
                for (int q = 0; q < QUADS; q++) {
                    unpack(s, codes + 16 * (h + q), table, w[q]);
                    ca[q] = vmovl_s16(k.c[s.sub16 ? 2 * j : j][h + q]);
                    cb[q] = vmovl_s16(k.c[s.sub16 ? 2 * j + 1 : j][h + q]);
                }
                const int8_t *a = (const int8_t *)acts + 256 * b + 32 * j;
                for (size_t t = 0; t < nt; t++, a += stride)
#pragma GCC unroll 2
                    for (int q = 0; q < QUADS; q++) {
                        int32x4_t x = s.sub16 ? dot16(s, w[q], a) : dot32(s, w[q], a);
                        x = vmlaq_s32(sum[t][h + q], x, ca[q]);
                        sum[t][h + q] = s.sub16 ? vmlaq_s32(x, dot16(s, w[q] + 4, a + 16), cb[q]) : x;
                    }
            }
        const char *act = acts;
        for (size_t t = 0; t < nt; t++, act += stride)
            finish_256(s, &k, sum[t], act, cols, b, acc[t]);
    }
    for (size_t t = 0; t < nt; t++)
        for (size_t q = 0; q < 4; q++)
            vst1q_f32(out + t * out_stride + 4 * q, acc[t][q]);
}

/* ---- drivers ---- */

INLINE bool is_k(const spec s) /* known when compiling: each type has the code of its own block only */
{
    return s.type == QUANT_Q2_K || s.type == QUANT_Q3_K || s.type == QUANT_Q4_K || s.type == QUANT_Q5_K ||
           s.type == QUANT_Q6_K || s.type == QUANT_IQ4_XS;
}

/* One panel times nt <= TILE tokens. */
INLINE void panel_tile(const spec s, const layout *l, const uint8_t *panel, size_t n, const char *acts, size_t stride,
                       size_t nt, float *out, size_t out_stride)
{
    const uint8_t *scales = panel + n * l->code_bytes;
    if (is_k(s))
        panel_256(s, panel, scales, l->scale_bytes, n, acts, stride, nt, out, out_stride);
    else
        panel_32(s, panel, scales, n, acts, stride, nt, out, out_stride);
}

typedef void tile_function(const spec s, const layout *l, const uint8_t *panel, size_t n, const char *acts,
                           size_t stride, size_t nt, float *out, size_t out_stride);

/* Every panel times every token; `many` does tiles of more than one. */
INLINE void mul(const spec s, tile_function *many, const void *panels, size_t n_panels, size_t cols, const void *acts,
                size_t stride, size_t n_tokens, float *out, size_t out_stride)
{
    const layout *l = layout_of(s.type);
    const size_t n = cols / l->block, panel_bytes = n * ((size_t)l->code_bytes + l->scale_bytes);
    for (size_t p = 0; p < n_panels; p++) {
        const uint8_t *panel = (const uint8_t *)panels + p * panel_bytes;
        for (size_t t = 0; t < n_tokens; t += TILE) {
            const char *a = (const char *)acts + t * stride;
            float *o = out + t * out_stride + p * ROWS;
            size_t nt = n_tokens - t < TILE ? n_tokens - t : TILE;
            if (nt == 1)
                panel_tile(s, l, panel, n, a, stride, 1, o, out_stride);
            else
                many(s, l, panel, n, a, stride, nt, o, out_stride);
        }
    }
}

/* The functions of a level, and their place in the table. */
#define ARM_MUL(name, many, ...)                                                                                       \
    static void mul_##name(const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,      \
                           size_t n_tokens, float *out, size_t out_stride)                                             \
    {                                                                                                                  \
        const spec s = { __VA_ARGS__ };                                                                                \
        mul(s, many, panels, n_panels, cols, acts, act_stride, n_tokens, out, out_stride);                             \
    }
#define ARM_FILL(name, type, ...) k->mul[type] = mul_##name;

#endif
