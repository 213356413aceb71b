/* half.h: 16-bit floats. Any thread; no state.
 *
 * Every conversion rounds to nearest, ties to even, and agrees bit for bit with the hardware (x86 F16C, ARM FCVT) on
 * all inputs: subnormals are kept, values from 65520 up become infinity, a NaN keeps its sign and the top of its
 * payload and comes out quiet. */
#ifndef QUANT_HALF_H
#define QUANT_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t half_bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

static inline float half_float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
static inline float half_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = (h >> 10) & 31, fraction = h & 0x3FF;
    if (exponent == 31)
        return half_float_of(sign | 0x7F800000 | (fraction ? 0x400000 : 0) | fraction << 13);
    if (exponent)
        return half_float_of(sign | (exponent + 112) << 23 | fraction << 13);
    float magnitude = (float)fraction * 0x1p-24f; /* exact: subnormals are multiples of 2^-24 */
    return half_float_of(sign | half_bits_of(magnitude));
}

static inline uint16_t half_from_f32(float x)
{
    uint32_t u = half_bits_of(x);
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    u &= 0x7FFFFFFF;
    if (u > 0x7F800000)
        return (uint16_t)(sign | 0x7E00 | (u >> 13 & 0x3FF));
    if (u >= 0x477FF000) /* 65520: half way between the largest half and 2^16 */
        return sign | 0x7C00;
    if (u < 0x38800000) { /* below 2^-14: adding 1/2 leaves the rounded multiple of 2^-24 in the fraction */
        float shifted = half_float_of(u) + 0.5f;
        return (uint16_t)(sign | (half_bits_of(shifted) - 0x3F000000));
    }
    u += 0xFFF + (u >> 13 & 1);
    return (uint16_t)(sign | ((u >> 13) - (112 << 10)));
}

/* bfloat16: the upper half of a binary32. */
static inline float half_from_bf16(uint16_t b)
{
    return half_float_of((uint32_t)b << 16);
}

static inline uint16_t half_to_bf16(float x)
{
    uint32_t u = half_bits_of(x);
    if ((u & 0x7FFFFFFF) > 0x7F800000)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

/* From a file: two bytes, little endian, at any address. */
static inline uint16_t half_load_u16(const uint8_t p[2])
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline void half_store_u16(uint8_t p[2], uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline float half_load(const uint8_t p[2])
{
    return half_to_f32(half_load_u16(p));
}

/* E8M0, the scale byte of MXFP4: 2^(e - 127), here halved because the E2M1 values are kept doubled, so 2^(e - 128).
 * e < 2 gives binary32 subnormals. e = 255 is NaN in the standard; files that contain it are refused by the row check,
 * and it decodes as 2^127 here. */
static inline float half_from_e8m0(uint8_t e)
{
    return half_float_of(e < 2 ? (uint32_t)0x200000 << e : (uint32_t)(e - 1) << 23);
}

#endif
