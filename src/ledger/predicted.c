/* predicted.c: predictions beside what was measured afterwards. */
#include <math.h>
#include <string.h>

#include "ledger/ledger_int.h"

static bool fill_prediction(struct ledger_memory *m, sqlite3_stmt *st, void *row)
{
    ledger_prediction *r = row;
    const char **const texts[] = { &r->name, &r->run, &r->task, &r->model_name, &r->version, &r->numerics, &r->isa,
                                   &r->power };
    int at = (int)ARRAY_LEN(texts);
    r->predicted = sqlite3_column_double(st, at);
    r->measured = sqlite3_column_double(st, at + 1);
    r->threads = (int)sqlite3_column_int64(st, at + 2);
    r->at_us = sqlite3_column_int64(st, at + 3);
    r->others = sqlite3_column_type(st, at + 4) == SQLITE_NULL ? NAN : sqlite3_column_double(st, at + 4);
    return rows_texts(m, st, 0, texts, ARRAY_LEN(texts));
}

status ledger_find_predictions(ledger *l, const char *machine, ledger_predictions *out, error *err)
{
    static const char doing[] = "reading what was predicted";
    static const char sql[] =
        "SELECT q.name, r.id, r.task, r.model_name, r.version, e.numerics, r.isa, r.power, p.value, q.value,"
        " r.threads, p.at_us,"
        " (SELECT MAX(o.value) FROM fact o WHERE o.run = p.run AND o.name = '" LEDGER_OTHERS "')"
        " FROM fact p JOIN fact q ON q.run = p.run AND p.name = '" LEDGER_PREDICTED "' || q.name"
        " JOIN run r ON r.id = p.run JOIN evidence e ON e.id = r.evidence"
        " WHERE (? = '' OR r.machine = ?) ORDER BY p.id";
    sqlite3_stmt *st = NULL;
    rows_many got;
    status s = sql_open(l, &st, doing, err, sql, "tt", machine, machine);
    if (!s)
        s = rows_read(l, st, doing, sizeof *out->rows, fill_prediction, &got, err);
    sqlite3_finalize(st);
    if (!s)
        *out = (ledger_predictions){ got.rows, got.n, got.memory };
    return s;
}

void ledger_predictions_close(ledger_predictions *r)
{
    rows_close(r->rows, &r->memory);
    *r = (ledger_predictions){ 0 };
}
