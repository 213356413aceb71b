/* Integer weights on AVX-VNNI: processors with vpdpbusd on 256 bits and no AVX-512. */
#include <immintrin.h>

#define DPBUSD _mm256_dpbusd_avx_epi32
#define DPWSSD _mm256_dpwssd_avx_epi32
#define TILE_NAME(name) mul_##name
#define TILE_STORAGE static
#define TILE_VNNI 1
#include "kernels/x86/tile256.h"

#define FILL(name, type, ...) k->mul[type] = mul_##name;
void kernels_avxvnni(kernels *k)
{
    k->level = "avxvnni";
    AVX2_TYPES(FILL)
}
