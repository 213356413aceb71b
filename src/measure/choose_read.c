/* choose_read.c: what the ledger holds of one candidate, case by case: outcomes, times, costs, energy. Nothing is asked
 * here. Times, energy and costs of energy count only when they are of one setting of this machine: that of the newest
 * answer given alone. So what was measured on battery never mixes with what was measured on mains. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "measure/choose_int.h"
#include "measure/measure_int.h"
#include "plat/clock.h"

/* ---- the setting ---- */

static bool alone(const ledger_row *r)
{
    return r->concurrency <= 1;
}

/* The newest answer given alone on this machine, else the newest at all; NULL: none. */
static const ledger_row *newest(const arm *s)
{
    char machine[DIGEST_HEX];
    const ledger_row *found = NULL;
    ledger_machine_id(ledger_this_machine(), machine);
    for (size_t i = 0; i < s->tally.n_keys * s->repeats; i++) {
        const ledger_row *r = s->tally.slots[i].row;
        if (r && strcmp(r->machine, machine) == 0 &&
            (!found || alone(r) > alone(found) || (alone(r) == alone(found) && r->at_us > found->at_us)))
            found = r;
    }
    return found;
}

static bool same_setting(const ledger_row *a, const ledger_row *b)
{
    return b && a->threads == b->threads && strcmp(a->machine, b->machine) == 0 && strcmp(a->isa, b->isa) == 0 &&
           strcmp(a->power, b->power) == 0;
}

/* ---- energy: a run's joules go to its answers by the time that each kept the machine ---- */

typedef struct run_energy {
    const char *run;  /* borrowed from a row */
    double joules, weight;
} run_energy;

static double weight_of(const ledger_row *r)
{
    return r->total_us > 0 ? (double)r->total_us / (r->concurrency > 1 ? r->concurrency : 1) : 0;
}

static status read_run(arm *s, const ledger_row *r, run_energy *out, choose_row *row, error *err)
{
    ledger_facts facts = { 0 };
    *out = (run_energy){ r->run, NAN, 0 };
    status st = ledger_find_facts(s->l, r->run, &facts, err);
    for (size_t i = 0; !st && i < facts.n; i++) {
        if (strcmp(facts.rows[i].name, "energy_j") == 0)
            out->joules = facts.rows[i].value;
        else if (strcmp(facts.rows[i].name, "throttled") == 0)
            row->throttled += (uint64_t)fmax(0, facts.rows[i].value);
        else if (strcmp(facts.rows[i].name, "peak_bytes") == 0 && !(row->memory_bytes >= facts.rows[i].value)) {
            row->memory_bytes = facts.rows[i].value;
            row->memory_measured = true;
        }
    }
    ledger_facts_close(&facts);
    return st;
}

static run_energy *run_of(run_energy *runs, size_t n, const char *run)
{
    for (size_t i = n; i-- > 0;) /* of one run's answers one comes after the other */
        if (strcmp(runs[i].run, run) == 0)
            return &runs[i];
    return NULL;
}

static status read_runs(arm *s, const ledger_row *setting, run_energy *runs, size_t *n, choose_row *row, error *err)
{
    status st = OK;
    for (size_t i = 0; !st && i < s->tally.n_keys * s->repeats; i++) {
        const ledger_row *r = s->tally.slots[i].row;
        if (!r || !same_setting(r, setting))
            continue;
        run_energy *e = run_of(runs, *n, r->run);
        if (!e) {
            e = &runs[*n];
            st = read_run(s, r, e, row, err);
            *n += !st;
        }
        if (!st)
            e->weight += weight_of(r);
    }
    return st;
}

/* Joules of one answer; NAN: not known. */
static double joules_of(const ledger_row *r, run_energy *runs, size_t n_runs, const choose_options *o, bool *measured)
{
    const run_energy *e = run_of(runs, n_runs, r->run);
    if (e && !isnan(e->joules) && e->weight > 0) {
        *measured = true;
        return e->joules * weight_of(r) / e->weight;
    }
    return r->total_us > 0 ? weight_of(r) / 1e6 * o->watts_busy : NAN; /* NAN when no watts are given */
}

/* ---- a case ---- */

typedef struct reading {
    arm *s;
    const choose_options *o;
    const ledger_row *setting;
    run_energy *runs;
    size_t n_runs;
    double limit_ms;      /* negative: none */
    bool measured;        /* some energy is the processor's own figure */
} reading;

/* Both are of one answer: the mean over the repeats. */
static void read_amounts(reading *x, size_t key, double *usd, double *joules)
{
    const arm *s = x->s;
    double cost = 0, energy = 0;
    for (uint32_t k = 0; k < s->repeats; k++) {
        const ledger_row *r = s->tally.slots[key * s->repeats + k].row;
        bool here = r && s->local && same_setting(r, x->setting);
        cost += r ? arm_cost(s, &(ledger_answer){ .n_prompt = r->n_prompt, .n_output = r->n_output,
                                                  .n_cached = r->n_cached })
                  : NAN;
        energy += here ? joules_of(r, x->runs, x->n_runs, x->o, &x->measured) : NAN;
    }
    *joules = energy / s->repeats;
    *usd = s->local                              ? money_joules_usd(*joules, x->o->usd_per_kwh)
           : s->who->kind == PROVIDER_REPLAY ? NAN
                                                 : cost / s->repeats;
}

static signed char read_slow(const reading *x, size_t key)
{
    for (uint32_t k = 0; k < x->s->repeats; k++) {
        const ledger_row *r = x->s->tally.slots[key * x->s->repeats + k].row;
        if (r && alone(r) && r->total_us >= 0 && same_setting(r, x->setting))
            return x->limit_ms >= 0 && (double)r->total_us / 1000 > x->limit_ms;
    }
    return -1;
}

static void read_cases(reading *x, choose_table *t, size_t i, choose_row *row)
{
    for (size_t place = 0; place < t->n_cases; place++) {
        size_t at = i * t->n_cases + place;
        t->outcome[at] = x->s->tally.outcome[place];
        t->slow[at] = read_slow(x, place);
        read_amounts(x, place, &t->usd[at], &t->joules[at]);
    }
    row->energy_measured = x->measured;
}

static status read_governor(ledger *l, const char *task_id, const ledger_row *setting, choose_row *row, error *err)
{
    ledger_runs runs = { 0 };
    status st = ledger_find_runs(l, task_id, &runs, err);
    for (size_t i = 0; !st && i < runs.n; i++)
        if (strcmp(runs.rows[i].id, setting->run) == 0)
            snprintf(row->governor, sizeof row->governor, "%s", runs.rows[i].governor);
    ledger_runs_close(&runs);
    return st;
}

static status read_all(reading *x, choose_table *t, size_t i, choose_row *row, error *err)
{
    arm *s = x->s;
    char machine[DIGEST_HEX];
    ledger_machine_id(ledger_this_machine(), machine);
    ledger_evidence_id(&s->evidence, row->evidence);
    row->power[0] = row->governor[0] = 0;
    row->throttled = 0;
    row->memory_measured = false;
    row->memory_bytes = NAN;
    x->setting = newest(s);
    x->runs = mem_array(s->tally.n_keys * s->repeats + 1, sizeof *x->runs);
    status st = x->runs ? OK : fail(err, E_NOMEM, "no memory for the runs of %s", row->name);
    if (!st && x->setting) {
        snprintf(row->power, sizeof row->power, "%s", x->setting->power);
        st = read_governor(s->l, s->t->id, x->setting, row, err);
    }
    if (!st)
        st = read_runs(s, x->setting, x->runs, &x->n_runs, row, err);
    if (!st)
        st = tally_measure_speed(&s->tally, machine, &row->speed, err);
    if (!st)
        read_cases(x, t, i, row);
    if (!row->memory_measured && s->local && s->who->budget_bytes)
        row->memory_bytes = (double)s->who->budget_bytes;
    mem_free(x->runs);
    return st;
}

status choose_read(ledger *l, const task *asked, const provider_info *who, const choose_options *o, choose_table *t,
                   size_t i, choose_row *row, error *err)
{
    measure_options reading_only = { .case_timeout_ms = o->measure->case_timeout_ms };
    arm s = { .l = l, .t = asked, .who = who, .o = &reading_only };
    reading x = { .s = &s, .o = o, .limit_ms = asked->limits.latency_p95_ms };
    status st = arm_open(&s, err);
    if (!st)
        st = read_all(&x, t, i, row, err);
    arm_close(&s);
    return st;
}
