#include "cli/ledger_show.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/review.h"
#include "ledger/exchange.h"
#include "plat/clock.h"
#include "plat/machine.h"
#include "task/evidence.h"

/* ---- a row ---- */

/* What is shown with a row of table `of`: the rows of `table` whose `column` is this row's `from`. */
static const struct {
    const char *of, *name, *table, *column, *from;
} related[] = {
    { "run", "machine", "machine", "id", "machine" },
    { "run", "evidence", "evidence", "id", "evidence" },
    { "run", "facts", "fact", "run", "id" },
    { "run", "failures", "failure", "run", "id" },
    { "answer", "run", "run", "id", "run" },
    { "answer", "prompt", "text", "digest", "prompt_text" },
    { "answer", "text", "text", "digest", "text" },
    { "answer", "grades", "grade", "answer", "id" },
    { "answer", "labels", "label", "answer", "id" },
    { "answer", "compared in", "label", "other", "id" },
    { "grade", "answer", "answer", "id", "answer" },
    { "label", "fixed", "text", "digest", "fixed" },
    { "label", "answer", "answer", "id", "answer" },
    { "label", "other", "answer", "id", "other" },
    { "evidence", "runs", "run", "evidence", "id" },
    { "machine", "runs", "run", "machine", "id" },
    { "failure", "run", "run", "id", "run" },
    { "fact", "run", "run", "id", "run" },
    { "decision", "local evidence", "evidence", "id", "local_evidence" },
    { "decision", "cloud evidence", "evidence", "id", "cloud_evidence" },
};

/* {"table":…, "row":{…}, "with":{NAME:[rows]…}} */
static status row_document(ledger *l, const char *table, const char *id, js **out, error *err)
{
    js *rows = NULL, *doc = js_object(), *with = js_object();
    status s = ledger_read_rows(l, table, "id", id, &rows, err);
    const js *row = js_at(rows, 0);
    for (size_t i = 0; !s && i < ARRAY_LEN(related); i++) {
        const char *value = js_text(js_get(row, related[i].from));
        js *more = NULL;
        if (strcmp(related[i].of, table) != 0 || !value || !value[0])
            continue;
        s = ledger_read_rows(l, related[i].table, related[i].column, value, &more, err);
        if (!s && !js_set(with, related[i].name, more))
            s = fail(err, E_NOMEM, "no memory for the row");
    }
    if (!s && !(js_set(doc, "table", js_new_string(table)) && js_set(doc, "row", js_copy(row))))
        s = fail(err, E_NOMEM, "no memory for the row");
    if (!s && !js_set(doc, "with", with))
        s = fail(err, E_NOMEM, "no memory for the row");
    else if (s)
        js_free(with);
    js_free(rows);
    if (s)
        js_free(doc);
    else
        *out = doc;
    return s;
}

static void print_value(const char *key, const js *v)
{
    int64_t us;
    char when[CLOCK_TEXT];
    buf b = BUF_INIT(64 << 20);
    if (strcmp(key, "at_us") == 0 && js_int(v, &us)) {
        printf("%s\n", clock_utc_text(us, when));
        return;
    }
    if (js_is(v, JS_STRING)) {
        cli_print_text(js_text(v), "                 ");
    } else {
        js_write(v, JS_COMPACT, &b);
        fputs(js_is(v, JS_NULL) ? "not known" : buf_text(&b), stdout);
        buf_clear(&b);
    }
    putchar('\n');
}

static void print_fields(const js *row, const char *indent)
{
    js_member m = { 0 };
    while (js_next(row, &m)) {
        if (strcmp(m.key, "table") == 0)
            continue;
        printf("%s%-13s ", indent, strcmp(m.key, "at_us") == 0 ? "at" : m.key);
        print_value(m.key, m.value);
    }
}

/* Rows of few words stand on one line each. */
static const struct {
    const char *name, *fields[4];
} in_a_line[] = {
    { "facts", { "name", "value", "unit" } },
    { "failures", { "case_id", "kind", "sentence" } },
    { "runs", { "id", "task", "provider", "model_name" } },
};

static bool print_line(const char *name, const js *row)
{
    for (size_t i = 0; i < ARRAY_LEN(in_a_line); i++) {
        if (strcmp(in_a_line[i].name, name) != 0)
            continue;
        for (size_t k = 0; k < ARRAY_LEN(in_a_line[i].fields) && in_a_line[i].fields[k]; k++) {
            const char *text = js_text(js_get(row, in_a_line[i].fields[k])); /* a number's too */
            fputs("  ", stdout);
            cli_print_text(text ? text : "?", "  ");
        }
        putchar('\n');
        return true;
    }
    return false;
}

static void print_related(const char *name, const js *rows)
{
    static const char *const missing[] = { "prompt", "text", "fixed" };
    printf("%s%s%s\n", cli_style(1, "\033[1m"), name, cli_style(1, "\033[0m"));
    for (size_t i = 0; js_len(rows) == 0 && i < ARRAY_LEN(missing); i++)
        if (strcmp(name, missing[i]) == 0)
            printf("  purged\n");
    for (size_t i = 0; i < js_len(rows); i++) {
        const js *row = js_at(rows, i), *body = js_get(row, "body");
        if (print_line(name, row))
            continue;
        if (i)
            printf("\n");
        if (!body) {
            print_fields(row, "  ");
            continue;
        }
        fputs("  ", stdout);
        cli_print_text(js_is(body, JS_STRING) ? js_text(body) : "(not UTF-8: see --json)", "  ");
        putchar('\n');
    }
}

static void print_row(const js *doc)
{
    js_member m = { 0 };
    printf("%s%s%s\n", cli_style(1, "\033[1m"), js_text(js_get(doc, "table")), cli_style(1, "\033[0m"));
    print_fields(js_get(doc, "row"), "  ");
    while (js_next(js_get(doc, "with"), &m))
        if (js_len(m.value) || strcmp(m.key, "prompt") == 0 || strcmp(m.key, "text") == 0)
            print_related(m.key, m.value);
}

static int show_row(ledger *l, const char *table, const char *id, bool json)
{
    error err = { 0 };
    js *doc = NULL;
    if (row_document(l, table, id, &doc, &err))
        return report("ledger", &err);
    if (json)
        return cli_print_json(doc, "ledger");
    print_row(doc);
    js_free(doc);
    return EXIT_OK;
}

/* ---- a task ---- */

/* One evidence: whether its answers are what would be asked today. */
typedef struct standing {
    bool current, counted;
    uint32_t n, n_pass; /* counted: cases that match today's prompts and graders */
    char why[512];      /* "" unless something is stale */
} standing;

static status count_current(ledger *l, const task *t, const ledger_source *src, standing *out, error *err)
{
    review_side side = { 0 };
    status s = review_side_open(l, t, src, &side, err);
    if (s)
        return s;
    out->counted = true;
    out->n = side.tally.n;
    out->n_pass = side.tally.n_pass;
    tally_stale_text(&side.tally, out->why, sizeof out->why);
    review_side_close(&side);
    return OK;
}

/* newest: the provider's newest source (src itself, maybe); t NULL: the task's folder is not here. */
static status find_standing(ledger *l, const task *t, const char *sampling, const ledger_source *src,
                            const ledger_source *newest, standing *out, error *err)
{
    ledger_evidence now = newest->evidence;
    *out = (standing){ .current = false };
    if (t && newest == src)
        now.sampling = sampling;
    ledger_evidence_differs(&src->evidence, &now, out->why, sizeof out->why);
    out->current = !out->why[0];
    return out->current && t ? count_current(l, t, src, out, err) : OK;
}

static js *standing_js(const ledger_source *src, const standing *st)
{
    js *o = js_object();
    js_set(o, "provider", js_new_string(src->provider));
    js_set(o, "place", js_new_string(src->place));
    js_set(o, "model", js_new_string(src->model_name));
    js_set(o, "evidence", js_new_string(src->evidence_id));
    js_set(o, "last_us", js_new_int(src->last_us));
    js_set(o, "answers", js_new_int(src->n_answers));
    js_set(o, "current", js_new_bool(st->current));
    js_set(o, "stale_because", js_new_string(st->why));
    js_set(o, "cases", st->counted ? js_new_int(st->n) : js_null());
    js_set(o, "pass", st->counted ? js_new_int(st->n_pass) : js_null());
    return o;
}

static void print_standing(const ledger_source *src, const standing *st)
{
    char when[CLOCK_TEXT];
    printf("    %.12s  %s  %-7s  %u answers", src->evidence_id, clock_utc_text(src->last_us, when),
           st->current ? "current" : "stale", src->n_answers);
    if (st->counted)
        printf(", %u of %u cases right", st->n_pass, st->n);
    printf("%s%s\n", st->why[0] ? st->current ? "; some are stale: " : ": " : "", st->why);
}

/* The newest source of the same provider comes first; find_sources orders them so. */
static const ledger_source *newest_of(const ledger_sources *src, const char *provider)
{
    for (size_t i = 0; i < src->n; i++)
        if (strcmp(src->rows[i].provider, provider) == 0)
            return &src->rows[i];
    return NULL;
}

static status tell_sources(ledger *l, const task *t, const ledger_sources *src, js *list, error *err)
{
    char *sampling = NULL;
    status s = t ? task_sampling_key(t, &sampling, err) : OK;
    for (size_t p = 0; !s && p < src->n; p++) {
        const ledger_source *newest = newest_of(src, src->rows[p].provider);
        if (newest != &src->rows[p])
            continue;
        if (!list) {
            printf("  %s", cli_style(1, "\033[1m"));
            cli_print_text(newest->provider, "");
            printf("%s (%.12s)\n", cli_style(1, "\033[0m"), newest->place);
        }
        for (size_t i = p; !s && i < src->n; i++) {
            standing st;
            if (strcmp(src->rows[i].provider, newest->provider) != 0)
                continue;
            s = find_standing(l, t, sampling, &src->rows[i], newest, &st, err);
            if (!s && list)
                js_push(list, standing_js(&src->rows[i], &st));
            else if (!s)
                print_standing(&src->rows[i], &st);
        }
    }
    mem_free(sampling);
    return s;
}

static void print_decision(const ledger_decisions *d)
{
    char when[CLOCK_TEXT];
    if (!d->n)
        return;
    const ledger_decision *last = &d->rows[d->n - 1];
    printf("  decided    ");
    cli_print_text(last->verdict, "");
    printf(" since %s (%zu decision%s in all)\n", clock_utc_text(last->at_us, when), d->n, d->n == 1 ? "" : "s");
}

static int show_task(ledger *l, const char *id, const task *t, bool json)
{
    error err = { 0 };
    ledger_sources src = { 0 };
    ledger_decisions decisions = { 0 };
    js *list = json ? js_array() : NULL;
    status s = ledger_find_sources(l, id, &src, &err);
    if (!s)
        s = ledger_find_decisions(l, id, &decisions, &err);
    if (!s && !json)
        printf("%s\n", id);
    if (!s)
        s = tell_sources(l, t, &src, list, &err);
    int code = s ? report("ledger", &err) : EXIT_OK;
    if (!s && json) {
        js *doc = js_object();
        js_set(doc, "task", js_new_string(id));
        js_set(doc, "folder", t ? js_new_string(t->dir) : js_null());
        js_set(doc, "decision", decisions.n ? js_new_string(decisions.rows[decisions.n - 1].verdict) : js_null());
        js_set(doc, "evidence", list);
        list = NULL;
        code = cli_print_json(doc, "ledger");
    } else if (!s) {
        print_decision(&decisions);
        if (!t)
            printf("  its folder is not here: today's prompts, graders and sampling were not compared\n");
    }
    js_free(list);
    ledger_sources_close(&src);
    ledger_decisions_close(&decisions);
    return code;
}

/* ---- which of them ---- */

static status has_runs(ledger *l, const char *task_id, bool *out, error *err)
{
    ledger_runs runs = { 0 };
    status s = ledger_find_runs(l, task_id, &runs, err);
    *out = !s && runs.n > 0;
    ledger_runs_close(&runs);
    return s;
}

int ledger_show(ledger *l, const char *word, bool json)
{
    error err = { 0 }, none = { 0 };
    char dir[4096], id[DIGEST_HEX];
    const char *table = NULL;
    task *t = NULL;
    bool known = false;
    if (machine_program_dir(dir, sizeof dir, &err) || has_runs(l, word, &known, &err))
        return report("ledger", &err);
    if (!known) {
        status s = ledger_find_id(l, word, &table, id, &err);
        if (!s)
            return show_row(l, table, id, json);
        if (s != E_NOTFOUND)
            return report("ledger", &err);
    }
    if (task_open(&t, word, dir, &none) == OK && task_load_cases(t, &none) != OK)
        task_close(&t);
    if (!known && t && has_runs(l, t->id, &known, &err))
        known = false;
    int code = EXIT_INPUT;
    if (known)
        code = show_task(l, t ? t->id : word, t, json);
    else
        fprintf(stderr, "hearth ledger: '%s' is neither a task that was measured nor the beginning of an id\n", word);
    task_close(&t);
    return code;
}
