/* encode_int.h: private to src/quant: what both searching encoders need.
 *
 * A block is searched in float with sums in double. Non-finite input must not be undefined behaviour: every conversion
 * to an integer goes through a clamp that turns NaN into the lower limit, every scale through encode_f16. */
#ifndef QUANT_ENCODE_INT_H
#define QUANT_ENCODE_INT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "quant/half.h"
#include "quant/quant.h"

enum { ENCODE_MAX = 256 }; /* values in the largest block */

/* The nearest integer in [low, high], as a float; halves upward. */
static inline float encode_round(float v, float low, float high)
{
    v = v > low ? v : low;
    v = v < high ? v : high;
    return (float)(int)(v - low + 0.5f) + low;
}

/* The nearest finite f16; NaN gives 0. */
static inline uint16_t encode_f16(double v)
{
    if (!(v > -65504))
        return v <= -65504 ? 0xFBFF : 0;
    return half_from_f32(v < 65504 ? (float)v : 65504.0f);
}

/* Importances of a block of n values: the caller's (or ones), plus a trace of their mean, so that values nobody asked
 * for are still encoded sensibly. A sum that is not a positive number counts as "no weights". */
static inline void encode_weights(const float *weights, size_t n, float w[ENCODE_MAX])
{
    double sum = 0;
    for (size_t i = 0; weights && i < n; i++)
        sum += (double)weights[i];
    float trace = (float)(sum / (double)n * 1e-5);
    for (size_t i = 0; i < n; i++)
        w[i] = sum > 0 && trace > 0 ? weights[i] + trace : 1.0f;
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
