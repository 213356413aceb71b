/* schema.c: the tables, their guards, and the way from one version to the next.
 *
 * The statements of `steps` are SQL that SQLite and PostgreSQL both take. The guards (triggers) and pragmas are
 * SQLite's; they are made from lists, because every append-only table has the same ones:
 *   NAME_fixed, NAME_kept   UPDATE and DELETE abort
 *   NAME_once               a second row with the same key is ignored (content-addressed tables) or aborts: so that
 *                           INSERT OR REPLACE, which deletes without asking the other triggers, changes nothing */
#include <stdio.h>
#include <string.h>

#include "ledger/ledger_int.h"
#include "plat/clock.h"

enum { APPLICATION_ID = 0x48525448 }; /* "HRTH" in the file's header */

static const char *const steps[LEDGER_VERSION] = {
    /* 1 */
    "CREATE TABLE machine (id TEXT PRIMARY KEY, at_us BIGINT NOT NULL, cpu TEXT NOT NULL, cores INTEGER NOT NULL,"
    " memory_bytes BIGINT NOT NULL, system TEXT NOT NULL);"
    "CREATE TABLE evidence (id TEXT PRIMARY KEY, at_us BIGINT NOT NULL, source TEXT NOT NULL, model TEXT NOT NULL,"
    " numerics TEXT NOT NULL, kv_type TEXT NOT NULL, context_rule TEXT NOT NULL,"
    " constrained INTEGER NOT NULL CHECK (constrained IN (0, 1)), sampling TEXT NOT NULL);"
    "CREATE TABLE run (id TEXT PRIMARY KEY, at_us BIGINT NOT NULL, machine TEXT NOT NULL REFERENCES machine(id),"
    " evidence TEXT NOT NULL REFERENCES evidence(id), task TEXT NOT NULL, provider TEXT NOT NULL, place TEXT NOT NULL,"
    " model_name TEXT NOT NULL, version TEXT NOT NULL, threads INTEGER NOT NULL, isa TEXT NOT NULL,"
    " power TEXT NOT NULL);"
    "CREATE TABLE text (digest TEXT PRIMARY KEY, at_us BIGINT NOT NULL, body TEXT NOT NULL);"
    "CREATE TABLE answer (id TEXT PRIMARY KEY, at_us BIGINT NOT NULL, run TEXT NOT NULL REFERENCES run(id),"
    " case_id TEXT NOT NULL, repeat_no INTEGER NOT NULL, prompt TEXT NOT NULL, text TEXT NOT NULL,"
    " prompt_text TEXT NOT NULL, finish TEXT NOT NULL, n_prompt BIGINT NOT NULL, n_output BIGINT NOT NULL,"
    " n_cached BIGINT NOT NULL, prefill_us BIGINT NOT NULL, decode_us BIGINT NOT NULL, ttft_us BIGINT NOT NULL,"
    " total_us BIGINT NOT NULL, mean_logprob DOUBLE PRECISION);"
    "CREATE TABLE grade (id TEXT PRIMARY KEY, at_us BIGINT NOT NULL, answer TEXT NOT NULL REFERENCES answer(id),"
    " grader TEXT NOT NULL, score DOUBLE PRECISION NOT NULL CHECK (score >= 0 AND score <= 1),"
    " outcome TEXT NOT NULL CHECK (outcome IN ('pass', 'wrong', 'malformed')));"
    "CREATE TABLE failure (id TEXT PRIMARY KEY, at_us BIGINT NOT NULL, run TEXT NOT NULL REFERENCES run(id),"
    " case_id TEXT NOT NULL, kind TEXT NOT NULL, sentence TEXT NOT NULL);"
    "CREATE TABLE fact (id TEXT PRIMARY KEY, at_us BIGINT NOT NULL, run TEXT NOT NULL REFERENCES run(id),"
    " name TEXT NOT NULL, value DOUBLE PRECISION NOT NULL, unit TEXT NOT NULL);"
    "CREATE INDEX run_by_task ON run (task, evidence);"
    "CREATE INDEX answer_by_run ON answer (run);"
    "CREATE UNIQUE INDEX grade_by_answer ON grade (answer, grader);"
    "CREATE INDEX failure_by_run ON failure (run);"
    "CREATE INDEX fact_by_run ON fact (run, name);",
    /* 2: what each grader said; how the processor was governed; what people and hearth itself said of answers */
    "ALTER TABLE grade ADD COLUMN detail TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE run ADD COLUMN governor TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE answer ADD COLUMN concurrency INTEGER NOT NULL DEFAULT 1;"
    "CREATE TABLE label (id TEXT PRIMARY KEY, at_us BIGINT NOT NULL, task TEXT NOT NULL, case_id TEXT NOT NULL,"
    " answer TEXT NOT NULL REFERENCES answer(id), other TEXT REFERENCES answer(id), verdict TEXT NOT NULL"
    " CHECK (verdict IN ('accept', 'reject', 'first', 'second', 'tie')), fixed TEXT NOT NULL, who TEXT NOT NULL);"
    "CREATE TABLE decision (id TEXT PRIMARY KEY, at_us BIGINT NOT NULL, task TEXT NOT NULL, verdict TEXT NOT NULL,"
    " local_evidence TEXT REFERENCES evidence(id), cloud_evidence TEXT REFERENCES evidence(id), suite TEXT NOT NULL,"
    " n_win BIGINT NOT NULL, n_tie BIGINT NOT NULL, n_loss BIGINT NOT NULL, n_case BIGINT NOT NULL,"
    " n_pass BIGINT NOT NULL, detail TEXT NOT NULL);"
    "CREATE INDEX label_by_task ON label (task, case_id);"
    "CREATE INDEX decision_by_task ON decision (task);",
    /* 3: what the router is told, and what is seen of routes that are in force */
    "CREATE TABLE policy (id TEXT PRIMARY KEY, at_us BIGINT NOT NULL, number BIGINT NOT NULL, who TEXT NOT NULL,"
    " reason TEXT NOT NULL, digest TEXT NOT NULL, body TEXT NOT NULL);"
    "CREATE TABLE shadow (id TEXT PRIMARY KEY, at_us BIGINT NOT NULL, task TEXT NOT NULL, basis TEXT NOT NULL,"
    " policy BIGINT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('graded', 'agreement')),"
    " local_evidence TEXT REFERENCES evidence(id), cloud_evidence TEXT REFERENCES evidence(id), provider TEXT NOT NULL,"
    " prompt_text TEXT NOT NULL, local_text TEXT NOT NULL, cloud_text TEXT NOT NULL, local_fault TEXT NOT NULL,"
    " cloud_fault TEXT NOT NULL, value DOUBLE PRECISION CHECK (value >= -1 AND value <= 1),"
    " base DOUBLE PRECISION NOT NULL CHECK (base >= 0 AND base <= 1),"
    " base_low DOUBLE PRECISION NOT NULL CHECK (base_low >= 0 AND base_low <= base), cost_usd DOUBLE PRECISION);"
    "CREATE TABLE alarm (id TEXT PRIMARY KEY, at_us BIGINT NOT NULL, task TEXT NOT NULL, basis TEXT NOT NULL,"
    " kind TEXT NOT NULL CHECK (kind IN ('drift', 'malformed', 'log-probability', 'length')),"
    " value DOUBLE PRECISION NOT NULL, level DOUBLE PRECISION NOT NULL, n_seen BIGINT NOT NULL, detail TEXT NOT NULL);"
    "CREATE UNIQUE INDEX policy_by_number ON policy (number);"
    "CREATE INDEX shadow_by_task ON shadow (task, basis);"
    "CREATE INDEX alarm_by_task ON alarm (task);",
};

/* Tables in which a row of the same key says the same thing. */
static const char *const by_content[] = { "machine", "evidence" };
static const char *const by_id[] = { "run", "answer", "grade", "failure", "fact", "label", "decision",
                                    "policy", "shadow", "alarm", "schema_version" };

static status guard(ledger *l, const char *table, bool ignore_again, error *err)
{
    char sql[1024];
    const char *key = strcmp(table, "schema_version") == 0 ? "version" : "id";
    snprintf(sql, sizeof sql,
             "CREATE TRIGGER IF NOT EXISTS %s_fixed BEFORE UPDATE ON %s BEGIN SELECT RAISE(ABORT, 'the ledger is "
             "append only: %s is never changed'); END;"
             "CREATE TRIGGER IF NOT EXISTS %s_kept BEFORE DELETE ON %s BEGIN SELECT RAISE(ABORT, 'the ledger is "
             "append only: %s is never deleted'); END;"
             "CREATE TRIGGER IF NOT EXISTS %s_once BEFORE INSERT ON %s WHEN EXISTS (SELECT 1 FROM %s WHERE %s = NEW.%s)"
             " BEGIN SELECT RAISE(%s); END;",
             table, table, table, table, table, table, table, table, table, key, key,
             ignore_again ? "IGNORE" : "ABORT, 'the ledger is append only: this row is there already'");
    return sql_script(l, "guarding its tables", err, sql);
}

static status guards(ledger *l, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < ARRAY_LEN(by_content); i++)
        s = guard(l, by_content[i], true, err);
    for (size_t i = 0; !s && i < ARRAY_LEN(by_id); i++)
        s = guard(l, by_id[i], false, err);
    if (!s)
        s = sql_script(l, "guarding its tables", err,
                       "CREATE TRIGGER IF NOT EXISTS text_fixed BEFORE UPDATE ON text BEGIN SELECT RAISE(ABORT, "
                       "'the ledger is append only: a text is never changed'); END;"
                       "CREATE TRIGGER IF NOT EXISTS text_once BEFORE INSERT ON text WHEN EXISTS (SELECT 1 FROM text "
                       "WHERE digest = NEW.digest) BEGIN SELECT RAISE(IGNORE); END;");
    return s;
}

static status read_number(ledger *l, const char *sql, int64_t *out, error *err)
{
    sqlite3_stmt *st = NULL;
    bool more = false;
    status s = sql_open(l, &st, "reading its version", err, sql, "");
    if (!s)
        s = sql_next(l, st, &more, "reading its version", err);
    if (!s)
        *out = more ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return s;
}

/* 0: an empty file. Within a transaction: its reads must see one moment of the file. */
static status read_version(ledger *l, int64_t *out, error *err)
{
    int64_t app = 0, tables = 0, mine = 0;
    status s = read_number(l, "PRAGMA application_id", &app, err);
    if (!s)
        s = read_number(l, "SELECT COUNT(*) FROM sqlite_master", &tables, err);
    if (!s)
        s = read_number(l, "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'", &mine,
                        err);
    if (s)
        return s;
    if (tables > 0 && (app != APPLICATION_ID || mine == 0))
        return fail(err, E_FORMAT, "%s: is a database, but not a ledger of hearth", l->path);
    *out = 0;
    return mine ? read_number(l, "SELECT COALESCE(MAX(version), 0) FROM schema_version", out, err) : OK;
}

static status migrate(ledger *l, int64_t from, error *err)
{
    status s = OK;
    if (from == 0) {
        char sql[256];
        snprintf(sql, sizeof sql, "PRAGMA application_id = %d;"
                 "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, at_us BIGINT NOT NULL);", APPLICATION_ID);
        s = sql_script(l, "making the ledger", err, sql);
    }
    for (int64_t v = from; !s && v < LEDGER_VERSION; v++) {
        s = sql_script(l, "making its tables", err, steps[v]);
        if (!s)
            s = sql_run(l, "making its tables", err, "INSERT INTO schema_version (version, at_us) VALUES (?, ?)", "ii",
                        v + 1, clock_utc_us());
    }
    return s ? s : guards(l, err);
}

static status check_version(ledger *l, int64_t version, ledger_mode mode, error *err)
{
    if (version > LEDGER_VERSION)
        return fail(err, E_FORMAT, "%s: was written by a newer hearth (schema %lld, this one knows %d)", l->path,
                    (long long)version, LEDGER_VERSION);
    if (mode == LEDGER_READ && version == 0)
        return fail(err, E_NOTFOUND, "%s: is empty: nothing was measured yet", l->path);
    if (mode == LEDGER_READ && version < LEDGER_VERSION)
        return fail(err, E_UNSUPPORTED, "%s: has schema %lld: `hearth measure` or `hearth ledger list` brings it to %d",
                    l->path, (long long)version, LEDGER_VERSION);
    return OK;
}

status schema_prepare(ledger *l, ledger_mode mode, error *err)
{
    int64_t version = 0;
    status s = sql_script(l, "reading its version", err, "BEGIN");
    if (s)
        return s;
    s = sql_end(l, read_version(l, &version, err), "reading its version", err);
    if (!s)
        s = check_version(l, version, mode, err);
    if (s || version == LEDGER_VERSION)
        return s;
    s = sql_begin(l, "making its tables", err);
    if (s)
        return s;
    s = read_version(l, &version, err); /* again: another process may have been first */
    if (!s)
        s = check_version(l, version, mode, err);
    if (!s && version < LEDGER_VERSION)
        s = migrate(l, version, err);
    return sql_end(l, s, "making its tables", err);
}
