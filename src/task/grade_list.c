/* grade_list.c: F1 over items: the answer as a JSON list, one item a line, or between separators. */
#include <stdio.h>
#include <string.h>

#include "task/sequence_int.h"
#include "task/task_int.h"

/* More than folding can make of the longest answer, so that a buffer fails for want of memory only. */
enum { ITEMS_BYTES_MAX = 256 << 20 };

status read_list(task_reader *r, const yaml *map, task_grader *g)
{
    const yaml *separator = yaml_get(map, "separator");
    g->fold = FOLD_CASE | FOLD_SPACE;
    status s = read_fold(r, map, &g->fold);
    if (!s)
        s = read_measure(r, map, g);
    if (!s)
        s = task_read_bool(r, map, "ordered", &g->ordered);
    if (!s && separator)
        s = task_read_text(r, separator, &g->separator);
    if (!s && separator && !*g->separator)
        s = yaml_error(r->f, separator, r->err, "'separator' is empty");
    if (!s && g->ordered && !strcmp(g->type->name, "set"))
        s = yaml_error(r->f, map, r->err, "a set has no order: use the grader 'list'");
    return s;
}

/* Items are kept one after the other, each folded and ended by a zero byte. */
typedef struct items {
    buf text;
    size_t n;
} items;

static status add_item(const task_grader *g, items *to, span item, error *err)
{
    size_t n = 0;
    char *folded = text_fold(item.p, item.n, g->fold, &n);
    if (!folded)
        return task_no_memory(err);
    if (n) {
        buf_add(&to->text, folded, n + 1);
        to->n++;
    }
    mem_free(folded);
    return to->text.failed ? task_no_memory(err) : OK;
}

/* A text without zero bytes, a number as it was written, or a boolean. */
static bool scalar(const js *v, span *out)
{
    if (js_is(v, JS_BOOL))
        *out = span_of(js_bool(v, false) ? "true" : "false");
    else if (js_is(v, JS_NUMBER))
        *out = span_of(js_text(v));
    else if (js_is(v, JS_STRING) && !memchr(js_text(v), 0, js_len(v)))
        *out = (span){ js_text(v), js_len(v) };
    else
        return false;
    return true;
}

/* E_FORMAT (with no sentence) for what is no list of scalars. */
static status add_json(const task_grader *g, items *to, const js *list, error *err)
{
    status s = js_is(list, JS_ARRAY) ? OK : E_FORMAT;
    for (size_t i = 0; i < js_len(list) && !s; i++) {
        span item;
        s = scalar(js_at(list, i), &item) ? add_item(g, to, item, err) : E_FORMAT;
    }
    return s;
}

/* "- ", "* ", "• ", "3. ", "3) " before an item of a list in lines. */
static span without_bullet(span line)
{
    size_t digits = 0;
    line = span_trim(line);
    while (digits < line.n && line.p[digits] >= '0' && line.p[digits] <= '9')
        digits++;
    size_t mark = digits && digits < line.n && (line.p[digits] == '.' || line.p[digits] == ')') ? digits + 1
                  : !digits && line.n && (*line.p == '-' || *line.p == '*' || *line.p == '+')  ? 1
                  : line.n >= 3 && !memcmp(line.p, "\u2022", 3)                                ? 3
                                                                                               : 0;
    bool bullet = mark && mark < line.n && (line.p[mark] == ' ' || line.p[mark] == '\t');
    return bullet ? span_trim((span){ line.p + mark, line.n - mark }) : line;
}

static status add_text(const task_grader *g, items *to, span text, error *err)
{
    const char *separator = g->separator ? g->separator : "\n";
    size_t n = strlen(separator);
    status s = OK;
    for (bool more = true; more && !s;) {
        const char *end = memmem(text.p, text.n, separator, n);
        span item = { text.p, end ? (size_t)(end - text.p) : text.n };
        more = end != NULL;
        s = add_item(g, to, g->separator ? item : without_bullet(item), err);
        if (more)
            text = (span){ end + n, text.n - item.n - n };
    }
    return s;
}

static status answer_items(const task_grader *g, span answer, items *to, error *err)
{
    span whole = span_trim(answer), text = *whole.p == '[' ? whole : grade_json_text(answer);
    js *list = NULL;
    if (!text.n || *text.p != '[')
        return add_text(g, to, answer, err);
    status s = text.n > GRADE_JSON_BYTES_MAX ? E_FORMAT : js_parse(&list, text.p, text.n, "answer", 1, NULL);
    if (s)
        return s == E_NOMEM ? task_no_memory(err) : E_FORMAT; /* no list, whatever is wrong with it */
    s = add_json(g, to, list, err);
    js_free(list);
    return s;
}

static bool next_item(span text, size_t *at, span *piece)
{
    if (*at >= text.n)
        return false;
    *piece = span_of(text.p + *at);
    *at += piece->n + 1;
    return true;
}

/* How many of each side there are, and how many are common. In a set every item counts once. */
static status count_common(const task_grader *g, const items *got, const items *want, sequence_overlap *o, error *err)
{
    sequence_pair p = { 0 };
    bool set = !strcmp(g->type->name, "set");
    status s = sequence_open(&p, (span){ buf_text(&got->text), got->text.len },
                             (span){ buf_text(&want->text), want->text.len }, next_item, err);
    unsigned char *seen = s ? NULL : mem_array(p.n_ids + 1, 1);
    if (!s && !seen)
        s = task_no_memory(err);
    *o = (sequence_overlap){ p.na, p.nb, 0 };
    if (!s && !set)
        s = g->ordered ? sequence_lcs(&p, &o->both, err) : sequence_ngrams(&p, 1, o, err);
    if (!s && set) {
        *o = (sequence_overlap){ 0, 0, 0 };
        for (size_t i = 0; i < p.na; i++)
            seen[p.a[i]] |= 1;
        for (size_t i = 0; i < p.nb; i++)
            seen[p.b[i]] |= 2;
        for (size_t k = 0; k < p.n_ids; k++) {
            o->a += (seen[k] & 1) != 0;
            o->b += (seen[k] & 2) != 0;
            o->both += seen[k] == 3;
        }
    }
    mem_free(seen);
    sequence_clear(&p);
    return s;
}

static status run_items(const task_grader *g, const items *got, const items *want, grade *out, error *err)
{
    sequence_overlap o;
    error why;
    status s = count_common(g, got, want, &o, &why);
    if (s == E_RANGE)
        return grade_malformed(out, "too many items");
    if (s)
        return task_no_memory(err);
    grade_score(g, o.a + o.b ? grade_measured(g, o.both, o.a, o.b) : 1, out);
    if (out->outcome != GRADE_PASS)
        snprintf(out->reason, sizeof out->reason, "%zu right, %zu missing, %zu extra", o.both, o.b - o.both,
                 o.a - o.both);
    return OK;
}

status run_list(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                error *err)
{
    const js *expected = NULL;
    status s = grade_expected(t, g, c, &expected, err);
    if (s)
        return s;
    items got = { BUF_INIT(ITEMS_BYTES_MAX), 0 }, want = { BUF_INIT(ITEMS_BYTES_MAX), 0 };
    s = add_json(g, &want, expected, err);
    if (s == E_FORMAT)
        s = grade_bad_expected(t, g, c, "a list of texts or numbers", err);
    if (!s) {
        s = answer_items(g, (span){ answer, n }, &got, err);
        if (s == E_FORMAT)
            s = grade_malformed(out, "no list of texts or numbers");
        else if (!s)
            s = run_items(g, &got, &want, out, err);
    }
    buf_clear(&want.text);
    buf_clear(&got.text);
    return s;
}

status ideal_items(const task *t, const task_grader *g, const task_case *c, buf *out, error *err)
{
    (void)t;
    (void)err;
    const js *v = g->key ? js_get(c->expected, g->key) : c->expected;
    if (js_is(v, JS_ARRAY))
        js_write(v, JS_COMPACT, out);
    return OK;
}
