/* arm.c: one arm of a run: what the ledger holds of it already, and keeping each case as soon as it is finished. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "hearth.h"
#include "measure/measure_int.h"
#include "plat/clock.h"
#include "plat/machine.h"
#include "privacy/privacy.h"

/* ---- before asking ---- */

static status check_prompt(arm *s, error *err)
{
    if (s->who->kind == PROVIDER_LOCAL && !s->who->has_template && !s->prompt->plain)
        return fail(err, E_UNSUPPORTED,
                    "task %s asks with messages, and %s is a base model without a chat template: give the task a "
                    "plain `prompt:`, or `variants:` with one for this provider", s->t->id, s->who->name);
    return OK;
}

static status check_repeats(const arm *s, error *err)
{
    if (s->t->sampling.temperature > 0 && s->repeats < 2)
        return fail(err, E_FORMAT, "task %s draws its answers at temperature %g and asks each case once: one draw says "
                    "little of a case; set sampling.repeats to 3 or more, or the temperature to 0", s->t->id,
                    s->t->sampling.temperature);
    return OK;
}

static status read_keys(arm *s, error *err)
{
    status st = task_case_keys(s->t, s->who->name, &s->by_task, err);
    if (st)
        return st;
    s->keys = mem_array(s->n_keys + 1, sizeof *s->keys);
    if (!s->keys)
        return fail(err, E_NOMEM, "no memory for the keys of %zu cases", s->n_keys);
    for (size_t i = 0; i < s->n_keys; i++)
        s->keys[i] = (tally_key){ s->by_task[i].c->id, s->by_task[i].prompt, s->by_task[i].grader };
    return measure_read(s, err);
}

/* ---- grading ---- */

static status grade_text(arm *s, size_t key, const char *text, size_t n, ledger_grade *out, error *err)
{
    grade g = { 0 };
    status st = grade_answer(s->t, s->by_task[key].c, text, n, &g, err);
    if (st)
        return fail_prefix(err, st, "task %s, case %s: ", s->t->id, s->by_task[key].c->id);
    *out = (ledger_grade){ .grader = s->by_task[key].grader, .score = g.score,
                           .outcome = g.outcome == GRADE_PASS        ? LEDGER_PASS
                                      : g.outcome == GRADE_MALFORMED ? LEDGER_MALFORMED
                                                                     : LEDGER_WRONG };
    return OK;
}

/* An old answer under new graders. A text that was purged, or never kept, leaves the slot to be asked again. */
static status regrade(arm *s, size_t key, tally_slot *slot, error *err)
{
    char *text = NULL;
    error none;
    status st = slot->row->text[0] ? ledger_find_text(s->l, slot->row->text, &text, &none) : E_NOTFOUND;
    if (st == E_NOTFOUND) {
        slot->row = NULL;
        return OK;
    }
    if (st)
        return fail(err, st, "%s", none.text);
    st = grade_text(s, key, text, strlen(text), &slot->grade, err);
    if (!st)
        st = ledger_append_grade(s->l, slot->row->id, &slot->grade, err);
    if (!st) {
        slot->graded = true;
        s->n_regraded++;
    }
    mem_free(text);
    return st;
}

static status keep_what_is_there(arm *s, error *err)
{
    status st = OK;
    size_t n = s->n_wanted * s->repeats;
    for (size_t i = 0; !st && i < n; i++) {
        tally_slot *slot = &s->tally.slots[i];
        if (s->o->fresh)
            slot->row = NULL;
        if (slot->row && !slot->graded)
            st = regrade(s, i / s->repeats, slot, err);
        if (slot->row && slot->graded) {
            s->n_kept++;
            s->n_alone += slot->row->concurrency <= 1;
            s->passed += slot->graded && slot->grade.outcome == LEDGER_PASS;
        }
    }
    s->total = (uint32_t)n - s->n_kept;
    tally_sum(&s->tally);
    return st;
}

status arm_open(arm *s, error *err)
{
    s->n_keys = s->t->n_cases;
    s->n_wanted = s->o->limit && s->o->limit < s->n_keys ? s->o->limit : s->n_keys;
    s->repeats = s->t->sampling.repeats > 0 ? (uint32_t)s->t->sampling.repeats : 1;
    s->prompt = task_prompt_for(s->t, s->who->name);
    s->local = s->who->kind == PROVIDER_LOCAL;
    s->peak_bytes = s->energy_j = s->energy_s = NAN;
    s->cost_usd = s->local ? NAN : 0;
    s->began_us = clock_mono_us();
    s->throttled = machine_throttles();
    status st = check_repeats(s, err);
    if (!st)
        st = check_prompt(s, err);
    if (!st)
        st = measure_evidence(s->t, s->who, &s->sampling, &s->evidence, err);
    if (!st)
        st = read_keys(s, err);
    return st ? st : keep_what_is_there(s, err);
}

void arm_close(arm *s)
{
    tally_clear(&s->tally);
    ledger_rows_close(&s->rows);
    mem_free(s->keys);
    mem_free(s->by_task);
    mem_free(s->sampling);
}

/* Also a run that finds nothing left to ask is written: it says that this is what the provider is today (route takes
 * the newest run's evidence as the current one, and a model file may have been put back). */
status arm_begin(arm *s, error *err)
{
    char governor[32];
    ledger_run run = { .machine = *ledger_this_machine(), .task = s->t->id, .provider = s->who->name,
                       .place = provider_place_name(s->who->place), .model = s->who->model, .version = HEARTH_VERSION,
                       .threads = s->who->n_threads, .isa = s->who->isa, .power = machine_power(),
                       .governor = machine_governor(governor, sizeof governor) };
    return ledger_begin(s->l, &run, &s->evidence, s->run, err);
}

/* ---- after asking ---- */

double arm_cost(const arm *s, const ledger_answer *a)
{
    if (s->local || a->n_prompt < 0 || a->n_output < 0)
        return NAN;
    double cached = a->n_cached > 0 && a->n_cached <= a->n_prompt ? (double)a->n_cached : 0;
    double cached_price = isnan(s->who->price_cached) ? s->who->price_input : s->who->price_cached;
    return (((double)a->n_prompt - cached) * s->who->price_input + (cached > 0 ? cached * cached_price : 0) +
            (double)a->n_output * s->who->price_output) / 1e6;
}

/* The tally borrows rows of the ledger. What this run adds is read from there at its end; until then only the grades
 * count, and that a case is over. */
static const ledger_row added = { .id = "" }, failed = { .id = "" };

bool arm_failed(const arm *s, size_t key)
{
    for (uint32_t r = 0; r < s->repeats; r++)
        if (s->tally.slots[key * s->repeats + r].row == &failed)
            return true;
    return false;
}

status arm_keep_answer(arm *s, size_t key, uint32_t repeat, uint32_t concurrency, reply *r,
                           const char *prompt_text, error *err)
{
    ledger_grade g;
    char id[UUID_TEXT];
    status st = grade_text(s, key, buf_text(&r->text), r->text.len, &g, err);
    if (st)
        return st;
    r->row.case_id = s->by_task[key].c->id;
    r->row.repeat = repeat;
    r->row.concurrency = concurrency;
    r->row.prompt = s->by_task[key].prompt;
    r->row.text = buf_text(&r->text);
    r->row.prompt_text = prompt_text;
    r->row.keep_text = privacy_keeps_text(s->t->privacy);
    st = ledger_append_answer(s->l, s->run, &r->row, &g, id, err);
    if (st)
        return st;
    s->n_asked++;
    s->failures_in_row = 0;
    s->passed += g.outcome == LEDGER_PASS;
    s->cost_usd += arm_cost(s, &r->row);
    if (r->peak_bytes && !(s->peak_bytes > (double)r->peak_bytes))
        s->peak_bytes = (double)r->peak_bytes;
    tally_put(&s->tally, key, repeat, &added, &g);
    return OK;
}

status arm_keep_failure(arm *s, size_t key, uint32_t repeat, const reply *r, const error *why, error *err)
{
    uint32_t most = s->o->max_failures ? s->o->max_failures : 5;
    const char *sentence = privacy_keeps_text(s->t->privacy) ? why->text : NULL;
    status st = ledger_append_failure(s->l, s->run, s->by_task[key].c->id, r->kind, sentence, err);
    if (st)
        return st;
    s->n_failed++;
    s->n_timeout += strcmp(r->kind, "timeout") == 0;
    tally_put(&s->tally, key, repeat, &failed, NULL);
    if (++s->failures_in_row < most)
        return OK;
    return fail(err, E_PROVIDER, "%s: %u cases in a row got no answer, so the run stops; %u finished cases are kept. "
                "The last one: %s", s->who->name, most, s->n_kept + s->n_asked, why->text);
}
