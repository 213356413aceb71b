/* review_ask.c: one answer, or two, before a person: accept or fix, and blind pairs.
 *
 * The order of cases is random by the seed, those that nobody labelled first: so whoever stops early has labelled a
 * random sample. What the same person labelled is not shown again. Which of two answers stands first is random by the
 * seed too, and kept: a label's `answer` is the one that was shown as 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/review.h"
#include "task/evidence.h"

enum { FIX_BYTES_MAX = 1 << 20 };

/* ---- sides ---- */

status review_side_open(ledger *l, const task *t, const ledger_source *src, review_side *out, error *err)
{
    review_side s = { src->provider, src->evidence_id, { 0 }, { 0 } };
    task_case_key *by_task = NULL;
    tally_key *keys = mem_array(t->n_cases + 1, sizeof *keys);
    status st = keys ? task_keys_by_case(t, src->provider, &by_task, err)
                     : fail(err, E_NOMEM, "no memory for %zu cases", t->n_cases);
    for (size_t i = 0; !st && i < t->n_cases; i++)
        keys[i] = (tally_key){ by_task[i].c->id, by_task[i].prompt, by_task[i].grader };
    if (!st)
        st = ledger_find_answers(l, t->id, src->evidence_id, &s.rows, err);
    if (!st)
        st = tally_make(l, &s.rows, keys, t->n_cases, (uint32_t)t->sampling.repeats, &s.tally, err);
    mem_free(by_task);
    mem_free(keys);
    if (st)
        review_side_close(&s);
    else
        *out = s;
    return st;
}

void review_side_close(review_side *s)
{
    tally_clear(&s->tally);
    ledger_rows_close(&s->rows);
}

/* The newest source of a provider; NULL: the only provider there is. */
static status pick_source(const ledger_sources *src, const char *provider, const ledger_source **out, error *err)
{
    char names[512] = "";
    size_t at = 0, others = 0;
    const ledger_source *found = NULL;
    for (size_t i = 0; i < src->n; i++) {
        const ledger_source *s = &src->rows[i];
        bool again = false;
        for (size_t k = 0; k < i; k++)
            again = again || strcmp(src->rows[k].provider, s->provider) == 0;
        if (again)
            continue;
        if (at < sizeof names)
            at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", at ? ", " : "", s->provider);
        others += found != NULL;
        if (!provider ? !found : strcmp(s->provider, provider) == 0)
            found = s;
    }
    if (!src->n)
        return fail(err, E_NOTFOUND, "the task was not measured yet: hearth measure");
    if (!found)
        return fail(err, E_NOTFOUND, "%s: has no answers to this task; these have: %s", provider, names);
    if (!provider && others)
        return fail(err, E_NOTFOUND, "whose answers? --on PROVIDER, one of: %s", names);
    *out = found;
    return OK;
}

/* ---- what there is to do ---- */

typedef struct item {
    size_t k;                  /* the case */
    const ledger_row *a, *b;   /* b NULL: one answer */
    bool mine;                 /* this person labelled it already */
    unsigned others;           /* labels of others */
    char order[DIGEST_HEX];
} item;

typedef struct review {
    ledger *l;
    const task *t;
    const review_options *o;
    review_side sides[2];
    size_t n_sides;
    ledger_sources sources;
    ledger_labels labels;
    item *items;
    size_t n, n_textless, n_done; /* n_done: labelled by this person before */
    size_t n_labelled, n_skipped; /* now */
} review;

static void draw(const review *r, const char *what, const item *x, char out[DIGEST_HEX])
{
    char text[512];
    snprintf(text, sizeof text, "%s %lld %s %s", what, (long long)r->o->seed, x->a->id, x->b ? x->b->id : "");
    digest_of(text, strlen(text), out);
}

static bool is_of(const ledger_label *label, const item *x)
{
    if (!x->b)
        return !label->other[0] && strcmp(label->answer, x->a->id) == 0;
    return (strcmp(label->answer, x->a->id) == 0 && strcmp(label->other, x->b->id) == 0) ||
           (strcmp(label->answer, x->b->id) == 0 && strcmp(label->other, x->a->id) == 0);
}

static int by_answer(const void *a, const void *b)
{
    return strcmp(((const item *)a)->a->id, ((const item *)b)->a->id);
}

static item *find_item(const review *r, const char *answer)
{
    item want = { .a = &(ledger_row){ .id = answer } };
    return r->n ? bsearch(&want, r->items, r->n, sizeof want, by_answer) : NULL;
}

/* Whose labels each item has. A pair may have been shown the other way round. */
static void count_labels(review *r)
{
    qsort(r->items, r->n, sizeof *r->items, by_answer);
    for (size_t i = 0; i < r->labels.n; i++) {
        const ledger_label *label = &r->labels.rows[i];
        item *x = find_item(r, label->answer);
        if (!x && label->other[0])
            x = find_item(r, label->other);
        if (!x || !is_of(label, x))
            continue;
        bool mine = strcmp(label->who, r->o->who) == 0;
        r->n_done += mine && !x->mine;
        x->mine |= mine;
        x->others += !mine;
    }
}

static int by_turn(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->others != y->others)
        return x->others < y->others ? -1 : 1;
    return strcmp(x->order, y->order);
}

static bool has_text(ledger *l, const ledger_row *row)
{
    char *text = NULL;
    bool there = row->text[0] && ledger_find_text(l, row->text, &text, NULL) == OK;
    mem_free(text);
    return there;
}

/* An item for each case that has its answer (or both), with text: the first repeat stands for the others. */
static status gather(review *r, error *err)
{
    r->items = mem_array(r->t->n_cases + 1, sizeof *r->items);
    if (!r->items)
        return fail(err, E_NOMEM, "no memory for %zu cases", r->t->n_cases);
    for (size_t k = 0; k < r->t->n_cases; k++) {
        item x = { .k = k, .a = r->sides[0].tally.slots[k * r->sides[0].tally.repeats].row };
        if (r->n_sides == 2)
            x.b = r->sides[1].tally.slots[k * r->sides[1].tally.repeats].row;
        if (!x.a || (r->n_sides == 2 && !x.b))
            continue;
        if (!has_text(r->l, x.a) || (x.b && !has_text(r->l, x.b))) {
            r->n_textless++;
            continue;
        }
        draw(r, "order", &x, x.order);
        r->items[r->n++] = x;
    }
    count_labels(r);
    qsort(r->items, r->n, sizeof *r->items, by_turn);
    return OK;
}

static status open_review(review *r, error *err)
{
    const char *const names[2] = { r->o->a ? r->o->a : r->o->on, r->o->b };
    if (r->t->privacy == PRIVACY_SECRET)
        return fail(err, E_DENIED, "task %s is secret: no answer of it is stored, so there is nothing to look at",
                    r->t->id);
    status s = ledger_find_sources(r->l, r->t->id, &r->sources, err);
    for (size_t want = r->o->b ? 2 : 1; !s && r->n_sides < want;) {
        const ledger_source *src = NULL;
        s = pick_source(&r->sources, names[r->n_sides], &src, err);
        if (!s)
            s = review_side_open(r->l, r->t, src, &r->sides[r->n_sides], err);
        r->n_sides += !s;
    }
    if (!s && r->n_sides == 2 && strcmp(r->sides[0].evidence, r->sides[1].evidence) == 0)
        s = fail(err, E_RANGE, "%s and %s are one and the same", names[0], names[1]);
    if (!s)
        s = ledger_find_labels(r->l, r->t->id, &r->labels, err);
    return s ? s : gather(r, err);
}

static void close_review(review *r)
{
    for (size_t i = 0; i < r->n_sides; i++)
        review_side_close(&r->sides[i]);
    ledger_sources_close(&r->sources);
    ledger_labels_close(&r->labels);
    mem_free(r->items);
}

/* ---- showing and asking ---- */

static void title(const char *name)
{
    printf("%s%s%s\n", cli_style(1, "\033[1m"), name, cli_style(1, "\033[0m"));
}

static status show_text(review *r, const char *name, const ledger_row *row, error *err)
{
    char *text = NULL;
    status s = ledger_find_text(r->l, row->text, &text, err);
    if (s)
        return s;
    title(name);
    fputs("  ", stdout);
    cli_print_text(text, "  ");
    putchar('\n');
    mem_free(text);
    return OK;
}

static void show_case(const review *r, const item *x)
{
    const task_case *c = &r->t->cases[x->k];
    printf("\n[%zu of %zu] ", r->n_done + r->n_labelled + 1, r->n);
    cli_print_text(c->id, "");
    printf("\n");
    title("input");
    review_print(c->input);
    title("expected");
    review_print(c->expected);
}

static status append(review *r, const item *x, const ledger_row *first, const ledger_row *second, ledger_verdict v,
                     const char *fixed, error *err)
{
    ledger_label label = { .task = r->t->id, .case_id = r->t->cases[x->k].id, .answer = first->id,
                           .other = second ? second->id : NULL, .verdict = v, .fixed = fixed, .who = r->o->who };
    r->n_labelled++;
    return ledger_append_label(r->l, &label, r->t->privacy != PRIVACY_SECRET, err);
}

/* What a fix must be to be an answer at all; NULL: it is. */
static const char *unfit(const task *t, const buf *text)
{
    const char *s = buf_text(text);
    double number;
    js *v = NULL;
    if (text->failed || strlen(s) != text->len || !utf8_valid(s, text->len))
        return "that is no text (UTF-8, at most 1 MiB)";
    if (t->output == TASK_NUMBER && !str_f64(s, &number))
        return "that is no number";
    if (t->output == TASK_JSON && js_parse(&v, s, text->len, "", 1, NULL))
        return "that is not JSON";
    js_free(v);
    bool known = t->output != TASK_LABEL || t->n_labels == 0;
    for (size_t i = 0; i < t->n_labels; i++)
        known = known || strcmp(t->labels[i], s) == 0;
    return known ? NULL : "that is none of the task's labels";
}

/* *done: a label was appended. */
static status fix(review *r, const item *x, bool *done, bool *quit, error *err)
{
    buf text = BUF_INIT(FIX_BYTES_MAX);
    status s = OK;
    const char *wrong = NULL;
    *quit = !review_text(r->t->output == TASK_TEXT || r->t->output == TASK_JSON, &text);
    if (!*quit && (text.len || text.failed))
        wrong = unfit(r->t, &text);
    if (wrong)
        fprintf(stderr, "hearth task review: %s\n", wrong);
    *done = !*quit && !wrong && text.len > 0;
    if (*done)
        s = append(r, x, x->a, NULL, LABEL_REJECT, buf_text(&text), err);
    buf_clear(&text);
    return s;
}

static status ask_answer(review *r, const item *x, bool *quit, error *err)
{
    show_case(r, x);
    status s = show_text(r, "answer", x->a, err);
    for (bool done = false; !s && !done && !*quit;) {
        char key = review_key("a accept, r reject, f fix, s skip, q quit: ", "arfsq");
        done = true;
        if (key == 'q')
            *quit = true;
        else if (key == 's')
            r->n_skipped++;
        else if (key == 'f')
            s = fix(r, x, &done, quit, err);
        else
            s = append(r, x, x->a, NULL, key == 'a' ? LABEL_ACCEPT : LABEL_REJECT, NULL, err);
    }
    return s;
}

static status ask_pair(review *r, const item *x, bool *quit, error *err)
{
    char side[DIGEST_HEX];
    draw(r, "side", x, side);
    bool swap = strchr("89abcdef", side[0]) != NULL;
    const ledger_row *first = swap ? x->b : x->a, *second = swap ? x->a : x->b;
    show_case(r, x);
    status s = show_text(r, "answer 1", first, err);
    if (!s && strcmp(first->text, second->text) == 0) {
        printf("answer 2 is the same: a tie\n"); /* not asked, but counted: else the sample were not random any more */
        return append(r, x, first, second, LABEL_TIE, NULL, err);
    }
    if (!s)
        s = show_text(r, "answer 2", second, err);
    if (s)
        return s;
    char key = review_key("1 or 2 is better, t tie, s skip, q quit: ", "12tsq");
    if (key == 'q')
        *quit = true;
    else if (key == 's')
        r->n_skipped++;
    else
        s = append(r, x, first, second, key == '1' ? LABEL_FIRST : key == '2' ? LABEL_SECOND : LABEL_TIE, NULL, err);
    return s;
}

static status run(ledger *l, const task *t, const review_options *o,
                  status (*ask)(review *r, const item *x, bool *quit, error *err), error *err)
{
    review r = { .l = l, .t = t, .o = o };
    bool quit = false;
    status s = open_review(&r, err);
    if (!s && r.n == r.n_done)
        printf("%s\n", r.n ? "all of them are labelled" : "there are no answers to look at");
    for (size_t i = 0; !s && !quit && i < r.n; i++) {
        if (r.items[i].mine)
            continue;
        if (o->n && r.n_labelled + r.n_skipped >= (size_t)o->n)
            break;
        s = ask(&r, &r.items[i], &quit, err);
    }
    if (!s)
        printf("\n%zu labelled now, %zu skipped; %zu of %zu done by %s (seed %lld)\n", r.n_labelled, r.n_skipped,
               r.n_done + r.n_labelled, r.n, o->who[0] ? o->who : "nobody in particular", (long long)o->seed);
    if (!s && r.n_textless)
        printf("%zu more have no text: it was purged\n", r.n_textless);
    close_review(&r);
    return s;
}

status review_answers(ledger *l, const task *t, const review_options *o, error *err)
{
    return run(l, t, o, ask_answer, err);
}

status review_pairs(ledger *l, const task *t, const review_options *o, error *err)
{
    return run(l, t, o, ask_pair, err);
}
