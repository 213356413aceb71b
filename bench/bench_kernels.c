/* Speed of the matrix kernels, one thread: for each type and level, one token over weights that do not fit a cache
 * (decode: GB/s of weights counts) and 64 tokens over weights that fit (prefill: GMAC/s counts). Best of several runs.
 * Then attention; alone when the argument is "attention". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "kernels/kernels.h"
#include "plat/cpu.h"
#include "plat/machine.h"
#include "quant/quant.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct shape {
    size_t rows, cols, tokens;
    int runs;
} shape;

/* Best seconds of one product. */
static double time_mul(const kernels *k, int type, const shape *s, size_t *bytes)
{
    size_t panels = s->rows / 16, act = kernels_act_bytes(kernels_act_format(type), s->cols);
    *bytes = kernels_matrix_bytes(type, s->rows, s->cols);
    uint8_t *w = mem_aligned(64, *bytes), *a = mem_aligned(64, s->tokens * act);
    float *x = mem_alloc(s->cols * 4), *out = mem_aligned(64, s->tokens * s->rows * 4);
    if (!w || !a || !x || !out)
        exit(1);
    memset(w, 0x2A, *bytes); /* scales and floats: small and ordinary */
    for (size_t i = 0; i < s->cols; i++)
        x[i] = (float)(i % 17) - 8.0f;
    for (size_t t = 0; t < s->tokens; t++)
        k->quantize[kernels_act_format(type)](x, s->cols, a + t * act);
    double best = 1e9;
    for (int r = 0; r < s->runs; r++) {
        double start = now();
        k->mul[type](w, panels, s->cols, a, act, s->tokens, out, s->rows);
        double seconds = now() - start;
        best = seconds < best ? seconds : best;
    }
    mem_free_aligned(w), mem_free_aligned(a), mem_free_aligned(out), mem_free(x);
    return best;
}

static void bench(const kernels *k)
{
    static const int types[] = { QUANT_Q4_K, QUANT_Q6_K, QUANT_Q8_0, QUANT_Q4_0, QUANT_Q4_1,  QUANT_Q5_0,
                                 QUANT_Q5_1, QUANT_Q5_K, QUANT_Q3_K, QUANT_Q2_K, QUANT_IQ4_NL, QUANT_IQ4_XS,
                                 QUANT_MXFP4, QUANT_F16, QUANT_BF16, QUANT_F32 };
    int slow = !strcmp(k->level, "portable") ? 1 : 0;
    printf("%-9s %-7s %22s %22s %16s\n", k->level, "type", "1 token: GB/s  GMAC/s", "4 tokens:      GMAC/s",
           "64 tokens: GMAC/s");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        shape decode = { slow ? 1024 : 16384, 4096, 1, slow ? 2 : 9 };
        shape few = { slow ? 64 : 1024, 2048, 4, slow ? 2 : 30 }, prefill = { slow ? 16 : 512, 2048, 64, slow ? 2 : 40 };
        size_t bytes, ignored;
        double d = time_mul(k, types[i], &decode, &bytes), f = time_mul(k, types[i], &few, &ignored);
        double p = time_mul(k, types[i], &prefill, &ignored);
        printf("%-9s %-7s %14.1f %7.1f %22.1f %16.1f\n", k->level, quant_name((uint32_t)types[i]),
               (double)bytes / d * 1e-9, (double)(decode.rows * decode.cols) / d * 1e-9,
               (double)(few.rows * few.cols * few.tokens) / f * 1e-9,
               (double)(prefill.rows * prefill.cols * prefill.tokens) / p * 1e-9);
    }
}

/* Attention of n_q query heads of one KV head over 4096 positions: multiplications of q·k and p·v a second. */
static double time_attend(const kernels *k, enum kernels_kv kv, size_t head_dim, size_t n_q)
{
    enum { SPANS = 8, PAGES = SPANS * KERNELS_SPAN / KERNELS_PAGE };
    size_t bytes = kernels_page_bytes(kv, head_dim), state = KERNELS_STATE_HEADER + head_dim;
    uint8_t *pages = mem_aligned(64, PAGES * bytes);
    float *q = mem_aligned(64, n_q * head_dim * 4), *s = mem_aligned(64, n_q * state * 4);
    const void *page[PAGES];
    kernels_query queries[8];
    if (!pages || !q || !s)
        exit(1);
    for (size_t i = 0; i < PAGES; i++)
        page[i] = pages + i * bytes;
    for (size_t i = 0; i < n_q; i++)
        queries[i] = (kernels_query){ q + i * head_dim, 0, SPANS * KERNELS_SPAN - 1, s + i * state };
    kernels_attn a = { head_dim, 0.125f, 0.0f };
    double best = 1e9;
    for (int r = 0; r < 9; r++) {
        double start = now();
        for (int32_t span = 0; span < SPANS; span++)
            k->attend[kv](&a, page, span, queries, n_q);
        double seconds = now() - start;
        best = seconds < best ? seconds : best;
    }
    mem_free_aligned(pages), mem_free_aligned(q), mem_free_aligned(s);
    return (double)(2 * n_q * head_dim * SPANS * KERNELS_SPAN) / best * 1e-9;
}

static const char *const kv_names[KV_TYPES] = { [KV_F16] = "F16", [KV_F32] = "F32", [KV_Q8] = "Q8" };

static void bench_attend(const kernels *k)
{
    static const size_t dims[] = { 64, 128, 256 };
    for (int kv = 0; kv < KV_TYPES; kv++)
        for (size_t d = 0; d < 3; d++)
            printf("%-9s attention %s, head_dim %3zu, GMAC/s at 1, 2, 4 heads: %6.1f %6.1f %6.1f\n", k->level,
                   kv_names[kv], dims[d], time_attend(k, (enum kernels_kv)kv, dims[d], 1),
                   time_attend(k, (enum kernels_kv)kv, dims[d], 2), time_attend(k, (enum kernels_kv)kv, dims[d], 4));
}

/* ---- decode at depth: one row over the 4096 positions of many KV heads, which no cache holds ---- */

enum { DECODE_SPANS = 8, DECODE_PAGES = DECODE_SPANS * KERNELS_SPAN / KERNELS_PAGE, DECODE_ROUNDS = 9 };

typedef struct decode {
    const kernels *k;
    enum kernels_kv kv;
    size_t head_dim, n_q, heads, page_bytes;
    uint8_t *pages; /* [page][head], as the engine's are */
    float *memory;
    double seconds[DECODE_ROUNDS];
} decode;

/* Processor time of the process: the machine may have other work. */
static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void decode_open(decode *d)
{
    d->page_bytes = kernels_page_bytes(d->kv, d->head_dim);
    d->heads = ((size_t)96 << 20) / (DECODE_PAGES * kernels_page_bytes(KV_F16, d->head_dim));
    d->pages = mem_aligned(64, DECODE_PAGES * d->heads * d->page_bytes);
    d->memory = mem_aligned(64, d->n_q * (2 * d->head_dim + KERNELS_STATE_HEADER) * sizeof(float));
    if (!d->pages || !d->memory)
        exit(1);
    machine_huge_pages(d->pages, DECODE_PAGES * d->heads * d->page_bytes);
    memset(d->pages, 0x2A, DECODE_PAGES * d->heads * d->page_bytes);
    for (size_t i = 0; i < d->n_q * d->head_dim; i++)
        d->memory[i] = (float)(i % 17) - 8.0f;
}

static void decode_once(decode *d, int round)
{
    kernels_attn a = { d->head_dim, 0.125f, 0.0f };
    kernels_query queries[8];
    for (size_t i = 0; i < d->n_q; i++)
        queries[i] = (kernels_query){ d->memory + i * d->head_dim, 0, DECODE_SPANS * KERNELS_SPAN - 1,
                                      d->memory + d->n_q * d->head_dim + i * (d->head_dim + KERNELS_STATE_HEADER) };
    double start = cpu_now();
    for (size_t h = 0; h < d->heads; h++) {
        const void *page[DECODE_PAGES];
        for (size_t i = 0; i < DECODE_PAGES; i++)
            page[i] = d->pages + (i * d->heads + h) * d->page_bytes;
        for (int32_t span = 0; span < DECODE_SPANS; span++)
            d->k->attend[d->kv](&a, page, span, queries, d->n_q);
    }
    d->seconds[round] = (cpu_now() - start) / (double)d->heads;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, DECODE_ROUNDS, sizeof *v, by_value);
    return v[DECODE_ROUNDS / 2];
}

static void bench_decode(const kernels *k)
{
    static const size_t dims[] = { 64, 128 };
    for (size_t i = 0; i < 2; i++)
        for (size_t n_q = 1; n_q <= 4; n_q++) {
            decode d[KV_TYPES];
            for (int kv = 0; kv < KV_TYPES; kv++) {
                d[kv] = (decode){ .k = k, .kv = (enum kernels_kv)kv, .head_dim = dims[i], .n_q = n_q };
                decode_open(&d[kv]);
            }
            for (int round = 0; round < DECODE_ROUNDS; round++)
                for (int j = 0; j < KV_TYPES; j++)
                    decode_once(&d[round & 1 ? KV_TYPES - 1 - j : j], round);
            double base = median(d[KV_F16].seconds);
            printf("%-9s decode over 4096 positions, head_dim %3zu, %zu heads, us a KV head:", k->level, dims[i], n_q);
            for (int kv = 0; kv < KV_TYPES; kv++) {
                double s = median(d[kv].seconds);
                printf("  %s %6.1f (%.2f x F16, %4.1f GB/s)", kv_names[kv], s * 1e6, base / s,
                       (double)(DECODE_PAGES * d[kv].page_bytes) / s * 1e-9);
                mem_free_aligned(d[kv].pages), mem_free_aligned(d[kv].memory);
            }
            printf("\n");
        }
}

int main(int argc, char **argv)
{
    static const unsigned levels[] = { 0, CPU_AVX2, CPU_AVX2 | CPU_AVXVNNI, CPU_AVX2 | CPU_AVX512VL,
                                       CPU_AVX2 | CPU_AVX512, CPU_AVX2 | CPU_AVX512 | CPU_AMX, CPU_NEON,
                                       CPU_NEON | CPU_DOTPROD, CPU_NEON | CPU_DOTPROD | CPU_I8MM };
    static const char *const names[] = { "portable", "avx2", "avxvnni", "avx512vl", "avx512", "amx", "neon", "dotprod",
                                         "i8mm" };
    const char *only = getenv("HEARTH_ISA");
    bool attention_only = argc > 1 && !strcmp(argv[1], "attention");
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if ((cpu_detect() & levels[i]) != levels[i] || (only && *only && strcmp(only, names[i])))
            continue;
        kernels k;
        kernels_init(&k, levels[i]);
        if (!attention_only)
            bench(&k);
        bench_attend(&k);
        if (levels[i])
            bench_decode(&k);
    }
    return 0;
}
