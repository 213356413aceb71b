/* From schemas 1 and 2 to today's: every row survives, and neither a kill nor a full disk leaves anything but a whole
 * ledger of the old one or today's. version1.sql and version2.sql are real ledgers that hearth 0.1.0 wrote. */
#include "fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "ledger/watch.h"
#include "plat/clock.h"

static void old_ledger(const char *file)
{
    static char sql[1 << 16];
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    size_t n = fread(sql, 1, sizeof sql - 1, f);
    assert_true(n > 1000 && n < sizeof sql - 1);
    fclose(f);
    sql[n] = 0;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void version1(void)
{
    old_ledger("tests/ledger/version1.sql");
}

static int64_t version(void)
{
    return count("SELECT MAX(version) FROM schema_version");
}

/* Every value of schema 1's columns, row by row. */
static const char *const version1_columns[] = {
    "SELECT id, at_us, cpu, cores, memory_bytes, system FROM machine ORDER BY 1",
    "SELECT id, at_us, source, model, numerics, kv_type, context_rule, constrained, sampling FROM evidence ORDER BY 1",
    "SELECT id, at_us, machine, evidence, task, provider, place, model_name, version, threads, isa, power FROM run"
    " ORDER BY 1",
    "SELECT digest, at_us, body FROM text ORDER BY 1",
    "SELECT id, at_us, run, case_id, repeat_no, prompt, text, prompt_text, finish, n_prompt, n_output, n_cached,"
    " prefill_us, decode_us, ttft_us, total_us, mean_logprob FROM answer ORDER BY 1",
    "SELECT id, at_us, answer, grader, score, outcome FROM grade ORDER BY 1",
    "SELECT id, at_us, run, case_id, kind, sentence FROM failure ORDER BY 1",
    "SELECT id, at_us, run, name, value, unit FROM fact ORDER BY 1",
};

/* The digest of all those values. */
static void take(char out[DIGEST_HEX])
{
    uint8_t bytes[DIGEST_BYTES];
    digest *d = digest_open();
    sqlite3 *db = NULL;
    assert_non_null(d);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    for (size_t i = 0; i < ARRAY_LEN(version1_columns); i++) {
        sqlite3_stmt *st = NULL;
        int rc, rows = 0;
        assert_int_equal(sqlite3_prepare_v2(db, version1_columns[i], -1, &st, NULL), SQLITE_OK);
        for (; (rc = sqlite3_step(st)) == SQLITE_ROW; rows++)
            for (int c = 0; c < sqlite3_column_count(st); c++) {
                digest_field(d, &(int){ sqlite3_column_type(st, c) }, sizeof(int));
                digest_field(d, sqlite3_column_blob(st, c), (size_t)sqlite3_column_bytes(st, c));
            }
        assert_int_equal(rc, SQLITE_DONE);
        assert_true(rows > 0);
        sqlite3_finalize(st);
    }
    sqlite3_close(db);
    digest_close(&d, bytes);
    digest_hex(bytes, out);
}

static void assert_same(const char before[DIGEST_HEX])
{
    char after[DIGEST_HEX];
    take(after);
    assert_string_equal(before, after);
}

static void every_row_survives(void **state)
{
    (void)state;
    char before[DIGEST_HEX];
    ledger *l = NULL;
    error e = { 0 };
    version1();
    take(before);
    assert_int_equal(version(), 1);
    assert_int_equal(ledger_open(&l, path, LEDGER_READ, &e), E_UNSUPPORTED); /* a reader migrates nothing */
    assert_non_null(strstr(e.text, "schema 1"));
    assert_int_equal(version(), 1);
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(ledger_verify(l, err));
    ledger_runs runs = { 0 };
    assert_ok(ledger_find_runs(l, "ticket-class", &runs, err));
    assert_int_equal(runs.n, 1);
    assert_int_equal(runs.rows[0].n_answers, 3);
    assert_int_equal(runs.rows[0].n_failures, 1);
    assert_string_equal(runs.rows[0].governor, "");
    ledger_rows rows = { 0 };
    assert_ok(ledger_find_answers(l, "ticket-class", runs.rows[0].evidence_id, &rows, err));
    assert_int_equal(rows.n, 3);
    char *text = NULL;
    assert_ok(ledger_find_text(l, rows.rows[0].text, &text, err));
    assert_true(strlen(text) > 3);
    mem_free(text);
    ledger_rows_close(&rows);
    ledger_runs_close(&runs);
    assert_int_equal(version(), LEDGER_VERSION);
    assert_same(before);
    assert_int_equal(count("SELECT COUNT(*) FROM grade WHERE detail <> ''"), 0);
    char run[UUID_TEXT];
    assert_ok(ledger_begin(l, &the_run, &the_evidence, run, err)); /* and it takes new rows */
    assert_ok(append(l, run, "c1", err));
    ledger_close(&l);
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err)); /* again: nothing to do */
    ledger_close(&l);
    assert_int_equal(count("SELECT COUNT(*) FROM schema_version"), LEDGER_VERSION);
}

static void every_row_of_schema_2_survives(void **state)
{
    (void)state;
    char before[DIGEST_HEX];
    ledger *l = NULL;
    ledger_labels labels = { 0 };
    ledger_decisions decisions = { 0 };
    ledger_policies none = { 0 };
    old_ledger("tests/ledger/version2.sql");
    take(before);
    assert_int_equal(version(), 2);
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(ledger_verify(l, err));
    assert_ok(ledger_find_labels(l, "demo", &labels, err));
    assert_int_equal(labels.n, 1);
    assert_string_equal(labels.rows[0].case_id, "c1");
    ledger_labels_close(&labels);
    assert_ok(ledger_find_decisions(l, "demo", &decisions, err));
    assert_int_equal(decisions.n, 1);
    assert_string_equal(decisions.rows[0].verdict, "candidate");
    assert_int_equal(decisions.rows[0].n_pass, 3);
    ledger_decisions_close(&decisions);
    assert_ok(ledger_find_policy(l, &none, err));
    assert_int_equal(none.n, 0);
    ledger_policies_close(&none);
    ledger_policy first = { .who = "me", .reason = "first", .body = "hearth: 1\n" };
    assert_ok(ledger_append_policy(l, &first, NULL, err));
    ledger_close(&l);
    assert_int_equal(version(), LEDGER_VERSION);
    assert_same(before);
    assert_int_equal(count("SELECT number FROM policy"), 1);
}

/* A process of the old hearth is in the middle of its work. */
static void a_process_of_the_old_schema_goes_on(void **state)
{
    (void)state;
    ledger *l = NULL;
    sqlite3 *old = NULL;
    sqlite3_stmt *reading = NULL, *writing = NULL;
    version1();
    assert_int_equal(sqlite3_open(path, &old), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(old, "SELECT id, score FROM grade", -1, &reading, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(old, "INSERT INTO grade (id, at_us, answer, grader, score, outcome) SELECT"
                                        " 'new', 1, id, 'g', 1, 'pass' FROM answer LIMIT 1", -1, &writing, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(reading), SQLITE_ROW); /* it reads while the migration runs */
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    int seen = 1;
    while (sqlite3_step(reading) == SQLITE_ROW)
        seen++;
    assert_int_equal(seen, 6);
    sqlite3_finalize(reading);
    assert_int_equal(sqlite3_step(writing), SQLITE_DONE); /* and writes afterwards */
    sqlite3_finalize(writing);
    sqlite3_close(old);
    assert_ok(ledger_verify(l, err));
    ledger_close(&l);
    assert_int_equal(count("SELECT COUNT(*) FROM grade WHERE detail = ''"), 7);
}

/* Opened by somebody who knows only SQLite: it is whole, of schema 1 or today's, with all rows. */
static int64_t assert_whole(const char before[DIGEST_HEX])
{
    int64_t v = version();
    assert_true(v == 1 || v == LEDGER_VERSION);
    assert_int_equal(count("SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
    assert_int_equal(count("SELECT COUNT(*) FROM sqlite_master WHERE name IN ('label', 'decision', 'label_by_task',"
                           " 'decision_by_task', 'label_kept', 'decision_kept', 'policy', 'shadow', 'alarm',"
                           " 'policy_kept', 'shadow_kept', 'alarm_kept')"), v == LEDGER_VERSION ? 12 : 0);
    assert_int_equal(count("SELECT COUNT(*) FROM pragma_table_info('grade') WHERE name = 'detail'"), v > 1);
    assert_int_equal(count("SELECT COUNT(*) FROM pragma_table_info('run') WHERE name = 'governor'"), v > 1);
    assert_same(before);
    return v;
}

/* Files may not grow beyond a limit, from none at all upwards: each point at which a disk can be full. */
static void a_full_disk_leaves_the_old_ledger(void **state)
{
    (void)state;
    int refused = 0, done = 0;
    for (rlim_t limit = 0; limit <= 448 << 10; limit += 16 << 10) {
        char before[DIGEST_HEX];
        int how;
        version1();
        take(before);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct rlimit r = { limit, limit };
            ledger *l = NULL;
            error e = { 0 };
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &r);
            status s = ledger_open(&l, path, LEDGER_WRITE, &e);
            _exit(s == OK ? 0 : s == E_IO && strstr(e.text, path) ? 1 : 2);
        }
        waitpid(child, &how, 0);
        assert_true(WIFEXITED(how));
        assert_in_range(WEXITSTATUS(how), 0, 1);
        assert_int_equal(assert_whole(before), WEXITSTATUS(how) == 0 ? LEDGER_VERSION : 1);
        *(WEXITSTATUS(how) == 0 ? &done : &refused) += 1;
        ledger *l = NULL;
        assert_ok(ledger_open(&l, path, LEDGER_WRITE, err)); /* with space again it goes through */
        assert_ok(ledger_verify(l, err));
        ledger_close(&l);
        assert_int_equal(assert_whole(before), LEDGER_VERSION);
        assert_int_equal(own_ledger_remove(NULL), 0);
        assert_int_equal(mkdir(dir, 0700), 0);
    }
    assert_true(refused > 1 && done > 0);
}

static void killed_while_it_migrates(void **state)
{
    (void)state;
    enum { ROUNDS = 40 };
    int of_1 = 0, of_new = 0;
    uint64_t longest_us = 3000;
    for (int round = 0; round < ROUNDS; round++) {
        char before[DIGEST_HEX];
        uint32_t chance = 0;
        int how;
        version1();
        take(before);
        assert_ok(random_bytes(&chance, sizeof chance, err));
        uint64_t began = clock_mono_us();
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            ledger *l = NULL;
            _exit(ledger_open(&l, path, LEDGER_WRITE, NULL) != OK);
        }
        if (round == 0) { /* nobody kills the first: how long does it take? */
            waitpid(child, &how, 0);
            assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
            longest_us += clock_mono_us() - began;
        } else {
            usleep((useconds_t)(chance % longest_us));
            kill(child, SIGKILL);
            waitpid(child, &how, 0);
        }
        *(assert_whole(before) == 1 ? &of_1 : &of_new) += 1;
        ledger *l = NULL;
        assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
        assert_ok(ledger_verify(l, err));
        ledger_close(&l);
        assert_int_equal(assert_whole(before), LEDGER_VERSION);
        assert_int_equal(own_ledger_remove(NULL), 0);
        assert_int_equal(mkdir(dir, 0700), 0);
    }
    assert_true(of_1 > 0 && of_new > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_row_survives), TEST(every_row_of_schema_2_survives),
        TEST(a_process_of_the_old_schema_goes_on), TEST(a_full_disk_leaves_the_old_ledger),
        TEST(killed_while_it_migrates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
