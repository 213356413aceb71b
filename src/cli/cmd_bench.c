/* cmd_bench.c: `hearth bench MODEL...`: how fast a model is here, what memory it takes, how near the machine's limits.
 * The figures are kept in the ledger as facts of a run without a task. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/budget.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "fit/speed.h"
#include "hearth.h"
#include "ledger/ledger.h"
#include "plat/busy.h"
#include "plat/threads.h"
#include "store/store.h"

static const usage page = {
    "hearth bench [OPTION]... MODEL...",
    "Measures prefill and decode at several depths of the context, decode of several sequences at once, time to the\n"
    "first token, load time and peak memory, and says how near decode comes to what the memory allows. The figures\n"
    "are kept in the ledger. The first time on a machine it also measures how many threads are best, and remembers it\n"
    "for every other command (again: --tune). Nothing else should run meanwhile.\n\n"
    "example:\n"
    "  hearth bench SmolLM2-135M-Instruct.Q4_1 --depths 0,1k --batches 1,8\n",
};

/* Load per core from which a measurement says more about the neighbours. */
#define BUSY 0.5

typedef struct bench_call {
    load_options load;
    speed_options what;
    const char *depths, *batches;
    int64_t repeat;
    bool quick, json, tune, forget;
    js *models;
    ledger *l;
    speed_result result;
    double others; /* processors that others kept at work meanwhile; NAN: not known */
} bench_call;

/* ---- options ---- */

/* "0,1k,4096" into list. */
static bool read_list(const char *text, uint32_t least, uint32_t most, uint32_t *list, uint32_t *n)
{
    *n = 0;
    while (*text) {
        char word[24];
        int64_t value, times = 1;
        size_t len = strcspn(text, ",");
        if (len == 0 || len >= sizeof word || *n == SPEED_ROWS)
            return false;
        snprintf(word, sizeof word, "%.*s", (int)len, text);
        if (word[len - 1] == 'k') {
            word[len - 1] = '\0';
            times = 1024;
        }
        if (!str_i64(word, &value) || value < 0 || value > most || value * times > most || value * times < least)
            return false;
        list[(*n)++] = (uint32_t)(value * times);
        text += len + (text[len] == ',');
    }
    return *n > 0;
}

static int read_what(bench_call *c)
{
    speed_options *w = &c->what;
    speed_options_init(w);
    if (c->quick) {
        *w = (speed_options){ .depths = { 0, 1024 }, .n_depths = 2, .batches = { 1, 4 }, .n_batches = 2, .repeat = 3,
                              .n_prefill = 128, .n_decode = 16 };
    }
    w->repeat = c->repeat ? (uint32_t)c->repeat : w->repeat;
    if (c->repeat < 0 || c->repeat > SPEED_REPEAT_MAX)
        return usage_error("bench", "--repeat must be from 1 to %d", SPEED_REPEAT_MAX);
    if (c->depths && !read_list(c->depths, 0, SPEED_DEPTH_MAX, w->depths, &w->n_depths))
        return usage_error("bench", "--depths %s: at most %d numbers from 0 to 4096k, as in 0,1k,8k", c->depths,
                           SPEED_ROWS);
    if (c->batches && !read_list(c->batches, 1, SPEED_BATCH_MAX, w->batches, &w->n_batches))
        return usage_error("bench", "--batches %s: at most %d numbers from 1 to %d, as in 1,4,8", c->batches,
                           SPEED_ROWS, SPEED_BATCH_MAX);
    return EXIT_OK;
}

/* ---- what a person sees ---- */

static bool show_progress(void *user, const char *what)
{
    (void)user;
    fprintf(stderr, "\r\033[K%s", what);
    fflush(stderr);
    return false;
}

static void clear_progress(void)
{
    if (cli_is_terminal(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
}

static void print_rate(const speed_rate *r)
{
    printf("%8.1f (%.1f to %.1f)", r->median, r->least, r->most);
    if (r->share > 0)
        printf(" %3.0f %%", 100 * r->share);
    if (r->expected > 0)
        printf(", expected %.1f", r->expected);
}

static void print_result(const speed_result *r)
{
    char a[24], b[24], c[24];
    const fit_model *m = &r->model;
    double weights = (double)m->budget.weights_bytes;
    printf("%s%s%s  %s, %s, %.0fM parameters; %d threads, %s, KV %s\n", cli_style(1, "\033[1m"), m->name,
           cli_style(1, "\033[0m"), m->arch, m->file_type, (double)m->n_params / 1e6, r->threads, r->isa,
           r->kv_type);
    printf("  load      %.2f s (%s/s), first token of a prompt of %d after %.1f ms\n", r->load_s,
           str_human_bytes(a, (uint64_t)(weights / r->load_s)), SPEED_PROMPT, r->first_token_s * 1e3);
    if (r->peak_bytes)
        printf("  memory    %s at most, %s were planned (weights %s)\n", str_human_bytes(a, r->peak_bytes),
               str_human_bytes(b, r->planned_bytes), str_human_bytes(c, m->budget.weights_bytes));
    else
        printf("  memory    not known; %s were planned\n", str_human_bytes(b, r->planned_bytes));
    printf("  bandwidth %.1f GB/s read\n", r->read_bytes_per_s / 1e9);
    printf("  tokens/s: median (least to most), percent of what this machine's multipliers or memory allow, and what\n"
           "  hearth fit expects\n");
    for (uint32_t i = 0; i < r->n_depths; i++) {
        printf("  depth %5u   prefill ", r->depths[i].depth);
        print_rate(&r->depths[i].prefill);
        printf("   decode ");
        print_rate(&r->depths[i].decode);
        printf("\n");
    }
    for (uint32_t i = 0; i < r->n_batches; i++) {
        printf("  %2u at once   decode  ", r->batches[i].sequences);
        print_rate(&r->batches[i].decode);
        printf(" of all\n");
    }
    fflush(stdout);
}

/* ---- the ledger ---- */

static status keep_rate(ledger *l, const char *run, const char *what, uint32_t n, const speed_rate *r, error *err)
{
    char name[80];
    snprintf(name, sizeof name, "bench_%s_%u", what, n);
    status s = ledger_append_fact(l, run, name, r->median, "1/s", err);
    snprintf(name, sizeof name, LEDGER_PREDICTED "bench_%s_%u", what, n);
    return s || !(r->expected > 0) ? s : ledger_append_fact(l, run, name, r->expected, "1/s", err);
}

static status keep_rows(ledger *l, const char *run, const speed_result *r, error *err)
{
    status s = OK;
    for (uint32_t i = 0; !s && i < r->n_depths; i++) {
        const speed_depth *d = &r->depths[i];
        s = keep_rate(l, run, "prefill_tokens_per_s_at", d->depth, &d->prefill, err);
        if (!s)
            s = keep_rate(l, run, "decode_tokens_per_s_at", d->depth, &d->decode, err);
    }
    for (uint32_t i = 0; !s && i < r->n_batches; i++)
        s = keep_rate(l, run, "decode_tokens_per_s_of", r->batches[i].sequences, &r->batches[i].decode, err);
    return s;
}

static status keep(bench_call *c, const char *path, error *err)
{
    const speed_result *r = &c->result;
    char weights[65], run[UUID_TEXT], provider[300];
    snprintf(provider, sizeof provider, "local:%s", r->model.name);
    status s = store_digest_file(path, weights, err);
    if (s)
        return s;
    ledger_run about = { .machine = *ledger_this_machine(), .task = "", .provider = provider, .place = "local",
                         .model = r->model.name, .version = HEARTH_VERSION, .threads = r->threads, .isa = r->isa,
                         .power = machine_power() };
    ledger_evidence evidence = { .source = "local", .model = weights, .numerics = r->numerics, .kv_type = r->kv_type,
                                 .context_rule = "", .sampling = "" };
    s = ledger_begin(c->l, &about, &evidence, run, err);
    const struct {
        const char *name, *unit;
        double value;
    } facts[] = {
        { "bench_load_s", "s", r->load_s },
        { "bench_first_token_s", "s", r->first_token_s },
        { "bench_read_bytes_per_s", "B/s", r->read_bytes_per_s },
        { "bench_planned_bytes", "B", (double)r->planned_bytes },
        { LEDGER_PREDICTED "bench_peak_bytes", "B", (double)r->planned_bytes },
        { "bench_peak_bytes", "B", (double)r->peak_bytes },
    };
    for (size_t i = 0; !s && i < ARRAY_LEN(facts); i++) {
        if (facts[i].value > 0)
            s = ledger_append_fact(c->l, run, facts[i].name, facts[i].value, facts[i].unit, err);
    }
    if (!s && isfinite(c->others))
        s = ledger_append_fact(c->l, run, LEDGER_OTHERS, c->others, "processors", err);
    return s ? s : keep_rows(c->l, run, r, err);
}

/* ---- running ---- */

/* How many threads are best here: measured once, with the first model that is named. On a machine that is at work
 * already the answer would be about the neighbours: then nothing is measured, unless asked for. */
static status tune(bench_call *c, const char *path, error *err)
{
    machine_cpu cpu;
    speed_threads t;
    engine_options o;
    machine_read_cpu(&cpu);
    if (c->load.threads || (!c->tune && threads_recall(&cpu)))
        return OK;
    if (!c->tune && machine_load() > BUSY * cpu.online) {
        fprintf(stderr, "hearth bench: the machine is busy (load %.1f on %d cores): the number of threads is not tuned "
                "now, and the figures below are low\n", machine_load(), cpu.online);
        return OK;
    }
    load_engine_options(&c->load, &o);
    budget_of_command(&o, c->load.mem);
    status s = speed_choose_threads(path, &o, c->what.progress, NULL, &t, err);
    clear_progress();
    for (int i = 0; !s && !c->json && i < t.n_tried; i++)
        printf("%2d threads: prefill %.1f tokens/s, decode %.1f tokens/s%s\n", t.n[i], t.prefill_per_s[i],
               t.decode_per_s[i], t.n[i] == t.best ? "   <- remembered" : "");
    if (!s)
        s = threads_remember(&cpu, t.best, err);
    c->tune = false;
    return s;
}

static status bench_one(bench_call *c, const char *model, error *err)
{
    char *path = NULL;
    engine_options o;
    load_engine_options(&c->load, &o);
    budget_of_command(&o, c->load.mem);
    status s = store_find(&path, model, err);
    if (!s)
        s = tune(c, path, err);
    busy_meter busy;
    busy_begin(&busy, NULL, 0);
    if (!s)
        s = speed_measure(path, &o, &c->what, &c->result, err);
    c->others = busy_others(&busy, NULL, 0);
    clear_progress();
    if (!s && c->json)
        js_push(c->models, speed_js(&c->result));
    else if (!s)
        print_result(&c->result);
    if (!s && !c->forget)
        s = keep(c, path, err);
    mem_free(path);
    return s;
}

static int print_json(bench_call *c)
{
    js *o = js_object();
    js_set(o, "models", c->models);
    c->models = NULL;
    return cli_print_json(o, "bench");
}

int cmd_bench(int argc, char **argv)
{
    bench_call c = { .json = false };
    const option options[] = {
        LOAD_OPTIONS(c.load),
        { "depths", 0, OPTION_TEXT, &c.depths, "LIST", "positions before what is measured (default 0,1k,4k,8k)" },
        { "batches", 0, OPTION_TEXT, &c.batches, "LIST", "sequences at once (default 1,4,8)" },
        { "repeat", 0, OPTION_INT, &c.repeat, "N", "measurements of each figure; the median counts (default 5)" },
        { "quick", 0, OPTION_FLAG, &c.quick, NULL, "depths 0 and 1k, 1 and 4 at once, 3 short measurements" },
        { "tune", 0, OPTION_FLAG, &c.tune, NULL, "measure again how many threads are best, and remember it" },
        { "forget", 0, OPTION_FLAG, &c.forget, NULL, "write nothing into the ledger" },
        { "json", 0, OPTION_FLAG, &c.json, NULL, "the figures as JSON" },
    };
    size_t n_words;
    int code;
    error err = { 0 };
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words == 0)
        return usage_error("bench", "which MODEL?");
    if ((code = load_check("bench", &c.load)) != EXIT_OK || (code = read_what(&c)) != EXIT_OK)
        return code;
    if (cli_is_terminal(STDERR_FILENO))
        c.what.progress = show_progress;
    load_offline();
    status s = c.forget ? OK : ledger_open(&c.l, NULL, LEDGER_WRITE, &err);
    c.models = c.json ? js_array() : NULL;
    for (size_t i = 1; !s && i <= n_words; i++)
        s = bench_one(&c, argv[i], &err);
    code = c.json && !s ? print_json(&c) : EXIT_OK;
    js_free(c.models);
    ledger_close(&c.l);
    return s ? report("bench", &err) : code;
}
