/* Integer matrix kernels for AArch64 with dot products. */
#include "kernels/arm/dotprod_int.h"

#define DEFINE(name, ...) ARM_MUL(name, panel_tile, __VA_ARGS__)
ARM_TYPES(DEFINE)

void kernels_dotprod_mul(kernels *k)
{
    ARM_TYPES(ARM_FILL)
}
