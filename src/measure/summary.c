/* summary.c: what the ledger holds under this evidence, in numbers. Always read from the ledger, never from what a run
 * believes it wrote. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "measure/measure_int.h"
#include "plat/clock.h"
#include "plat/machine.h"
#include "stat/stat.h"
#include "task/suite.h"

status measure_read(arm *s, error *err)
{
    char id[DIGEST_HEX];
    tally_clear(&s->tally);
    ledger_rows_close(&s->rows);
    ledger_evidence_id(&s->evidence, id);
    status st = ledger_find_answers(s->l, s->t->id, id, &s->rows, err);
    return st ? st : tally_make(s->l, &s->rows, s->keys, s->n_keys, s->repeats, &s->tally, err);
}

static status sum_scores(arm *s, measure_result *r, error *err)
{
    task_mean m;
    status st = task_mean_score(s->by_task, s->tally.score, s->tally.n_keys, &m, err);
    if (st)
        return st;
    r->score = m.mean;
    r->score_lower = m.low;
    r->score_upper = m.high;
    return OK;
}

/* Every answer that counts and whose text is kept. */
static status add_texts(arm *s, suite *figures, error *err)
{
    status st = OK;
    for (size_t i = 0; !st && i < s->tally.n_keys * s->repeats; i++) {
        const tally_slot *slot = &s->tally.slots[i];
        char *text = NULL;
        error none;
        if (!slot->graded || !slot->row->text[0])
            continue;
        st = ledger_find_text(s->l, slot->row->text, &text, &none);
        if (!st)
            st = suite_add(figures, s->by_task[i / s->repeats].c, text, strlen(text), err);
        else
            st = st == E_NOTFOUND ? OK : fail(err, st, "%s", none.text);
        mem_free(text);
    }
    return st;
}

static status sum_figures(arm *s, measure_result *r, error *err)
{
    suite *figures = NULL;
    const suite_table *tables = NULL;
    r->macro_f1 = r->micro_f1 = NAN;
    status st = suite_open(&figures, s->t, err);
    if (!st && suite_tables(figures, &tables) > 0)
        st = add_texts(s, figures, err);
    if (!st && suite_tables(figures, &tables) > 0 && tables[0].answers) {
        r->macro_f1 = tables[0].macro_f1 >= 0 ? tables[0].macro_f1 : NAN;
        r->micro_f1 = tables[0].micro_f1 >= 0 ? tables[0].micro_f1 : NAN;
    }
    suite_close(&figures);
    return st;
}

static void sum_rates(const tally *t, measure_result *r)
{
    stat_interval i = stat_clopper_pearson(t->n_pass, t->n, 0.95);
    r->n = t->n;
    r->n_pass = t->n_pass;
    r->n_wrong = t->n_wrong;
    r->n_malformed = t->n_malformed;
    r->pass = t->n ? (double)t->n_pass / t->n : NAN;
    r->pass_lower = i.low;
    r->pass_upper = i.high;
    stat_interval worst = stat_clopper_pearson(t->n / 2, t->n, 0.95);
    r->resolution = (worst.high - worst.low) / 2;
}

/* What an answer of the matching set costs, from its tokens at today's prices. */
static double mean_cost(const arm *s)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < s->tally.n_keys * s->repeats; i++) {
        const ledger_row *r = s->tally.slots[i].row;
        if (!r)
            continue;
        sum += arm_cost(s, &(ledger_answer){ .n_prompt = r->n_prompt, .n_output = r->n_output,
                                             .n_cached = r->n_cached });
        n++;
    }
    return n ? sum / (double)n : NAN;
}

static status append_facts(arm *s, const measure_result *r, error *err)
{
    const struct {
        const char *name, *unit;
        double value;
    } facts[] = {
        { "prefill_tokens_per_s", "1/s", r->speed.prefill_per_s },
        { "decode_tokens_per_s", "1/s", r->speed.decode_per_s },
        { "ttft_p50_ms", "ms", r->speed.ttft_p50_ms },
        { "ttft_p95_ms", "ms", r->speed.ttft_p95_ms },
        { "answer_p50_ms", "ms", r->speed.answer_p50_ms },
        { "answer_p95_ms", "ms", r->speed.answer_p95_ms },
        { "cost_usd", "USD", r->cost_usd },
        { "price_input", "USD per million tokens", s->local ? NAN : s->who->price_input },
        { "price_output", "USD per million tokens", s->local ? NAN : s->who->price_output },
        { "throttled", "times", (double)(machine_throttles() - s->throttled) },
        { "peak_bytes", "bytes", s->peak_bytes > 0 ? s->peak_bytes : NAN },
        { "energy_j", "J", s->energy_j }, /* gross: of all that ran on the processor in energy_s seconds */
        { "energy_s", "s", s->energy_s },
        { "energy_j_per_answer", "J", s->n_asked ? s->energy_j / s->n_asked : NAN },
    };
    status st = OK;
    for (size_t i = 0; !st && s->n_asked && i < ARRAY_LEN(facts); i++)
        if (isfinite(facts[i].value))
            st = ledger_append_fact(s->l, s->run, facts[i].name, facts[i].value, facts[i].unit, err);
    return st;
}

static status find_peak(arm *s, const char *evidence, measure_result *r, error *err)
{
    error none;
    r->peak_bytes = NAN;
    status st = ledger_find_fact(s->l, s->t->id, evidence, NULL, "peak_bytes", &r->peak_bytes, NULL, &none);
    return st && st != E_NOTFOUND ? fail(err, st, "%s", none.text) : OK;
}

status measure_summary(arm *s, measure_result *out, error *err)
{
    measure_result r = { 0 };
    char machine[DIGEST_HEX];
    ledger_machine_id(ledger_this_machine(), machine);
    ledger_evidence_id(&s->evidence, r.evidence);
    memcpy(r.run, s->run, sizeof r.run);
    r.n_cases = (uint32_t)s->n_keys;
    r.n_asked = s->n_asked;
    r.n_kept = s->n_kept;
    r.n_regraded = s->n_regraded;
    r.n_failed = s->n_failed;
    r.n_timeout = s->n_timeout;
    r.n_refused = s->n_refused;
    r.n_ungraded = s->n_ungraded;
    r.cost_usd = s->n_asked ? s->cost_usd : NAN;
    memcpy(r.ended, s->ended, sizeof r.ended);
    r.seconds = (double)(clock_mono_us() - s->began_us) / 1e6;
    status st = measure_read(s, err);
    if (!st) {
        sum_rates(&s->tally, &r);
        r.cost_per_answer = mean_cost(s);
        st = sum_scores(s, &r, err);
    }
    if (!st)
        st = sum_figures(s, &r, err);
    if (!st)
        st = tally_measure_speed(&s->tally, machine, &r.speed, err);
    if (!st)
        st = append_facts(s, &r, err);
    if (!st)
        st = find_peak(s, r.evidence, &r, err);
    if (!st) {
        tally_stale_text(&s->tally, r.stale, sizeof r.stale);
        *out = r;
    }
    return st;
}
