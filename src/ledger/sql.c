/* sql.c: statements with arguments, and what SQLite's refusals mean to a user. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "ledger/ledger_int.h"

status sql_fail(ledger *l, int rc, const char *doing, error *err)
{
    const char *says = l->db ? sqlite3_errmsg(l->db) : sqlite3_errstr(rc);
    int sys = l->db ? sqlite3_system_errno(l->db) : 0;
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return fail(err, E_NOMEM, "%s: no memory (while %s)", l->path, doing);
    case SQLITE_FULL:
        return fail(err, E_IO, "%s: the disk is full (while %s); what was finished is kept: free some space and run "
                    "the same command again", l->path, doing);
    case SQLITE_IOERR: {
        /* SQLite keeps no errno of a failed write to the log: mostly a full disk, a quota or a limit on file sizes. */
        bool reading = rc == SQLITE_IOERR_READ || rc == SQLITE_IOERR_SHORT_READ;
        return fail(err, E_IO, "%s: cannot %s: %s (while %s); what was finished is kept", l->path,
                    reading ? "read" : "write (is the disk full?)", sys ? strerror(sys) : says, doing);
    }
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return fail(err, E_IO, "%s: %s%s%s (while %s)", l->path, says, sys ? ": " : "", sys ? strerror(sys) : "",
                    doing);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return fail(err, E_EXISTS, "%s: another process holds the ledger (while %s): try again", l->path, doing);
    case SQLITE_NOTADB:
        return fail(err, E_FORMAT, "%s: is not a ledger (no SQLite file)", l->path);
    case SQLITE_CORRUPT:
        return fail(err, E_FORMAT, "%s: is damaged: %s (while %s)", l->path, says, doing);
    case SQLITE_CONSTRAINT:
        return fail(err, E_DENIED, "%s: %s (while %s)", l->path, says, doing);
    default:
        return fail(err, E_IO, "%s: %s (while %s)", l->path, says, doing);
    }
}

static int bind(sqlite3_stmt *s, const char *types, va_list args)
{
    int rc = SQLITE_OK;
    for (int i = 1; rc == SQLITE_OK && *types; i++, types++) {
        if (*types == 't') {
            const char *t = va_arg(args, const char *);
            rc = sqlite3_bind_text(s, i, t ? t : "", -1, SQLITE_TRANSIENT);
        } else if (*types == 'i') {
            rc = sqlite3_bind_int64(s, i, va_arg(args, int64_t));
        } else {
            double d = va_arg(args, double);
            rc = isnan(d) ? sqlite3_bind_null(s, i) : sqlite3_bind_double(s, i, d);
        }
    }
    return rc;
}

static status open_v(ledger *l, sqlite3_stmt **out, const char *doing, error *err, const char *sql, const char *types,
                     va_list args)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(l->db, sql, -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = bind(s, types, args);
    if (rc != SQLITE_OK) {
        status why = sql_fail(l, rc, doing, err);
        sqlite3_finalize(s);
        return why;
    }
    *out = s;
    return OK;
}

status sql_open(ledger *l, sqlite3_stmt **out, const char *doing, error *err, const char *sql, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    status s = open_v(l, out, doing, err, sql, types, args);
    va_end(args);
    return s;
}

status sql_next(ledger *l, sqlite3_stmt *s, bool *more, const char *doing, error *err)
{
    int rc = sqlite3_step(s);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return sql_fail(l, rc, doing, err);
    *more = rc == SQLITE_ROW;
    return OK;
}

status sql_run(ledger *l, const char *doing, error *err, const char *sql, const char *types, ...)
{
    sqlite3_stmt *st = NULL;
    bool more = true;
    va_list args;
    va_start(args, types);
    status s = open_v(l, &st, doing, err, sql, types, args);
    va_end(args);
    while (!s && more)
        s = sql_next(l, st, &more, doing, err);
    sqlite3_finalize(st);
    return s;
}

status sql_script(ledger *l, const char *doing, error *err, const char *sql)
{
    int rc = sqlite3_exec(l->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? OK : sql_fail(l, rc, doing, err);
}

status sql_begin(ledger *l, const char *doing, error *err)
{
    return sql_script(l, doing, err, "BEGIN IMMEDIATE");
}

status sql_end(ledger *l, status so_far, const char *doing, error *err)
{
    if (!so_far)
        so_far = sql_script(l, doing, err, "COMMIT");
    if (so_far && !sqlite3_get_autocommit(l->db)) /* SQLite rolls some failures back by itself */
        sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
    return so_far;
}

const char *sql_text(struct ledger_memory *m, sqlite3_stmt *s, int column)
{
    const char *t = (const char *)sqlite3_column_text(s, column);
    return t ? arena_strndup(&m->texts, t, strlen(t)) : "";
}
