/* Matrix times vector in portable C: docs/NUMERICS.md, "Matrix times vector". One loop serves all integer types: a
 * block of a panel is unpacked to signed codes and plain scales, then multiplied with every token. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/levels_int.h"
#include "quant/blocks.h"
#include "quant/half.h"

/* The bounds of NUMERICS.md; S and M are i32. */
_Static_assert(16ll * 128 * 16 * 63 * 127 < INT32_MAX, "Q6_K, unsigned codes");
_Static_assert(8ll * 32 * 32 * 241 * 127 < INT32_MAX, "IQ4_XS, unsigned codes");
_Static_assert(8ll * 63 * 32 * 31 * 127 < INT32_MAX, "Q5_K");
_Static_assert(32 * 255 * 127 < 1 << 24, "sums of 32 are exact in f32");

typedef int8_t codes32[8][ROWS][4]; /* signed codes of 32 values: [group][row][value] */

/* What is subtracted from the codes of a type, and the table that gives their values. */
static int offset_of(int type)
{
    switch (type) {
    case QUANT_Q4_0: return 8;
    case QUANT_Q5_0: return 16;
    case QUANT_Q6_K: return 32;
    case QUANT_Q3_K: return 4;
    default: return 0;
    }
}

static const int8_t *table_of(int type)
{
    if (type == QUANT_IQ4_NL || type == QUANT_IQ4_XS)
        return quant_iq4_values;
    return type == QUANT_MXFP4 ? quant_e2m1_doubled : NULL;
}

/* ORs bits [from, from + bits) of 64 bytes, shifted to `to`, into a group of codes. */
static void take_bits(const uint8_t *restrict p, int from, int bits, int to, uint8_t *restrict out)
{
    const int mask = (1 << bits) - 1;
    for (int i = 0; i < 64; i++)
        out[i] |= (uint8_t)((p[i] >> from & mask) << to);
}

static void take_plane(const uint8_t *p, int bits, int to, uint8_t out[8][64])
{
    for (int g = 0; g < 8; g++) {
        if (bits == 8)
            memcpy(out[g], p + 64 * g, 64);
        else if (bits == 4)
            take_bits(p + 64 * (g & 3), g & 4, 4, to, out[g]);
        else if (bits == 2)
            take_bits(p + 64 * (g >> 2), 2 * (g & 3), 2, to, out[g]);
        else
            take_bits(p, g, 1, to, out[g]);
    }
}

static void unpack32(const layout *l, int offset, const int8_t *table, const uint8_t *p, codes32 out)
{
    uint8_t u[8][64] = { { 0 } };
    take_plane(p, l->low.bits, 0, u);
    if (l->high.bits)
        take_plane(p + 64 * l->low.bits, l->high.bits, l->low.bits, u);
    int8_t *to = &out[0][0][0];
    const uint8_t *from = &u[0][0];
    for (int i = 0; i < 512; i++)
        to[i] = table ? table[from[i]] : (int8_t)(from[i] - offset);
}

static void load_f16(const uint8_t *p, float out[ROWS])
{
    for (int r = 0; r < ROWS; r++)
        out[r] = half_load(p + 2 * r);
}

static void unpack_scales(int type, const uint8_t *p, block_scales *s)
{
    uint8_t c[8][ROWS], m[8][ROWS];
    int8_t signed_c[16][ROWS];
    memset(s->m, 0, sizeof s->m);
    if (type == QUANT_MXFP4)
        for (int r = 0; r < ROWS; r++)
            s->d[r] = half_from_e8m0(p[r]);
    else
        load_f16(p, s->d);
    for (int j = 0; j < 16; j++)
        for (int r = 0; r < ROWS; r++)
            s->c[j][r] = s->s[j][r] = 1;
    switch (type) {
    case QUANT_Q4_1:
    case QUANT_Q5_1: load_f16(p + 32, s->m); break;
    case QUANT_Q2_K:
        load_f16(p + 32, s->m);
        for (int j = 0; j < 16; j++)
            for (int r = 0; r < ROWS; r++) {
                s->c[j][r] = p[64 + j * ROWS + r] & 15;
                s->s[j][r] = p[64 + j * ROWS + r] >> 4;
            }
        break;
    case QUANT_Q3_K:
        scales_k3(p + 32, signed_c);
        for (int j = 0; j < 16; j++)
            for (int r = 0; r < ROWS; r++)
                s->c[j][r] = signed_c[j][r];
        break;
    case QUANT_Q4_K:
    case QUANT_Q5_K:
        load_f16(p + 32, s->m);
        scales_k4(p + 64, c, m);
        for (int j = 0; j < 16; j++) /* halves of a sub-block of 32 share its scale */
            for (int r = 0; r < ROWS; r++) {
                s->c[j][r] = c[j / 2][r];
                s->s[j][r] = m[j / 2][r];
            }
        break;
    case QUANT_Q6_K:
        for (int j = 0; j < 16; j++)
            for (int r = 0; r < ROWS; r++)
                s->c[j][r] = (int8_t)p[32 + j * ROWS + r];
        break;
    case QUANT_IQ4_XS:
        scales_iq4_xs(p + 32, signed_c);
        for (int j = 0; j < 16; j++)
            for (int r = 0; r < ROWS; r++)
                s->c[j][r] = signed_c[j / 2][r];
        break;
    default: break;
    }
    if (type == QUANT_Q2_K || type == QUANT_Q4_K || type == QUANT_Q5_K)
        for (int r = 0; r < ROWS; r++)
            s->m[r] = -s->m[r];
}

/* sums[r] += Σ codes · a over the four groups from g on. */
static void dot16(codes32 w, int g, const int8_t *a, int32_t sums[ROWS])
{
    for (int i = g; i < g + 4; i++)
        for (int r = 0; r < ROWS; r++)
            sums[r] += w[i][r][0] * a[4 * i] + w[i][r][1] * a[4 * i + 1] + w[i][r][2] * a[4 * i + 2] +
                       w[i][r][3] * a[4 * i + 3];
}

/* One block of one panel times one token. */
static void block_token(const layout *l, codes32 *w, const block_scales *s, bool has_min, const void *act, size_t cols,
                        size_t b, float acc[ROWS])
{
    const int8_t *a = (const int8_t *)act + b * l->block;
    int32_t big_s[ROWS] = { 0 }, big_m[ROWS] = { 0 };
    for (int j = 0; j < l->block / 16; j++) {
        int32_t sums[ROWS] = { 0 };
        dot16(w[j / 2], 4 * (j & 1), a + 32 * (j / 2), sums);
        int32_t total = 0;
        for (int i = 0; i < 16; i++)
            total += a[16 * j + i];
        for (int r = 0; r < ROWS; r++) {
            big_s[r] += s->c[j][r] * sums[r];
            big_m[r] += s->s[j][r] * total;
        }
    }
    float da = l->act == ACT_Q8_32 ? act_scales32(act, cols)[b] : act_scales256(act, cols)[b];
    for (int r = 0; r < ROWS; r++) {
        acc[r] = fmaf(s->d[r] * da, (float)big_s[r], acc[r]);
        if (has_min)
            acc[r] = fmaf(s->m[r] * da, (float)big_m[r], acc[r]);
    }
}

static void mul_int(int type, const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,
                    size_t n_tokens, float *out, size_t out_stride)
{
    const layout *l = layout_of(type);
    size_t n = cols / l->block, panel_bytes = kernels_panel_bytes(type, cols);
    bool has_min = type == QUANT_Q4_1 || type == QUANT_Q5_1 || type == QUANT_Q2_K || type == QUANT_Q4_K ||
                   type == QUANT_Q5_K;
    const int offset = offset_of(type);
    const int8_t *table = table_of(type);
    for (size_t p = 0; p < n_panels; p++) {
        const uint8_t *codes = (const uint8_t *)panels + p * panel_bytes, *scales = codes + n * l->code_bytes;
        for (size_t t = 0; t < n_tokens; t++)
            memset(out + t * out_stride + p * ROWS, 0, ROWS * sizeof *out);
        for (size_t b = 0; b < n; b++) {
            codes32 w[8];
            block_scales s;
            unpack_scales(type, scales + b * l->scale_bytes, &s);
            size_t per32 = l->code_bytes / (l->block / 32u);
            for (size_t i = 0; i < l->block / 32u; i++)
                unpack32(l, offset, table, codes + b * l->code_bytes + i * per32, w[i]);
            for (size_t t = 0; t < n_tokens; t++)
                block_token(l, w, &s, has_min, (const char *)acts + t * act_stride, cols, b,
                            out + t * out_stride + p * ROWS);
        }
    }
}

static float float_weight(int type, const uint8_t *p)
{
    if (type == QUANT_F16)
        return half_load(p);
    if (type == QUANT_BF16)
        return half_from_bf16(half_load_u16(p));
    float x;
    memcpy(&x, p, 4);
    return x;
}

static void mul_float(int type, const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,
                      size_t n_tokens, float *out, size_t out_stride)
{
    size_t width = layout_of(type)->file_bytes;
    for (size_t p = 0; p < n_panels; p++) {
        const uint8_t *w = (const uint8_t *)panels + p * cols * ROWS * width;
        for (size_t t = 0; t < n_tokens; t++)
            memset(out + t * out_stride + p * ROWS, 0, ROWS * sizeof *out);
        for (size_t k = 0; k < cols; k++) {
            float row[ROWS];
            for (size_t r = 0; r < ROWS; r++)
                row[r] = float_weight(type, w + (k * ROWS + r) * width);
            for (size_t t = 0; t < n_tokens; t++) {
                float x, *acc = out + t * out_stride + p * ROWS;
                memcpy(&x, (const char *)acts + t * act_stride + 4 * k, 4);
                for (size_t r = 0; r < ROWS; r++)
                    acc[r] = fmaf(row[r], x, acc[r]);
            }
        }
    }
}

/* A function for each type, so that the table holds plain pointers. */
#define MUL(name, loop, type)                                                                                          \
    static void name(const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,            \
                     size_t n_tokens, float *out, size_t out_stride)                                                   \
    {                                                                                                                  \
        loop(type, panels, n_panels, cols, acts, act_stride, n_tokens, out, out_stride);                               \
    }
MUL(mul_f32, mul_float, QUANT_F32)
MUL(mul_f16, mul_float, QUANT_F16)
MUL(mul_bf16, mul_float, QUANT_BF16)
MUL(mul_q4_0, mul_int, QUANT_Q4_0)
MUL(mul_q4_1, mul_int, QUANT_Q4_1)
MUL(mul_q5_0, mul_int, QUANT_Q5_0)
MUL(mul_q5_1, mul_int, QUANT_Q5_1)
MUL(mul_q8_0, mul_int, QUANT_Q8_0)
MUL(mul_q2_k, mul_int, QUANT_Q2_K)
MUL(mul_q3_k, mul_int, QUANT_Q3_K)
MUL(mul_q4_k, mul_int, QUANT_Q4_K)
MUL(mul_q5_k, mul_int, QUANT_Q5_K)
MUL(mul_q6_k, mul_int, QUANT_Q6_K)
MUL(mul_iq4_nl, mul_int, QUANT_IQ4_NL)
MUL(mul_iq4_xs, mul_int, QUANT_IQ4_XS)
MUL(mul_mxfp4, mul_int, QUANT_MXFP4)

void kernels_portable_mul(kernels *k)
{
    k->mul[QUANT_F32] = mul_f32;
    k->mul[QUANT_F16] = mul_f16;
    k->mul[QUANT_BF16] = mul_bf16;
    k->mul[QUANT_Q4_0] = mul_q4_0;
    k->mul[QUANT_Q4_1] = mul_q4_1;
    k->mul[QUANT_Q5_0] = mul_q5_0;
    k->mul[QUANT_Q5_1] = mul_q5_1;
    k->mul[QUANT_Q8_0] = mul_q8_0;
    k->mul[QUANT_Q2_K] = mul_q2_k;
    k->mul[QUANT_Q3_K] = mul_q3_k;
    k->mul[QUANT_Q4_K] = mul_q4_k;
    k->mul[QUANT_Q5_K] = mul_q5_k;
    k->mul[QUANT_Q6_K] = mul_q6_k;
    k->mul[QUANT_IQ4_NL] = mul_iq4_nl;
    k->mul[QUANT_IQ4_XS] = mul_iq4_xs;
    k->mul[QUANT_MXFP4] = mul_mxfp4;
}
