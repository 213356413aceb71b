/* dotprod_int.h: dot16 and dot32 of mul_int.h by sdot: four products a 32-bit lane, exactly. For files compiled with
 * -march=armv8.2-a+dotprod. Private to kernels/arm. */
#ifndef KERNELS_ARM_DOTPROD_INT_H
#define KERNELS_ARM_DOTPROD_INT_H

#include "kernels/arm/mul_int.h"

/* The intrinsic takes its lane as a literal: a macro keeps the files compiling without optimisation. */
#define SDOT4(sum, w, a)                                                                                               \
    vdotq_laneq_s32(vdotq_laneq_s32(vdotq_laneq_s32(vdotq_laneq_s32(sum, (w)[0], a, 0), (w)[1], a, 1), (w)[2], a, 2),  \
                    (w)[3], a, 3)

INLINE int32x4_t dot16(const spec s, const int8x16_t w[4], const int8_t *a)
{
    (void)s;
    const int8x16_t x = vld1q_s8(a);
    return SDOT4(vdupq_n_s32(0), w, x);
}

INLINE int32x4_t dot32(const spec s, const int8x16_t w[8], const int8_t *a)
{
    (void)s;
    const int8x16_t x = vld1q_s8(a), y = vld1q_s8(a + 16);
    return SDOT4(SDOT4(vdupq_n_s32(0), w, x), w + 4, y);
}

#endif
