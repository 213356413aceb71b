/* import_assert.c: promptfoo's assertions to graders. A new row in the table maps one more type.
 *
 * A task has one list of graders, promptfoo a list of assertions for every test. So what a test compares with goes into
 * the case's `expected`: a member for each grader, named after it; the value itself with one grader. */
#include <stdio.h>
#include <string.h>

#include "task/import_int.h"

typedef enum pf_value {
    PF_TEXT,    /* a text; an object for `equals` */
    PF_LIST,    /* a list, or a text with commas */
    PF_PATTERN, /* a regular expression */
    PF_PREFIX,  /* what the answer begins with, as a pattern */
    PF_JSON,    /* nothing, or a schema */
    PF_WORDS,   /* a count, or {min, max} */
} pf_value;

static const struct pf_row {
    const char *theirs, *ours;
    pf_value value;
    bool exact_case;
} rows[] = {
    { "equals", "exact", PF_TEXT, false },
    { "contains", "contains", PF_TEXT, true },
    { "icontains", "contains", PF_TEXT, false },
    { "contains-all", "contains-all", PF_LIST, true },
    { "icontains-all", "contains-all", PF_LIST, false },
    { "contains-any", "contains-any", PF_LIST, true },
    { "icontains-any", "contains-any", PF_LIST, false },
    { "not-contains", "not-contains", PF_LIST, true },
    { "not-icontains", "not-contains", PF_LIST, false },
    { "not-contains-any", "not-contains", PF_LIST, true },
    { "not-icontains-any", "not-contains", PF_LIST, false },
    { "regex", "regex", PF_PATTERN, false },
    { "starts-with", "regex", PF_PREFIX, false },
    { "is-json", NULL, PF_JSON, false },
    { "word-count", NULL, PF_WORDS, false },
};

/* One grader of a test and what it compares with (NULL: nothing). */
typedef struct mapped {
    js *grader, *value; /* owned */
} mapped;

typedef struct mapping {
    importer *im;
    const js *vars;
    int line;
    size_t n;
    mapped items[TASK_GRADERS_MAX];
    js *schema; /* owned; an empty object: any JSON */
} mapping;

static void mapping_clear(mapping *m)
{
    for (size_t i = 0; i < m->n; i++) {
        js_free(m->items[i].grader);
        js_free(m->items[i].value);
    }
    js_free(m->schema);
}

/* Takes value. */
static status add(mapping *m, const char *type, js *value, bool exact_case, const js *weight)
{
    js *g = js_object();
    double w = 0;
    if (m->n == TASK_GRADERS_MAX) {
        js_free(g);
        js_free(value);
        return import_note(m->im, m->line, 0, "more than %d assertions", TASK_GRADERS_MAX);
    }
    bool ok = g && js_set(g, "type", js_new_string(type));
    if (ok && exact_case)
        ok = js_set(g, "ignore_case", js_new_bool(false));
    if (ok && js_double(weight, &w) && w >= 0 && w <= 1e6 && w != 1)
        ok = js_set(g, "weight", js_copy(weight));
    m->items[m->n++] = (mapped){ g, value };
    return ok ? OK : import_no_memory(m->im);
}

/* A value as text with the test's variables filled in. *out NULL with OK: a problem. */
static status text_of(mapping *m, const js *v, js **out)
{
    *out = NULL;
    if (!js_is(v, JS_STRING) && !js_is(v, JS_NUMBER) && !js_is(v, JS_BOOL))
        return import_note(m->im, m->line, 0, "an assertion's value must be a text");
    const char *text = js_is(v, JS_BOOL) ? js_bool(v, false) ? "true" : "false" : js_text(v);
    buf b = BUF_INIT(TASK_LINE_BYTES_MAX);
    error why;
    status s = OK;
    if (str_starts(text, "file://"))
        s = import_note(m->im, m->line, 0, "an assertion's value is in another file (%.80s)", text);
    else if (strstr(text, "{{") && (prompt_check(text, &why) || prompt_fill(&b, text, m->vars, NULL, NULL, &why)))
        s = import_note(m->im, m->line, 0, "an assertion's value: %s", why.text);
    else if (!(*out = strstr(text, "{{") ? js_new_stringn(buf_text(&b), b.len) : js_new_string(text)))
        s = import_no_memory(m->im);
    buf_clear(&b);
    return s;
}

/* A list of texts, from a list or from a text with commas. */
static status list_of(mapping *m, const js *v, js **out)
{
    js *list = js_array(), *whole = NULL;
    bool ok = list != NULL;
    status s = OK;
    for (size_t i = 0; ok && !s && js_is(v, JS_ARRAY) && i < js_len(v); i++) {
        js *one = NULL;
        s = text_of(m, js_at(v, i), &one);
        ok = s || !one || js_push(list, one);
    }
    if (ok && !s && !js_is(v, JS_ARRAY))
        s = text_of(m, v, &whole);
    for (const char *p = whole ? js_text(whole) : NULL; ok && p;) {
        size_t n = strcspn(p, ",");
        span one = span_trim((span){ p, n });
        ok = !one.n || js_push(list, js_new_stringn(one.p, one.n));
        p = p[n] ? p + n + 1 : NULL;
    }
    js_free(whole);
    if (!ok)
        s = import_no_memory(m->im);
    if (!s && js_len(list) == 0)
        s = import_note(m->im, m->line, 0, "an assertion's list is empty");
    if (s || js_len(list) == 0)
        js_free(list);
    else
        *out = list;
    return s;
}

/* "a.b" -> "^\Qa.b\E", with every \E of the text taken apart. */
static js *prefix_pattern(const char *text)
{
    buf b = BUF_INIT(2 * TASK_LINE_BYTES_MAX);
    buf_str(&b, "^\\Q");
    for (const char *p = text; *p; p++)
        buf_str(&b, p[0] == '\\' && p[1] == 'E' ? "\\E\\\\\\Q" : (char[2]){ *p, 0 });
    buf_str(&b, "\\E");
    js *out = b.failed ? NULL : js_new_stringn(buf_text(&b), b.len);
    buf_clear(&b);
    return out;
}

static status pattern_of(mapping *m, const js *v, bool prefix, js **out)
{
    js *text = NULL;
    regex *r = NULL;
    error why;
    status s = text_of(m, v, &text);
    if (s || !text)
        return s;
    if (prefix) {
        js *pattern = prefix_pattern(js_text(text));
        js_free(text);
        text = pattern;
    }
    s = text ? regex_open(&r, js_text(text), false, false, &why) : E_NOMEM;
    regex_close(&r);
    if (s == OK) {
        *out = text;
        return OK;
    }
    js_free(text);
    return s == E_NOMEM ? import_no_memory(m->im)
                        : import_note(m->im, m->line, 0, "a regular expression: %s", why.text);
}

static status json_of(mapping *m, const js *v)
{
    js *wanted = NULL;
    struct schema *checked = NULL;
    error why;
    status s = js_is(v, JS_STRING) ? js_parse(&wanted, js_text(v), js_len(v), "the schema", 1, &why) : OK;
    if (s)
        return s == E_NOMEM ? import_no_memory(m->im) : import_note(m->im, m->line, 0, "is-json: %s", why.text);
    if (!wanted)
        wanted = js_is(v, JS_OBJECT) ? js_copy(v) : js_object();
    if (!wanted)
        return import_no_memory(m->im);
    if (m->schema && js_len(m->schema)) {
        js_free(wanted);
        return import_note(m->im, m->line, 0, "a second schema of one test");
    }
    s = schema_open(&checked, wanted, NULL, NULL, &why);
    schema_close(&checked);
    if (s) {
        js_free(wanted);
        return s == E_NOMEM ? import_no_memory(m->im) : import_note(m->im, m->line, 0, "is-json: %s", why.text);
    }
    js_free(m->schema);
    m->schema = wanted;
    return OK;
}

static status words_of(mapping *m, const js *v)
{
    static const struct { const char *key, *type; } ends[] = { { "min", "min-words" }, { "max", "max-words" } };
    status s = OK;
    size_t before = m->n;
    for (size_t i = 0; i < ARRAY_LEN(ends) && !s; i++) {
        const js *limit = js_is(v, JS_OBJECT) ? js_get(v, ends[i].key) : v;
        int64_t n = 0;
        if (!js_int(limit, &n) || n < 1 || n > 1000000)
            continue;
        s = add(m, ends[i].type, NULL, false, NULL);
        if (!s && m->n > before && !js_set(m->items[m->n - 1].grader, ends[i].key, js_new_int(n)))
            s = import_no_memory(m->im);
    }
    return s || m->n > before ? s : import_note(m->im, m->line, 0, "word-count needs a number, or min and max");
}

static status map_row(mapping *m, const struct pf_row *row, const js *v, const js *weight)
{
    js *value = NULL;
    status s = OK;
    switch (row->value) {
    case PF_JSON: return json_of(m, v);
    case PF_WORDS: return words_of(m, v);
    case PF_LIST: s = list_of(m, v, &value); break;
    case PF_PATTERN:
    case PF_PREFIX: s = pattern_of(m, v, row->value == PF_PREFIX, &value); break;
    case PF_TEXT:
        if (js_is(v, JS_OBJECT) && !strcmp(row->ours, "exact"))
            return (value = js_copy(v)) ? add(m, "json-fields", value, false, weight) : import_no_memory(m->im);
        s = text_of(m, v, &value);
        if (!s && value && js_len(value) == 0) {
            js_free(value);
            return import_note(m->im, m->line, 0, "'%s' with an empty text", row->theirs);
        }
        break;
    }
    return s || !value ? s : add(m, row->ours, value, row->exact_case, weight);
}

static const struct pf_row *row_of(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!strcmp(rows[i].theirs, type))
            return &rows[i];
    return NULL;
}

static status map_one(mapping *m, const js *a, int depth)
{
    static const char *const known[] = { "type", "value", "weight", "metric", "assert", "description" };
    const js *type = js_get(a, "type"), *inner = js_get(a, "assert");
    error why;
    if (!js_is(type, JS_STRING))
        return import_note(m->im, m->line, 0, "an assertion without a type");
    bool set = !strcmp(js_text(type), "assert-set") && js_is(inner, JS_ARRAY) && depth == 0;
    const struct pf_row *row = row_of(js_text(type));
    if (!set && !row)
        return import_note(m->im, m->line, 0, "the assertion '%.40s' has no grader here", js_text(type));
    if (js_known_keys(a, known, ARRAY_LEN(known), js_text(type), &why))
        return import_note(m->im, m->line, 0, "an assertion: %s", why.text);
    if (!set)
        return map_row(m, row, js_get(a, "value"), js_get(a, "weight"));
    status s = OK;
    for (size_t i = 0; i < js_len(inner) && !s; i++)
        s = map_one(m, js_at(inner, i), 1);
    return s;
}

/* Names what each grader compares with: "contains", "contains-2", … One value needs no name. */
static bool name_values(const mapping *m, js *graders, js **expected)
{
    size_t valued = 0;
    for (size_t i = 0; i < m->n; i++)
        valued += m->items[i].value != NULL;
    js *all = valued > 1 ? js_object() : NULL;
    bool ok = valued < 2 || all;
    for (size_t i = 0; i < m->n && ok; i++) {
        const js *value = m->items[i].value;
        const char *type = js_text(js_get(m->items[i].grader, "type"));
        js *g = js_copy(m->items[i].grader);
        char key[80];
        size_t same = 1;
        for (size_t k = 0; k < i; k++)
            same += m->items[k].value && !strcmp(js_text(js_get(m->items[k].grader, "type")), type);
        snprintf(key, sizeof key, same > 1 ? "%.40s-%zu" : "%.40s", type, same);
        if (all && value)
            ok = g && js_set(g, "key", js_new_string(key)) && js_set(all, key, js_copy(value));
        else if (value)
            ok = (*expected = js_copy(value)) != NULL;
        ok = js_push(graders, g) && ok;
    }
    if (all)
        *expected = all;
    return ok;
}

status pf_map(importer *im, const js *assertions, const js *vars, int line, js **graders, js **expected, js **wanted)
{
    mapping m = { .im = im, .vars = vars, .line = line };
    status s = OK;
    *graders = *expected = *wanted = NULL;
    for (size_t i = 0; i < js_len(assertions) && !s; i++)
        s = map_one(&m, js_at(assertions, i), 0);
    if (!s && m.n == 0 && m.schema) { /* the schema judges; a grader has to be there: any answer at all */
        s = add(&m, "regex", NULL, false, NULL);
        if (!s && !js_set(m.items[0].grader, "pattern", js_new_string("(?s).")))
            s = import_no_memory(im);
    }
    js *list = !s && m.n ? js_array() : NULL;
    if (!s && m.n)
        s = list ? OK : import_no_memory(im);
    if (list && !name_values(&m, list, expected))
        s = import_no_memory(im);
    if (s) {
        js_free(list);
        js_free(*expected);
        *expected = NULL;
    } else {
        *graders = list;
        *wanted = m.schema;
        m.schema = NULL;
    }
    mapping_clear(&m);
    return s;
}
