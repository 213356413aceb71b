/* Portable decode of every computed type: the reference. Layouts and formulas: blocks.h. The order of the few float
 * operations (scale times sub-scale first, then times the code, the min last) is part of the definition. */
#include <string.h>

#include "quant/blocks.h"
#include "quant/codec_int.h"
#include "quant/half.h"

const int8_t quant_iq4_values[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
const int8_t quant_e2m1_doubled[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

void quant_decode_f32(const void *row, float *out, size_t n)
{
    const uint8_t *p = row;
    for (size_t i = 0; i < n; i++, p += 4)
        out[i] = half_float_of((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

void quant_decode_f16(const void *row, float *out, size_t n)
{
    const uint8_t *p = row;
    for (size_t i = 0; i < n; i++)
        out[i] = half_load(p + 2 * i);
}

void quant_decode_bf16(const void *row, float *out, size_t n)
{
    const uint8_t *p = row;
    for (size_t i = 0; i < n; i++)
        out[i] = half_from_bf16(half_load_u16(p + 2 * i));
}

void quant_decode_q4_0(const void *row, float *out, size_t n)
{
    const block_q4_0 *b = row;
    for (size_t i = 0; i < n / 32; i++, b++, out += 32) {
        float d = half_load(b->d);
        for (int j = 0; j < 16; j++) {
            out[j] = d * (float)((b->qs[j] & 15) - 8);
            out[j + 16] = d * (float)((b->qs[j] >> 4) - 8);
        }
    }
}

void quant_decode_q4_1(const void *row, float *out, size_t n)
{
    const block_q4_1 *b = row;
    for (size_t i = 0; i < n / 32; i++, b++, out += 32) {
        float d = half_load(b->d), m = half_load(b->m);
        for (int j = 0; j < 16; j++) {
            out[j] = d * (float)(b->qs[j] & 15) + m;
            out[j + 16] = d * (float)(b->qs[j] >> 4) + m;
        }
    }
}

/* The 5-bit code of value j < 32. */
static int code5(const uint8_t qs[16], const uint8_t qh[4], int j)
{
    int low = j < 16 ? qs[j] & 15 : qs[j - 16] >> 4;
    return low | (qh[j / 8] >> (j % 8) & 1) << 4;
}

void quant_decode_q5_0(const void *row, float *out, size_t n)
{
    const block_q5_0 *b = row;
    for (size_t i = 0; i < n / 32; i++, b++, out += 32) {
        float d = half_load(b->d);
        for (int j = 0; j < 32; j++)
            out[j] = d * (float)(code5(b->qs, b->qh, j) - 16);
    }
}

void quant_decode_q5_1(const void *row, float *out, size_t n)
{
    const block_q5_1 *b = row;
    for (size_t i = 0; i < n / 32; i++, b++, out += 32) {
        float d = half_load(b->d), m = half_load(b->m);
        for (int j = 0; j < 32; j++)
            out[j] = d * (float)code5(b->qs, b->qh, j) + m;
    }
}

void quant_decode_q8_0(const void *row, float *out, size_t n)
{
    const block_q8_0 *b = row;
    for (size_t i = 0; i < n / 32; i++, b++, out += 32) {
        float d = half_load(b->d);
        for (int j = 0; j < 32; j++)
            out[j] = d * (float)b->qs[j];
    }
}

void quant_decode_q2_k(const void *row, float *out, size_t n)
{
    const block_q2_k *b = row;
    for (size_t i = 0; i < n / 256; i++, b++, out += 256) {
        float d = half_load(b->d), dmin = half_load(b->dmin);
        for (int j = 0; j < 256; j++) {
            int s = b->scales[j / 16];
            int u = b->qs[j / 128 * 32 + j % 32] >> (2 * (j / 32 % 4)) & 3;
            out[j] = d * (float)(s & 15) * (float)u - dmin * (float)(s >> 4);
        }
    }
}

void quant_decode_q3_k(const void *row, float *out, size_t n)
{
    const block_q3_k *b = row;
    for (size_t i = 0; i < n / 256; i++, b++, out += 256) {
        float d = half_load(b->d);
        for (int j = 0; j < 256; j++) {
            int u = b->qs[j / 128 * 32 + j % 32] >> (2 * (j / 32 % 4)) & 3;
            int q = u - (b->hmask[j % 32] >> (j / 32) & 1 ? 0 : 4);
            out[j] = d * (float)block_q3_scale(b->scales, j / 16) * (float)q;
        }
    }
}

void quant_decode_q4_k(const void *row, float *out, size_t n)
{
    const block_q4_k *b = row;
    for (size_t i = 0; i < n / 256; i++, b++, out += 256) {
        float d = half_load(b->d), dmin = half_load(b->dmin);
        for (int g = 0; g < 8; g++) {
            int scale, min;
            block_k4_scale(b->scales, g, &scale, &min);
            float a = d * (float)scale, m = dmin * (float)min;
            for (int l = 0; l < 32; l++)
                out[32 * g + l] = a * (float)(b->qs[g / 2 * 32 + l] >> (4 * (g % 2)) & 15) - m;
        }
    }
}

void quant_decode_q5_k(const void *row, float *out, size_t n)
{
    const block_q5_k *b = row;
    for (size_t i = 0; i < n / 256; i++, b++, out += 256) {
        float d = half_load(b->d), dmin = half_load(b->dmin);
        for (int g = 0; g < 8; g++) {
            int scale, min;
            block_k4_scale(b->scales, g, &scale, &min);
            float a = d * (float)scale, m = dmin * (float)min;
            for (int l = 0; l < 32; l++) {
                int u = (b->qs[g / 2 * 32 + l] >> (4 * (g % 2)) & 15) | (b->qh[l] >> g & 1) << 4;
                out[32 * g + l] = a * (float)u - m;
            }
        }
    }
}

void quant_decode_q6_k(const void *row, float *out, size_t n)
{
    const block_q6_k *b = row;
    for (size_t i = 0; i < n / 256; i++, b++, out += 256) {
        float d = half_load(b->d);
        for (int j = 0; j < 256; j++) {
            int half = j / 128, quarter = j / 32 % 4, l = j % 32;
            int low = b->ql[64 * half + 32 * (quarter % 2) + l] >> (4 * (quarter / 2)) & 15;
            int high = b->qh[32 * half + l] >> (2 * quarter) & 3;
            out[j] = d * (float)b->scales[j / 16] * (float)((low | high << 4) - 32);
        }
    }
}

void quant_decode_iq4_nl(const void *row, float *out, size_t n)
{
    const block_iq4_nl *b = row;
    for (size_t i = 0; i < n / 32; i++, b++, out += 32) {
        float d = half_load(b->d);
        for (int j = 0; j < 16; j++) {
            out[j] = d * (float)quant_iq4_values[b->qs[j] & 15];
            out[j + 16] = d * (float)quant_iq4_values[b->qs[j] >> 4];
        }
    }
}

void quant_decode_iq4_xs(const void *row, float *out, size_t n)
{
    const block_iq4_xs *b = row;
    for (size_t i = 0; i < n / 256; i++, b++) {
        float d = half_load(b->d);
        for (int g = 0; g < 8; g++, out += 32) {
            float a = d * (float)block_iq4_xs_scale(b, g);
            const uint8_t *qs = b->qs + 16 * g;
            for (int j = 0; j < 16; j++) {
                out[j] = a * (float)quant_iq4_values[qs[j] & 15];
                out[j + 16] = a * (float)quant_iq4_values[qs[j] >> 4];
            }
        }
    }
}

void quant_decode_mxfp4(const void *row, float *out, size_t n)
{
    const block_mxfp4 *b = row;
    for (size_t i = 0; i < n / 32; i++, b++, out += 32) {
        float d = half_from_e8m0(b->e);
        for (int j = 0; j < 16; j++) {
            out[j] = d * (float)quant_e2m1_doubled[b->qs[j] & 15];
            out[j + 16] = d * (float)quant_e2m1_doubled[b->qs[j] >> 4];
        }
    }
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

/* A 16-bit pattern whose exponent bits are all ones is an infinity or a NaN: mask 0x7C00 for f16, 0x7F80 for bf16. */
static size_t check_u16(const uint8_t *p, size_t n, size_t stride, unsigned mask)
{
    for (size_t i = 0; i < n; i++)
        if ((half_load_u16(p + i * stride) & mask) == mask)
            return i;
    return SIZE_MAX;
}

size_t quant_check_f32(const void *row, size_t n)
{
    return check_u16((const uint8_t *)row + 2, n, 4, 0x7F80);
}

size_t quant_check_f16(const void *row, size_t n)
{
    return check_u16(row, n, 2, 0x7C00);
}

size_t quant_check_bf16(const void *row, size_t n)
{
    return check_u16(row, n, 2, 0x7F80);
}

size_t quant_check_mxfp4(const void *row, size_t n)
{
    const block_mxfp4 *b = row;
    for (size_t i = 0; i < n / 32; i++)
        if (b[i].e == 255)
            return i;
    return SIZE_MAX;
}

#define CHECK_ONE(type, values, field)                                                                                 \
    size_t quant_check_##type(const void *row, size_t n)                                                               \
    {                                                                                                                  \
        return check_u16(((const block_##type *)row)->field, n / (values), sizeof(block_##type), 0x7C00);              \
    }

#define CHECK_TWO(type, values, field1, field2)                                                                        \
    size_t quant_check_##type(const void *row, size_t n)                                                               \
    {                                                                                                                  \
        const block_##type *b = row;                                                                                   \
        size_t i = check_u16(b->field1, n / (values), sizeof *b, 0x7C00);                                              \
        size_t j = check_u16(b->field2, n / (values), sizeof *b, 0x7C00);                                              \
        return i < j ? i : j;                                                                                          \
    }

CHECK_ONE(q4_0, 32, d)
CHECK_TWO(q4_1, 32, d, m)
CHECK_ONE(q5_0, 32, d)
CHECK_TWO(q5_1, 32, d, m)
CHECK_ONE(q8_0, 32, d)
CHECK_TWO(q2_k, 256, d, dmin)
CHECK_ONE(q3_k, 256, d)
CHECK_TWO(q4_k, 256, d, dmin)
CHECK_TWO(q5_k, 256, d, dmin)
CHECK_ONE(q6_k, 256, d)
CHECK_ONE(iq4_nl, 32, d)
CHECK_ONE(iq4_xs, 256, d)
