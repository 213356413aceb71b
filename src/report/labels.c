/* labels.c: what people said of the arms' answers (people.h): how many they accept, whom they prefer, and how far the
 * graders, and a judge among them, say the same. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "report/people.h"
#include "report/report_int.h"
#include "stat/confusion.h"
#include "task/grade.h"

#define JUDGE "judge"

/* ---- what is kept of each grader ---- */

static status keep_part(report_work *w, const js *one, report_part *out, error *err)
{
    const char *name = js_text(js_get(one, "grader")), *outcome = js_text(js_get(one, "outcome"));
    double score = NAN;
    if (!js_double(js_get(one, "score"), &score))
        score = NAN;
    *out = (report_part){ .grader = report_keep(w, name ? name : js_text(js_get(one, "name"))), .score = score,
                          .outcome = report_keep(w, outcome),
                          .reason = report_keep(w, js_text(js_get(one, "reason"))) };
    return out->grader && out->outcome && out->reason ? OK : report_no_memory(err);
}

/* The detail is JSON of whoever wrote it (an imported ledger): anything else than a list of objects is nothing. */
status report_read_parts(report_work *w, const char *answer, const char *grader, report_part **out, size_t *n,
                         error *err)
{
    char *detail = NULL;
    js *v = NULL;
    error none;
    *out = NULL;
    *n = 0;
    status s = ledger_find_detail(w->l, answer, grader, &detail, &none);
    if (s == E_NOTFOUND)
        return OK;
    if (s)
        return fail(err, s, "%s", none.text);
    s = detail[0] ? js_parse(&v, detail, strlen(detail), "detail", 1, &none) : OK;
    s = s == E_NOMEM ? report_no_memory(err) : OK;
    size_t found = js_is(v, JS_ARRAY) ? js_len(v) : 0;
    if (!s && found && found <= TASK_GRADERS_MAX) {
        report_part *parts = report_rows(w, found, sizeof *parts);
        s = parts ? OK : report_no_memory(err);
        for (size_t i = 0; !s && i < found; i++)
            s = keep_part(w, js_at(v, i), &parts[i], err);
        if (!s) {
            *out = parts;
            *n = found;
        }
    }
    js_free(v);
    mem_free(detail);
    return s;
}

/* ---- the judge against people ---- */

typedef struct judging {
    report_work *w;
    people_table tables[REPORT_ARMS_MAX];
} judging;

static status add_judged(void *user, size_t side, const tally_slot *slot, const ledger_label *label, error *err)
{
    judging *x = user;
    const struct arm_work *a = &x->w->arms[side];
    size_t key = (size_t)(slot - a->tally.slots) / a->tally.repeats, n = 0;
    report_part *parts = NULL;
    if (!slot->graded)
        return OK;
    status s = report_read_parts(x->w, slot->row->id, a->keys[key].grader, &parts, &n, err);
    for (size_t i = 0; !s && i < n; i++)
        if (strcmp(parts[i].grader, JUDGE) == 0) {
            x->tables[side].counts[2 * (label->verdict != LABEL_ACCEPT) + (strcmp(parts[i].outcome, "pass") != 0)]++;
            break;
        }
    return s;
}

/* ---- figures ---- */

static void set_agreement(const people_table *t, double *share, double *low, double *high, double *kappa,
                          double *kappa_low, double *kappa_high)
{
    uint64_t n = people_table_n(t);
    stat_interval k, i = stat_agreement(t->counts, 2, 0.95);
    *kappa = people_kappa(t, &k);
    *kappa_low = k.low;
    *kappa_high = k.high;
    *share = n ? (double)people_table_same(t) / (double)n : NAN;
    *low = n ? i.low : NAN;
    *high = n ? i.high : NAN;
}

static void set_arm(const people_rate *r, const people_table *judge, report_arm *o)
{
    stat_interval i = stat_clopper_pearson(r->accepted, r->n, 0.95);
    o->n_labelled = r->n;
    o->n_accepted = r->accepted;
    o->accepted = r->n ? (double)r->accepted / (double)r->n : NAN;
    o->accepted_low = r->n ? i.low : NAN;
    o->accepted_high = r->n ? i.high : NAN;
    o->n_agreement = people_table_n(&r->graders);
    o->n_agree = people_table_same(&r->graders);
    set_agreement(&r->graders, &o->agreement, &o->agreement_low, &o->agreement_high, &o->kappa, &o->kappa_low,
                  &o->kappa_high);
    o->n_judged = people_table_n(judge);
    o->n_judge_agree = people_table_same(judge);
    set_agreement(judge, &o->judge_agreement, &o->judge_agreement_low, &o->judge_agreement_high, &o->judge_kappa,
                  &o->judge_kappa_low, &o->judge_kappa_high);
}

static status set_preferences(report_work *w, const people *p, error *err)
{
    report_task *o = w->out;
    size_t n = o->n_arms;
    o->preferences = report_rows(w, n * n, sizeof *o->preferences);
    if (!o->preferences)
        return report_no_memory(err);
    for (size_t a = 0; a < n; a++)
        for (size_t b = a + 1; b < n; b++) {
            stat_pairs x = people_pairs(p, a, b);
            uint64_t all = x.w + x.t + x.l;
            stat_interval i = stat_tango(x, 0.95);
            if (all)
                o->preferences[o->n_preferences++] =
                    (report_preference){ a, b, x.w, x.t, x.l, all, ((double)x.w - (double)x.l) / (double)all, i.low,
                                         i.high };
        }
    return OK;
}

static status sum_up(report_work *w, const people *p, error *err)
{
    report_task *o = w->out;
    judging *x = mem_zero(sizeof *x);
    if (!x)
        return report_no_memory(err);
    x->w = w;
    status s = o->judged ? people_each(p, add_judged, x, err) : OK;
    for (size_t i = 0; !s && i < o->n_arms; i++)
        set_arm(people_rate_of(p, i), &x->tables[i], &o->arms[i]);
    mem_free(x);
    o->n_people = people_count(p);
    o->n_labels_stale = people_stale(p);
    return s ? s : set_preferences(w, p, err);
}

status report_gather_labels(report_work *w, error *err)
{
    const tally *tallies[REPORT_ARMS_MAX];
    ledger_labels labels = { 0 };
    people *p = NULL;
    for (size_t i = 0; i < w->t->n_graders; i++)
        w->out->judged |= strcmp(grade_name(w->t, i), JUDGE) == 0;
    for (size_t i = 0; i < w->out->n_arms; i++)
        tallies[i] = &w->arms[i].tally;
    status s = w->l ? ledger_find_labels(w->l, w->t->id, &labels, err) : OK;
    w->out->n_labels = labels.n;
    if (!s)
        s = people_open(tallies, w->out->n_arms, &labels, &p, err);
    if (!s)
        s = sum_up(w, p, err);
    people_close(&p);
    ledger_labels_close(&labels);
    return s;
}
