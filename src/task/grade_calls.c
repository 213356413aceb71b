/* grade_calls.c: tool calls against expected ones. An answer that calls is the text of a JSON list of {"name",
 * "arguments"} (measure/ask.c writes it); any other text is an answer without calls. Score: F1 over calls, each
 * expected one taken at most once; a call is right when its name and all its arguments are.
 *
 * With `alternatives` every argument's expected value is a list of which any will do, and "" in it means that the
 * argument may be absent; so it is inside objects too (the form of BFCL's possible answers). */
#include <stdio.h>
#include <string.h>

#include "task/task_int.h"

enum { CALLS_MAX = 64, PATH_BYTES_MAX = 512 };

typedef struct call_rules {
    bool order, alternatives;
    grade_field plain; /* of arguments that `fields` does not name */
} call_rules;

status read_calls(task_reader *r, const yaml *map, task_grader *g)
{
    call_rules *rules = arena_alloc(r->a, sizeof *rules);
    if (!rules)
        return task_no_memory(r->err);
    *rules = (call_rules){ .plain = { .type = FIELD_ANY } };
    g->own = rules;
    status s = task_read_bool(r, map, "order", &rules->order);
    if (!s)
        s = task_read_bool(r, map, "alternatives", &rules->alternatives);
    if (!s)
        s = read_fold(r, map, &rules->plain.fold);
    if (!s)
        s = read_number_rule(r, map, &rules->plain.number);
    return s ? s : read_fields(r, map, g);
}

/* ---- comparing ---- */

typedef struct comparing {
    const task *t;
    const task_grader *g;
    const task_case *c;
    const call_rules *rules;
    const char *tool;
    error *err;
} comparing;

/* By "tool.argument", else by "argument". */
static const grade_field *rule_of(const comparing *x, const char *path)
{
    char full[PATH_BYTES_MAX];
    const grade_field *found = &x->rules->plain;
    snprintf(full, sizeof full, "%s.%s", x->tool, path);
    for (size_t i = 0; i < x->g->n_fields; i++) {
        const char *name = x->g->fields[i].name;
        if (!strcmp(name, full))
            return &x->g->fields[i];
        if (!strcmp(name, path))
            found = &x->g->fields[i];
    }
    return found;
}

static status same_members(const comparing *x, const char *path, const js *want, const js *got, bool *out);

static status same_one(const comparing *x, const char *path, const js *want, const js *got, bool *out)
{
    const grade_field *rule = rule_of(x, path);
    *out = false;
    if (rule->type != FIELD_ANY)
        return grade_same_value(rule, want, got, out, x->err);
    if (js_typeof(want) != js_typeof(got)) /* "5" is not 5: a schema would tell them apart */
        return OK;
    if (js_is(want, JS_OBJECT))
        return same_members(x, path, want, got, out);
    if (!js_is(want, JS_ARRAY))
        return grade_same_value(rule, want, got, out, x->err);
    status s = OK;
    *out = js_len(want) == js_len(got);
    for (size_t i = 0; i < js_len(want) && *out && !s; i++)
        s = same_one(x, path, js_at(want, i), js_at(got, i), out);
    return s;
}

static bool is_empty_text(const js *v)
{
    return js_is(v, JS_STRING) && !js_len(v);
}

/* got NULL: absent. */
static status same_argument(const comparing *x, const char *path, const js *want, const js *got, bool *out)
{
    status s = OK;
    *out = false;
    if (!x->rules->alternatives) {
        *out = !got && js_typeof(want) == JS_NULL;
        return got ? same_one(x, path, want, got, out) : OK;
    }
    if (!js_is(want, JS_ARRAY) || !js_len(want))
        return grade_bad_expected(x->t, x->g, x->c, "lists of possible values (alternatives: true)", x->err);
    for (size_t i = 0; i < js_len(want) && !*out && !s; i++) {
        const js *one = js_at(want, i);
        if (!got)
            *out = is_empty_text(one) || js_typeof(one) == JS_NULL;
        else
            s = same_one(x, path, one, got, out);
    }
    return s;
}

/* A member that is null is not there. */
static const js *there(const js *object, const char *key)
{
    const js *v = js_get(object, key);
    return js_typeof(v) == JS_NULL ? NULL : v;
}

static status same_members(const comparing *x, const char *path, const js *want, const js *got, bool *out)
{
    char below[PATH_BYTES_MAX];
    js_member m = { 0 }, extra = { 0 };
    status s = OK;
    *out = true;
    while (!s && *out && js_next(want, &m)) {
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", m.key);
        s = same_argument(x, below, m.value, there(got, m.key), out);
    }
    while (!s && *out && !x->g->ignore_extra && js_next(got, &extra))
        *out = js_get(want, extra.key) || js_typeof(extra.value) == JS_NULL;
    return s;
}

static status same_call(comparing *x, const js *want, const js *got, bool *out)
{
    const js *name = js_get(want, "name"), *arguments = js_get(want, "arguments");
    *out = js_equal(name, js_get(got, "name"));
    x->tool = js_text(name);
    return *out ? same_members(x, "", arguments, js_get(got, "arguments"), out) : OK;
}

/* ---- counting ---- */

typedef struct pairs {
    size_t n_want, n_got;
    bool same[CALLS_MAX][CALLS_MAX]; /* want, got */
} pairs;

/* Kuhn's augmenting paths: greedy choice could take what another expected call needs. */
static bool find_partner(const pairs *p, size_t want, size_t *of_got, bool *seen)
{
    for (size_t k = 0; k < p->n_got; k++) {
        if (!p->same[want][k] || seen[k])
            continue;
        seen[k] = true;
        if (of_got[k] == SIZE_MAX || find_partner(p, of_got[k], of_got, seen)) {
            of_got[k] = want;
            return true;
        }
    }
    return false;
}

static size_t most_pairs(const pairs *p)
{
    size_t of_got[CALLS_MAX], n = 0;
    memset(of_got, 0xff, sizeof of_got);
    for (size_t i = 0; i < p->n_want; i++) {
        bool seen[CALLS_MAX] = { false };
        n += find_partner(p, i, of_got, seen);
    }
    return n;
}

/* The longest common subsequence. */
static size_t most_in_order(const pairs *p)
{
    size_t best[CALLS_MAX + 1] = { 0 };
    for (size_t i = 0; i < p->n_want; i++) {
        size_t before = 0; /* best[k] of the row above */
        for (size_t k = 0; k < p->n_got; k++) {
            size_t above = best[k + 1];
            best[k + 1] = p->same[i][k] ? before + 1 : above > best[k] ? above : best[k];
            before = above;
        }
    }
    return best[p->n_got];
}

/* ---- the row ---- */

static bool is_call(const js *v)
{
    const js *name = js_get(v, "name");
    return js_is(name, JS_STRING) && js_len(name) && strlen(js_text(name)) == js_len(name);
}

/* The expected calls, as a list; a single object stands for a list of one. */
static status expected_calls(const task *t, const task_grader *g, const task_case *c, const js **list, size_t *n,
                             error *err)
{
    status s = grade_expected(t, g, c, list, err);
    if (s)
        return s;
    bool one = js_is(*list, JS_OBJECT), good = one || js_is(*list, JS_ARRAY);
    *n = one ? 1 : js_len(*list);
    good = good && *n <= CALLS_MAX;
    for (size_t i = 0; good && i < *n; i++) {
        const js *v = one ? *list : js_at(*list, i);
        good = is_call(v) && js_is(js_get(v, "arguments"), JS_OBJECT) &&
               (!t->tools || tools_have(t, js_text(js_get(v, "name"))));
    }
    return good ? OK : grade_bad_expected(t, g, c, "a list of at most 64 {name, arguments} of the task's tools", err);
}

/* *out: the calls of an answer, NULL where it has none. */
static status answer_calls(span answer, js **out, error *err)
{
    span text = span_trim(answer);
    js *list = NULL;
    if (!text.n || *text.p != '[')
        return OK;
    status s = js_parse(&list, text.p, text.n, "answer", 1, NULL);
    if (s == E_NOMEM)
        return task_no_memory(err);
    bool calls = !s && js_len(list) > 0;
    for (size_t i = 0; calls && i < js_len(list); i++)
        calls = is_call(js_at(list, i));
    if (calls)
        *out = list;
    else
        js_free(list);
    return OK;
}

static const char *what_is_malformed(const task *t, const js *calls)
{
    if (js_len(calls) > CALLS_MAX)
        return "more than 64 calls";
    for (size_t i = 0; i < js_len(calls); i++) {
        const js *call = js_at(calls, i);
        if (t->tools && !tools_have(t, js_text(js_get(call, "name"))))
            return "a call of a tool that does not exist";
        if (!js_is(js_get(call, "arguments"), JS_OBJECT))
            return "a call whose arguments are no JSON object";
    }
    return NULL;
}

static status compare_calls(const task *t, const task_grader *g, const task_case *c, const js *want, pairs *p,
                            const js *got, error *err)
{
    comparing x = { .t = t, .g = g, .c = c, .rules = g->own, .err = err };
    status s = OK;
    for (size_t i = 0; i < p->n_want && !s; i++)
        for (size_t k = 0; k < p->n_got && !s; k++)
            s = same_call(&x, js_is(want, JS_OBJECT) ? want : js_at(want, i), js_at(got, k), &p->same[i][k]);
    return s;
}

status run_tool_call(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                     error *err)
{
    const js *want = NULL;
    js *got = NULL;
    pairs p = { 0 };
    const call_rules *rules = g->own;
    status s = expected_calls(t, g, c, &want, &p.n_want, err);
    if (!s)
        s = answer_calls((span){ answer, n }, &got, err);
    if (s)
        return s;
    const char *malformed = what_is_malformed(t, got);
    if (malformed) {
        js_free(got);
        return grade_malformed(out, malformed);
    }
    p.n_got = js_len(got);
    s = compare_calls(t, g, c, want, &p, got, err);
    js_free(got);
    if (s)
        return s;
    size_t right = rules->order ? most_in_order(&p) : most_pairs(&p), all = p.n_want + p.n_got;
    grade_score(g, all ? 2.0 * (double)right / (double)all : 1, out);
    if (2 * right != all && out->outcome != GRADE_PASS)
        snprintf(out->reason, sizeof out->reason, "%zu calls, %zu of the %zu expected ones", p.n_got, right, p.n_want);
    return OK;
}

/* ---- the ideal answer ---- */

static js *ideal_value(const js *want, bool alternatives);

static js *ideal_members(const js *want, bool alternatives)
{
    js *o = js_object();
    js_member m = { 0 };
    while (o && js_next(want, &m)) {
        const js *value = m.value;
        for (size_t i = 0; alternatives && js_is(m.value, JS_ARRAY) && i < js_len(m.value); i++) {
            value = js_at(m.value, i);
            if (!is_empty_text(value))
                break;
        }
        if (is_empty_text(value) && alternatives)
            continue;
        if (!js_set(o, m.key, ideal_value(value, alternatives))) {
            js_free(o);
            return NULL;
        }
    }
    return o;
}

static js *ideal_value(const js *want, bool alternatives)
{
    if (js_is(want, JS_OBJECT))
        return ideal_members(want, alternatives);
    if (!js_is(want, JS_ARRAY))
        return js_copy(want);
    js *list = js_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < js_len(want); i++)
        ok = js_push(list, ideal_value(js_at(want, i), alternatives));
    if (ok)
        return list;
    js_free(list);
    return NULL;
}

status ideal_calls(const task *t, const task_grader *g, const task_case *c, buf *out, error *err)
{
    const js *want = NULL;
    size_t n = 0;
    const call_rules *rules = g->own;
    if (expected_calls(t, g, c, &want, &n, NULL) != OK || !n)
        return OK;
    js *list = js_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        const js *one = js_is(want, JS_OBJECT) ? want : js_at(want, i);
        js *call = js_object();
        ok = js_set(call, "name", js_copy(js_get(one, "name"))) &&
             js_set(call, "arguments", ideal_members(js_get(one, "arguments"), rules->alternatives));
        ok = js_push(list, call) && ok;
    }
    if (ok)
        js_write(list, JS_COMPACT, out);
    js_free(list);
    return ok ? OK : task_no_memory(err);
}
