/* export.c: a part of the ledger as JSON Lines, whole, or as CSV, flat. */
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "ledger/exchange.h"
#include "ledger/tables.h"

enum { ROW_BYTES_MAX = 128 << 20 };
static const char doing[] = "exporting";

typedef struct exporter {
    ledger *l;
    const ledger_part *part;
    ledger_write_fn *write;
    void *user;
    uint64_t n_rows;
    buf row;
} exporter;

static status flush_row(exporter *x, error *err)
{
    status s = buf_ok(&x->row, "a row", err);
    if (!s)
        s = x->write(x->user, buf_text(&x->row), x->row.len, err);
    buf_reset(&x->row);
    return s;
}

/* Calls `put` for every row that sql gives of the part. */
static status each_row(exporter *x, const char *sql, void (*put)(exporter *x, sqlite3_stmt *st, const void *with),
                       const void *with, error *err)
{
    sqlite3_stmt *st = NULL;
    bool more = false;
    status s = sql_open(x->l, &st, doing, err, sql, "ti", x->part->task, x->part->since_us);
    while (!s && !(s = sql_next(x->l, st, &more, doing, err)) && more) {
        put(x, st, with);
        x->n_rows++;
        s = flush_row(x, err);
    }
    sqlite3_finalize(st);
    return s;
}

/* All statements of one export see one moment of the ledger. */
static status export_with(exporter *x, status (*rows)(exporter *x, error *err), uint64_t *n_rows, error *err)
{
    status s = sql_script(x->l, doing, err, "BEGIN");
    if (!s)
        s = sql_end(x->l, rows(x, err), doing, err);
    buf_clear(&x->row);
    if (!s && n_rows)
        *n_rows = x->n_rows;
    return s;
}

/* ---- JSON Lines ---- */

static void put_json(exporter *x, sqlite3_stmt *st, const void *with)
{
    table_write_row(with, st, &x->row);
    buf_char(&x->row, '\n');
}

static status export_table(exporter *x, const table *t, error *err)
{
    buf sql = BUF_INIT(1 << 13);
    buf_str(&sql, table_part);
    buf_str(&sql, "SELECT ");
    table_columns(t, &sql);
    buf_printf(&sql, " FROM %s WHERE %s ORDER BY %s", t->name, t->part, t->columns[0].name);
    status s = buf_ok(&sql, "a statement", err);
    if (!s)
        s = each_row(x, buf_text(&sql), put_json, t, err);
    buf_clear(&sql);
    return s;
}

static status json_rows(exporter *x, error *err)
{
    buf_printf(&x->row, "{\"table\":\"" LEDGER_FILE_NAME "\",\"schema\":%d}\n", LEDGER_VERSION);
    status s = flush_row(x, err);
    for (size_t i = 0; !s && i < TABLES; i++)
        s = export_table(x, &table_all[i], err);
    if (s)
        return s;
    buf_printf(&x->row, "{\"table\":\"end\",\"rows\":%llu}\n", (unsigned long long)x->n_rows);
    return flush_row(x, err);
}

status ledger_export_jsonl(ledger *l, const ledger_part *part, ledger_write_fn *write, void *user, uint64_t *n_rows,
                           error *err)
{
    exporter x = { l, part, write, user, 0, BUF_INIT(ROW_BYTES_MAX) };
    return export_with(&x, json_rows, n_rows, err);
}

/* ---- CSV ---- */

static const struct {
    const char *name, *sql;
    bool count; /* -1 is "not known" */
} csv_columns[] = {
    { "task", "run.task", false }, { "case", "answer.case_id", false }, { "repeat", "answer.repeat_no", false },
    { "provider", "run.provider", false }, { "place", "run.place", false }, { "model", "run.model_name", false },
    { "outcome", "grade.outcome", false }, { "score", "grade.score", false },
    { "text", "text.body", false }, { "finish", "answer.finish", false },
    { "prompt_tokens", "answer.n_prompt", true }, { "output_tokens", "answer.n_output", true },
    { "cached_tokens", "answer.n_cached", true }, { "prefill_us", "answer.prefill_us", true },
    { "decode_us", "answer.decode_us", true }, { "ttft_us", "answer.ttft_us", true },
    { "total_us", "answer.total_us", true }, { "mean_logprob", "answer.mean_logprob", false },
    { "answered_us", "answer.at_us", false }, { "graded_us", "grade.at_us", false },
    { "cpu", "machine.cpu", false }, { "threads", "run.threads", false }, { "isa", "run.isa", false },
    { "power", "run.power", false }, { "governor", "run.governor", false }, { "version", "run.version", false },
    { "run", "run.id", false }, { "answer", "answer.id", false }, { "evidence", "run.evidence", false },
    { "grader", "grade.grader", false }, { "detail", "grade.detail", false },
};

static void csv_text(buf *out, const char *text, size_t n)
{
    buf_char(out, '"');
    if (n && strchr("=+-@\t\r\n", text[0]))
        buf_char(out, '\'');
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t len = utf8_decode(text + i, n - i, &code);
        if (text[i] == '"')
            buf_char(out, '"');
        if (len)
            buf_add(out, text + i, len);
        else
            buf_str(out, "\xef\xbf\xbd"); /* U+FFFD: a spreadsheet reads UTF-8 or nothing */
        i += len ? len : 1;
    }
    buf_char(out, '"');
}

static void put_csv(exporter *x, sqlite3_stmt *st, const void *with)
{
    (void)with;
    for (size_t i = 0; i < ARRAY_LEN(csv_columns); i++) {
        int c = (int)i, type = sqlite3_column_type(st, c);
        buf_str(&x->row, i ? "," : "");
        if (type == SQLITE_INTEGER && !(csv_columns[i].count && sqlite3_column_int64(st, c) < 0))
            buf_printf(&x->row, "%lld", (long long)sqlite3_column_int64(st, c));
        else if (type == SQLITE_FLOAT && isfinite(sqlite3_column_double(st, c)))
            js_write_double(&x->row, sqlite3_column_double(st, c));
        else if (type == SQLITE_TEXT && sqlite3_column_bytes(st, c) > 0) {
            const char *text = (const char *)sqlite3_column_text(st, c);
            csv_text(&x->row, text ? text : "", text ? (size_t)sqlite3_column_bytes(st, c) : 0);
        }
    }
    buf_str(&x->row, "\r\n");
}

static status csv_rows(exporter *x, error *err)
{
    buf sql = BUF_INIT(1 << 13);
    buf_str(&sql, table_part);
    for (size_t i = 0; i < ARRAY_LEN(csv_columns); i++) {
        buf_printf(&x->row, "%s%s", i ? "," : "", csv_columns[i].name);
        buf_printf(&sql, "%s %s", i ? "," : "SELECT", csv_columns[i].sql);
    }
    buf_str(&x->row, "\r\n");
    buf_str(&sql, " FROM r JOIN run ON run.id = r.id JOIN machine ON machine.id = run.machine JOIN answer ON"
                  " answer.run = run.id LEFT JOIN grade ON grade.answer = answer.id LEFT JOIN text ON text.digest ="
                  " answer.text ORDER BY answer.id, grade.id");
    status s = buf_ok(&sql, "a statement", err);
    if (!s)
        s = flush_row(x, err);
    if (!s)
        s = each_row(x, buf_text(&sql), put_csv, NULL, err);
    buf_clear(&sql);
    return s;
}

status ledger_export_csv(ledger *l, const ledger_part *part, ledger_write_fn *write, void *user, uint64_t *n_rows,
                         error *err)
{
    exporter x = { l, part, write, user, 0, BUF_INIT(ROW_BYTES_MAX) };
    return export_with(&x, csv_rows, n_rows, err);
}
