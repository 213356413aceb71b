/* Schema 2: what each grader said, the governor, runs with facts, labels and decisions. */
#include "fixture.h"

#include <math.h>

#include "base/mem.h"

typedef struct two_answers {
    char run[UUID_TEXT], first[UUID_TEXT], second[UUID_TEXT];
} two_answers;

static ledger *open_with(two_answers *a)
{
    ledger *l = NULL;
    ledger_answer one = answer_of("c1", "red"), two = answer_of("c1", "green");
    one.mean_logprob = -0.12345678901234567;
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(ledger_begin(l, &the_run, &the_evidence, a->run, err));
    assert_ok(ledger_append_answer(l, a->run, &one, &passed, a->first, err));
    assert_ok(ledger_append_answer(l, a->run, &two, NULL, a->second, err));
    return l;
}

static void runs_tell_what_they_hold(void **state)
{
    (void)state;
    two_answers a;
    ledger *l = open_with(&a);
    char other[UUID_TEXT];
    ledger_run run = the_run;
    run.task = "other";
    run.governor = "powersave";
    assert_ok(ledger_append_failure(l, a.run, "c9", "timeout", "no answer in 120 s", err));
    assert_ok(ledger_begin(l, &run, &the_evidence, other, err));
    assert_ok(ledger_append_fact(l, other, "decode_tokens_per_s", 41.25, "1/s", err));
    assert_ok(ledger_append_fact(l, other, "peak_bytes", 1e9, "B", err));

    ledger_runs runs = { 0 };
    assert_ok(ledger_find_runs(l, NULL, &runs, err));
    assert_int_equal(runs.n, 2);
    const ledger_run_row *r = &runs.rows[0];
    assert_string_equal(r->id, a.run);
    assert_string_equal(r->task, "demo");
    assert_string_equal(r->governor, "");
    assert_string_equal(r->cpu, "A CPU");
    assert_string_equal(r->evidence.sampling, the_evidence.sampling);
    assert_int_equal(r->n_answers, 2);
    assert_int_equal(r->n_failures, 1);
    assert_int_equal(r->threads, 2);
    assert_true(r->last_us >= r->at_us && r->at_us > 0);
    ledger_runs_close(&runs);
    assert_ok(ledger_find_runs(l, "other", &runs, err));
    assert_int_equal(runs.n, 1);
    assert_string_equal(runs.rows[0].governor, "powersave");
    assert_int_equal(runs.rows[0].n_answers, 0);
    assert_true(runs.rows[0].last_us == runs.rows[0].at_us);
    ledger_runs_close(&runs);

    ledger_facts facts = { 0 };
    assert_ok(ledger_find_facts(l, other, &facts, err));
    assert_int_equal(facts.n, 2);
    assert_string_equal(facts.rows[0].name, "decode_tokens_per_s");
    assert_string_equal(facts.rows[0].unit, "1/s");
    assert_true(facts.rows[0].value == 41.25 && facts.rows[1].value == 1e9);
    ledger_facts_close(&facts);
    assert_ok(ledger_find_facts(l, a.run, &facts, err));
    assert_int_equal(facts.n, 0);
    ledger_facts_close(&facts);
    ledger_close(&l);
}

static void grades_keep_what_each_grader_said(void **state)
{
    (void)state;
    static const char detail[] = "[{\"grader\":\"label\",\"score\":0.5,\"reason\":\"it's \\\"near\\\"\"}]";
    two_answers a;
    ledger *l = open_with(&a);
    ledger_grade g = { "g2", 0.5, LEDGER_WRONG, detail };
    char *text = NULL;
    assert_ok(ledger_append_grade(l, a.second, &g, err));
    assert_ok(ledger_find_detail(l, a.second, "g2", &text, err));
    assert_string_equal(text, detail);
    mem_free(text);
    assert_ok(ledger_find_detail(l, a.first, "g1", &text, err));
    assert_string_equal(text, "");
    mem_free(text);
    assert_int_equal(ledger_find_detail(l, a.first, "g2", &text, NULL), E_NOTFOUND);

    ledger_rows rows = { 0 };
    char evidence[DIGEST_HEX];
    ledger_evidence_id(&the_evidence, evidence);
    assert_ok(ledger_find_answers(l, "demo", evidence, &rows, err));
    assert_true(rows.rows[0].mean_logprob == -0.12345678901234567); /* to the last bit */
    assert_true(isnan(rows.rows[1].mean_logprob));
    assert_int_equal(strlen(rows.rows[0].prompt_text), 64);
    ledger_rows_close(&rows);
    ledger_close(&l);
}

static void labels_come_out_as_they_went_in(void **state)
{
    (void)state;
    two_answers a;
    ledger *l = open_with(&a);
    const ledger_label in[] = {
        { .task = "demo", .case_id = "c1", .answer = a.first, .verdict = LABEL_ACCEPT, .who = "ann" },
        { .task = "demo", .case_id = "c1", .answer = a.second, .verdict = LABEL_REJECT, .fixed = "blue", .who = "ann" },
        { .task = "demo", .case_id = "c1", .answer = a.second, .other = a.first, .verdict = LABEL_SECOND },
        { .task = "other", .case_id = "c1", .answer = a.first, .other = "", .verdict = LABEL_TIE, .who = "bob" },
    };
    for (size_t i = 0; i < ARRAY_LEN(in); i++)
        assert_ok(ledger_append_label(l, &in[i], true, err));
    ledger_labels got = { 0 };
    assert_ok(ledger_find_labels(l, "demo", &got, err));
    assert_int_equal(got.n, 3);
    for (size_t i = 0; i < got.n; i++) {
        assert_string_equal(got.rows[i].answer, in[i].answer);
        assert_string_equal(got.rows[i].other, in[i].other ? in[i].other : "");
        assert_string_equal(got.rows[i].case_id, "c1");
        assert_string_equal(got.rows[i].who, in[i].who ? in[i].who : "");
        assert_int_equal(got.rows[i].verdict, in[i].verdict);
        assert_true(got.rows[i].at_us > 0 && (i == 0 || strcmp(got.rows[i - 1].id, got.rows[i].id) < 0));
        assert_int_equal(strlen(got.rows[i].fixed), i == 1 ? 64 : 0);
    }
    char *text = NULL;
    assert_ok(ledger_find_text(l, got.rows[1].fixed, &text, err));
    assert_string_equal(text, "blue");
    mem_free(text);
    ledger_labels_close(&got);
    assert_ok(ledger_find_labels(l, NULL, &got, err));
    assert_int_equal(got.n, 4);
    ledger_labels_close(&got);
    assert_ok(ledger_verify(l, err));
    ledger_close(&l);
}

static void labels_of_what_is_not_there_are_refused(void **state)
{
    (void)state;
    two_answers a;
    ledger *l = open_with(&a);
    ledger_label label = { .task = "demo", .case_id = "c1", .answer = "no such answer", .fixed = "kept by nobody" };
    assert_int_equal(ledger_append_label(l, &label, true, NULL), E_DENIED);
    label.answer = a.first;
    label.other = "nor this";
    assert_int_equal(ledger_append_label(l, &label, true, NULL), E_DENIED);
    ledger_close(&l);
    assert_int_equal(count("SELECT COUNT(*) FROM label"), 0);
    assert_int_equal(count("SELECT COUNT(*) FROM text WHERE body = 'kept by nobody'"), 0); /* one transaction */
}

static void a_label_of_class_secret_keeps_no_text(void **state)
{
    (void)state;
    two_answers a;
    ledger *l = open_with(&a);
    ledger_label label = { .task = "demo", .case_id = "c1", .answer = a.first, .verdict = LABEL_REJECT,
                           .fixed = "the secret" };
    assert_ok(ledger_append_label(l, &label, false, err));
    ledger_close(&l);
    assert_int_equal(count("SELECT COUNT(*) FROM label WHERE fixed = ''"), 1);
    assert_int_equal(count("SELECT COUNT(*) FROM text WHERE body = 'the secret'"), 0);
}

static void purging_a_task_takes_the_texts_of_its_labels(void **state)
{
    (void)state;
    two_answers a;
    ledger *l = open_with(&a);
    ledger_label label = { .task = "demo", .case_id = "c1", .answer = a.first, .verdict = LABEL_REJECT,
                           .fixed = "only of demo" };
    assert_ok(ledger_append_label(l, &label, true, err));
    label.fixed = "of both";
    assert_ok(ledger_append_label(l, &label, true, err));
    label.task = "other";
    assert_ok(ledger_append_label(l, &label, true, err));
    uint64_t n = 0;
    assert_ok(ledger_purge_text(l, "demo", &n, err));
    assert_int_equal(n, 4); /* two answers, their one prompt, one of the two fixes */
    ledger_labels got = { 0 };
    char *text = NULL;
    assert_ok(ledger_find_labels(l, "demo", &got, err));
    assert_int_equal(got.n, 2);
    assert_int_equal(strlen(got.rows[0].fixed), 64); /* that there was a fix is still known */
    assert_int_equal(ledger_find_text(l, got.rows[0].fixed, &text, NULL), E_NOTFOUND);
    assert_ok(ledger_find_text(l, got.rows[1].fixed, &text, err));
    mem_free(text);
    ledger_labels_close(&got);
    assert_ok(ledger_verify(l, err));
    ledger_close(&l);
}

static ledger_decision decision_of(const char *local)
{
    return (ledger_decision){ .task = "demo", .verdict = "local", .local_evidence = local, .suite = "suite1", .win = 3,
                              .tie = 50, .loss = 7, .n = 60, .n_pass = 55, .detail = "{\"bar\":0.9}" };
}

/* Only a change is news: in any one field, and also when it goes back to what was concluded before. */
static void decisions_are_written_when_they_differ(void **state)
{
    (void)state;
    two_answers a;
    ledger *l = open_with(&a);
    char evidence[DIGEST_HEX];
    ledger_evidence_id(&the_evidence, evidence);
    const ledger_decision base = decision_of(evidence);
    ledger_decision changed[] = { base, base, base, base, base, base, base, base, base, base };
    changed[0].verdict = "cloud";
    changed[1].local_evidence = NULL;
    changed[2].cloud_evidence = evidence;
    changed[3].suite = "suite2";
    changed[4].win = 4;
    changed[5].tie = 51;
    changed[6].loss = 8;
    changed[7].n = 61;
    changed[8].n_pass = 54;
    changed[9].detail = NULL;
    bool written = false;
    assert_ok(ledger_append_decision(l, &base, &written, err));
    assert_true(written);
    for (size_t i = 0; i < ARRAY_LEN(changed); i++) {
        assert_ok(ledger_append_decision(l, &base, &written, err));
        assert_false(written);
        assert_ok(ledger_append_decision(l, &changed[i], &written, err));
        assert_true(written);
        assert_ok(ledger_append_decision(l, &base, NULL, err));
    }
    ledger_decision other = base;
    other.task = "other"; /* another task's newest one is none of its business */
    assert_ok(ledger_append_decision(l, &other, &written, err));
    assert_true(written);
    ledger_decisions got = { 0 };
    assert_ok(ledger_find_decisions(l, "demo", &got, err));
    assert_int_equal(got.n, 1 + 2 * ARRAY_LEN(changed));
    const ledger_decision *d = &got.rows[5];
    assert_string_equal(d->local_evidence, evidence);
    assert_string_equal(d->cloud_evidence, evidence);
    assert_string_equal(d->verdict, "local");
    assert_string_equal(d->suite, "suite1");
    assert_string_equal(d->detail, "{\"bar\":0.9}");
    assert_true(d->win == 3 && d->tie == 50 && d->loss == 7 && d->n == 60 && d->n_pass == 55 && d->at_us > 0);
    assert_string_equal(got.rows[3].local_evidence, "");
    assert_string_equal(got.rows[0].cloud_evidence, "");
    ledger_decisions_close(&got);
    assert_ok(ledger_find_decisions(l, NULL, &got, err));
    assert_int_equal(got.n, 2 + 2 * ARRAY_LEN(changed));
    ledger_decisions_close(&got);
    other.local_evidence = "no such evidence";
    assert_int_equal(ledger_append_decision(l, &other, &written, NULL), E_DENIED);
    assert_ok(ledger_verify(l, err));
    ledger_close(&l);
}

static void the_new_tables_are_guarded(void **state)
{
    (void)state;
    two_answers a;
    ledger *l = open_with(&a);
    char evidence[DIGEST_HEX];
    ledger_evidence_id(&the_evidence, evidence);
    ledger_label label = { .task = "demo", .case_id = "c1", .answer = a.first };
    ledger_decision d = decision_of(evidence);
    assert_ok(ledger_append_label(l, &label, true, err));
    assert_ok(ledger_append_decision(l, &d, NULL, err));
    ledger_close(&l);
    static const char *const attempts[] = {
        "UPDATE label SET verdict = 'reject'", "UPDATE decision SET verdict = 'cloud'", "DELETE FROM label",
        "DELETE FROM decision", "INSERT OR REPLACE INTO label SELECT * FROM label",
        "INSERT OR REPLACE INTO decision SELECT * FROM decision", "UPDATE grade SET detail = 'x'",
        "UPDATE run SET governor = 'x'",
        "INSERT INTO label SELECT 'x', 0, task, case_id, answer, NULL, 'maybe', '', '' FROM label",
    };
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
        assert_int_equal(sqlite3_exec(db, attempts[i], NULL, NULL, NULL) & 0xff, SQLITE_CONSTRAINT);
    sqlite3_close(db);
    assert_int_equal(count("SELECT COUNT(*) FROM label WHERE verdict = 'accept'"), 1);
    assert_int_equal(count("SELECT COUNT(*) FROM decision WHERE verdict = 'local'"), 1);
}

static status everything(error *err)
{
    ledger *l = NULL;
    char run[UUID_TEXT], id[UUID_TEXT], *detail = NULL;
    ledger_runs runs = { 0 };
    ledger_facts facts = { 0 };
    ledger_labels labels = { 0 };
    ledger_decisions decisions = { 0 };
    ledger_answer a = answer_of("c", "x");
    ledger_grade g = { "g1", 1, LEDGER_PASS, "[]" };
    ledger_decision d = decision_of(NULL);
    status s = ledger_open(&l, path, LEDGER_WRITE, err);
    if (!s)
        s = ledger_begin(l, &the_run, &the_evidence, run, err);
    if (!s)
        s = ledger_append_answer(l, run, &a, &g, id, err);
    if (!s)
        s = ledger_append_fact(l, run, "n", 1, "1", err);
    ledger_label label = { .task = "demo", .case_id = "c", .answer = id, .fixed = "y" };
    if (!s)
        s = ledger_append_label(l, &label, true, err);
    if (!s)
        s = ledger_append_decision(l, &d, NULL, err);
    if (!s)
        s = ledger_find_runs(l, NULL, &runs, err);
    if (!s)
        s = ledger_find_facts(l, run, &facts, err);
    if (!s)
        s = ledger_find_labels(l, NULL, &labels, err);
    if (!s)
        s = ledger_find_decisions(l, NULL, &decisions, err);
    if (!s)
        s = ledger_find_detail(l, id, "g1", &detail, err);
    mem_free(detail);
    ledger_runs_close(&runs);
    ledger_facts_close(&facts);
    ledger_labels_close(&labels);
    ledger_decisions_close(&decisions);
    ledger_close(&l);
    return s;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_ok(everything(err));
    int failures = 0;
    for (uint64_t n = 1; n < 100; n++) {
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

/* A prediction is judged by the fact of its name in its own run; one that nothing was measured of is none. */
static void predictions_stand_beside_results(void **state)
{
    (void)state;
    two_answers a;
    ledger *l = open_with(&a);
    char other[UUID_TEXT];
    ledger_predictions p = { 0 };
    char machine[DIGEST_HEX];
    ledger_run elsewhere = the_run;
    elsewhere.machine.cpu = "Another CPU";
    assert_ok(ledger_append_fact(l, a.run, LEDGER_PREDICTED "peak_bytes", 110, "B", err));
    assert_ok(ledger_append_fact(l, a.run, LEDGER_PREDICTED "decode_tokens_per_s", 30, "1/s", err));
    assert_ok(ledger_append_fact(l, a.run, "peak_bytes", 100, "B", err));
    assert_ok(ledger_begin(l, &elsewhere, &the_evidence, other, err));
    assert_ok(ledger_append_fact(l, other, LEDGER_PREDICTED "decode_tokens_per_s", 40, "1/s", err));
    assert_ok(ledger_append_fact(l, other, "decode_tokens_per_s", 50, "1/s", err));
    assert_ok(ledger_find_predictions(l, NULL, &p, err));
    assert_int_equal(p.n, 2);
    assert_string_equal(p.rows[0].name, "peak_bytes");
    assert_true(p.rows[0].predicted == 110 && p.rows[0].measured == 100 && p.rows[0].at_us > 0);
    assert_string_equal(p.rows[0].run, a.run);
    assert_string_equal(p.rows[0].task, "demo");
    assert_string_equal(p.rows[0].numerics, the_evidence.numerics);
    assert_string_equal(p.rows[1].name, "decode_tokens_per_s");
    assert_true(isnan(p.rows[0].others));
    ledger_predictions_close(&p);
    assert_ok(ledger_append_fact(l, other, LEDGER_OTHERS, 0.5, "processors", err));
    ledger_machine_id(&elsewhere.machine, machine);
    assert_ok(ledger_find_predictions(l, machine, &p, err));
    assert_int_equal(p.n, 1);
    assert_true(p.rows[0].predicted == 40 && p.rows[0].measured == 50 && p.rows[0].others == 0.5);
    ledger_predictions_close(&p);
    ledger_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(runs_tell_what_they_hold), TEST(grades_keep_what_each_grader_said), TEST(labels_come_out_as_they_went_in),
        TEST(labels_of_what_is_not_there_are_refused), TEST(a_label_of_class_secret_keeps_no_text),
        TEST(purging_a_task_takes_the_texts_of_its_labels), TEST(decisions_are_written_when_they_differ),
        TEST(the_new_tables_are_guarded), TEST(predictions_stand_beside_results), TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
