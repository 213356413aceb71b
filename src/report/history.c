/* history.c: how a task went over time. Runs are walked from the oldest on, each provider a series of its own:
 *
 *   first run, or another evidence, or most prompts differ   a new point, from nothing
 *   some cases are asked again, or hours have passed         a new point, which takes over what was not asked again
 *   otherwise (a run that was stopped, and taken up again)   the same point goes on
 *
 * Every point is judged by today's graders and expectations: by the grade in the ledger, else by grading the kept text
 * here. What can be judged neither way (a case that is gone, a text that was not kept) is counted as ungraded. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/report_int.h"
#include "task/grade.h"

enum { SERIES_MAX = 64, UNJUDGED = -1 };
static const int64_t apart_us = 6 * 3600 * 1000000LL; /* longer than anybody waits to take a run up again */

typedef struct entry {
    const ledger_row *row;
    signed char outcome; /* UNJUDGED or a ledger_outcome */
} entry;
typedef struct entries { /* sorted by case and repeat */
    entry *e;
    size_t n;
} entries;

typedef struct series {
    const char *provider, *evidence_id;
    const ledger_evidence *evidence;
    entries before, now; /* of the point before, of the point that is open */
    const char *what;    /* what differs in the evidence since the point before; "" */
    report_point *point; /* NULL: none yet */
} series;

typedef struct history {
    report_work *w;
    task_case_key *keys; /* today's, in the order of the cases */
    ledger_runs runs;
    ledger_rows *rows;   /* [source] */
    series series[SERIES_MAX];
    size_t n_series;
} history;

static int by_case(const void *a, const void *b)
{
    const ledger_row *x = ((const entry *)a)->row, *y = ((const entry *)b)->row;
    int order = strcmp(x->case_id, y->case_id);
    return order ? order : (x->repeat > y->repeat) - (x->repeat < y->repeat);
}

static const entry *find(const entries *in, const entry *e)
{
    return in->n ? bsearch(e, in->e, in->n, sizeof *in->e, by_case) : NULL;
}

/* ---- judging ---- */

static status judge_text(history *h, entry *e, const task_case *c, error *err)
{
    char *text = NULL;
    error none;
    grade g;
    if (!e->row->text[0] || ledger_find_text(h->w->l, e->row->text, &text, &none))
        return OK;
    status s = grade_answer(h->w->t, c, text, strlen(text), &g, err);
    mem_free(text);
    if (!s)
        e->outcome = (signed char)(g.outcome == GRADE_PASS        ? LEDGER_PASS
                                   : g.outcome == GRADE_MALFORMED ? LEDGER_MALFORMED
                                                                  : LEDGER_WRONG);
    return s;
}

static status judge(history *h, entry *e, error *err)
{
    const task_case *c = task_find_case(h->w->t, e->row->case_id);
    ledger_grade g;
    error none;
    e->outcome = UNJUDGED;
    if (!c || !task_is_measured(h->w->t, c))
        return OK;
    status s = ledger_find_grade(h->w->l, e->row->id, h->keys[c - h->w->t->cases].grader, &g, &none);
    if (s == E_NOTFOUND)
        return judge_text(h, e, c, err);
    if (s)
        return fail(err, s, "%s", none.text);
    e->outcome = (signed char)g.outcome;
    return OK;
}

/* ---- one point ---- */

/* Cases, as in a tally: right when more than half of its repeats are. */
static void count_cases(const entries *x, report_point *p)
{
    p->n = p->n_pass = p->n_wrong = p->n_malformed = p->n_ungraded = 0;
    for (size_t i = 0, end; i < x->n; i = end) {
        size_t count[3] = { 0 }, n = 0;
        for (end = i; end < x->n && strcmp(x->e[end].row->case_id, x->e[i].row->case_id) == 0; end++)
            if (x->e[end].outcome != UNJUDGED) {
                count[(int)x->e[end].outcome]++;
                n++;
            }
        p->n_ungraded += n == 0;
        p->n += n > 0;
        p->n_pass += n > 0 && 2 * count[LEDGER_PASS] > n;
        p->n_malformed += n > 0 && 2 * count[LEDGER_MALFORMED] > n;
    }
    p->n_wrong = p->n - p->n_pass - p->n_malformed;
    stat_interval i = stat_clopper_pearson(p->n_pass, p->n, 0.95);
    p->rate = p->n ? (double)p->n_pass / (double)p->n : NAN;
    p->rate_low = p->n ? i.low : NAN;
    p->rate_high = p->n ? i.high : NAN;
}

typedef struct difference {
    size_t common, prompts, new, gone;
} difference;

static difference compare(const history *h, const entries *old, const entries *new)
{
    difference d = { 0 };
    for (size_t i = 0; i < new->n; i++) {
        const entry *e = find(old, &new->e[i]);
        d.common += e != NULL;
        d.prompts += e && strcmp(e->row->prompt, new->e[i].row->prompt) != 0;
        d.new += !e && new->e[i].row->repeat == 0;
    }
    for (size_t i = 0; i < old->n; i++) /* what was only not asked is not gone */
        d.gone += old->e[i].row->repeat == 0 && !find(new, &old->e[i]) &&
                  !task_find_case(h->w->t, old->e[i].row->case_id);
    return d;
}

static void say(buf *out, const char *separator, const char *words)
{
    buf_printf(out, "%s%s", out->len ? separator : "", words);
}

static void say_count(buf *out, size_t n, const char *words)
{
    if (n)
        buf_printf(out, "%s%zu %s", out->len ? "; " : "", n, words);
}

static void say_changes(const history *h, const series *s, buf *changed, buf *marks)
{
    difference d = compare(h, &s->before, &s->now);
    bool prompt = d.common && d.prompts * 5 >= d.common;
    size_t inputs = prompt ? 0 : d.prompts;
    if (s->what[0]) {
        buf_printf(changed, "another %s", s->what);
        say(marks, ", ", s->what);
    }
    if (prompt) {
        say(changed, "; ", "another prompt");
        say(marks, ", ", "prompt");
    }
    say_count(changed, inputs, "inputs changed");
    say_count(changed, d.new, "cases are new");
    say_count(changed, d.gone, "cases are gone");
    if (inputs + d.new + d.gone)
        say(marks, ", ", "suite");
    if (!changed->len)
        buf_str(changed, "asked again, nothing changed");
}

/* Whether a point is of an arm's evidence and its answers are to today's prompts. */
static bool is_todays(const history *h, const series *s)
{
    report_work *w = h->w;
    for (size_t i = 0; i < w->out->n_arms; i++) {
        size_t match = 0;
        if (strcmp(w->out->arms[i].evidence, s->point->evidence) != 0 ||
            strcmp(w->out->arms[i].provider, s->provider) != 0)
            continue;
        for (size_t k = 0; k < s->now.n; k++) {
            const task_case *c = task_find_case(w->t, s->now.e[k].row->case_id);
            match += c && strcmp(w->arms[i].keys[c - w->t->cases].prompt, s->now.e[k].row->prompt) == 0;
        }
        return 2 * match > s->now.n;
    }
    return false;
}

/* Says what changed, now that the point has all its answers. */
static status close_point(history *h, series *s, error *err)
{
    report_point *p = s->point;
    buf changed = BUF_INIT(512), marks = BUF_INIT(128);
    if (!p)
        return OK;
    count_cases(&s->now, p);
    p->counts = is_todays(h, s);
    if (s->before.n)
        say_changes(h, s, &changed, &marks);
    p->changed = report_keep(h->w, buf_text(&changed));
    p->marks = report_keep(h->w, buf_text(&marks));
    bool ok = !changed.failed && !marks.failed && p->changed && p->marks;
    buf_clear(&changed);
    buf_clear(&marks);
    return ok ? OK : report_no_memory(err);
}

static report_point *new_point(history *h, const ledger_run_row *r)
{
    report_task *o = h->w->out;
    report_point *p = &o->points[o->n_points++];
    *p = (report_point){ .at_us = r->at_us, .provider = report_keep(h->w, r->provider),
                         .model = report_keep(h->w, r->model_name), .place = report_keep(h->w, r->place),
                         .evidence = report_keep(h->w, r->evidence_id), .run = report_keep(h->w, r->id),
                         .version = report_keep(h->w, r->version), .changed = "", .marks = "" };
    return p->provider && p->model && p->place && p->evidence && p->run && p->version ? p : NULL;
}

/* ---- one run ---- */

static series *find_series(history *h, const char *provider)
{
    for (size_t i = 0; i < h->n_series; i++)
        if (strcmp(h->series[i].provider, provider) == 0)
            return &h->series[i];
    if (h->n_series == SERIES_MAX)
        return NULL;
    h->series[h->n_series] = (series){ .provider = provider, .what = "" };
    return &h->series[h->n_series++];
}

/* The run's answers, judged. */
static status read_run(history *h, const ledger_run_row *r, entries *out, error *err)
{
    const ledger_rows *rows = NULL;
    for (size_t i = 0; !rows && i < h->w->sources.n; i++)
        if (strcmp(h->w->sources.rows[i].evidence_id, r->evidence_id) == 0)
            rows = &h->rows[i];
    out->n = 0;
    out->e = mem_array((size_t)r->n_answers + 1, sizeof *out->e);
    status s = out->e ? OK : report_no_memory(err);
    for (size_t i = 0; !s && rows && i < rows->n && out->n < r->n_answers; i++)
        if (strcmp(rows->rows[i].run, r->id) == 0) {
            entry *e = &out->e[out->n++];
            e->row = &rows->rows[i];
            s = judge(h, e, err);
        }
    qsort(out->e, out->n, sizeof *out->e, by_case);
    return s;
}

/* `old` with what `new` has of its own or in its place, as a new list. */
static status merge(const entries *old, const entries *new, entries *out, error *err)
{
    out->e = mem_array(old->n + new->n + 1, sizeof *out->e);
    out->n = 0;
    if (!out->e)
        return report_no_memory(err);
    for (size_t i = 0; i < old->n; i++)
        if (!find(new, &old->e[i]))
            out->e[out->n++] = old->e[i];
    if (new->n)
        memcpy(out->e + out->n, new->e, new->n * sizeof *new->e);
    out->n += new->n;
    qsort(out->e, out->n, sizeof *out->e, by_case);
    return OK;
}

static status begin_point(history *h, series *s, const ledger_run_row *r, bool from_nothing, error *err)
{
    static const entries none = { NULL, 0 };
    status st = close_point(h, s, err);
    mem_free(s->before.e);
    s->before = s->now;
    s->now = none;
    s->what = s->evidence ? report_what_differs(s->evidence, &r->evidence) : "";
    if (!st && !from_nothing)
        st = merge(&s->before, &none, &s->now, err);
    if (!st) {
        s->point = new_point(h, r);
        s->evidence = &r->evidence;
        s->evidence_id = r->evidence_id;
        if (!s->point)
            st = report_no_memory(err);
    }
    return st;
}

static status add_run(history *h, const ledger_run_row *r, error *err)
{
    series *s = find_series(h, r->provider);
    entries fresh, all;
    if (!s)
        return OK; /* more providers than anybody compares by eye */
    status st = read_run(h, r, &fresh, err);
    if (!st) {
        bool other = !s->point || strcmp(s->evidence_id, r->evidence_id) != 0;
        difference d = other ? (difference){ 0 } : compare(h, &s->now, &fresh);
        bool from_nothing = other || (d.prompts && d.prompts * 5 >= s->now.n);
        if (from_nothing || d.common || r->at_us - s->point->last_us > apart_us)
            st = begin_point(h, s, r, from_nothing, err);
    }
    if (!st)
        st = merge(&s->now, &fresh, &all, err);
    if (!st) {
        mem_free(s->now.e);
        s->now = all;
        s->point->last_us = r->last_us;
    }
    mem_free(fresh.e);
    return st;
}

/* ---- all runs ---- */

static status walk(history *h, error *err)
{
    report_work *w = h->w;
    status s = task_keys_by_case(w->t, NULL, &h->keys, err);
    h->rows = mem_array(w->sources.n + 1, sizeof *h->rows);
    if (!s && !h->rows)
        s = report_no_memory(err);
    for (size_t i = 0; !s && i < w->sources.n; i++)
        s = ledger_find_answers(w->l, w->t->id, w->sources.rows[i].evidence_id, &h->rows[i], err);
    for (size_t i = 0; !s && i < h->runs.n; i++)
        if (h->runs.rows[i].n_answers)
            s = add_run(h, &h->runs.rows[i], err);
    for (size_t i = 0; !s && i < h->n_series; i++)
        s = close_point(h, &h->series[i], err);
    return s;
}

static int by_time(const void *a, const void *b)
{
    const report_point *x = a, *y = b;
    return (x->at_us > y->at_us) - (x->at_us < y->at_us);
}

/* Of a provider's points only the newest that can count does: what it did not ask again it took over. */
static void keep_newest(report_task *o)
{
    for (size_t i = 0; i < o->n_points; i++)
        for (size_t k = i + 1; o->points[i].counts && k < o->n_points; k++)
            if (o->points[k].counts && strcmp(o->points[i].provider, o->points[k].provider) == 0)
                o->points[i].counts = false;
}

status report_gather_history(report_work *w, error *err)
{
    if (!w->l)
        return OK;
    history *h = mem_zero(sizeof *h);
    if (!h)
        return report_no_memory(err);
    h->w = w;
    status s = ledger_find_runs(w->l, w->t->id, &h->runs, err);
    if (!s) {
        w->out->points = report_rows(w, h->runs.n, sizeof *w->out->points);
        s = w->out->points ? walk(h, err) : report_no_memory(err);
    }
    if (!s)
        qsort(w->out->points, w->out->n_points, sizeof *w->out->points, by_time);
    keep_newest(w->out);
    for (size_t i = 0; i < h->n_series; i++) {
        mem_free(h->series[i].before.e);
        mem_free(h->series[i].now.e);
    }
    for (size_t i = 0; h->rows && i < w->sources.n; i++)
        ledger_rows_close(&h->rows[i]);
    mem_free(h->rows);
    ledger_runs_close(&h->runs);
    mem_free(h->keys);
    mem_free(h);
    return s;
}
