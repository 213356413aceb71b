/* cmd_reassess.c: hearth reassess [TASK…]: what was true once is asked again. Shows what is due and why, measures it
 * within a budget where that is asked for, and says which task changed sides. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/budget.h"
#include "cli/cli.h"
#include "cli/measuring.h"
#include "cli/reassess_history.h"
#include "measure/measure.h"
#include "measure/tools.h"
#include "plat/clock.h"
#include "plat/machine.h"
#include "route/plan.h"
#include "route/policy.h"
#include "store/store.h"
#include "task/task.h"

enum { OFFERS_MAX = 128 };

static const usage help = {
    "hearth reassess [TASK…] [--measure] [--apply] [OPTION]…",
    "What needed the cloud last quarter may have crossed over, and what ran here may not be good enough any more.\n"
    "Shows for each task which evidence is due and why: a model file or prompt that changed, a model in the models\n"
    "directory that was never tried on it, cases without an answer, a server that was last asked long ago. With\n"
    "--measure it asks what is due, each until it is decided, and says which task changed sides; the budget is of all\n"
    "together, and without one the policy's holds. Where the policy says `changes: propose`, what is proven for this\n"
    "machine is only proposed; --apply applies it. --history tells on which day each task changed sides: counts,\n"
    "intervals, margin, evidence, and which change of model came with it.\n"
    "\n"
    "example: hearth reassess --measure --budget-minutes 60 --budget-usd 1\n",
};

typedef struct job {
    bool json, measure, history, apply;
    double max_time_s, max_cost, minutes, days;
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

static void add_offer(job *j, const char *spec)
{
    char weights[65];
    if (!provider_weights(spec, j->cfg, weights))
        weights[0] = 0;
    const char *name = keep(j, spec), *hex = keep(j, weights);
    if (name && hex && j->n_offers < OFFERS_MAX)
        j->offers[j->n_offers++] = (plan_offer){ name, hex };
}

static status find_offers(job *j, error *err)
{
    store_model *files = NULL;
    size_t n = 0;
    for (size_t i = 0; i < j->cfg->n_providers; i++) {
        const config_provider *p = &j->cfg->providers[i];
        if (strcmp(p->kind, "replay") != 0)
            add_offer(j, p->name);
    }
    status s = store_list(&files, &n, err);
    for (size_t i = 0; !s && i < n; i++) {
        char spec[512];
        bool named = false;
        for (size_t k = 0; k < j->cfg->n_providers; k++)
            named = named || strcmp(j->cfg->providers[k].model, files[i].name) == 0;
        snprintf(spec, sizeof spec, "local:%.480s", files[i].name);
        if (!named)
            add_offer(j, spec);
    }
    store_free(files, n);
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
    measure_options o = { .until_decided = true, .fresh = item->reason == PLAN_ALARM, .tools = tools,
                          .stop = &stop_asked,
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
    if (a->is.proposed)
        printf("  %sproposed%s    local (%s): %s\n", cli_style(1, "\033[33m"), cli_style(1, "\033[0m"),
               a->after.local.provider, a->is.reason);
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
    js_set(o, "proposed", js_new_bool(d->proposed));
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
    if (!s && j->apply && a->is.proposed) { /* a person's word, whatever the policy waits for */
        a->after.rules.propose = false;
        route_decide(&a->after, &a->is);
    }
    if (!s && (j->measure || j->apply))
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
            s = j->history ? reassess_history(j->l, t, j->json ? j->out : NULL, &err) : reassess_one(j, t, &err);
        if (s)
            worse(j, report("reassess", &err));
        task_close(&t);
    }
    task_names_clear(&names);
    return j->code;
}

/* Not given is NAN. */
static bool budget_ok(job *j)
{
    const double given[] = { j->days, j->max_time_s, j->max_cost, j->minutes };
    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        if (given[i] < 0)
            return false;
    if (!isnan(j->minutes))
        j->max_time_s = 60 * j->minutes;
    return true;
}

/* What the command line leaves open, the policy says, and else the usual. */
static status take_policy(job *j, error *err)
{
    policy *p = NULL;
    int64_t number = 0;
    status s = policy_open(&p, &number, j->l, err);
    if (s)
        return s;
    if (isnan(j->max_time_s))
        j->max_time_s = p && p->reassess_minutes >= 0 ? 60 * p->reassess_minutes : 0;
    if (isnan(j->max_cost))
        j->max_cost = p && p->reassess_usd >= 0 ? p->reassess_usd : 0;
    if (isnan(j->days))
        j->days = p && p->reassess_days >= 0 ? p->reassess_days : 90;
    policy_close(&p);
    return OK;
}

int cmd_reassess(int argc, char **argv)
{
    job j = { .days = NAN, .max_time_s = NAN, .max_cost = NAN, .minutes = NAN };
    error err = { 0 };
    size_t n_words = 0;
    int code = EXIT_OK;
    const option options[] = {
        { "measure", 0, OPTION_FLAG, &j.measure, NULL, "ask what is due" },
        { "history", 0, OPTION_FLAG, &j.history, NULL, "the days on which tasks changed sides" },
        { "days", 0, OPTION_FLOAT, &j.days, "N", "a server is due after so many days (default 90; 0: never)" },
        { "apply", 0, OPTION_FLAG, &j.apply, NULL, "what is proven becomes the route, though it was only proposed" },
        { "max-time", 0, OPTION_FLOAT, &j.max_time_s, "SECONDS", "as --budget-minutes, in seconds" },
        { "budget-minutes", 0, OPTION_FLOAT, &j.minutes, "N", "stop after so long; 0: no limit" },
        { "budget-usd", 0, OPTION_FLOAT, &j.max_cost, "USD", "spend no more, at the configured prices; 0: no limit" },
        { "max-cost", 0, OPTION_FLOAT, &j.max_cost, "USD", "as --budget-usd" },
        { "json", 0, OPTION_FLAG, &j.json, NULL, "one JSON document instead of text" },
    };
    if (!options_read(argc, argv, &help, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (!budget_ok(&j))
        return usage_error("reassess", "--days and the budget are at least 0");
    struct sigaction interrupt = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND };
    sigaction(SIGINT, &interrupt, NULL);
    j.began_us = clock_mono_us();
    j.out = js_array();
    status s = config_open(&j.cfg, NULL, &err);
    if (!s)
        (void)budget_of_parent(j.cfg, 0);
    if (!s)
        s = find_offers(&j, &err);
    if (!s)
        s = ledger_open(&j.l, NULL, LEDGER_WRITE, &err);
    if (!s)
        s = take_policy(&j, &err);
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
