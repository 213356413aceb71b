/* What AVX-512 (with VNNI) does better than AVX2. */
#include "kernels/levels_int.h"

void kernels_avx512(kernels *k)
{
    k->level = "avx512";
    kernels_avx512_mul(k);
    kernels_avx512_float(k);
    kernels_avx512_attn(k);
    kernels_avx512_attn_q8(k);
}
