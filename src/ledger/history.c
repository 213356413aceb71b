/* history.c: what happened, in the order in which it did: runs with their facts, labels, decisions. Every reader here
 * is one statement and one function that fills a row from it. */
#include <stdio.h>
#include <string.h>

#include "ledger/ledger_int.h"

/* ---- runs ---- */

static bool fill_run(struct ledger_memory *m, sqlite3_stmt *st, void *row)
{
    ledger_run_row *r = row;
    const char **const texts[] = { &r->id, &r->task, &r->provider, &r->place, &r->model_name, &r->version, &r->isa,
                                   &r->power, &r->governor, &r->machine, &r->cpu, &r->evidence_id,
                                   &r->evidence.source, &r->evidence.model, &r->evidence.numerics,
                                   &r->evidence.kv_type, &r->evidence.context_rule, &r->evidence.sampling };
    int at = (int)ARRAY_LEN(texts);
    r->evidence.constrained = sqlite3_column_int64(st, at) != 0;
    r->at_us = sqlite3_column_int64(st, at + 1);
    r->last_us = sqlite3_column_int64(st, at + 2);
    r->threads = (int)sqlite3_column_int64(st, at + 3);
    r->n_answers = (uint32_t)sqlite3_column_int64(st, at + 4);
    r->n_failures = (uint32_t)sqlite3_column_int64(st, at + 5);
    return rows_texts(m, st, 0, texts, ARRAY_LEN(texts));
}

status ledger_find_runs(ledger *l, const char *task, ledger_runs *out, error *err)
{
    static const char doing[] = "reading the runs";
    static const char sql[] =
        "SELECT r.id, r.task, r.provider, r.place, r.model_name, r.version, r.isa, r.power, r.governor, r.machine,"
        " m.cpu, r.evidence, e.source, e.model, e.numerics, e.kv_type, e.context_rule, e.sampling, e.constrained,"
        " r.at_us, COALESCE((SELECT MAX(a.at_us) FROM answer a WHERE a.run = r.id), r.at_us), r.threads,"
        " (SELECT COUNT(*) FROM answer a WHERE a.run = r.id), (SELECT COUNT(*) FROM failure f WHERE f.run = r.id)"
        " FROM run r JOIN machine m ON m.id = r.machine JOIN evidence e ON e.id = r.evidence"
        " WHERE (? = '' OR r.task = ?) ORDER BY r.id";
    sqlite3_stmt *st = NULL;
    rows_many got;
    status s = sql_open(l, &st, doing, err, sql, "tt", task, task);
    if (!s)
        s = rows_read(l, st, doing, sizeof *out->rows, fill_run, &got, err);
    sqlite3_finalize(st);
    if (!s)
        *out = (ledger_runs){ got.rows, got.n, got.memory };
    return s;
}

void ledger_runs_close(ledger_runs *r)
{
    rows_close(r->rows, &r->memory);
    *r = (ledger_runs){ 0 };
}

/* ---- facts ---- */

static bool fill_fact(struct ledger_memory *m, sqlite3_stmt *st, void *row)
{
    ledger_fact *r = row;
    const char **const texts[] = { &r->name, &r->unit };
    r->value = sqlite3_column_double(st, 2);
    return rows_texts(m, st, 0, texts, ARRAY_LEN(texts));
}

status ledger_find_facts(ledger *l, const char *run, ledger_facts *out, error *err)
{
    static const char doing[] = "reading the facts of a run";
    sqlite3_stmt *st = NULL;
    rows_many got;
    status s = sql_open(l, &st, doing, err, "SELECT name, unit, value FROM fact WHERE run = ? ORDER BY id", "t", run);
    if (!s)
        s = rows_read(l, st, doing, sizeof *out->rows, fill_fact, &got, err);
    sqlite3_finalize(st);
    if (!s)
        *out = (ledger_facts){ got.rows, got.n, got.memory };
    return s;
}

void ledger_facts_close(ledger_facts *r)
{
    rows_close(r->rows, &r->memory);
    *r = (ledger_facts){ 0 };
}

/* ---- labels ---- */

static ledger_verdict verdict_of(const char *word)
{
    for (ledger_verdict v = LABEL_ACCEPT; v <= LABEL_TIE; v++)
        if (word && strcmp(word, ledger_verdict_name(v)) == 0)
            return v;
    return LABEL_REJECT; /* the table's own check admits no other word */
}

static bool fill_label(struct ledger_memory *m, sqlite3_stmt *st, void *row)
{
    ledger_label *r = row;
    const char **const texts[] = { &r->id, &r->task, &r->case_id, &r->answer, &r->other, &r->fixed, &r->who };
    r->verdict = verdict_of((const char *)sqlite3_column_text(st, 7));
    r->at_us = sqlite3_column_int64(st, 8);
    return rows_texts(m, st, 0, texts, ARRAY_LEN(texts));
}

status ledger_find_labels(ledger *l, const char *task, ledger_labels *out, error *err)
{
    static const char doing[] = "reading labels";
    static const char sql[] = "SELECT id, task, case_id, answer, other, fixed, who, verdict, at_us FROM label"
                              " WHERE (? = '' OR task = ?) ORDER BY id";
    sqlite3_stmt *st = NULL;
    rows_many got;
    status s = sql_open(l, &st, doing, err, sql, "tt", task, task);
    if (!s)
        s = rows_read(l, st, doing, sizeof *out->rows, fill_label, &got, err);
    sqlite3_finalize(st);
    if (!s)
        *out = (ledger_labels){ got.rows, got.n, got.memory };
    return s;
}

void ledger_labels_close(ledger_labels *r)
{
    rows_close(r->rows, &r->memory);
    *r = (ledger_labels){ 0 };
}

/* ---- decisions ---- */

static bool fill_decision(struct ledger_memory *m, sqlite3_stmt *st, void *row)
{
    ledger_decision *r = row;
    const char **const texts[] = { &r->id, &r->task, &r->verdict, &r->local_evidence, &r->cloud_evidence, &r->suite,
                                   &r->detail };
    uint64_t *const counts[] = { &r->win, &r->tie, &r->loss, &r->n, &r->n_pass };
    int at = (int)ARRAY_LEN(texts);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        *counts[i] = (uint64_t)sqlite3_column_int64(st, at + (int)i);
    r->at_us = sqlite3_column_int64(st, at + (int)ARRAY_LEN(counts));
    return rows_texts(m, st, 0, texts, ARRAY_LEN(texts));
}

status ledger_find_decisions(ledger *l, const char *task, ledger_decisions *out, error *err)
{
    static const char doing[] = "reading decisions";
    static const char sql[] = "SELECT id, task, verdict, local_evidence, cloud_evidence, suite, detail, n_win, n_tie,"
                              " n_loss, n_case, n_pass, at_us FROM decision WHERE (? = '' OR task = ?) ORDER BY id";
    sqlite3_stmt *st = NULL;
    rows_many got;
    status s = sql_open(l, &st, doing, err, sql, "tt", task, task);
    if (!s)
        s = rows_read(l, st, doing, sizeof *out->rows, fill_decision, &got, err);
    sqlite3_finalize(st);
    if (!s)
        *out = (ledger_decisions){ got.rows, got.n, got.memory };
    return s;
}

void ledger_decisions_close(ledger_decisions *r)
{
    rows_close(r->rows, &r->memory);
    *r = (ledger_decisions){ 0 };
}

status ledger_find_verdict(ledger *l, const char *task, char *out, size_t bytes, error *err)
{
    static const char doing[] = "reading the newest decision";
    sqlite3_stmt *st = NULL;
    bool more = false;
    status s = sql_open(l, &st, doing, err, "SELECT verdict FROM decision WHERE task = ? ORDER BY id DESC LIMIT 1", "t",
                        task);
    if (!s)
        s = sql_next(l, st, &more, doing, err);
    if (!s && !more)
        s = fail(err, E_NOTFOUND, "nothing was decided of task %s yet", task);
    if (!s) {
        const char *word = (const char *)sqlite3_column_text(st, 0);
        snprintf(out, bytes, "%s", word ? word : "");
    }
    sqlite3_finalize(st);
    return s;
}

/* ---- a grade's detail ---- */

status ledger_find_detail(ledger *l, const char *answer, const char *grader, char **out, error *err)
{
    static const char doing[] = "reading a grade's detail";
    sqlite3_stmt *st = NULL;
    bool more = false;
    char *copy = NULL;
    status s = sql_open(l, &st, doing, err, "SELECT detail FROM grade WHERE answer = ? AND grader = ?", "tt", answer,
                        grader);
    if (!s)
        s = sql_next(l, st, &more, doing, err);
    if (!s && !more)
        s = fail(err, E_NOTFOUND, "answer %s has no such grade", answer);
    if (!s) {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        copy = mem_strdup(text ? text : "");
        s = copy ? OK : rows_no_memory(err);
    }
    sqlite3_finalize(st);
    if (!s)
        *out = copy;
    return s;
}
