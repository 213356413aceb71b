/* prices.c: the clock around the product of each type: the processor time of the threads, as others may be at work. */
#include "pack/prices.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "plat/clock.h"
#include "plat/machine.h"
#include "quant/quant.h"

enum {
    WINDOW_NS = 2000000,
    PASSES = 5,        /* over all types */
    PASSES_US = 1500000, /* no further pass begins after so long */
    COLS = 1024,
    PANELS = 32,       /* of one call with one token: a thread's share of a matrix of 1024 rows on two threads */
    BLOCK_PANELS = 4,  /* with more: as many as the forward pass gives a kernel */
    BYTES_LEAST = 64 << 20,
    BYTES_MOST = 1 << 30,
    FILL = 0x2A,       /* as scales and as floats: small and ordinary */
};

typedef struct measuring {
    const kernels *k;
    pool *p;
    char *weights;     /* each thread reads its part, again and again */
    size_t bytes, act_bytes;
    char *acts;        /* [PRICES_TOKENS] */
    float *outs;       /* a block for each thread */
    int type;
    size_t n_tokens, n_panels;
    size_t rounds[POOL_MAX_THREADS]; /* where a thread is in its part; goes on over windows */
    double products[POOL_MAX_THREADS], ns[POOL_MAX_THREADS]; /* of this window: weights times tokens */
} measuring;

enum { OUT_FLOATS = PRICES_TOKENS * PANELS * KERNELS_PANEL_ROWS };

static int64_t thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void window(void *arg, int index, int count)
{
    measuring *m = arg;
    size_t call = kernels_panel_bytes(m->type, COLS) * m->n_panels, part = m->bytes / (size_t)count / 64 * 64;
    const char *weights = m->weights + (size_t)index * part;
    double products = 0;
    pool_barrier(m->p);
    int64_t start = thread_ns(), ns;
    do {
        size_t at = m->rounds[index]++ % (part / call) * call;
        m->k->mul[m->type](weights + at, m->n_panels, COLS, m->acts, m->act_bytes, m->n_tokens,
                           m->outs + (size_t)index * OUT_FLOATS, m->n_panels * KERNELS_PANEL_ROWS);
        products += (double)(m->n_panels * KERNELS_PANEL_ROWS * COLS * m->n_tokens);
        ns = thread_ns() - start;
    } while (ns < WINDOW_NS);
    m->products[index] = products;
    m->ns[index] = (double)ns;
}

/* Nanoseconds of all threads together. */
static double time_product(measuring *m, size_t n_tokens, size_t n_panels)
{
    double products = 0, ns = 0;
    m->n_tokens = n_tokens;
    m->n_panels = n_panels;
    pool_run(m->p, window, m);
    for (int i = 0; i < pool_threads(m->p); i++) {
        products += m->products[i];
        ns += m->ns[i];
    }
    return ns / products / pool_threads(m->p);
}

static bool is_priced(int type)
{
    const quant_traits *t = quant_find((uint32_t)type);
    return kernels_supports(type) && t && t->encode;
}

static void measure_type(measuring *m, int type, double *decode, double *prefill)
{
    enum kernels_act format = kernels_act_format(type);
    float x[COLS];
    for (int i = 0; i < COLS; i++)
        x[i] = (float)(i % 17) - 8.0f;
    m->type = type;
    m->act_bytes = kernels_act_bytes(format, COLS);
    for (size_t t = 0; t < PRICES_TOKENS; t++)
        m->k->quantize[format](x, COLS, m->acts + t * m->act_bytes);
    *decode = time_product(m, 1, PANELS);
    *prefill = time_product(m, PRICES_TOKENS, BLOCK_PANELS);
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

static void measure(measuring *m, prices *out)
{
    double decode[KERNELS_TYPES][PASSES] = { { 0 } }, prefill[KERNELS_TYPES][PASSES] = { { 0 } };
    uint64_t start = clock_mono_us();
    size_t n = 0;
    for (; n < PASSES && (!n || clock_mono_us() - start < PASSES_US); n++)
        for (int type = 0; type < KERNELS_TYPES; type++)
            if (is_priced(type))
                measure_type(m, type, &decode[type][n], &prefill[type][n]);
    for (int type = 0; type < KERNELS_TYPES; type++) {
        out->decode[type] = median(decode[type], n);
        out->prefill[type] = median(prefill[type], n);
    }
}

static void fill_part(void *arg, int index, int count)
{
    measuring *m = arg;
    size_t begin, end;
    pool_part(m->bytes, index, count, &begin, &end);
    memset(m->weights + begin, FILL, end - begin);
}

/* More than the caches hold, and for each thread at least one call. */
static size_t bytes_to_measure_with(int n_threads)
{
    machine_cpu cpu;
    machine_memory memory;
    machine_read_cpu(&cpu);
    machine_read_memory(&memory);
    size_t bytes = BYTES_LEAST, least = (size_t)n_threads * PANELS * kernels_panel_bytes(QUANT_F32, COLS);
    while (bytes < 2 * cpu.l3_bytes && bytes < BYTES_MOST)
        bytes *= 2;
    while (bytes > memory.usable_bytes / 8 && bytes / 2 >= least)
        bytes /= 2;
    return bytes > least ? bytes : least;
}

status prices_measure(prices *out, const kernels *k, pool *p, error *err)
{
    measuring *m = mem_zero(sizeof *m);
    size_t threads = (size_t)pool_threads(p);
    if (!m)
        return fail(err, E_NOMEM, "no memory to measure products with");
    m->k = k;
    m->p = p;
    m->bytes = bytes_to_measure_with(pool_threads(p));
    m->weights = mem_aligned(64, m->bytes);
    m->acts = mem_aligned(64, PRICES_TOKENS * kernels_act_bytes(ACT_F32, COLS));
    m->outs = mem_aligned(64, threads * OUT_FLOATS * sizeof *m->outs);
    status s = m->weights && m->acts && m->outs
                   ? OK
                   : fail(err, E_NOMEM, "no memory to measure products with: %zu bytes", m->bytes);
    if (!s) {
        machine_huge_pages(m->weights, m->bytes);
        pool_run(p, fill_part, m);
        measure(m, out);
    }
    mem_free_aligned(m->weights);
    mem_free_aligned(m->acts);
    mem_free_aligned(m->outs);
    mem_free(m);
    return s;
}
