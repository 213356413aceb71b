/* Integer matrix kernels for AArch64 without dot products: smull and smlal sum one product per 16-bit lane and group
 * for as many groups as cannot overflow, then pairs are added in 32 bits. */
#include "kernels/arm/mul_int.h"

/* One product a lane and group; activations are -127..127. */
_Static_assert(8 * 31 * 127 <= INT16_MAX, "5 bits: eight groups");
_Static_assert(4 * 63 * 127 <= INT16_MAX, "6 bits, sub-blocks of 16: four groups");
_Static_assert(2 * 128 * 127 <= INT16_MAX, "8 bits: two groups");

INLINE int8x16_t bytes4(const int8_t *a)
{
    int32_t v;
    memcpy(&v, a, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(v));
}

/* Groups 0..n-1, `fold` of them summed in 16 bits. */
INLINE int32x4_t dot(const int8x16_t *w, const int8_t *a, const int n, const int fold)
{
    int32x4_t low = vdupq_n_s32(0), high = low;
#pragma GCC unroll 4
    for (int g = 0; g < n; g += fold) {
        int8x16_t x = bytes4(a + 4 * g);
        int16x8_t l = vmull_s8(vget_low_s8(w[g]), vget_low_s8(x)), h = vmull_high_s8(w[g], x);
#pragma GCC unroll 8
        for (int i = g + 1; i < g + fold; i++) {
            x = bytes4(a + 4 * i);
            l = vmlal_s8(l, vget_low_s8(w[i]), vget_low_s8(x));
            h = vmlal_high_s8(h, w[i], x);
        }
        low = vpadalq_s16(low, l);
        high = vpadalq_s16(high, h);
    }
    return vpaddq_s32(low, high);
}

INLINE int32x4_t dot16(const spec s, const int8x16_t w[4], const int8_t *a)
{
    return dot(w, a, 4, s.wide ? 2 : 4);
}

INLINE int32x4_t dot32(const spec s, const int8x16_t w[8], const int8_t *a)
{
    return dot(w, a, 8, s.wide ? 2 : 8);
}

#define DEFINE(name, ...) ARM_MUL(name, panel_tile, __VA_ARGS__)
ARM_TYPES(DEFINE)

void kernels_neon_mul(kernels *k)
{
    ARM_TYPES(ARM_FILL)
}
