/* version.c: whether somebody has written since. */
#include "ledger/ledger_int.h"

/* SQLite's data_version of this connection: another number after another connection's commit, in this process or in
 * another (sqlite.org/pragma.html#pragma_data_version). Its own commits do not count, so a watcher only reads. */
status ledger_version(ledger *l, uint64_t *out, error *err)
{
    static const char doing[] = "asking whether it changed";
    bool more = false;
    status s = l->version ? OK : sql_open(l, &l->version, doing, err, "PRAGMA data_version", "");
    if (!s)
        s = sql_next(l, l->version, &more, doing, err);
    if (!s)
        *out = (uint64_t)sqlite3_column_int64(l->version, 0);
    if (l->version)
        sqlite3_reset(l->version); /* ends the reading: a checkpoint is not kept waiting */
    return s;
}
