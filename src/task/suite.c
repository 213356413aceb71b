/* suite.c: the tables of suite.h. */
#include "task/suite.h"

#include <string.h>

#include "task/task_int.h"

enum { NAMES_BYTES_MAX = 1 << 20 };

typedef struct tally {
    suite_table table;
    suite_class *classes;
    size_t *confusion;
} tally;

struct suite {
    const task *t;
    arena names;
    size_t n;
    tally tallies[TASK_GRADERS_MAX];
    suite_table tables[TASK_GRADERS_MAX];
};

static status no_memory(error *err)
{
    return fail(err, E_NOMEM, "no memory for the figures of a suite");
}

/* ---- labels ---- */

static status open_labels(suite *s, tally *y, error *err)
{
    size_t n = s->t->n_labels;
    y->classes = mem_array(n, sizeof *y->classes);
    y->confusion = mem_array(n * (n + 1), sizeof *y->confusion);
    if (!y->classes || !y->confusion)
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        y->classes[i].name = s->t->labels[i];
    y->table.n_classes = n;
    y->table.labels = true;
    return OK;
}

static status add_label(suite *s, tally *y, const task_case *c, const char *answer, size_t n, error *err)
{
    const task_grader *g = &s->t->graders[y->table.grader];
    size_t want = 0, got = s->t->n_labels;
    status st = grade_expected_label(s->t, g, c, &want, err);
    if (!st && !grade_unusable(answer, n))
        st = grade_label(s->t, g, answer, n, &got, err);
    if (st)
        return st;
    y->table.answers++;
    y->confusion[want * (y->table.n_classes + 1) + got]++;
    if (got == want) {
        y->classes[want].tp++;
        return OK;
    }
    y->classes[want].fn++;
    if (got < s->t->n_labels)
        y->classes[got].fp++;
    else
        y->table.malformed++;
    return OK;
}

/* ---- fields ---- */

/* The place of a field; 0, SUITE_OTHER, when it is not known. */
static size_t field_at(const tally *y, const char *path)
{
    for (size_t i = 1; i < y->table.n_classes; i++)
        if (!strcmp(y->classes[i].name, path))
            return i;
    return 0;
}

typedef struct adding {
    suite *s;
    tally *y;
    error *err;
} adding;

static status know_field(void *at, const char *path, field_result result)
{
    adding *a = at;
    suite_table *table = &a->y->table;
    if (result == FIELD_EXTRA || table->n_classes == SUITE_FIELDS_MAX || field_at(a->y, path))
        return OK;
    char *name = arena_strndup(&a->s->names, path, strlen(path));
    if (!name)
        return no_memory(a->err);
    a->y->classes[table->n_classes++].name = name;
    return OK;
}

static status add_field(void *at, const char *path, field_result result)
{
    adding *a = at;
    status st = know_field(at, path, result);
    if (st)
        return st;
    suite_class *f = &a->y->classes[field_at(a->y, path)];
    f->tp += result == FIELD_RIGHT;
    f->fp += result == FIELD_WRONG || result == FIELD_EXTRA;
    f->fn += result == FIELD_WRONG || result == FIELD_MISSING;
    return OK;
}

/* All fields that the grader names or a case of the task expects are known from the beginning, so that the order of the
 * answers changes nothing. What is wrong with a case is said when an answer to it is added. */
static status open_fields(suite *s, tally *y, error *err)
{
    const task_grader *g = &s->t->graders[y->table.grader];
    y->classes = mem_array(SUITE_FIELDS_MAX, sizeof *y->classes);
    if (!y->classes)
        return no_memory(err);
    y->classes[0].name = SUITE_OTHER;
    y->table.n_classes = 1;
    adding a = { s, y, err };
    status st = OK;
    for (size_t i = 0; i < g->n_fields && !st; i++)
        st = know_field(&a, g->fields[i].name, FIELD_RIGHT);
    for (size_t i = 0; i < s->t->n_cases && !st; i++) {
        bool malformed = false;
        st = grade_fields(s->t, g, &s->t->cases[i], "", 0, know_field, &a, &malformed, err);
        st = st == E_FORMAT ? OK : st;
    }
    return st;
}

static status add_fields(suite *s, tally *y, const task_case *c, const char *answer, size_t n, error *err)
{
    adding a = { s, y, err };
    bool malformed = false;
    status st = grade_fields(s->t, &s->t->graders[y->table.grader], c, answer, n, add_field, &a, &malformed, err);
    if (st)
        return st;
    y->table.answers++;
    y->table.malformed += malformed;
    return OK;
}

/* ---- the suite ---- */

status suite_open(suite **out, const task *t, error *err)
{
    suite *s = mem_zero(sizeof *s);
    if (!s)
        return no_memory(err);
    s->t = t;
    s->names = (arena)ARENA_INIT(NAMES_BYTES_MAX);
    status st = OK;
    for (size_t i = 0; i < t->n_graders && !st; i++) {
        bool labels = t->graders[i].type->run == run_label, fields = t->graders[i].type->run == run_json_fields;
        if (!labels && !fields)
            continue;
        tally *y = &s->tallies[s->n++];
        y->table.grader = i;
        st = labels ? open_labels(s, y, err) : open_fields(s, y, err);
    }
    if (st)
        suite_close(&s);
    else
        *out = s;
    return st;
}

status suite_add(suite *s, const task_case *c, const char *answer, size_t n, error *err)
{
    status st = OK;
    for (size_t i = 0; i < s->n && !st; i++)
        st = s->tallies[i].table.labels ? add_label(s, &s->tallies[i], c, answer, n, err)
                                        : add_fields(s, &s->tallies[i], c, answer, n, err);
    return st;
}

void suite_close(suite **s)
{
    if (!*s)
        return;
    for (size_t i = 0; i < (*s)->n; i++) {
        mem_free((*s)->tallies[i].classes);
        mem_free((*s)->tallies[i].confusion);
    }
    arena_clear(&(*s)->names);
    mem_free(*s);
    *s = NULL;
}

/* ---- figures ---- */

static double ratio(size_t part, size_t whole)
{
    return whole ? (double)part / (double)whole : -1;
}

static void work_out(suite_class *k)
{
    k->precision = ratio(k->tp, k->tp + k->fp);
    k->recall = ratio(k->tp, k->tp + k->fn);
    k->f1 = ratio(2 * k->tp, 2 * k->tp + k->fp + k->fn);
}

/* The sums are over all classes, the mean over those with a name of their own. */
static void finish_table(tally *y, suite_table *out)
{
    suite_class sum = { 0 };
    double f1 = 0;
    size_t defined = 0;
    for (size_t i = 0; i < y->table.n_classes; i++) {
        suite_class *k = &y->classes[i];
        bool other = !y->table.labels && i == 0;
        work_out(k);
        sum.tp += k->tp;
        sum.fp += k->fp;
        sum.fn += k->fn;
        f1 += k->f1 >= 0 && !other ? k->f1 : 0;
        defined += k->f1 >= 0 && !other;
    }
    work_out(&sum);
    *out = y->table;
    out->classes = y->classes;
    out->confusion = y->confusion;
    out->macro_f1 = defined ? f1 / (double)defined : -1;
    out->micro_f1 = sum.f1;
    out->micro_precision = sum.precision;
    out->micro_recall = sum.recall;
}

size_t suite_tables(suite *s, const suite_table **out)
{
    for (size_t i = 0; i < s->n; i++)
        finish_table(&s->tallies[i], &s->tables[i]);
    *out = s->tables;
    return s->n;
}

/* ---- JSON ---- */

static js *figure(double v)
{
    return v < 0 ? js_null() : js_new_double(v);
}

static js *class_json(const suite_class *k, bool labels)
{
    js *o = js_object();
    js_set(o, labels ? "label" : "field", js_new_string(k->name));
    js_set(o, "tp", js_new_int((int64_t)k->tp));
    js_set(o, "fp", js_new_int((int64_t)k->fp));
    js_set(o, "fn", js_new_int((int64_t)k->fn));
    js_set(o, "precision", figure(k->precision));
    js_set(o, "recall", figure(k->recall));
    if (!js_set(o, "f1", figure(k->f1))) {
        js_free(o);
        return NULL;
    }
    return o;
}

static bool push_confusion(js *list, const suite_table *t, size_t want, size_t got)
{
    size_t n = t->confusion[want * (t->n_classes + 1) + got];
    if (n == 0)
        return true;
    js *o = js_object();
    js_set(o, "expected", js_new_string(t->classes[want].name));
    js_set(o, "answered", got < t->n_classes ? js_new_string(t->classes[got].name) : js_null());
    js_set(o, "answers", js_new_int((int64_t)n));
    return js_push(list, o);
}

static js *confusion_json(const suite_table *t)
{
    js *list = js_array();
    bool ok = list != NULL;
    for (size_t want = 0; want < t->n_classes; want++)
        for (size_t got = 0; got <= t->n_classes && ok; got++)
            ok = push_confusion(list, t, want, got);
    if (!ok)
        js_free(list);
    return ok ? list : NULL;
}

static js *table_json(const suite *s, const suite_table *t)
{
    js *o = js_object(), *classes = js_array();
    bool ok = true;
    for (size_t i = 0; i < t->n_classes && ok; i++) {
        const suite_class *k = &t->classes[i];
        bool silent = !t->labels && i == 0 && k->fp + k->fn == 0; /* nothing was invented */
        ok = silent || js_push(classes, class_json(k, t->labels));
    }
    js_set(o, "grader", js_new_int((int64_t)t->grader));
    js_set(o, "type", js_new_string(grade_name(s->t, t->grader)));
    js_set(o, "answers", js_new_int((int64_t)t->answers));
    js_set(o, "malformed", js_new_int((int64_t)t->malformed));
    js_set(o, "macro_f1", figure(t->macro_f1));
    js_set(o, "micro_f1", figure(t->micro_f1));
    js_set(o, "micro_precision", figure(t->micro_precision));
    js_set(o, "micro_recall", figure(t->micro_recall));
    ok = js_set(o, t->labels ? "labels" : "fields", classes) && ok;
    if (t->labels)
        ok = js_set(o, "confusion", confusion_json(t)) && ok;
    if (!ok)
        js_free(o);
    return ok ? o : NULL;
}

js *suite_json(suite *s)
{
    const suite_table *tables = NULL;
    size_t n = suite_tables(s, &tables);
    js_begin();
    js *list = js_array();
    for (size_t i = 0; i < n; i++)
        js_push(list, table_json(s, &tables[i]));
    if (!js_lost())
        return list;
    js_free(list);
    return NULL;
}
