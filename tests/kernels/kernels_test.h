/* What the kernel tests share: random weights with legal and extreme scales, buffers that end at a forbidden page, and
 * the levels of this machine. */
#ifndef TESTS_KERNELS_TEST_H
#define TESTS_KERNELS_TEST_H

#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "plat/cpu.h"
#include "quant/half.h"
#include "quant/quant.h"

static const int test_types[] = { QUANT_F32,  QUANT_F16,  QUANT_BF16, QUANT_Q4_0,   QUANT_Q4_1,   QUANT_Q5_0,
                                  QUANT_Q5_1, QUANT_Q8_0, QUANT_Q2_K, QUANT_Q3_K,   QUANT_Q4_K,   QUANT_Q5_K,
                                  QUANT_Q6_K, QUANT_IQ4_NL, QUANT_IQ4_XS, QUANT_MXFP4 };

static uint64_t test_state = 0x9E3779B97F4A7C15u;
static inline uint32_t test_u32(void)
{
    test_state ^= test_state << 13;
    test_state ^= test_state >> 7;
    test_state ^= test_state << 17;
    return (uint32_t)(test_state >> 32);
}
static inline uint32_t test_below(uint32_t n)
{
    return (uint32_t)((uint64_t)test_u32() * n >> 32);
}
static inline float test_uniform(void) /* -1..1 */
{
    return (float)(int32_t)test_u32() * 0x1p-31f;
}

/* The offsets of the f16 scales in a block of the file. */
static inline int test_scale_offsets(int type, int at[2])
{
    switch (type) {
    case QUANT_Q2_K: at[0] = 80, at[1] = 82; return 2;
    case QUANT_Q3_K: at[0] = 108; return 1;
    case QUANT_Q6_K: at[0] = 208; return 1;
    case QUANT_Q4_1:
    case QUANT_Q5_1:
    case QUANT_Q4_K:
    case QUANT_Q5_K: at[0] = 0, at[1] = 2; return 2;
    case QUANT_MXFP4:
    case QUANT_F32:
    case QUANT_F16:
    case QUANT_BF16: return 0;
    default: at[0] = 0; return 1;
    }
}

enum test_kind { ORDINARY, LOW, HIGH, WILD, KINDS };

static inline uint16_t test_scale(enum test_kind kind)
{
    static const float extremes[] = { 0.0f, 6e-8f, 3e-5f, 65504.0f, -65504.0f, -6e-8f, 1.0f, -0.0f };
    float x = kind == WILD ? extremes[test_below(ARRAY_LEN(extremes))] : test_uniform() * 0.02f;
    return half_from_f32(x);
}

/* Random rows as a file holds them. LOW and HIGH: all code bits 0 or 1. */
static inline void test_rows(int type, enum test_kind kind, size_t rows, size_t cols, uint8_t *out)
{
    const quant_traits *t = quant_find((uint32_t)type);
    size_t n = rows * cols / t->block * t->bytes;
    for (size_t i = 0; i < n; i++)
        out[i] = kind == LOW ? 0 : kind == HIGH ? 0xFF : (uint8_t)test_u32();
    if (t->block == 1) {
        for (size_t i = 0; i < rows * cols; i++) {
            float x = kind == WILD && test_below(8) == 0 ? 1e-6f : kind == LOW ? 0.0f : test_uniform();
            uint16_t h = type == QUANT_F16 ? half_from_f32(x) : half_to_bf16(x);
            if (type == QUANT_F32)
                memcpy(out + 4 * i, &x, 4);
            else
                memcpy(out + 2 * i, &h, 2);
        }
        return;
    }
    int at[2], n_at = test_scale_offsets(type, at);
    for (size_t b = 0; b < n / t->bytes; b++) {
        for (int i = 0; i < n_at; i++) {
            uint16_t h = test_scale(kind);
            memcpy(out + b * t->bytes + at[i], &h, 2);
        }
        if (type == QUANT_MXFP4)
            out[b * t->bytes] = (uint8_t)(kind == WILD ? test_below(255) : 110 + test_below(20));
    }
}

static inline void test_inputs(enum test_kind kind, size_t n, float *x)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = test_uniform();
        if (kind == LOW && test_below(4))
            x[i] = 0.0f;
        if (kind == HIGH)
            x[i] = test_below(2) ? 1.0f : -1.0f; /* codes are 127 or -127 */
        if (kind == WILD)
            x[i] = ldexpf(x[i], (int)test_below(250) - 140);
    }
    if (kind == WILD && n >= 64)
        memset(x, 0, 32 * sizeof *x);
}

/* `bytes` bytes that end exactly at a page nobody may touch. */
typedef struct guarded {
    uint8_t *p, *map;
    size_t map_bytes;
} guarded;

static inline guarded guarded_open(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = (bytes + page - 1) / page * page;
    guarded g = { NULL, NULL, n + page };
    g.map = mmap(NULL, n + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map + n, page, PROT_NONE), 0);
    g.p = g.map + n - bytes;
    return g;
}

static inline void guarded_close(guarded *g)
{
    munmap(g->map, g->map_bytes);
}

/* Every level that this machine has, portable not included. */
enum { TEST_LEVELS = 5 };
static inline int test_levels(kernels level[TEST_LEVELS])
{
    unsigned have = cpu_detect();
    int n = 0;
    if (have & CPU_AVX2)
        kernels_init(&level[n++], CPU_AVX2);
    if (have & CPU_AVXVNNI)
        kernels_init(&level[n++], CPU_AVX2 | CPU_AVXVNNI);
    if (have & CPU_AVX512VL)
        kernels_init(&level[n++], CPU_AVX2 | CPU_AVX512VL);
    if (have & CPU_AVX512)
        kernels_init(&level[n++], CPU_AVX2 | CPU_AVX512);
    if (have & CPU_AMX)
        kernels_init(&level[n++], CPU_AVX2 | CPU_AVX512 | CPU_AMX);
    if (have & CPU_NEON)
        kernels_init(&level[n++], CPU_NEON);
    if (have & CPU_DOTPROD)
        kernels_init(&level[n++], CPU_NEON | CPU_DOTPROD);
    if (have & CPU_I8MM)
        kernels_init(&level[n++], CPU_NEON | CPU_DOTPROD | CPU_I8MM);
    for (int i = 0; i < n; i++)
        print_message("    level %s\n", level[i].level);
    return n;
}

#endif
