/* cmd_task_grade.c: hearth task grade: grades answers that came from elsewhere, one JSON object a line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cmd_task.h"
#include "task/grade.h"
#include "task/suite.h"

enum { LINE_BYTES_MAX = 64 << 20, OUT_BYTES_MAX = 64 << 20 };

typedef struct counts {
    size_t n[GRADE_MALFORMED + 1];
    double score; /* sum */
} counts;

typedef struct grader {
    task *t;
    const task_case **by_id; /* sorted */
    suite *figures;
    bool json;
    const char *where; /* the file of answers, in errors */
    counts whole, parts[TASK_GRADERS_MAX];
} grader;

/* ---- the case of an answer ---- */

static int by_id(const void *a, const void *b)
{
    return strcmp((*(const task_case *const *)a)->id, (*(const task_case *const *)b)->id);
}

static status index_cases(grader *g, error *err)
{
    g->by_id = mem_array(g->t->n_cases + 1, sizeof *g->by_id);
    if (!g->by_id)
        return fail(err, E_NOMEM, "no memory");
    for (size_t i = 0; i < g->t->n_cases; i++)
        g->by_id[i] = &g->t->cases[i];
    qsort(g->by_id, g->t->n_cases, sizeof *g->by_id, by_id);
    return OK;
}

/* The task's case of that id, or one made of what the line holds. */
static status case_of(const grader *g, const js *root, int line, task_case *out, error *err)
{
    static const char *const keys[] = { "case", "answer", "expected", "input" };
    status s = js_known_keys(root, keys, ARRAY_LEN(keys), "an answer", err);
    if (s)
        return s;
    const js *id = js_get(root, "case"), *expected = js_get(root, "expected"), *input = js_get(root, "input");
    bool named = js_is(id, JS_STRING) && strlen(js_text(id)) == js_len(id);
    if (!js_get(root, "answer") || (id && !named) || (expected && id) || (input && id))
        return fail(err, E_FORMAT,
                    "an answer is {\"case\": ID, \"answer\": TEXT} or {\"expected\": …, \"answer\": TEXT}");
    *out = (task_case){ .id = "", .line = line, .input = input, .expected = expected };
    if (!id)
        return OK;
    const task_case wanted = { .id = js_text(id) }, *p = &wanted;
    const task_case **found = bsearch(&p, g->by_id, g->t->n_cases, sizeof *g->by_id, by_id);
    if (!found)
        return fail(err, E_NOTFOUND, "the task has no case '%.128s'", js_text(id));
    *out = **found;
    return OK;
}

/* ---- one answer ---- */

static void count(counts *c, const grade *one)
{
    c->n[one->outcome]++;
    c->score += one->score;
}

static js *grade_json(const grade *one)
{
    js *o = js_object();
    js_set(o, "score", js_new_double(one->score));
    js_set(o, "outcome", js_new_string(grade_outcome_name(one->outcome)));
    js_set(o, "reason", one->reason[0] ? js_new_string(one->reason) : js_null());
    return o;
}

static js *line_json(const grader *g, int line, const task_case *c, const grade *whole, const grade *parts)
{
    js *o = grade_json(whole), *list = js_array();
    for (size_t i = 0; i < g->t->n_graders; i++) {
        js *one = grade_json(&parts[i]);
        js_set(one, "type", js_new_string(grade_name(g->t, i)));
        js_push(list, one);
    }
    js_set(o, "line", js_new_int(line));
    js_set(o, "case", *c->id ? js_new_string(c->id) : js_null());
    js_set(o, "graders", list);
    return o;
}

/* Writes one line of JSON and frees it. */
static status put_json(js *o, error *err)
{
    buf b = BUF_INIT(OUT_BYTES_MAX);
    js_write(o, JS_COMPACT, &b);
    status s = o ? buf_ok(&b, "the grades", err) : fail(err, E_NOMEM, "no memory");
    if (!s)
        puts(buf_text(&b));
    buf_clear(&b);
    js_free(o);
    return s;
}

static status put_line(const grader *g, int line, const task_case *c, const grade *whole, const grade *parts,
                       error *err)
{
    if (g->json)
        return put_json(line_json(g, line, c, whole, parts), err);
    if (whole->outcome != GRADE_PASS)
        printf("%d%s%s: %s, score %.3f: %s\n", line, *c->id ? " " : "", c->id, grade_outcome_name(whole->outcome),
               whole->score, whole->reason);
    return OK;
}

/* An answer that is no text is graded as its JSON. */
static status grade_root(grader *g, const js *root, int line, error *err)
{
    task_case c;
    grade whole, parts[TASK_GRADERS_MAX];
    buf text = BUF_INIT(LINE_BYTES_MAX);
    const js *answer = js_get(root, "answer");
    status s = case_of(g, root, line, &c, err);
    if (!s && js_is(answer, JS_STRING))
        buf_add(&text, js_text(answer), js_len(answer));
    else if (!s)
        js_write(answer, JS_COMPACT, &text);
    if (!s)
        s = buf_ok(&text, "the answer", err);
    if (!s)
        s = grade_all(g->t, &c, buf_text(&text), text.len, NULL, &whole, parts, err);
    if (!s)
        s = suite_add(g->figures, &c, buf_text(&text), text.len, err);
    buf_clear(&text);
    if (s)
        return s;
    count(&g->whole, &whole);
    for (size_t i = 0; i < g->t->n_graders; i++)
        count(&g->parts[i], &parts[i]);
    return put_line(g, line, &c, &whole, parts, err);
}

static status grade_line(grader *g, const buf *text, int line, error *err)
{
    js *root = NULL;
    if (!span_trim((span){ buf_text(text), text->len }).n)
        return OK;
    status s = js_parse(&root, buf_text(text), text->len, g->where, line, err);
    if (s)
        return s;
    s = grade_root(g, root, line, err);
    js_free(root);
    return s ? fail_prefix(err, s, "%s:%d: ", g->where, line) : OK;
}

static status grade_file(grader *g, FILE *f, error *err)
{
    buf text = BUF_INIT(LINE_BYTES_MAX);
    status s = OK;
    for (int line = 1, c = 0; c != EOF && !s; line++) {
        buf_reset(&text);
        while ((c = getc_unlocked(f)) != EOF && c != '\n' && !text.failed)
            buf_char(&text, (char)c);
        s = buf_ok(&text, g->where, err);
        if (!s)
            s = grade_line(g, &text, line, err);
    }
    if (!s && ferror(f))
        s = fail(err, E_IO, "%s: %s", g->where, strerror(errno));
    buf_clear(&text);
    return s;
}

/* ---- all of them ---- */

static size_t total(const counts *c)
{
    return c->n[GRADE_PASS] + c->n[GRADE_WRONG] + c->n[GRADE_MALFORMED];
}

static js *counts_json(const counts *c)
{
    js *o = js_object();
    for (int i = GRADE_PASS; i <= GRADE_MALFORMED; i++)
        js_set(o, grade_outcome_name((grade_outcome)i), js_new_int((int64_t)c->n[i]));
    js_set(o, "score", total(c) ? js_new_double(c->score / (double)total(c)) : js_null());
    return o;
}

static js *summary_json(const grader *g)
{
    js *o = js_object(), *s = counts_json(&g->whole), *list = js_array();
    for (size_t i = 0; i < g->t->n_graders; i++) {
        js *one = counts_json(&g->parts[i]);
        js_set(one, "type", js_new_string(grade_name(g->t, i)));
        js_push(list, one);
    }
    js_set(s, "answers", js_new_int((int64_t)total(&g->whole)));
    js_set(s, "graders", list);
    js_set(s, "figures", suite_json(g->figures));
    js_set(o, "summary", s);
    return o;
}

static void print_counts(const char *name, const counts *c)
{
    double n = total(c) ? (double)total(c) : 1;
    printf("%-18s %zu pass, %zu wrong, %zu malformed; score %.3f\n", name, c->n[GRADE_PASS], c->n[GRADE_WRONG],
           c->n[GRADE_MALFORMED], c->score / n);
}

static void print_figure(const char *name, double v)
{
    printf(v < 0 ? "  %s –" : "  %s %.3f", name, v);
}

static void print_table(const task *t, const suite_table *y)
{
    printf("%s: ", grade_name(t, y->grader));
    print_figure("macro-F1", y->macro_f1);
    print_figure("micro-F1", y->micro_f1);
    puts("");
    for (size_t i = 0; i < y->n_classes; i++) {
        const suite_class *k = &y->classes[i];
        if (k->tp + k->fp + k->fn == 0)
            continue;
        printf("  %-20s", k->name);
        print_figure("precision", k->precision);
        print_figure("recall", k->recall);
        print_figure("F1", k->f1);
        printf("  expected %zu\n", k->tp + k->fn);
    }
}

static status put_summary(const grader *g, error *err)
{
    if (g->json)
        return put_json(summary_json(g), err);
    const suite_table *tables = NULL;
    size_t n = suite_tables(g->figures, &tables);
    printf("%zu answer%s\n", total(&g->whole), total(&g->whole) == 1 ? "" : "s");
    print_counts(g->t->id, &g->whole);
    for (size_t i = 0; i < g->t->n_graders && g->t->n_graders > 1; i++)
        print_counts(grade_name(g->t, i), &g->parts[i]);
    for (size_t i = 0; i < n; i++)
        print_table(g->t, &tables[i]);
    return OK;
}

/* A folder without cases.jsonl is enough where every line brings its own `expected`. */
static status open_grader(grader *g, const char *name, const char *bin_dir, error *err)
{
    status s = task_open(&g->t, name, bin_dir, err);
    if (!s) {
        s = task_load_cases(g->t, err);
        s = s == E_NOTFOUND ? OK : s;
    }
    if (!s)
        s = index_cases(g, err);
    return s ? s : suite_open(&g->figures, g->t, err);
}

static const usage usage_text = {
    "hearth task grade [--json] TASK [FILE]",
    "Judges answers from elsewhere, in FILE or on standard input, one object a line: {\"case\": ID,\n"
    "\"answer\": TEXT}, or {\"expected\": …, \"answer\": TEXT} for a case of its own. Says which do not pass\n"
    "and why, then the sums, with F1 by label or field; with --json one object an answer, and last a summary.\n"
    "example:\n"
    "  hearth task grade ticket-class answers.jsonl\n",
};

int cmd_task_grade(int argc, char **argv, const char *bin_dir)
{
    bool json = false;
    const option table[] = { { "json", 0, OPTION_FLAG, &json, NULL, "JSON lines on standard output" } };
    size_t n = 0;
    int code = EXIT_OK;
    if (!options_read(argc, argv, &usage_text, table, ARRAY_LEN(table), &n, &code))
        return code;
    if (n < 1 || n > 2)
        return usage_error(argv[0], "which task, and which file of answers?");
    bool named = n == 2 && strcmp(argv[2], "-") != 0;
    grader g = { .json = json, .where = named ? argv[2] : "standard input" };
    error e;
    FILE *f = named ? fopen(argv[2], "rb") : stdin;
    status s = f ? open_grader(&g, argv[1], bin_dir, &e) : fail(&e, E_IO, "%s: %s", argv[2], strerror(errno));
    if (!s)
        s = grade_file(&g, f, &e);
    if (!s)
        s = put_summary(&g, &e);
    if (f && named)
        fclose(f);
    suite_close(&g.figures);
    mem_free(g.by_id);
    task_close(&g.t);
    return s ? report(argv[0], &e) : EXIT_OK;
}
