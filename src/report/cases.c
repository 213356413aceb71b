/* cases.c: case by case: what was asked and expected, what each arm said to it, and what the graders said of that. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "report/report_int.h"
#include "task/grade.h"

/* ---- texts ---- */

static const report_text no_text = { "", 0, "none" };

/* Why this task's texts are not shown; NULL: they are. */
static const char *withheld(const report_work *w)
{
    const char *policy = w->out->text_policy;
    return strcmp(policy, "shown") == 0 ? NULL : policy;
}

static status keep_text(report_work *w, const char *text, size_t n, report_text *out, error *err)
{
    size_t kept = n > REPORT_TEXT_BYTES_MAX ? utf8_complete(text, REPORT_TEXT_BYTES_MAX) : n;
    *out = (report_text){ "", n, n > kept ? "cut" : "kept" };
    if (*w->text_bytes + kept > REPORT_TEXTS_BYTES_MAX) {
        out->state = "left out";
        return OK;
    }
    *w->text_bytes += kept;
    out->text = kept ? arena_strndup(w->texts, text, kept) : "";
    return out->text ? OK : report_no_memory(err);
}

/* A string as it is, anything else as JSON. */
static status keep_js(report_work *w, const js *v, report_text *out, error *err)
{
    buf text = BUF_INIT(TASK_LINE_BYTES_MAX * 6);
    *out = no_text;
    if (!v)
        return OK;
    if (withheld(w)) {
        out->state = withheld(w);
        return OK;
    }
    if (js_is(v, JS_STRING))
        return keep_text(w, js_text(v), js_len(v), out, err);
    js_write(v, JS_COMPACT, &text);
    status s = buf_ok(&text, "a case", err);
    if (!s)
        s = keep_text(w, buf_text(&text), text.len, out, err);
    buf_clear(&text);
    return s;
}

static status keep_answer(report_work *w, const ledger_row *row, report_text *out, error *err)
{
    char *text = NULL;
    error none;
    *out = no_text;
    if (withheld(w)) {
        out->state = withheld(w);
        return OK;
    }
    if (!row->text[0]) {
        out->state = "not stored";
        return OK;
    }
    status s = ledger_find_text(w->l, row->text, &text, &none);
    if (s == E_NOTFOUND) {
        out->state = "purged";
        return OK;
    }
    if (s)
        return fail(err, s, "%s", none.text);
    s = keep_text(w, text, strlen(text), out, err);
    mem_free(text);
    return s;
}

/* ---- what the graders said ---- */

static void join_reasons(const report_part *parts, size_t n, buf *out)
{
    for (size_t i = 0; i < n; i++)
        if (parts[i].reason[0])
            buf_printf(out, "%s%s%s%s", out->len ? "; " : "", parts[i].grader, parts[i].grader[0] ? ": " : "",
                       parts[i].reason);
}

/* From the ledger where a detail was kept; else, where the text is there and was not right, from the graders again. */
static status keep_reason(report_work *w, const tally_slot *slot, const task_case *c, const char *grader,
                          report_answer *out, error *err)
{
    char *text = NULL;
    buf words = BUF_INIT(1 << 16);
    error none;
    grade g;
    status s = report_read_parts(w, slot->row->id, grader, &out->parts, &out->n_parts, err);
    if (s)
        return s;
    join_reasons(out->parts, out->n_parts, &words);
    if (out->n_parts == 1)
        out->n_parts = 0; /* it is the grade itself */
    if (!words.len && slot->grade.outcome != LEDGER_PASS && slot->row->text[0] &&
        !ledger_find_text(w->l, slot->row->text, &text, &none)) {
        if (!grade_answer(w->t, c, text, strlen(text), &g, &none))
            buf_str(&words, g.reason);
        mem_free(text);
    }
    out->reason = words.failed ? NULL : report_keep(w, buf_text(&words));
    buf_clear(&words);
    return out->reason ? OK : report_no_memory(err);
}

/* ---- answers ---- */

/* The repeat to show: the first that is there. */
static const tally_slot *first_slot(const tally *t, size_t k, uint64_t *n)
{
    const tally_slot *first = NULL;
    *n = 0;
    for (uint32_t r = 0; r < t->repeats; r++) {
        const tally_slot *slot = &t->slots[k * t->repeats + r];
        if (!slot->row)
            continue;
        ++*n;
        first = first ? first : slot;
    }
    return first;
}

static status add_answer(report_work *w, size_t arm, size_t k, report_case *c, error *err)
{
    const struct arm_work *a = &w->arms[arm];
    uint64_t n = 0;
    const tally_slot *slot = first_slot(&a->tally, k, &n);
    if (!slot)
        return OK;
    report_answer *o = &c->answers[c->n_answers];
    signed char outcome = a->tally.outcome[k];
    *o = (report_answer){ .arm = arm, .repeats = n, .score = a->tally.score[k], .reason = "",
                          .outcome = outcome == TALLY_OPEN ? "open" : ledger_outcome_name((ledger_outcome)outcome),
                          .mean_logprob = slot->row->mean_logprob, .n_output = slot->row->n_output,
                          .total_us = slot->row->total_us, .finish = report_keep(w, slot->row->finish) };
    c->n_answers++;
    c->wrong |= outcome == LEDGER_WRONG;
    c->malformed |= outcome == LEDGER_MALFORMED;
    c->open |= outcome == TALLY_OPEN;
    status s = o->finish ? keep_answer(w, slot->row, &o->text, err) : report_no_memory(err);
    if (!s && slot->graded)
        s = keep_reason(w, slot, &w->t->cases[k], a->keys[k].grader, o, err);
    return s;
}

static bool sides_differ(const report_work *w, size_t k)
{
    const report_task *o = w->out;
    if (o->local < 0 || o->cloud < 0)
        return false;
    signed char a = w->arms[o->local].tally.outcome[k], b = w->arms[o->cloud].tally.outcome[k];
    return a != TALLY_OPEN && b != TALLY_OPEN && (a == LEDGER_PASS) != (b == LEDGER_PASS);
}

static const char *join_tags(report_work *w, const task_case *c)
{
    buf tags = BUF_INIT(1 << 16);
    for (size_t i = 0; i < c->n_tags; i++)
        buf_printf(&tags, "%s%s", i ? ", " : "", c->tags[i]);
    const char *kept = tags.failed ? NULL : report_keep(w, buf_text(&tags));
    buf_clear(&tags);
    return kept;
}

static status add_case(report_work *w, size_t k, report_case *o, error *err)
{
    const task_case *c = &w->t->cases[k];
    o->id = report_keep(w, c->id);
    o->cluster = report_keep(w, c->cluster);
    o->tags = join_tags(w, c);
    o->answers = report_rows(w, w->out->n_arms, sizeof *o->answers);
    if (!o->id || !o->cluster || !o->tags || !o->answers)
        return report_no_memory(err);
    status s = keep_js(w, c->input, &o->input, err);
    if (!s)
        s = keep_js(w, c->expected, &o->expected, err);
    for (size_t i = 0; !s && i < w->out->n_arms; i++)
        s = add_answer(w, i, k, o, err);
    o->differs = sides_differ(w, k);
    w->out->n_differ += o->differs;
    w->out->n_not_pass += o->wrong || o->malformed;
    return s;
}

status report_gather_cases(report_work *w, error *err)
{
    report_task *o = w->out;
    o->cases = report_rows(w, w->t->n_cases, sizeof *o->cases);
    status s = o->cases ? OK : report_no_memory(err);
    for (size_t k = 0; !s && k < w->t->n_cases; k++) {
        if (!task_is_measured(w->t, &w->t->cases[k]))
            continue;
        s = add_case(w, k, &o->cases[o->n_listed], err);
        o->n_listed += s == OK;
    }
    return s;
}
