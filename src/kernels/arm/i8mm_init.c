/* What AArch64 with i8mm does better than with dot products only. */
#include "kernels/levels_int.h"

void kernels_i8mm(kernels *k)
{
    k->level = "i8mm";
    kernels_i8mm_mul(k);
}
