/* tables.c: every table's columns, rows as JSON, and the row that an id names. */
#include "ledger/tables.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/js.h"
#include "base/utf8.h"
#include "ledger/exchange.h"

const char table_part[] =
    "WITH r AS (SELECT id, machine, evidence FROM run WHERE (?1 = '' OR task = ?1) AND at_us >= ?2),"
    " a AS (SELECT id, text, prompt_text FROM answer WHERE run IN (SELECT id FROM r)),"
    " l AS (SELECT id, fixed FROM label WHERE answer IN (SELECT id FROM a) AND (other IS NULL OR other IN"
    " (SELECT id FROM a))),"
    " d AS (SELECT id, local_evidence, cloud_evidence FROM decision WHERE (?1 = '' OR task = ?1) AND at_us >= ?2),"
    " h AS (SELECT id, local_evidence, cloud_evidence, prompt_text, local_text, cloud_text FROM shadow"
    " WHERE (?1 = '' OR task = ?1) AND at_us >= ?2) ";

#define OF_RUN "run IN (SELECT id FROM r)"
const table table_all[TABLES] = {
    { "machine", "id IN (SELECT machine FROM r)", true, 6,
      { { "id", COLUMN_DIGEST }, { "at_us", COLUMN_TIME }, { "cpu", COLUMN_WORD }, { "cores", COLUMN_COUNT },
        { "memory_bytes", COLUMN_COUNT }, { "system", COLUMN_WORD } } },
    { "evidence",
      "id IN (SELECT evidence FROM r UNION SELECT local_evidence FROM d UNION SELECT cloud_evidence FROM d"
      " UNION SELECT local_evidence FROM h UNION SELECT cloud_evidence FROM h)", true, 9,
      { { "id", COLUMN_DIGEST }, { "at_us", COLUMN_TIME }, { "source", COLUMN_WORD }, { "model", COLUMN_WORD },
        { "numerics", COLUMN_WORD }, { "kv_type", COLUMN_WORD }, { "context_rule", COLUMN_WORD },
        { "constrained", COLUMN_COUNT }, { "sampling", COLUMN_WORD } } },
    { "run", "id IN (SELECT id FROM r)", false, 13,
      { { "id", COLUMN_ID }, { "at_us", COLUMN_TIME }, { "machine", COLUMN_DIGEST }, { "evidence", COLUMN_DIGEST },
        { "task", COLUMN_WORD }, { "provider", COLUMN_WORD }, { "place", COLUMN_WORD }, { "model_name", COLUMN_WORD },
        { "version", COLUMN_WORD }, { "threads", COLUMN_COUNT }, { "isa", COLUMN_WORD }, { "power", COLUMN_WORD },
        { "governor", COLUMN_WORD } } },
    { "text", "digest IN (SELECT text FROM a UNION SELECT prompt_text FROM a UNION SELECT fixed FROM l UNION"
      " SELECT prompt_text FROM h UNION SELECT local_text FROM h UNION SELECT cloud_text FROM h)", true, 3,
      { { "digest", COLUMN_DIGEST }, { "at_us", COLUMN_TIME }, { "body", COLUMN_BODY } } },
    { "answer", OF_RUN, false, 18,
      { { "id", COLUMN_ID }, { "at_us", COLUMN_TIME }, { "run", COLUMN_ID }, { "case_id", COLUMN_WORD },
        { "repeat_no", COLUMN_COUNT }, { "prompt", COLUMN_WORD }, { "text", COLUMN_STORED },
        { "prompt_text", COLUMN_STORED }, { "finish", COLUMN_WORD }, { "n_prompt", COLUMN_COUNT },
        { "n_output", COLUMN_COUNT }, { "n_cached", COLUMN_COUNT }, { "prefill_us", COLUMN_COUNT },
        { "decode_us", COLUMN_COUNT }, { "ttft_us", COLUMN_COUNT }, { "total_us", COLUMN_COUNT },
        { "mean_logprob", COLUMN_UNSURE }, { "concurrency", COLUMN_COUNT } } },
    { "grade", "answer IN (SELECT id FROM a)", false, 7,
      { { "id", COLUMN_ID }, { "at_us", COLUMN_TIME }, { "answer", COLUMN_ID }, { "grader", COLUMN_WORD },
        { "score", COLUMN_VALUE }, { "outcome", COLUMN_WORD }, { "detail", COLUMN_WORD } } },
    { "failure", OF_RUN, false, 6,
      { { "id", COLUMN_ID }, { "at_us", COLUMN_TIME }, { "run", COLUMN_ID }, { "case_id", COLUMN_WORD },
        { "kind", COLUMN_WORD }, { "sentence", COLUMN_WORD } } },
    { "fact", OF_RUN, false, 6,
      { { "id", COLUMN_ID }, { "at_us", COLUMN_TIME }, { "run", COLUMN_ID }, { "name", COLUMN_WORD },
        { "value", COLUMN_VALUE }, { "unit", COLUMN_WORD } } },
    { "label", "id IN (SELECT id FROM l)", false, 9,
      { { "id", COLUMN_ID }, { "at_us", COLUMN_TIME }, { "task", COLUMN_WORD }, { "case_id", COLUMN_WORD },
        { "answer", COLUMN_ID }, { "other", COLUMN_OTHER }, { "verdict", COLUMN_WORD }, { "fixed", COLUMN_STORED },
        { "who", COLUMN_WORD } } },
    { "decision", "id IN (SELECT id FROM d)", false, 13,
      { { "id", COLUMN_ID }, { "at_us", COLUMN_TIME }, { "task", COLUMN_WORD }, { "verdict", COLUMN_WORD },
        { "local_evidence", COLUMN_OTHER }, { "cloud_evidence", COLUMN_OTHER }, { "suite", COLUMN_WORD },
        { "n_win", COLUMN_COUNT }, { "n_tie", COLUMN_COUNT }, { "n_loss", COLUMN_COUNT }, { "n_case", COLUMN_COUNT },
        { "n_pass", COLUMN_COUNT }, { "detail", COLUMN_WORD } } },
    { "shadow", "id IN (SELECT id FROM h)", false, 18,
      { { "id", COLUMN_ID }, { "at_us", COLUMN_TIME }, { "task", COLUMN_WORD }, { "basis", COLUMN_DIGEST },
        { "policy", COLUMN_COUNT }, { "kind", COLUMN_WORD }, { "local_evidence", COLUMN_OTHER },
        { "cloud_evidence", COLUMN_OTHER }, { "provider", COLUMN_WORD }, { "prompt_text", COLUMN_STORED },
        { "local_text", COLUMN_STORED }, { "cloud_text", COLUMN_STORED }, { "local_fault", COLUMN_WORD },
        { "cloud_fault", COLUMN_WORD }, { "value", COLUMN_UNSURE }, { "base", COLUMN_VALUE },
        { "base_low", COLUMN_VALUE }, { "cost_usd", COLUMN_UNSURE } } },
    { "alarm", "(?1 = '' OR task = ?1) AND at_us >= ?2", false, 9,
      { { "id", COLUMN_ID }, { "at_us", COLUMN_TIME }, { "task", COLUMN_WORD }, { "basis", COLUMN_DIGEST },
        { "kind", COLUMN_WORD }, { "value", COLUMN_VALUE }, { "level", COLUMN_VALUE }, { "n_seen", COLUMN_COUNT },
        { "detail", COLUMN_WORD } } },
};

const table *table_find(const char *name)
{
    for (size_t i = 0; i < TABLES; i++)
        if (strcmp(table_all[i].name, name) == 0)
            return &table_all[i];
    return NULL;
}

void table_columns(const table *t, buf *sql)
{
    for (size_t i = 0; i < t->n; i++)
        buf_printf(sql, "%s%s", i ? ", " : "", t->columns[i].name);
}

static void write_text(const char *text, size_t n, buf *out)
{
    if (utf8_valid(text, n)) {
        js_write_string(out, text, n);
        return;
    }
    buf_str(out, "{\"hex\":\"");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%02x", (unsigned char)text[i]);
    buf_str(out, "\"}");
}

void table_write_row(const table *t, sqlite3_stmt *st, buf *out)
{
    buf_printf(out, "{\"table\":\"%s\"", t->name);
    for (size_t i = 0; i < t->n; i++) {
        int c = (int)i;
        buf_printf(out, ",\"%s\":", t->columns[i].name);
        if (sqlite3_column_type(st, c) == SQLITE_NULL)
            buf_str(out, "null");
        else if (t->columns[i].kind == COLUMN_TIME || t->columns[i].kind == COLUMN_COUNT)
            buf_printf(out, "%lld", (long long)sqlite3_column_int64(st, c));
        else if (t->columns[i].kind == COLUMN_VALUE || t->columns[i].kind == COLUMN_UNSURE)
            js_write_double(out, sqlite3_column_double(st, c));
        else {
            const char *text = (const char *)sqlite3_column_text(st, c);
            write_text(text ? text : "", text ? (size_t)sqlite3_column_bytes(st, c) : 0, out);
        }
    }
    buf_char(out, '}');
}

status ledger_read_rows(ledger *l, const char *name, const char *column, const char *value, js **out, error *err)
{
    enum { ROWS_BYTES_MAX = 256 << 20 };
    static const char doing[] = "reading rows";
    const table *t = table_find(name);
    buf sql = BUF_INIT(1 << 12), text = BUF_INIT(ROWS_BYTES_MAX);
    sqlite3_stmt *st = NULL;
    bool more = false;
    buf_str(&sql, "SELECT ");
    table_columns(t, &sql);
    buf_printf(&sql, " FROM %s WHERE %s = ? ORDER BY %s", t->name, column, t->columns[0].name);
    status s = buf_ok(&sql, "a statement", err);
    if (!s)
        s = sql_open(l, &st, doing, err, buf_text(&sql), "t", value);
    buf_char(&text, '[');
    while (!s && !(s = sql_next(l, st, &more, doing, err)) && more) {
        buf_str(&text, text.len > 1 ? "," : "");
        table_write_row(t, st, &text);
    }
    buf_char(&text, ']');
    sqlite3_finalize(st);
    if (!s)
        s = buf_ok(&text, "the ledger's rows", err);
    if (!s)
        s = js_parse(out, buf_text(&text), text.len, l->path, 1, err);
    buf_clear(&sql);
    buf_clear(&text);
    return s;
}

status ledger_count_rows(ledger *l, const char *name, uint64_t *out, error *err)
{
    static const char doing[] = "counting rows";
    char sql[80];
    sqlite3_stmt *st = NULL;
    bool more = false;
    snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM %s", table_find(name)->name);
    status s = sql_open(l, &st, doing, err, sql, "");
    if (!s)
        s = sql_next(l, st, &more, doing, err);
    if (!s)
        *out = (uint64_t)sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return s;
}

const char *ledger_table_name(size_t i)
{
    return i < TABLES ? table_all[i].name : NULL;
}

/* ---- ids ---- */

enum { PREFIX_BYTES_MIN = 4 };

static status read_prefix(const char *prefix, char low[DIGEST_HEX], error *err)
{
    size_t n = strlen(prefix);
    if (n < PREFIX_BYTES_MIN || n >= DIGEST_HEX || strspn(prefix, "0123456789abcdefABCDEF-") != n)
        return fail(err, E_NOTFOUND, "'%.80s' is no id: %d to 64 characters of 0-9, a-f and '-'", prefix,
                    PREFIX_BYTES_MIN);
    for (size_t i = 0; i <= n; i++)
        low[i] = (char)tolower((unsigned char)prefix[i]);
    return OK;
}

/* What people name by its id, and what only if nothing of that begins so: a case's answer and its grade are written in
 * one millisecond, and so begin alike. text is not looked for: its digest names no row that says anything by itself. */
static const char *const named[2][7] = {
    { "run", "answer", "evidence", "machine", "label", "decision", NULL },
    { "grade", "failure", "fact", NULL },
};

typedef struct found_id {
    int n;
    const char *table;
    char id[DIGEST_HEX], several[256];
} found_id;

static status look_for_id(ledger *l, const char *const *names, const char *low, found_id *out, error *err)
{
    static const char doing[] = "looking for an id";
    buf sql = BUF_INIT(1 << 12);
    sqlite3_stmt *st = NULL;
    bool more = false;
    for (size_t i = 0; names[i]; i++)
        buf_printf(&sql, "%sSELECT '%s', id FROM %s WHERE id >= ?1 AND id < ?1 || 'g'", i ? " UNION ALL " : "",
                   names[i], names[i]);
    buf_str(&sql, " LIMIT 4");
    status s = buf_ok(&sql, "a statement", err);
    if (!s)
        s = sql_open(l, &st, doing, err, buf_text(&sql), "t", low);
    while (!s && !(s = sql_next(l, st, &more, doing, err)) && more) {
        const char *t = (const char *)sqlite3_column_text(st, 0), *id = (const char *)sqlite3_column_text(st, 1);
        const table *of = table_find(t ? t : "");
        size_t at = strlen(out->several);
        out->table = of ? of->name : "";
        snprintf(out->id, sizeof out->id, "%s", id ? id : "");
        snprintf(out->several + at, sizeof out->several - at, "%s%s %s", out->n++ ? ", " : "", out->table, out->id);
    }
    sqlite3_finalize(st);
    buf_clear(&sql);
    return s;
}

status ledger_find_id(ledger *l, const char *prefix, const char **name, char id[DIGEST_HEX], error *err)
{
    char low[DIGEST_HEX];
    found_id found = { 0 };
    status s = read_prefix(prefix, low, err);
    for (size_t i = 0; !s && found.n == 0 && i < ARRAY_LEN(named); i++)
        s = look_for_id(l, named[i], low, &found, err);
    if (s)
        return s;
    if (found.n == 0)
        return fail(err, E_NOTFOUND, "%s: no id begins with '%s'", l->path, low);
    if (found.n > 1)
        return fail(err, E_RANGE, "%d%s ids begin with '%s': %s", found.n, found.n == 4 ? " or more" : "", low,
                    found.several);
    *name = found.table;
    memcpy(id, found.id, sizeof found.id);
    return OK;
}
