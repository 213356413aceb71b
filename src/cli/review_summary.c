/* review_summary.c: what the labels add up to, with the statistics of stat.h.
 *
 * The unit is the answer (or the pair of answers to one case); of several labels of one the newest counts, whoever gave
 * it. Labels of answers that do not count today (another prompt, an older evidence) are counted apart. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/review.h"
#include "stat/stat.h"

enum { SIDES_MAX = 16 };
static const double confidence = 0.95;

typedef struct place { /* where an answer stands */
    const char *id;
    size_t side, k;
    const tally_slot *slot;
    const ledger_label *label; /* the newest of it alone */
} place;

typedef struct pair_place {
    size_t k;
    const ledger_label *label;
    size_t first, second; /* sides of answer and other */
} pair_place;

typedef struct one_rate {
    uint64_t n, accepted, fixed;
    uint64_t yes_yes, yes_no, no_yes, no_no; /* graders, people */
} one_rate;

typedef struct summary {
    const task *t;
    ledger_sources sources;
    ledger_labels labels;
    review_side sides[SIDES_MAX];
    size_t n_sides;
    place *places;
    size_t n_places;
    pair_place *pairs;
    size_t n_pairs, n_stale, n_people;
    one_rate rates[SIDES_MAX];
} summary;

static int by_id(const void *a, const void *b)
{
    return strcmp(((const place *)a)->id, ((const place *)b)->id);
}

static place *find_place(summary *s, const char *id)
{
    place want = { .id = id };
    return s->n_places ? bsearch(&want, s->places, s->n_places, sizeof want, by_id) : NULL;
}

static status place_answers(summary *s, error *err)
{
    size_t room = 1;
    for (size_t i = 0; i < s->n_sides; i++)
        room += s->sides[i].tally.n_keys * s->sides[i].tally.repeats;
    s->places = mem_array(room, sizeof *s->places);
    s->pairs = mem_array(s->labels.n + 1, sizeof *s->pairs);
    if (!s->places || !s->pairs)
        return fail(err, E_NOMEM, "no memory for %zu answers", room);
    for (size_t i = 0; i < s->n_sides; i++) {
        const tally *t = &s->sides[i].tally;
        for (size_t k = 0; k < t->n_keys * t->repeats; k++)
            if (t->slots[k].row)
                s->places[s->n_places++] = (place){ t->slots[k].row->id, i, k / t->repeats, &t->slots[k], NULL };
    }
    qsort(s->places, s->n_places, sizeof *s->places, by_id);
    return OK;
}

static void put_pair(summary *s, const ledger_label *label, const place *a, const place *b)
{
    pair_place p = { a->k, label, a->side, b->side };
    for (size_t i = 0; i < s->n_pairs; i++) {
        pair_place *q = &s->pairs[i];
        bool same = (q->first == p.first && q->second == p.second) || (q->first == p.second && q->second == p.first);
        if (same && q->k == p.k) {
            *q = p; /* labels come oldest first */
            return;
        }
    }
    s->pairs[s->n_pairs++] = p;
}

static void place_labels(summary *s)
{
    for (size_t i = 0; i < s->labels.n; i++) {
        const ledger_label *label = &s->labels.rows[i];
        place *a = find_place(s, label->answer), *b = label->other[0] ? find_place(s, label->other) : NULL;
        bool known = false;
        for (size_t k = 0; k < i && !known; k++)
            known = strcmp(s->labels.rows[k].who, label->who) == 0;
        s->n_people += !known;
        if (!a || (label->other[0] && (!b || a->side == b->side || a->k != b->k)))
            s->n_stale++;
        else if (b)
            put_pair(s, label, a, b);
        else
            a->label = label;
    }
}

static void sum_rates(summary *s)
{
    for (size_t i = 0; i < s->n_places; i++) {
        const place *p = &s->places[i];
        one_rate *r = &s->rates[p->side];
        if (!p->label)
            continue;
        bool yes = p->label->verdict == LABEL_ACCEPT, graded = p->slot->graded;
        bool pass = graded && p->slot->grade.outcome == LEDGER_PASS;
        r->n++;
        r->accepted += yes;
        r->fixed += p->label->fixed[0] != 0;
        r->yes_yes += graded && pass && yes;
        r->yes_no += graded && pass && !yes;
        r->no_yes += graded && !pass && yes;
        r->no_no += graded && !pass && !yes;
    }
}

static stat_pairs sum_pairs(const summary *s, size_t a, size_t b)
{
    stat_pairs p = { 0, 0, 0 };
    for (size_t i = 0; i < s->n_pairs; i++) {
        const pair_place *q = &s->pairs[i];
        bool straight = q->first == a && q->second == b, crossed = q->first == b && q->second == a;
        if (!straight && !crossed)
            continue;
        p.t += q->label->verdict == LABEL_TIE;
        p.w += q->label->verdict == (straight ? LABEL_FIRST : LABEL_SECOND);
        p.l += q->label->verdict == (straight ? LABEL_SECOND : LABEL_FIRST);
    }
    return p;
}

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
    if (!st)
        st = place_answers(s, err);
    if (st)
        return st;
    place_labels(s);
    sum_rates(s);
    return OK;
}

static void clear(summary *s)
{
    for (size_t i = 0; i < s->n_sides; i++)
        review_side_close(&s->sides[i]);
    ledger_sources_close(&s->sources);
    ledger_labels_close(&s->labels);
    mem_free(s->places);
    mem_free(s->pairs);
}

/* Cohen 1960: (observed - expected) / (1 - expected), expected = sum over yes and no of the product of both shares.
 * NAN where it is not defined (both always said the same). */
static double kappa(const one_rate *r)
{
    double n = (double)(r->yes_yes + r->yes_no + r->no_yes + r->no_no);
    double graders = (double)(r->yes_yes + r->yes_no) / n, people = (double)(r->yes_yes + r->no_yes) / n;
    double observed = (double)(r->yes_yes + r->no_no) / n;
    double expected = graders * people + (1 - graders) * (1 - people);
    return n > 0 && expected < 1 ? (observed - expected) / (1 - expected) : NAN;
}

/* ---- as text, as JSON ---- */

static void print_rate(const summary *s, size_t i)
{
    const one_rate *r = &s->rates[i];
    uint64_t n = r->yes_yes + r->yes_no + r->no_yes + r->no_no, same = r->yes_yes + r->no_no;
    stat_interval v = stat_clopper_pearson(r->accepted, r->n, confidence);
    double k = kappa(r);
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
    printf("\n               pass but rejected %llu, not passed but accepted %llu\n", (unsigned long long)r->yes_no,
           (unsigned long long)r->no_yes);
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
    const one_rate *r = &s->rates[i];
    uint64_t n = r->yes_yes + r->yes_no + r->no_yes + r->no_no, same = r->yes_yes + r->no_no;
    stat_interval v = stat_clopper_pearson(r->accepted, r->n, confidence);
    stat_interval g = stat_clopper_pearson(same, n, confidence);
    js *o = js_object(), *graders = js_object();
    js_set(graders, "n", js_new_int((int64_t)n));
    js_set(graders, "agree", js_new_int((int64_t)same));
    js_set(graders, "agree_lower", js_new_double(g.low));
    js_set(graders, "agree_upper", js_new_double(g.high));
    js_set(graders, "kappa", js_new_double(kappa(r)));
    js_set(graders, "pass_rejected", js_new_int((int64_t)r->yes_no));
    js_set(graders, "not_passed_accepted", js_new_int((int64_t)r->no_yes));
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
        if (s->rates[i].n && answers)
            js_push(answers, rate_js(s, i));
        else if (s->rates[i].n)
            print_rate(s, i);
    for (size_t a = 0; a < s->n_sides; a++)
        for (size_t b = a + 1; b < s->n_sides; b++) {
            stat_pairs p = sum_pairs(s, a, b);
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
    js_set(doc, "people", js_new_int((int64_t)s->n_people));
    js_set(doc, "stale", js_new_int((int64_t)s->n_stale));
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
               s.n_people, s.n_people == 1 ? "person" : "people");
        tell(&s, NULL, NULL);
        if (s.n_stale)
            printf("  %zu label%s of answers that do not count today (another prompt, or an older evidence)\n",
                   s.n_stale, s.n_stale == 1 ? " is" : "s are");
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

/* A file of the user's is never written over. */
static status write_new(const char *path, const buf *text, error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? fail(err, E_EXISTS, "%s: is there already: nothing is overwritten", path)
                               : fail(err, E_IO, "%s: %s", path, strerror(errno));
    FILE *f = fdopen(fd, "w");
    bool ok = f && fwrite(buf_text(text), 1, text->len, f) == text->len;
    int why = errno;
    if (f ? fclose(f) != 0 : close(fd) != 0) {
        why = errno;
        ok = false;
    }
    if (!ok)
        unlink(path);
    return ok ? OK : fail(err, E_IO, "%s: %s", path, strerror(why));
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
        s = write_new(path, &out, err);
    if (!s)
        *n = written;
    buf_clear(&out);
    ledger_labels_close(&labels);
    return s;
}
