/* cpu.h: the instruction sets that this process may use. Any thread.
 *
 * A feature counts only when the processor has it and the operating system saves its registers (xgetbv). */
#ifndef PLAT_CPU_H
#define PLAT_CPU_H

#include "base/status.h"

#define CPU_AVX2 1u       /* AVX2 with FMA and F16C, ymm state */
#define CPU_AVXVNNI 2u    /* 256-bit vpdpbusd without AVX-512 */
#define CPU_AVX512 4u     /* AVX-512 F, BW, VL, DQ and VNNI, zmm state; implies CPU_AVX2 */
#define CPU_AVX512VL 64u  /* the 256-bit form of what CPU_AVX512 is: proves the kernels of CPU_AVXVNNI */
#define CPU_AMX 128u      /* AMX tiles with int8 and bf16, which the system lets this process use; implies CPU_AVX512 */
#define CPU_NEON 8u       /* every AArch64 */
#define CPU_DOTPROD 16u   /* AArch64 sdot */
#define CPU_I8MM 32u      /* AArch64 smmla; implies CPU_DOTPROD */

/* What the machine has. The first call asks the system for the tiles of AMX, once for all threads that the process has
 * and will have; the answer is remembered, so a process that closes a sandbox around itself calls this before. */
unsigned cpu_detect(void);

/* What to use: cpu_detect(), lowered to a level: "portable", "avx2", "avxvnni", "avx512vl", "avx512", "amx", "neon",
 * "dotprod" or "i8mm". isa NULL or "": the environment variable HEARTH_ISA, and if that is not set either, everything
 * the machine has. A level that the machine lacks, or an unknown word, is E_UNSUPPORTED, and *features is not
 * written. */
status cpu_choose(const char *isa, unsigned *features, error *err) MUST_CHECK;

/* "AVX-512 VNNI, AVX2": for people. Static text. */
const char *cpu_level_name(unsigned features);

#endif
