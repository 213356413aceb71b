/* Export and import: everything comes through, twice is as good as once, and a stranger's file changes nothing. Verify:
 * each thing that is not as it should be is found. */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/mem.h"
#include "ledger/exchange.h"
#include "ledger/tables.h"
#include "ledger/watch.h"
#include "lib/random.h"

enum { FILE_MAX = 64 << 20 };
static const ledger_part all = { NULL, 0 };

static status to_buf(void *user, const char *bytes, size_t n, error *err)
{
    buf_add(user, bytes, n);
    return buf_ok(user, "the file", err);
}

typedef struct source {
    const char *bytes;
    size_t n, at, step; /* step: at most so many bytes at a time */
} source;

static status from_bytes(void *user, char *bytes, size_t room, size_t *n, error *err)
{
    source *x = user;
    (void)err;
    size_t left = x->n - x->at, most = x->step && x->step < room ? x->step : room;
    *n = left < most ? left : most;
    memcpy(bytes, x->bytes + x->at, *n);
    x->at += *n;
    return OK;
}

static status import_text(ledger *l, const char *text, ledger_imported *got, error *err)
{
    source x = { text, strlen(text), 0, 7 };
    ledger_imported none;
    return ledger_import(l, "file.jsonl", from_bytes, &x, got ? got : &none, err);
}

/* Rows of every table: two tasks, a text that is no UTF-8, nulls, a label of two answers, decisions. */
static ledger *filled(void)
{
    ledger *l = NULL;
    char run[UUID_TEXT], other[UUID_TEXT], first[UUID_TEXT], second[UUID_TEXT], evidence[DIGEST_HEX];
    ledger_run run2 = the_run;
    ledger_evidence cloud = { "openai:u#m", "", "", "", "", true, "{}" };
    run2.task = "other";
    run2.provider = "cloud";
    run2.governor = "powersave";
    ledger_grade g = { "g2", 0.1, LEDGER_WRONG, "[{\"reason\":\"a, \\\"b\\\"\"}]" };
    ledger_answer a = answer_of("c1", "=1+1\r\n\"quoted\", \xc3\xa9"), b = answer_of("c2", "bad \xff bytes");
    a.mean_logprob = -0.1;
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(ledger_begin(l, &the_run, &the_evidence, run, err));
    assert_ok(ledger_append_answer(l, run, &a, &passed, first, err));
    assert_ok(ledger_append_answer(l, run, &b, &passed, second, err));
    assert_ok(ledger_append_grade(l, second, &g, err));
    assert_ok(ledger_append_failure(l, run, "c3", "timeout", "no answer", err));
    assert_ok(ledger_append_fact(l, run, "peak_bytes", 123456789.25, "B", err));
    assert_ok(ledger_begin(l, &run2, &cloud, other, err));
    ledger_answer c = answer_of("c1", "third");
    char third[UUID_TEXT];
    assert_ok(ledger_append_answer(l, other, &c, NULL, third, err));
    ledger_label one = { .task = "demo", .case_id = "c1", .answer = first, .verdict = LABEL_REJECT, .fixed = "right" };
    ledger_label two = { .task = "demo", .case_id = "c1", .answer = first, .other = second, .verdict = LABEL_TIE };
    assert_ok(ledger_append_label(l, &one, true, err));
    assert_ok(ledger_append_label(l, &two, true, err));
    ledger_evidence_id(&cloud, evidence);
    ledger_decision d = { .task = "demo", .verdict = "unproven", .cloud_evidence = evidence, .suite = "s", .n = 2 };
    assert_ok(ledger_append_decision(l, &d, NULL, err));
    ledger_shadow h = { .task = "demo", .basis = evidence, .policy = 1, .kind = "agreement", .cloud_evidence = evidence,
                        .provider = "cloud", .prompt_text = "ask: y", .local_text = "here", .cloud_text = "there",
                        .value = NAN, .base = 0.9, .base_low = 0.8, .cost_usd = 0.25 };
    ledger_alarm m = { .task = "demo", .basis = evidence, .kind = "drift", .value = 1200, .level = 1000, .n = 50 };
    assert_ok(ledger_append_shadow(l, &h, true, err));
    assert_ok(ledger_append_alarm(l, &m, err));
    return l;
}

static buf exported(ledger *l, const ledger_part *part, uint64_t *n)
{
    buf out = BUF_INIT(FILE_MAX);
    assert_ok(ledger_export_jsonl(l, part, to_buf, &out, n, err));
    return out;
}

/* A fresh ledger beside the first one; closed and removed by drop_other. */
static char other_path[128];
static ledger *open_other(void)
{
    ledger *l = NULL;
    snprintf(other_path, sizeof other_path, "%s/other.db", dir);
    assert_ok(ledger_open(&l, other_path, LEDGER_WRITE, err));
    return l;
}

static void drop_other(ledger **l)
{
    char file[160];
    ledger_close(l);
    static const char *const ends[] = { "", "-wal", "-shm" };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(file, sizeof file, "%s%s", other_path, ends[i]);
        unlink(file);
    }
}

static void what_is_exported_comes_through(void **state)
{
    (void)state;
    ledger *l = filled(), *to = open_other();
    uint64_t n = 0;
    ledger_imported got = { 0 };
    buf file = exported(l, &all, &n), again = { 0 };
    assert_true(n == 1 + 2 + 2 + 8 + 3 + 3 + 1 + 1 + 2 + 1 + 1 + 1);
    assert_non_null(strstr(buf_text(&file), "{\"hex\":\"62616420ff206279746573\"}"));
    assert_ok(import_text(to, buf_text(&file), &got, err));
    assert_true(got.n_rows == n && got.n_new == n);
    again = exported(to, &all, NULL);
    assert_string_equal(buf_text(&again), buf_text(&file)); /* the same rows with the same values */
    assert_ok(ledger_verify(to, err));
    assert_ok(import_text(to, buf_text(&file), &got, err));
    assert_true(got.n_rows == n && got.n_new == 0);
    assert_ok(import_text(l, buf_text(&file), &got, err)); /* and into the one it came from */
    assert_true(got.n_new == 0);
    buf_clear(&again);
    buf_clear(&file);
    drop_other(&to);
    ledger_close(&l);
}

static void a_part_holds_what_it_needs(void **state)
{
    (void)state;
    ledger *l = filled(), *to = open_other();
    const ledger_part parts[] = { { "demo", 0 }, { "other", 0 }, { "none", 0 }, { NULL, INT64_MAX } };
    const uint64_t rows[] = { 1 + 2 + 1 + 7 + 2 + 3 + 1 + 1 + 2 + 1 + 1 + 1, 1 + 1 + 1 + 2 + 1, 0, 0 };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        uint64_t n = 0;
        ledger_imported got = { 0 };
        buf file = exported(l, &parts[i], &n);
        assert_int_equal(n, rows[i]);
        assert_ok(import_text(to, buf_text(&file), &got, err));
        assert_int_equal(got.n_rows, n);
        buf_clear(&file);
    }
    buf a = exported(l, &all, NULL), b = exported(to, &all, NULL);
    assert_string_equal(buf_text(&a), buf_text(&b)); /* the parts together are the whole */
    buf_clear(&a);
    buf_clear(&b);
    drop_other(&to);
    ledger_close(&l);
}

/* The first grade of an answer by a grader stays, here and in the other ledger. */
static void graded_in_two_places(void **state)
{
    (void)state;
    ledger *l = filled(), *to = open_other();
    buf before = exported(l, &all, NULL), after = { 0 };
    ledger_imported got = { 0 };
    char *answer = strstr(buf_text(&before), "\"table\":\"answer\",\"id\":\"");
    assert_non_null(answer);
    char id[UUID_TEXT];
    memcpy(id, answer + strlen("\"table\":\"answer\",\"id\":\""), UUID_TEXT - 1);
    id[UUID_TEXT - 1] = 0;
    assert_ok(import_text(to, buf_text(&before), &got, err));
    ledger_grade here = { "g9", 1, LEDGER_PASS, NULL }, there = { "g9", 0, LEDGER_WRONG, NULL };
    ledger_grade kept;
    assert_ok(ledger_append_grade(l, id, &here, err));
    assert_ok(ledger_append_grade(to, id, &there, err));
    after = exported(l, &all, NULL);
    assert_ok(import_text(to, buf_text(&after), &got, err));
    assert_true(got.n_new == 0);
    assert_ok(ledger_find_grade(to, id, "g9", &kept, err));
    assert_true(kept.score == 0);
    buf_clear(&before);
    buf_clear(&after);
    drop_other(&to);
    ledger_close(&l);
}

/* text with the first `old` replaced; mem_free. */
static char *edited(const char *text, const char *old, const char *new)
{
    const char *at = strstr(text, old);
    assert_non_null(at);
    buf b = BUF_INIT(FILE_MAX);
    buf_add(&b, text, (size_t)(at - text));
    buf_str(&b, new);
    buf_str(&b, at + strlen(old));
    return buf_take(&b);
}

static void a_strangers_file_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *old, *new, *says;
        status code;
    } attacks[] = {
        { "\"schema\":3", "\"schema\":4", "schema 4", E_UNSUPPORTED },
        { "\"schema\":3", "\"schema\":1", "schema 1", E_UNSUPPORTED },
        { "hearth-ledger", "something", "is not a file of", E_FORMAT },
        { "\"cpu\":\"A CPU\"", "\"cpu\":\"B CPU\"", "digest of what it says", E_FORMAT },
        { "\"kv_type\":\"f16\"", "\"kv_type\":\"f32\"", "digest of what it says", E_FORMAT },
        { "\"constrained\":0", "\"constrained\":1", "digest of what it says", E_FORMAT },
        { "\"body\":\"third\"", "\"body\":\"thirb\"", "digest of what it says", E_FORMAT },
        { "62616420ff", "62616420fe", "digest of what it says", E_FORMAT },
        { "62616420ff", "6261642000", "must be a text", E_FORMAT },
        { "\"body\":\"third\"", "\"body\":\"thi\\u0000rd\"", "must be a text", E_FORMAT },
        { "\"score\":0.1", "\"score\":1.5", "CHECK", E_FORMAT },
        { "\"score\":0.1", "\"score\":null", "must be a number", E_FORMAT },
        { "\"score\":0.1", "\"score\":1e999", "must be a number", E_FORMAT },
        { "\"outcome\":\"wrong\"", "\"outcome\":\"maybe\"", "CHECK", E_FORMAT },
        { "\"verdict\":\"tie\"", "\"verdict\":\"x\"", "CHECK", E_FORMAT },
        { "\"base\":0.9", "\"base\":1.9", "CHECK", E_FORMAT },
        { "\"kind\":\"agreement\"", "\"kind\":\"x\"", "CHECK", E_FORMAT },
        { "\"kind\":\"drift\"", "\"kind\":\"x\"", "CHECK", E_FORMAT },
        { "\"repeat_no\":0", "\"repeat_no\":0.5", "must be a whole number", E_FORMAT },
        { "\"repeat_no\":0", "\"repeat_no\":\"0\"", "must be a whole number", E_FORMAT },
        { "\"n_prompt\":10", "\"n_prompt\":-7", "must be a whole number", E_FORMAT },
        { "\"n_prompt\":10,", "", "keys besides", E_FORMAT },
        { "\"n_prompt\":10,", "\"n_prompt\":10,\"n_more\":1,", "keys besides", E_FORMAT },
        { "\"n_prompt\":10,", "\"n_promptt\":10,", "answer.n_prompt must be", E_FORMAT },
        { "\"n_prompt\":10,", "\"n_prompt\":10,\"n_prompt\":10,", "", E_FORMAT },
        { "\"table\":\"run\"", "\"table\":\"runs\"", "'runs' is no table", E_FORMAT },
        { "\"table\":\"run\"", "\"table\":\"schema_version\"", "is no table", E_FORMAT },
        { "\"table\":\"run\"", "\"table\":\"run; DROP TABLE run\"", "is no table", E_FORMAT },
        { "\"table\":\"run\"", "\"table\":\"policy\"", "is no table", E_FORMAT }, /* nobody else tells us what to do */
        { "\"table\":\"run\"", "\"table\":7", "is no table", E_FORMAT },
        { "{\"table\":\"run\"", "[{\"table\":\"run\"", "", E_FORMAT },
        { "{\"table\":\"end\"", "{\"table\":\"end\",\"rows\":0}\n{\"table\":\"end\"", "some are missing",
          E_FORMAT },
        { "{\"table\":\"end\",\"rows\":", "{\"table\":\"end\",\"rows\":1", "some are missing", E_FORMAT },
        { "{\"table\":\"end\"", "{\"table\":\"machine\"", "", E_FORMAT },
        { "\"finish\":\"stop\"", "\"finish\":\"\xff\"", "", E_FORMAT },
    };
    ledger *l = filled(), *to = open_other();
    buf file = exported(l, &all, NULL), after = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(attacks); i++) {
        char *text = edited(buf_text(&file), attacks[i].old, attacks[i].new);
        error e = { 0 };
        status s = import_text(to, text, NULL, &e);
        if (s != attacks[i].code || !strstr(e.text, attacks[i].says) || !strstr(e.text, "file.jsonl"))
            fail_msg("%s: status %d, %s", attacks[i].new, s, e.text);
        mem_free(text);
    }
    after = exported(to, &all, NULL);
    assert_string_equal(buf_text(&after),
                        "{\"table\":\"hearth-ledger\",\"schema\":3}\n{\"table\":\"end\",\"rows\":0}\n");
    buf_clear(&after);
    buf_clear(&file);
    drop_other(&to);
    ledger_close(&l);
}

/* Without any one of its lines the file is refused: a reference, a count or the end is missing. So it is when cut. */
static void a_file_that_lacks_a_line_is_refused(void **state)
{
    (void)state;
    ledger *l = filled(), *to = open_other();
    buf file = exported(l, &all, NULL), less = BUF_INIT(FILE_MAX);
    const char *text = buf_text(&file);
    int lines = 0;
    for (const char *line = text, *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
        buf_reset(&less);
        buf_add(&less, text, (size_t)(line - text));
        buf_str(&less, end + 1);
        assert_int_equal(import_text(to, buf_text(&less), NULL, NULL), E_FORMAT);
        buf_reset(&less);
        buf_add(&less, text, (size_t)(line - text) + 5);
        assert_int_equal(import_text(to, buf_text(&less), NULL, NULL), E_FORMAT);
    }
    assert_int_equal(lines, 28);
    error e = { 0 };
    assert_int_equal(import_text(to, "", NULL, &e), E_FORMAT);
    assert_non_null(strstr(e.text, "is empty"));
    assert_ok(import_text(to, text, NULL, err));
    buf_clear(&less);
    buf_clear(&file);
    drop_other(&to);
    ledger_close(&l);
}

static uint64_t all_rows(ledger *l)
{
    uint64_t sum = 0, n = 0;
    for (size_t i = 0; i < TABLES; i++) {
        assert_ok(ledger_count_rows(l, table_all[i].name, &n, err));
        sum += n;
    }
    return sum;
}

/* What became of a good file in bad hands: bytes changed, taken away and put in, lines swapped and doubled. Whatever is
 * taken in is a whole ledger, and whatever is refused left nothing. */
static void damaged_in_many_ways(void **state)
{
    (void)state;
    static const char *const scraps[] = { "\"", "{", "}", "null", "-1", "1e999", "\\u0000", "\n", "[", ",", "\xff", "0",
                                          "" };
    ledger *l = filled(), *to = open_other();
    buf file = exported(l, &all, NULL), bad = BUF_INIT(FILE_MAX);
    int taken = 0, refused = 0;
    for (int round = 0; round < 250; round++) {
        size_t at = rnd((uint32_t)file.len), cut = rnd(4);
        const char *scrap = scraps[rnd(ARRAY_LEN(scraps))];
        if (round % 3 == 0) { /* a line goes elsewhere, or comes twice */
            const char *text = buf_text(&file), *line = strchr(text + at % (file.len / 2), '\n') + 1;
            size_t n = (size_t)(strchr(line, '\n') - line) + 1;
            scrap = NULL;
            at = (size_t)(line - text);
            buf_reset(&bad);
            buf_add(&bad, text, at + (cut & 1 ? n : 0));
            buf_add(&bad, line, n);
            buf_str(&bad, line + n);
            if (cut & 2)
                buf_add(&bad, line, n);
        } else {
            buf_reset(&bad);
            buf_add(&bad, buf_text(&file), at);
            buf_str(&bad, scrap);
            buf_str(&bad, buf_text(&file) + (at + cut < file.len ? at + cut : file.len));
        }
        error e = { 0 };
        source x = { buf_text(&bad), bad.len, 0, 0 };
        ledger_imported got;
        uint64_t before = all_rows(to);
        status s = ledger_import(to, "file.jsonl", from_bytes, &x, &got, &e);
        assert_true(s == OK || ((s == E_FORMAT || s == E_UNSUPPORTED || s == E_RANGE) && e.text[0]));
        assert_true(all_rows(to) == before + (s == OK ? got.n_new : 0));
        refused += s != OK;
        taken += s == OK;
        if (s != OK)
            continue;
        assert_ok(ledger_verify(to, err));
        drop_other(&to); /* what was changed in it may contradict the next one */
        to = open_other();
    }
    assert_true(taken > 10 && refused > 100);
    assert_ok(ledger_verify(to, err));
    buf_clear(&bad);
    buf_clear(&file);
    drop_other(&to);
    ledger_close(&l);
}

/* Every table of the schema with every column, or an export would leave something behind. */
static void every_column_is_exported(void **state)
{
    (void)state;
    ledger *l = filled();
    ledger_close(&l);
    assert_int_equal(count("SELECT COUNT(*) FROM sqlite_master WHERE type = 'table'"), TABLES + 2);
    for (size_t i = 0; i < TABLES; i++) {
        char sql[256];
        snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM pragma_table_info('%s')", table_all[i].name);
        assert_int_equal(count(sql), table_all[i].n);
        for (size_t k = 0; k < table_all[i].n; k++) {
            snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM pragma_table_info('%s') WHERE cid = %zu AND name = '%s'",
                     table_all[i].name, k, table_all[i].columns[k].name);
            assert_int_equal(count(sql), 1);
        }
    }
}

/* A row that is there already, but says something else. */
static void a_changed_row_is_refused(void **state)
{
    (void)state;
    static const char *const changes[][2] = {
        { "\"case_id\":\"c2\"", "\"case_id\":\"c3\"" }, { "\"total_us\":310", "\"total_us\":311" },
        { "\"mean_logprob\":-0.1", "\"mean_logprob\":-0.2" }, { "\"mean_logprob\":-0.1", "\"mean_logprob\":null" },
        { "\"score\":0.1", "\"score\":0.2" }, { "\"value\":123456789.25", "\"value\":1" },
        { "\"verdict\":\"tie\"", "\"verdict\":\"first\"" }, { "\"power\":\"mains\"", "\"power\":\"battery\"" },
        { "\"verdict\":\"unproven\"", "\"verdict\":\"local\"" },
        { "\"local_evidence\":null", "\"local_evidence\":\"EVIDENCE\"" },
    };
    char evidence[DIGEST_HEX];
    ledger_evidence_id(&the_evidence, evidence);
    ledger *l = filled();
    buf file = exported(l, &all, NULL), after = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        char *text = edited(buf_text(&file), changes[i][0], changes[i][1]);
        char *named = strstr(text, "EVIDENCE") ? edited(text, "EVIDENCE", evidence) : mem_strdup(text);
        error e = { 0 };
        assert_int_equal(import_text(l, named, NULL, &e), E_FORMAT);
        assert_non_null(strstr(e.text, "another row with this id"));
        mem_free(text);
        mem_free(named);
    }
    after = exported(l, &all, NULL);
    assert_string_equal(buf_text(&after), buf_text(&file));
    buf_clear(&after);
    buf_clear(&file);
    ledger_close(&l);
}

static void import_killed_at_any_moment(void **state)
{
    (void)state;
    ledger *l = filled();
    char run[UUID_TEXT];
    assert_ok(ledger_begin(l, &the_run, &the_evidence, run, err));
    for (int i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "k%d", i);
        assert_ok(append(l, run, name, err));
    }
    uint64_t n = 0;
    buf file = exported(l, &all, &n), half = exported(l, &(ledger_part){ "other", 0 }, NULL);
    ledger *to = open_other();
    assert_ok(import_text(to, buf_text(&half), NULL, err)); /* so that there is something to keep */
    ledger_close(&to);
    int before = 0;
    for (int round = 0; round < 20; round++) {
        uint32_t chance = 0;
        int how;
        assert_ok(random_bytes(&chance, sizeof chance, err));
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            ledger *mine = NULL;
            _exit(ledger_open(&mine, other_path, LEDGER_WRITE, NULL) || import_text(mine, buf_text(&file), NULL, NULL));
        }
        usleep(chance % 30000);
        kill(child, SIGKILL);
        waitpid(child, &how, 0);
        assert_ok(ledger_open(&to, other_path, LEDGER_WRITE, err));
        assert_ok(ledger_verify(to, err));
        buf now = exported(to, &all, NULL);
        bool whole = strcmp(buf_text(&now), buf_text(&file)) == 0;
        assert_true(whole || strcmp(buf_text(&now), buf_text(&half)) == 0);
        buf_clear(&now);
        before += !whole;
        if (whole) { /* from the beginning */
            drop_other(&to);
            to = open_other();
            assert_ok(import_text(to, buf_text(&half), NULL, err));
        }
        ledger_close(&to);
    }
    assert_true(before > 0);
    to = open_other();
    assert_ok(import_text(to, buf_text(&file), NULL, err));
    drop_other(&to);
    buf_clear(&file);
    buf_clear(&half);
    ledger_close(&l);
}

static void tables_for_spreadsheets(void **state)
{
    (void)state;
    ledger *l = filled();
    buf out = BUF_INIT(FILE_MAX);
    uint64_t n = 0;
    assert_ok(ledger_export_csv(l, &all, to_buf, &out, &n, err));
    assert_int_equal(n, 4);
    const char *text = buf_text(&out);
    assert_true(strncmp(text, "task,case,repeat,", 17) == 0);
    assert_non_null(strstr(text, "\"demo\",\"c1\",0,\"local:m.gguf\",\"local\",\"m.gguf\",\"pass\",1,\"'=1+1\r\n"
                                 "\"\"quoted\"\", \xc3\xa9\",\"stop\",10,3,,100,200,110,310,-0.1,"));
    assert_non_null(strstr(text, "\"wrong\",0.1,\"bad \xef\xbf\xbd bytes\","));
    assert_non_null(strstr(text, "\"[{\"\"reason\"\":\"\"a, \\\"\"b\\\"\"\"\"}]\"\r\n"));
    assert_non_null(strstr(text, "\"other\",\"c1\",0,\"cloud\",\"local\",\"m.gguf\",,,\"third\","));
    buf_clear(&out);
    ledger_close(&l);
}

static void ids_are_found_by_their_beginning(void **state)
{
    (void)state;
    ledger *l = filled();
    ledger_runs runs = { 0 };
    const char *of = NULL;
    char id[DIGEST_HEX], evidence[DIGEST_HEX], prefix[DIGEST_HEX];
    assert_ok(ledger_find_runs(l, NULL, &runs, err));
    assert_ok(ledger_find_id(l, runs.rows[1].id, &of, id, err));
    assert_string_equal(of, "run");
    assert_string_equal(id, runs.rows[1].id);
    ledger_evidence_id(&the_evidence, evidence);
    snprintf(prefix, sizeof prefix, "%.8s", evidence);
    prefix[0] = (char)(prefix[0] >= 'a' ? prefix[0] - 32 : prefix[0]);
    assert_ok(ledger_find_id(l, prefix, &of, id, err));
    assert_string_equal(of, "evidence");
    assert_string_equal(id, evidence);
    error e = { 0 };
    snprintf(prefix, sizeof prefix, "%.6s", runs.rows[0].id);
    assert_int_equal(ledger_find_id(l, prefix, &of, id, &e), E_RANGE);
    assert_non_null(strstr(e.text, runs.rows[0].id));
    assert_int_equal(ledger_find_id(l, "00000000", &of, id, NULL), E_NOTFOUND);
    assert_int_equal(ledger_find_id(l, "abc", &of, id, NULL), E_NOTFOUND);
    assert_int_equal(ledger_find_id(l, "demo' OR 1", &of, id, NULL), E_NOTFOUND);
    js *rows = NULL;
    assert_ok(ledger_read_rows(l, "answer", "run", runs.rows[0].id, &rows, err));
    assert_int_equal(js_len(rows), 2);
    assert_string_equal(js_text(js_get(js_at(rows, 1), "case_id")), "c2");
    js_free(rows);
    ledger_runs_close(&runs);
    ledger_close(&l);
}

static void differences_are_said_in_words(void **state)
{
    (void)state;
    char text[LEDGER_DIFFERS_BYTES];
    ledger_evidence now = the_evidence;
    assert_string_equal(ledger_evidence_differs(&the_evidence, &now, text, sizeof text), "");
    now.constrained = true;
    assert_string_equal(ledger_evidence_differs(&the_evidence, &now, text, sizeof text),
                        "a grammar constrains the output now");
    assert_string_equal(ledger_evidence_differs(&now, &the_evidence, text, sizeof text),
                        "no grammar constrains the output any more");
    now = the_evidence;
    now.model = "bbbb";
    now.kv_type = "q8";
    assert_string_equal(ledger_evidence_differs(&the_evidence, &now, text, sizeof text),
                        "the model file changed, the KV type changed");
    ledger_evidence all_new = { "x", "x", "x", "x", "x", true, "x" };
    size_t whole = strlen(ledger_evidence_differs(&all_new, &the_evidence, text, sizeof text));
    assert_true(whole > 100 && whole < sizeof text - 1); /* every difference at once has room */
}

/* Somebody with the sqlite3 shell, who first takes the guards away where they are in the way. */
static void verify_finds_each_fault(void **state)
{
    (void)state;
    static const struct {
        const char *harm, *says;
    } harms[] = {
        { "DROP TRIGGER answer_kept", "trigger 'answer_kept' is missing" },
        { "DROP TRIGGER label_fixed", "trigger 'label_fixed' is missing" },
        { "DROP TRIGGER text_once", "trigger 'text_once' is missing" },
        { "DROP TRIGGER run_kept; CREATE TRIGGER run_kept BEFORE DELETE ON run BEGIN SELECT 1; END",
          "'run_kept' is not as hearth makes it" },
        { "CREATE TRIGGER mine AFTER INSERT ON answer BEGIN SELECT 1; END", "'mine' is not hearth's" },
        { "DROP INDEX grade_by_answer", "index 'grade_by_answer' is missing" },
        { "DROP TABLE fact", "'fact_by_run' is missing" },
        { "DROP TRIGGER text_fixed; UPDATE text SET body = body || 'x'; CREATE TRIGGER text_fixed BEFORE UPDATE ON text"
          " BEGIN SELECT RAISE(ABORT, 'the ledger is append only: a text is never changed'); END",
          "is not what was stored" },
        { "INSERT INTO text VALUES ('0000', 1, 'x')", "the text 0000 is not" },
        { "INSERT INTO evidence VALUES ('abcd', 1, 's', 'm', 'n', 'k', '', 0, '{}')", "the evidence abcd is not" },
        { "INSERT INTO machine VALUES ('abcd', 1, 'c', 1, 1, '')", "the machine abcd is not" },
        { "PRAGMA ignore_check_constraints = ON; INSERT INTO grade SELECT 'x', 1, id, 'g99', 7, 'pass', '' FROM answer"
          " LIMIT 1", "CHECK constraint failed in grade" },
        { "PRAGMA foreign_keys = OFF; INSERT INTO fact VALUES ('x', 1, 'no run', 'n', 1, '1')", "is damaged: fact" },
        { "PRAGMA writable_schema = ON;"
          "UPDATE sqlite_master SET sql = replace(sql, 'CHECK (score >= 0 AND score <= 1)', '') WHERE name = 'grade';"
          "PRAGMA writable_schema = RESET;"
          "INSERT INTO grade SELECT 'x', 1, id, 'g99', 7, 'pass', '' FROM answer LIMIT 1",
          "'grade' is not as hearth makes it" },
    };
    for (size_t i = 0; i < ARRAY_LEN(harms); i++) {
        ledger *l = filled();
        assert_ok(ledger_verify(l, err));
        ledger_close(&l);
        sqlite3 *db = NULL;
        char *why = NULL;
        error e = { 0 };
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        if (sqlite3_exec(db, harms[i].harm, NULL, NULL, &why) != SQLITE_OK)
            fail_msg("%s: %s", harms[i].harm, why);
        sqlite3_close(db);
        assert_ok(ledger_open(&l, path, LEDGER_READ, err));
        status s = ledger_verify(l, &e);
        if (s != E_FORMAT || !strstr(e.text, harms[i].says))
            fail_msg("%s: status %d, %s", harms[i].harm, s, e.text);
        ledger_close(&l);
        assert_int_equal(own_ledger_remove(NULL), 0);
        assert_int_equal(mkdir(dir, 0700), 0);
    }
    ledger *l = filled(); /* an index of one's own is no fault */
    ledger_close(&l);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE INDEX mine ON answer (case_id); ANALYZE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_ok(ledger_open(&l, path, LEDGER_READ, err));
    assert_ok(ledger_verify(l, err));
    ledger_close(&l);
}

static status everything(ledger *l, const char *file, error *err)
{
    ledger *to = NULL;
    buf out = BUF_INIT(FILE_MAX), flat = BUF_INIT(FILE_MAX);
    status s = ledger_open(&to, other_path, LEDGER_WRITE, err);
    if (!s)
        s = import_text(to, file, NULL, err);
    if (!s)
        s = ledger_export_jsonl(l, &all, to_buf, &out, NULL, err);
    if (!s)
        s = ledger_export_csv(l, &all, to_buf, &flat, NULL, err);
    if (!s)
        s = ledger_verify(l, err);
    buf_clear(&out);
    buf_clear(&flat);
    drop_other(&to);
    return s;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    ledger *l = filled(), *to = open_other();
    buf file = exported(l, &all, NULL);
    drop_other(&to);
    assert_ok(everything(l, buf_text(&file), err));
    int failures = 0;
    for (uint64_t n = 1; n < 400; n += n < 60 ? 1 : 7) {
        error e = { 0 };
        mem_fail_at(n);
        status s = everything(l, buf_text(&file), &e);
        mem_fail_at(0);
        failures += s != OK;
        bool said = s == E_NOMEM || (s == E_RANGE && strstr(e.text, "memory is short"));
        if (s != OK && !(said && e.text[0]))
            fail_msg("allocation %d: status %d, %s", (int)n, s, e.text);
    }
    assert_true(failures > 20);
    buf_clear(&file);
    ledger_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_exported_comes_through), TEST(a_part_holds_what_it_needs), TEST(graded_in_two_places),
        TEST(a_strangers_file_changes_nothing), TEST(a_file_that_lacks_a_line_is_refused),
        TEST(a_changed_row_is_refused), TEST(damaged_in_many_ways), TEST(every_column_is_exported),
        TEST(import_killed_at_any_moment), TEST(tables_for_spreadsheets),
        TEST(ids_are_found_by_their_beginning), TEST(differences_are_said_in_words), TEST(verify_finds_each_fault),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
