/* cmd_reassess.c: hearth reassess [TASK…]: what was true once is asked again. Shows what is due and why, measures it
 * within a budget where that is asked for, and says which task changed sides. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/measuring.h"
#include "measure/measure.h"
#include "measure/tools.h"
#include "plat/clock.h"
#include "plat/machine.h"
#include "provider/models.h"
#include "route/plan.h"
#include "task/task.h"

enum { OFFERS_MAX = 128 };

static const usage help = {
    "hearth reassess [TASK…] [--measure] [OPTION]…",
    "What needed the cloud last quarter may have crossed over, and what ran here may not be good enough any more.\n"
    "Shows for each task which evidence is due and why: a model file or prompt that changed, a model in the models\n"
    "directory that was never tried on it, cases without an answer, a server that was last asked long ago. With\n"
    "--measure it asks what is due, each until it is decided, and says which task changed sides; --max-time and\n"
    "--max-cost are of all together. --history tells on which day each task crossed over, and with which counts.\n"
    "\n"
    "example: hearth reassess --measure --max-time 3600\n",
};

typedef struct job {
    bool json, measure, history;
    double max_time_s, max_cost, days;
    config *cfg;
    ledger *l;
    plan_offer offers[OFFERS_MAX];
    char *texts[2 * OFFERS_MAX]; /* what offers borrow */
    size_t n_offers, n_texts;
    js *out;
    uint64_t began_us;
    double spent_usd;
    int code;
} job;

static volatile int stop_asked;

static void on_interrupt(int sig)
{
    (void)sig;
    stop_asked = 1;
}

static void worse(job *j, int code)
{
    if (code > j->code)
        j->code = code;
}

/* ---- offers: configured providers, and models that lie in the models directory ---- */

static char *keep(job *j, const char *text)
{
    char *copy = j->n_texts < ARRAY_LEN(j->texts) ? mem_strdup(text) : NULL;
    if (copy)
        j->texts[j->n_texts++] = copy;
    return copy;
}

static void add_offer(job *j, const char *spec, const char *model)
{
    char weights[65] = "", *path = NULL;
    error none;
    if (model && models_find(&path, model, &none) == OK && models_digest_file(path, weights, &none) != OK)
        weights[0] = 0;
    mem_free(path);
    const char *name = keep(j, spec), *hex = keep(j, weights);
    if (name && hex && j->n_offers < OFFERS_MAX)
        j->offers[j->n_offers++] = (plan_offer){ name, hex };
}

static status find_offers(job *j, error *err)
{
    model_file *files = NULL;
    size_t n = 0;
    for (size_t i = 0; i < j->cfg->n_providers; i++) {
        const config_provider *p = &j->cfg->providers[i];
        if (strcmp(p->kind, "replay") != 0)
            add_offer(j, p->name, strcmp(p->kind, "local") == 0 ? p->model : NULL);
    }
    status s = models_list(&files, &n, err);
    for (size_t i = 0; !s && i < n; i++) {
        char spec[512];
        bool named = false;
        for (size_t k = 0; k < j->cfg->n_providers; k++)
            named = named || strcmp(j->cfg->providers[k].model, files[i].name) == 0;
        snprintf(spec, sizeof spec, "local:%.480s", files[i].name);
        if (!named)
            add_offer(j, spec, files[i].path);
    }
    models_free(files, n);
    return s;
}

/* ---- one task ---- */

typedef struct asked {
    task *t;
    plan_item items[OFFERS_MAX];
    route_input before, after;
    route_decision was, is;
} asked;

static bool may_ask(const job *j, const task *t, const char *spec)
{
    error none;
    return measure_spec_allowed(t, spec, j->cfg, &none) == OK;
}

static bool out_of_budget(const job *j)
{
    double seconds = (double)(clock_mono_us() - j->began_us) / 1e6;
    return stop_asked || (j->max_time_s > 0 && seconds >= j->max_time_s) ||
           (j->max_cost > 0 && j->spent_usd >= j->max_cost);
}

static status measure_one(job *j, asked *a, const plan_item *item, error *err)
{
    provider *p = NULL;
    measure_tools *tools = NULL;
    measure_result r = { 0 };
    double seconds = (double)(clock_mono_us() - j->began_us) / 1e6;
    status s = measuring_open(&p, j->offers[item->offer].provider, j->cfg, 0, err);
    if (!s)
        s = measure_tools_open(&tools, a->t, j->cfg, err);
    measure_options o = { .until_decided = true, .tools = tools, .stop = &stop_asked,
                          .max_seconds = j->max_time_s > 0 ? j->max_time_s - seconds : 0,
                          .max_cost_usd = j->max_cost > 0 ? j->max_cost - j->spent_usd : 0 };
    if (!s)
        s = measure_task(j->l, a->t, provider_get_info(p), measure_ask_provider, p, &o, &r, err);
    if (r.cost_usd > 0)
        j->spent_usd += r.cost_usd;
    measure_tools_close(&tools);
    provider_close(&p);
    return s;
}

static void measure_due(job *j, asked *a)
{
    for (size_t i = 0; i < j->n_offers && !out_of_budget(j); i++) {
        const plan_item *item = &a->items[i];
        error err = { 0 };
        if (item->reason == PLAN_CURRENT || !may_ask(j, a->t, j->offers[i].provider))
            continue;
        fprintf(stderr, "hearth reassess: %s on %s: %s\n", a->t->id, j->offers[i].provider, item->why);
        status s = measure_one(j, a, item, &err);
        if (s)
            worse(j, s == E_CANCELLED ? EXIT_NO : report("reassess", &err));
    }
}

/* ---- telling ---- */

static void print_task(const job *j, const asked *a)
{
    printf("%s%s%s: %s (%s)\n", cli_style(1, "\033[1m"), a->t->id, cli_style(1, "\033[0m"),
           route_choice_name(a->is.choice), route_state_name(a->is.state));
    for (size_t i = 0; i < j->n_offers; i++)
        printf("  %-11s %s: %s%s\n", plan_reason_name(a->items[i].reason), j->offers[i].provider, a->items[i].why,
               may_ask(j, a->t, j->offers[i].provider) ? "" : " (its class keeps the cases away from there)");
    if (a->is.choice != a->was.choice || a->is.state != a->was.state)
        printf("  %schanged%s     %s (%s) -> %s (%s): %s\n", cli_style(1, "\033[33m"), cli_style(1, "\033[0m"),
               route_choice_name(a->was.choice), route_state_name(a->was.state), route_choice_name(a->is.choice),
               route_state_name(a->is.state), a->is.reason);
}

static js *decision_js(const route_decision *d)
{
    js *o = js_object();
    js_set(o, "choice", js_new_string(route_choice_name(d->choice)));
    js_set(o, "state", js_new_string(route_state_name(d->state)));
    js_set(o, "provider", js_new_string(d->provider));
    js_set(o, "reason", js_new_string(d->reason));
    return o;
}

static js *task_js(const job *j, const asked *a)
{
    js *o = js_object(), *due = js_array();
    for (size_t i = 0; i < j->n_offers; i++) {
        const plan_item *item = &a->items[i];
        js *one = js_object();
        js_set(one, "provider", js_new_string(j->offers[i].provider));
        js_set(one, "reason", js_new_string(plan_reason_name(item->reason)));
        js_set(one, "why", js_new_string(item->why));
        js_set(one, "cases", js_new_int(item->n_cases));
        js_set(one, "kept", js_new_int(item->n_kept));
        js_set(one, "allowed", js_new_bool(may_ask(j, a->t, j->offers[i].provider)));
        js_push(due, one);
    }
    js_set(o, "task", js_new_string(a->t->id));
    js_set(o, "before", decision_js(&a->was));
    js_set(o, "after", decision_js(&a->is));
    js_set(o, "offers", due);
    return o;
}

/* The days on which a task's verdict became another one. */
static status tell_history(job *j, const task *t, error *err)
{
    ledger_decisions all = { 0 };
    const char *last = "";
    char at[CLOCK_TEXT];
    status s = ledger_find_decisions(j->l, t->id, &all, err);
    for (size_t i = 0; !s && i < all.n; i++) {
        const ledger_decision *d = &all.rows[i];
        if (strcmp(d->verdict, last) == 0)
            continue;
        last = d->verdict;
        if (j->json) {
            js *one = js_object();
            js_set(one, "task", js_new_string(t->id));
            js_set(one, "at", js_new_string(clock_utc_text(d->at_us, at)));
            js_set(one, "state", js_new_string(d->verdict));
            js_set(one, "pass", js_new_int((int64_t)d->n_pass));
            js_set(one, "cases", js_new_int((int64_t)d->n));
            js_set(one, "only_local", js_new_int((int64_t)d->win));
            js_set(one, "same", js_new_int((int64_t)d->tie));
            js_set(one, "only_cloud", js_new_int((int64_t)d->loss));
            js_push(j->out, one);
        } else {
            printf("%s  %-24s %-10s %llu of %llu right; pairs %llu/%llu/%llu%s\n", clock_utc_text(d->at_us, at), t->id,
                   d->verdict, (unsigned long long)d->n_pass, (unsigned long long)d->n, (unsigned long long)d->win,
                   (unsigned long long)d->tie, (unsigned long long)d->loss,
                   strcmp(d->verdict, "local") == 0 ? "  crossed over" : "");
        }
    }
    ledger_decisions_close(&all);
    return s;
}

static status reassess_one(job *j, task *t, error *err)
{
    asked *a = mem_zero(sizeof *a);
    if (!a)
        return fail(err, E_NOMEM, "no memory for task %s", t->id);
    a->t = t;
    status s = measure_tools_bind(t, j->cfg, err);
    if (!s)
        s = measuring_decide(j->l, j->cfg, t, &a->before, &a->was, err);
    if (!s)
        s = plan_make(j->l, t, j->offers, j->n_offers, clock_utc_us(), (int64_t)(j->days * 86400e6), a->items, err);
    if (!s && j->measure)
        measure_due(j, a);
    if (!s)
        s = measuring_decide(j->l, j->cfg, t, &a->after, &a->is, err);
    if (!s && j->measure)
        s = route_record(j->l, t, &a->after, &a->is, NULL, err);
    if (!s && j->json)
        js_push(j->out, task_js(j, a));
    else if (!s)
        print_task(j, a);
    mem_free(a);
    return s;
}

static int run_tasks(job *j, char **words, size_t n_words)
{
    char dir[4096];
    error err = { 0 };
    task_names names = { 0 };
    if (machine_program_dir(dir, sizeof dir, &err) || (!n_words && task_list(&names, dir, &err)))
        return report("reassess", &err);
    for (size_t i = 0; i < (n_words ? n_words : names.n); i++) {
        task *t = NULL;
        status s = task_open(&t, n_words ? words[i] : names.names[i], dir, &err);
        if (!s)
            s = task_load_cases(t, &err);
        if (!s)
            s = j->history ? tell_history(j, t, &err) : reassess_one(j, t, &err);
        if (s)
            worse(j, report("reassess", &err));
        task_close(&t);
    }
    task_names_clear(&names);
    return j->code;
}

int cmd_reassess(int argc, char **argv)
{
    job j = { .days = 90 };
    error err = { 0 };
    size_t n_words = 0;
    int code = EXIT_OK;
    const option options[] = {
        { "measure", 0, OPTION_FLAG, &j.measure, NULL, "ask what is due" },
        { "history", 0, OPTION_FLAG, &j.history, NULL, "the days on which tasks changed sides" },
        { "days", 0, OPTION_FLOAT, &j.days, "N", "a server is due after so many days (default 90; 0: never)" },
        { "max-time", 0, OPTION_FLOAT, &j.max_time_s, "SECONDS", "stop after so long" },
        { "max-cost", 0, OPTION_FLOAT, &j.max_cost, "USD", "spend no more than this, at the configured prices" },
        { "json", 0, OPTION_FLAG, &j.json, NULL, "one JSON document instead of text" },
    };
    if (!options_read(argc, argv, &help, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (j.days < 0 || j.max_time_s < 0 || j.max_cost < 0)
        return usage_error("reassess", "--days, --max-time and --max-cost are at least 0");
    struct sigaction interrupt = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND };
    sigaction(SIGINT, &interrupt, NULL);
    j.began_us = clock_mono_us();
    j.out = js_array();
    status s = config_open(&j.cfg, NULL, &err);
    if (!s)
        s = find_offers(&j, &err);
    if (!s)
        s = ledger_open(&j.l, NULL, LEDGER_WRITE, &err);
    code = s ? report("reassess", &err) : run_tasks(&j, argv + 1, n_words);
    if (!s && j.json)
        worse(&j, cli_print_json(j.out, "reassess"));
    else
        js_free(j.out);
    for (size_t i = 0; i < j.n_texts; i++)
        mem_free(j.texts[i]);
    ledger_close(&j.l);
    config_close(&j.cfg);
    return code > j.code ? code : j.code;
}
