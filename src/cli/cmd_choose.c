/* cmd_choose.c: hearth choose TASK [--on PROVIDER]…: which model, quantisation and prompt does a task best here.
 *
 * One model is loaded at a time: what is said of its speed, memory and energy is its own. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/budget.h"
#include "cli/choose_print.h"
#include "cli/cli.h"
#include "cli/measuring.h"
#include "measure/tools.h"
#include "plat/machine.h"
#include "store/store.h"

static const usage help = {
    "hearth choose TASK [--on PROVIDER]… [OPTION]…",
    "Finds out which model, in which quantisation and with which of the task's prompts, does a task best on this\n"
    "machine within the task's limits. All candidates are asked in rounds; one that is shown to be too bad, too slow\n"
    "or worse than another is asked no further. That one looks at many is paid for: see docs/CHOOSING.md.\n"
    "Candidates are the providers given with --on; without: all models of the models directory and the configured\n"
    "providers that may see the task's cases. Answers are kept in the ledger: a second run asks nothing again.\n"
    "Exit code 1 when nothing can be chosen, or the choice is not proven to reach the task's bar.\n"
    "\n"
    "example: hearth choose ticket-class --prompts --prefer small\n",
};

static volatile int stop_asked;

typedef struct looked {
    const char *spec;
    char *key;            /* what makes two names one */
    provider_info info;   /* its strings are in the arena */
    bool known;
} looked;

typedef struct job {
    option_list on;
    bool prompts, json, until_decided;
    int64_t timeout_s, threads, parallel;
    uint64_t mem;
    double max_cost, max_time_s, alpha;
    const char *prefer_word;
    choose_prefer prefer;
    task *t;
    config *cfg;
    arena memory;
    looked specs[CHOOSE_MAX];
    size_t n_specs;
    choose_candidate candidates[CHOOSE_MAX];
    size_t spec_of[CHOOSE_MAX]; /* of a candidate */
    size_t n;
    provider *open;
    size_t open_spec;
    choose_row rows[CHOOSE_MAX];
    choose_outcome outcome;
} job;

enum { ARENA_MAX = 16 << 20 };

static void on_interrupt(int sig)
{
    (void)sig;
    stop_asked = 1;
}

/* ---- the door ---- */

static status open_spec(job *j, size_t k, error *err)
{
    if (j->open && j->open_spec == k)
        return OK;
    provider_close(&j->open);
    status s = measuring_open(&j->open, j->specs[k].spec, j->cfg, j->parallel, err);
    j->open_spec = k;
    return s;
}

/* The info outlives the provider. */
static status keep_info(job *j, size_t k, error *err)
{
    provider_info *i = &j->specs[k].info;
    *i = *provider_get_info(j->open);
    const char **const texts[] = { &i->name, &i->model, &i->url, &i->model_digest, &i->numerics, &i->kv_type, &i->isa,
                                   &i->arch, &i->file_type, &i->chat_template, &i->price_as_of };
    for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
        if (!*texts[t])
            continue;
        *texts[t] = arena_strndup(&j->memory, *texts[t], strlen(*texts[t]));
        if (!*texts[t])
            return fail(err, E_NOMEM, "no memory for what %s is", j->specs[k].spec);
    }
    j->specs[k].known = true;
    return OK;
}

static status look(void *user, size_t i, const provider_info **who, error *err)
{
    job *j = user;
    looked *l = &j->specs[j->spec_of[i]];
    status s = stop_asked ? fail(err, E_CANCELLED, "stopped") : OK;
    if (!s && !l->known) {
        s = open_spec(j, j->spec_of[i], err);
        if (!s)
            s = keep_info(j, j->spec_of[i], err);
    }
    if (!s)
        *who = &l->info;
    return s;
}

static status open_candidate(void *user, size_t i, measure_arm *arm, error *err)
{
    job *j = user;
    const looked *l = &j->specs[j->spec_of[i]];
    status s = stop_asked ? fail(err, E_CANCELLED, "stopped") : open_spec(j, j->spec_of[i], err);
    if (s)
        return s;
    const provider_info *now = provider_get_info(j->open);
    if (strcmp(now->model_digest, l->info.model_digest) != 0)
        return fail(err, E_PROVIDER, "%s: its file changed while one was choosing", l->spec);
    *arm = (measure_arm){ now, measure_ask_provider, j->open, NULL };
    return OK;
}

/* ---- who is a candidate ---- */

static status add_spec(job *j, const char *spec, error *err)
{
    char *key = NULL;
    status s = provider_key(spec, j->cfg, &key, err);
    if (s)
        return s;
    for (size_t i = 0; i < j->n_specs; i++)
        if (strcmp(j->specs[i].key, key) == 0) { /* the same model by another name */
            mem_free(key);
            return OK;
        }
    char *copy = arena_strndup(&j->memory, spec, strlen(spec));
    if (!copy || j->n_specs == CHOOSE_MAX) {
        mem_free(key);
        return copy ? fail(err, E_RANGE, "more than %d candidates: name some with --on", CHOOSE_MAX)
                    : fail(err, E_NOMEM, "no memory for the candidates");
    }
    j->specs[j->n_specs++] = (looked){ .spec = copy, .key = key };
    return OK;
}

static status add_models(job *j, error *err)
{
    store_model *files = NULL;
    size_t n = 0;
    status s = store_list(&files, &n, err);
    for (size_t i = 0; !s && i < n; i++) {
        const char *slash = strrchr(files[i].path, '/');
        char spec[1024];
        snprintf(spec, sizeof spec, "local:%.1000s", slash ? slash + 1 : files[i].path);
        s = add_spec(j, spec, err);
    }
    store_free(files, n);
    return s;
}

/* What was named must be allowed; what is merely there is passed over. */
static status find_specs(job *j, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < j->on.n; i++) {
        s = measure_spec_allowed(j->t, j->on.values[i], j->cfg, err);
        if (!s)
            s = add_spec(j, j->on.values[i], err);
    }
    for (size_t i = 0; !s && !j->on.n && i < j->cfg->n_providers; i++) {
        error why = { 0 };
        status one = measure_spec_allowed(j->t, j->cfg->providers[i].name, j->cfg, &why);
        if (!one)
            one = add_spec(j, j->cfg->providers[i].name, &why);
        if (one)
            fprintf(stderr, "hearth choose: skipped: %s\n", why.text);
    }
    return s || j->on.n ? s : add_models(j, err);
}

static status add_candidate(job *j, size_t spec, const task_prompt *p, error *err)
{
    if (j->n == CHOOSE_MAX)
        return fail(err, E_RANGE, "more than %d candidates: name some with --on, or leave --prompts out", CHOOSE_MAX);
    j->candidates[j->n] = (choose_candidate){ j->specs[spec].spec, p };
    j->spec_of[j->n++] = spec;
    return OK;
}

/* The v-th prompt of the task says the same as an earlier one. */
static bool said_before(const task *t, size_t v)
{
    char mine[DIGEST_HEX], other[DIGEST_HEX];
    task_prompt_digest(&t->variants[v], mine);
    task_prompt_digest(&t->prompt, other);
    bool same = strcmp(mine, other) == 0;
    for (size_t i = 0; !same && i < v; i++) {
        task_prompt_digest(&t->variants[i], other);
        same = strcmp(mine, other) == 0;
    }
    return same;
}

static status find_candidates(job *j, error *err)
{
    status s = find_specs(j, err);
    for (size_t k = 0; !s && k < j->n_specs; k++) {
        s = add_candidate(j, k, j->prompts ? &j->t->prompt : NULL, err);
        for (size_t v = 0; !s && j->prompts && v < j->t->n_variants; v++)
            if (!said_before(j->t, v))
                s = add_candidate(j, k, &j->t->variants[v], err);
    }
    return s;
}

/* ---- telling ---- */

static void tell(void *user, const char *sentence)
{
    (void)user;
    fprintf(stderr, "%s%s\n", cli_is_terminal(2) ? "\r\033[K" : "", sentence);
}

static void progress(void *user, const measure_progress *p)
{
    (void)user;
    fprintf(stderr, "\r\033[K%s: %u/%u, %u right", p->provider, p->done, p->total, p->passed);
    fflush(stderr);
}

static void warn_of_power(void)
{
    char governor[32];
    if (strcmp(machine_power(), "battery") == 0)
        fprintf(stderr, "hearth choose: on battery: speeds are of battery, and are kept apart from those on mains\n");
    if (strcmp(machine_governor(governor, sizeof governor), "powersave") == 0)
        fprintf(stderr, "hearth choose: the processor's governor is powersave: speeds are of that\n");
}

static int tell_end(job *j, status s, const error *err)
{
    const choose_outcome *o = &j->outcome;
    if (cli_is_terminal(2))
        fprintf(stderr, "\r\033[K");
    if (s && s != E_CANCELLED)
        return report("choose", err);
    int code = EXIT_OK;
    if (s != E_CANCELLED || o->ended[0])
        code = j->json ? cli_print_json(choose_js(j->t, j->rows, j->n, o), "choose")
                       : (choose_print(j->t, j->rows, j->n, o, j->cfg), EXIT_OK);
    if (s == E_CANCELLED)
        fprintf(stderr, "hearth choose: stopped; what is finished is kept: the same command goes on from here\n");
    if (code || s == E_CANCELLED || o->chosen == SIZE_MAX)
        return code ? code : EXIT_NO;
    return isnan(o->bar) || j->rows[o->chosen].bar == MEASURE_PROVEN ? EXIT_OK : EXIT_NO;
}

/* ---- running ---- */

static int run_job(job *j)
{
    error err = { 0 };
    ledger *l = NULL;
    if (find_candidates(j, &err))
        return report("choose", &err);
    if (j->n == 0)
        return usage_error("choose", "among what? there is no model in the models directory and no provider is "
                           "configured: name some, as in --on local:MODEL");
    measure_tools *tools = NULL;
    if (measure_tools_open(&tools, j->t, j->cfg, &err))
        return report("choose", &err);
    if (ledger_open(&l, NULL, LEDGER_WRITE, &err)) {
        measure_tools_close(&tools);
        return report("choose", &err);
    }
    warn_of_power();
    const measure_options m = { .case_timeout_ms = (uint32_t)(j->timeout_s * 1000), .parallel = (uint32_t)j->parallel,
                                .max_cost_usd = j->max_cost, .max_seconds = j->max_time_s, .alpha = j->alpha,
                                .tools = tools, .progress = cli_is_terminal(2) ? progress : NULL, .stop = &stop_asked };
    const choose_options o = { .measure = &m, .prefer = j->prefer, .until_decided = j->until_decided,
                               .usd_per_month = j->cfg->machine.usd_per_month,
                               .usd_per_kwh = j->cfg->machine.usd_per_kwh, .watts_busy = j->cfg->machine.watts_busy,
                               .tell = tell };
    const choose_door door = { look, open_candidate, j };
    status s = measure_choose(l, j->t, j->candidates, j->n, &door, &o, j->rows, &j->outcome, &err);
    int code = tell_end(j, s, &err);
    ledger_close(&l);
    measure_tools_close(&tools);
    return code;
}

static int check(job *j, size_t n_words)
{
    if (n_words != 1)
        return usage_error("choose", "exactly one TASK");
    if (j->timeout_s < 0 || j->timeout_s > 86400 || j->threads < 0 || j->threads > 4096)
        return usage_error("choose", "--timeout and --threads are whole numbers from 0");
    if (j->parallel < 0 || j->parallel > CONFIG_PARALLEL_MAX || j->max_cost < 0 || j->max_time_s < 0 || j->alpha < 0 ||
        j->alpha >= 1)
        return usage_error("choose", "--parallel is 1 to %d, --alpha below 1, and a limit is above 0",
                           CONFIG_PARALLEL_MAX);
    for (int p = 0; p < CHOOSE_PREFERS; p++)
        if (!j->prefer_word || strcmp(j->prefer_word, choose_prefer_name((choose_prefer)p)) == 0) {
            j->prefer = (choose_prefer)p;
            return EXIT_OK;
        }
    return usage_error("choose", "--prefer is fast, small, cheap or energy, not '%s'", j->prefer_word);
}

static int open_task(job *j, const char *word)
{
    char dir[4096];
    error err = { 0 };
    status s = machine_program_dir(dir, sizeof dir, &err);
    if (!s)
        s = task_open(&j->t, word, dir, &err);
    if (!s)
        s = task_load_cases(j->t, &err);
    if (!s)
        s = config_open(&j->cfg, NULL, &err);
    if (s)
        return report("choose", &err);
    j->cfg->n_threads = (int)j->threads;
    (void)budget_of_parent(j->cfg, j->mem);
    return EXIT_OK;
}

int cmd_choose(int argc, char **argv)
{
    static job j; /* too large for a stack; a command runs once */
    j = (job){ .memory = ARENA_INIT(ARENA_MAX) };
    size_t n_words = 0;
    int code = EXIT_OK;
    const option options[] = {
        { "on", 0, OPTION_LIST, &j.on, "PROVIDER", "a candidate; may be given again" },
        { "prompts", 0, OPTION_FLAG, &j.prompts, NULL, "try every prompt of the task on each" },
        { "prefer", 0, OPTION_TEXT, &j.prefer_word, "WHAT", "among equals: fast (default), small, cheap or energy" },
        { "timeout", 0, OPTION_INT, &j.timeout_s, "SECONDS", "give a case up after so long (default 120)" },
        { "threads", 't', OPTION_INT, &j.threads, "N", "compute threads of a local model" },
        { "parallel", 0, OPTION_INT, &j.parallel, "N", "cases at once of a candidate (default 4)" },
        { "mem", 0, OPTION_BYTES, &j.mem, "SIZE", "take no more memory than this (default: what is free)" },
        { "until-decided", 0, OPTION_FLAG, &j.until_decided, NULL,
          "stop also when the preferred one is proven to be within the margin of the others" },
        { "alpha", 0, OPTION_FLOAT, &j.alpha, "P", "how often what is shown may be wrong (default 0.05)" },
        { "max-cost", 0, OPTION_FLOAT, &j.max_cost, "USD", "spend no more than this, at the known prices" },
        { "max-time", 0, OPTION_FLOAT, &j.max_time_s, "SECONDS", "stop after so long" },
        { "json", 0, OPTION_FLAG, &j.json, NULL, "one JSON document instead of text" },
    };
    if (!options_read(argc, argv, &help, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if ((code = check(&j, n_words)) != EXIT_OK)
        return code;
    struct sigaction interrupt = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND }; /* the second one ends it */
    sigaction(SIGINT, &interrupt, NULL);
    code = open_task(&j, argv[1]);
    if (code == EXIT_OK)
        code = run_job(&j);
    provider_close(&j.open);
    for (size_t i = 0; i < j.n_specs; i++)
        mem_free(j.specs[i].key);
    task_close(&j.t);
    config_close(&j.cfg);
    arena_clear(&j.memory);
    return code;
}
