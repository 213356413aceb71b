/* measure.c: a run: what is there already, what is left, and keeping each case as soon as it is finished. */
#include "measure/measure.h"

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

enum { TELL_US = 200000 };

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
    else if (who->kind == PROVIDER_OPENAI)
        buf_printf(out, "openai:%s#%s", who->url, who->model);
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

void measure_tell(session *s, bool now, uint32_t prefill_done, uint32_t prefill_total)
{
    uint64_t at = clock_mono_us();
    if (!s->o->progress || (!now && at - s->told_us < TELL_US))
        return;
    s->told_us = at;
    uint32_t done = s->n_asked + s->n_failed;
    double seconds = (double)(at - s->began_us) / 1e6, rate = done && seconds > 0 ? done / seconds : 0;
    measure_progress p = { .task = s->t->id, .provider = s->who->name, .done = done, .total = s->total,
                           .kept = s->n_kept, .failed = s->n_failed, .passed = s->passed, .cases_per_s = rate,
                           .eta_s = rate > 0 ? (s->total - done) / rate : -1, .prefill_done = prefill_done,
                           .prefill_total = prefill_total };
    s->o->progress(s->o->progress_user, &p);
}

/* ---- before asking ---- */

static status check_prompt(session *s, error *err)
{
    if (s->who->kind == PROVIDER_LOCAL && !s->who->has_template && !s->prompt->plain)
        return fail(err, E_UNSUPPORTED,
                    "task %s asks with messages, and %s is a base model without a chat template: give the task a "
                    "plain `prompt:`, or `variants:` with one for this provider", s->t->id, s->who->name);
    return OK;
}

static status open_session(session *s, error *err)
{
    s->n_keys = s->t->n_cases;
    s->n_wanted = s->o->limit && s->o->limit < s->n_keys ? s->o->limit : s->n_keys;
    s->repeats = s->t->sampling.repeats > 0 ? (uint32_t)s->t->sampling.repeats : 1;
    s->prompt = task_prompt_for(s->t, s->who->name);
    s->peak_bytes = NAN;
    s->began_us = clock_mono_us();
    status st = check_prompt(s, err);
    if (!st)
        st = measure_evidence(s->t, s->who, &s->sampling, &s->evidence, err);
    if (!st)
        st = task_case_keys(s->t, s->who->name, &s->by_task, err);
    if (st)
        return st;
    s->keys = mem_array(s->n_keys + 1, sizeof *s->keys);
    if (!s->keys)
        return fail(err, E_NOMEM, "no memory for the keys of %zu cases", s->n_keys);
    for (size_t i = 0; i < s->n_keys; i++)
        s->keys[i] = (tally_key){ s->by_task[i].c->id, s->by_task[i].prompt, s->by_task[i].grader };
    return measure_read(s, err);
}

static void close_session(session *s)
{
    tally_clear(&s->tally);
    ledger_rows_close(&s->rows);
    mem_free(s->keys);
    mem_free(s->by_task);
    mem_free(s->sampling);
}

/* Also a run that finds nothing left to ask is written: it says that this is what the provider is today (route takes
 * the newest run's evidence as the current one, and a model file may have been put back). */
static status begin_run(session *s, error *err)
{
    ledger_run run = { .machine = *ledger_this_machine(), .task = s->t->id, .provider = s->who->name,
                       .place = provider_place_name(s->who->place), .model = s->who->model, .version = HEARTH_VERSION,
                       .threads = s->who->n_threads, .isa = s->who->isa, .power = machine_power() };
    return ledger_begin(s->l, &run, &s->evidence, s->run, err);
}

/* ---- grading ---- */

static status grade_text(session *s, size_t key, const char *text, size_t n, ledger_grade *out, error *err)
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
static status regrade(session *s, size_t key, tally_slot *slot, error *err)
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

static status keep_what_is_there(session *s, error *err)
{
    status st = OK;
    size_t n = s->n_wanted * s->repeats;
    for (size_t i = 0; !st && i < n; i++) {
        tally_slot *slot = &s->tally.slots[i];
        if (s->o->fresh)
            slot->row = NULL;
        if (slot->row && !slot->graded)
            st = regrade(s, i / s->repeats, slot, err);
        if (slot->row) {
            s->n_kept++;
            s->passed += slot->graded && slot->grade.outcome == LEDGER_PASS;
        }
    }
    s->total = (uint32_t)n - s->n_kept;
    return st;
}

/* ---- asking ---- */

static status keep_answer(session *s, size_t key, uint32_t repeat, reply *r, const char *prompt_text, error *err)
{
    ledger_grade g;
    char id[UUID_TEXT];
    status st = grade_text(s, key, buf_text(&r->text), r->text.len, &g, err);
    if (st)
        return st;
    r->row.case_id = s->by_task[key].c->id;
    r->row.repeat = repeat;
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
    if (r->peak_bytes && !(s->peak_bytes > (double)r->peak_bytes))
        s->peak_bytes = (double)r->peak_bytes;
    return OK;
}

static status keep_failure(session *s, size_t key, const reply *r, const error *why, error *err)
{
    uint32_t most = s->o->max_failures ? s->o->max_failures : 5;
    const char *sentence = privacy_keeps_text(s->t->privacy) ? why->text : NULL;
    status st = ledger_append_failure(s->l, s->run, s->by_task[key].c->id, r->kind, sentence, err);
    if (st)
        return st;
    s->n_failed++;
    if (++s->failures_in_row < most)
        return OK;
    return fail(err, E_PROVIDER, "%s: %u cases in a row got no answer, so the run stops; %u finished cases are kept. "
                "The last one: %s", s->who->name, most, s->n_kept + s->n_asked, why->text);
}

static status one_case(session *s, size_t key, uint32_t repeat, error *err)
{
    reply r = { .text = BUF_INIT(ANSWER_BYTES_MAX) };
    error why = { 0 };
    char *prompt_text = NULL;
    status st, asked = ask_case(s, s->by_task[key].c, repeat, &r, &prompt_text, &why);
    if (!asked)
        st = keep_answer(s, key, repeat, &r, prompt_text, err);
    else if (asked == E_CANCELLED || asked == E_DENIED || r.denied)
        st = fail(err, r.denied ? E_DENIED : asked, "%s", why.text);
    else if (!r.kind[0]) /* never reached the provider: ours, not its fault */
        st = fail(err, asked, "%s", why.text);
    else
        st = keep_failure(s, key, &r, &why, err);
    buf_clear(&r.text);
    mem_free(prompt_text);
    measure_tell(s, false, 0, 0);
    return st;
}

static status ask_the_rest(session *s, error *err)
{
    status st = OK;
    for (size_t i = 0; !st && i < s->n_wanted * s->repeats; i++) {
        if (s->tally.slots[i].row)
            continue;
        if (s->o->stop && *s->o->stop)
            return fail(err, E_CANCELLED, "stopped");
        st = one_case(s, i / s->repeats, (uint32_t)(i % s->repeats), err);
    }
    return st;
}

status measure_task(ledger *l, const struct task *t, const provider_info *who, measure_ask *ask, void *user,
                    const measure_options *o, measure_result *out, error *err)
{
    session s = { .l = l, .t = t, .who = who, .ask = ask, .user = user, .o = o };
    status st = measure_allowed(t, who->name, who->kind, who->place, err);
    if (!st)
        st = open_session(&s, err);
    if (!st)
        st = keep_what_is_there(&s, err);
    if (!st)
        st = begin_run(&s, err);
    if (!st) {
        measure_tell(&s, true, 0, 0);
        st = ask_the_rest(&s, err);
        measure_tell(&s, true, 0, 0);
        if (!st || st == E_CANCELLED || st == E_PROVIDER) {
            error why = { 0 };
            status summed = measure_summary(&s, out, &why);
            if (summed && !st)
                st = fail(err, summed, "%s", why.text);
        }
    }
    close_session(&s);
    return st;
}
