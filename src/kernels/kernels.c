/* The ladder: portable first, then each level of this machine overrides what it does better. */
#include "kernels/kernels.h"

#include "kernels/levels_int.h"
#include "plat/cpu.h"

void kernels_init(kernels *k, unsigned cpu)
{
    kernels_portable(k);
#if defined(__x86_64__)
    if (!(cpu & CPU_AVX2))
        return;
    kernels_avx2(k);
    if (cpu & CPU_AVXVNNI)
        kernels_avxvnni(k);
    if (cpu & CPU_AVX512VL)
        kernels_avx512vl(k);
    if (!(cpu & CPU_AVX512))
        return;
    kernels_avx512(k);
    if (cpu & CPU_AMX)
        kernels_amx(k);
#elif defined(__aarch64__)
    if (!(cpu & CPU_NEON))
        return;
    kernels_neon(k);
    if (!(cpu & CPU_DOTPROD))
        return;
    kernels_dotprod(k);
    if (!(cpu & CPU_I8MM))
        return;
    kernels_i8mm(k);
#else
    (void)cpu;
#endif
}
