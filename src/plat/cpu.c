/* Which instruction sets this process may use: cpuid, and xgetbv for what the system saves. */
#include "plat/cpu.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdatomic.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

static uint64_t enabled_state(void)
{
    uint32_t a, d;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (uint64_t)d << 32 | a;
}

/* Tiles: 8 KiB of state a thread, which Linux (5.16 and later) gives to processes that ask. */
static bool may_use_tiles(uint64_t state)
{
#if defined(__linux__)
    enum { REQUEST = 0x1023 /* ARCH_REQ_XCOMP_PERM */, TILE_DATA = 18, TILE_STATE = 3 << 17 };
    return (state & TILE_STATE) == TILE_STATE && syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
#else
    (void)state;
    return false;
#endif
}

static unsigned detect_x86(void)
{
    enum { XMM_YMM = 6, OPMASK_ZMM = 0xE0 };
    unsigned a, b, c, d, max = __get_cpuid_max(0, NULL), f = 0;
    if (max < 7)
        return 0;
    __cpuid(1, a, b, c, d);
    const unsigned need = 1u << 27 /* OSXSAVE */ | 1u << 28 /* AVX */ | 1u << 12 /* FMA */ | 1u << 29 /* F16C */;
    if ((c & need) != need)
        return 0;
    uint64_t state = enabled_state();
    if ((state & XMM_YMM) != XMM_YMM)
        return 0;
    __cpuid_count(7, 0, a, b, c, d);
    unsigned subleaves = a;
    const unsigned bf16_tile_int8 = 1u << 22 | 1u << 24 | 1u << 25;
    const bool amx = (d & bf16_tile_int8) == bf16_tile_int8;
    if (b & 1u << 5)
        f |= CPU_AVX2;
    const unsigned f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    if ((f & CPU_AVX2) && (state & OPMASK_ZMM) == OPMASK_ZMM && (b & f_dq_bw_vl) == f_dq_bw_vl && (c & 1u << 11))
        f |= CPU_AVX512 | CPU_AVX512VL;
    if ((f & CPU_AVX512) && amx && may_use_tiles(state))
        f |= CPU_AMX;
    if (subleaves >= 1) {
        __cpuid_count(7, 1, a, b, c, d);
        if ((f & CPU_AVX2) && (a & 1u << 4))
            f |= CPU_AVXVNNI;
    }
    return f;
}
#endif

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

static unsigned detect_arm(void)
{
    unsigned long hw = getauxval(AT_HWCAP), hw2 = getauxval(AT_HWCAP2);
    unsigned f = CPU_NEON;
    if (hw & 1ul << 20) /* HWCAP_ASIMDDP */
        f |= CPU_DOTPROD;
    if ((f & CPU_DOTPROD) && (hw2 & 1ul << 13)) /* HWCAP2_I8MM */
        f |= CPU_I8MM;
    return f;
}
#elif defined(__aarch64__)
static unsigned detect_arm(void)
{
    return CPU_NEON;
}
#endif

unsigned cpu_detect(void)
{
#if defined(__x86_64__)
    enum { KNOWN = 1 << 30 };
    static atomic_uint found; /* two threads may both look, and find the same */
    unsigned f = atomic_load(&found);
    if (!f) {
        f = detect_x86() | KNOWN;
        atomic_store(&found, f);
    }
    return f & ~KNOWN;
#elif defined(__aarch64__)
    return detect_arm();
#else
    return 0;
#endif
}

static const struct level {
    const char *name;
    unsigned need; /* the machine must have these */
    unsigned keep; /* and of what it has, these stay */
} levels[] = {
    { "portable", 0, 0 },
    { "avx2", CPU_AVX2, CPU_AVX2 },
    { "avxvnni", CPU_AVXVNNI, CPU_AVX2 | CPU_AVXVNNI },
    { "avx512vl", CPU_AVX512VL, CPU_AVX2 | CPU_AVX512VL },
    { "avx512", CPU_AVX512, CPU_AVX2 | CPU_AVXVNNI | CPU_AVX512VL | CPU_AVX512 },
    { "amx", CPU_AMX, CPU_AVX2 | CPU_AVXVNNI | CPU_AVX512VL | CPU_AVX512 | CPU_AMX },
    { "neon", CPU_NEON, CPU_NEON },
    { "dotprod", CPU_DOTPROD, CPU_NEON | CPU_DOTPROD },
    { "i8mm", CPU_I8MM, CPU_NEON | CPU_DOTPROD | CPU_I8MM },
};

status cpu_choose(const char *isa, unsigned *features, error *err)
{
    const char *from = "";
    if (!isa || !*isa) {
        isa = getenv("HEARTH_ISA");
        from = "HEARTH_ISA: ";
    }
    unsigned have = cpu_detect();
    if (!isa || !*isa) {
        *features = have;
        return OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if (strcmp(isa, levels[i].name))
            continue;
        if ((have & levels[i].need) != levels[i].need)
            return fail(err, E_UNSUPPORTED, "%sthis processor or system cannot do '%s'; it has: %s", from, isa,
                        cpu_level_name(have));
        *features = have & levels[i].keep;
        return OK;
    }
    return fail(err, E_UNSUPPORTED, "%sunknown instruction set '%s': portable, avx2, avxvnni, avx512vl, avx512, amx, "
                "neon, dotprod or i8mm", from, isa);
}

const char *cpu_level_name(unsigned features)
{
    if (features & CPU_AMX)
        return "AMX, AVX-512 VNNI, AVX2";
    if (features & CPU_AVX512)
        return "AVX-512 VNNI, AVX2";
    if (features & CPU_AVX512VL)
        return "256-bit AVX-512 VNNI, AVX2";
    if (features & CPU_AVXVNNI)
        return "AVX-VNNI, AVX2";
    if (features & CPU_AVX2)
        return "AVX2";
    if (features & CPU_I8MM)
        return "NEON with i8mm";
    if (features & CPU_DOTPROD)
        return "NEON with dot product";
    if (features & CPU_NEON)
        return "NEON";
    return "portable";
}
