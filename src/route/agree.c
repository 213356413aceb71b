#include "route/agree.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/tally.h"
#include "stat/stat.h"
#include "task/evidence.h"
#include "task/grade.h"
#include "task/task.h"

/* ---- one answer, with a value in place of `expected` ---- */

/* What is not about the answer is that live answers of this task cannot be judged. */
static status judge(const task *t, const js *input, const js *expected, const char *answer, grade *out, error *err)
{
    task_case c = { .id = "live", .input = input, .expected = expected };
    error why = { 0 };
    status s = grade_answer(t, &c, answer, strlen(answer), out, &why);
    if (s == E_NOMEM || s == OK)
        return s ? fail(err, s, "%s", why.text) : OK;
    return fail(err, E_UNSUPPORTED, "live answers of task %s cannot be compared: %s", t->id, why.text);
}

static js *trimmed(const char *text)
{
    size_t n = strlen(text);
    while (n && strchr(" \t\r\n", text[n - 1]))
        n--;
    size_t skip = strspn(text, " \t\r\n");
    return js_new_stringn(text + (skip < n ? skip : n), n - (skip < n ? skip : n));
}

/* The i-th thing that the cloud's answer could mean, in the form of the task's `expected`. NULL: none further. */
static js *meaning(const task *t, const char *answer, size_t i)
{
    js *parsed = NULL;
    if (t->output == TASK_LABEL)
        return i < t->n_labels ? js_new_string(t->labels[i]) : NULL;
    if (i == 0 && (t->output == TASK_JSON || t->output == TASK_NUMBER) &&
        js_parse(&parsed, answer, strlen(answer), "answer", 1, NULL) == OK)
        return parsed;
    if (i <= 1 && t->output == TASK_NUMBER) { /* the first number in a sentence */
        const char *at = strpbrk(answer, "0123456789");
        return at ? js_new_double(strtod(at > answer && at[-1] == '-' ? at - 1 : at, NULL)) : NULL;
    }
    return i == 0 && t->output != TASK_JSON ? trimmed(answer) : NULL;
}

/* What the cloud's answer means: that under which it passes itself. *out NULL: nothing: it is malformed. */
static status read_meaning(const task *t, const js *input, const char *answer, js **out, error *err)
{
    status s = OK;
    js *m;
    *out = NULL;
    for (size_t i = 0; !s && !*out && (m = meaning(t, answer, i)); i++) {
        grade g;
        s = judge(t, input, m, answer, &g, err);
        if (!s && g.outcome == GRADE_PASS)
            *out = m;
        else
            js_free(m);
    }
    return s;
}

status agree_compare(const struct task *t, bool graded, const js *input, const char *local, const char *cloud,
                     agree_result *out, error *err)
{
    grade here, there;
    js *means = NULL;
    *out = (agree_result){ .value = NAN };
    if (graded) {
        status s = judge(t, input, NULL, local, &here, err);
        if (!s)
            s = judge(t, input, NULL, cloud, &there, err);
        if (s)
            return s;
        out->local_malformed = here.outcome == GRADE_MALFORMED;
        out->value = (here.outcome == GRADE_PASS) - (there.outcome == GRADE_PASS);
        return OK;
    }
    status s = read_meaning(t, input, cloud, &means, err);
    if (!s && means)
        s = judge(t, input, means, local, &here, err);
    if (!s && means) {
        out->local_malformed = here.outcome == GRADE_MALFORMED;
        out->value = here.outcome == GRADE_PASS;
    }
    js_free(means);
    return s;
}

status agree_malformed(const struct task *t, const js *input, const char *answer, bool *out, error *err)
{
    grade g;
    error none = { 0 };
    status s = judge(t, input, NULL, answer, &g, &none); /* no `expected`: where graders need none */
    js *any = s ? meaning(t, "0", 0) : NULL;             /* which one does not matter for this */
    if (s && s != E_NOMEM && any)
        s = judge(t, input, any, answer, &g, &none);
    js_free(any);
    if (s)
        return fail(err, s, "%s", none.text);
    *out = g.outcome == GRADE_MALFORMED;
    return OK;
}

/* ---- the same on the suite ---- */

typedef struct side_answers {
    ledger_rows rows;
    task_case_key *by_task;
    tally_key *keys;
    tally t;
    size_t n;
} side_answers;

static void clear_answers(side_answers *a)
{
    tally_clear(&a->t);
    ledger_rows_close(&a->rows);
    mem_free(a->keys);
    mem_free(a->by_task);
}

static status find_answers(ledger *l, const task *t, const route_side *side, side_answers *a, error *err)
{
    status s = task_case_keys(t, side->provider, &a->by_task, &a->n, err);
    if (!s && !(a->keys = mem_array(a->n + 1, sizeof *a->keys)))
        s = fail(err, E_NOMEM, "no memory for the keys of %zu cases", a->n);
    for (size_t i = 0; !s && i < a->n; i++)
        a->keys[i] = (tally_key){ a->by_task[i].c->id, a->by_task[i].prompt, a->by_task[i].grader };
    if (!s)
        s = ledger_find_answers(l, t->id, side->evidence, &a->rows, err);
    return s ? s : tally_make(l, &a->rows, a->keys, a->n, (uint32_t)t->sampling.repeats, &a->t, err);
}

/* The text of a case's first answer; NULL: there is none, or it was purged. */
static status find_text(ledger *l, const side_answers *a, size_t k, char **out, error *err)
{
    const ledger_row *row = a->t.slots[k * a->t.repeats].row;
    error why = { 0 };
    *out = NULL;
    if (!row || !row->text[0])
        return OK;
    status s = ledger_find_text(l, row->text, out, &why);
    return s == OK || s == E_NOTFOUND ? OK : fail(err, s, "%s", why.text);
}

typedef struct pairs {
    char **local, **cloud; /* texts; NULL: not there */
    size_t n;
} pairs;

static void clear_pairs(pairs *p)
{
    for (size_t i = 0; p->local && p->cloud && i < p->n; i++) {
        mem_free(p->local[i]);
        mem_free(p->cloud[i]);
    }
    mem_free(p->local);
    mem_free(p->cloud);
}

static status read_pairs(ledger *l, const side_answers *here, const side_answers *there, pairs *p, error *err)
{
    p->n = here->n;
    p->local = mem_zero((p->n + 1) * sizeof *p->local);
    p->cloud = mem_zero((p->n + 1) * sizeof *p->cloud);
    status s = p->local && p->cloud ? OK : fail(err, E_NOMEM, "no memory for %zu answers", p->n);
    for (size_t k = 0; !s && k < p->n; k++) {
        s = find_text(l, here, k, &p->local[k], err);
        if (!s)
            s = find_text(l, there, k, &p->cloud[k], err);
    }
    return s;
}

/* Graders that need an expected value say so of some answer: a malformed one does not make them look for it. */
static status all_graded(const task *t, const side_answers *here, const pairs *p, bool *out, error *err)
{
    status s = OK;
    *out = true;
    for (size_t k = 0; !s && *out && k < p->n; k++) {
        grade g;
        error why = { 0 };
        if (!p->local[k])
            continue;
        s = judge(t, here->by_task[k].c->input, NULL, p->local[k], &g, &why);
        if (s == E_UNSUPPORTED) {
            *out = false;
            s = OK;
        } else if (s) {
            (void)fail(err, s, "%s", why.text);
        }
    }
    return s;
}

static status count_pairs(const task *t, const side_answers *here, const pairs *p, agree_base *out, error *err)
{
    uint32_t k_agree = 0;
    status s = all_graded(t, here, p, &out->graded, err);
    for (size_t k = 0; !s && k < p->n; k++) {
        agree_result r;
        if (!p->local[k] || !p->cloud[k])
            continue;
        s = agree_compare(t, out->graded, here->by_task[k].c->input, p->local[k], p->cloud[k], &r, err);
        if (s || isnan(r.value))
            continue;
        out->n++;
        k_agree += r.value > 0;
    }
    if (!s && out->n < AGREE_PAIRS_MIN)
        s = fail(err, E_UNSUPPORTED, "live answers of task %s are not compared yet: %u cases have answers of both"
                 " sides, %d are needed", t->id, out->n, AGREE_PAIRS_MIN);
    if (!s && !out->graded) {
        out->rate = (double)k_agree / out->n;
        out->low = stat_clopper_pearson(k_agree, out->n, 0.90).low;
    }
    return s;
}

status agree_measure(ledger *l, const struct task *t, const route_side *local, const route_side *cloud,
                     agree_base *out, error *err)
{
    side_answers here = { .n = 0 }, there = { .n = 0 };
    pairs p = { .n = 0 };
    agree_base base = { 0 };
    if (t->caller_prompt || t->tools)
        return fail(err, E_UNSUPPORTED, "live answers of task %s are not compared: %s", t->id,
                    t->tools ? "it has tools" : "its prompt is the caller's");
    status s = find_answers(l, t, local, &here, err);
    if (!s)
        s = find_answers(l, t, cloud, &there, err);
    if (!s)
        s = read_pairs(l, &here, &there, &p, err);
    if (!s)
        s = count_pairs(t, &here, &p, &base, err);
    clear_pairs(&p);
    clear_answers(&here);
    clear_answers(&there);
    if (!s)
        *out = base;
    return s;
}
