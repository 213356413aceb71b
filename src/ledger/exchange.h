/* exchange.h: the ledger's rows as they are, by table and column: looked up, exported, imported. Owner thread.
 *
 * JSON Lines, one row an object, in an order in which every row comes after those it refers to:
 *   {"table":"hearth-ledger","schema":2}
 *   {"table":"machine","id":"…","at_us":…, …}
 *   …                             then evidence, run, text, answer, grade, failure, fact, label, decision
 *   {"table":"end","rows":N}      N: the rows between the two
 * Keys are the columns of schema.c. A number that is not known is null; a text that is not UTF-8 is {"hex":"…"}.
 * What is exported is one moment of the ledger, whatever other processes append meanwhile. */
#ifndef LEDGER_EXCHANGE_H
#define LEDGER_EXCHANGE_H

#include "base/js.h"
#include "ledger/ledger.h"

/* Rows of a table as an array of objects, oldest first: those whose `column` is `value`. The table and the column are
 * named by the caller's code, never by a stranger. */
status ledger_read_rows(ledger *l, const char *table, const char *column, const char *value, js **out,
                        error *err) MUST_CHECK;

/* Rows that a table has. */
status ledger_count_rows(ledger *l, const char *table, uint64_t *out, error *err) MUST_CHECK;
/* The tables' names, in the order of an exported file; NULL from the last one on. */
const char *ledger_table_name(size_t i);

/* The row whose id begins with `prefix` (4 characters or more): its table (static) and id. E_NOTFOUND; E_RANGE: several
 * do, and the sentence names some. */
status ledger_find_id(ledger *l, const char *prefix, const char **table, char id[DIGEST_HEX], error *err) MUST_CHECK;

/* Which part: the runs of one task (NULL: of all) that began at or after since_us, with all that belongs to them or
 * that they need; decisions by their own time. */
typedef struct ledger_part {
    const char *task;
    int64_t since_us;
} ledger_part;
typedef status ledger_write_fn(void *user, const char *bytes, size_t n, error *err);
/* *n_rows may be NULL. */
status ledger_export_jsonl(ledger *l, const ledger_part *part, ledger_write_fn *write, void *user, uint64_t *n_rows,
                           error *err) MUST_CHECK;
/* For spreadsheets (RFC 4180, with a line of names): one line for each answer and grade (an answer without a grade has
 * one line), with the answer's text where it is stored. What is not known is empty. A text that begins with one of
 * = + - @ TAB CR LF gets an apostrophe before it, so that no spreadsheet takes it for a formula. */
status ledger_export_csv(ledger *l, const ledger_part *part, ledger_write_fn *write, void *user, uint64_t *n_rows,
                         error *err) MUST_CHECK;

/* Gives up to `room` bytes; *n = 0 at the end. */
typedef status ledger_read_fn(void *user, char *bytes, size_t room, size_t *n, error *err);
typedef struct ledger_imported {
    uint64_t n_rows, n_new; /* in the file; of those, not in the ledger before */
} ledger_imported;
/* One transaction: all of the file or nothing of it, also after a kill; importing it again adds nothing. Refused
 * (E_FORMAT, "NAME:LINE: …"): another schema, a file without its end, unknown or missing keys, an id that is not the
 * digest of its row (machine, evidence, text), a reference to a row that is not there, a row that the ledger has
 * otherwise. Of two grades of one answer by one grader the one that is there stays. */
status ledger_import(ledger *l, const char *name, ledger_read_fn *read, void *user, ledger_imported *out,
                     error *err) MUST_CHECK;

#endif
