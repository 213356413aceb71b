/* cmd_measure.c: hearth measure TASK… [--on PROVIDER]…
 *
 * Every pair of task and provider is asked for privacy before the first provider opens: a forbidden one means that
 * nothing runs at all. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/budget.h"
#include "cli/cli.h"
#include "cli/measure_print.h"
#include "cli/measuring.h"
#include "measure/measure.h"
#include "measure/tools.h"
#include "plat/busy.h"
#include "plat/machine.h"
#include "task/task.h"

enum { TASKS_MAX = 64 };

static const usage help = {
    "hearth measure TASK… [--on PROVIDER]… [OPTION]…",
    "Runs a task's cases on a provider, grades the answers and keeps them in the ledger. A case that is answered\n"
    "already under the same model, prompt and options is not asked again: the command can be stopped and run again.\n"
    "TASK is a folder, or the name of one in tasks/. PROVIDER is a name from config.yaml, local:MODEL, replay:FILE or\n"
    "openai:URL#MODEL. Without --on: every configured provider that may see the task's cases.\n"
    "Several providers are asked at once. --until-decided stops as soon as the question is decided: that a local\n"
    "model is at most the task's margin worse than the reference (the first provider that is not local, else the\n"
    "second), or, with one provider, that it reaches the task's bar. Looking at it does not make it less sure.\n"
    "\n"
    "example: hearth measure ticket-class --on local:SmolLM2-135M-Instruct.Q4_1.gguf --until-decided\n",
};

static volatile int stop_asked;

typedef struct job {
    option_list on;
    bool fresh, json;
    bool until_decided;
    int64_t limit, timeout_s, threads, parallel;
    int64_t context;
    const char *kv;
    uint64_t mem;
    double max_cost, max_time_s, alpha;
    task *tasks[TASKS_MAX];
    size_t n_tasks;
    config *cfg;
    measure_foretold foretold[OPTION_LIST_MAX]; /* of each of `on` */
    provider *open[MEASURE_ARMS_MAX]; /* of this round */
    size_t spec_of[MEASURE_ARMS_MAX]; /* which of `on` */
    size_t n_open;
    js *results, *outcomes;
    int code;
} job;


static void on_interrupt(int sig)
{
    (void)sig;
    stop_asked = 1;
}

/* ---- the bar ---- */

static void draw_bar(void *user, const measure_progress *p)
{
    (void)user;
    enum { CELLS = 24 };
    char bar[CELLS * 3 + 1] = "", left[32] = "";
    uint32_t full = p->total ? (uint32_t)((uint64_t)p->done * CELLS / p->total) : CELLS;
    for (uint32_t i = 0; i < CELLS; i++)
        memcpy(bar + 3 * i, i < full ? "█" : "░", 4);
    if (p->eta_s >= 0)
        snprintf(left, sizeof left, ", %d:%02d left", (int)(p->eta_s / 60), (int)fmod(p->eta_s, 60));
    fprintf(stderr, "\r\033[K%s %s%s%s %u/%u", p->task, cli_style(2, "\033[36m"), bar, cli_style(2, "\033[0m"), p->done,
            p->total);
    if (p->kept)
        fprintf(stderr, " (+%u kept)", p->kept);
    fprintf(stderr, ", %u right", p->passed);
    if (p->failed)
        fprintf(stderr, ", %u failed", p->failed);
    if (p->cases_per_s > 0)
        fprintf(stderr, ", %.1f cases/s%s", p->cases_per_s, left);
    else if (p->prefill_total)
        fprintf(stderr, ", reading the first prompt %u/%u", p->prefill_done, p->prefill_total);
    fflush(stderr);
}

/* ---- results ---- */

static void tell_result(job *j, const task *t, const provider_info *who, const measure_result *r)
{
    if (cli_is_terminal(2))
        fprintf(stderr, "\r\033[K");
    if (j->json)
        js_push(j->results, measure_result_js(t, who, r));
    else
        measure_print_result(t, who, r);
}

static void tell_outcome(job *j, const task *t, const measure_arm *arms, const measure_outcome *o)
{
    if (j->json)
        js_push(j->outcomes, measure_outcome_js(t, arms, o));
    else
        measure_print_outcome(t, arms, o);
}

/* ---- running ---- */

static void worse(job *j, int code)
{
    if (code > j->code)
        j->code = code;
}

/* What follows for the task from all that is known of it now; kept with its date. */
static status conclude(job *j, ledger *l, const task *t, error *err)
{
    route_input *in = mem_zero(sizeof *in);
    route_decision *d = mem_zero(sizeof *d);
    status s = in && d ? measuring_decide(l, j->cfg, t, in, d, err) : fail(err, E_NOMEM, "no memory for a decision");
    if (!s)
        s = route_record(l, t, in, d, NULL, err);
    if (!s && !j->json)
        printf("  route      %s (%s): %s\n", route_choice_name(d->choice), route_state_name(d->state), d->reason);
    mem_free(in);
    mem_free(d);
    return s;
}

static int tell_end(status s, const error *err)
{
    if (s == E_CANCELLED)
        fprintf(stderr, "hearth measure: stopped; what is finished is kept: the same command goes on from here\n");
    else if (s)
        report("measure", err);
    return s == E_CANCELLED || s == E_DENIED ? EXIT_NO : s == E_PROVIDER ? EXIT_PROVIDER : s ? EXIT_INPUT : EXIT_OK;
}

static status keep_others(ledger *l, const measure_result *results, size_t n, double others, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && isfinite(others) && i < n; i++)
        if (results[i].n_asked)
            s = ledger_append_fact(l, results[i].run, LEDGER_OTHERS, others, "processors", err);
    return s;
}

/* One task on all providers of this round that may see its cases. */
static int measure_one(job *j, ledger *l, task *t, bool chosen)
{
    measure_tools *tools = NULL;
    measure_arm arms[MEASURE_ARMS_MAX];
    measure_result results[MEASURE_ARMS_MAX] = { 0 };
    measure_outcome outcome = { 0 };
    error err = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < j->n_open; i++) {
        const provider_info *who = provider_get_info(j->open[i]);
        if (!chosen && measure_allowed(t, who->name, who->kind, who->place, &err))
            fprintf(stderr, "hearth measure: skipped: %s\n", err.text);
        else
            arms[n++] = (measure_arm){ who, measure_ask_provider, j->open[i], &j->foretold[j->spec_of[i]] };
    }
    if (n == 0)
        return EXIT_OK;
    if (measure_tools_open(&tools, t, j->cfg, &err))
        return report("measure", &err);
    measure_options o = { .fresh = j->fresh, .limit = (uint32_t)j->limit, .stop = &stop_asked,
                          .case_timeout_ms = (uint32_t)(j->timeout_s * 1000), .parallel = (uint32_t)j->parallel,
                          .max_cost_usd = j->max_cost, .max_seconds = j->max_time_s, .until_decided = j->until_decided,
                          .alpha = j->alpha, .tools = tools, .progress = cli_is_terminal(2) ? draw_bar : NULL };
    busy_meter busy;
    int pids[MEASURE_ARMS_MAX];
    for (size_t i = 0; i < j->n_open; i++)
        pids[i] = provider_process(j->open[i]);
    busy_begin(&busy, pids, j->n_open);
    status s = measure_arms(l, t, arms, n, &o, results, &outcome, &err);
    if (!s)
        s = keep_others(l, results, n, busy_others(&busy, pids, j->n_open), &err);
    bool failed = false;
    measure_tools_close(&tools);
    for (size_t i = 0; i < n; i++) {
        if (s == OK || results[i].evidence[0])
            tell_result(j, t, arms[i].who, &results[i]);
        failed = failed || results[i].n_failed;
    }
    if (results[0].evidence[0])
        tell_outcome(j, t, arms, &outcome);
    if (!s)
        s = conclude(j, l, t, &err);
    int code = tell_end(s, &err);
    return code ? code : failed ? EXIT_PROVIDER : EXIT_OK;
}

/* What a local model will take was planned when it opened: by the code that allocates. */
static void keep_open(job *j, size_t spec)
{
    const provider_info *who = provider_get_info(j->open[j->n_open]);
    j->foretold[spec].peak_bytes = who->budget_bytes ? (double)who->budget_bytes : NAN;
    j->spec_of[j->n_open++] = spec;
}

/* Opens as many of the providers from `from` on as fit at once; *next is the first that is left for another round. One
 * that cannot be opened at all is told of and passed over. */
static void open_round(job *j, size_t from, size_t *next)
{
    error err = { 0 };
    for (*next = from; *next < j->on.n && j->n_open < MEASURE_ARMS_MAX; ++*next) {
        status s = measuring_open(&j->open[j->n_open], j->on.values[*next], j->cfg, j->parallel, &err);
        if (s == E_NOFIT && j->n_open > 0)
            break;
        if (s)
            worse(j, report("measure", &err));
        else
            keep_open(j, *next);
    }
}

static void measure_round(job *j, ledger *l, size_t from, size_t *next, bool chosen)
{
    open_round(j, from, next);
    for (size_t i = 0; j->n_open && i < j->n_tasks && !stop_asked; i++) {
        int one = measure_one(j, l, j->tasks[i], chosen);
        worse(j, one);
        if (one == EXIT_INPUT || one == EXIT_NO)
            break;
    }
    while (j->n_open)
        provider_close(&j->open[--j->n_open]);
}

static int run_job(job *j)
{
    error err = { 0 };
    ledger *l = NULL;
    bool chosen = j->on.n > 0;
    for (size_t i = 0; !chosen && i < j->cfg->n_providers && i < OPTION_LIST_MAX; i++)
        j->on.values[j->on.n++] = j->cfg->providers[i].name;
    if (j->on.n == 0)
        return usage_error("measure", "on what? no provider is configured: name one, as in --on local:MODEL");
    for (size_t k = 0; chosen && k < j->on.n; k++)
        for (size_t i = 0; i < j->n_tasks; i++)
            if (measure_spec_allowed(j->tasks[i], j->on.values[k], j->cfg, &err))
                return report("measure", &err);
    for (size_t k = 0; k < j->on.n; k++)
        measuring_foretell(j->on.values[k], j->cfg, &j->foretold[k]);
    if (ledger_open(&l, NULL, LEDGER_WRITE, &err))
        return report("measure", &err);
    for (size_t from = 0, next = 0; from < j->on.n && !stop_asked; from = next)
        measure_round(j, l, from, &next, chosen);
    ledger_close(&l);
    return j->code;
}

static int load_tasks(job *j, char **words, size_t n)
{
    char dir[4096];
    error err = { 0 };
    if (machine_program_dir(dir, sizeof dir, &err))
        return report("measure", &err);
    if (n > TASKS_MAX)
        return usage_error("measure", "at most %d tasks at once", TASKS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (task_open(&j->tasks[i], words[i], dir, &err))
            return report("measure", &err);
        j->n_tasks++;
        if (task_load_cases(j->tasks[i], &err))
            return report("measure", &err);
    }
    return EXIT_OK;
}

static int print_json(job *j)
{
    js_begin();
    js *doc = js_object();
    js_set(doc, "results", j->results);
    js_set(doc, "tasks", j->outcomes);
    j->results = j->outcomes = NULL;
    if (js_lost()) {
        js_free(doc);
        doc = NULL;
    }
    return cli_print_json(doc, "measure");
}

int cmd_measure(int argc, char **argv)
{
    job j = { 0 };
    error err = { 0 };
    size_t n_words = 0;
    int code = EXIT_OK;
    const option options[] = {
        { "on", 0, OPTION_LIST, &j.on, "PROVIDER", "who is asked; may be given again" },
        { "fresh", 0, OPTION_FLAG, &j.fresh, NULL, "ask again what is answered already" },
        { "limit", 'n', OPTION_INT, &j.limit, "N", "only the first N cases" },
        { "timeout", 0, OPTION_INT, &j.timeout_s, "SECONDS", "give a case up after so long (default 120)" },
        { "threads", 't', OPTION_INT, &j.threads, "N", "compute threads of a local model" },
        { "ctx", 'c', OPTION_INT, &j.context, "N", "its most tokens of a conversation (default: the config's)" },
        { "kv", 0, OPTION_TEXT, &j.kv, "TYPE", "its keys and values: f16, q8 or f32 (default: the config's)" },
        { "parallel", 0, OPTION_INT, &j.parallel, "N", "cases at once of each provider (default 4)" },
        { "mem", 0, OPTION_BYTES, &j.mem, "SIZE", "take no more memory than this (default: what is free)" },
        { "until-decided", 0, OPTION_FLAG, &j.until_decided, NULL, "stop as soon as the question is decided" },
        { "alpha", 0, OPTION_FLOAT, &j.alpha, "P", "how often that may be wrong (default 0.05)" },
        { "max-cost", 0, OPTION_FLOAT, &j.max_cost, "USD", "spend no more than this a task, at the configured prices" },
        { "max-time", 0, OPTION_FLOAT, &j.max_time_s, "SECONDS", "stop a task after so long" },
        { "json", 0, OPTION_FLAG, &j.json, NULL, "one JSON document instead of text" },
    };
    if (!options_read(argc, argv, &help, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words == 0)
        return usage_error("measure", "which task?");
    if (j.limit < 0 || j.limit > 1000000 || j.timeout_s < 0 || j.timeout_s > 86400 || j.threads < 0 || j.threads > 4096)
        return usage_error("measure", "--limit, --timeout and --threads are whole numbers from 0");
    if (j.parallel < 0 || j.parallel > CONFIG_PARALLEL_MAX || j.max_cost < 0 || j.max_time_s < 0 || j.alpha < 0 ||
        j.alpha >= 1)
        return usage_error("measure", "--parallel is 1 to %d, --alpha below 1, and a limit is above 0",
                           CONFIG_PARALLEL_MAX);
    engine_kv kv;
    if (j.context < 0 || j.context > INT32_MAX || (j.kv && !engine_kv_named(j.kv, &kv)))
        return usage_error("measure", "--ctx is a whole number, --kv is f16, q8 or f32");
    struct sigaction interrupt = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND }; /* the second one ends it */
    sigaction(SIGINT, &interrupt, NULL);
    j.results = js_array();
    j.outcomes = js_array();
    if (config_open(&j.cfg, NULL, &err)) {
        code = report("measure", &err);
    } else {
        j.cfg->n_threads = (int)j.threads;
        j.cfg->context = j.context ? (uint32_t)j.context : j.cfg->context;
        j.cfg->kv = j.kv ? j.kv : j.cfg->kv;
        (void)budget_of_parent(j.cfg, j.mem);
        code = load_tasks(&j, argv + 1, n_words);
        if (code == EXIT_OK)
            code = run_job(&j);
        if (j.json && (code == EXIT_OK || js_len(j.results)))
            worse(&j, print_json(&j));
    }
    for (size_t i = 0; i < TASKS_MAX; i++)
        task_close(&j.tasks[i]);
    config_close(&j.cfg);
    js_free(j.results);
    js_free(j.outcomes);
    return code > j.code ? code : j.code;
}
