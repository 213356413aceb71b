/* grade_json.c: JSON answers, field by field. F1 = 2 tp / (2 tp + fp + fn): a right field is a true positive, a wrong
 * one a false positive and a false negative, an invented one a false positive, a missing one a false negative.
 * Null, absent and the empty text are the same: nothing. */
#include <stdio.h>
#include <string.h>

#include "task/task_int.h"

enum { PATH_BYTES_MAX = 256 };

/* ---- reading ---- */

static const char *const types[] = { "any", "text", "number", "date", "bool", "set", "list" };

static status read_field(task_reader *r, const yaml *node, grade_field *f)
{
    static const char *const keys[] = { "type", "ignore_case", "ignore_space", "ignore_punctuation", "abs", "rel",
                                        "decimal", "units", "order" };
    static const char *const orders[] = { "dmy", "mdy" };
    size_t type = 0, order = 0;
    if (node->kind != YAML_MAP || !yaml_get(node, "type"))
        return yaml_error(r->f, node, r->err, "the field '%s' is a map with 'type'", node->key);
    status s = yaml_known_keys(r->f, node, keys, ARRAY_LEN(keys), r->err);
    if (!s)
        s = task_read_word(r, yaml_get(node, "type"), types, ARRAY_LEN(types), &type);
    if (!s && yaml_get(node, "order"))
        s = task_read_word(r, yaml_get(node, "order"), orders, ARRAY_LEN(orders), &order);
    *f = (grade_field){ .name = node->key, .type = (field_type)type, .month_first = order == 1 };
    if (!s)
        s = read_fold(r, node, &f->fold);
    return s ? s : read_number_rule(r, node, &f->number);
}

status read_fields(task_reader *r, const yaml *map, task_grader *g)
{
    static const char *const extras[] = { "wrong", "ignore" };
    const yaml *fields = yaml_get(map, "fields"), *extra = yaml_get(map, "extra");
    size_t word = 0;
    status s = extra ? task_read_word(r, extra, extras, ARRAY_LEN(extras), &word) : OK;
    g->ignore_extra = word == 1;
    if (s || !fields)
        return s;
    if (fields->kind != YAML_MAP || yaml_count(fields) > 256)
        return yaml_error(r->f, fields, r->err, "'fields' is a map of at most 256 fields");
    grade_field *list = arena_alloc(r->a, (yaml_count(fields) + 1) * sizeof *list);
    if (!list)
        return task_no_memory(r->err);
    for (const yaml *f = fields->child; f && !s; f = f->next)
        s = read_field(r, f, &list[g->n_fields++]);
    g->fields = list;
    return s;
}

/* ---- comparing ---- */

static bool nothing(const js *v)
{
    return js_typeof(v) == JS_NULL || (js_is(v, JS_STRING) && !span_trim((span){ js_text(v), js_len(v) }).n);
}

/* A text, or a number as it was written. */
static span text_of(const js *v)
{
    const char *p = js_text(v);
    return (span){ p, js_is(v, JS_STRING) ? js_len(v) : p ? strlen(p) : 0 };
}

static status same_texts(const grade_field *f, const js *want, const js *got, bool *out, error *err)
{
    span a = text_of(want), b = text_of(got);
    size_t na = 0, nb = 0;
    *out = false;
    if (!a.p || !b.p)
        return OK;
    char *fa = text_fold(a.p, a.n, f->fold, &na), *fb = text_fold(b.p, b.n, f->fold, &nb);
    if (fa && fb)
        *out = na == nb && !memcmp(fa, fb, na);
    status s = fa && fb ? OK : task_no_memory(err);
    mem_free(fa);
    mem_free(fb);
    return s;
}

/* A number, or a text with exactly one number in it. */
static bool number_of(const grade_field *f, const js *v, double *out)
{
    text_number n, more;
    size_t at = 0;
    double factor = 1;
    if (js_double(v, out))
        return true;
    span text = text_of(v);
    if (!js_is(v, JS_STRING) || !text_next_number(text, f->number.decimal, &at, &n) ||
        text_next_number(text, f->number.decimal, &at, &more) || !text_unit(text, &n, &f->number, &factor))
        return false;
    *out = n.value * factor;
    return true;
}

static bool same_numbers(const grade_field *f, const js *want, const js *got)
{
    double a = 0, b = 0;
    return number_of(f, want, &a) && number_of(f, got, &b) && text_near(&f->number, b, a);
}

static bool same_dates(const grade_field *f, const js *want, const js *got)
{
    text_day a, b;
    return js_is(want, JS_STRING) && js_is(got, JS_STRING) && text_date(text_of(want), f->month_first, &a) &&
           text_date(text_of(got), f->month_first, &b) && a.year == b.year && a.month == b.month && a.day == b.day;
}

/* List: item by item. Set: each wanted item takes the first item that equals it and is still free. */
static status same_items(const grade_field *f, const js *want, const js *got, bool *out, error *err)
{
    size_t n = js_len(want);
    grade_field item = *f;
    item.type = FIELD_ANY;
    *out = false;
    if (!js_is(want, JS_ARRAY) || !js_is(got, JS_ARRAY) || n != js_len(got) || n > 10000)
        return OK;
    bool *used = mem_array(n + 1, sizeof *used), all = true;
    status s = used ? OK : task_no_memory(err);
    for (size_t i = 0; i < n && !s && all; i++) {
        bool found = false;
        for (size_t k = f->type == FIELD_SET ? 0 : i; k < n && !s && !found; k++) {
            if (!used[k])
                s = grade_same_value(&item, js_at(want, i), js_at(got, k), &found, err);
            used[k] = used[k] || found;
            if (f->type != FIELD_SET)
                break;
        }
        all = found;
    }
    mem_free(used);
    *out = !s && all;
    return s;
}

status grade_same_value(const grade_field *f, const js *want, const js *got, bool *out, error *err)
{
    field_type type = f->type;
    if (type == FIELD_ANY)
        type = js_is(want, JS_STRING)   ? FIELD_TEXT
               : js_is(want, JS_NUMBER) ? FIELD_NUMBER
               : js_is(want, JS_ARRAY)  ? FIELD_LIST
                                        : FIELD_ANY;
    switch (type) {
    case FIELD_TEXT:
        return same_texts(f, want, got, out, err);
    case FIELD_NUMBER:
        *out = same_numbers(f, want, got);
        return OK;
    case FIELD_DATE:
        *out = same_dates(f, want, got);
        return OK;
    case FIELD_SET:
    case FIELD_LIST:
        return same_items(f, want, got, out, err);
    default:
        *out = js_equal(want, got);
        return OK;
    }
}

/* ---- walking ---- */

typedef struct walk {
    const task_grader *g;
    field_visit *visit;
    void *at;
    error *err;
} walk;

static const grade_field *field_named(const task_grader *g, const char *path)
{
    for (size_t i = 0; i < g->n_fields; i++)
        if (!strcmp(g->fields[i].name, path))
            return &g->fields[i];
    return NULL;
}

static status compare_objects(walk *w, const char *prefix, const js *want, const js *got);

static status compare_member(walk *w, const char *path, const js *want, const js *got)
{
    static const grade_field plain = { .type = FIELD_ANY };
    const grade_field *f = field_named(w->g, path);
    if (!f && js_is(want, JS_OBJECT) && (js_is(got, JS_OBJECT) || nothing(got)))
        return compare_objects(w, path, want, got);
    bool same = false;
    if (nothing(want) && nothing(got))
        return OK;
    if (nothing(got))
        return w->visit(w->at, path, FIELD_MISSING);
    if (nothing(want))
        return w->g->ignore_extra ? OK : w->visit(w->at, path, FIELD_EXTRA);
    status s = grade_same_value(f ? f : &plain, want, got, &same, w->err);
    return s ? s : w->visit(w->at, path, same ? FIELD_RIGHT : FIELD_WRONG);
}

static status compare_objects(walk *w, const char *prefix, const js *want, const js *got)
{
    char path[PATH_BYTES_MAX];
    js_member m = { 0 };
    status s = OK;
    while (!s && js_next(want, &m)) {
        snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", m.key);
        s = compare_member(w, path, m.value, js_get(got, m.key));
    }
    js_member extra = { 0 };
    while (!s && !w->g->ignore_extra && js_next(got, &extra)) {
        if (js_get(want, extra.key) || nothing(extra.value))
            continue;
        snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", extra.key);
        s = w->visit(w->at, path, FIELD_EXTRA);
    }
    return s;
}

/* The object's text: the whole answer, or what the first fenced block holds. */
span grade_json_text(span answer)
{
    span whole = span_trim(answer);
    const char *end = whole.p + whole.n, *fence = memmem(whole.p, whole.n, "```", 3);
    if ((whole.n && *whole.p == '{') || !fence)
        return whole;
    const char *line = memchr(fence, '\n', (size_t)(end - fence));
    const char *close = line ? memmem(line, (size_t)(end - line), "```", 3) : NULL;
    return close ? span_trim((span){ line, (size_t)(close - line) }) : whole;
}

/* The schema judges before any grader: what is not as it demands cannot be used. */
status grade_by_schema(const task *t, const char *answer, size_t n, grade *out, error *err)
{
    span text = grade_json_text((span){ answer, n });
    js *got = NULL;
    schema_problem p;
    status s = text.n > GRADE_JSON_BYTES_MAX ? E_FORMAT : js_parse(&got, text.p, text.n, "answer", 1, NULL);
    if (s == E_NOMEM)
        return task_no_memory(err);
    if (s)
        return grade_malformed(out, "no JSON");
    s = schema_check(t->memory->checked, got, &p, NULL);
    js_free(got);
    if (s == E_NOMEM)
        return task_no_memory(err);
    if (s == E_RANGE)
        return grade_malformed(out, "too large to be checked by the schema");
    if (s) {
        (void)grade_malformed(out, "");
        snprintf(out->reason, sizeof out->reason, "not as the schema demands: %.100s", p.schema);
    }
    return OK;
}

/* The object of an answer; NULL, with *why, for what is none. */
static status parse_object(const char *answer, size_t n, js **out, const char **why, error *err)
{
    span text = grade_json_text((span){ answer, n });
    js *got = NULL;
    status s = text.n > GRADE_JSON_BYTES_MAX ? E_FORMAT : js_parse(&got, text.p, text.n, "answer", 1, NULL);
    if (s == E_NOMEM)
        return task_no_memory(err);
    *why = s ? "no JSON" : js_is(got, JS_OBJECT) ? NULL : "JSON, but no object";
    if (*why) {
        js_free(got);
        got = NULL;
    }
    *out = got;
    return OK;
}

static status expected_object(const task *t, const task_grader *g, const task_case *c, const js **out, error *err)
{
    status s = grade_expected(t, g, c, out, err);
    return s || js_is(*out, JS_OBJECT) ? s : grade_bad_expected(t, g, c, "an object", err);
}

status grade_fields(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n,
                    field_visit *visit, void *at, bool *malformed, error *err)
{
    const js *expected = NULL;
    js *got = NULL;
    grade looked = { 0 };
    const char *why = grade_unusable(answer, n);
    status s = expected_object(t, g, c, &expected, err);
    if (!s && !why && t->schema)
        s = grade_by_schema(t, answer, n, &looked, err);
    if (!s && !why && looked.outcome != GRADE_MALFORMED)
        s = parse_object(answer, n, &got, &why, err);
    walk w = { g, visit, at, err };
    if (!s)
        s = compare_objects(&w, "", expected, got);
    if (!s)
        *malformed = !got;
    js_free(got);
    return s;
}

typedef struct tally {
    size_t n[FIELD_EXTRA + 1];
    char names[100]; /* of fields that are wrong or missing */
} tally;

static status count_field(void *at, const char *path, field_result result)
{
    tally *y = at;
    size_t n = strlen(y->names);
    y->n[result]++;
    if ((result == FIELD_WRONG || result == FIELD_MISSING) && n + strlen(path) + 3 < sizeof y->names)
        snprintf(y->names + n, sizeof y->names - n, "%s%s", n ? ", " : "", path);
    return OK;
}

status run_json_fields(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n,
                       grade *out, error *err)
{
    const js *expected = NULL;
    const char *why = NULL;
    js *got = NULL;
    status s = expected_object(t, g, c, &expected, err);
    if (!s)
        s = parse_object(answer, n, &got, &why, err);
    if (s || why)
        return s ? s : grade_malformed(out, why);
    tally y = { 0 };
    walk w = { g, count_field, &y, err };
    s = compare_objects(&w, "", expected, got);
    js_free(got);
    if (s)
        return s;
    size_t off = 2 * y.n[FIELD_WRONG] + y.n[FIELD_MISSING] + y.n[FIELD_EXTRA], right = y.n[FIELD_RIGHT];
    grade_score(g, off ? 2.0 * (double)right / (2.0 * (double)right + (double)off) : 1, out);
    if (off)
        snprintf(out->reason, sizeof out->reason, "%zu right, %zu wrong, %zu missing, %zu extra%s%s", right,
                 y.n[FIELD_WRONG], y.n[FIELD_MISSING], y.n[FIELD_EXTRA], y.names[0] ? ": " : "", y.names);
    return OK;
}

status ideal_json(const task *t, const task_grader *g, const task_case *c, buf *out, error *err)
{
    (void)t;
    (void)err;
    const js *v = g->key ? js_get(c->expected, g->key) : c->expected;
    if (js_is(v, JS_OBJECT))
        js_write(v, JS_COMPACT, out);
    return OK;
}
