/* grade_text.c: graders that look at the answer as text. The reason numbers what was missing and never quotes it. */
#include <stdio.h>
#include <string.h>

#include "task/task_int.h"

status read_fold(task_reader *r, const yaml *map, unsigned *fold)
{
    static const struct { const char *key; unsigned flag; } flags[] = {
        { "ignore_case", FOLD_CASE }, { "ignore_space", FOLD_SPACE }, { "ignore_punctuation", FOLD_PUNCTUATION },
    };
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        bool on = (*fold & flags[i].flag) != 0;
        status s = task_read_bool(r, map, flags[i].key, &on);
        if (s)
            return s;
        *fold = on ? *fold | flags[i].flag : *fold & ~flags[i].flag;
    }
    return OK;
}

status read_exact(task_reader *r, const yaml *map, task_grader *g)
{
    return read_fold(r, map, &g->fold);
}

status read_label(task_reader *r, const yaml *map, task_grader *g)
{
    if (r->t->n_labels == 0)
        return yaml_error(r->f, map, r->err, "the grader 'label' needs 'output: {kind: label, labels: …}'");
    g->fold = FOLD_CASE;
    return read_fold(r, map, &g->fold);
}

status read_contains(task_reader *r, const yaml *map, task_grader *g)
{
    const yaml *values = yaml_get(map, "values");
    g->fold = FOLD_CASE | FOLD_SPACE;
    status s = read_fold(r, map, &g->fold);
    if (!s && values)
        s = task_read_texts(r, values, TASK_LABELS_MAX, &g->values, &g->n_values);
    if (!s && values && g->n_values == 0)
        s = yaml_error(r->f, values, r->err, "'values' is empty");
    for (size_t i = 0; i < g->n_values && !s; i++)
        if (!span_trim(span_of(g->values[i])).n)
            s = yaml_error(r->f, values, r->err, "an empty text is in every answer");
    return s;
}

status read_regex(task_reader *r, const yaml *map, task_grader *g)
{
    const yaml *pattern = yaml_get(map, "pattern");
    bool ignore_case = false;
    const char *text = NULL;
    error inner;
    status s = task_read_bool(r, map, "ignore_case", &ignore_case);
    g->fold = ignore_case ? FOLD_CASE : 0;
    if (!s)
        s = task_read_bool(r, map, "full", &g->full);
    if (!s && pattern)
        s = task_read_text(r, pattern, &text);
    if (s || !pattern)
        return s;
    s = regex_open(&g->pattern, text, ignore_case, g->full, &inner);
    return s == E_NOMEM ? task_no_memory(r->err) : s ? yaml_error(r->f, pattern, r->err, "%s", inner.text) : OK;
}

status read_limit(task_reader *r, const yaml *map, task_grader *g)
{
    const char *key = g->type->settings[0]; /* max or min */
    if (!yaml_get(map, key))
        return yaml_error(r->f, map, r->err, "the grader '%s' needs '%s'", g->type->name, key);
    return task_read_int(r, map, key, 1, 1000000, &g->limit);
}

/* ---- running ---- */

/* A text, or a list of texts, one after the other. */
static const js *text_at(const js *v, size_t i)
{
    const js *one = js_is(v, JS_ARRAY) ? js_at(v, i) : i == 0 ? v : NULL;
    return js_is(one, JS_STRING) ? one : NULL;
}

static size_t texts_in(const js *v)
{
    return js_is(v, JS_ARRAY) ? js_len(v) : js_is(v, JS_STRING);
}

status run_exact(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                 error *err)
{
    const js *expected = NULL;
    status s = grade_expected(t, g, c, &expected, err);
    if (s)
        return s;
    if (texts_in(expected) == 0 || !text_at(expected, 0))
        return grade_bad_expected(t, g, c, "a text or a list of texts", err);
    size_t got_n = 0, want_n = 0;
    char *got = text_fold(answer, n, g->fold, &got_n);
    bool same = false;
    s = got ? OK : task_no_memory(err);
    for (size_t i = 0; !s && !same && i < texts_in(expected); i++) {
        const js *v = text_at(expected, i);
        char *want = v ? text_fold(js_text(v), js_len(v), g->fold, &want_n) : NULL;
        if (!want)
            s = v ? task_no_memory(err) : grade_bad_expected(t, g, c, "texts only", err);
        else
            same = got_n == want_n && !memcmp(got, want, got_n);
        mem_free(want);
    }
    mem_free(got);
    if (s)
        return s;
    grade_score(g, same, out);
    if (!same)
        snprintf(out->reason, sizeof out->reason, "not the expected text");
    return OK;
}

/* Takes white space, quotes, emphasis and closing punctuation off both ends. */
static span bare_label(span s)
{
    static const char *const around[] = { " ",  "\t", "\n", "\r", "\"", "'", "*", "`", "(", ")", "[",
                                          "]",  "{",  "}",  ".",  ",",  ";", ":", "!", "_",
                                          "\u201c", "\u201d", "\u201e", "\u2018", "\u2019", "\u00ab", "\u00bb" };
    for (bool again = true; again && s.n;) {
        again = false;
        for (size_t i = 0; i < ARRAY_LEN(around) && s.n; i++) {
            size_t n = strlen(around[i]);
            if (s.n >= n && !memcmp(s.p, around[i], n)) {
                s = (span){ s.p + n, s.n - n };
                again = true;
            }
            if (s.n >= n && !memcmp(s.p + s.n - n, around[i], n)) {
                s.n -= n;
                again = true;
            }
        }
    }
    return s;
}

/* Folds both and compares. */
static status same_text(span a, span b, unsigned fold, bool *out, error *err)
{
    size_t na = 0, nb = 0;
    char *fa = text_fold(a.p, a.n, fold, &na), *fb = text_fold(b.p, b.n, fold, &nb);
    if (fa && fb)
        *out = na == nb && !memcmp(fa, fb, na);
    status s = fa && fb ? OK : task_no_memory(err);
    mem_free(fa);
    mem_free(fb);
    return s;
}

/* A label may itself begin or end with what is taken off, so both are tried bare. An exact fit wins over a folded one:
 * labels may differ by case alone. */
status grade_label(const task *t, const task_grader *g, const char *answer, size_t n, size_t *got, error *err)
{
    status s = OK;
    *got = t->n_labels;
    for (unsigned round = 0; round < 2 && *got == t->n_labels; round++)
        for (size_t i = 0; !s && i < t->n_labels && *got == t->n_labels; i++) {
            bool same = false;
            s = same_text(bare_label((span){ answer, n }), bare_label(span_of(t->labels[i])), round ? g->fold : 0,
                          &same, err);
            if (!s && same)
                *got = i;
        }
    return s;
}

status grade_expected_label(const task *t, const task_grader *g, const task_case *c, size_t *out, error *err)
{
    const js *expected = NULL;
    status s = grade_expected(t, g, c, &expected, err);
    if (s)
        return s;
    for (size_t i = 0; js_is(expected, JS_STRING) && i < t->n_labels; i++)
        if (!strcmp(js_text(expected), t->labels[i])) {
            *out = i;
            return OK;
        }
    return grade_bad_expected(t, g, c, "one of the task's labels", err);
}

status run_label(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                 error *err)
{
    size_t want = 0, got = 0;
    status s = grade_expected_label(t, g, c, &want, err);
    if (!s)
        s = grade_label(t, g, answer, n, &got, err);
    if (s)
        return s;
    if (got == t->n_labels)
        return grade_malformed(out, "not one of the labels");
    grade_score(g, got == want, out);
    if (got != want)
        snprintf(out->reason, sizeof out->reason, "another label than the expected one");
    return OK;
}

/* Is the phrase in the (folded) answer? */
static status has_phrase(const char *folded, size_t n, const char *phrase, size_t len, unsigned fold, bool *out,
                         error *err)
{
    size_t m = 0;
    char *p = text_fold(phrase, len, fold, &m);
    if (!p)
        return task_no_memory(err);
    *out = m > 0 && memmem(folded, n, p, m) != NULL;
    mem_free(p);
    return OK;
}

/* One item of `values` or expected: a text, or (key-facts) a list of phrases of which any will do. */
static status has_item(const task *t, const task_grader *g, const task_case *c, const js *expected, size_t i,
                       const char *folded, size_t n, bool *out, error *err)
{
    *out = false;
    if (g->n_values)
        return has_phrase(folded, n, g->values[i], strlen(g->values[i]), g->fold, out, err);
    const js *item = js_is(expected, JS_ARRAY) ? js_at(expected, i) : expected;
    bool any = js_is(item, JS_ARRAY) && js_len(item) > 0 && g->type->run == run_key_facts;
    size_t phrases = any ? js_len(item) : 1;
    status s = OK;
    for (size_t k = 0; k < phrases && !s && !*out; k++) {
        const js *phrase = any ? js_at(item, k) : item;
        if (!js_is(phrase, JS_STRING) || js_len(phrase) == 0)
            return grade_bad_expected(t, g, c, any ? "lists of phrases" : "texts that are not empty", err);
        s = has_phrase(folded, n, js_text(phrase), js_len(phrase), g->fold, out, err);
    }
    return s;
}

/* How many items there are and how many of them the answer holds; *first_missing is a number from 1, or 0. */
static status count_items(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n,
                          size_t *items, size_t *found, size_t *first_missing, error *err)
{
    const js *expected = NULL;
    status s = g->n_values ? OK : grade_expected(t, g, c, &expected, err);
    if (s)
        return s;
    if (g->type->run == run_key_facts && js_is(expected, JS_OBJECT))
        expected = js_get(expected, "facts");
    *items = g->n_values ? g->n_values : js_is(expected, JS_ARRAY) ? js_len(expected) : js_is(expected, JS_STRING);
    *found = *first_missing = 0;
    if (*items == 0)
        return grade_bad_expected(t, g, c, g->type->run == run_key_facts ? "a list of facts" : "a text or a list", err);
    size_t folded_n = 0;
    char *folded = text_fold(answer, n, g->fold, &folded_n);
    s = folded ? OK : task_no_memory(err);
    for (size_t i = 0; i < *items && !s; i++) {
        bool in = false;
        s = has_item(t, g, c, expected, i, folded, folded_n, &in, err);
        *found += in;
        if (!in && !*first_missing)
            *first_missing = i + 1;
    }
    mem_free(folded);
    return s;
}

status run_contains(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                    error *err)
{
    size_t items = 0, found = 0, missing = 0;
    status s = count_items(t, g, c, answer, n, &items, &found, &missing, err);
    if (s)
        return s;
    bool any = !strcmp(g->type->name, "contains-any");
    grade_score(g, any ? found > 0 : (double)found / (double)items, out);
    if (out->outcome != GRADE_PASS)
        snprintf(out->reason, sizeof out->reason, "%zu of %zu texts are there", found, items);
    return OK;
}

status run_not_contains(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n,
                        grade *out, error *err)
{
    size_t items = 0, found = 0, missing = 0;
    status s = count_items(t, g, c, answer, n, &items, &found, &missing, err);
    if (s)
        return s;
    grade_score(g, found == 0, out);
    if (found)
        snprintf(out->reason, sizeof out->reason, "%zu of %zu texts that must not be there are", found, items);
    return OK;
}

status run_key_facts(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                     error *err)
{
    size_t items = 0, found = 0, missing = 0;
    status s = count_items(t, g, c, answer, n, &items, &found, &missing, err);
    if (s)
        return s;
    grade_score(g, (double)found / (double)items, out);
    if (out->outcome != GRADE_PASS)
        snprintf(out->reason, sizeof out->reason, "%zu of %zu facts; the first missing one is number %zu", found, items,
                 missing);
    return OK;
}

status run_regex(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                 error *err)
{
    regex *own = NULL;
    regex_found found;
    error inner;
    if (!g->pattern) {
        const js *expected = NULL;
        status s = grade_expected(t, g, c, &expected, err);
        if (s)
            return s;
        if (!js_is(expected, JS_STRING) || strlen(js_text(expected)) != js_len(expected))
            return grade_bad_expected(t, g, c, "a regular expression", err);
        s = regex_open(&own, js_text(expected), (g->fold & FOLD_CASE) != 0, g->full, &inner);
        if (s == E_NOMEM)
            return task_no_memory(err);
        if (s)
            return fail(err, E_FORMAT, "%s/cases.jsonl:%d: case '%s': %s", t->dir, c->line, c->id, inner.text);
    }
    span bare = span_trim((span){ answer, n });
    status s = regex_match(own ? own : g->pattern, bare.p, bare.n, &found, err);
    regex_close(&own);
    if (s)
        return s;
    grade_score(g, found.ok, out);
    if (!found.ok)
        snprintf(out->reason, sizeof out->reason, found.gave_up ? "the pattern needed too many steps on this answer"
                                                                : "the pattern does not match");
    return OK;
}

status run_max_words(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                     error *err)
{
    (void)t;
    (void)c;
    (void)err;
    size_t words = text_count_words((span){ answer, n });
    grade_score(g, words > (size_t)g->limit ? (double)g->limit / (double)words : 1, out);
    if (words > (size_t)g->limit)
        snprintf(out->reason, sizeof out->reason, "%zu words; at most %lld", words, (long long)g->limit);
    return OK;
}

status run_min_words(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                     error *err)
{
    (void)t;
    (void)c;
    (void)err;
    size_t words = text_count_words((span){ answer, n });
    grade_score(g, words < (size_t)g->limit ? (double)words / (double)g->limit : 1, out);
    if (words < (size_t)g->limit)
        snprintf(out->reason, sizeof out->reason, "%zu words; at least %lld", words, (long long)g->limit);
    return OK;
}

/* ---- ideal answers; nothing is added where expected has another shape: the run says so ---- */

status ideal_text(const task *t, const task_grader *g, const task_case *c, buf *out, error *err)
{
    (void)t;
    (void)err;
    const js *v = text_at(g->key ? js_get(c->expected, g->key) : c->expected, 0);
    if (v)
        buf_add(out, js_text(v), js_len(v));
    return OK;
}

status ideal_list(const task *t, const task_grader *g, const task_case *c, buf *out, error *err)
{
    (void)t;
    (void)err;
    const js *v = g->key ? js_get(c->expected, g->key) : c->expected;
    if (js_is(v, JS_OBJECT))
        v = js_get(v, "facts");
    for (size_t i = 0; i < g->n_values; i++)
        buf_printf(out, "%s%s", out->len ? ". " : "", g->values[i]);
    for (size_t i = 0; !g->n_values && i < (js_is(v, JS_ARRAY) ? js_len(v) : js_is(v, JS_STRING)); i++) {
        const js *item = js_is(v, JS_ARRAY) ? js_at(v, i) : v;
        item = js_is(item, JS_ARRAY) ? js_at(item, 0) : item;
        if (js_is(item, JS_STRING))
            buf_printf(out, "%s%s", out->len ? ". " : "", js_text(item));
    }
    return OK;
}

/* With a pattern of the grader's own, an expected text is an example that must match. */
status ideal_regex(const task *t, const task_grader *g, const task_case *c, buf *out, error *err)
{
    return g->pattern ? ideal_text(t, g, c, out, err) : OK;
}
