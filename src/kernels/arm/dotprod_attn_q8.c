/* Attention over eight-bit pages for AArch64 with dot products: four products are added up at once, for the high and
 * the low digits of the codes. */
#include "kernels/arm/neon_int.h"

typedef struct sums4 {
    int32x4_t high, low;
} sums4;

#include "kernels/arm/attn_q8_int.h"

INLINE sums4 no_sums(void)
{
    return (sums4){ vdupq_n_s32(0), vdupq_n_s32(0) };
}

INLINE int8x16_t four_digits(const int8_t *p)
{
    int32_t v;
    memcpy(&v, p, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(v));
}

INLINE sums4 add_products(sums4 s, int8x16_t v, const wide_codes *c, size_t at)
{
    s.high = vdotq_s32(s.high, v, four_digits(c->high + at));
    s.low = vdotq_s32(s.low, v, four_digits(c->low + at));
    return s;
}

INLINE int32x4_t total(sums4 s)
{
    return vaddq_s32(vshlq_n_s32(s.high, 7), s.low);
}

void kernels_dotprod_attn_q8(kernels *k)
{
    k->attend[KV_Q8] = attend_q8;
}
