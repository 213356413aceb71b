/* More than one token on AVX2 without VNNI; avx2_mul.c calls these. */
#include "kernels/x86/tile256.h"
