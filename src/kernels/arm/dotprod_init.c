/* What AArch64 with dot products does better than NEON. */
#include "kernels/levels_int.h"

void kernels_dotprod(kernels *k)
{
    k->level = "dotprod";
    kernels_dotprod_mul(k);
    kernels_dotprod_attn_q8(k);
}
