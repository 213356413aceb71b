/* ledger.c: opening, and everything that appends. */
#include "ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger/ledger_int.h"
#include "plat/clock.h"
#include "plat/paths.h"

/* ---- open ---- */

/* Closing any descriptor of a file drops all locks that this process has on it, SQLite's of other threads too; another
 * process could then take the log away under them. So a file that is there is never opened here, and one that is being
 * made is not yet anybody's: its maker holds this. */
static pthread_mutex_t claiming = PTHREAD_MUTEX_INITIALIZER;

static status make_file(const char *path, error *err)
{
    status s = path_make_parents(path, err);
    if (s)
        return s;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_CREAT | O_EXCL, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0 || errno == EEXIST ? OK : fail(err, E_IO, "%s: %s", path, strerror(errno));
}

/* The file is there and is the owner's alone before SQLite sees it: its -wal and -shm copy that mode. */
static status claim_file(const char *path, ledger_mode mode, error *err)
{
    struct stat st;
    status s = OK;
    if (stat(path, &st) != 0 && errno == ENOENT && mode == LEDGER_WRITE)
        s = make_file(path, err);
    if (s)
        return s;
    if (stat(path, &st) != 0)
        return errno == ENOENT ? fail(err, E_NOTFOUND, "%s: is not there: nothing was measured yet", path)
                               : fail(err, E_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(err, E_IO, "%s: is not a plain file", path);
    if (access(path, R_OK) != 0)
        return fail(err, E_IO, "%s: %s", path, strerror(errno));
    if ((st.st_mode & 077) && st.st_uid == geteuid() && chmod(path, 0600) != 0 && mode == LEDGER_WRITE)
        return fail(err, E_IO, "%s: others may read it, and that cannot be changed: %s", path, strerror(errno));
    return OK;
}

enum { BUSY_STEP_MS = 5 };

/* The switch to a write-ahead log does not ask the busy handler: of several first openings all but one would fail. */
static status use_write_ahead_log(ledger *l, error *err)
{
    int rc = SQLITE_BUSY;
    for (int waited_ms = 0; (rc & 0xff) == SQLITE_BUSY && waited_ms <= LEDGER_BUSY_MS; waited_ms += BUSY_STEP_MS) {
        if (waited_ms)
            sqlite3_sleep(BUSY_STEP_MS);
        rc = sqlite3_exec(l->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    }
    return rc == SQLITE_OK ? OK : sql_fail(l, rc, "opening it", err);
}

static status open_database(ledger *l, ledger_mode mode, error *err)
{
    int rc = sqlite3_open_v2(l->path, &l->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL);
    if (rc != SQLITE_OK)
        return sql_fail(l, rc, "opening it", err);
    sqlite3_extended_result_codes(l->db, 1);
    sqlite3_busy_timeout(l->db, LEDGER_BUSY_MS);
    /* A ledger is data from a stranger as much as any file: its schema may call nothing. FULL: a case that was
     * appended survives a power cut, for one fsync a case. */
    static const char writing[] = "PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON;"
                                  "PRAGMA recursive_triggers = ON; PRAGMA synchronous = FULL;";
    static const char reading[] = "PRAGMA trusted_schema = OFF; PRAGMA query_only = ON;";
    status s = sql_script(l, "opening it", err, mode == LEDGER_WRITE ? writing : reading);
    return s || mode == LEDGER_READ ? s : use_write_ahead_log(l, err);
}

status ledger_open(ledger **out, const char *path, ledger_mode mode, error *err)
{
    status s = OK;
    ledger *l = mem_zero(sizeof *l);
    if (!l)
        return fail(err, E_NOMEM, "no memory for the ledger");
    if (path) {
        l->path = mem_strdup(path);
        if (!l->path)
            s = fail(err, E_NOMEM, "no memory for the ledger");
    } else {
        s = path_of(&l->path, PATH_DATA, "ledger.db", err);
    }
    if (!s) {
        pthread_mutex_lock(&claiming);
        s = claim_file(l->path, mode, err);
        pthread_mutex_unlock(&claiming);
    }
    if (!s)
        s = open_database(l, mode, err);
    if (!s)
        s = schema_prepare(l, mode, err);
    if (s) {
        ledger_close(&l);
        return s;
    }
    *out = l;
    return OK;
}

void ledger_close(ledger **l)
{
    if (!*l)
        return;
    sqlite3_finalize((*l)->version);
    sqlite3_close(((*l)->db));
    mem_free((*l)->path);
    mem_free(*l);
    *l = NULL;
}

const char *ledger_path(const ledger *l)
{
    return l->path;
}

/* ---- ids made of content ---- */

static void add_text(digest *d, const char *s)
{
    digest_field(d, s ? s : "", s ? strlen(s) : 0);
}

static void add_number(digest *d, uint64_t n)
{
    char text[24];
    add_text(d, (snprintf(text, sizeof text, "%llu", (unsigned long long)n), text));
}

static void close_hex(digest **d, char out[DIGEST_HEX])
{
    uint8_t bytes[DIGEST_BYTES] = { 0 };
    digest_close(d, bytes);
    digest_hex(bytes, out);
}

void ledger_evidence_id(const ledger_evidence *e, char out[DIGEST_HEX])
{
    out[0] = 0;
    digest *d = digest_open();
    if (!d)
        return;
    const char *fields[] = { "evidence 1", e->source, e->model, e->numerics, e->kv_type, e->context_rule,
                             e->constrained ? "1" : "0", e->sampling };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        add_text(d, fields[i]);
    close_hex(&d, out);
}

void ledger_machine_id(const ledger_machine *m, char out[DIGEST_HEX])
{
    out[0] = 0;
    digest *d = digest_open();
    if (!d)
        return;
    /* Not the system: a kernel update does not make it another machine. Memory in whole GiB: what a kernel reports as
     * total differs a little from boot to boot. */
    add_text(d, "machine 1");
    add_text(d, m->cpu);
    add_number(d, (uint64_t)m->cores);
    add_number(d, (m->memory_bytes + (1u << 29)) >> 30);
    close_hex(&d, out);
}

/* ---- append ---- */

static const char *const outcomes[] = { "pass", "wrong", "malformed" };

const char *ledger_outcome_name(ledger_outcome o)
{
    return (unsigned)o < ARRAY_LEN(outcomes) ? outcomes[o] : "wrong";
}

status ledger_begin(ledger *l, const ledger_run *run, const ledger_evidence *e, char id[UUID_TEXT], error *err)
{
    static const char doing[] = "beginning a run";
    char machine[DIGEST_HEX], evidence[DIGEST_HEX], new_id[UUID_TEXT];
    const ledger_machine *m = &run->machine;
    int64_t now = clock_utc_us();
    ledger_machine_id(m, machine);
    ledger_evidence_id(e, evidence);
    if (!machine[0] || !evidence[0])
        return fail(err, E_NOMEM, "no memory for a digest");
    status s = uuid_v7(new_id, err);
    if (!s)
        s = sql_begin(l, doing, err);
    if (s)
        return s;
    s = sql_run(l, doing, err, "INSERT INTO machine (id, at_us, cpu, cores, memory_bytes, system)"
                " VALUES (?, ?, ?, ?, ?, ?)", "titiit", machine, now, m->cpu, (int64_t)m->cores,
                (int64_t)m->memory_bytes, m->system);
    if (!s)
        s = sql_run(l, doing, err, "INSERT INTO evidence (id, at_us, source, model, numerics, kv_type, context_rule,"
                    " constrained, sampling) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", "titttttit", evidence, now,
                    e->source, e->model, e->numerics, e->kv_type, e->context_rule, (int64_t)e->constrained,
                    e->sampling);
    if (!s)
        s = sql_run(l, doing, err, "INSERT INTO run (id, at_us, machine, evidence, task, provider, place, model_name,"
                    " version, threads, isa, power, governor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    "tittttttt" "ittt",
                    new_id, now, machine, evidence, run->task, run->provider, run->place, run->model, run->version,
                    (int64_t)run->threads, run->isa, run->power, run->governor);
    s = sql_end(l, s, doing, err);
    if (!s)
        memcpy(id, new_id, UUID_TEXT);
    return s;
}

static const char *const verdicts[] = { "accept", "reject", "first", "second", "tie" };

const char *ledger_verdict_name(ledger_verdict v)
{
    return (unsigned)v < ARRAY_LEN(verdicts) ? verdicts[v] : "reject";
}

status text_put(ledger *l, const char *text, bool keep, char out[DIGEST_HEX], error *err)
{
    out[0] = 0;
    if (!keep || !text)
        return OK;
    digest_of(text, strlen(text), out);
    return sql_run(l, "storing a text", err, "INSERT INTO text (digest, at_us, body) VALUES (?, ?, ?)", "tit", out,
                   clock_utc_us(), text);
}

static status put_grade(ledger *l, const char *answer, const ledger_grade *g, error *err)
{
    char id[UUID_TEXT];
    if (!(g->score >= 0 && g->score <= 1))
        return fail(err, E_RANGE, "a score of %g: scores are 0 to 1", g->score);
    status s = uuid_v7(id, err);
    if (s)
        return s;
    return sql_run(l, "appending a grade", err, "INSERT INTO grade (id, at_us, answer, grader, score, outcome,"
                   " detail) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (answer, grader) DO NOTHING", "tittdtt", id,
                   clock_utc_us(), answer, g->grader, g->score, ledger_outcome_name(g->outcome), g->detail);
}

status ledger_append_answer(ledger *l, const char *run, const ledger_answer *a, const ledger_grade *grade,
                            char id[UUID_TEXT], error *err)
{
    static const char doing[] = "appending an answer";
    char new_id[UUID_TEXT], text[DIGEST_HEX], prompt[DIGEST_HEX];
    status s = uuid_v7(new_id, err);
    if (!s)
        s = sql_begin(l, doing, err);
    if (s)
        return s;
    s = text_put(l, a->text, a->keep_text, text, err);
    if (!s)
        s = text_put(l, a->prompt_text, a->keep_text, prompt, err);
    if (!s)
        s = sql_run(l, doing, err, "INSERT INTO answer (id, at_us, run, case_id, repeat_no, prompt, text, prompt_text,"
                    " finish, n_prompt, n_output, n_cached, prefill_us, decode_us, ttft_us, total_us, mean_logprob,"
                    " concurrency) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    "titti" "tttt" "iiiiiii" "di", new_id,
                    clock_utc_us(), run, a->case_id, (int64_t)a->repeat, a->prompt, text, prompt, a->finish,
                    a->n_prompt, a->n_output, a->n_cached, a->prefill_us, a->decode_us, a->ttft_us, a->total_us,
                    a->mean_logprob, (int64_t)(a->concurrency ? a->concurrency : 1));
    if (!s && grade)
        s = put_grade(l, new_id, grade, err);
    s = sql_end(l, s, doing, err);
    if (!s)
        memcpy(id, new_id, UUID_TEXT);
    return s;
}

status ledger_append_grade(ledger *l, const char *answer, const ledger_grade *grade, error *err)
{
    return put_grade(l, answer, grade, err);
}

status ledger_append_failure(ledger *l, const char *run, const char *case_id, const char *kind, const char *sentence,
                             error *err)
{
    char id[UUID_TEXT];
    status s = uuid_v7(id, err);
    if (s)
        return s;
    return sql_run(l, "appending a failure", err, "INSERT INTO failure (id, at_us, run, case_id, kind, sentence)"
                   " VALUES (?, ?, ?, ?, ?, ?)", "tit" "ttt", id, clock_utc_us(), run, case_id, kind, sentence);
}

status ledger_append_fact(ledger *l, const char *run, const char *name, double value, const char *unit, error *err)
{
    char id[UUID_TEXT];
    if (!isfinite(value))
        return fail(err, E_RANGE, "fact %s: not a number", name);
    status s = uuid_v7(id, err);
    if (s)
        return s;
    return sql_run(l, "appending a fact", err, "INSERT INTO fact (id, at_us, run, name, value, unit)"
                   " VALUES (?, ?, ?, ?, ?, ?)", "titt" "dt", id, clock_utc_us(), run, name, value, unit);
}

/* ---- what was said of answers ---- */

status ledger_append_label(ledger *l, const ledger_label *label, bool keep_text, error *err)
{
    static const char doing[] = "appending a label";
    char id[UUID_TEXT], fixed[DIGEST_HEX];
    bool pair = label->other && label->other[0];
    status s = uuid_v7(id, err);
    if (!s)
        s = sql_begin(l, doing, err);
    if (s)
        return s;
    s = text_put(l, label->fixed, keep_text, fixed, err);
    if (!s)
        s = sql_run(l, doing, err, "INSERT INTO label (id, at_us, task, case_id, answer, other, verdict, fixed, who)"
                    " VALUES (?, ?, ?, ?, ?, NULLIF(?, ''), ?, ?, ?)", "titt" "ttttt", id, clock_utc_us(), label->task,
                    label->case_id, label->answer, pair ? label->other : "", ledger_verdict_name(label->verdict), fixed,
                    label->who);
    return sql_end(l, s, doing, err);
}

/* Of equal conclusions only the first is a fact: the day on which it became true. */
static status same_as_newest(ledger *l, const ledger_decision *d, bool *same, error *err)
{
    static const char sql[] =
        "SELECT 1 FROM (SELECT * FROM decision WHERE task = ? ORDER BY id DESC LIMIT 1) d WHERE d.verdict = ? AND"
        " COALESCE(d.local_evidence, '') = ? AND COALESCE(d.cloud_evidence, '') = ? AND d.suite = ? AND d.n_win = ? AND"
        " d.n_tie = ? AND d.n_loss = ? AND d.n_case = ? AND d.n_pass = ? AND d.detail = ?";
    sqlite3_stmt *st = NULL;
    status s = sql_open(l, &st, "reading the newest decision", err, sql, "ttttt" "iiiii" "t", d->task, d->verdict,
                        d->local_evidence, d->cloud_evidence, d->suite, (int64_t)d->win, (int64_t)d->tie,
                        (int64_t)d->loss, (int64_t)d->n, (int64_t)d->n_pass, d->detail);
    if (!s)
        s = sql_next(l, st, same, "reading the newest decision", err);
    sqlite3_finalize(st);
    return s;
}

status ledger_append_decision(ledger *l, const ledger_decision *d, bool *written, error *err)
{
    static const char doing[] = "appending a decision";
    char id[UUID_TEXT];
    bool same = false;
    status s = uuid_v7(id, err);
    if (!s)
        s = sql_begin(l, doing, err);
    if (s)
        return s;
    s = same_as_newest(l, d, &same, err);
    if (!s && !same)
        s = sql_run(l, doing, err, "INSERT INTO decision (id, at_us, task, verdict, local_evidence, cloud_evidence,"
                    " suite, n_win, n_tie, n_loss, n_case, n_pass, detail) VALUES (?, ?, ?, ?, NULLIF(?, ''),"
                    " NULLIF(?, ''), ?, ?, ?, ?, ?, ?, ?)", "titt" "ttt" "iiiii" "t", id, clock_utc_us(), d->task,
                    d->verdict, d->local_evidence, d->cloud_evidence, d->suite, (int64_t)d->win, (int64_t)d->tie,
                    (int64_t)d->loss, (int64_t)d->n, (int64_t)d->n_pass, d->detail);
    s = sql_end(l, s, doing, err);
    if (!s && written)
        *written = !same;
    return s;
}
