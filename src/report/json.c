/* json.c: the data as one JSON document: every column of every row. */
#include <string.h>

#include "plat/clock.h"
#include "report/report_int.h"

static js *value_js(const report_column *c, const void *row)
{
    const char *at = (const char *)row + c->offset;
    char text[CLOCK_TEXT];
    switch (c->kind) {
    case COLUMN_TEXT: return js_new_string(*(const char *const *)(const void *)at);
    case COLUMN_COUNT: return js_new_int((int64_t)*(const uint64_t *)(const void *)at);
    case COLUMN_WHOLE: {
        int64_t v = *(const int64_t *)(const void *)at;
        return v < 0 ? js_null() : js_new_int(v);
    }
    case COLUMN_REAL: return js_new_double(*(const double *)(const void *)at); /* NAN is null */
    case COLUMN_TIME: {
        int64_t v = *(const int64_t *)(const void *)at;
        return v == 0 ? js_null() : js_new_string(clock_utc_text(v, text));
    }
    case COLUMN_FLAG: return js_new_bool(*(const bool *)(const void *)at);
    }
    return NULL;
}

static js *row_js(const report_columns *t, const void *row)
{
    js *o = js_object();
    bool ok = o != NULL;
    for (size_t i = 0; ok && i < t->n; i++)
        ok = js_set(o, t->c[i].name, value_js(&t->c[i], row));
    if (ok)
        return o;
    js_free(o);
    return NULL;
}

/* n rows of `size` bytes into o[key]. */
static bool put_rows(js *o, const char *key, const report_columns *t, const void *rows, size_t n, size_t size)
{
    js *list = js_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < n; i++)
        ok = js_push(list, row_js(t, (const char *)rows + i * size));
    if (ok)
        return js_set(o, key, list);
    js_free(list);
    return false;
}

static bool put_arms(js *o, const report_task *t)
{
    js *list = js_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < t->n_arms; i++) {
        js *arm = row_js(&report_columns_arm, &t->arms[i]);
        ok = arm && put_rows(arm, "reliability", &report_columns_bin, t->arms[i].bins, t->arms[i].n_bins,
                             sizeof *t->arms[i].bins) &&
             put_rows(arm, "classes", &report_columns_class, t->arms[i].classes, t->arms[i].n_classes,
                      sizeof *t->arms[i].classes) &&
             put_rows(arm, "confusion", &report_columns_confusion, t->arms[i].confusion, t->arms[i].n_confusion,
                      sizeof *t->arms[i].confusion);
        if (ok)
            ok = js_push(list, arm);
        else
            js_free(arm);
    }
    if (ok)
        return js_set(o, "arms", list);
    js_free(list);
    return false;
}

static bool put_answers(js *o, const report_case *c)
{
    js *list = js_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < c->n_answers; i++) {
        const report_answer *a = &c->answers[i];
        js *one = row_js(&report_columns_answer, a);
        ok = one && put_rows(one, "graders", &report_columns_part, a->parts, a->n_parts, sizeof *a->parts);
        if (ok)
            ok = js_push(list, one);
        else
            js_free(one);
    }
    if (ok)
        return js_set(o, "answers", list);
    js_free(list);
    return false;
}

static bool put_cases(js *o, const report_task *t)
{
    js *list = js_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < t->n_listed; i++) {
        const report_case *c = &t->cases[i];
        js *one = row_js(&report_columns_case, c);
        ok = one && put_answers(one, c);
        if (ok)
            ok = js_push(list, one);
        else
            js_free(one);
    }
    if (ok)
        return js_set(o, "cases", list);
    js_free(list);
    return false;
}

static js *task_js(const report_task *t)
{
    js *o = row_js(&report_columns_task, t);
    bool ok = o && put_arms(o, t) &&
              put_rows(o, "history", &report_columns_point, t->points, t->n_points, sizeof *t->points) &&
              put_rows(o, "decisions", &report_columns_change, t->changes, t->n_changes, sizeof *t->changes) &&
              put_rows(o, "preferences", &report_columns_preference, t->preferences, t->n_preferences,
                       sizeof *t->preferences) &&
              put_cases(o, t);
    if (ok)
        return o;
    js_free(o);
    return NULL;
}

js *report_to_js(const report_data *r)
{
    js *doc = row_js(&report_columns_doc, r), *tasks = js_array();
    bool ok = doc && tasks;
    for (size_t i = 0; ok && i < r->n_tasks; i++)
        ok = js_push(tasks, task_js(&r->tasks[i]));
    if (ok) {
        ok = js_set(doc, "tasks", tasks);
        tasks = NULL;
    }
    if (ok)
        return doc;
    js_free(tasks);
    js_free(doc);
    return NULL;
}
