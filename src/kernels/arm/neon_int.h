/* neon_int.h: the functions of docs/NUMERICS.md on four floats at once, bit for bit those of maths.c, and loads of
 * 16-bit floats. For every AArch64 (base instructions only). Private to kernels/.
 *
 * Minimum and maximum are a comparison and a selection: FMIN gives NaN for NaN, and NUMERICS.md passes NaN over. */
#ifndef KERNELS_ARM_NEON_INT_H
#define KERNELS_ARM_NEON_INT_H

#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/layout_int.h"

INLINE float32x4_t set4(float x)
{
    return vdupq_n_f32(x);
}

INLINE float32x4_t min4(float32x4_t a, float32x4_t b) /* a < b ? a : b */
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

INLINE float32x4_t max4(float32x4_t a, float32x4_t b) /* a > b ? a : b */
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

INLINE float32x4_t exp4(float32x4_t x)
{
    uint32x4_t zero = vcltq_f32(x, set4(-80.0f));
    float32x4_t t = min4(x, set4(88.0f));
    float32x4_t n = vrndnq_f32(vmulq_f32(t, set4(0x1.715476p+0f)));
    float32x4_t r = vfmsq_f32(t, n, set4(0x1.62e43p-1f));
    r = vfmsq_f32(r, n, set4(-0x1.05c61p-29f));
    float32x4_t p = vfmaq_f32(set4(0x1.123a8ep-7f), set4(0x1.6a2314p-10f), r);
    p = vfmaq_f32(set4(0x1.5558f6p-5f), p, r);
    p = vfmaq_f32(set4(0x1.555490p-3f), p, r);
    p = vfmaq_f32(set4(0x1.fffffcp-2f), p, r);
    p = vfmaq_f32(set4(1.0f), p, r);
    p = vfmaq_f32(set4(1.0f), p, r);
    int32x4_t scale = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
    p = vmulq_f32(p, vreinterpretq_f32_s32(scale));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(p), zero));
}

INLINE float32x4_t silu4(float32x4_t x)
{
    return vdivq_f32(x, vaddq_f32(set4(1.0f), exp4(vnegq_f32(x))));
}

INLINE float32x4_t gelu4(float32x4_t x)
{
    float32x4_t c = vfmaq_f32(set4(0x1.988454p+0f), vmulq_f32(x, x), set4(0x1.2444f2p-4f));
    return vdivq_f32(x, vaddq_f32(set4(1.0f), exp4(vnegq_f32(vmulq_f32(x, c)))));
}

INLINE float32x4_t gelu_erf4(float32x4_t x)
{
    float32x4_t a = vabsq_f32(x), p = set4(0x1.2ce640p-26f);
    p = vfmaq_f32(set4(-0x1.236312p-21f), p, a);
    p = vfmaq_f32(set4(0x1.df6740p-18f), p, a);
    p = vfmaq_f32(set4(-0x1.aa72b6p-15f), p, a);
    p = vfmaq_f32(set4(0x1.89a772p-13f), p, a);
    p = vfmaq_f32(set4(0x1.739212p-17f), p, a);
    p = vfmaq_f32(set4(-0x1.3c649ep-8f), p, a);
    p = vfmaq_f32(set4(0x1.29d7cep-5f), p, a);
    p = vfmaq_f32(set4(0x1.45f1bcp-2f), p, a);
    p = vfmaq_f32(set4(0x1.988460p-1f), p, a);
    float32x4_t tail = vmulq_f32(set4(0.5f), exp4(vnegq_f32(vmulq_f32(a, p))));
    return vfmsq_f32(vbslq_f32(vcgtq_f32(x, set4(0.0f)), x, set4(0.0f)), a, tail);
}

INLINE float32x4_t tanh4(float32x4_t x)
{
    const uint32x4_t sign = vdupq_n_u32(0x80000000u);
    float32x4_t a = vabsq_f32(x), z = vmulq_f32(x, x);
    float32x4_t q = vfmaq_f32(set4(0x1.522692p-6f), set4(-0x1.75e1a8p-8f), z);
    q = vfmaq_f32(set4(-0x1.b83c58p-5f), q, z);
    q = vfmaq_f32(set4(0x1.110726p-3f), q, z);
    q = vfmaq_f32(set4(-0x1.555532p-2f), q, z);
    float32x4_t small = vfmaq_f32(x, vmulq_f32(x, z), q);
    float32x4_t e = vaddq_f32(exp4(vaddq_f32(a, a)), set4(1.0f));
    float32x4_t large = vbslq_f32(sign, x, vsubq_f32(set4(1.0f), vdivq_f32(set4(2.0f), e)));
    return vbslq_f32(vcltq_f32(a, set4(0.625f)), small, large);
}

/* tree16 from its 16 lanes. */
INLINE float sum16(const float32x4_t lane[4])
{
    float32x4_t b = vaddq_f32(vaddq_f32(lane[0], lane[2]), vaddq_f32(lane[1], lane[3]));
    float32x2_t c = vadd_f32(vget_low_f32(b), vget_high_f32(b));
    return vget_lane_f32(c, 0) + vget_lane_f32(c, 1);
}

/* The first n (1..3) floats, the rest zero. */
INLINE float32x4_t load_part(const float *x, size_t n)
{
    float v[4] = { 0 };
    memcpy(v, x, n * sizeof *v);
    return vld1q_f32(v);
}

INLINE float32x4_t half4(const void *p) /* four f16 */
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

#endif
