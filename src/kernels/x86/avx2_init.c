/* What AVX2 (with FMA and F16C) does better than portable. */
#include "kernels/levels_int.h"

void kernels_avx2(kernels *k)
{
    k->level = "avx2";
    kernels_avx2_mul(k);
    kernels_avx2_float(k);
    kernels_avx2_attn(k);
    kernels_avx2_attn_q8(k);
    kernels_avx2_feed(k);
}
