/* arm.c: one arm of a run: what the ledger holds of it already, and keeping each case as soon as it is finished. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
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
    status st = task_case_keys(s->t, s->who->name, &s->by_task, &s->n_keys, err);
    if (st)
        return st;
    s->n_wanted = s->o->limit && s->o->limit < s->n_keys ? s->o->limit : s->n_keys;
    s->keys = mem_array(s->n_keys + 1, sizeof *s->keys);
    if (!s->keys)
        return fail(err, E_NOMEM, "no memory for the keys of %zu cases", s->n_keys);
    for (size_t i = 0; i < s->n_keys; i++)
        s->keys[i] = (tally_key){ s->by_task[i].c->id, s->by_task[i].prompt, s->by_task[i].grader };
    return measure_read(s, err);
}

/* ---- grading ---- */

static char *detail_of(const task *t, const grade *parts)
{
    js *list = js_array();
    buf text = BUF_INIT(1 << 20);
    bool ok = list;
    for (size_t i = 0; ok && i < t->n_graders; i++) {
        js *one = js_object();
        ok = one && js_set(one, "grader", js_new_string(grade_name(t, i))) &&
             js_set(one, "score", js_new_double(parts[i].score)) &&
             js_set(one, "outcome", js_new_string(grade_outcome_name(parts[i].outcome))) &&
             js_set(one, "reason", js_new_string(parts[i].reason));
        if (ok)
            ok = js_push(list, one);
        else
            js_free(one);
    }
    if (ok)
        js_write(list, JS_COMPACT, &text);
    js_free(list);
    if (!ok || text.failed) {
        buf_clear(&text);
        return NULL;
    }
    return buf_take(&text);
}

void arm_judge(const arm *s, size_t key, const char *text, size_t n, const grade_facts *facts, verdict *out)
{
    const task_case *c = s->by_task[key].c;
    const grade_with with = { facts, measure_tools_get(s->o->tools) };
    grade whole = { 0 }, parts[TASK_GRADERS_MAX] = { 0 };
    *out = (verdict){ .graded = OK };
    status st = grade_all(s->t, c, text, n, &with, &whole, parts, &out->why);
    if (!st)
        st = grade_refuses(text, n, &out->refused, &out->why);
    if (!st && !(out->detail = detail_of(s->t, parts)))
        st = fail(&out->why, E_NOMEM, "no memory for what the graders say");
    out->graded = st ? fail_prefix(&out->why, st, "task %s, case %s: ", s->t->id, c->id) : OK;
    out->grade = (ledger_grade){ .grader = s->by_task[key].grader, .score = whole.score, .detail = out->detail,
                                 .outcome = whole.outcome == GRADE_PASS        ? LEDGER_PASS
                                            : whole.outcome == GRADE_MALFORMED ? LEDGER_MALFORMED
                                                                               : LEDGER_WRONG };
}

/* A judge that is silent, or a fact that nobody knows: the answer is kept, and graded another time. */
static bool graded_later(const verdict *v)
{
    return v->graded == E_PROVIDER || v->graded == E_UNSUPPORTED;
}

/* An old answer under new graders. A text that was purged, or never kept, leaves the slot to be asked again. */
static status regrade(arm *s, size_t key, tally_slot *slot, error *err)
{
    char *text = NULL;
    error none;
    verdict v;
    status st = slot->row->text[0] ? ledger_find_text(s->l, slot->row->text, &text, &none) : E_NOTFOUND;
    if (st == E_NOTFOUND) {
        slot->row = NULL;
        return OK;
    }
    if (st)
        return fail(err, st, "%s", none.text);
    grade_facts facts = measure_facts_kept(slot->row, s->who);
    arm_judge(s, key, text, strlen(text), &facts, &v);
    if (!v.graded)
        st = ledger_append_grade(s->l, slot->row->id, &v.grade, err);
    else if (!graded_later(&v))
        st = fail(err, v.graded, "%s", v.why.text);
    if (!st && !v.graded) {
        slot->grade = v.grade;
        slot->grade.detail = NULL;
        slot->graded = true;
        s->n_regraded++;
    }
    mem_free(v.detail);
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
            s->passed += slot->grade.outcome == LEDGER_PASS;
        } else if (slot->row) {
            s->n_ungraded++;
        }
    }
    s->total = (uint32_t)n - s->n_kept - s->n_ungraded;
    tally_sum(&s->tally);
    return st;
}

status arm_open(arm *s, error *err)
{
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

/* Before anything is asked, and only where something will be. */
static status keep_foretold(arm *s, error *err)
{
    const measure_foretold *f = s->foretold;
    if (!f || !s->total)
        return OK;
    const struct {
        const char *name, *unit;
        double value;
    } facts[] = {
        { LEDGER_PREDICTED "decode_tokens_per_s", "1/s", f->decode_per_s },
        { LEDGER_PREDICTED "prefill_tokens_per_s", "1/s", f->prefill_per_s },
        { LEDGER_PREDICTED "peak_bytes", "bytes", f->peak_bytes },
    };
    status st = OK;
    for (size_t i = 0; !st && i < ARRAY_LEN(facts); i++)
        if (isfinite(facts[i].value))
            st = ledger_append_fact(s->l, s->run, facts[i].name, facts[i].value, facts[i].unit, err);
    return st;
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
    status st = ledger_begin(s->l, &run, &s->evidence, s->run, err);
    return st ? st : keep_foretold(s, err);
}

/* ---- after asking ---- */

double arm_cost(const arm *s, const ledger_answer *a)
{
    return s->local ? NAN : measure_price(s->who, a);
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

status arm_keep_answer(arm *s, size_t key, uint32_t repeat, reply *r, const verdict *v, const char *prompt_text,
                       error *err)
{
    char id[UUID_TEXT];
    if (v->graded && !graded_later(v))
        return fail(err, v->graded, "%s", v->why.text);
    r->row.case_id = s->by_task[key].c->id;
    r->row.repeat = repeat;
    r->row.prompt = s->by_task[key].prompt;
    r->row.text = buf_text(&r->text);
    r->row.prompt_text = prompt_text;
    r->row.keep_text = privacy_keeps_text(s->t->privacy);
    status st = ledger_append_answer(s->l, s->run, &r->row, v->graded ? NULL : &v->grade, id, err);
    if (st)
        return st;
    s->n_asked++;
    s->n_ungraded += v->graded != OK;
    s->n_refused += v->refused;
    s->failures_in_row = 0;
    s->passed += !v->graded && v->grade.outcome == LEDGER_PASS;
    s->cost_usd += arm_cost(s, &r->row);
    if (r->peak_bytes && !(s->peak_bytes > (double)r->peak_bytes))
        s->peak_bytes = (double)r->peak_bytes;
    if (v->graded)
        snprintf(s->ungraded_why, sizeof s->ungraded_why, "%.159s", v->why.text);
    tally_put(&s->tally, key, repeat, v->graded ? &failed : &added, v->graded ? NULL : &v->grade);
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
