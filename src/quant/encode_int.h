/* encode_int.h: private to src/quant: what the searching encoders need.
 *
 * A block is searched in float, its values brought near 1. Non-finite input must not be undefined behaviour: every
 * conversion to an integer goes through a clamp that turns NaN into the lower limit, every scale through encode_f16. */
#ifndef QUANT_ENCODE_INT_H
#define QUANT_ENCODE_INT_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "quant/half.h"
#include "quant/quant.h"

enum { ENCODE_MAX = 256 }; /* values in the largest block */

/* The nearest finite f16; NaN gives 0. */
static inline uint16_t encode_f16(double v)
{
    if (!(v > -65504))
        return v <= -65504 ? 0xFBFF : 0;
    return half_from_f32(v < 65504 ? (float)v : 65504.0f);
}

/* A block as the searches see it: values times a power of two, so that the largest is near 1 (as far down as an f16
 * step can follow it), and importances with mean 1. */
typedef struct encode_block {
    float x[ENCODE_MAX], w[ENCODE_MAX];
    float up, down; /* x = the row's value * down; up = 1 / down */
    int n;
} encode_block;

/* Importances of a block of n values: the caller's (or ones) relative to their mean, plus a trace, so that values
 * nobody asked for are still encoded sensibly. A mean that is not a positive number counts as "no weights". */
static inline void encode_weights(const float *weights, int n, float w[ENCODE_MAX])
{
    double sum = 0;
    for (int i = 0; weights && i < n; i++)
        sum += (double)weights[i];
    double inverse = (double)n / sum;
    bool usable = sum > 0 && inverse > 0 && inverse < (double)INFINITY;
    for (int i = 0; i < n; i++)
        w[i] = usable ? (float)((double)weights[i] * inverse) + 1e-5f : 1.0f;
}

static inline void encode_open(encode_block *b, const float *x, const float *weights, int n)
{
    float largest = 0;
    int exponent = 0;
    for (int i = 0; i < n; i++)
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    if (largest > 0 && largest < INFINITY)
        (void)frexpf(largest, &exponent);
    exponent = exponent < -40 ? -40 : exponent - 1;
    b->up = ldexpf(1, exponent);
    b->down = ldexpf(1, -exponent);
    b->n = n;
    for (int i = 0; i < n; i++)
        b->x[i] = x[i] * b->down;
    encode_weights(weights, n, b->w);
}

/* What is lost when all values become zero. */
static inline float encode_squares(const encode_block *b)
{
    float sum = 0;
    for (int i = 0; i < b->n; i++)
        sum += b->w[i] * b->x[i] * b->x[i];
    return sum;
}

/* A step (or offset) of b, in the file's precision. */
static inline uint16_t encode_step(const encode_block *b, float d)
{
    return encode_f16((double)d * (double)b->up);
}

/* The sum of w (x - decoded)^2 of a block. */
static inline double encode_loss(const quant_traits *t, const void *block, const float *x, const float *w)
{
    float decoded[ENCODE_MAX];
    double loss = 0;
    t->decode(block, decoded, t->block);
    for (uint32_t j = 0; j < t->block; j++) {
        double e = (double)x[j] - (double)decoded[j];
        loss += (double)w[j] * e * e;
    }
    return loss;
}

/* A block of 32 that a search found gives way to the plain rounding where that loses less. */
static inline void encode_or_plain(uint32_t type, const float *x, const float *w, void *block)
{
    const quant_traits *t = quant_find(type);
    char plain[64];
    t->encode(x, plain, t->block, NULL);
    if (encode_loss(t, plain, x, w) < encode_loss(t, block, x, w))
        memcpy(block, plain, t->bytes);
}

#endif
