/* grade_form.c: graders that look at the form of an answer: its length, beginning and end, whether it is JSON. */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "task/sequence_int.h"
#include "task/task_int.h"

/* ---- length ---- */

static size_t count_chars(span text)
{
    return utf8_count(text.p, text.n);
}

/* Lines that are not blank. */
static size_t count_lines(span text)
{
    size_t n = 0;
    for (const char *p = text.p, *end = text.p + text.n; p < end;) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        span one = span_trim((span){ p, (size_t)((line ? line : end) - p) });
        n += one.n > 0;
        p = line ? line + 1 : end;
    }
    return n;
}

/* Blocks of lines with blank lines between. */
static size_t count_paragraphs(span text)
{
    size_t n = 0;
    bool inside = false;
    for (const char *p = text.p, *end = text.p + text.n; p < end;) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        bool blank = !span_trim((span){ p, (size_t)((line ? line : end) - p) }).n;
        n += !blank && !inside;
        inside = !blank;
        p = line ? line + 1 : end;
    }
    return n;
}

static bool ends_sentence(uint32_t c)
{
    return c == '.' || c == '!' || c == '?' || c == 0x2026 || c == 0x3002 || c == 0xff01 || c == 0xff1f ||
           c == 0x061f || c == 0x0964;
}

/* CJK marks need no blank after them. */
static bool ends_alone(uint32_t c)
{
    return c == 0x3002 || c == 0xff01 || c == 0xff1f;
}

static bool closes(uint32_t c)
{
    return c == '"' || c == '\'' || c == ')' || c == ']' || c == 0x201d || c == 0x2019 || c == 0xbb || c == 0x300d;
}

/* A sentence has a letter or digit, and ends with a mark before white space, or with the text. */
static size_t count_sentences(span text)
{
    size_t n = 0;
    bool words = false, marked = false;
    for (size_t at = 0, len; at < text.n; at += len) {
        uint32_t c = 0xfffd;
        span word;
        size_t none = 0;
        len = utf8_decode(text.p + at, text.n - at, &c);
        len = len ? len : 1;
        bool space = c == ' ' || (c >= 9 && c <= 13) || c == 0xa0 || c == 0x3000;
        if (words && ((marked && space) || ends_alone(c))) {
            n++;
            words = marked = false;
        } else if (ends_sentence(c)) {
            marked = true;
        } else if (!closes(c)) {
            marked = false;
            words = words || text_word((span){ text.p + at, len }, &none, &word);
        }
    }
    return n + words;
}

static const struct {
    const char *name;
    size_t (*count)(span text);
} units[] = {
    { "words", text_count_words },     { "chars", count_chars },           { "lines", count_lines },
    { "sentences", count_sentences },  { "paragraphs", count_paragraphs },
};

status read_length(task_reader *r, const yaml *map, task_grader *g)
{
    const yaml *unit = yaml_get(map, "unit"), *least = yaml_get(map, "min"), *most = yaml_get(map, "max");
    const char *names[ARRAY_LEN(units)];
    size_t word = 0;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        names[i] = units[i].name;
    if (!unit || (!least && !most))
        return yaml_error(r->f, map, r->err, "the grader 'length' needs 'unit', and 'min' or 'max'");
    status s = task_read_word(r, unit, names, ARRAY_LEN(names), &word);
    g->word = (int)word;
    g->most = INT64_MAX;
    if (!s)
        s = task_read_int(r, map, "min", 1, 100000000, &g->least);
    if (!s)
        s = task_read_int(r, map, "max", 1, 100000000, &g->most);
    if (!s && g->least > g->most)
        s = yaml_error(r->f, map, r->err, "'min' is above 'max'");
    return s;
}

status run_length(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                  error *err)
{
    (void)t;
    (void)c;
    (void)err;
    size_t count = units[g->word].count(span_trim((span){ answer, n }));
    bool few = count < (size_t)g->least, many = count > (size_t)g->most;
    grade_score(g, many ? (double)g->most / (double)count : few ? (double)count / (double)g->least : 1, out);
    if (few || many)
        snprintf(out->reason, sizeof out->reason, "%zu %s; at %s %lld", count, units[g->word].name,
                 few ? "least" : "most", (long long)(few ? g->least : g->most));
    return OK;
}

/* ---- how it begins and ends ---- */

static status fits(const task_grader *g, span answer, span text, bool *out, error *err)
{
    size_t n = 0;
    char *folded = text_fold(text.p, text.n, g->fold, &n);
    if (!folded)
        return task_no_memory(err);
    const char *at = !strcmp(g->type->name, "ends-with") && n <= answer.n ? answer.p + answer.n - n : answer.p;
    *out = n > 0 && n <= answer.n && !memcmp(at, folded, n);
    mem_free(folded);
    return OK;
}

status run_ends(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                error *err)
{
    const js *expected = NULL;
    size_t folded_n = 0;
    status s = g->n_values ? OK : grade_expected(t, g, c, &expected, err);
    if (s)
        return s;
    size_t items = g->n_values ? g->n_values : js_is(expected, JS_ARRAY) ? js_len(expected) : 1;
    if (items == 0)
        return grade_bad_expected(t, g, c, "a text or a list of texts", err);
    char *folded = text_fold(answer, n, g->fold, &folded_n);
    bool found = false;
    s = folded ? OK : task_no_memory(err);
    for (size_t i = 0; i < items && !s && !found; i++) {
        const js *one = g->n_values ? NULL : js_is(expected, JS_ARRAY) ? js_at(expected, i) : expected;
        if (!g->n_values && (!js_is(one, JS_STRING) || !js_len(one)))
            s = grade_bad_expected(t, g, c, "texts that are not empty", err);
        else
            s = fits(g, (span){ folded, folded_n },
                     one ? (span){ js_text(one), js_len(one) } : span_of(g->values[i]), &found, err);
    }
    mem_free(folded);
    if (s)
        return s;
    grade_score(g, found, out);
    if (!found)
        snprintf(out->reason, sizeof out->reason, "another %s", *g->type->name == 'e' ? "end" : "beginning");
    return OK;
}

status ideal_ends(const task *t, const task_grader *g, const task_case *c, buf *out, error *err)
{
    if (!g->n_values)
        return ideal_text(t, g, c, out, err);
    buf_str(out, g->values[0]);
    return OK;
}

/* ---- JSON ---- */

status read_is_json(task_reader *r, const yaml *map, task_grader *g)
{
    static const char *const words[] = { "any", "object", "array" };
    const yaml *kind = yaml_get(map, "kind");
    size_t word = 0;
    status s = kind ? task_read_word(r, kind, words, ARRAY_LEN(words), &word) : OK;
    g->word = (int)word;
    return s;
}

/* *out is NULL and the grade malformed for what is no JSON. */
static status parse_answer(const char *answer, size_t n, js **out, grade *why, error *err)
{
    span whole = span_trim((span){ answer, n }), text = *whole.p == '[' ? whole : grade_json_text(whole);
    js *v = NULL;
    status s = text.n > GRADE_JSON_BYTES_MAX ? E_FORMAT : js_parse(&v, text.p, text.n, "answer", 1, NULL);
    if (s == E_NOMEM)
        return task_no_memory(err);
    *out = v;
    return s ? grade_malformed(why, "no JSON") : OK;
}

status run_is_json(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                   error *err)
{
    (void)t;
    (void)c;
    js *v = NULL;
    status s = parse_answer(answer, n, &v, out, err);
    if (s || !v)
        return s;
    bool right = g->word == 0 || js_is(v, g->word == 1 ? JS_OBJECT : JS_ARRAY);
    js_free(v);
    grade_score(g, right, out);
    if (!right)
        snprintf(out->reason, sizeof out->reason, "JSON, but no %s", g->word == 1 ? "object" : "array");
    return OK;
}

status read_json_schema(task_reader *r, const yaml *map, task_grader *g)
{
    const yaml *tree = yaml_get(map, "schema");
    error why = { 0 };
    if (!tree && !r->t->schema)
        return yaml_error(r->f, map, r->err, "the grader 'json-schema' needs 'schema', here or in 'output'");
    if (!tree)
        return OK;
    if (tree->kind != YAML_MAP)
        return yaml_error(r->f, tree, r->err, "'schema' is a map");
    js *copy = yaml_to_js(tree);
    if (!copy)
        return task_no_memory(r->err);
    status s = schema_open(&g->schema, copy, NULL, NULL, &why);
    js_free(copy);
    return s ? fail(r->err, s, "%s:%d: %s", r->t->path, tree->line, why.text) : OK;
}

status run_json_schema(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n,
                       grade *out, error *err)
{
    (void)c;
    js *v = NULL;
    schema_problem p;
    status s = parse_answer(answer, n, &v, out, err);
    if (s || !v)
        return s;
    s = schema_check(g->schema ? g->schema : t->memory->checked, v, &p, NULL);
    js_free(v);
    if (s == E_NOMEM)
        return task_no_memory(err);
    if (s == E_RANGE)
        return grade_malformed(out, "too large to be checked by the schema");
    grade_score(g, s == OK, out);
    if (s)
        snprintf(out->reason, sizeof out->reason, "not as the schema demands: %.100s", p.schema);
    return OK;
}
