/* ledger_int.h: what the files of ledger/ share: the connection, and SQL with arguments. */
#ifndef LEDGER_LEDGER_INT_H
#define LEDGER_LEDGER_INT_H

#include <sqlite3.h>

#include "base/mem.h"
#include "ledger/ledger.h"

struct ledger {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *version; /* version.c; NULL until it is asked */
};

enum { LEDGER_BUSY_MS = 10000 }; /* how long a writer waits for another one */

/* What the rows of a result borrow from. */
struct ledger_memory {
    arena texts;
};
enum { LEDGER_ROWS_MAX = 20 * 1000 * 1000, LEDGER_TEXTS_MAX = 1 << 30 };

/* Turns SQLite's code into a status and a sentence: "ledger.db: the disk is full (while …)". */
status sql_fail(ledger *l, int rc, const char *doing, error *err);

/* Prepares sql and binds one argument for each letter of `types`: t const char * (NULL: ""), i int64_t, d double
 * (NAN: NULL). *out: sqlite3_finalize. */
status sql_open(ledger *l, sqlite3_stmt **out, const char *doing, error *err, const char *sql, const char *types, ...)
    MUST_CHECK;
/* The next row: *more false at the end. */
status sql_next(ledger *l, sqlite3_stmt *s, bool *more, const char *doing, error *err) MUST_CHECK;
/* Runs one statement that gives no rows. */
status sql_run(ledger *l, const char *doing, error *err, const char *sql, const char *types, ...) MUST_CHECK;
/* Several statements without arguments. */
status sql_script(ledger *l, const char *doing, error *err, const char *sql) MUST_CHECK;
/* BEGIN IMMEDIATE; then sql_end with the status so far: commits or rolls back, and returns the first failure. */
status sql_begin(ledger *l, const char *doing, error *err) MUST_CHECK;
status sql_end(ledger *l, status so_far, const char *doing, error *err) MUST_CHECK;

/* A text column copied into memory; NULL becomes "". NULL without memory. */
const char *sql_text(struct ledger_memory *m, sqlite3_stmt *s, int column);

/* ---- ledger.c ---- */
/* Stores a text once; its digest goes to `out`, or "" when there is nothing to keep. */
status text_put(ledger *l, const char *text, bool keep, char out[DIGEST_HEX], error *err) MUST_CHECK;

/* ---- query.c: results of many rows ---- */
struct ledger_memory *rows_memory(void);         /* NULL without memory */
void rows_forget(struct ledger_memory **m);
/* Room for one more row of `size` bytes in *rows (n are there, *room fit). The new row is cleared. NULL: no memory. */
void *rows_grow(void **rows, size_t n, size_t *room, size_t size);
status rows_no_memory(error *err);
/* Fills one cleared row; false without memory. */
typedef bool rows_fill(struct ledger_memory *m, sqlite3_stmt *st, void *row);
typedef struct rows_many {
    void *rows;
    size_t n;
    struct ledger_memory *memory;
} rows_many;
/* All rows of a statement, each of `size` bytes. */
status rows_read(ledger *l, sqlite3_stmt *st, const char *doing, size_t size, rows_fill *fill, rows_many *out,
                 error *err) MUST_CHECK;
void rows_close(void *rows, struct ledger_memory **memory);
/* Reads the text columns from `first` on into the n places of a row. */
bool rows_texts(struct ledger_memory *m, sqlite3_stmt *st, int first, const char **const *to, size_t n);

/* schema.c: makes or migrates the tables (LEDGER_WRITE), or checks that they are of this version (LEDGER_READ). */
status schema_prepare(ledger *l, ledger_mode mode, error *err) MUST_CHECK;

#endif
