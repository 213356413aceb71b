/* Integer matrix kernels for AArch64 with i8mm. smmla multiplies 2 rows x 8 values with 8 values x 2 tokens, twice the
 * products of sdot in one instruction; so tokens go in pairs, and one token alone (decode) takes the way of dotprod.
 *
 * The panels need no other layout: zipping the 32-bit lanes of groups g and g + 1 gives rows 0, 1 and rows 2, 3 with
 * eight values each, once for all tokens of the tile. A product register holds row 0 token 0, row 0 token 1, row 1
 * token 0, row 1 token 1; sums stay like that through a block, multiplied with scales doubled in the same way, and are
 * taken apart at its end. The last token of an odd number is paired with itself. */
#include "kernels/arm/dotprod_int.h"

/* 4 rows x 32 values: [rows 0 and 1, rows 2 and 3][8 values each]. */
typedef struct rows4 {
    int8x16_t w[2][4];
} rows4;

INLINE rows4 zip_rows(const int8x16_t w[8])
{
    rows4 r;
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        int32x4_t a = vreinterpretq_s32_s8(w[2 * i]), b = vreinterpretq_s32_s8(w[2 * i + 1]);
        r.w[0][i] = vreinterpretq_s8_s32(vzip1q_s32(a, b));
        r.w[1][i] = vreinterpretq_s8_s32(vzip2q_s32(a, b));
    }
    return r;
}

/* 16 values (i: 0 or 2, in eights) of two rows and two tokens. */
INLINE int32x4_t dot16_pair(const int8x16_t w[4], int i, const int8x16_t x[4])
{
    return vmmlaq_s32(vmmlaq_s32(vdupq_n_s32(0), w[i], x[i]), w[i + 1], x[i + 1]);
}

INLINE int32x4_t dot32_pair(const int8x16_t w[4], const int8x16_t x[4])
{
    return vmmlaq_s32(vmmlaq_s32(dot16_pair(w, 0, x), w[2], x[2]), w[3], x[3]);
}

/* 32 values of two tokens: 8 of the one and the same 8 of the other in each register. */
INLINE void tokens2x32(const int8_t *a, const int8_t *b, int8x16_t x[4])
{
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        int64x2_t one = vreinterpretq_s64_s8(vld1q_s8(a + 16 * i)), two = vreinterpretq_s64_s8(vld1q_s8(b + 16 * i));
        x[2 * i] = vreinterpretq_s8_s64(vzip1q_s64(one, two));
        x[2 * i + 1] = vreinterpretq_s8_s64(vzip2q_s64(one, two));
    }
}

INLINE void pairs_32(const spec s, const uint8_t *codes, const uint8_t *scales, size_t n, const char *acts,
                     size_t stride, size_t nt, float *out, size_t out_stride)
{
    const size_t code_bytes = 64u * (size_t)(s.low + s.high), cols = n * 32;
    const int8x16_t table = table_of(s);
    float32x4_t acc[TILE][4];
    for (size_t t = 0; t < TILE; t++)
        acc[t][0] = acc[t][1] = acc[t][2] = acc[t][3] = set4(0.0f);
    for (size_t b = 0; b < n; b++, codes += code_bytes, scales += scale_bytes_32(s))
        for (int h = 0; h < 4; h += QUADS) {
            rows4 r[QUADS];
            float32x4_t d[QUADS], m[QUADS];
#pragma GCC unroll 2
            for (int q = 0; q < QUADS; q++) {
                int8x16_t w[8];
                unpack(s, codes + 16 * (h + q), table, w);
                r[q] = zip_rows(w);
                d[q] = scale4(s, scales, h + q);
                m[q] = s.min ? half4(scales + 32 + 8 * (h + q)) : d[q];
            }
            for (size_t t = 0; t < nt; t += 2) {
                const char *one = acts + t * stride, *two = t + 1 < nt ? one + stride : one;
                int8x16_t x[4];
                tokens2x32((const int8_t *)one + 32 * b, (const int8_t *)two + 32 * b, x);
#pragma GCC unroll 2
                for (int q = 0; q < QUADS; q++) {
                    int32x4_t low = dot32_pair(r[q].w[0], x), high = dot32_pair(r[q].w[1], x);
                    float32x4_t *to = &acc[t][h + q], *next = &acc[t + 1][h + q];
                    *to = finish_32(s, d[q], m[q], vuzp1q_s32(low, high), one, cols, b, *to);
                    *next = finish_32(s, d[q], m[q], vuzp2q_s32(low, high), two, cols, b, *next);
                }
            }
        }
    for (size_t t = 0; t < nt; t++)
        for (size_t q = 0; q < 4; q++)
            vst1q_f32(out + t * out_stride + 4 * q, acc[t][q]);
}

/* The scales of 4 rows, each twice, for rows 0, 1 and rows 2, 3. */
INLINE void double_scale(int16x4_t c, int32x4_t out[2])
{
    int32x4_t v = vmovl_s16(c);
    out[0] = vzip1q_s32(v, v);
    out[1] = vzip2q_s32(v, v);
}

/* 32 values of 8 rows from quad h on: adds to the sums of all tokens. Those of tokens t (even) and t + 1 hold rows 0, 1
 * and rows 2, 3 of both. */
INLINE void pairs_of_32_values(const spec s, const uint8_t *codes, int8x16_t table, const k_scales *k, int j, int h,
                               const int8_t *a, size_t stride, size_t nt, int32x4_t sum[TILE][4])
{
    rows4 r[QUADS];
    int32x4_t ca[QUADS][2], cb[QUADS][2];
#pragma GCC unroll 2
    for (int q = 0; q < QUADS; q++) {
        int8x16_t w[8];
        unpack(s, codes + 16 * (h + q), table, w);
        r[q] = zip_rows(w);
        double_scale(k->c[s.sub16 ? 2 * j : j][h + q], ca[q]);
        double_scale(k->c[s.sub16 ? 2 * j + 1 : j][h + q], cb[q]);
    }
    for (size_t t = 0; t < nt; t += 2, a += 2 * stride) {
        int8x16_t x[4];
        tokens2x32(a, t + 1 < nt ? a + stride : a, x);
#pragma GCC unroll 2
        for (int q = 0; q < QUADS; q++)
#pragma GCC unroll 2
            for (size_t i = 0; i < 2; i++) {
                int32x4_t *to = &sum[t + i][h + q];
                int32x4_t y = s.sub16 ? dot16_pair(r[q].w[i], 0, x) : dot32_pair(r[q].w[i], x);
                y = vmlaq_s32(*to, y, ca[q][i]);
                *to = s.sub16 ? vmlaq_s32(y, dot16_pair(r[q].w[i], 2, x), cb[q][i]) : y;
            }
    }
}

INLINE void pairs_256(const spec s, const uint8_t *codes, const uint8_t *scales, size_t scale_bytes, size_t n,
                      const char *acts, size_t stride, size_t nt, float *out, size_t out_stride)
{
    const size_t per32 = 64u * (size_t)(s.low + s.high), cols = n * 256;
    const int8x16_t table = table_of(s);
    float32x4_t acc[TILE][4];
    int32x4_t sum[TILE][4];
    k_scales k;
    for (size_t t = 0; t < TILE; t++)
        acc[t][0] = acc[t][1] = acc[t][2] = acc[t][3] = set4(0.0f);
    for (size_t b = 0; b < n; b++, scales += scale_bytes) {
        unpack_scales(s, scales, &k);
        for (size_t t = 0; t < TILE; t++)
            sum[t][0] = sum[t][1] = sum[t][2] = sum[t][3] = vdupq_n_s32(0);
        for (int j = 0; j < 8; j++, codes += per32)
            for (int h = 0; h < 4; h += QUADS)
                pairs_of_32_values(s, codes, table, &k, j, h, (const int8_t *)acts + 256 * b + 32 * j, stride, nt,
                                   sum);
        for (size_t t = 0; t < nt; t++) {
            int32x4_t total[4];
            const size_t even = t & ~(size_t)1;
            for (size_t q = 0; q < 4; q++)
                total[q] = t & 1 ? vuzp2q_s32(sum[even][q], sum[even + 1][q])
                                 : vuzp1q_s32(sum[even][q], sum[even + 1][q]);
            finish_256(s, &k, total, acts + t * stride, cols, b, acc[t]);
        }
    }
    for (size_t t = 0; t < nt; t++)
        for (size_t q = 0; q < 4; q++)
            vst1q_f32(out + t * out_stride + 4 * q, acc[t][q]);
}

INLINE void pairs_tile(const spec s, const layout *l, const uint8_t *panel, size_t n, const char *acts, size_t stride,
                       size_t nt, float *out, size_t out_stride)
{
    const uint8_t *scales = panel + n * l->code_bytes;
    if (is_k(s))
        pairs_256(s, panel, scales, l->scale_bytes, n, acts, stride, nt, out, out_stride);
    else
        pairs_32(s, panel, scales, n, acts, stride, nt, out, out_stride);
}

#define DEFINE(name, ...) ARM_MUL(name, pairs_tile, __VA_ARGS__)
ARM_TYPES(DEFINE)

void kernels_i8mm_mul(kernels *k)
{
    ARM_TYPES(ARM_FILL)
}
