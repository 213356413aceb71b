/* Attention over eight-bit pages for AArch64 without dot products: bytes are widened to 16 bits; four products of a key
 * or dimension stay in four lanes until the end. */
#include "kernels/arm/neon_int.h"

typedef struct sums4 {
    int32x4_t of[4]; /* of each key or dimension */
} sums4;

#include "kernels/arm/attn_q8_int.h"

INLINE sums4 no_sums(void)
{
    const int32x4_t zero = vdupq_n_s32(0);
    return (sums4){ { zero, zero, zero, zero } };
}

INLINE sums4 add_products(sums4 s, int8x16_t v, const wide_codes *c, size_t at)
{
    const int16x8_t low = vmovl_s8(vget_low_s8(v)), high = vmovl_high_s8(v);
    const int16x4_t code = vld1_s16(c->code + at);
    const int16x8_t both = vcombine_s16(code, code);
    s.of[0] = vmlal_s16(s.of[0], vget_low_s16(low), code);
    s.of[1] = vmlal_high_s16(s.of[1], low, both);
    s.of[2] = vmlal_s16(s.of[2], vget_low_s16(high), code);
    s.of[3] = vmlal_high_s16(s.of[3], high, both);
    return s;
}

INLINE int32x4_t total(sums4 s)
{
    return vpaddq_s32(vpaddq_s32(s.of[0], s.of[1]), vpaddq_s32(s.of[2], s.of[3]));
}

void kernels_neon_attn_q8(kernels *k)
{
    k->attend[KV_Q8] = attend_q8;
}
