/* review_summary.c: what the labels add up to (report/people.h), with the statistics of stat.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/review.h"
#include "plat/file.h"
#include "report/people.h"
#include "stat/stat.h"

enum { SIDES_MAX = 16 };
static const double confidence = 0.95;

typedef struct summary {
    const task *t;
    ledger_sources sources;
    ledger_labels labels;
    review_side sides[SIDES_MAX];
    size_t n_sides;
    people *people;
} summary;

static status gather(ledger *l, const task *t, summary *s, error *err)
{
    s->t = t;
    status st = ledger_find_sources(l, t->id, &s->sources, err);
    if (!st)
        st = ledger_find_labels(l, t->id, &s->labels, err);
    for (size_t i = 0; !st && i < s->sources.n && s->n_sides < SIDES_MAX; i++) {
        st = review_side_open(l, t, &s->sources.rows[i], &s->sides[s->n_sides], err);
        s->n_sides += !st;
    }
    const tally *tallies[SIDES_MAX];
    for (size_t i = 0; i < s->n_sides; i++)
        tallies[i] = &s->sides[i].tally;
    return st ? st : people_open(tallies, s->n_sides, &s->labels, &s->people, err);
}

static void clear(summary *s)
{
    for (size_t i = 0; i < s->n_sides; i++)
        review_side_close(&s->sides[i]);
    ledger_sources_close(&s->sources);
    ledger_labels_close(&s->labels);
    people_close(&s->people);
}

/* ---- as text, as JSON ---- */

static void print_rate(const summary *s, size_t i)
{
    const people_rate *r = people_rate_of(s->people, i);
    uint64_t n = people_table_n(&r->graders), same = people_table_same(&r->graders);
    stat_interval v = stat_clopper_pearson(r->accepted, r->n, confidence);
    double k = people_kappa(&r->graders, NULL);
    printf("  ");
    cli_print_text(s->sides[i].provider, "");
    printf(" (evidence %.12s)\n    accepted   %llu of %llu: %.1f %%, 95 %% interval %.1f to %.1f %%; %llu put right\n",
           s->sides[i].evidence, (unsigned long long)r->accepted, (unsigned long long)r->n,
           100 * (double)r->accepted / (double)r->n, 100 * v.low, 100 * v.high, (unsigned long long)r->fixed);
    if (!n)
        return;
    v = stat_clopper_pearson(same, n, confidence);
    printf("    graders    agree with people on %llu of %llu: %.1f %%, 95 %% interval %.1f to %.1f %%",
           (unsigned long long)same, (unsigned long long)n, 100 * (double)same / (double)n, 100 * v.low, 100 * v.high);
    if (!isnan(k))
        printf("; kappa %.2f", k);
    printf("\n               pass but rejected %llu, not passed but accepted %llu\n",
           (unsigned long long)r->graders.counts[2], (unsigned long long)r->graders.counts[1]);
}

static void print_pair(const summary *s, size_t a, size_t b, stat_pairs p)
{
    double n = (double)(p.w + p.t + p.l);
    stat_interval v = stat_tango(p, confidence);
    printf("  ");
    cli_print_text(s->sides[a].provider, "");
    printf(" against ");
    cli_print_text(s->sides[b].provider, "");
    printf("\n    better %llu, equal %llu, worse %llu of %.0f: difference %+.1f points, 95 %% interval %+.1f to %+.1f;"
           " McNemar p = %.3f\n", (unsigned long long)p.w, (unsigned long long)p.t, (unsigned long long)p.l, n,
           100 * ((double)p.w - (double)p.l) / n, 100 * v.low, 100 * v.high, stat_mcnemar(p));
}

static js *rate_js(const summary *s, size_t i)
{
    const people_rate *r = people_rate_of(s->people, i);
    uint64_t n = people_table_n(&r->graders), same = people_table_same(&r->graders);
    stat_interval v = stat_clopper_pearson(r->accepted, r->n, confidence);
    stat_interval g = stat_clopper_pearson(same, n, confidence);
    js *o = js_object(), *graders = js_object();
    js_set(graders, "n", js_new_int((int64_t)n));
    js_set(graders, "agree", js_new_int((int64_t)same));
    js_set(graders, "agree_lower", js_new_double(g.low));
    js_set(graders, "agree_upper", js_new_double(g.high));
    js_set(graders, "kappa", js_new_double(people_kappa(&r->graders, NULL)));
    js_set(graders, "pass_rejected", js_new_int((int64_t)r->graders.counts[2]));
    js_set(graders, "not_passed_accepted", js_new_int((int64_t)r->graders.counts[1]));
    js_set(o, "provider", js_new_string(s->sides[i].provider));
    js_set(o, "evidence", js_new_string(s->sides[i].evidence));
    js_set(o, "n", js_new_int((int64_t)r->n));
    js_set(o, "accepted", js_new_int((int64_t)r->accepted));
    js_set(o, "accepted_lower", js_new_double(v.low));
    js_set(o, "accepted_upper", js_new_double(v.high));
    js_set(o, "fixed", js_new_int((int64_t)r->fixed));
    js_set(o, "graders", graders);
    return o;
}

static js *pair_js(const summary *s, size_t a, size_t b, stat_pairs p)
{
    stat_interval v = stat_tango(p, confidence);
    js *o = js_object();
    js_set(o, "a", js_new_string(s->sides[a].provider));
    js_set(o, "b", js_new_string(s->sides[b].provider));
    js_set(o, "a_evidence", js_new_string(s->sides[a].evidence));
    js_set(o, "b_evidence", js_new_string(s->sides[b].evidence));
    js_set(o, "win", js_new_int((int64_t)p.w));
    js_set(o, "tie", js_new_int((int64_t)p.t));
    js_set(o, "loss", js_new_int((int64_t)p.l));
    js_set(o, "difference", js_new_double(((double)p.w - (double)p.l) / (double)(p.w + p.t + p.l)));
    js_set(o, "difference_lower", js_new_double(v.low));
    js_set(o, "difference_upper", js_new_double(v.high));
    js_set(o, "mcnemar_p", js_new_double(stat_mcnemar(p)));
    return o;
}

static void tell(const summary *s, js *answers, js *pairs)
{
    for (size_t i = 0; i < s->n_sides; i++)
        if (people_rate_of(s->people, i)->n && answers)
            js_push(answers, rate_js(s, i));
        else if (people_rate_of(s->people, i)->n)
            print_rate(s, i);
    for (size_t a = 0; a < s->n_sides; a++)
        for (size_t b = a + 1; b < s->n_sides; b++) {
            stat_pairs p = people_pairs(s->people, a, b);
            if (p.w + p.t + p.l && pairs)
                js_push(pairs, pair_js(s, a, b, p));
            else if (p.w + p.t + p.l)
                print_pair(s, a, b, p);
        }
}

static status tell_json(const summary *s, error *err)
{
    js *doc = js_object(), *answers = js_array(), *pairs = js_array();
    buf text = BUF_INIT(16 << 20);
    tell(s, answers, pairs);
    js_set(doc, "task", js_new_string(s->t->id));
    js_set(doc, "labels", js_new_int((int64_t)s->labels.n));
    js_set(doc, "people", js_new_int((int64_t)people_count(s->people)));
    js_set(doc, "stale", js_new_int((int64_t)people_stale(s->people)));
    js_set(doc, "answers", answers);
    js_set(doc, "pairs", pairs);
    js_write(doc, JS_PRETTY, &text);
    status st = doc ? buf_ok(&text, "the summary", err) : fail(err, E_NOMEM, "no memory for the summary");
    if (!st)
        puts(buf_text(&text));
    buf_clear(&text);
    js_free(doc);
    return st;
}

status review_summary(ledger *l, const task *t, bool json, error *err)
{
    summary s = { 0 };
    status st = gather(l, t, &s, err);
    if (!st && json)
        st = tell_json(&s, err);
    else if (!st) {
        printf("%s%s%s: %zu labels by %zu %s\n", cli_style(1, "\033[1m"), t->id, cli_style(1, "\033[0m"), s.labels.n,
               people_count(s.people), people_count(s.people) == 1 ? "person" : "people");
        tell(&s, NULL, NULL);
        size_t stale = people_stale(s.people);
        if (stale)
            printf("  %zu label%s of answers that do not count today (another prompt, or an older evidence)\n", stale,
                   stale == 1 ? " is" : "s are");
    }
    clear(&s);
    return st;
}

/* ---- what was put right ---- */

/* Fixed texts as what a case expects: a JSON task's as JSON, a number as one; where the case expects an object (facts,
 * say), the text becomes its `reference`. */
static js *expected_of(const task *t, const task_case *c, const char *text)
{
    js *v = NULL;
    if (t->output == TASK_JSON)
        return js_parse(&v, text, strlen(text), c->id, 1, NULL) == OK ? v : NULL;
    if (t->output == TASK_NUMBER && (v = js_new_number(text)))
        return v;
    if (t->output != TASK_TEXT || !js_is(c->expected, JS_OBJECT))
        return js_new_string(text);
    v = js_copy(c->expected);
    js_set(v, "reference", js_new_string(text));
    return v;
}

static bool write_case(const task *t, const task_case *c, const char *text, buf *out)
{
    js *o = js_object(), *expected = expected_of(t, c, text), *tags = js_array();
    bool ok = o && expected && tags && js_set(o, "id", js_new_string(c->id)) && js_set(o, "input", js_copy(c->input));
    for (size_t i = 0; ok && i < c->n_tags; i++)
        ok = js_push(tags, js_new_string(c->tags[i]));
    if (ok)
        ok = js_set(o, "expected", js_copy(expected));
    if (ok && c->cluster)
        ok = js_set(o, "cluster", js_new_string(c->cluster));
    if (ok && c->n_tags)
        ok = js_set(o, "tags", js_copy(tags));
    if (ok)
        js_write(o, JS_COMPACT, out);
    buf_str(out, ok ? "\n" : "");
    js_free(o);
    js_free(expected);
    js_free(tags);
    return ok;
}

/* Of one case the newest word counts: a fix, unless the same answer was accepted since. */
static const ledger_label *newest_fix(const ledger_labels *labels, const char *case_id)
{
    const ledger_label *fix = NULL;
    for (size_t i = 0; i < labels->n; i++) {
        const ledger_label *x = &labels->rows[i];
        if (x->other[0] || strcmp(x->case_id, case_id) != 0)
            continue;
        if (x->fixed[0])
            fix = x;
        else if (fix && strcmp(fix->answer, x->answer) == 0 && x->verdict == LABEL_ACCEPT)
            fix = NULL;
    }
    return fix;
}

status review_export_fixed(ledger *l, const task *t, const char *path, size_t *n, error *err)
{
    ledger_labels labels = { 0 };
    buf out = BUF_INIT(TASK_CASES_BYTES_MAX);
    size_t written = 0;
    status s = ledger_find_labels(l, t->id, &labels, err);
    for (size_t k = 0; !s && k < t->n_cases; k++) {
        const ledger_label *fix = newest_fix(&labels, t->cases[k].id);
        char *text = NULL;
        error none = { 0 };
        if (!fix)
            continue;
        s = ledger_find_text(l, fix->fixed, &text, &none);
        if (s == E_NOTFOUND) /* purged */
            s = OK;
        else if (s)
            s = fail(err, s, "%s", none.text);
        else if (write_case(t, &t->cases[k], text, &out))
            written++;
        else
            s = fail(err, E_FORMAT, "case %s: what it was put right to does not suit the task's output any more",
                     t->cases[k].id);
        mem_free(text);
    }
    if (!s)
        s = buf_ok(&out, path, err);
    if (!s)
        s = file_create(path, 0600, buf_text(&out), out.len, err);
    if (!s)
        *n = written;
    buf_clear(&out);
    ledger_labels_close(&labels);
    return s;
}
