/* care.c: purging texts, and checking that the ledger is what it should be. */
#include <string.h>

#include "ledger/ledger_int.h"

status ledger_purge_text(ledger *l, const char *task, uint64_t *n_deleted, error *err)
{
    static const char doing[] = "purging texts";
    /* A text that another task's answers use as well stays until that task is purged. */
    static const char of_task[] =
        "DELETE FROM text WHERE digest IN (SELECT a.text FROM answer a JOIN run r ON r.id = a.run WHERE r.task = ?1"
        " UNION SELECT a.prompt_text FROM answer a JOIN run r ON r.id = a.run WHERE r.task = ?1 UNION SELECT"
        " fixed FROM label WHERE task = ?1) AND digest NOT IN (SELECT a.text FROM answer a JOIN run r ON r.id = a.run"
        " WHERE r.task <> ?1"
        " UNION SELECT a.prompt_text FROM answer a JOIN run r ON r.id = a.run WHERE r.task <> ?1 UNION"
        " SELECT fixed FROM label WHERE task <> ?1)";
    /* secure_delete: the bytes are overwritten, not only unlinked; then the log, which may hold them, is emptied. */
    status s = sql_script(l, doing, err, "PRAGMA secure_delete = ON");
    if (!s)
        s = task ? sql_run(l, doing, err, of_task, "t", task) : sql_run(l, doing, err, "DELETE FROM text", "");
    if (s)
        return s;
    int64_t n = sqlite3_changes64(l->db);
    s = sql_script(l, doing, err, "PRAGMA wal_checkpoint(TRUNCATE)");
    if (!s && n_deleted)
        *n_deleted = (uint64_t)n;
    return s;
}

/* Every row of a pragma that lists faults is one. */
static status expect_none(ledger *l, const char *sql, const char *fine, error *err)
{
    static const char doing[] = "checking it";
    sqlite3_stmt *st = NULL;
    bool more = false;
    status s = sql_open(l, &st, doing, err, sql, "");
    if (!s)
        s = sql_next(l, st, &more, doing, err);
    if (!s && more) {
        const char *word = (const char *)sqlite3_column_text(st, 0);
        if (!word || !fine || strcmp(word, fine) != 0)
            s = fail(err, E_FORMAT, "%s: is damaged: %s", l->path, word ? word : sql);
    }
    sqlite3_finalize(st);
    return s;
}

static status check_texts(ledger *l, error *err)
{
    static const char doing[] = "checking its texts";
    sqlite3_stmt *st = NULL;
    bool more = false;
    status s = sql_open(l, &st, doing, err, "SELECT digest, body FROM text", "");
    while (!s && !(s = sql_next(l, st, &more, doing, err)) && more) {
        const char *want = (const char *)sqlite3_column_text(st, 0), *body = (const char *)sqlite3_column_text(st, 1);
        char is[DIGEST_HEX];
        digest_of(body ? body : "", body ? strlen(body) : 0, is);
        if (!want || strcmp(want, is) != 0)
            s = fail(err, E_FORMAT, "%s: the text %.16s is not what was stored", l->path, want ? want : "?");
    }
    sqlite3_finalize(st);
    return s;
}

status ledger_verify(ledger *l, error *err)
{
    status s = expect_none(l, "PRAGMA integrity_check(1)", "ok", err);
    if (!s)
        s = expect_none(l, "PRAGMA foreign_key_check", NULL, err);
    return s ? s : check_texts(l, err);
}
