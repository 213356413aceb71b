/* More than one token on AVX2 without VNNI; avx2_mul.c calls these. */
#define TILE(name) kernels_avx2_tile_##name
#define TILE_STORAGE
#define TILE_VNNI 0
#include "kernels/x86/tile256.h"
