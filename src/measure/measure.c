/* measure.c: a run over one arm or several: what is left to ask, in which order, until when. */
#include "measure/measure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "measure/crew.h"
#include "plat/clock.h"
#include "plat/energy.h"
#include "privacy/privacy.h"

enum { TELL_MS = 200, BLOCK_CASES = 8, REMOTE_PARALLEL = 4 };

typedef struct plan {
    crew_item *items;
    size_t n, room;
} plan;

/* One measure_arms. */
typedef struct whole {
    arm arms[MEASURE_ARMS_MAX];
    size_t n_arms;
    const measure_options *o;
    uint32_t *order;      /* in which keys are taken */
    plan plans[MEASURE_ARMS_MAX]; /* of each lane */
    crew_lane lanes[MEASURE_ARMS_MAX];
    size_t n_lanes;
    crew *crew;
    measure_outcome outcome;
    uint64_t began_us, told_us;
    uint32_t looked_at;   /* cases that were answered at the last look at what is decided */
    bool stopped;         /* the caller asked to */
    bool checked;         /* somebody will read what speaks against the results */
    energy_meter *meter;  /* NULL: nobody's energy is counted */
    arm *metered;         /* whose it is */
    uint64_t metered_us;  /* since when */
} whole;

status measure_allowed(const struct task *t, const char *provider_name, provider_kind kind, provider_place place,
                       error *err)
{
    char what[96];
    snprintf(what, sizeof what, "task %s", t->id);
    if (kind == PROVIDER_REPLAY)
        return OK;
    return privacy_check_measure(what, t->privacy, t->synthetic, provider_name,
                                 privacy_place_of(provider_place_name(place)), err);
}

status measure_spec_allowed(const struct task *t, const char *spec, const config *cfg, error *err)
{
    provider_kind kind;
    provider_place place;
    status s = provider_kind_of(spec, cfg, &kind, err);
    if (!s)
        s = provider_place_of(spec, cfg, &place, err);
    return s ? s : measure_allowed(t, spec, kind, place, err);
}

status measure_ask_provider(void *p, const request *r, event_fn *fn, void *fn_user, const provider_limits *limits,
                            error *err)
{
    return provider_complete(p, r, fn, fn_user, limits, err);
}

/* Who answers, without the name it was given: a local model is its digest, a server its address. */
static void put_source(const provider_info *who, buf *out)
{
    if (who->kind == PROVIDER_LOCAL)
        buf_str(out, "local");
    else if (provider_is_server(who->kind))
        buf_printf(out, "%s:%s#%s", provider_kind_name(who->kind), who->url, who->model);
    else
        buf_printf(out, "%s%s", str_starts(who->name, "replay:") ? "" : "replay:", who->name);
}

status measure_evidence(const struct task *t, const provider_info *who, char **keep, ledger_evidence *out, error *err)
{
    char *sampling = NULL;
    status st = task_sampling_key(t, &sampling, err);
    if (st)
        return st;
    size_t n = strlen(sampling) + 1;
    buf b = BUF_INIT(2 << 20); /* "SAMPLING\0SOURCE": one block, so that one pointer frees both */
    buf_add(&b, sampling, n);
    put_source(who, &b);
    mem_free(sampling);
    st = buf_ok(&b, "the evidence key", err);
    if (st) {
        buf_clear(&b);
        return st;
    }
    *keep = buf_take(&b);
    *out = (ledger_evidence){ .source = *keep + n, .model = who->model_digest, .numerics = who->numerics,
                              .kv_type = who->kv_type, .context_rule = "",
                              .constrained = t->schema && who->kind == PROVIDER_LOCAL, .sampling = *keep };
    return OK;
}

/* ---- telling ---- */

static void tell(whole *w, bool now)
{
    uint64_t at = clock_mono_us();
    if (!w->o->progress || (!now && at - w->told_us < TELL_MS * 1000))
        return;
    w->told_us = at;
    const arm *first = &w->arms[0];
    measure_progress p = { .task = first->t->id, .provider = w->n_arms == 1 ? first->who->name : "", .eta_s = -1 };
    for (size_t i = 0; i < w->n_arms; i++) {
        const arm *s = &w->arms[i];
        p.done += s->n_asked + s->n_failed;
        p.total += s->total;
        p.kept += s->n_kept;
        p.failed += s->n_failed;
        p.passed += s->passed;
        if (atomic_load(&s->prefill_total)) {
            p.prefill_done = atomic_load(&s->prefill_done);
            p.prefill_total = atomic_load(&s->prefill_total);
        }
    }
    double seconds = (double)(at - w->began_us) / 1e6;
    p.cases_per_s = p.done && seconds > 0 ? p.done / seconds : 0;
    if (p.cases_per_s > 0)
        p.eta_s = (p.total - p.done) / p.cases_per_s;
    w->o->progress(w->o->progress_user, &p);
}

/* ---- what is asked, in which order ---- */

/* Tokens are not known before a provider counts them: two bytes a token is more than any text takes, on average. */
static status worst_cost(const arm *s, const task_case *c, double *out, error *err)
{
    task_messages m = { 0 };
    double bytes = 0;
    status st = task_render(s->t, s->prompt, c->input, c->id, &m, err);
    for (size_t i = 0; !st && i < m.n; i++)
        bytes += (double)strlen(m.items[i].content) + 16;
    task_messages_clear(&m);
    *out = (bytes / 2 * s->who->price_input + (double)s->t->sampling.max_tokens * s->who->price_output) / 1e6;
    return st;
}

static status add_item(whole *w, plan *p, arm *s, size_t key, uint32_t repeat, error *err)
{
    crew_item i = { .s = s, .key = key, .repeat = repeat, .alone = s->local && s->n_alone < MEASURE_ALONE };
    s->n_alone += i.alone;
    if (w->o->max_cost_usd > 0 && !s->local && s->who->kind != PROVIDER_REPLAY) {
        if (isnan(s->who->price_input) || isnan(s->who->price_output))
            return fail(err, E_RANGE, "a budget was set, and no price is known for %s: give it `price: {input, "
                        "output}` in config.yaml", s->who->name);
        status st = worst_cost(s, s->by_task[key].c, &i.worst_usd, err);
        if (st)
            return st;
    }
    p->items[p->n++] = i;
    return OK;
}

/* The cases from..to of the order that this arm has no answer to. */
static status add_block(whole *w, plan *p, arm *s, size_t from, size_t to, error *err)
{
    status st = OK;
    for (size_t i = from; !st && i < to; i++) {
        size_t key = w->order ? w->order[i] : i;
        for (uint32_t r = 0; !st && key < s->n_wanted && r < s->repeats; r++)
            if (!s->tally.slots[key * s->repeats + r].row)
                st = add_item(w, p, s, key, r, err);
    }
    return st;
}

static uint32_t threads_of(const whole *w, const arm *s)
{
    uint32_t most = s->who->parallel ? s->who->parallel : 1;
    uint32_t wanted = w->o->parallel ? w->o->parallel : s->local ? most : REMOTE_PARALLEL;
    return wanted < most ? wanted : most;
}

static status add_lane(whole *w, arm *const *arms, size_t n, error *err)
{
    plan *p = &w->plans[w->n_lanes];
    size_t n_cases = arms[0]->n_keys, block = w->o->until_decided ? BLOCK_CASES : n_cases;
    uint32_t threads = 1;
    for (size_t i = 0; i < n; i++) {
        p->room += arms[i]->total;
        threads = threads_of(w, arms[i]) > threads ? threads_of(w, arms[i]) : threads;
    }
    p->items = mem_array(p->room + 1, sizeof *p->items);
    status st = p->items ? OK : fail(err, E_NOMEM, "no memory for a plan of %zu cases", p->room);
    for (size_t from = 0; !st && from < n_cases; from += block)
        for (size_t i = 0; !st && i < n; i++)
            st = add_block(w, p, arms[i], from, from + block < n_cases ? from + block : n_cases, err);
    w->lanes[w->n_lanes++] = (crew_lane){ p->items, p->n, threads };
    return st;
}

static status make_lanes(whole *w, error *err)
{
    arm *local[MEASURE_ARMS_MAX];
    size_t n = 0;
    status st = w->o->until_decided ? decide_order(w->arms[0].t, &w->order, err) : OK;
    for (size_t i = 0; i < w->n_arms; i++)
        if (w->arms[i].local)
            local[n++] = &w->arms[i];
    if (!st && n)
        st = add_lane(w, local, n, err);
    for (size_t i = 0; !st && i < w->n_arms; i++)
        if (!w->arms[i].local)
            st = add_lane(w, &(arm *){ &w->arms[i] }, 1, err);
    return st;
}

/* ---- the run ---- */

static void choose_arms(whole *w)
{
    measure_outcome *o = &w->outcome;
    o->local = o->reference = SIZE_MAX;
    for (size_t i = w->n_arms; i-- > 0;)
        *(w->arms[i].local ? &o->local : &o->reference) = i;
    if (w->n_arms < 2) {
        o->reference = SIZE_MAX;
        return;
    }
    if (o->local == SIZE_MAX)
        o->local = 0; /* servers or recordings only: the first named is the candidate */
    if (o->reference == SIZE_MAX || o->reference == o->local)
        o->reference = 1;
}

static double alpha_of(const whole *w)
{
    return w->o->alpha > 0 ? w->o->alpha : 0.05;
}

/* What the answers so far prove. Where there is a reference the question is the difference, else the bar. */
static bool decided(whole *w, measure_result *results)
{
    measure_outcome *o = &w->outcome;
    bool all = true;
    if (o->reference != SIZE_MAX) {
        decide_pairs(&w->arms[o->local], &w->arms[o->reference], w->order, alpha_of(w), o);
        return o->decided != MEASURE_OPEN;
    }
    for (size_t i = 0; i < w->n_arms; i++) {
        decide_bar(&w->arms[i], w->order, alpha_of(w), &results[i]);
        all = all && (results[i].decided != MEASURE_OPEN || w->arms[i].over);
    }
    return all;
}

static void end_all(whole *w, const char *why, bool cancel)
{
    for (size_t i = 0; i < w->n_arms; i++)
        if (w->arms[i].n_asked + w->arms[i].n_failed < w->arms[i].total && !w->arms[i].ended[0] && !w->stopped)
            snprintf(w->arms[i].ended, sizeof w->arms[i].ended, "%s", why);
    if (w->crew)
        crew_halt(w->crew, cancel);
}

/* What happens to a case that was asked, and what it cost. */
static status settle(crew_done *d, double *spent, error *err)
{
    arm *s = d->item.s;
    *spent = d->reserved_usd; /* it may have been charged */
    if (d->asked == E_CANCELLED)
        return OK; /* given up: asked again by the next run */
    if (d->asked == E_DENIED || d->r.denied)
        return fail(err, E_DENIED, "%s", d->why.text);
    if (d->asked && !d->r.kind[0]) /* never reached the provider: ours, not its fault */
        return fail(err, d->asked, "%s", d->why.text);
    if (d->asked)
        return arm_keep_failure(s, d->item.key, d->item.repeat, &d->r, &d->why, err);
    double cost = arm_cost(s, &d->r.row);
    if (!isnan(cost))
        *spent = cost;
    return arm_keep_answer(s, d->item.key, d->item.repeat, &d->r, &d->v, d->prompt_text, err);
}

/* A look costs time that grows with the cases. Looking less often costs a few cases and no validity. */
static bool time_to_look(whole *w)
{
    uint32_t n = 0;
    for (size_t i = 0; i < w->n_arms; i++)
        n += w->arms[i].n_asked + w->arms[i].n_failed;
    if (w->looked_at && n < w->looked_at + 1 + n / 64)
        return false;
    w->looked_at = n ? n : 1;
    return true;
}

static bool look_at_limits(whole *w, measure_result *results)
{
    double seconds = (double)(clock_mono_us() - w->began_us) / 1e6;
    if (w->o->stop && *w->o->stop && !w->stopped) {
        w->stopped = true;
        end_all(w, "stopped", true);
        return true;
    }
    if (w->o->max_seconds > 0 && seconds >= w->o->max_seconds) {
        end_all(w, "max-time", true);
        return true;
    }
    if (w->o->until_decided && time_to_look(w) && decided(w, results)) {
        end_all(w, "decided", false);
        return true;
    }
    return false;
}

/* ---- energy ---- */

/* Energy is of the whole processor: an arm's own only where no other arm computes here. */
static void begin_energy(whole *w)
{
    arm *found = NULL;
    for (size_t i = 0; i < w->n_arms; i++)
        if (w->arms[i].local) {
            if (found)
                return;
            found = &w->arms[i];
        }
    if (!found || !found->total || !(w->meter = energy_open(w->o->powercap)))
        return;
    w->metered = found;
    w->metered_us = clock_mono_us();
}

/* At every turn, since a counter that is read too seldom turns unseen; what counts is up to the arm's last case. */
static void look_at_energy(whole *w, const crew_done *d)
{
    double joules = energy_read(w->meter);
    if (!d || d->item.s != w->metered)
        return;
    w->metered->energy_j = joules;
    w->metered->energy_s = isnan(joules) ? NAN : (double)(clock_mono_us() - w->metered_us) / 1e6;
}

static double budget_of(const measure_options *o)
{
    return o->max_cost_usd > 0 ? o->max_cost_usd : INFINITY;
}

static status ask_the_rest(whole *w, measure_result *results, error *err)
{
    bool halted = look_at_limits(w, results); /* perhaps nothing need be asked at all */
    if (!halted)
        begin_energy(w);
    status st = halted ? OK : crew_open(&w->crew, w->lanes, w->n_lanes, budget_of(w->o), err);
    while (w->crew) {
        crew_done *d = crew_wait(w->crew, TELL_MS);
        if (!d && crew_is_idle(w->crew))
            break;
        if (d) {
            error why = { 0 };
            double spent;
            status now = settle(d, &spent, &why);
            look_at_energy(w, d);
            if (now && !st)
                st = fail(err, now, "%s", why.text);
            if (now == E_PROVIDER) /* the others go on */
                crew_drop(w->crew, d->item.s);
            else if (now)
                crew_halt(w->crew, true);
            crew_kept(w->crew, d, spent);
        } else {
            look_at_energy(w, NULL);
        }
        if (!halted && (!st || st == E_PROVIDER))
            halted = look_at_limits(w, results);
        tell(w, false);
    }
    if (w->crew && crew_ran_out(w->crew))
        end_all(w, "max-cost", false);
    if (!st && w->stopped)
        st = fail(err, E_CANCELLED, "stopped");
    return st;
}

static status open_arms(whole *w, ledger *l, const struct task *t, const measure_arm *arms, error *err)
{
    status st = OK;
    for (size_t i = 0; !st && i < w->n_arms; i++)
        st = measure_allowed(t, arms[i].who->name, arms[i].who->kind, arms[i].who->place, err);
    for (size_t i = 0; !st && w->o->tools && i < w->n_arms; i++)
        st = measure_tools_check(w->o->tools, arms[i].who, err);
    for (size_t i = 0; !st && i < w->n_arms; i++) {
        w->arms[i] = (arm){ .l = l, .t = t, .who = arms[i].who, .ask = arms[i].ask, .user = arms[i].user,
                                .o = w->o, .foretold = arms[i].foretold };
        st = arm_open(&w->arms[i], err);
    }
    if (!st)
        st = make_lanes(w, err);
    for (size_t i = 0; !st && i < w->n_arms; i++)
        st = arm_begin(&w->arms[i], err);
    return st;
}

static status sum_up(whole *w, measure_result *results, error *err)
{
    double constant, rules; /* of the task: the same for all */
    status st = task_baseline_rates(w->arms[0].t, &constant, &rules, err);
    for (size_t i = 0; !st && i < w->n_arms; i++) {
        st = measure_summary(&w->arms[i], &results[i], err);
        if (!st)
            decide_bar(&w->arms[i], w->order, alpha_of(w), &results[i]);
        results[i].majority = constant;
        results[i].regex = rules;
        w->outcome.n_unasked += w->arms[i].total - w->arms[i].n_asked - w->arms[i].n_failed;
    }
    if (!st && w->outcome.reference != SIZE_MAX)
        decide_pairs(&w->arms[w->outcome.local], &w->arms[w->outcome.reference], w->order, alpha_of(w), &w->outcome);
    return st || !w->checked ? st : checks_run(w->arms, w->n_arms, results, &w->outcome, err);
}

static void close_all(whole *w)
{
    crew_close(&w->crew);
    energy_close(&w->meter);
    for (size_t i = 0; i < w->n_arms; i++)
        arm_close(&w->arms[i]);
    for (size_t i = 0; i < w->n_lanes; i++)
        mem_free(w->plans[i].items);
    mem_free(w->order);
    mem_free(w);
}

status measure_arms(ledger *l, const struct task *t, const measure_arm *arms, size_t n_arms, const measure_options *o,
                    measure_result *results, measure_outcome *outcome, error *err)
{
    if (n_arms == 0 || n_arms > MEASURE_ARMS_MAX)
        return fail(err, E_RANGE, "a run is of 1 to %d providers", MEASURE_ARMS_MAX);
    whole *w = mem_zero(sizeof *w);
    if (!w)
        return fail(err, E_NOMEM, "no memory for a run");
    w->n_arms = n_arms;
    w->o = o;
    w->checked = outcome != NULL;
    w->began_us = clock_mono_us();
    status st = open_arms(w, l, t, arms, err);
    choose_arms(w);
    if (!st) {
        tell(w, true);
        st = ask_the_rest(w, results, err);
        tell(w, true);
        if (!st || st == E_CANCELLED || st == E_PROVIDER) {
            error why = { 0 };
            status summed = sum_up(w, results, &why);
            if (summed && !st)
                st = fail(err, summed, "%s", why.text);
        }
    }
    if (outcome)
        *outcome = w->outcome;
    close_all(w);
    return st;
}

status measure_task(ledger *l, const struct task *t, const provider_info *who, measure_ask *ask, void *user,
                    const measure_options *o, measure_result *out, error *err)
{
    return measure_arms(l, t, &(measure_arm){ who, ask, user, NULL }, 1, o, out, NULL, err);
}
