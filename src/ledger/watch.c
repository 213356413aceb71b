/* watch.c: policies, shadows, alarms. Every reader is one statement and one function that fills a row from it. */
#include "ledger/watch.h"

#include <math.h>
#include <string.h>

#include "ledger/ledger_int.h"
#include "plat/clock.h"

/* ---- policies ---- */

static status next_number(ledger *l, int64_t *out, error *err)
{
    static const char doing[] = "reading the policies";
    sqlite3_stmt *st = NULL;
    bool more = false;
    status s = sql_open(l, &st, doing, err, "SELECT COALESCE(MAX(number), 0) + 1 FROM policy", "");
    if (!s)
        s = sql_next(l, st, &more, doing, err);
    if (!s)
        *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return s;
}

status ledger_append_policy(ledger *l, const ledger_policy *p, int64_t *number, error *err)
{
    static const char doing[] = "appending a policy";
    char id[UUID_TEXT], hex[DIGEST_HEX] = "";
    int64_t n = 0;
    size_t bytes = strlen(p->body);
    if (bytes > LEDGER_POLICY_BYTES_MAX)
        return fail(err, E_RANGE, "a policy of %zu bytes: at most %d", bytes, LEDGER_POLICY_BYTES_MAX);
    digest_of(p->body, bytes, hex);
    status s = hex[0] ? uuid_v7(id, err) : rows_no_memory(err);
    if (!s)
        s = sql_begin(l, doing, err);
    if (s)
        return s;
    s = next_number(l, &n, err);
    if (!s)
        s = sql_run(l, doing, err, "INSERT INTO policy (id, at_us, number, who, reason, digest, body)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)", "tiitttt", id, clock_utc_us(), n, p->who, p->reason, hex, p->body);
    s = sql_end(l, s, doing, err);
    if (!s && number)
        *number = n;
    return s;
}

static bool fill_policy(struct ledger_memory *m, sqlite3_stmt *st, void *row)
{
    ledger_policy *r = row;
    const char **const texts[] = { &r->id, &r->who, &r->reason, &r->digest, &r->body };
    r->at_us = sqlite3_column_int64(st, 5);
    r->number = sqlite3_column_int64(st, 6);
    return rows_texts(m, st, 0, texts, ARRAY_LEN(texts));
}

static status find_policies(ledger *l, const char *sql, ledger_policies *out, error *err)
{
    static const char doing[] = "reading the policies";
    sqlite3_stmt *st = NULL;
    rows_many got;
    status s = sql_open(l, &st, doing, err, sql, "");
    if (!s)
        s = rows_read(l, st, doing, sizeof *out->rows, fill_policy, &got, err);
    sqlite3_finalize(st);
    if (!s)
        *out = (ledger_policies){ got.rows, got.n, got.memory };
    return s;
}

#define POLICY_COLUMNS "SELECT id, who, reason, digest, body, at_us, number FROM policy "

status ledger_find_policies(ledger *l, ledger_policies *out, error *err)
{
    return find_policies(l, POLICY_COLUMNS "ORDER BY number", out, err);
}

status ledger_find_policy(ledger *l, ledger_policies *out, error *err)
{
    return find_policies(l, POLICY_COLUMNS "ORDER BY number DESC LIMIT 1", out, err);
}

void ledger_policies_close(ledger_policies *r)
{
    rows_close(r->rows, &r->memory);
    *r = (ledger_policies){ 0 };
}

/* ---- shadows ---- */

status ledger_append_shadow(ledger *l, const ledger_shadow *x, bool keep_text, error *err)
{
    static const char doing[] = "appending a shadow";
    char id[UUID_TEXT], prompt[DIGEST_HEX], local[DIGEST_HEX], cloud[DIGEST_HEX];
    status s = uuid_v7(id, err);
    if (!s)
        s = sql_begin(l, doing, err);
    if (s)
        return s;
    s = text_put(l, x->prompt_text, keep_text, prompt, err);
    if (!s)
        s = text_put(l, x->local_text, keep_text, local, err);
    if (!s)
        s = text_put(l, x->cloud_text, keep_text, cloud, err);
    if (!s)
        s = sql_run(l, doing, err, "INSERT INTO shadow (id, at_us, task, basis, policy, kind, local_evidence,"
                    " cloud_evidence, provider, prompt_text, local_text, cloud_text, local_fault, cloud_fault, value,"
                    " base, base_low, cost_usd) VALUES (?, ?, ?, ?, ?, ?, NULLIF(?, ''), NULLIF(?, ''), ?, ?, ?, ?, ?,"
                    " ?, ?, ?, ?, ?)", "titti" "tttt" "ttttt" "dddd", id, clock_utc_us(), x->task, x->basis, x->policy,
                    x->kind, x->local_evidence, x->cloud_evidence, x->provider, prompt, local, cloud, x->local_fault,
                    x->cloud_fault, x->value, x->base, x->base_low, x->cost_usd);
    return sql_end(l, s, doing, err);
}

static double number_or_nan(sqlite3_stmt *st, int column)
{
    return sqlite3_column_type(st, column) == SQLITE_NULL ? NAN : sqlite3_column_double(st, column);
}

static bool fill_shadow(struct ledger_memory *m, sqlite3_stmt *st, void *row)
{
    ledger_shadow *r = row;
    const char **const texts[] = { &r->id, &r->task, &r->basis, &r->kind, &r->local_evidence, &r->cloud_evidence,
                                   &r->provider, &r->prompt_text, &r->local_text, &r->cloud_text, &r->local_fault,
                                   &r->cloud_fault };
    int at = (int)ARRAY_LEN(texts);
    r->at_us = sqlite3_column_int64(st, at);
    r->policy = sqlite3_column_int64(st, at + 1);
    r->value = number_or_nan(st, at + 2);
    r->base = sqlite3_column_double(st, at + 3);
    r->base_low = sqlite3_column_double(st, at + 4);
    r->cost_usd = number_or_nan(st, at + 5);
    return rows_texts(m, st, 0, texts, ARRAY_LEN(texts));
}

status ledger_find_shadows(ledger *l, const char *task, const char *basis, ledger_shadows *out, error *err)
{
    static const char doing[] = "reading shadows";
    static const char sql[] = "SELECT id, task, basis, kind, local_evidence, cloud_evidence, provider, prompt_text,"
                              " local_text, cloud_text, local_fault, cloud_fault, at_us, policy, value, base, base_low,"
                              " cost_usd FROM shadow WHERE task = ? AND (? = '' OR basis = ?) ORDER BY id";
    sqlite3_stmt *st = NULL;
    rows_many got;
    status s = sql_open(l, &st, doing, err, sql, "ttt", task, basis, basis);
    if (!s)
        s = rows_read(l, st, doing, sizeof *out->rows, fill_shadow, &got, err);
    sqlite3_finalize(st);
    if (!s)
        *out = (ledger_shadows){ got.rows, got.n, got.memory };
    return s;
}

void ledger_shadows_close(ledger_shadows *r)
{
    rows_close(r->rows, &r->memory);
    *r = (ledger_shadows){ 0 };
}

/* ---- alarms ---- */

status ledger_append_alarm(ledger *l, const ledger_alarm *a, error *err)
{
    char id[UUID_TEXT];
    status s = uuid_v7(id, err);
    if (s)
        return s;
    return sql_run(l, "appending an alarm", err, "INSERT INTO alarm (id, at_us, task, basis, kind, value, level,"
                   " n_seen, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", "titttddit", id, clock_utc_us(), a->task,
                   a->basis, a->kind, a->value, a->level, (int64_t)a->n, a->detail);
}

static bool fill_alarm(struct ledger_memory *m, sqlite3_stmt *st, void *row)
{
    ledger_alarm *r = row;
    const char **const texts[] = { &r->id, &r->task, &r->basis, &r->kind, &r->detail };
    r->at_us = sqlite3_column_int64(st, 5);
    r->value = sqlite3_column_double(st, 6);
    r->level = sqlite3_column_double(st, 7);
    r->n = (uint64_t)sqlite3_column_int64(st, 8);
    return rows_texts(m, st, 0, texts, ARRAY_LEN(texts));
}

status ledger_find_alarms(ledger *l, const char *task, ledger_alarms *out, error *err)
{
    static const char doing[] = "reading alarms";
    static const char sql[] = "SELECT id, task, basis, kind, detail, at_us, value, level, n_seen FROM alarm"
                              " WHERE (? = '' OR task = ?) ORDER BY id";
    sqlite3_stmt *st = NULL;
    rows_many got;
    status s = sql_open(l, &st, doing, err, sql, "tt", task, task);
    if (!s)
        s = rows_read(l, st, doing, sizeof *out->rows, fill_alarm, &got, err);
    sqlite3_finalize(st);
    if (!s)
        *out = (ledger_alarms){ got.rows, got.n, got.memory };
    return s;
}

void ledger_alarms_close(ledger_alarms *r)
{
    rows_close(r->rows, &r->memory);
    *r = (ledger_alarms){ 0 };
}
