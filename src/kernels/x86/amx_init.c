/* What AMX does better than AVX-512: many tokens times integer weights. */
#include "kernels/levels_int.h"

void kernels_amx(kernels *k)
{
    k->level = "amx";
    kernels_amx_mul32(k);
    kernels_amx_mul_k(k);
}
