/* gather.c: a task's facts from the ledger.
 *
 * The ledger's sources (one evidence each, newest first) become sides:
 *   another sampling than the task asks for     -> stale as a whole
 *   a newer source of the same provider exists  -> stale as a whole; the difference says what changed
 *   otherwise                                   -> tallied against today's prompts and graders
 * Recordings are evidence of how somebody answered once, but nobody to send a task to: they make no side. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "ledger/tally.h"
#include "route/watch.h"
#include "stat/stat.h"
#include "task/evidence.h"

enum { SIDES_MAX = 64 };

typedef struct side_work {
    route_side side;
    signed char *outcome; /* [case], NULL: not measured */
    const route_candidate *candidate; /* NULL: only the ledger knows it */
    route_calibration cascade;
    bool weights_known;        /* by route_settings.weights */
    char weights[DIGEST_HEX];
} side_work;

typedef struct work {
    ledger *l;
    const task *t;
    const route_settings *s;
    privacy_class privacy; /* the task's, or the request's */
    char *sampling;
    side_work sides[SIDES_MAX];
    size_t n;
    size_t n_cases; /* that are measured */
} work;

static void copy_name(char *to, size_t room, const char *from)
{
    size_t n = strnlen(from, room - 1);
    memcpy(to, from, n);
    to[n] = 0;
}

static const route_candidate *find_candidate(const route_settings *s, const char *name)
{
    for (size_t i = 0; i < s->n_candidates; i++)
        if (strcmp(s->candidates[i].name, name) == 0)
            return &s->candidates[i];
    return NULL;
}

static side_work *find_side(work *w, const char *provider)
{
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->sides[i].side.provider, provider) == 0)
            return &w->sides[i];
    return NULL;
}

/* Nobody there, and no number known. */
static void clear_side(route_side *r)
{
    memset(r, 0, sizeof *r);
    r->cost_usd = NAN;
    r->pass = r->lower = r->upper = r->score = r->score_lower = r->score_upper = NAN;
    r->latency_p95_ms = r->ttft_p50_ms = r->decode_per_s = r->prefill_per_s = r->peak_bytes = NAN;
}

static side_work *new_side(work *w, const char *provider, privacy_place place)
{
    if (w->n == SIDES_MAX)
        return NULL;
    side_work *x = &w->sides[w->n++];
    route_side *r = &x->side;
    memset(x, 0, sizeof *x);
    clear_side(r);
    r->present = true;
    r->place = place;
    copy_name(r->provider, sizeof r->provider, provider);
    r->n_cases = (uint32_t)w->n_cases;
    r->cost_usd = place == PRIVACY_LOCAL ? 0 : NAN;
    return x;
}

static void add_stale(route_side *r, const char *why, uint32_t n)
{
    size_t at = strlen(r->stale);
    r->n_stale += n;
    snprintf(r->stale + at, sizeof r->stale - at, "%s%s", at ? "; " : "", why);
}

/* ---- one source ---- */

static void set_rates(route_side *r, const tally *t, const task_mean *score)
{
    stat_interval i = stat_clopper_pearson(t->n_pass, t->n, 0.95);
    r->n = t->n;
    r->n_pass = t->n_pass;
    r->n_wrong = t->n_wrong;
    r->n_malformed = t->n_malformed;
    if (t->n == 0)
        return;
    r->pass = (double)t->n_pass / t->n;
    r->lower = i.low;
    r->upper = i.high;
    r->score = score->mean;
    r->score_lower = score->low;
    r->score_upper = score->high;
}

static void set_speed(route_side *r, const tally_speed *here)
{
    r->latency_p95_ms = here->answer_p95_ms;
    r->ttft_p50_ms = here->ttft_p50_ms;
    r->decode_per_s = here->decode_per_s;
    r->prefill_per_s = here->prefill_per_s;
}

/* What an answer costs on average, from the tokens of those that were measured and today's prices. */
static void set_cost(side_work *x, const tally *t)
{
    double in, out;
    tally_mean_tokens(t, &in, &out);
    if (x->candidate && x->side.place != PRIVACY_LOCAL && !isnan(in))
        x->side.cost_usd = (in * x->candidate->price_input + out * x->candidate->price_output) / 1e6;
}

static status fill_speed(work *w, side_work *x, const tally *t, const ledger_source *src, error *err)
{
    route_side *r = &x->side;
    tally_speed v = { 0 };
    char here[DIGEST_HEX];
    ledger_machine_id(ledger_this_machine(), here);
    status s = tally_measure_speed(t, w->s->machine ? w->s->machine : here, &v, err);
    if (s)
        return s;
    r->elsewhere = v.n == 0 && t->n > 0;
    set_speed(r, &v);
    error none;
    double peak;
    s = ledger_find_fact(w->l, w->t->id, src->evidence_id, NULL, "peak_bytes", &peak, NULL, &none);
    if (s && s != E_NOTFOUND)
        return fail(err, s, "%s", none.text);
    if (!s)
        r->peak_bytes = peak;
    return ledger_count_failures(w->l, w->t->id, src->evidence_id, &r->n_failed, err);
}

/* The first answer of each case: how sure the model was, and whether it was right. */
static size_t read_sureness(const tally *t, double *sure, bool *right, bool *malformed)
{
    size_t n = 0;
    for (size_t k = 0; k < t->n_keys; k++) {
        const tally_slot *first = &t->slots[k * t->repeats];
        if (!first->graded || !isfinite(first->row->mean_logprob))
            continue;
        sure[n] = first->row->mean_logprob;
        right[n] = first->grade.outcome == LEDGER_PASS;
        malformed[n++] = first->grade.outcome == LEDGER_MALFORMED;
    }
    return n;
}

static void begin_calibration(const task *t, route_calibration *c)
{
    *c = (route_calibration){ .asked = t->cascade.asked, .risk = t->cascade.risk,
                              .confidence = t->cascade.confidence };
}

static status calibrate(const work *w, side_work *x, const tally *t, error *err)
{
    route_calibration *c = &x->cascade;
    begin_calibration(w->t, c);
    if (!c->asked)
        return OK;
    double *sure = mem_array(t->n_keys + 1, sizeof *sure);
    bool *right = mem_array(2 * (t->n_keys + 1), sizeof *right), *malformed = right ? right + t->n_keys + 1 : NULL;
    status s = sure && right ? OK : fail(err, E_NOMEM, "no memory to calibrate a cascade");
    size_t n = s ? 0 : read_sureness(t, sure, right, malformed);
    if (!s && task_is_clustered(w->t))
        route_calibrate_not(c, "its cases share source documents, so that they are fewer than they seem");
    else if (!s && t->n < w->n_cases)
        route_calibrate_not(c, "%u of %zu cases are answered, and it takes the whole suite", t->n, w->n_cases);
    else if (!s && n < t->n)
        route_calibrate_not(c, "%zu of %u answers came without log-probabilities: measure them again", t->n - n, t->n);
    else if (!s)
        route_calibrate(sure, right, malformed, n, c);
    mem_free(sure);
    mem_free(right);
    return s;
}

static status fill_tally(work *w, side_work *x, const ledger_source *src, const task_case_key *by_task,
                         const tally_key *keys, error *err)
{
    ledger_rows rows = { 0 };
    tally t = { 0 };
    task_mean score;
    status s = ledger_find_answers(w->l, w->t->id, src->evidence_id, &rows, err);
    if (!s)
        s = tally_make(w->l, &rows, keys, w->n_cases, (uint32_t)w->t->sampling.repeats, &t, err);
    if (!s)
        s = task_mean_score(by_task, t.score, w->n_cases, &score, err);
    if (!s) {
        set_rates(&x->side, &t, &score);
        set_cost(x, &t);
        char why[ROUTE_NAME_BYTES];
        if (tally_stale_text(&t, why, sizeof why)[0])
            add_stale(&x->side, why, t.stale_prompt + t.stale_case + t.ungraded);
        s = fill_speed(w, x, &t, src, err);
    }
    if (!s && x->side.place == PRIVACY_LOCAL)
        s = calibrate(w, x, &t, err);
    if (!s) {
        x->outcome = t.outcome;
        t.outcome = NULL;
    }
    tally_clear(&t);
    ledger_rows_close(&rows);
    return s;
}

static status fill_side(work *w, side_work *x, const ledger_source *src, error *err)
{
    task_case_key *by_task = NULL;
    size_t n = w->n_cases;
    tally_key *keys = mem_array(n + 1, sizeof *keys);
    status s = keys ? task_case_keys(w->t, src->provider, &by_task, &n, err)
                    : fail(err, E_NOMEM, "no memory for the keys of %zu cases", n);
    for (size_t i = 0; !s && i < n; i++)
        keys[i] = (tally_key){ by_task[i].c->id, by_task[i].prompt, by_task[i].grader };
    if (!s) {
        copy_name(x->side.evidence, sizeof x->side.evidence, src->evidence_id);
        copy_name(x->side.run, sizeof x->side.run, src->run);
        copy_name(x->side.model, sizeof x->side.model, src->model_name);
        x->side.measured_us = src->last_us;
        s = fill_tally(w, x, src, by_task, keys, err);
    }
    mem_free(by_task);
    mem_free(keys);
    return s;
}

/* What a local model was measured with and is not served with now, in words: such answers say nothing of it. NULL: it
 * is the same. */
static const char *outdated(const work *w, const side_work *x, const ledger_source *src)
{
    const route_settings *s = w->s;
    if (!x || x->side.place != PRIVACY_LOCAL)
        return NULL;
    if (x->weights_known && strcmp(x->weights, src->evidence.model) != 0)
        return x->weights[0] ? "the model file changed" : "the model file is not there";
    if (s->numerics && strcmp(s->numerics, src->evidence.numerics) != 0)
        return "the engine computes otherwise since";
    return s->kv_type && strcmp(s->kv_type, src->evidence.kv_type) != 0 ? "the type of keys and values changed" : NULL;
}

static void ask_weights(const work *w, side_work *x)
{
    const route_settings *s = w->s;
    x->weights_known = x->side.place == PRIVACY_LOCAL && s->weights &&
                       s->weights(s->weights_user, x->side.provider, x->weights);
}

/* newest: the newest source of the same provider that is not outdated, or NULL when this is it. */
static status add_source(work *w, const ledger_source *src, const ledger_source *newest, error *err)
{
    privacy_place place = privacy_place_of(src->place);
    const route_candidate *c = find_candidate(w->s, src->provider);
    if (str_starts(src->evidence.source, "replay:") || (place != PRIVACY_LOCAL && !c))
        return OK;
    if (c)
        place = c->place; /* what the config says today */
    side_work *x = find_side(w, src->provider);
    if (!x && (x = new_side(w, src->provider, place)) != NULL)
        ask_weights(w, x);
    if (!x)
        return OK; /* more than anybody measures by hand; the newest are in */
    ledger_evidence now = newest ? newest->evidence : src->evidence;
    if (!newest)
        now.sampling = w->sampling;
    const char *other = outdated(w, x, src);
    char why[LEDGER_DIFFERS_BYTES], text[LEDGER_DIFFERS_BYTES + 32];
    if (other) {
        snprintf(text, sizeof text, "%s (%u answers)", other, src->n_answers);
        add_stale(&x->side, text, src->n_answers);
        return OK;
    }
    if (!ledger_evidence_differs(&src->evidence, &now, why, sizeof why)[0])
        return fill_side(w, x, src, err);
    snprintf(text, sizeof text, "%s (%u answers)", why, src->n_answers);
    add_stale(&x->side, text, src->n_answers);
    return OK;
}

static status add_sources(work *w, error *err)
{
    ledger_sources src = { 0 };
    status s = ledger_find_sources(w->l, w->t->id, &src, err);
    for (size_t i = 0; !s && i < src.n; i++) {
        const ledger_source *newest = NULL;
        for (size_t k = 0; k < i && !newest; k++)
            if (strcmp(src.rows[k].provider, src.rows[i].provider) == 0 &&
                !outdated(w, find_side(w, src.rows[k].provider), &src.rows[k]))
                newest = &src.rows[k];
        s = add_source(w, &src.rows[i], newest, err);
    }
    ledger_sources_close(&src);
    return s;
}

/* ---- choosing the two sides ---- */

static bool meets_bar(const work *w, const route_side *r)
{
    return r->n > 0 && r->n >= r->n_cases && w->t->bar >= 0 && r->lower >= w->t->bar;
}

static bool better_local(const work *w, const route_side *a, const route_side *b)
{
    bool ma = meets_bar(w, a), mb = meets_bar(w, b);
    if (ma != mb)
        return ma;
    if ((a->n > 0) != (b->n > 0))
        return a->n > 0;
    return a->n > 0 && a->lower > b->lower;
}

static bool allowed(const work *w, const route_side *r)
{
    return privacy_allows(w->privacy, r->place) && !(r->public_only && w->privacy != PRIVACY_PUBLIC);
}

/* Nothing says that it is too dear. */
static bool affordable(const work *w, const route_side *r)
{
    return !(w->t->limits.cost_usd >= 0 && r->cost_usd > w->t->limits.cost_usd);
}

static bool better_cloud(const work *w, const route_side *a, const route_side *b)
{
    bool fa = allowed(w, a), fb = allowed(w, b), ca = affordable(w, a), cb = affordable(w, b);
    return fa != fb ? fa : ca != cb ? ca : a->n > 0 && b->n == 0;
}

static side_work *pick(work *w, bool local)
{
    side_work *best = NULL;
    for (size_t i = 0; i < w->n; i++) {
        side_work *x = &w->sides[i];
        if ((x->side.place == PRIVACY_LOCAL) != local)
            continue;
        if (!best || (local ? better_local(w, &x->side, &best->side) : better_cloud(w, &x->side, &best->side)))
            best = x;
    }
    return best;
}

static void set_pairs(const side_work *local, const side_work *cloud, size_t n_cases, route_input *out)
{
    if (!local || !cloud || !local->outcome || !cloud->outcome)
        return;
    for (size_t k = 0; k < n_cases; k++) {
        if (local->outcome[k] == TALLY_OPEN || cloud->outcome[k] == TALLY_OPEN)
            continue;
        bool a = local->outcome[k] == LEDGER_PASS, b = cloud->outcome[k] == LEDGER_PASS;
        out->paired_w += a && !b;
        out->paired_t += a == b;
        out->paired_l += !a && b;
    }
}

/* In the config's order, so that of equals the first named comes first. */
static void add_candidates(work *w)
{
    for (size_t i = 0; i < w->s->n_candidates; i++) {
        const route_candidate *c = &w->s->candidates[i];
        if (c->recording || find_side(w, c->name))
            continue;
        side_work *x = new_side(w, c->name, c->place);
        if (x) {
            x->candidate = c;
            x->side.public_only = c->public_only;
        }
    }
}

static double limit_of(double v)
{
    return v >= 0 ? v : NAN;
}

static status set_task(const task *t, route_input *out, error *err)
{
    copy_name(out->task, sizeof out->task, t->id);
    out->class_known = true;
    out->clustered = task_is_clustered(t);
    out->privacy = t->privacy;
    out->has_bar = t->bar >= 0;
    out->bar = t->bar;
    out->has_margin = t->margin >= 0;
    out->margin = task_margin(t);
    out->flag_below_bar = t->flag_below_bar;
    out->limit_latency_p95_ms = limit_of(t->limits.latency_p95_ms);
    out->limit_cost_usd = limit_of(t->limits.cost_usd);
    out->limit_malformed = limit_of(t->limits.malformed);
    return task_baseline_rates(t, &out->majority, &out->regex, err);
}

static status read_previous(work *w, route_input *in, error *err)
{
    char word[32];
    error none;
    status s = ledger_find_verdict(w->l, w->t->id, word, sizeof word, &none);
    if (s && s != E_NOTFOUND)
        return fail(err, s, "%s", none.text);
    in->previous = s ? ROUTE_UNPROVEN : route_state_of(word);
    return OK;
}

status route_gather(ledger *l, const struct task *t, const route_settings *settings, route_input *out, error *err)
{
    route_input in = { 0 };
    work *w = mem_zero(sizeof *w);
    if (!w)
        return fail(err, E_NOMEM, "no memory for the facts of task %s", t->id);
    w->l = l;
    w->t = t;
    w->n_cases = task_measured(t);
    w->s = settings;
    w->privacy = privacy_class_join(t->privacy, settings->privacy);
    status s = task_sampling_key(t, &w->sampling, err);
    add_candidates(w);
    if (!s && l)
        s = add_sources(w, err);
    if (!s && l)
        s = read_previous(w, &in, err);
    if (!s)
        s = set_task(t, &in, err);
    if (!s) {
        in.privacy = w->privacy;
        side_work *local = pick(w, true), *cloud = pick(w, false);
        clear_side(&in.local);
        clear_side(&in.cloud);
        in.local.n_cases = in.cloud.n_cases = (uint32_t)w->n_cases;
        begin_calibration(t, &in.cascade);
        if (local)
            in.local = local->side;
        if (local && local->cascade.asked)
            in.cascade = local->cascade;
        if (cloud)
            in.cloud = cloud->side;
        set_pairs(local, cloud, w->n_cases, &in);
        in.memory_limit_bytes = settings->memory_limit_bytes;
        if (l)
            s = route_watch(l, t, &in, err);
    }
    if (!s)
        *out = in;
    for (size_t i = 0; i < w->n; i++)
        mem_free(w->sides[i].outcome);
    mem_free(w->sampling);
    mem_free(w);
    return s;
}
