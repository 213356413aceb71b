/* csv.c: the same data as tables (RFC 4180: CRLF, quotes doubled). Each row begins with what it belongs to:
 *
 *   tasks        task
 *   arms         task, arm
 *   reliability  task, arm, bin
 *   classes      task, arm
 *   confusion    task, arm
 *   history      task, point
 *   decisions    task, decision
 *   cases        task, case
 *   answers      task, case, arm
 *   graders      task, case, arm
 *   preferences  task
 *
 * Numbers are JSON's, what is not known is empty. Text that a spreadsheet would run as a formula (= + - @, tab, return)
 * begins with an apostrophe (OWASP, CSV injection). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plat/clock.h"
#include "report/report_int.h"

/* One row's way into its table: `own` columns that say where it belongs, then the table's columns. */
typedef void each_row(void *user, const char *const *own, const void *row);
typedef struct csv_table {
    const report_columns *columns;
    const char *own[3]; /* headings; NULL: fewer */
    void (*walk)(const report_data *r, each_row *each, void *user);
} csv_table;

static void number(char text[24], size_t v)
{
    snprintf(text, 24, "%zu", v);
}

static void walk_doc(const report_data *r, each_row *each, void *user)
{
    each(user, NULL, r);
}

static void walk_tasks(const report_data *r, each_row *each, void *user)
{
    for (size_t i = 0; i < r->n_tasks; i++)
        each(user, NULL, &r->tasks[i]);
}

static void walk_arms(const report_data *r, each_row *each, void *user)
{
    char at[24];
    for (size_t i = 0; i < r->n_tasks; i++)
        for (size_t k = 0; k < r->tasks[i].n_arms; k++) {
            number(at, k);
            each(user, (const char *[]){ r->tasks[i].id, at }, &r->tasks[i].arms[k]);
        }
}

static void walk_bins(const report_data *r, each_row *each, void *user)
{
    char at[24], bin[24];
    for (size_t i = 0; i < r->n_tasks; i++)
        for (size_t k = 0; k < r->tasks[i].n_arms; k++)
            for (size_t b = 0; b < r->tasks[i].arms[k].n_bins; b++) {
                number(at, k);
                number(bin, b);
                each(user, (const char *[]){ r->tasks[i].id, at, bin }, &r->tasks[i].arms[k].bins[b]);
            }
}

static void walk_classes(const report_data *r, each_row *each, void *user)
{
    char at[24];
    for (size_t i = 0; i < r->n_tasks; i++)
        for (size_t k = 0; k < r->tasks[i].n_arms; k++)
            for (size_t c = 0; c < r->tasks[i].arms[k].n_classes; c++) {
                number(at, k);
                each(user, (const char *[]){ r->tasks[i].id, at }, &r->tasks[i].arms[k].classes[c]);
            }
}

static void walk_confusion(const report_data *r, each_row *each, void *user)
{
    char at[24];
    for (size_t i = 0; i < r->n_tasks; i++)
        for (size_t k = 0; k < r->tasks[i].n_arms; k++)
            for (size_t c = 0; c < r->tasks[i].arms[k].n_confusion; c++) {
                number(at, k);
                each(user, (const char *[]){ r->tasks[i].id, at }, &r->tasks[i].arms[k].confusion[c]);
            }
}

static void walk_preferences(const report_data *r, each_row *each, void *user)
{
    for (size_t i = 0; i < r->n_tasks; i++)
        for (size_t k = 0; k < r->tasks[i].n_preferences; k++)
            each(user, (const char *[]){ r->tasks[i].id }, &r->tasks[i].preferences[k]);
}

static void walk_points(const report_data *r, each_row *each, void *user)
{
    char at[24];
    for (size_t i = 0; i < r->n_tasks; i++)
        for (size_t k = 0; k < r->tasks[i].n_points; k++) {
            number(at, k);
            each(user, (const char *[]){ r->tasks[i].id, at }, &r->tasks[i].points[k]);
        }
}

static void walk_changes(const report_data *r, each_row *each, void *user)
{
    char at[24];
    for (size_t i = 0; i < r->n_tasks; i++)
        for (size_t k = 0; k < r->tasks[i].n_changes; k++) {
            number(at, k);
            each(user, (const char *[]){ r->tasks[i].id, at }, &r->tasks[i].changes[k]);
        }
}

static void walk_cases(const report_data *r, each_row *each, void *user)
{
    for (size_t i = 0; i < r->n_tasks; i++)
        for (size_t k = 0; k < r->tasks[i].n_listed; k++)
            each(user, (const char *[]){ r->tasks[i].id }, &r->tasks[i].cases[k]);
}

static void walk_answers(const report_data *r, each_row *each, void *user)
{
    for (size_t i = 0; i < r->n_tasks; i++)
        for (size_t k = 0; k < r->tasks[i].n_listed; k++) {
            const report_case *c = &r->tasks[i].cases[k];
            for (size_t a = 0; a < c->n_answers; a++)
                each(user, (const char *[]){ r->tasks[i].id, c->id }, &c->answers[a]);
        }
}

static void walk_parts(const report_data *r, each_row *each, void *user)
{
    char at[24];
    for (size_t i = 0; i < r->n_tasks; i++)
        for (size_t k = 0; k < r->tasks[i].n_listed; k++) {
            const report_case *c = &r->tasks[i].cases[k];
            for (size_t a = 0; a < c->n_answers; a++)
                for (size_t p = 0; p < c->answers[a].n_parts; p++) {
                    number(at, (size_t)c->answers[a].arm);
                    each(user, (const char *[]){ r->tasks[i].id, c->id, at }, &c->answers[a].parts[p]);
                }
        }
}

static const csv_table tables[] = {
    { &report_columns_doc, { NULL }, walk_doc },
    { &report_columns_task, { NULL }, walk_tasks },
    { &report_columns_arm, { "task", "arm" }, walk_arms },
    { &report_columns_bin, { "task", "arm", "bin" }, walk_bins },
    { &report_columns_class, { "task", "arm" }, walk_classes },
    { &report_columns_confusion, { "task", "arm" }, walk_confusion },
    { &report_columns_point, { "task", "point" }, walk_points },
    { &report_columns_change, { "task", "decision" }, walk_changes },
    { &report_columns_case, { "task" }, walk_cases },
    { &report_columns_answer, { "task", "case" }, walk_answers },
    { &report_columns_part, { "task", "case", "arm" }, walk_parts },
    { &report_columns_preference, { "task" }, walk_preferences },
};
const size_t report_n_tables = ARRAY_LEN(tables);

const char *report_table_name(size_t table)
{
    return table < ARRAY_LEN(tables) ? tables[table].columns->table : "";
}

/* ---- cells ---- */

static void put_text(buf *out, const char *s)
{
    bool formula = s[0] && strchr("=+-@\t\r", s[0]);
    if (!formula && !strpbrk(s, "\",\r\n")) {
        buf_str(out, s);
        return;
    }
    buf_str(out, formula ? "\"'" : "\"");
    for (; *s; s++) {
        if (*s == '"')
            buf_char(out, '"');
        buf_char(out, *s);
    }
    buf_char(out, '"');
}

/* As JSON writes it. js_write_double would write `null` without memory; here that is a failure. */
static void put_real(buf *out, double v)
{
    js *number = isfinite(v) ? js_new_double(v) : NULL;
    if (number)
        js_write(number, JS_COMPACT, out);
    else if (isfinite(v))
        out->failed = true;
    js_free(number);
}

static void put_value(buf *out, const report_column *c, const void *row)
{
    const char *at = (const char *)row + c->offset;
    char text[CLOCK_TEXT];
    if (c->kind == COLUMN_TEXT) {
        put_text(out, *(const char *const *)(const void *)at);
    } else if (c->kind == COLUMN_REAL) {
        put_real(out, *(const double *)(const void *)at);
    } else if (c->kind == COLUMN_COUNT) {
        buf_printf(out, "%llu", (unsigned long long)*(const uint64_t *)(const void *)at);
    } else if (c->kind == COLUMN_FLAG) {
        buf_str(out, *(const bool *)(const void *)at ? "true" : "false");
    } else {
        int64_t v = *(const int64_t *)(const void *)at;
        if (c->kind == COLUMN_TIME && v != 0)
            buf_str(out, clock_utc_text(v, text));
        else if (c->kind == COLUMN_WHOLE && v >= 0)
            buf_printf(out, "%lld", (long long)v);
    }
}

/* ---- documents ---- */

/* The columns of all tables, each name once: the headings of the single file. */
typedef struct headings {
    const char *names[256];
    size_t n;
} headings;

static size_t heading(headings *h, const char *name)
{
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->names[i], name) == 0)
            return i;
    if (h->n < ARRAY_LEN(h->names))
        h->names[h->n++] = name;
    return h->n - 1;
}

static void collect(headings *h, const csv_table *t)
{
    for (size_t i = 0; i < ARRAY_LEN(t->own) && t->own[i]; i++)
        heading(h, t->own[i]);
    for (size_t i = 0; i < t->columns->n; i++)
        heading(h, t->columns->c[i].name);
}

typedef struct writer {
    buf *out;
    const csv_table *t;
    const headings *h;
    bool named; /* with the column `table` */
} writer;

static void write_row(void *user, const char *const *own, const void *row)
{
    const writer *w = user;
    if (w->named)
        buf_str(w->out, w->t->columns->table);
    for (size_t i = 0; i < w->h->n; i++) {
        const char *name = w->h->names[i];
        bool done = false;
        if (i || w->named)
            buf_char(w->out, ',');
        for (size_t k = 0; !done && k < ARRAY_LEN(w->t->own) && w->t->own[k]; k++)
            if (strcmp(w->t->own[k], name) == 0) {
                put_text(w->out, own[k]);
                done = true;
            }
        for (size_t k = 0; !done && k < w->t->columns->n; k++)
            if (strcmp(w->t->columns->c[k].name, name) == 0) {
                put_value(w->out, &w->t->columns->c[k], row);
                done = true;
            }
    }
    buf_str(w->out, "\r\n");
}

static void write_headings(buf *out, const headings *h, bool named)
{
    buf_str(out, named ? "table" : "");
    for (size_t i = 0; i < h->n; i++)
        buf_printf(out, "%s%s", i || named ? "," : "", h->names[i]);
    buf_str(out, "\r\n");
}

void report_csv_table(const report_data *r, size_t table, buf *out)
{
    headings h = { .n = 0 };
    collect(&h, &tables[table]);
    writer w = { out, &tables[table], &h, false };
    write_headings(out, &h, false);
    tables[table].walk(r, write_row, &w);
}

void report_csv(const report_data *r, buf *out)
{
    headings h = { .n = 0 };
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        collect(&h, &tables[i]);
    write_headings(out, &h, true);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        writer w = { out, &tables[i], &h, true };
        tables[i].walk(r, write_row, &w);
    }
}
