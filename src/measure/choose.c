/* choose.c: measuring many candidates in rounds until one may be chosen. See choose.h for the procedure and what it
 * promises, choose_judge.c for the evidence.
 *
 * Invariants:
 *  1. A decision rests only on the cases of finished rounds, which all candidates that are left have been asked; so the
 *     same answers lead to the same choice, whether they were given now or lay in the ledger.
 *  2. What a candidate answered beyond these does not count (that other cases are there is no reason to look further).
 */
#include "measure/choose.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "measure/choose_int.h"
#include "measure/measure_int.h"
#include "plat/clock.h"
#include "plat/machine.h"

enum { FIRST_ROUND = 8 };

typedef struct choosing {
    ledger *l;
    const task *t;
    const choose_candidate *candidates;
    size_t n;
    const choose_door *door;
    const choose_options *o;
    choose_row *rows;
    choose_outcome *out;
    task asked[CHOOSE_MAX];  /* the task as each candidate is asked */
    task_case *cases;        /* measured ones first, in the order of their digests */
    uint32_t *units;
    choose_table table;
    choose_rules rules;
    size_t seen;             /* cases of the finished rounds */
    uint32_t repeats;
    uint64_t began_us, throttled;
} choosing;

static void tell(const choosing *c, const char *format, ...)
{
    char text[640];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (c->o->tell)
        c->o->tell(c->o->tell_user, text);
}

/* ---- before the first round ---- */

static const char *unit_name(const task_case *c)
{
    return c->cluster ? c->cluster : c->id;
}

static status order_cases(choosing *c, error *err)
{
    uint32_t *order = NULL;
    status st = decide_order(c->t, &order, err);
    c->cases = mem_array(c->t->n_cases + 1, sizeof *c->cases);
    c->units = mem_array(c->t->n_cases + 1, sizeof *c->units);
    if (!st && (!c->cases || !c->units))
        st = fail(err, E_NOMEM, "no memory for the order of %zu cases", c->t->n_cases);
    size_t n = 0, rest = 0;
    for (size_t i = 0; !st && i < c->t->n_cases; i++) /* those that are measured first, still as in the file */
        if (task_is_measured(c->t, &c->t->cases[i]))
            c->units[n++] = (uint32_t)i;
    for (size_t i = 0; !st && i < n; i++)
        c->cases[i] = c->t->cases[c->units[order[i]]];
    for (size_t i = 0; !st && i < c->t->n_cases; i++)
        if (!task_is_measured(c->t, &c->t->cases[i]))
            c->cases[n + rest++] = c->t->cases[i];
    c->table.n_cases = n;
    for (size_t i = 0; !st && i < c->table.n_cases; i++)
        c->units[i] = i == 0 ? 0
                             : c->units[i - 1] + (strcmp(unit_name(&c->cases[i]), unit_name(&c->cases[i - 1])) != 0);
    mem_free(order);
    if (!st && c->table.n_cases == 0)
        st = fail(err, E_FORMAT, "task %s has no cases to measure with", c->t->id);
    return st;
}

static status make_table(choosing *c, error *err)
{
    choose_table *t = &c->table;
    size_t cells = c->n * t->n_cases;
    t->m = c->n;
    t->unit = c->units;
    t->outcome = mem_array(cells, sizeof *t->outcome);
    t->slow = mem_array(cells, sizeof *t->slow);
    t->usd = mem_array(cells, sizeof *t->usd);
    t->joules = mem_array(cells, sizeof *t->joules);
    t->scratch = mem_array(t->n_cases, sizeof *t->scratch);
    if (!t->outcome || !t->slow || !t->usd || !t->joules || !t->scratch)
        return fail(err, E_NOMEM, "no memory for %zu candidates and %zu cases", c->n, t->n_cases);
    for (size_t i = 0; i < cells; i++) {
        t->outcome[i] = TALLY_OPEN;
        t->slow[i] = -1;
        t->usd[i] = t->joules[i] = NAN;
    }
    return OK;
}

static void free_table(choosing *c)
{
    mem_free(c->table.outcome);
    mem_free(c->table.slow);
    mem_free(c->table.usd);
    mem_free(c->table.joules);
    mem_free(c->table.scratch);
    mem_free(c->cases);
    mem_free(c->units);
}

static void set_row(choosing *c, size_t i)
{
    static const money_figure unknown = { NAN, NAN, NAN, 0 };
    const task_prompt *p = c->candidates[i].prompt ? c->candidates[i].prompt
                                                   : task_prompt_for(c->t, c->candidates[i].name);
    c->rows[i] = (choose_row){ .name = c->candidates[i].name, .prompt = p->provider ? p->provider : "default",
                               .better = SIZE_MAX, .rate = NAN, .low = 0, .high = 1, .memory_bytes = NAN,
                               .cost = unknown, .energy = unknown, .saving = unknown, .asked_usd = NAN,
                               .break_even = { MONEY_UNKNOWN, NAN, NAN, NAN } };
    c->asked[i] = *c->t;
    c->asked[i].cases = c->cases;
    c->asked[i].prompt = *p;
    c->asked[i].n_variants = 0;
    c->asked[i].variants = NULL;
}

static void drop(choosing *c, size_t i, choose_end end, const char *why)
{
    c->rows[i].end = end;
    snprintf(c->rows[i].why, sizeof c->rows[i].why, "%.299s", why);
    tell(c, "%s, prompt %s: %s", c->rows[i].name, c->rows[i].prompt, c->rows[i].why);
}

/* The figures of what it was asked so far. */
static status sum_figures(choosing *c, size_t i, size_t seen, error *err)
{
    const choose_table *t = &c->table;
    double *usd = &t->usd[i * t->n_cases], *joules = &t->joules[i * t->n_cases];
    status st = money_mean(usd, t->unit, seen, 0.95, &c->rows[i].cost, err);
    return st ? st : money_mean(joules, t->unit, seen, 0.95, &c->rows[i].energy, err);
}

static status read_row(choosing *c, size_t i, error *err)
{
    return choose_read(c->l, &c->asked[i], c->rows[i].who, c->o, &c->table, i, &c->rows[i], err);
}

static status look_at(choosing *c, size_t i, error *err)
{
    choose_row *row = &c->rows[i];
    error why = { 0 };
    status st = c->door->look(c->door->user, i, &row->who, &why);
    if (!st)
        st = measure_allowed(c->t, row->name, row->who->kind, row->who->place, &why);
    if (!st && row->who->is_encoder)
        st = fail(&why, E_UNSUPPORTED, "it makes vectors and continues no text");
    if (!st)
        st = read_row(c, i, &why);
    bool asked_wrong = st && row->who && st != E_UNSUPPORTED && st != E_DENIED; /* of a damaged file who is NULL */
    if (st == E_CANCELLED || st == E_NOMEM || asked_wrong)
        return fail(err, st, "%s", why.text);
    if (st)
        drop(c, i, st == E_NOFIT ? CHOOSE_NO_FIT : CHOOSE_UNSUITED, why.text);
    return OK;
}

static size_t count_left(const choosing *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += c->rows[i].end == CHOOSE_LEFT;
    return n;
}

static status prepare(choosing *c, error *err)
{
    status st = order_cases(c, err);
    if (!st)
        st = make_table(c, err);
    for (size_t i = 0; !st && i < c->n; i++)
        set_row(c, i);
    for (size_t i = 0; !st && i < c->n; i++)
        st = look_at(c, i, err);
    c->out->m = count_left(c);
    c->out->n_cases = (uint32_t)c->table.n_cases;
    c->rules.m = c->out->m ? c->out->m : 1;
    return st;
}

/* ---- a round ---- */

static size_t next_round(const choosing *c)
{
    size_t n = c->table.n_cases, to = c->seen ? c->seen + (c->seen + 1) / 2 : FIRST_ROUND;
    if (to + to / 8 >= n)
        return n;
    while (to < n && c->units[to] == c->units[to - 1])
        to++;
    return to;
}

static bool has_open(const choosing *c, size_t i, size_t to)
{
    for (size_t place = 0; place < to; place++)
        if (c->table.outcome[i * c->table.n_cases + place] == TALLY_OPEN)
            return true;
    return false;
}

static void end_all(choosing *c, const char *why)
{
    if (!c->out->ended[0])
        snprintf(c->out->ended, sizeof c->out->ended, "%.31s", why);
}

/* What is left of the budgets, of which this candidate may spend all. False: nothing is. */
static bool budgets(choosing *c, measure_options *m)
{
    const measure_options *given = c->o->measure;
    if (given->max_seconds > 0) {
        m->max_seconds = given->max_seconds - (double)(clock_mono_us() - c->began_us) / 1e6;
        if (m->max_seconds <= 0)
            end_all(c, "max-time");
    }
    if (given->max_cost_usd > 0) {
        m->max_cost_usd = given->max_cost_usd - c->out->cost_usd;
        if (m->max_cost_usd <= 0)
            end_all(c, "max-cost");
    }
    return !c->out->ended[0];
}

static void note_result(choosing *c, choose_row *row, const measure_result *r)
{
    row->n_asked += r->n_asked;
    c->out->n_asked += r->n_asked;
    if (isnan(r->cost_usd))
        return;
    row->asked_usd = r->cost_usd + (isnan(row->asked_usd) ? 0 : row->asked_usd);
    c->out->cost_usd += r->cost_usd;
}

static status ask_one(choosing *c, size_t i, size_t to, error *err)
{
    choose_row *row = &c->rows[i];
    measure_options m = *c->o->measure;
    measure_result r = { 0 };
    measure_arm a = { 0 };
    error why = { 0 };
    m.limit = (uint32_t)to;
    m.until_decided = m.fresh = false;
    if (!budgets(c, &m))
        return OK;
    status st = c->door->open(c->door->user, i, &a, &why);
    if (st && st != E_CANCELLED && st != E_NOMEM) {
        drop(c, i, st == E_NOFIT ? CHOOSE_NO_FIT : CHOOSE_FAILED, why.text);
        return OK;
    }
    if (!st)
        st = measure_arms(c->l, &c->asked[i], &a, 1, &m, &r, NULL, &why);
    if (!st || st == E_CANCELLED || st == E_PROVIDER)
        note_result(c, row, &r);
    if (r.ended[0] && st != E_CANCELLED)
        end_all(c, r.ended);
    if (!st || st == E_PROVIDER) {
        status read = read_row(c, i, err);
        if (read)
            return read;
        if (st)
            drop(c, i, CHOOSE_FAILED, why.text);
        return OK;
    }
    return fail(err, st, "%s", why.text);
}

static status ask_round(choosing *c, size_t to, error *err)
{
    status st = OK;
    tell(c, "%zu of %zu cases on %zu candidates", to, c->table.n_cases, count_left(c));
    for (size_t i = 0; !st && !c->out->ended[0] && i < c->n; i++)
        if (c->rows[i].end == CHOOSE_LEFT && has_open(c, i, to))
            st = ask_one(c, i, to, err);
    return st;
}

static void mark_tied(choosing *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->rows[i].tied = false;
    c->out->n_tied = choose_ties(&c->table, c->seen, &c->rules, c->rows);
}

static void mark_among(const choosing *c, bool *among)
{
    for (size_t i = 0; i < c->n; i++)
        among[i] = c->rows[i].tied && c->seen > 0;
}

static size_t prefer(const choosing *c)
{
    bool among[CHOOSE_MAX];
    mark_among(c, among);
    return choose_preferred(c->rows, c->n, &c->t->limits, c->o->prefer, among);
}

static bool has_bar(const choosing *c)
{
    return c->rules.bar > 0 && c->rules.bar < 1;
}

/* After a finished round. */
static status judge(choosing *c, error *err)
{
    status st = OK;
    bool was_left[CHOOSE_MAX];
    for (size_t i = 0; i < c->n; i++) {
        was_left[i] = c->rows[i].end == CHOOSE_LEFT;
        if (was_left[i]) {
            c->rows[i].n_seen = (uint32_t)c->seen;
            c->rows[i].whole = c->seen == c->table.n_cases;
        }
    }
    choose_judge(&c->table, c->seen, &c->rules, c->rows);
    for (size_t i = 0; !st && i < c->n; i++)
        if (was_left[i]) {
            st = sum_figures(c, i, c->seen, err);
            if (c->rows[i].end != CHOOSE_LEFT)
                tell(c, "%s, prompt %s: %s", c->rows[i].name, c->rows[i].prompt, c->rows[i].why);
        }
    mark_tied(c);
    size_t left = count_left(c), best = prefer(c);
    bool open = best != SIZE_MAX && has_bar(c) && c->rows[best].bar == MEASURE_OPEN;
    if (left == 0)
        end_all(c, "none-left");
    else if (left == 1 && !open && c->rules.m > 1)
        end_all(c, "one-left");
    else if (c->seen == c->table.n_cases)
        end_all(c, "suite");
    else if (c->o->until_decided && !open && left > 1 && choose_is_enough(&c->table, c->seen, &c->rules, c->rows, best))
        end_all(c, "decided");
    else if (c->o->until_decided && left == 1 && has_bar(c) && !open)
        end_all(c, "decided");
    return st;
}

static status rounds(choosing *c, error *err)
{
    status st = OK;
    while (!st && !c->out->ended[0] && count_left(c)) {
        size_t to = next_round(c);
        st = ask_round(c, to, err);
        if (st || c->out->ended[0]) /* a round that was not finished does not count */
            break;
        c->out->rounds++;
        c->seen = to;
        st = judge(c, err);
    }
    return st;
}

/* ---- the end ---- */

/* The limit of the task is on the mean; its lower end at alpha / m. */
static status judge_cost(choosing *c, size_t i, error *err)
{
    choose_row *row = &c->rows[i];
    const choose_table *t = &c->table;
    double confidence = 1 - 2 * c->rules.alpha / (double)c->rules.m;
    money_figure f;
    if (c->t->limits.cost_usd < 0 || row->end != CHOOSE_LEFT || !(confidence > 0))
        return OK;
    status st = money_mean(&t->usd[i * t->n_cases], t->unit, row->n_seen, confidence, &f, err);
    if (!st && f.low > c->t->limits.cost_usd) {
        char why[128];
        snprintf(why, sizeof why, "an answer costs at least %.6f USD, over the limit of %.6f", f.low,
                 c->t->limits.cost_usd);
        drop(c, i, CHOOSE_DEAR, why);
    }
    return st;
}

static status sum_rows(choosing *c, error *err)
{
    status st = OK;
    for (size_t i = 0; !st && i < c->n; i++) {
        choose_row *row = &c->rows[i];
        if (!row->n_seen)
            continue;
        choose_rate(&c->table, i, &c->rules, row);
        row->n_failed = row->n_seen - row->n;
        c->out->n_saved += (c->out->n_cases - row->n_seen) * c->repeats;
        st = judge_cost(c, i, err);
    }
    return st;
}

/* What a local answer saves against the first that has a price, on the cases that both answered. */
static status sum_savings(choosing *c, error *err)
{
    const choose_table *t = &c->table;
    size_t ref = SIZE_MAX;
    for (size_t i = c->n; i-- > 0;)
        if (c->rows[i].who && provider_is_server(c->rows[i].who->kind) && !isnan(c->rows[i].cost.mean))
            ref = i;
    c->out->reference = ref;
    status st = OK;
    for (size_t i = 0; !st && ref != SIZE_MAX && i < c->n; i++) {
        choose_row *row = &c->rows[i];
        size_t n = row->n_seen < c->rows[ref].n_seen ? row->n_seen : c->rows[ref].n_seen;
        if (!row->who || row->who->kind != PROVIDER_LOCAL || !n)
            continue;
        st = money_difference(&t->usd[ref * t->n_cases], &t->usd[i * t->n_cases], t->unit, n, 0.95, &row->saving, err);
        if (!st)
            row->break_even = money_breaks_even(isnan(c->o->usd_per_month) ? 0 : c->o->usd_per_month, &row->saving);
    }
    return st;
}

/* "; it is proven to reach the bar of 80 %; …" */
static void say_limits(const choosing *c, const choose_row *r, char *out, size_t bytes)
{
    out[0] = 0;
    if (has_bar(c) && r->bar == MEASURE_PROVEN)
        snprintf(out, bytes, "; it is proven to reach the bar of %.0f %%", 100 * c->rules.bar);
    else if (has_bar(c))
        snprintf(out, bytes, "; that it reaches the bar of %.0f %% is not proven: its rate is between %.1f and %.1f %%",
                 100 * c->rules.bar, 100 * r->low, 100 * r->high);
    size_t at = strlen(out);
    if (choose_exceeds(r, &c->t->limits))
        snprintf(out + at, bytes - at, "; what was seen of it is over a limit of the task, though that is not proven");
}

static void say_why(choosing *c)
{
    static const char *const most[CHOOSE_PREFERS] = { "fastest", "smallest", "cheapest", "most frugal" };
    choose_outcome *o = c->out;
    char limits[256];
    bool among[CHOOSE_MAX];
    if (o->chosen == SIZE_MAX) {
        snprintf(o->why, sizeof o->why, "%s",
                 c->seen ? "no candidate is left" : "nothing was measured, so nothing is chosen");
        return;
    }
    const choose_row *r = &c->rows[o->chosen];
    mark_among(c, among);
    say_limits(c, r, limits, sizeof limits);
    if (o->n_tied > 1 && choose_is_first(c->rows, c->n, o->prefer, among, o->chosen))
        snprintf(o->why, sizeof o->why, "these %zu cannot be told apart with %zu cases; the %s of them is %.100s "
                 "(prompt %.60s)%s", o->n_tied, c->seen, most[o->prefer], r->name, r->prompt, limits);
    else if (o->n_tied > 1)
        snprintf(o->why, sizeof o->why, "these %zu cannot be told apart with %zu cases; %.100s (prompt %.60s) comes "
                 "first by what is proven, the limits, or the next preference, though it is not shown to be the "
                 "%s%s", o->n_tied, c->seen, r->name, r->prompt, most[o->prefer], limits);
    else
        snprintf(o->why, sizeof o->why, "%.100s (prompt %.60s) is %s, after %zu cases%s", r->name, r->prompt,
                 o->m == 1       ? "the only one that could be asked"
                 : o->n_left > 1 ? "shown to be better than the others that are left"
                                 : "the only one left", c->seen, limits);
}

static status finish(choosing *c, error *err)
{
    choose_outcome *o = c->out;
    status st = sum_rows(c, err);
    if (!st)
        st = sum_savings(c, err);
    mark_tied(c);
    o->n_left = count_left(c);
    o->n_seen = (uint32_t)c->seen;
    o->chosen = c->seen ? prefer(c) : SIZE_MAX;
    if (o->chosen != SIZE_MAX && !c->rows[o->chosen].n)
        o->chosen = SIZE_MAX;
    if (o->chosen != SIZE_MAX)
        c->rows[o->chosen].chosen = true;
    o->seconds = (double)(clock_mono_us() - c->began_us) / 1e6;
    o->throttled = machine_throttles() - c->throttled;
    say_why(c);
    return st;
}

static void begin(choosing *c)
{
    choose_outcome *o = c->out;
    double alpha = c->o->measure->alpha > 0 ? c->o->measure->alpha : 0.05;
    c->began_us = clock_mono_us();
    c->throttled = machine_throttles();
    c->repeats = c->t->sampling.repeats > 0 ? (uint32_t)c->t->sampling.repeats : 1;
    c->rules = (choose_rules){ .alpha = alpha, .bar = c->t->bar, .margin = task_margin(c->t),
                               .malformed = c->t->limits.malformed,
                               .limits_latency = c->t->limits.latency_p95_ms >= 0, .m = 1 };
    *o = (choose_outcome){ .chosen = SIZE_MAX, .reference = SIZE_MAX, .alpha = alpha, .margin = c->rules.margin,
                           .bar = has_bar(c) ? c->rules.bar : NAN, .prefer = c->o->prefer,
                           .power = machine_power() };
    machine_governor(o->governor, sizeof o->governor);
}

status measure_choose(ledger *l, const task *t, const choose_candidate *candidates, size_t n, const choose_door *door,
                      const choose_options *o, choose_row *rows, choose_outcome *out, error *err)
{
    if (n == 0 || n > CHOOSE_MAX)
        return fail(err, E_RANGE, "one chooses among 1 to %d candidates", CHOOSE_MAX);
    choosing *c = mem_zero(sizeof *c);
    if (!c)
        return fail(err, E_NOMEM, "no memory for choosing");
    c->l = l;
    c->t = t;
    c->candidates = candidates;
    c->n = n;
    c->door = door;
    c->o = o;
    c->rows = rows;
    c->out = out;
    begin(c);
    status st = prepare(c, err);
    if (!st) {
        st = rounds(c, err);
        if (st == E_CANCELLED)
            end_all(c, "stopped");
        if (!st || st == E_CANCELLED) {
            error why = { 0 };
            status summed = finish(c, &why);
            if (summed && !st)
                st = fail(err, summed, "%s", why.text);
        }
    }
    free_table(c);
    mem_free(c);
    return st;
}
