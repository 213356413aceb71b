/* The ledger: what goes in comes out, nothing is ever changed, and neither a kill nor a full disk hurts it. */
#include "lib/check.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "ledger/exchange.h"
#include "fixture.h"
#include "ledger/ledger.h"

static void what_goes_in_comes_out(void **state)
{
    (void)state;
    ledger *l = NULL;
    char run[UUID_TEXT], id[UUID_TEXT], evidence[DIGEST_HEX];
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(ledger_begin(l, &the_run, &the_evidence, run, err));
    ledger_answer a = answer_of("c1", "yes \"quoted\" ''; DROP TABLE answer; \xc3\xa9");
    a.repeat = 2;
    assert_ok(ledger_append_answer(l, run, &a, &passed, id, err));
    assert_ok(append(l, run, "c2", err));
    assert_ok(ledger_append_failure(l, run, "c3", "timeout", "no answer in 120 s", err));
    assert_ok(ledger_append_fact(l, run, "decode_per_s", 41.25, "1/s", err));
    assert_int_equal(ledger_append_fact(l, run, "x", NAN, "1", NULL), E_RANGE);

    ledger_evidence_id(&the_evidence, evidence);
    ledger_rows rows = { 0 };
    assert_ok(ledger_find_answers(l, "demo", evidence, &rows, err));
    assert_int_equal(rows.n, 2);
    assert_string_equal(rows.rows[0].id, id);
    assert_string_equal(rows.rows[0].case_id, "c1");
    assert_int_equal(rows.rows[0].repeat, 2);
    assert_int_equal(rows.rows[0].n_cached, -1);
    assert_int_equal(rows.rows[0].total_us, 310);
    assert_string_equal(rows.rows[0].isa, "avx2");
    char *text = NULL;
    assert_ok(ledger_find_text(l, rows.rows[0].text, &text, err));
    assert_string_equal(text, a.text);
    mem_free(text);
    ledger_rows_close(&rows);

    ledger_sources src = { 0 };
    assert_ok(ledger_find_sources(l, "demo", &src, err));
    assert_int_equal(src.n, 1);
    assert_int_equal(src.rows[0].n_answers, 2);
    assert_string_equal(src.rows[0].evidence.model, "aaaa");
    assert_string_equal(src.rows[0].evidence_id, evidence);
    ledger_sources_close(&src);
    assert_ok(ledger_find_sources(l, "other", &src, err));
    assert_int_equal(src.n, 0);
    ledger_sources_close(&src);

    double v = 0;
    uint32_t failures = 0;
    assert_ok(ledger_find_fact(l, "demo", evidence, NULL, "decode_per_s", &v, NULL, err));
    assert_true(v == 41.25);
    assert_int_equal(ledger_find_fact(l, "demo", evidence, "another machine", "decode_per_s", &v, NULL, NULL),
                     E_NOTFOUND);
    assert_ok(ledger_count_failures(l, "demo", evidence, &failures, err));
    assert_int_equal(failures, 1);
    assert_ok(ledger_verify(l, err));
    struct stat st;
    char wal[128];
    snprintf(wal, sizeof wal, "%s-wal", path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    ledger_close(&l);
    ledger_close(&l);
}

static void every_field_of_the_evidence_counts(void **state)
{
    (void)state;
    char base[DIGEST_HEX], other[DIGEST_HEX];
    ledger_evidence_id(&the_evidence, base);
    ledger_evidence v[] = { the_evidence, the_evidence, the_evidence, the_evidence, the_evidence, the_evidence,
                            the_evidence };
    v[0].source = "openai:x#y";
    v[1].model = "bbbb";
    v[2].numerics = "2";
    v[3].kv_type = "q8_0";
    v[4].context_rule = "4096";
    v[5].constrained = true;
    v[6].sampling = "{\"temperature\":1}";
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        ledger_evidence_id(&v[i], other);
        assert_string_not_equal(base, other);
    }
    ledger_evidence shifted = { "localaaaa", "", "1", "f16", "", false, "{\"temperature\":0}" };
    ledger_evidence_id(&shifted, other);
    assert_string_not_equal(base, other);
}

static void regrading_adds_and_never_changes(void **state)
{
    (void)state;
    ledger *l = NULL;
    char run[UUID_TEXT], id[UUID_TEXT];
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(ledger_begin(l, &the_run, &the_evidence, run, err));
    ledger_answer a = answer_of("c1", "x");
    assert_ok(ledger_append_answer(l, run, &a, &passed, id, err));
    ledger_grade g2 = { "g2", 0.5, LEDGER_WRONG, NULL }, again = { "g1", 0, LEDGER_MALFORMED, NULL }, got;
    ledger_grade bad = { "g3", 1.5, 0, NULL };
    assert_ok(ledger_append_grade(l, id, &g2, err));
    assert_ok(ledger_append_grade(l, id, &again, err));
    assert_ok(ledger_find_grade(l, id, "g1", &got, err));
    assert_true(got.score == 1 && got.outcome == LEDGER_PASS);
    assert_ok(ledger_find_grade(l, id, "g2", &got, err));
    assert_true(got.score == 0.5 && got.outcome == LEDGER_WRONG);
    assert_int_equal(ledger_find_grade(l, id, "g3", &got, NULL), E_NOTFOUND);
    assert_int_equal(ledger_append_grade(l, id, &bad, NULL), E_RANGE);
    ledger_close(&l);
}

/* Straight to SQLite, as somebody with the sqlite3 shell would. */
static void nothing_can_be_changed_from_outside(void **state)
{
    (void)state;
    ledger *l = NULL;
    char run[UUID_TEXT];
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(ledger_begin(l, &the_run, &the_evidence, run, err));
    assert_ok(append(l, run, "c1", err));
    assert_ok(ledger_append_failure(l, run, "c2", "timeout", NULL, err));
    assert_ok(ledger_append_fact(l, run, "n", 1, "1", err));
    ledger_close(&l);
    static const char *const tables[] = { "machine", "evidence", "run", "answer", "grade", "failure", "fact",
                                          "schema_version" };
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    char sql[160];
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        snprintf(sql, sizeof sql, "UPDATE %s SET at_us = 0", tables[i]);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL) & 0xff, SQLITE_CONSTRAINT);
        snprintf(sql, sizeof sql, "DELETE FROM %s", tables[i]);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL) & 0xff, SQLITE_CONSTRAINT);
        snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO %s SELECT * FROM %s", tables[i], tables[i]);
        int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
        assert_true(rc == SQLITE_OK ? i < 2 : (rc & 0xff) == SQLITE_CONSTRAINT);
    }
    assert_int_equal(sqlite3_exec(db, "UPDATE text SET body = 'x'", NULL, NULL, NULL) & 0xff, SQLITE_CONSTRAINT);
    assert_int_equal(sqlite3_exec(db, "INSERT OR REPLACE INTO text SELECT digest, 0, 'x' FROM text", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(count("SELECT COUNT(*) FROM text WHERE body = 'x' OR at_us = 0"), 0);
    assert_int_equal(count("SELECT COUNT(*) FROM answer WHERE at_us > 0"), 1);
}

static void purged_text_is_gone_from_the_file(void **state)
{
    (void)state;
    static const char needle[] = "NEEDLE-91c2-unlikely";
    ledger *l = NULL;
    char run[UUID_TEXT], id[UUID_TEXT], other[UUID_TEXT];
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(ledger_begin(l, &the_run, &the_evidence, run, err));
    ledger_run run2 = the_run;
    run2.task = "other";
    assert_ok(ledger_begin(l, &run2, &the_evidence, other, err));
    ledger_answer a = answer_of("c1", needle), shared = answer_of("c2", "shared text");
    assert_ok(ledger_append_answer(l, run, &a, &passed, id, err));
    assert_ok(ledger_append_answer(l, run, &shared, &passed, id, err));
    assert_ok(ledger_append_answer(l, other, &shared, &passed, id, err));
    uint64_t n = 0;
    assert_ok(ledger_purge_text(l, "demo", &n, err));
    assert_int_equal(n, 1);
    assert_ok(ledger_verify(l, err));
    ledger_close(&l);
    assert_int_equal(count("SELECT COUNT(*) FROM answer"), 3);
    assert_int_equal(count("SELECT COUNT(*) FROM text"), 2);
    FILE *f = fopen(path, "rb");
    char *bytes = mem_zero(1 << 20);
    size_t got = fread(bytes, 1, 1 << 20, f);
    assert_null(memmem(bytes, got, needle, strlen(needle)));
    mem_free(bytes);
    fclose(f);
}

/* The log cannot be emptied while somebody reads an older moment of it: said, and done by the next purge. */
static void purging_beside_a_reader(void **state)
{
    (void)state;
    static const char needle[] = "NEEDLE-77aa-unlikely";
    ledger *l = NULL;
    error e = { 0 };
    char run[UUID_TEXT], id[UUID_TEXT], wal[128];
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(ledger_begin(l, &the_run, &the_evidence, run, err));
    ledger_answer a = answer_of("c1", needle);
    assert_ok(ledger_append_answer(l, run, &a, &passed, id, err));
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT * FROM text", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(ledger_purge_text(l, NULL, NULL, &e), E_EXISTS);
    assert_non_null(strstr(e.text, "another process still reads"));
    sqlite3_close(db);
    uint64_t n = 9;
    assert_ok(ledger_purge_text(l, NULL, &n, err));
    assert_int_equal(n, 0); /* they were deleted the first time */
    const char *const files[] = { path, wal };
    snprintf(wal, sizeof wal, "%s-wal", path);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        FILE *f = fopen(files[i], "rb");
        char *bytes = mem_zero(1 << 20);
        size_t got = f ? fread(bytes, 1, 1 << 20, f) : 0;
        assert_null(memmem(bytes, got, needle, strlen(needle)));
        mem_free(bytes);
        if (f)
            fclose(f);
    }
    ledger_close(&l);
}

static void secret_leaves_no_text_and_no_digest(void **state)
{
    (void)state;
    ledger *l = NULL;
    char run[UUID_TEXT], id[UUID_TEXT];
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(ledger_begin(l, &the_run, &the_evidence, run, err));
    ledger_answer a = answer_of("c1", "yes");
    a.keep_text = false;
    assert_ok(ledger_append_answer(l, run, &a, &passed, id, err));
    ledger_close(&l);
    assert_int_equal(count("SELECT COUNT(*) FROM text"), 0);
    assert_int_equal(count("SELECT COUNT(*) FROM answer WHERE text = '' AND prompt_text = ''"), 1);
}

static void wrong_files_are_refused(void **state)
{
    (void)state;
    ledger *l = NULL;
    error e = { 0 };
    assert_int_equal(ledger_open(&l, path, LEDGER_READ, &e), E_NOTFOUND);
    assert_non_null(strstr(e.text, "nothing was measured"));
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 300; i++)
        fputs("this is no database at all\n", f);
    fclose(f);
    assert_int_equal(ledger_open(&l, path, LEDGER_WRITE, &e), E_FORMAT);
    assert_non_null(strstr(e.text, path));
    unlink(path);
    sqlite3 *db = NULL;
    sqlite3_open(path, &db);
    sqlite3_exec(db, "CREATE TABLE mine (x)", NULL, NULL, NULL);
    sqlite3_close(db);
    assert_int_equal(ledger_open(&l, path, LEDGER_WRITE, &e), E_FORMAT);
    assert_non_null(strstr(e.text, "not a ledger"));
    unlink(path);
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    ledger_close(&l);
    sqlite3_open(path, &db);
    assert_int_equal(sqlite3_exec(db, "INSERT INTO schema_version VALUES (99, 0)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(ledger_open(&l, path, LEDGER_WRITE, &e), E_FORMAT);
    assert_non_null(strstr(e.text, "newer hearth"));
    assert_int_equal(ledger_open(&l, dir, LEDGER_WRITE, &e), E_IO);
    assert_null(l);
}

static void reading_never_writes(void **state)
{
    (void)state;
    ledger *l = NULL;
    char run[UUID_TEXT];
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    ledger_close(&l);
    assert_ok(ledger_open(&l, path, LEDGER_READ, err));
    assert_int_not_equal(ledger_begin(l, &the_run, &the_evidence, run, NULL), OK);
    ledger_close(&l);
}

/* A child appends cases as fast as it can and reports each finished one; it is killed at a random moment, 40 times.
 * Whatever it reported must be there, whole, and the next process can go on. */
static void killed_at_any_moment(void **state)
{
    (void)state;
    uint32_t chance = 0;
    for (int round = 0; round < 40; round++) {
        int pipe_fd[2];
        assert_ok(random_bytes(&chance, sizeof chance, err));
        assert_int_equal(pipe(pipe_fd), 0);
        int64_t before = access(path, F_OK) == 0 ? count("SELECT COUNT(*) FROM answer") : 0;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            ledger *l = NULL;
            char run[UUID_TEXT], name[32];
            if (ledger_open(&l, path, LEDGER_WRITE, NULL) || ledger_begin(l, &the_run, &the_evidence, run, NULL))
                _exit(1);
            for (int i = 0;; i++) {
                snprintf(name, sizeof name, "r%dc%d", round, i);
                if (append(l, run, name, NULL) || write(pipe_fd[1], "x", 1) != 1)
                    _exit(1);
            }
        }
        close(pipe_fd[1]);
        int64_t reported = 0;
        for (int i = 0; i < round % 10; i++) { /* the first of ten hit the opening, the others the appending */
            char byte;
            assert_int_equal(read(pipe_fd[0], &byte, 1), 1);
            reported++;
        }
        usleep(chance % 20000);
        kill(child, SIGKILL);
        int how;
        waitpid(child, &how, 0);
        assert_true(WIFSIGNALED(how));
        char bytes[4096];
        for (ssize_t n; (n = read(pipe_fd[0], bytes, sizeof bytes)) > 0;)
            reported += n;
        close(pipe_fd[0]);
        if (access(path, F_OK) != 0)
            continue; /* killed before it began */
        ledger *l = NULL;
        assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
        assert_ok(ledger_verify(l, err));
        ledger_close(&l);
        int64_t there = count("SELECT COUNT(*) FROM answer") - before;
        assert_true(there == reported || there == reported + 1);
        assert_int_equal(count("SELECT COUNT(*) FROM answer WHERE id NOT IN (SELECT answer FROM grade)"), 0);
        assert_int_equal(count("SELECT COUNT(*) FROM answer WHERE text NOT IN (SELECT digest FROM text)"), 0);
    }
    assert_true(count("SELECT COUNT(*) FROM answer") > 20);
}

/* Files may not grow beyond a limit: what a full disk does. */
static void a_full_disk_is_said_and_harms_nothing(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = { 2 << 20, 2 << 20 };
        setrlimit(RLIMIT_FSIZE, &limit);
        ledger *l = NULL;
        error e = { 0 };
        char run[UUID_TEXT], name[32];
        if (ledger_open(&l, path, LEDGER_WRITE, NULL) || ledger_begin(l, &the_run, &the_evidence, run, NULL))
            _exit(100);
        for (int i = 0; i < 5000; i++) {
            snprintf(name, sizeof name, "c%d", i);
            status s = append(l, run, name, &e);
            if (s) {
                fprintf(stderr, "after %d cases: %s\n", i, e.text);
                /* the handle is still of use: reading works, and nothing half-done is seen */
                uint32_t n;
                bool said = s == E_IO && strstr(e.text, path) && strstr(e.text, "what was finished is kept");
                _exit(said && i > 20 && ledger_count_failures(l, "demo", "x", &n, NULL) == OK ? i % 50 + 1 : 101);
            }
        }
        _exit(102);
    }
    int how;
    waitpid(child, &how, 0);
    assert_true(WIFEXITED(how));
    assert_in_range(WEXITSTATUS(how), 1, 50);
    ledger *l = NULL;
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(ledger_verify(l, err));
    char run[UUID_TEXT];
    assert_ok(ledger_begin(l, &the_run, &the_evidence, run, err));
    assert_ok(append(l, run, "after", err));
    ledger_close(&l);
    assert_int_equal((count("SELECT COUNT(*) FROM answer") - 1) % 50 + 1, WEXITSTATUS(how));
    assert_int_equal(count("SELECT COUNT(*) FROM answer WHERE id NOT IN (SELECT answer FROM grade)"), 0);
}

static void two_processes_at_once(void **state)
{
    (void)state;
    pid_t child[3];
    for (int c = 0; c < 3; c++) {
        child[c] = fork();
        if (child[c] == 0) {
            ledger *l = NULL;
            char run[UUID_TEXT], name[32];
            int bad = ledger_open(&l, path, LEDGER_WRITE, NULL) != OK ||
                      ledger_begin(l, &the_run, &the_evidence, run, NULL) != OK;
            for (int i = 0; !bad && i < 40; i++) {
                snprintf(name, sizeof name, "p%dc%d", c, i);
                bad = append(l, run, name, NULL) != OK;
            }
            _exit(bad);
        }
    }
    for (int c = 0; c < 3; c++) {
        int how;
        waitpid(child[c], &how, 0);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    assert_int_equal(count("SELECT COUNT(*) FROM answer"), 120);
    assert_int_equal(count("SELECT COUNT(*) FROM machine"), 1);
    assert_int_equal(count("SELECT COUNT(*) FROM evidence"), 1);
    assert_int_equal(count("SELECT COUNT(*) FROM run"), 3);
}

static status everything(error *err)
{
    ledger *l = NULL;
    char run[UUID_TEXT], evidence[DIGEST_HEX], *text = NULL;
    ledger_rows rows = { 0 };
    ledger_sources src = { 0 };
    ledger_evidence_id(&the_evidence, evidence);
    status s = ledger_open(&l, path, LEDGER_WRITE, err);
    if (!s)
        s = ledger_begin(l, &the_run, &the_evidence, run, err);
    if (!s)
        s = append(l, run, "c", err);
    if (!s)
        s = ledger_find_sources(l, NULL, &src, err);
    if (!s)
        s = ledger_find_answers(l, "demo", src.rows[0].evidence_id, &rows, err);
    if (!s)
        s = ledger_find_text(l, rows.rows[0].text, &text, err);
    mem_free(text);
    ledger_rows_close(&rows);
    ledger_sources_close(&src);
    ledger_close(&l);
    return s;
}

/* The first opening makes the file: the switch to a write-ahead log and the making of the tables meet those of another
 * process. All wait at a pipe and go at once when it closes. */
static void many_open_a_new_ledger_at_once(void **state)
{
    (void)state;
    enum { ROUNDS = 30, OPENERS = 6 };
    for (int round = 0; round < ROUNDS; round++) {
        int gate[2];
        pid_t child[OPENERS];
        assert_int_equal(pipe(gate), 0);
        for (int c = 0; c < OPENERS; c++) {
            child[c] = fork();
            assert_true(child[c] >= 0);
            if (child[c] == 0) {
                char byte;
                ledger *l = NULL;
                error e = { 0 };
                char run[UUID_TEXT];
                close(gate[1]);
                ssize_t n = read(gate[0], &byte, 1);
                bool good = n == 0 && ledger_open(&l, path, LEDGER_WRITE, &e) == OK &&
                            ledger_begin(l, &the_run, &the_evidence, run, &e) == OK;
                if (!good)
                    fprintf(stderr, "round %d: %s\n", round, e.text);
                _exit(!good);
            }
        }
        close(gate[0]);
        close(gate[1]);
        int bad = 0;
        for (int c = 0; c < OPENERS; c++) {
            int how;
            waitpid(child[c], &how, 0);
            bad += !WIFEXITED(how) || WEXITSTATUS(how) != 0;
        }
        assert_int_equal(bad, 0);
        assert_int_equal(count("SELECT COUNT(*) FROM run"), OPENERS);
        assert_int_equal(own_ledger_remove(NULL), 0);
        assert_int_equal(mkdir(dir, 0700), 0);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_ok(everything(err));
    int failures = 0;
    for (uint64_t n = 1; n < 200; n++) {
        error e = { 0 };
        mem_fail_at(n);
        status s = everything(&e);
        mem_fail_at(0);
        failures += s != OK;
        assert_true(s == OK || (s == E_NOMEM && e.text[0]));
    }
    assert_true(failures > 5);
    assert_ok(everything(err));
}

/* A second opening in one process drops none of the first one's locks: or another process that closes the ledger would
 * take itself for the last one, and the log away under the first. */
static void opened_twice_in_one_process(void **state)
{
    (void)state;
    enum { ROUNDS = 5 };
    ledger *first = NULL, *second = NULL;
    char run[UUID_TEXT], log[128];
    int go[2], done[2], how;
    assert_true(pipe(go) == 0 && pipe(done) == 0);
    pid_t child = fork(); /* before the first opening: SQLite's own notes of locks must not be copied */
    assert_true(child >= 0);
    if (child == 0) {
        ledger *other = NULL;
        close(go[1]); /* it ends with the test, however that ends */
        for (int i = 0; i < ROUNDS && read(go[0], run, sizeof run) == sizeof run; i++) {
            char ok = ledger_open(&other, path, LEDGER_WRITE, NULL) == OK && append(other, run, "x", NULL) == OK;
            ledger_close(&other);
            if (write(done[1], &ok, 1) != 1)
                break;
        }
        _exit(0);
    }
    snprintf(log, sizeof log, "%s-wal", path);
    assert_ok(ledger_open(&first, path, LEDGER_WRITE, err));
    assert_ok(ledger_begin(first, &the_run, &the_evidence, run, err));
    assert_ok(append(first, run, "c0", err));
    for (int i = 1; i <= ROUNDS; i++) {
        char ok = 0;
        assert_ok(ledger_open(&second, path, LEDGER_READ, err));
        ledger_close(&second);
        assert_int_equal(write(go[1], run, sizeof run), sizeof run);
        assert_int_equal(read(done[0], &ok, 1), 1);
        assert_true(ok);
        assert_int_equal(access(log, F_OK), 0); /* the first one's log is still there */
        assert_ok(append(first, run, "c1", err));
        uint64_t n = 0;
        assert_ok(ledger_count_rows(first, "answer", &n, err));
        assert_int_equal(n, 2 * i + 1);
    }
    waitpid(child, &how, 0);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(done[i]);
    }
    assert_ok(ledger_verify(first, err));
    ledger_close(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_goes_in_comes_out), TEST(every_field_of_the_evidence_counts),
        TEST(regrading_adds_and_never_changes), TEST(nothing_can_be_changed_from_outside),
        TEST(purged_text_is_gone_from_the_file), TEST(purging_beside_a_reader),
        TEST(secret_leaves_no_text_and_no_digest),
        TEST(wrong_files_are_refused), TEST(reading_never_writes), TEST(killed_at_any_moment),
        TEST(a_full_disk_is_said_and_harms_nothing), TEST(two_processes_at_once), TEST(opened_twice_in_one_process),
        TEST(many_open_a_new_ledger_at_once), TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
