/* encode_int.h: private to src/quant: what both searching encoders need.
 *
 * A block is searched in float with sums in double. Non-finite input must not be undefined behaviour: every conversion
 * to an integer goes through a clamp that turns NaN into the lower limit, every scale through encode_f16. */
#ifndef QUANT_ENCODE_INT_H
#define QUANT_ENCODE_INT_H

#include <stddef.h>
#include <stdint.h>

#include "quant/half.h"

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

#endif
