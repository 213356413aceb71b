/* costs.c: what an answer costs in money and energy, with intervals over cases (measure/money.h), and from how many
 * answers a month on the local one is cheaper.
 *
 * Elsewhere: tokens by the price of the day that the config says, else by the price that the run wrote down. Here: the
 * energy of the processor while it answered, given to the answers by the time that each had it, at the configured price
 * of a kWh. Only answers of one setting of the machine count for energy: battery and mains are never mixed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "measure/money.h"
#include "plat/clock.h"
#include "report/report_int.h"

/* ---- cases by their cluster ---- */

typedef struct case_unit {
    const char *name;
    size_t k;
} case_unit;

static int by_name(const void *a, const void *b)
{
    const case_unit *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : (x->k > y->k) - (x->k < y->k);
}

status report_order_cases(report_work *w, error *err)
{
    size_t n = w->t->n_cases;
    case_unit *units = mem_array(n + 1, sizeof *units);
    w->order = mem_array(n + 1, sizeof *w->order);
    w->unit = mem_array(n + 1, sizeof *w->unit);
    bool ok = units && w->order && w->unit;
    for (size_t k = 0; ok && k < n; k++) {
        const task_case *c = &w->t->cases[k];
        units[k] = (case_unit){ c->cluster && *c->cluster ? c->cluster : c->id, k };
    }
    if (ok && n)
        qsort(units, n, sizeof *units, by_name);
    for (size_t i = 0; ok && i < n; i++) {
        w->order[i] = units[i].k;
        w->unit[i] = i == 0 ? 0 : w->unit[i - 1] + (strcmp(units[i].name, units[i - 1].name) != 0);
    }
    mem_free(units);
    return ok ? OK : report_no_memory(err);
}

/* ---- energy ---- */

typedef struct run_energy {
    const char *run;
    double joules, weight; /* weight: microseconds of the machine that its answers had */
} run_energy;

static bool same_setting(const ledger_row *a, const ledger_row *b)
{
    return b && a->threads == b->threads && strcmp(a->machine, b->machine) == 0 && strcmp(a->isa, b->isa) == 0 &&
           strcmp(a->power, b->power) == 0;
}

static double weight_of(const ledger_row *r)
{
    return r->total_us > 0 ? (double)r->total_us / (r->concurrency > 1 ? r->concurrency : 1) : 0;
}

static run_energy *run_of(run_energy *runs, size_t n, const char *run)
{
    for (size_t i = n; i-- > 0;)
        if (strcmp(runs[i].run, run) == 0)
            return &runs[i];
    return NULL;
}

static status find_joules(report_work *w, const char *run, double *out, error *err)
{
    ledger_facts facts = { 0 };
    *out = NAN;
    status s = ledger_find_facts(w->l, run, &facts, err);
    for (size_t i = 0; !s && i < facts.n; i++)
        if (strcmp(facts.rows[i].name, "energy_j") == 0)
            *out = facts.rows[i].value;
    ledger_facts_close(&facts);
    return s;
}

/* runs has a place for every slot. A run's joules are of all answers it got, so that those that do not count today
 * have their share. */
static status read_runs(report_work *w, const struct arm_work *a, const ledger_row *setting, run_energy *runs,
                        size_t *n, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < a->rows.n; i++) {
        const ledger_row *r = &a->rows.rows[i];
        run_energy *e = run_of(runs, *n, r->run);
        if (!same_setting(r, setting))
            continue;
        if (!e) {
            e = &runs[(*n)++];
            *e = (run_energy){ r->run, NAN, 0 };
            s = find_joules(w, r->run, &e->joules, err);
        }
        e->weight += weight_of(r);
    }
    return s;
}

/* ---- money ---- */

typedef struct pricing {
    double input, output, cached;
    char as_of[CLOCK_TEXT];
} pricing;

static status find_price(report_work *w, const report_arm *o, pricing *out, error *err)
{
    error none;
    int64_t at = 0;
    *out = (pricing){ NAN, NAN, NAN, "" };
    if (strcmp(o->place, "local") == 0 || strcmp(o->role, "recording") == 0)
        return OK;
    for (size_t i = 0; i < w->o->n_prices; i++) {
        const report_price *p = &w->o->prices[i];
        if (strcmp(p->provider, o->provider) != 0 || isnan(p->input) || isnan(p->output))
            continue;
        *out = (pricing){ p->input, p->output, p->cached, "" };
        snprintf(out->as_of, sizeof out->as_of, "%s", p->as_of ? p->as_of : "");
        return OK;
    }
    status s = ledger_find_fact(w->l, w->t->id, o->evidence, NULL, "price_input", &out->input, &at, &none);
    if (!s)
        s = ledger_find_fact(w->l, w->t->id, o->evidence, NULL, "price_output", &out->output, NULL, &none);
    if (s && s != E_NOTFOUND)
        return fail(err, s, "%s", none.text);
    if (!s) {
        clock_utc_text(at, out->as_of);
        out->as_of[10] = 0; /* the day */
    }
    return OK;
}

static double tokens_usd(const ledger_row *r, const pricing *p)
{
    if (r->n_prompt < 0 || r->n_output < 0)
        return NAN;
    double cached = r->n_cached > 0 && r->n_cached <= r->n_prompt ? (double)r->n_cached : 0;
    double cached_price = isnan(p->cached) ? p->input : p->cached;
    return (((double)r->n_prompt - cached) * p->input + (cached > 0 ? cached * cached_price : 0) +
            (double)r->n_output * p->output) / 1e6;
}

/* ---- one arm ---- */

typedef struct reading {
    report_work *w;
    const struct arm_work *a;
    const ledger_row *setting; /* NULL: of a remote arm */
    run_energy *runs;
    size_t n_runs;
    pricing price;
    bool measured, counted;    /* some energy is the processor's own figure; some is time by watts */
} reading;

static double joules_of(reading *x, const ledger_row *r)
{
    if (!x->setting || !same_setting(r, x->setting))
        return NAN;
    const run_energy *e = run_of(x->runs, x->n_runs, r->run);
    if (e && !isnan(e->joules) && e->weight > 0) {
        x->measured = true;
        return e->joules * weight_of(r) / e->weight;
    }
    double joules = r->total_us > 0 ? weight_of(r) / 1e6 * x->w->o->watts_busy : NAN;
    x->counted |= !isnan(joules);
    return joules;
}

/* Of one answer to a case: the mean over the repeats. */
static void read_case(reading *x, size_t k, double *usd, double *joules)
{
    uint32_t repeats = x->a->tally.repeats;
    double cost = 0, energy = 0;
    for (uint32_t i = 0; i < repeats; i++) {
        const ledger_row *r = x->a->tally.slots[k * repeats + i].row;
        cost += r ? tokens_usd(r, &x->price) : NAN;
        energy += r ? joules_of(x, r) : NAN;
    }
    *joules = energy / repeats;
    *usd = x->setting ? money_joules_usd(*joules, x->w->o->usd_per_kwh) : cost / repeats;
}

static status sum_up(reading *x, size_t arm, double *joules, error *err)
{
    report_work *w = x->w;
    report_arm *o = &w->out->arms[arm];
    size_t n = w->t->n_cases;
    money_figure cost, energy;
    for (size_t i = 0; i < n; i++)
        read_case(x, w->order[i], &w->arms[arm].usd[i], &joules[i]);
    status s = money_mean(w->arms[arm].usd, w->unit, n, 0.95, &cost, err);
    if (!s)
        s = money_mean(joules, w->unit, n, 0.95, &energy, err);
    if (s)
        return s;
    o->cost_usd = cost.mean;
    o->cost_low = cost.low;
    o->cost_high = cost.high;
    o->cost_of = isnan(cost.mean) ? "" : x->setting ? "energy" : "tokens";
    o->energy_j = energy.mean;
    o->energy_low = energy.low;
    o->energy_high = energy.high;
    o->energy_of = x->measured && x->counted ? "mixed" : x->measured ? "measured" : x->counted ? "watts" : "";
    o->price_input = x->price.input;
    o->price_output = x->price.output;
    o->price_as_of = report_keep(w, x->price.as_of);
    return o->price_as_of ? OK : report_no_memory(err);
}

status report_gather_cost(report_work *w, size_t arm, const ledger_row *setting, error *err)
{
    struct arm_work *a = &w->arms[arm];
    report_arm *o = &w->out->arms[arm];
    bool local = strcmp(o->place, "local") == 0 && strcmp(o->role, "recording") != 0;
    double *joules = mem_array(w->t->n_cases + 1, sizeof *joules);
    reading x = { .w = w, .a = a, .setting = local ? setting : NULL };
    x.runs = mem_array(a->rows.n + 1, sizeof *x.runs);
    a->usd = mem_array(w->t->n_cases + 1, sizeof *a->usd);
    status s = joules && x.runs && a->usd ? OK : report_no_memory(err);
    if (!s)
        s = find_price(w, o, &x.price, err);
    if (!s && x.setting)
        s = read_runs(w, a, setting, x.runs, &x.n_runs, err);
    if (!s)
        s = sum_up(&x, arm, joules, err);
    mem_free(x.runs);
    mem_free(joules);
    return s;
}

/* ---- local against the cloud ---- */

status report_gather_saving(report_work *w, error *err)
{
    static const char *const words[] = { "unknown", "already", "never", "from" };
    report_task *o = w->out;
    money_figure saving = { NAN, NAN, NAN, 0 };
    if (o->local >= 0 && o->cloud >= 0) {
        status s = money_difference(w->arms[o->cloud].usd, w->arms[o->local].usd, w->unit, w->t->n_cases, 0.95,
                                    &saving, err);
        if (s)
            return s;
    }
    /* Without a price by the month nothing but energy is paid for, as `hearth choose` has it. */
    double month = isnan(w->o->usd_per_month) ? 0 : w->o->usd_per_month;
    money_break_even b = money_breaks_even(month, &saving);
    o->saving_usd = saving.mean;
    o->saving_low = saving.low;
    o->saving_high = saving.high;
    o->break_even = words[b.when];
    o->break_even_answers = b.answers;
    o->break_even_low = isfinite(b.low) ? b.low : NAN;
    o->break_even_high = isfinite(b.high) ? b.high : NAN;
    return OK;
}
