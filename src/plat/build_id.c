/* build_id.c: see the header; build_number.h in the build folder is written by the Makefile. */
#include "plat/build_id.h"

#include "build_number.h"

const char *build_id(void)
{
    return HEARTH_BUILD_ID;
}
