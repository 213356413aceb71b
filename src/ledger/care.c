/* care.c: purging texts, and checking that the ledger is what it should be. */
#include <string.h>

#include "ledger/ledger_int.h"

/* A process that reads an older moment of the ledger keeps the log from being emptied: SQLite says so in a row, and in
 * no error. */
static status empty_log(ledger *l, error *err)
{
    enum { READER_MS_MAX = 2000 };
    static const char doing[] = "emptying the log";
    sqlite3_stmt *st = NULL;
    bool more = false;
    sqlite3_busy_timeout(l->db, READER_MS_MAX);
    status s = sql_open(l, &st, doing, err, "PRAGMA wal_checkpoint(TRUNCATE)", "");
    if (!s)
        s = sql_next(l, st, &more, doing, err);
    if (!s && more && sqlite3_column_int64(st, 0) != 0)
        s = fail(err, E_EXISTS, "%s: the texts are deleted, but another process still reads the log that held them: "
                 "run this again when it has ended", l->path);
    sqlite3_finalize(st);
    sqlite3_busy_timeout(l->db, LEDGER_BUSY_MS);
    return s;
}

status ledger_purge_text(ledger *l, const char *task, uint64_t *n_deleted, error *err)
{
    static const char doing[] = "purging texts";
    /* A text that another task's answers use as well stays until that task is purged. */
    static const char of_task[] =
        "DELETE FROM text WHERE digest IN (SELECT a.text FROM answer a JOIN run r ON r.id = a.run WHERE r.task = ?1"
        " UNION SELECT a.prompt_text FROM answer a JOIN run r ON r.id = a.run WHERE r.task = ?1 UNION SELECT"
        " fixed FROM label WHERE task = ?1 UNION SELECT prompt_text FROM shadow WHERE task = ?1 UNION SELECT local_text"
        " FROM shadow WHERE task = ?1 UNION SELECT cloud_text FROM shadow WHERE task = ?1) AND digest NOT IN"
        " (SELECT a.text FROM answer a JOIN run r ON r.id = a.run"
        " WHERE r.task <> ?1"
        " UNION SELECT a.prompt_text FROM answer a JOIN run r ON r.id = a.run WHERE r.task <> ?1 UNION"
        " SELECT fixed FROM label WHERE task <> ?1 UNION SELECT prompt_text FROM shadow WHERE task <> ?1 UNION SELECT"
        " local_text FROM shadow WHERE task <> ?1 UNION SELECT cloud_text FROM shadow WHERE task <> ?1)";
    /* secure_delete: the bytes are overwritten, not only unlinked; then the log, which may hold them, is emptied. */
    status s = sql_script(l, doing, err, "PRAGMA secure_delete = ON");
    if (!s)
        s = task ? sql_run(l, doing, err, of_task, "t", task) : sql_run(l, doing, err, "DELETE FROM text", "");
    if (s)
        return s;
    int64_t n = sqlite3_changes64(l->db);
    s = empty_log(l, err);
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

/* ---- the schema ---- */

/* Whether `in` has this row of sqlite_master: *n of its type and name, *same of the same SQL. */
static status find_schema(ledger *in, sqlite3_stmt *row, int64_t *n, int64_t *same, error *err)
{
    static const char doing[] = "checking its tables";
    static const char sql[] = "SELECT COUNT(*), COALESCE(SUM(sql = ?3), 0) FROM sqlite_master WHERE type = ?1 AND"
                              " name = ?2";
    sqlite3_stmt *st = NULL;
    bool more = false;
    status s = sql_open(in, &st, doing, err, sql, "ttt", sqlite3_column_text(row, 0), sqlite3_column_text(row, 1),
                        sqlite3_column_text(row, 2));
    if (!s)
        s = sql_next(in, st, &more, doing, err);
    *n = s ? 0 : sqlite3_column_int64(st, 0);
    *same = s ? 0 : sqlite3_column_int64(st, 1);
    sqlite3_finalize(st);
    return s;
}

/* Each row of from's schema, looked for in the other one. What a ledger has more than the model (an index, a table of
 * somebody else's) is no fault, except triggers: they act. */
static status compare_schema(ledger *from, ledger *in, bool from_model, error *err)
{
    static const char doing[] = "checking its tables";
    sqlite3_stmt *st = NULL;
    bool more = false;
    int64_t n, same;
    status s = sql_open(from, &st, doing, err, "SELECT type, name, sql FROM sqlite_master WHERE sql <> ''"
                        " ORDER BY type, name", "");
    while (!s && !(s = sql_next(from, st, &more, doing, err)) && more && !(s = find_schema(in, st, &n, &same, err))) {
        const char *type = (const char *)sqlite3_column_text(st, 0), *name = (const char *)sqlite3_column_text(st, 1);
        if (from_model && !same)
            s = fail(err, E_FORMAT, "%s: the %s '%s' %s", in->path, type, name,
                     n ? "is not as hearth makes it" : "is missing");
        else if (!from_model && n == 0 && strcmp(type, "trigger") == 0)
            s = fail(err, E_FORMAT, "%s: the trigger '%s' is not hearth's", from->path, name);
    }
    sqlite3_finalize(st);
    return s;
}

static status check_schema(ledger *l, error *err)
{
    ledger model = { .path = l->path };
    int rc = sqlite3_open(":memory:", &model.db);
    status s = rc == SQLITE_OK ? schema_prepare(&model, LEDGER_WRITE, err) : sql_fail(&model, rc, "checking it", err);
    if (!s)
        s = compare_schema(&model, l, true, err);
    if (!s)
        s = compare_schema(l, &model, false, err);
    sqlite3_close(model.db);
    return s;
}

/* ---- ids that are digests ---- */

static void evidence_id(sqlite3_stmt *st, char id[DIGEST_HEX])
{
    const char *f[6];
    for (int i = 0; i < 6; i++)
        f[i] = (const char *)sqlite3_column_text(st, i + 1);
    ledger_evidence e = { f[0], f[1], f[2], f[3], f[4], sqlite3_column_int64(st, 7) != 0, f[5] };
    ledger_evidence_id(&e, id);
}

static void machine_id(sqlite3_stmt *st, char id[DIGEST_HEX])
{
    ledger_machine m = { (const char *)sqlite3_column_text(st, 1), (int)sqlite3_column_int64(st, 2),
                         (uint64_t)sqlite3_column_int64(st, 3), NULL };
    ledger_machine_id(&m, id);
}

static void text_id(sqlite3_stmt *st, char id[DIGEST_HEX])
{
    const char *body = (const char *)sqlite3_column_text(st, 1);
    digest_of(body ? body : "", body ? (size_t)sqlite3_column_bytes(st, 1) : 0, id);
}

static const struct {
    const char *name, *sql;
    void (*id)(sqlite3_stmt *st, char id[DIGEST_HEX]);
} by_digest[] = {
    { "text", "SELECT digest, body FROM text", text_id },
    { "evidence", "SELECT id, source, model, numerics, kv_type, context_rule, sampling, constrained FROM evidence",
      evidence_id },
    { "machine", "SELECT id, cpu, cores, memory_bytes FROM machine", machine_id },
};

static status check_ids(ledger *l, size_t at, error *err)
{
    static const char doing[] = "checking its texts";
    sqlite3_stmt *st = NULL;
    bool more = false;
    status s = sql_open(l, &st, doing, err, by_digest[at].sql, "");
    while (!s && !(s = sql_next(l, st, &more, doing, err)) && more) {
        const char *want = (const char *)sqlite3_column_text(st, 0);
        char is[DIGEST_HEX] = "";
        by_digest[at].id(st, is);
        if (!is[0])
            s = fail(err, E_NOMEM, "no memory for a digest");
        else if (!want || strcmp(want, is) != 0)
            s = fail(err, E_FORMAT, "%s: the %s %.16s is not what was stored", l->path, by_digest[at].name,
                     want ? want : "?");
    }
    sqlite3_finalize(st);
    return s;
}

status ledger_verify(ledger *l, error *err)
{
    status s = expect_none(l, "PRAGMA integrity_check(1)", "ok", err);
    if (!s)
        s = expect_none(l, "PRAGMA foreign_key_check", NULL, err);
    if (!s)
        s = check_schema(l, err);
    if (!s)
        s = expect_none(l, "SELECT 'grade ' || id || ' has a score outside 0 to 1' FROM grade WHERE NOT (score >= 0 AND"
                        " score <= 1) LIMIT 1", NULL, err);
    for (size_t i = 0; !s && i < ARRAY_LEN(by_digest); i++)
        s = check_ids(l, i, err);
    return s;
}
