/* machine.c: what the memory and the multipliers of this machine give, measured. */
#include <string.h>

#include "base/mem.h"
#include "fit/fit.h"
#include "kernels/kernels.h"
#include "plat/clock.h"
#include "plat/cpu.h"
#include "plat/pool.h"
#include "quant/quant.h"

enum {
    READ_BYTES = 256 << 20, /* far over any last-level cache of the machines we know */
    READ_BYTES_LEAST = 32 << 20,
    READ_ROUNDS = 6,
};

static double seconds_since(uint64_t start_us)
{
    return (double)(clock_mono_us() - start_us) / 1e6;
}

/* ---- bandwidth ---- */

typedef struct reader {
    const uint64_t *words;
    size_t n;
    volatile uint64_t sums[POOL_MAX_THREADS]; /* so that nobody may leave the reading out */
} reader;

/* Four independent chains in registers, a cache line a step, asked for 4 KiB ahead. (As an array the sums were kept in
 * memory by gcc 12: 17 GB/s on a machine that gives 30; without asking ahead 23, with it 29.) */
typedef uint64_t pair __attribute__((vector_size(16)));

static void read_part(void *arg, int index, int count)
{
    reader *r = arg;
    size_t begin, end;
    pool_part(r->n / 8, index, count, &begin, &end);
    pair a = { 0 }, b = a, c = a, d = a;
    const pair *last = (const pair *)(const void *)(r->words + end * 8);
    for (const pair *w = (const pair *)(const void *)(r->words + begin * 8); w < last; w += 4) {
        __builtin_prefetch((const char *)w + 4096, 0, 2);
        a ^= w[0];
        b ^= w[1];
        c ^= w[2];
        d ^= w[3];
    }
    a ^= b ^ c ^ d;
    r->sums[index] = a[0] ^ a[1];
}

static void touch_part(void *arg, int index, int count)
{
    reader *r = arg;
    size_t begin, end;
    pool_part(r->n, index, count, &begin, &end);
    memset((uint64_t *)(uintptr_t)r->words + begin, 1, (end - begin) * sizeof *r->words);
}

static double best_rate(pool *p, reader *r)
{
    double best = 0;
    for (int i = 0; i < READ_ROUNDS; i++) {
        uint64_t start = clock_mono_us();
        pool_run(p, read_part, r);
        double rate = (double)r->n * 8 / (seconds_since(start) + 1e-9);
        if (rate > best)
            best = rate;
    }
    return best;
}

static status measure_reading(fit_machine *m, pool *p, error *err)
{
    size_t bytes = READ_BYTES;
    while (bytes > READ_BYTES_LEAST && bytes > m->memory.usable_bytes / 8)
        bytes /= 2;
    reader *r = mem_zero(sizeof *r);
    void *memory = mem_aligned(4096, bytes);
    if (!r || !memory) {
        mem_free(r);
        mem_free_aligned(memory);
        return fail(err, E_NOMEM, "no %zu MiB to measure the memory with", bytes >> 20);
    }
    machine_huge_pages(memory, bytes); /* as the weights' */
    r->words = memory;
    r->n = bytes / 8;
    pool_run(p, touch_part, r);
    m->read_bytes_per_s = best_rate(p, r);
    mem_free(r);
    mem_free_aligned(memory);
    return OK;
}

status fit_measure_machine(fit_machine *out, int threads, error *err)
{
    memset(out, 0, sizeof *out);
    machine_read_cpu(&out->cpu);
    machine_read_memory(&out->memory);
    out->threads = threads > 0 ? threads : out->cpu.threads;
    unsigned features;
    status s = cpu_choose(NULL, &features, err);
    if (s)
        return s;
    kernels k;
    kernels_init(&k, features);
    out->isa = k.level;
    out->features = cpu_level_name(features);
    pool *p = NULL;
    s = pool_open(&p, out->threads, err);
    uint64_t start = clock_mono_us();
    if (!s)
        s = measure_reading(out, p, err);
    out->copy_seconds = seconds_since(start);
    pool_close(&p);
    return s;
}

/* ---- multiply-adds ---- */

enum { MUL_COLS = 2048, MUL_PANELS = 8, MUL_TOKENS = 32, MUL_MS = 30 };

typedef struct multiplier {
    const kernels *k;
    uint32_t type;
    const void *panels, *acts;
    size_t act_stride;
    float *out; /* MUL_TOKENS * MUL_PANELS * 16 floats a thread */
    uint64_t rounds[POOL_MAX_THREADS];
} multiplier;

static void multiply(void *arg, int index, int count)
{
    multiplier *m = arg;
    size_t stride = MUL_PANELS * KERNELS_PANEL_ROWS;
    float *out = m->out + (size_t)index * MUL_TOKENS * stride;
    uint64_t start = clock_mono_us();
    (void)count;
    do {
        m->k->mul[m->type](m->panels, MUL_PANELS, MUL_COLS, m->acts, m->act_stride, MUL_TOKENS, out, stride);
        m->rounds[index]++;
    } while (clock_mono_us() - start < MUL_MS * 1000);
}

static status multiply_on_all(const fit_machine *f, multiplier *m, double *macs_per_s, error *err)
{
    pool *p = NULL;
    status s = pool_open(&p, f->threads, err);
    if (s)
        return s;
    pool_run(p, multiply, m); /* warms caches and clocks */
    memset(m->rounds, 0, sizeof m->rounds);
    uint64_t start = clock_mono_us();
    pool_run(p, multiply, m);
    double seconds = seconds_since(start), rounds = 0;
    for (int i = 0; i < f->threads; i++)
        rounds += (double)m->rounds[i];
    pool_close(&p);
    *macs_per_s = rounds * MUL_COLS * MUL_PANELS * KERNELS_PANEL_ROWS * MUL_TOKENS / (seconds + 1e-9);
    return OK;
}

status fit_measure_type(const fit_machine *f, uint32_t type, double *macs_per_s, error *err)
{
    *macs_per_s = 0;
    if (type >= KERNELS_TYPES || !kernels_supports((int)type))
        return OK;
    unsigned features;
    status s = cpu_choose(NULL, &features, err);
    if (s)
        return s;
    kernels k;
    kernels_init(&k, features);
    enum kernels_act format = kernels_act_format((int)type);
    size_t act = kernels_act_bytes(format, MUL_COLS), panel = kernels_panel_bytes((int)type, MUL_COLS);
    size_t out_bytes = (size_t)f->threads * MUL_TOKENS * MUL_PANELS * KERNELS_PANEL_ROWS * sizeof(float);
    void *panels = mem_aligned(64, panel * MUL_PANELS), *acts = mem_aligned(64, act * MUL_TOKENS);
    float *x = mem_array(MUL_COLS, sizeof *x), *out = mem_aligned(64, out_bytes);
    multiplier *m = mem_zero(sizeof *m);
    if (!panels || !acts || !x || !out || !m) {
        s = fail(err, E_NOMEM, "no memory to measure the speed of %s", quant_name(type));
        goto out;
    }
    for (int i = 0; i < MUL_COLS; i++)
        x[i] = (float)(i % 17) - 8.0f;
    for (size_t t = 0; t < MUL_TOKENS; t++)
        k.quantize[format](x, MUL_COLS, (char *)acts + t * act);
    *m = (multiplier){ .k = &k, .type = type, .panels = panels, .acts = acts, .act_stride = act, .out = out };
    s = multiply_on_all(f, m, macs_per_s, err);
out:
    mem_free_aligned(panels);
    mem_free_aligned(acts);
    mem_free_aligned(out);
    mem_free(x);
    mem_free(m);
    return s;
}
