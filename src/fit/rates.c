/* rates.c: the clock around single kernels. */
#include "fit/rates.h"

#include <string.h>

#include "base/mem.h"
#include "kernels/maths.h"
#include "plat/busy.h"
#include "plat/clock.h"
#include "plat/machine.h"

const uint32_t fit_few[FIT_FEW] = { 4, 16 };
const uint32_t fit_cols[FIT_COLS] = { 512, 4096 }, fit_block_cols[FIT_COLS] = { 1024, 8192 };
const uint32_t fit_head_dims[FIT_HEAD_DIMS] = { 64, 128, 256 };

enum {
    WINDOW_US = 2000,
    PASSES = 3,         /* over everything, so that the windows of a rate lie a second apart */
    PASSES_US = 4000000, /* no further pass begins after so long */
    WAITS = 6,
    PANELS = 32,        /* of one call: a thread's share of a matrix of 1024 rows on two threads */
    BLOCK_PANELS = 4,   /* as many as the forward pass gives a kernel with a block of tokens */
    COLS_MAX = 8192,
    QUERIES = 32,       /* of a prompt's tile */
    PAGES = 64,         /* 4096 positions */
    VALUES = 2048,      /* of a row that is normed */
    ROWS = 32,          /* as many, one after the other: what a block of tokens leaves in the second level */
    BARRIERS = 256,
    HANDED_BYTES = ROWS * VALUES * 4,
    HAND_ROUNDS = 16,
    READ_BYTES = 64 << 10,
    FILL = 0x2A,        /* as scales and as floats: small and ordinary */
};

/* What one measurement does, again and again, on every thread. */
typedef struct task task;
typedef double step(task *t, int index, uint64_t round); /* answers how many units it did */
struct task {
    const fit_measuring *how;
    step *step;
    char *block, *memory; /* FILLed; each thread has a part of `set / threads` bytes */
    uint64_t set;
    int type;           /* of weights; or the kind of activation, or of keys and values */
    uint32_t cols, tokens, panels, queries;
    char *acts;         /* [tokens], quantised */
    size_t act_bytes;
    float *own;         /* own_floats a thread: rows of values, outputs of a block, states of queries */
    size_t own_floats;
    volatile uint64_t sums[POOL_MAX_THREADS]; /* so that nobody may leave the reading out */
    uint64_t rounds[POOL_MAX_THREADS];        /* go on over windows: where a thread is in its part */
    double units[POOL_MAX_THREADS], seconds[POOL_MAX_THREADS];
};

static double seconds_since(uint64_t start_us)
{
    return (double)(clock_mono_us() - start_us) / 1e6;
}

static void window(void *arg, int index, int count)
{
    task *t = arg;
    double units = 0;
    (void)count;
    pool_barrier(t->how->p);
    uint64_t start = clock_mono_us();
    do
        units += t->step(t, index, t->rounds[index]++);
    while (clock_mono_us() - start < WINDOW_US);
    t->seconds[index] = seconds_since(start);
    t->units[index] = units;
}

/* Seconds a unit, of one thread. */
static double measure(task *t)
{
    double seconds = 0, units = 0, slowest = 0;
    pool_run(t->how->p, window, t);
    for (int i = 0; i < pool_threads(t->how->p); i++) {
        double own = t->seconds[i] / t->units[i];
        seconds += t->seconds[i];
        units += t->units[i];
        slowest = own > slowest ? own : slowest;
    }
    return t->how->uneven ? slowest : seconds / units;
}

/* Where round `round` of this thread reads n bytes: one after the other through its part. */
static char *part_at(const task *t, int index, uint64_t round, size_t n)
{
    size_t part = t->set / (size_t)pool_threads(t->how->p) / 64 * 64, pieces = part / n;
    return t->memory + (size_t)index * part + (pieces ? round % pieces : 0) * n;
}

/* ---- reading ---- */

/* Four independent chains in registers, a cache line a step, asked for 4 KiB ahead. (As an array the sums were kept in
 * memory by gcc 12: 17 GB/s on a machine that gives 30; without asking ahead 23, with it 29.) */
typedef uint64_t pair __attribute__((vector_size(16)));

static uint64_t sum_of(const char *from, size_t bytes)
{
    pair a = { 0 }, b = a, c = a, d = a;
    const pair *w = (const pair *)(const void *)from;
    for (const pair *last = w + bytes / sizeof *w; w < last; w += 4) {
        __builtin_prefetch((const char *)w + 4096, 0, 2);
        a ^= w[0];
        b ^= w[1];
        c ^= w[2];
        d ^= w[3];
    }
    a ^= b ^ c ^ d;
    return a[0] ^ a[1];
}

static double read_step(task *t, int index, uint64_t round)
{
    t->sums[index] += sum_of(part_at(t, index, round, READ_BYTES), READ_BYTES);
    return READ_BYTES;
}

static uint64_t place_bytes(const fit_measuring *how, enum fit_place place)
{
    uint64_t threads = (uint64_t)pool_threads(how->p), l2 = how->l2 ? how->l2 : 256 << 10;
    return place == FIT_L2 ? threads * l2 / 2 : place == FIT_L3 ? how->l3 / 2 : how->bytes;
}

/* A machine without a last level, or whose second levels together hold as much, has two places. */
static bool has_place(const fit_measuring *how, enum fit_place place)
{
    return place != FIT_L3 || how->l3 / 2 > place_bytes(how, FIT_L2);
}

static void measure_reading(fit_rates *r, task *t)
{
    t->step = read_step;
    for (int place = FIT_PLACES; place-- > 0;) {
        t->set = place_bytes(t->how, (enum fit_place)place);
        r->read_bytes_per_s[place] = has_place(t->how, (enum fit_place)place) ? pool_threads(t->how->p) / measure(t)
                                                                              : r->read_bytes_per_s[place + 1];
    }
}

/* ---- products ---- */

static double multiply_step(task *t, int index, uint64_t round)
{
    size_t panel = kernels_panel_bytes(t->type, t->cols);
    const char *weights = part_at(t, index, round, panel * t->panels);
    t->how->k->mul[t->type](weights, t->panels, t->cols, t->acts, t->act_bytes, t->tokens,
                            t->own + (size_t)index * t->own_floats, (size_t)t->panels * KERNELS_PANEL_ROWS);
    return (double)(panel * t->panels);
}

/* Seconds a byte of weights. */
static double measure_product(task *t, uint32_t cols, uint32_t tokens, enum fit_place place)
{
    enum kernels_act format = kernels_act_format(t->type);
    float *x = t->own;
    t->step = multiply_step;
    t->cols = cols;
    t->tokens = tokens;
    t->set = place_bytes(t->how, place);
    t->act_bytes = kernels_act_bytes(format, cols);
    size_t panel = kernels_panel_bytes(t->type, cols), most = t->set / (size_t)pool_threads(t->how->p) / panel;
    t->panels = tokens == FIT_BLOCK ? BLOCK_PANELS : PANELS;
    if (t->panels > most)
        t->panels = most ? (uint32_t)most : 1;
    for (uint32_t i = 0; i < cols; i++)
        x[i] = (float)(i % 17) - 8.0f;
    for (uint32_t i = 0; i < tokens; i++)
        t->how->k->quantize[format](x, cols, t->acts + i * t->act_bytes);
    return measure(t);
}

static void measure_type(fit_rates *r, task *t, int type)
{
    t->type = type;
    for (int i = 0; i < FIT_COLS; i++) {
        for (int place = FIT_PLACES; place-- > 0;)
            r->one[type][place][i] = has_place(t->how, (enum fit_place)place)
                                         ? measure_product(t, fit_cols[i], 1, (enum fit_place)place)
                                         : r->one[type][place + 1][i];
        for (int n = 0; n < FIT_FEW; n++)
            r->few[type][n][i] = measure_product(t, fit_cols[i], fit_few[n], FIT_MEMORY);
        r->block[type][i] = measure_product(t, fit_block_cols[i], FIT_BLOCK, FIT_MEMORY);
    }
}

/* ---- attention ---- */

/* One KV head over 4096 positions, its pages as far apart as the engine's are: [page][head]. */
static double attend_step(task *t, int index, uint64_t round)
{
    const size_t page_bytes = kernels_page_bytes((enum kernels_kv)t->type, t->cols);
    const uint32_t pages = t->set > (uint64_t)PAGES * page_bytes ? PAGES : KERNELS_SPAN / KERNELS_PAGE;
    const uint64_t all = t->set / (pages * page_bytes), heads = all > 1 ? all - 1 : 1; /* no power of two apart */
    const uint64_t threads = (uint64_t)pool_threads(t->how->p);
    const uint64_t head = (round * threads + (uint64_t)index) % heads;
    const kernels_attn a = { t->cols, 0.125f, 0.0f };
    const void *page[PAGES];
    kernels_query queries[QUERIES];
    float *own = t->own + (size_t)index * t->own_floats;
    for (uint32_t i = 0; i < pages; i++)
        page[i] = t->memory + (i * heads + head) * page_bytes;
    for (uint32_t i = 0; i < t->queries; i++, own += t->cols + KERNELS_STATE_HEADER)
        queries[i] = (kernels_query){ (const float *)(const void *)t->acts, 0, (int32_t)(pages * KERNELS_PAGE) - 1,
                                        own };
    for (uint32_t span = 0; span < pages * KERNELS_PAGE / KERNELS_SPAN; span++)
        t->how->k->attend[t->type](&a, page, (int32_t)span, queries, t->queries);
    return pages * KERNELS_PAGE;
}

static double measure_attend(task *t, uint32_t head_dim, uint32_t queries, uint64_t set)
{
    t->step = attend_step;
    t->cols = head_dim;
    t->queries = queries;
    t->set = set;
    return measure(t);
}

static void measure_attention(fit_rates *r, task *t, int kv)
{
    t->type = kv;
    memset(t->acts, 0, COLS_MAX * sizeof(float));
    for (int i = 0; i < FIT_HEAD_DIMS; i++) {
        uint32_t d = fit_head_dims[i];
        r->attend_one[kv][i] = measure_attend(t, d, 1, t->how->bytes);
        r->attend_four[kv][i] = measure_attend(t, d, 4, t->how->bytes);
        r->attend_near[kv][i] = measure_attend(t, d, QUERIES, 1) / QUERIES;
        r->attend_again[kv][i] = measure_attend(t, d, 1, 1);
    }
}

/* ---- what is done to rows of values ---- */

/* Row i of a thread, VALUES floats; row ROWS is for what comes out. */
static float *row_of(const task *t, int index, int i)
{
    return t->own + (size_t)index * t->own_floats + (size_t)i * VALUES;
}

static double quantise_step(task *t, int index, uint64_t round)
{
    (void)round;
    for (int i = 0; i < ROWS; i++)
        t->how->k->quantize[t->type](row_of(t, index, i), VALUES, row_of(t, index, ROWS));
    return ROWS * VALUES;
}

static double norm_step(task *t, int index, uint64_t round)
{
    float *to = row_of(t, index, ROWS);
    (void)round;
    for (int i = 0; i + 1 < ROWS; i += 2) {
        t->how->k->add(row_of(t, index, i), row_of(t, index, i + 1), VALUES, to);
        t->how->k->rms_norm(to, row_of(t, index, 0), VALUES, 1e-6f, to);
    }
    return ROWS / 2 * VALUES;
}

static double silu_step(task *t, int index, uint64_t round)
{
    (void)round;
    for (int i = 0; i + 1 < ROWS; i += 2)
        t->how->k->silu_mul(row_of(t, index, i), row_of(t, index, i + 1), VALUES, row_of(t, index, ROWS));
    return ROWS / 2 * VALUES;
}

static double gelu_step(task *t, int index, uint64_t round)
{
    (void)round;
    for (int i = 0; i + 1 < ROWS; i += 2)
        t->how->k->gelu_mul(row_of(t, index, i), row_of(t, index, i + 1), VALUES, row_of(t, index, ROWS));
    return ROWS / 2 * VALUES;
}

static double rope_step(task *t, int index, uint64_t round)
{
    (void)round;
    for (int i = 0; i < ROWS * VALUES / 64; i++)
        t->how->k->rope_neox(row_of(t, index, 0) + i * 64, row_of(t, index, ROWS), 64);
    return ROWS * VALUES;
}

static double angle_step(task *t, int index, uint64_t round)
{
    double sine, cosine;
    for (int i = 0; i < VALUES; i++) {
        kernels_sincos((double)(round * VALUES) + i, &sine, &cosine);
        t->sums[index] += (uint64_t)(cosine > sine);
    }
    return VALUES;
}

static double store_step(task *t, int index, uint64_t round)
{
    const float *x = row_of(t, index, 0);
    (void)round;
    for (int i = 0; i < ROWS * KERNELS_PAGE; i++)
        t->how->k->kv_store[t->type](row_of(t, index, 1), 64, i % KERNELS_PAGE, x, x + 64);
    return 2.0 * 64 * ROWS * KERNELS_PAGE;
}

static void measure_rows(fit_rates *r, task *t)
{
    static const struct {
        step *step;
        size_t at;
    } kinds[] = {
        { norm_step, offsetof(fit_rates, norm) },
        { silu_step, offsetof(fit_rates, silu) },
        { gelu_step, offsetof(fit_rates, gelu) },
        { rope_step, offsetof(fit_rates, rope) },
        { angle_step, offsetof(fit_rates, angle) },
    };
    for (size_t i = 0; i < t->own_floats * (size_t)pool_threads(t->how->p); i++)
        t->own[i] = (float)(i % 17) * 0.25f - 2.0f;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        t->step = kinds[i].step;
        *(double *)(void *)((char *)r + kinds[i].at) = measure(t);
    }
    t->step = quantise_step;
    for (t->type = 0; t->type < ACT_FORMATS; t->type++)
        r->quantise[t->type] = measure(t);
    t->step = store_step;
    for (t->type = 0; t->type < KV_TYPES; t->type++)
        r->store[t->type] = measure(t);
}

/* ---- waiting for each other ---- */

static void barriers(void *arg, int index, int count)
{
    task *t = arg;
    (void)index;
    (void)count;
    for (int i = 0; i < BARRIERS; i++)
        pool_barrier(t->how->p);
}

/* Every thread writes its rows, then reads those of the next one. */
static void hand_over(void *arg, int index, int count)
{
    task *t = arg;
    t->seconds[index] = 0;
    for (int round = 0; round < HAND_ROUNDS; round++) {
        memset(row_of(t, index, 0), FILL, HANDED_BYTES);
        pool_barrier(t->how->p);
        uint64_t start = clock_mono_us();
        t->sums[index] += sum_of((const char *)row_of(t, (index + 1) % count, 0), HANDED_BYTES);
        double seconds = seconds_since(start);
        if (round == 0 || seconds < t->seconds[index])
            t->seconds[index] = seconds;
        pool_barrier(t->how->p);
    }
}

static void nothing(void *arg, int index, int count)
{
    (void)arg;
    (void)index;
    (void)count;
}

static void measure_waiting(fit_rates *r, task *t)
{
    if (pool_threads(t->how->p) > 1) {
        pool_run(t->how->p, hand_over, t);
        r->handed = t->seconds[0] / HANDED_BYTES;
    }
    r->barrier = r->run = 1;
    for (int w = 0; w < WAITS; w++) {
        uint64_t start = clock_mono_us();
        pool_run(t->how->p, barriers, t);
        double barrier = seconds_since(start) / BARRIERS;
        start = clock_mono_us();
        for (int i = 0; i < BARRIERS; i++)
            pool_run(t->how->p, nothing, t);
        double run = seconds_since(start) / BARRIERS;
        r->barrier = barrier < r->barrier ? barrier : r->barrier;
        r->run = run < r->run ? run : r->run;
    }
}

/* ---- all of it ---- */

static void fill_part(void *arg, int index, int count)
{
    task *t = arg;
    size_t begin, end;
    pool_part(t->how->bytes, index, count, &begin, &end);
    memset(t->memory + begin, FILL, end - begin);
}

static void measure_once(fit_rates *r, task *t)
{
    memset(r, 0, sizeof *r);
    measure_reading(r, t);
    for (int type = 0; type < KERNELS_TYPES; type++)
        if (kernels_supports(type))
            measure_type(r, t, type);
    for (int kv = 0; kv < KV_TYPES; kv++)
        measure_attention(r, t, kv);
    measure_rows(r, t);
    measure_waiting(r, t);
}

/* The middle one of n rates, each in a struct of its own. */
static double middle_of(const fit_rates *passes, int n, size_t i)
{
    double each[PASSES];
    for (int k = 0; k < n; k++) {
        double rate = ((const double *)(const void *)&passes[k])[i];
        int at = k;
        for (; at > 0 && each[at - 1] > rate; at--)
            each[at] = each[at - 1];
        each[at] = rate;
    }
    return each[n / 2];
}

/* A machine's speed drifts within seconds (clock, neighbours on its host): windows right behind each other agree on
 * what is gone a second later. */
static void measure_everything(fit_rates *r, task *t)
{
    fit_rates passes[PASSES];
    uint64_t start = clock_mono_us();
    int n = 0;
    do
        measure_once(&passes[n++], t);
    while (n < PASSES && clock_mono_us() - start < PASSES_US);
    for (size_t i = 0; i < sizeof *r / sizeof(double); i++)
        ((double *)(void *)r)[i] = middle_of(passes, n, i);
}

static status with_memory(fit_rates *out, const fit_measuring *how, void (*what)(fit_rates *, task *), error *err)
{
    size_t threads = (size_t)pool_threads(how->p);
    task *t = mem_zero(sizeof *t);
    if (!t)
        return fail(err, E_NOMEM, "no memory to measure with");
    t->how = how;
    t->own_floats = (ROWS + 2) * VALUES + 16;
    t->block = mem_zero(how->bytes + 64);
    size_t act_bytes = kernels_act_bytes(ACT_F32, COLS_MAX); /* the longest */
    t->acts = mem_aligned(64, FIT_BLOCK * act_bytes);
    t->own = mem_aligned(64, threads * t->own_floats * sizeof *t->own);
    status s = t->block && t->acts && t->own ? OK : fail(err, E_NOMEM, "no %llu MiB to measure the machine with",
                                                         (unsigned long long)(how->bytes >> 20));
    if (!s) {
        t->memory = (char *)(((uintptr_t)t->block + 63) / 64 * 64);
        machine_huge_pages(t->memory, how->bytes); /* as the weights' */
        pool_run(how->p, fill_part, t);
        what(out, t);
    }
    mem_free(t->block);
    mem_free_aligned(t->acts);
    mem_free_aligned(t->own);
    mem_free(t);
    return s;
}

status fit_rates_measure(fit_rates *out, const fit_measuring *how, error *err)
{
    busy_meter busy;
    busy_begin(&busy, NULL, 0);
    status s = with_memory(out, how, measure_everything, err);
    double others = busy_others(&busy, NULL, 0);
    if (!s)
        out->others = others > 0 ? others : 0;
    return s;
}

status fit_rates_measure_reading(fit_rates *out, const fit_measuring *how, error *err)
{
    return with_memory(out, how, measure_reading, err);
}
