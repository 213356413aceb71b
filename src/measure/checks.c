/* checks.c: what makes one doubt results before anything is concluded from them. A wrong grader, a wrong label or a
 * prompt that the reference cannot follow looks like a bad model: each is looked for, and named. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "measure/measure_int.h"
#include "stat/stat.h"
#include "task/lint.h"

enum { NAMED_CASES = 6 };

static measure_finding *new_finding(measure_outcome *o, const char *code, bool grave)
{
    static measure_finding spare;
    measure_finding *f = o->n_findings < MEASURE_FINDINGS_MAX ? &o->findings[o->n_findings++] : &spare;
    *f = (measure_finding){ .code = code, .grave = grave };
    return f;
}

static void find(measure_outcome *o, const char *code, bool grave, const char *format, ...)
{
    measure_finding *f = new_finding(o, code, grave);
    va_list args;
    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
}

/* "a, b, c and 4 more" of the ids that were found. */
typedef struct names {
    size_t n;
    char text[200];
} names;

static void name(names *x, const char *id)
{
    size_t at = strlen(x->text);
    if (x->n++ < NAMED_CASES)
        snprintf(x->text + at, sizeof x->text - at, "%s%.24s", at ? ", " : "", id);
}

/* ---- the graders ---- */

static status check_own_answers(const arm *s, measure_outcome *o, error *err)
{
    names bad = { 0 };
    status st = OK;
    for (size_t k = 0; !st && k < s->n_keys; k++) {
        const task_case *c = s->by_task[k].c;
        char *ideal = NULL;
        grade g;
        error none;
        st = grade_ideal(s->t, c, &ideal, err);
        if (!st && ideal && grade_answer(s->t, c, ideal, strlen(ideal), &g, &none) == OK && g.outcome != GRADE_PASS)
            name(&bad, c->id);
        mem_free(ideal);
    }
    if (!st && bad.n)
        find(o, "own-answers", true, "the graders reject the expected answer of %zu of %zu cases (%s): mend the "
             "graders or the cases first", bad.n, s->n_keys, bad.text);
    return st;
}

/* ---- the arms ---- */

static void check_arm(const arm *s, const measure_result *r, bool reference, measure_outcome *o)
{
    double chance = s->t->output == TASK_LABEL && s->t->n_labels ? 1.0 / (double)s->t->n_labels : NAN;
    double floor = fmax(isnan(chance) ? 0 : chance, isnan(r->majority) ? 0 : r->majority);
    if (r->n >= 20 && r->pass_upper < floor)
        find(o, "below-chance", reference, "%s is below what %s reaches (%.1f %% at most, against %.1f %%): %s",
             s->who->name, floor > chance ? "one constant answer" : "guessing", 100 * r->pass_upper, 100 * floor,
             reference ? "a prompt or grader that does not fit it is likelier than a model this bad"
                       : "it does not do the task");
    if (r->n && r->n_malformed > r->n / 5)
        find(o, "malformed", reference, "%s: %u of %u answers are malformed: it is measured on the form of its answers "
             "more than on their content; see what they look like", s->who->name, r->n_malformed, r->n);
    if (r->n_ungraded)
        find(o, "ungraded", true, "%s: %u answers could not be graded and are left out: %.160s", s->who->name,
             r->n_ungraded, s->ungraded_why);
    if (r->n_refused * 20 > r->n_asked)
        find(o, "refusals", false, "%s declined to answer %u of %u cases", s->who->name, r->n_refused, r->n_asked);
    uint32_t tried = r->n_asked + r->n_failed;
    if (r->n_failed && r->n_failed * 20 > tried)
        find(o, "failures", true, "%s gave no answer to %u of %u cases (%u of them in time): those left out may be the "
             "harder ones", s->who->name, r->n_failed, tried, r->n_timeout);
}

/* ---- the labels ---- */

/* Every arm gave the very same answer, and it counts as wrong: a hint at what is expected rather than at the models. */
static void check_agreement(const arm *arms, size_t n_arms, measure_outcome *o)
{
    names odd = { 0 };
    uint32_t n = 0;
    for (size_t k = 0; n_arms > 1 && k < arms[0].n_keys; k++) {
        bool same = true, counts = true;
        const char *text = NULL;
        for (size_t i = 0; counts && i < n_arms; i++) {
            const tally_slot *slot = &arms[i].tally.slots[k * arms[i].repeats];
            counts = slot->row && slot->graded && slot->row->text && slot->row->text[0];
            same = same && counts && slot->grade.outcome == LEDGER_WRONG && (!text || !strcmp(text, slot->row->text));
            text = counts ? slot->row->text : NULL;
        }
        n += counts;
        if (counts && same)
            name(&odd, arms[0].by_task[k].c->id);
    }
    if (odd.n)
        find(o, "label-noise", odd.n * 10 > n, "in %zu of %u cases all %zu providers gave the same answer, which "
             "counts as wrong (%s): check what these cases expect", odd.n, n, n_arms, odd.text);
}

static status check_inputs(const arm *s, measure_outcome *o, error *err)
{
    lint_report r = { 0 };
    size_t near = 0;
    status st = lint_inputs(s->t, &r, err);
    for (size_t i = 0; !st && i < r.n; i++)
        near += strcmp(r.findings[i].code, "near-duplicate") == 0;
    if (near)
        find(o, "duplicates", false, "%zu cases are nearly the same as another: not independent evidence", near);
    lint_report_clear(&r);
    return st;
}

static void check_resolution(const arm *s, const measure_outcome *w, measure_outcome *o)
{
    double psi = w->n_pairs >= 20 ? fmax(stat_discordance((stat_pairs){ w->win, w->tie, w->loss }), 1.0 / w->n_pairs)
                                  : 0.19;
    double can = stat_resolution(s->n_keys, psi, 0.05, 0.8), margin = task_margin(s->t);
    if (w->reference != SIZE_MAX && can > margin)
        find(o, "resolution", false, "%zu cases prove ±%.0f points, no less, and the margin is %.0f: a local model as "
             "good as the reference would more likely than not stay unproven; about %llu cases are needed", s->n_keys,
             100 * can, 100 * margin, (unsigned long long)stat_sample_size(margin, 0, psi, 0.05, 0.8));
}

status checks_run(const arm *arms, size_t n_arms, const measure_result *results, measure_outcome *o, error *err)
{
    o->n_findings = 0;
    status st = check_own_answers(&arms[0], o, err);
    if (!st)
        st = check_inputs(&arms[0], o, err);
    if (st)
        return st;
    for (size_t i = 0; i < n_arms; i++)
        check_arm(&arms[i], &results[i], i == o->reference || !arms[i].local, o);
    check_agreement(arms, n_arms, o);
    check_resolution(&arms[0], o, o);
    return OK;
}
