/* Integer weights by the 256-bit form of AVX-512's VNNI: avxvnni_mul.c under another encoding, so that AVX-512 machines
 * prove it. AVX-512 itself is faster there, and comes after it in the ladder. */
#include <immintrin.h>

#define DPBUSD _mm256_dpbusd_epi32
#define DPWSSD _mm256_dpwssd_epi32
#define TILE_NAME(name) mul_##name
#define TILE_STORAGE static
#define TILE_VNNI 1
#include "kernels/x86/tile256.h"

#define FILL(name, type, ...) k->mul[type] = mul_##name;
void kernels_avx512vl(kernels *k)
{
    k->level = "avx512vl";
    AVX2_TYPES(FILL)
}
