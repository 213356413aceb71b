/* speed.c: the clock around the engine. */
#include "fit/speed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gguf/gguf.h"
#include "plat/clock.h"
#include "plat/footprint.h"
#include "plat/proc.h"

void speed_options_init(speed_options *o)
{
    *o = (speed_options){ .depths = { 0, 1024, 4096, 8192 }, .n_depths = 4, .batches = { 1, 4, 8 }, .n_batches = 3,
                          .repeat = 5, .n_prefill = 512, .n_decode = 32 };
}

typedef struct bench {
    engine *e;
    session *s;
    const speed_options *o;
    const fit_machine *machine;
    int32_t *tokens;     /* [context] */
    engine_row *rows;    /* [SPEED_BATCH_MAX] */
    const float **logits; /* [SPEED_BATCH_MAX] */
    double rates[SPEED_REPEAT_MAX];
} bench;

static double seconds_since(uint64_t start_us)
{
    return (double)(clock_mono_us() - start_us + 1) / 1e6;
}

/* Some token: neither constant nor in order. */
static int32_t token_at(const engine *e, uint32_t i)
{
    return (int32_t)((i * 2654435761u >> 7) % engine_get_info(e)->n_vocab);
}

static status tell(const speed_options *o, error *err, const char *what, uint32_t n)
{
    char text[64];
    snprintf(text, sizeof text, what, n);
    if (o->progress && o->progress(o->user, text))
        return fail(err, E_CANCELLED, "stopped");
    return OK;
}

static bool stop_feeding(void *user, uint32_t done, uint32_t total)
{
    const speed_options *o = user;
    char text[64];
    snprintf(text, sizeof text, "filling the context, %u of %u", done, total);
    return o->progress && o->progress(o->user, text);
}

/* Drops or appends tokens until the session has `length` of them. */
static status fill(bench *b, uint32_t length, error *err)
{
    uint32_t have = session_truncate(b->s, length);
    const float *logits;
    if (have == length)
        return OK;
    return session_feed(b->s, b->tokens + have, length - have, &logits, stop_feeding, (void *)(uintptr_t)b->o, err);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* limit, expected 0: none. */
static speed_rate rate_of(double *rates, uint32_t n, double limit, double expected)
{
    qsort(rates, n, sizeof *rates, by_value);
    double middle = (rates[(n - 1) / 2] + rates[n / 2]) / 2;
    return (speed_rate){ middle, rates[0], rates[n - 1], limit > 0 ? middle / limit : 0, expected };
}

/* ---- one session ---- */

static status time_prefill(bench *b, uint32_t depth, uint32_t n, double *rate, error *err)
{
    const float *logits;
    status s = fill(b, depth, err);
    uint64_t start = clock_mono_us();
    if (!s)
        s = session_feed(b->s, b->tokens + depth, n, &logits, NULL, NULL, err);
    *rate = n / seconds_since(start);
    return s;
}

static status time_decode(bench *b, uint32_t depth, uint32_t n, double *rate, error *err)
{
    const float *logits;
    status s = fill(b, depth, err);
    uint64_t start = 0;
    for (uint32_t i = 0; !s && i <= n; i++) { /* the first one warms up */
        if (i == 1)
            start = clock_mono_us();
        engine_row row = { b->s, b->tokens[depth + i], depth + i, true };
        s = engine_step(b->e, &row, 1, &logits, err);
    }
    *rate = n / seconds_since(start);
    return s;
}

typedef status timer(bench *b, uint32_t at, uint32_t n, double *rate, error *err);

static status repeat(bench *b, timer *t, uint32_t at, uint32_t n, double limit, double expected, speed_rate *out,
                     error *err)
{
    status s = OK;
    for (uint32_t i = 0; !s && i < b->o->repeat; i++)
        s = t(b, at, n, &b->rates[i], err);
    if (!s)
        *out = rate_of(b->rates, b->o->repeat, limit, expected);
    return s;
}

/* Prefill once into pages that were never used, so that the measurements find them as a running server does. */
static status measure_depths(bench *b, speed_result *r, error *err)
{
    const engine_budget *budget = engine_memory(b->e);
    status s = fill(b, b->o->n_prefill < budget->context ? b->o->n_prefill : budget->context, err);
    for (uint32_t i = 0; !s && i < r->n_depths; i++) {
        speed_depth *d = &r->depths[i];
        uint64_t positions = d->depth + b->o->n_decode / 2;
        double bytes = (double)(budget->token_bytes + engine_kv_read_bytes(budget, positions));
        const uint32_t n = b->o->n_prefill;
        fit_step prefill = fit_expect_prefill(&r->model.work, b->machine, n, d->depth);
        fit_step decode = fit_expect_decode(&r->model.work, b->machine, 1, positions);
        s = fill(b, d->depth, err);
        if (!s)
            s = tell(b->o, err, "prefill at %u", d->depth);
        if (!s)
            s = repeat(b, time_prefill, d->depth, n, n / (prefill.memory_s + prefill.multiply_s),
                       n / fit_step_seconds(&prefill), &d->prefill, err);
        if (!s)
            s = tell(b->o, err, "decode at %u", d->depth);
        if (!s)
            s = repeat(b, time_decode, d->depth, b->o->n_decode, r->read_bytes_per_s / bytes,
                       1 / fit_step_seconds(&decode), &d->decode, err);
    }
    return s;
}

static status measure_first_token(bench *b, speed_result *r, error *err)
{
    speed_rate rate;
    status s = tell(b->o, err, "first token of a prompt of %u", SPEED_PROMPT);
    if (!s)
        s = repeat(b, time_prefill, 0, SPEED_PROMPT, 0, 0, &rate, err);
    if (!s)
        r->first_token_s = SPEED_PROMPT / rate.median;
    return s;
}

/* ---- several sessions ---- */

static status step_all(bench *b, session **all, uint32_t n, uint32_t position, error *err)
{
    for (uint32_t i = 0; i < n; i++)
        b->rows[i] = (engine_row){ all[i], token_at(b->e, position * n + i), position, true };
    return engine_step(b->e, b->rows, n, b->logits, err);
}

static status time_together(bench *b, session **all, uint32_t n, double *rate, error *err)
{
    status s = OK;
    for (uint32_t i = 0; i < n; i++)
        session_truncate(all[i], SPEED_PROMPT);
    uint64_t start = clock_mono_us();
    for (uint32_t i = 0; !s && i < b->o->n_decode; i++)
        s = step_all(b, all, n, SPEED_PROMPT + i, err);
    *rate = (double)n * b->o->n_decode / seconds_since(start);
    return s;
}

static status measure_batch(bench *b, const fit_work *w, speed_batch *out, error *err)
{
    session *all[SPEED_BATCH_MAX] = { NULL };
    uint32_t n = out->sequences;
    fit_step step = fit_expect_decode(w, b->machine, n, SPEED_PROMPT + b->o->n_decode / 2);
    status s = tell(b->o, err, "%u sequences at once", n);
    for (uint32_t i = 0; !s && i < n; i++)
        s = session_open(&all[i], b->e, err);
    for (uint32_t p = 0; !s && p < SPEED_PROMPT; p++)
        s = step_all(b, all, n, p, err);
    for (uint32_t i = 0; !s && i < b->o->repeat; i++)
        s = time_together(b, all, n, &b->rates[i], err);
    if (!s)
        out->decode = rate_of(b->rates, b->o->repeat, 0, n / fit_step_seconds(&step));
    for (uint32_t i = 0; i < n; i++)
        session_close(&all[i]);
    return s;
}

/* ---- opening and closing ---- */

static status check_options(const speed_options *o, error *err)
{
    bool ok = o->n_depths <= SPEED_ROWS && o->n_batches <= SPEED_ROWS && o->repeat >= 1 &&
              o->repeat <= SPEED_REPEAT_MAX && o->n_prefill >= 1 && o->n_prefill <= 4096 && o->n_decode >= 1 &&
              o->n_decode <= 4096;
    for (uint32_t i = 0; ok && i < o->n_depths; i++)
        ok = o->depths[i] <= SPEED_DEPTH_MAX;
    for (uint32_t i = 0; ok && i < o->n_batches; i++)
        ok = o->batches[i] >= 1 && o->batches[i] <= SPEED_BATCH_MAX;
    return ok ? OK : fail(err, E_RANGE, "what to measure is out of range: depths to %d, 1 to %d sequences, 1 to %d "
                          "repeats", SPEED_DEPTH_MAX, SPEED_BATCH_MAX, SPEED_REPEAT_MAX);
}

static int by_depth(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The depths that this context has room for, ascending, each once. */
static void choose_depths(const speed_options *o, uint32_t context, speed_result *r)
{
    uint32_t depths[SPEED_ROWS], room = o->n_prefill > o->n_decode + 1 ? o->n_prefill : o->n_decode + 1;
    for (uint32_t i = 0; i < o->n_depths; i++)
        depths[i] = o->depths[i] + room <= context ? o->depths[i] : context - room;
    qsort(depths, o->n_depths, sizeof *depths, by_depth);
    for (uint32_t i = 0; i < o->n_depths; i++) {
        if (i == 0 || depths[i] != depths[i - 1])
            r->depths[r->n_depths++] = (speed_depth){ .depth = depths[i] };
    }
}

/* A context for the deepest measurement, and pages for it and for the most sequences at once. */
static status choose_sizes(const char *path, const speed_options *o, engine_options *eo, speed_result *r, error *err)
{
    static const fit_machine unmeasured = { 0 };
    uint32_t room = o->n_prefill > o->n_decode + 1 ? o->n_prefill : o->n_decode + 1, want = room, most = 0;
    for (uint32_t i = 0; i < o->n_depths; i++)
        want = o->depths[i] + room > want ? o->depths[i] + room : want;
    for (uint32_t i = 0; i < o->n_batches; i++)
        most = o->batches[i] > most ? o->batches[i] : most;
    status s = fit_model_file(path, eo, &unmeasured, &r->model, err);
    if (s)
        return s;
    uint32_t limit = eo->context ? eo->context : r->model.context_train;
    eo->context = want < limit || !limit ? want : limit;
    if (eo->context < room || eo->context < SPEED_PROMPT + o->n_decode)
        return fail(err, E_RANGE, "%s: a context of %u positions is too small to measure %u tokens at once", path,
                    eo->context, room > SPEED_PROMPT + o->n_decode ? room : SPEED_PROMPT + o->n_decode);
    uint64_t each = (SPEED_PROMPT + o->n_decode) / 64 + 1, pages = eo->context / 64 + 1 + each * most;
    eo->n_sessions = most + 1;
    eo->rewind = room; /* to measure again and again from the same depth */
    s = fit_model_file(path, eo, &unmeasured, &r->model, err);
    if (s)
        return s;
    eo->kv_bytes = engine_kv_bytes(&r->model.budget, pages, eo->n_sessions);
    choose_depths(o, eo->context, r);
    return OK;
}

static status open_engine(engine **out, const char *path, const engine_options *eo, error *err)
{
    gguf *g = NULL;
    status s = gguf_open(&g, path, err);
    return s ? s : engine_open(out, g, eo, err);
}

static status open_bench(bench *b, const engine_options *eo, speed_result *r, error *err)
{
    const engine_info *i = engine_get_info(b->e);
    uint32_t most = 0;
    for (uint32_t k = 0; k < b->o->n_batches; k++)
        most = b->o->batches[k] > most ? b->o->batches[k] : most;
    if (most > engine_logit_rows(b->e))
        return fail(err, E_RANGE, "%u sequences at once: this model can do %u", most, engine_logit_rows(b->e));
    b->tokens = mem_array(eo->context, sizeof *b->tokens);
    b->rows = mem_array(SPEED_BATCH_MAX, sizeof *b->rows);
    b->logits = mem_array(SPEED_BATCH_MAX, sizeof *b->logits);
    if (!b->tokens || !b->rows || !b->logits)
        return fail(err, E_NOMEM, "no memory to measure with");
    for (uint32_t k = 0; k < eo->context; k++)
        b->tokens[k] = token_at(b->e, k);
    r->threads = i->n_threads;
    snprintf(r->isa, sizeof r->isa, "%s", i->isa);
    snprintf(r->numerics, sizeof r->numerics, "%s", i->numerics);
    snprintf(r->kv_type, sizeof r->kv_type, "%s", engine_kv_name(i->kv_type));
    return session_open(&b->s, b->e, err);
}

static void close_bench(bench *b)
{
    session_close(&b->s);
    engine_close(&b->e);
    mem_free(b->tokens);
    mem_free(b->rows);
    mem_free((void *)b->logits);
    mem_free(b);
}

static status measure_all(bench *b, speed_result *r, error *err)
{
    status s = measure_depths(b, r, err);
    if (!s)
        s = measure_first_token(b, r, err);
    session_truncate(b->s, 0);
    for (uint32_t i = 0; !s && i < b->o->n_batches; i++) {
        speed_batch *to = &r->batches[r->n_batches++];
        to->sequences = b->o->batches[i];
        s = measure_batch(b, &r->model.work, to, err);
    }
    return s;
}

/* The memory is measured before and after: the better of both is what it can do. The shares of decode, computed with
 * the first, follow. */
static status measure_memory_again(speed_result *r, fit_machine *m, error *err)
{
    status s = fit_measure_reading(m, err);
    for (uint32_t i = 0; !s && i < r->n_depths; i++)
        r->depths[i].decode.share *= r->read_bytes_per_s / m->read_bytes_per_s;
    r->read_bytes_per_s = m->read_bytes_per_s;
    return s;
}

status speed_measure(const char *path, const engine_options *eo, const speed_options *o, speed_result *out, error *err)
{
    fit_machine *m = mem_zero(sizeof *m);
    engine_options sized = *eo;
    if (!sized.process_bytes) /* this is a command, however many sequences it measures */
        sized.process_bytes = footprint_bytes(FOOTPRINT_COMMAND, NULL);
    speed_result *r = mem_zero(sizeof *r);
    bench *b = mem_zero(sizeof *b);
    status s = r && b && m ? check_options(o, err) : fail(err, E_NOMEM, "no memory to measure with");
    if (s)
        goto out;
    b->o = o;
    b->machine = m;
    s = choose_sizes(path, o, &sized, r, err);
    if (!s)
        s = fit_measure_machine(m, eo->n_threads, err);
    if (!s)
        s = fit_measure_reading(m, err);
    if (!s)
        s = fit_model_file(path, &sized, m, &r->model, err);
    if (s)
        goto out;
    r->read_bytes_per_s = m->read_bytes_per_s;
    r->planned_bytes = r->model.need_bytes;
    bool peak_is_known = proc_peak_reset();
    uint64_t start = clock_mono_us();
    s = open_engine(&b->e, path, &sized, err);
    r->load_s = seconds_since(start);
    if (!s)
        s = open_bench(b, &sized, r, err);
    if (!s)
        s = measure_all(b, r, err);
    r->peak_bytes = peak_is_known ? proc_peak_bytes() : 0;
    if (!s)
        s = measure_memory_again(r, m, err);
    if (!s)
        *out = *r;
out:
    if (b)
        close_bench(b);
    mem_free(r);
    mem_free(m);
    return s;
}

/* ---- how many threads ---- */

enum { TUNE_CONTEXT = 256, TUNE_PREFILL = 128, TUNE_DECODE = 24, TUNE_ROUNDS = 3 };

static double best_of(bench *b, timer *t, uint32_t n, status *s, error *err)
{
    double best = 0, rate = 0;
    for (int i = 0; !*s && i < TUNE_ROUNDS; i++) {
        *s = t(b, 0, n, &rate, err);
        best = rate > best ? rate : best;
    }
    return best;
}

static status try_threads(const char *path, const engine_options *eo, int n, double *prefill, double *decode,
                          error *err)
{
    static const speed_options none = { 0 };
    engine_options sized = *eo;
    speed_result *r = mem_zero(sizeof *r);
    bench *b = mem_zero(sizeof *b);
    status s = r && b ? OK : fail(err, E_NOMEM, "no memory to measure with");
    if (!s) {
        b->o = &none;
        sized.context = TUNE_CONTEXT;
        sized.n_threads = n;
        s = open_engine(&b->e, path, &sized, err);
    }
    if (!s)
        s = open_bench(b, &sized, r, err);
    if (!s) {
        *prefill = best_of(b, time_prefill, TUNE_PREFILL, &s, err);
        *decode = best_of(b, time_decode, TUNE_DECODE, &s, err);
    }
    if (b)
        close_bench(b);
    mem_free(r);
    return s;
}

static void candidates(speed_threads *t)
{
    machine_cpu cpu;
    machine_read_cpu(&cpu);
    int most = cpu.quota > 0 && cpu.quota < cpu.allowed ? (cpu.quota < 1 ? 1 : (int)cpu.quota) : cpu.allowed;
    for (int n = 1; n <= most && t->n_tried < SPEED_ROWS; n++) {
        bool power = (n & (n - 1)) == 0;
        if (n <= 4 || power || n == cpu.physical || n == most)
            t->n[t->n_tried++] = n;
    }
}

status speed_choose_threads(const char *path, const engine_options *eo, speed_progress *progress, void *user,
                            speed_threads *out, error *err)
{
    speed_options o = { .progress = progress, .user = user };
    speed_threads t = { .n_tried = 0 };
    double best = 0;
    status s = OK;
    candidates(&t);
    for (int i = 0; !s && i < t.n_tried; i++) {
        s = tell(&o, err, "%u threads", (uint32_t)t.n[i]);
        if (!s)
            s = try_threads(path, eo, t.n[i], &t.prefill_per_s[i], &t.decode_per_s[i], err);
        double both = t.prefill_per_s[i] * t.decode_per_s[i];
        best = both > best ? both : best;
    }
    for (int i = t.n_tried - 1; i >= 0; i--) {
        if (t.prefill_per_s[i] * t.decode_per_s[i] >= 0.94 * best)
            t.best = t.n[i];
    }
    if (!s)
        *out = t;
    return s;
}
