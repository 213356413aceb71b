/* Encode of the types whose result is fixed by convention: floats, Q4_0 … Q8_0 and MXFP4, bit for bit as the
 * reference writer (the Python package gguf). `weights` are not used: these types have one well-known rounding. */
#include <math.h>
#include <string.h>

#include "quant/blocks.h"
#include "quant/codec_int.h"
#include "quant/half.h"

/* Truncates to 0..max; a NaN gives 0. */
static unsigned code(float v, unsigned max)
{
    if (!(v > 0))
        return 0;
    return v >= (float)max ? max : (unsigned)v;
}

void quant_encode_f32(const float *row, void *out, size_t n, const float *weights)
{
    (void)weights;
    uint8_t *p = out;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = half_bits_of(row[i]);
        for (int k = 0; k < 4; k++)
            p[4 * i + (size_t)k] = (uint8_t)(u >> (8 * k));
    }
}

void quant_encode_f16(const float *row, void *out, size_t n, const float *weights)
{
    (void)weights;
    for (size_t i = 0; i < n; i++)
        half_store_u16((uint8_t *)out + 2 * i, half_from_f32(row[i]));
}

void quant_encode_bf16(const float *row, void *out, size_t n, const float *weights)
{
    (void)weights;
    for (size_t i = 0; i < n; i++)
        half_store_u16((uint8_t *)out + 2 * i, half_to_bf16(row[i]));
}

/* The first value of largest magnitude, with its sign. */
static float extreme(const float x[32])
{
    float best = x[0];
    for (int j = 1; j < 32; j++)
        if (fabsf(x[j]) > fabsf(best))
            best = x[j];
    return best;
}

static void range(const float x[32], float *min, float *max)
{
    *min = *max = x[0];
    for (int j = 1; j < 32; j++) {
        *min = x[j] < *min ? x[j] : *min;
        *max = x[j] > *max ? x[j] : *max;
    }
}

static float inverse(float d)
{
    return d != 0 ? 1 / d : 0;
}

/* codes[32] → 16 bytes of nibbles (value j low, j + 16 high) and, if asked, the fifth bits. */
static void pack(const unsigned codes[32], uint8_t qs[16], uint8_t *qh)
{
    for (int j = 0; j < 16; j++)
        qs[j] = (uint8_t)((codes[j] & 15) | (codes[j + 16] & 15) << 4);
    if (!qh)
        return;
    memset(qh, 0, 4);
    for (int j = 0; j < 32; j++)
        qh[j / 8] |= (uint8_t)((codes[j] >> 4) << (j % 8));
}

/* Symmetric types: the extreme value becomes the lowest code, -half. Returns d. */
static float symmetric(const float x[32], int half, unsigned codes[32])
{
    float d = extreme(x) / (float)-half, id = inverse(d);
    for (int j = 0; j < 32; j++)
        codes[j] = code(x[j] * id + ((float)half + 0.5f), (unsigned)(2 * half - 1));
    return d;
}

/* Affine types: d and m from the range. */
static float affine(const float x[32], unsigned top, unsigned codes[32], float *m)
{
    float max;
    range(x, m, &max);
    float d = (max - *m) / (float)top, id = inverse(d);
    for (int j = 0; j < 32; j++)
        codes[j] = code((x[j] - *m) * id + 0.5f, top);
    return d;
}

void quant_encode_q4_0(const float *row, void *out, size_t n, const float *weights)
{
    (void)weights;
    block_q4_0 *b = out;
    for (size_t i = 0; i < n / 32; i++, b++) {
        unsigned codes[32];
        half_store_u16(b->d, half_from_f32(symmetric(row + 32 * i, 8, codes)));
        pack(codes, b->qs, NULL);
    }
}

void quant_encode_q4_1(const float *row, void *out, size_t n, const float *weights)
{
    (void)weights;
    block_q4_1 *b = out;
    for (size_t i = 0; i < n / 32; i++, b++) {
        unsigned codes[32];
        float m;
        half_store_u16(b->d, half_from_f32(affine(row + 32 * i, 15, codes, &m)));
        half_store_u16(b->m, half_from_f32(m));
        pack(codes, b->qs, NULL);
    }
}

void quant_encode_q5_0(const float *row, void *out, size_t n, const float *weights)
{
    (void)weights;
    block_q5_0 *b = out;
    for (size_t i = 0; i < n / 32; i++, b++) {
        unsigned codes[32];
        half_store_u16(b->d, half_from_f32(symmetric(row + 32 * i, 16, codes)));
        pack(codes, b->qs, b->qh);
    }
}

void quant_encode_q5_1(const float *row, void *out, size_t n, const float *weights)
{
    (void)weights;
    block_q5_1 *b = out;
    for (size_t i = 0; i < n / 32; i++, b++) {
        unsigned codes[32];
        float m;
        half_store_u16(b->d, half_from_f32(affine(row + 32 * i, 31, codes, &m)));
        half_store_u16(b->m, half_from_f32(m));
        pack(codes, b->qs, b->qh);
    }
}

/* Half away from zero, as the convention has it; saturated. */
static int8_t round_i8(float v)
{
    unsigned magnitude = code(fabsf(v), 127);
    if (magnitude < 127 && fabsf(v) - (float)magnitude >= 0.5f)
        magnitude++;
    return (int8_t)(v < 0 ? -(int)magnitude : (int)magnitude);
}

void quant_encode_q8_0(const float *row, void *out, size_t n, const float *weights)
{
    (void)weights;
    block_q8_0 *b = out;
    for (size_t i = 0; i < n / 32; i++, b++) {
        const float *x = row + 32 * i;
        float d = fabsf(extreme(x)) / 127, id = inverse(d);
        half_store_u16(b->d, half_from_f32(d));
        for (int j = 0; j < 32; j++)
            b->qs[j] = round_i8(x[j] * id);
    }
}

/* e so that the largest magnitude falls into [4, 8) times 2^(e - 127): floor(log2) - 2 + 127. The convention takes the
 * floor of a binary32 logarithm, which rounds up to the next power within half an ulp below it. */
static uint8_t mxfp4_exponent(float largest)
{
    if (!(largest > 0))
        return 0;
    float e = floorf((float)log2((double)largest)) + (127 - 2);
    return e < 0 ? 0 : e > 254 ? 254 : (uint8_t)e;
}

static unsigned nearest_e2m1(float x, float d)
{
    unsigned best = 0;
    float least = fabsf(d * (float)quant_e2m1_doubled[0] - x);
    for (unsigned c = 1; c < 16; c++) {
        float distance = fabsf(d * (float)quant_e2m1_doubled[c] - x);
        if (distance < least) {
            least = distance;
            best = c;
        }
    }
    return best;
}

void quant_encode_mxfp4(const float *row, void *out, size_t n, const float *weights)
{
    (void)weights;
    block_mxfp4 *b = out;
    for (size_t i = 0; i < n / 32; i++, b++) {
        const float *x = row + 32 * i;
        unsigned codes[32];
        b->e = mxfp4_exponent(fabsf(extreme(x)));
        float d = half_from_e8m0(b->e);
        for (int j = 0; j < 32; j++)
            codes[j] = nearest_e2m1(x[j], d);
        pack(codes, b->qs, NULL);
    }
}
