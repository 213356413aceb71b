/* What NEON, which every AArch64 has, does better than portable. */
#include "kernels/levels_int.h"

void kernels_neon(kernels *k)
{
    k->level = "neon";
    kernels_neon_mul(k);
    kernels_neon_float(k);
    kernels_neon_attn(k);
    kernels_neon_attn_q8(k);
}
