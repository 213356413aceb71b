/* measure_task against askers that answer, hang, lie, crash and return garbage; killed half way, resumed, regraded.
 * The asker stands where a provider would: no model is needed. */
#include "lib/check.h"
#include "lib/own_ledger.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "measure/measure.h"
#include "plat/clock.h"
#include "task/task.h"

enum { CASES = 40 };
static const char head[] = "hearth: 1\nid: demo\nprivacy: %s\n%sprompt: '%s {{input}}'\n"
                           "output:\n  kind: label\n  labels: [red, green]\ngraders:\n  - type: label\nbar: 0.5\n"
                           "sampling: {temperature: %s, max_tokens: 8, repeats: %d}\n";

/* Even cases expect red, odd ones green; case `changed` (if any) expects the other one. */
static task *make_task(const char *privacy, const char *extra, const char *ask, const char *temperature, int changed)
{
    task *t = NULL;
    char text[1024];
    buf cases = BUF_INIT(1 << 20);
    int n = snprintf(text, sizeof text, head, privacy, extra, ask, temperature, temperature[1] ? 2 : 1);
    for (int i = 0; i < CASES; i++)
        buf_printf(&cases, "{\"id\": \"c%02d\", \"input\": \"number %d\", \"expected\": \"%s\"}\n", i, i,
                   (i % 2 == 0) == (i != changed) ? "red" : "green");
    assert_ok(task_parse(&t, text, (size_t)n, "demo", err));
    assert_ok(task_parse_cases(t, cases.data, cases.len, err));
    buf_clear(&cases);
    return t;
}

/* ---- askers ---- */

typedef enum fault {
    NONE, HANG, CRASH, SILENT, NOT_UTF8, ENDLESS, OTHER_MODEL, CANCELLED_BY_ITSELF, IMPOSSIBLE_TIMES
} fault;

typedef struct asker {
    fault fault;
    int bad_from, bad_to; /* cases with the fault */
    const char *always;   /* the answer; NULL: the right one, but for every fourth case */
    int calls, wait_us;
    privacy_class seen;
    request_kind kind;
} asker;

static int case_number(const request *r)
{
    return (int)strtol(r->case_id + 1, NULL, 10);
}

static void say(event_fn *fn, void *user, const char *text, size_t n)
{
    (void)fn(user, &(event){ .kind = EVENT_TEXT, .text = text, .text_bytes = n });
}

static status end_well(event_fn *fn, void *user, event_done d)
{
    (void)fn(user, &(event){ .kind = EVENT_DONE, .end = &d });
    return OK;
}

static status end_badly(event_fn *fn, void *user, fault_kind kind, const char *text, error *err)
{
    event_error e = { .code = E_PROVIDER, .kind = kind, .text = text };
    (void)fn(user, &(event){ .kind = EVENT_ERROR, .error = &e });
    return fail(err, E_PROVIDER, "%s", text);
}

static const event_done fine = { .finish = ANSWER_STOP, .prompt_tokens = 12, .cached_tokens = 0, .completion_tokens = 2,
                                 .prefill_seconds = 1e-5, .decode_seconds = 2e-5, .ttft_seconds = 1e-5,
                                 .mean_logprob = -0.5, .peak_bytes = 5 << 20, .model = "m", .model_digest = "weights",
                                 .numerics = "1" };

static status misbehave(asker *a, event_fn *fn, void *user, const provider_limits *limits, error *err)
{
    event_done d = fine;
    uint64_t since = clock_mono_us();
    switch (a->fault) {
    case HANG: /* as provider.h promises: EVENT_WAIT at least every 100 ms, but no end */
        while (!fn(user, &(event){ .kind = EVENT_WAIT })) {
            usleep(2000);
            assert_true(clock_mono_us() - since < (uint64_t)limits->timeout_ms * 1000 + 4000000);
        }
        d.finish = ANSWER_CANCELLED;
        return end_well(fn, user, d);
    case CRASH: return end_badly(fn, user, FAULT_CRASHED, "the worker died", err);
    case SILENT: return OK; /* says it is done, but never sent an end */
    case NOT_UTF8: say(fn, user, "red\xff\xfe", 5); return end_well(fn, user, d);
    case ENDLESS:
        for (int i = 0; i < 100000; i++) {
            static char block[4096];
            memset(block, 'x', sizeof block);
            if (fn(user, &(event){ .kind = EVENT_TEXT, .text = block, .text_bytes = sizeof block }))
                return end_well(fn, user, (event_done){ .finish = ANSWER_CANCELLED });
        }
        fail_msg("an endless answer was not stopped");
        return OK;
    case OTHER_MODEL:
        d.model_digest = "something else";
        say(fn, user, "red", 3);
        return end_well(fn, user, d);
    case CANCELLED_BY_ITSELF: d.finish = ANSWER_CANCELLED; return end_well(fn, user, d);
    default:
        d.prefill_seconds = 1e9;
        d.decode_seconds = -3;
        d.ttft_seconds = NAN;
        d.completion_tokens = -77;
        say(fn, user, "red", 3);
        return end_well(fn, user, d);
    }
}

static status ask(void *user, const request *r, event_fn *fn, void *fn_user, const provider_limits *limits, error *err)
{
    asker *a = user;
    int i = case_number(r);
    a->calls++;
    a->seen = r->privacy;
    a->kind = r->kind;
    if (a->wait_us)
        usleep((unsigned)a->wait_us);
    if (a->fault && i >= a->bad_from && i < a->bad_to)
        return misbehave(a, fn, fn_user, limits, err);
    const char *right = i % 2 == 0 ? "red" : "green", *wrong = i % 2 == 0 ? "green" : "red";
    const char *text = a->always ? a->always : i % 4 == 3 ? wrong : right;
    (void)fn(fn_user, &(event){ .kind = EVENT_WAIT });
    say(fn, fn_user, text, strlen(text));
    return end_well(fn, fn_user, fine);
}

static const provider_info local_info = { .name = "local:m.gguf", .kind = PROVIDER_LOCAL, .place = PLACE_LOCAL,
                                          .model = "m.gguf", .model_digest = "weights", .url = "", .numerics = "1",
                                          .kv_type = "f16", .isa = "avx2", .arch = "x", .file_type = "Q4_1",
                                          .n_threads = 2, .has_template = true };

static status run(const task *t, asker *a, const provider_info *who, measure_options o, measure_result *r, error *err)
{
    ledger *l = NULL;
    status s = ledger_open(&l, path, LEDGER_WRITE, err);
    if (!s)
        s = measure_task(l, t, who, ask, a, &o, r, err);
    if (!s || s == E_PROVIDER)
        assert_int_equal(ledger_verify(l, NULL), OK);
    ledger_close(&l);
    return s;
}

/* ---- tests ---- */

static void a_run_then_nothing_left_to_ask(void **state)
{
    (void)state;
    task *t = make_task("private", "", "colour of", "0", -1);
    asker a = { 0 };
    measure_result r = { 0 };
    assert_ok(run(t, &a, &local_info, (measure_options){ 0 }, &r, err));
    assert_int_equal(a.calls, CASES);
    assert_int_equal(a.seen, PRIVACY_PRIVATE);
    assert_int_equal(r.n, CASES);
    assert_int_equal(r.n_pass, 30);
    assert_int_equal(r.n_wrong, 10);
    assert_true(fabs(r.pass - 0.75) < 1e-12);
    assert_true(fabs(r.pass_lower - 0.5880) < 1e-3 && fabs(r.pass_upper - 0.8731) < 1e-3); /* Clopper-Pearson 30/40 */
    assert_true(fabs(r.majority - 0.5) < 1e-12);
    assert_true(isnan(r.regex));
    assert_true(r.speed.n == CASES && r.speed.decode_per_s > 0 && r.peak_bytes == 5 << 20);
    char first[UUID_TEXT];
    memcpy(first, r.run, sizeof first);
    assert_ok(run(t, &a, &local_info, (measure_options){ 0 }, &r, err));
    assert_int_equal(a.calls, CASES);
    assert_int_equal(r.n_kept, CASES);
    assert_int_equal(r.n_pass, 30);
    assert_string_not_equal(r.run, first); /* a run of its own, though it asked nothing */
    assert_true(r.peak_bytes == 5 << 20);
    assert_ok(run(t, &a, &local_info, (measure_options){ .fresh = true }, &r, err));
    assert_int_equal(a.calls, 2 * CASES);
    assert_int_equal(r.n, CASES); /* the newest answer of each case, not twice as many */
    assert_string_not_equal(r.run, first);
    task_close(&t);
}

static void a_limit_then_the_rest(void **state)
{
    (void)state;
    task *t = make_task("public", "", "colour of", "0", -1);
    asker a = { 0 };
    measure_result r = { 0 };
    assert_ok(run(t, &a, &local_info, (measure_options){ .limit = 10 }, &r, err));
    assert_int_equal(a.calls, 10);
    assert_int_equal(r.n, 10);
    assert_ok(run(t, &a, &local_info, (measure_options){ 0 }, &r, err));
    assert_int_equal(a.calls, CASES);
    assert_int_equal(r.n_asked, CASES - 10);
    assert_ok(run(t, &a, &local_info, (measure_options){ .limit = 3, .fresh = true }, &r, err));
    assert_int_equal(r.n_asked, 3);
    assert_int_equal(r.n, CASES); /* the others still count */
    assert_string_equal(r.stale, "");
    task_close(&t);
}

/* Whatever else the answer depends on, changing it asks anew; what only judging depends on asks nothing. */
static void evidence_and_grades_are_apart(void **state)
{
    (void)state;
    asker a = { 0 };
    measure_result r = { 0 };
    task *t = make_task("public", "", "colour of", "0", -1), *regraded = make_task("public", "", "colour of", "0", 4),
         *prompted = make_task("public", "", "What colour has", "0", -1),
         *sampled = make_task("public", "", "colour of", "0.7", -1);
    assert_ok(run(t, &a, &local_info, (measure_options){ 0 }, &r, err));
    assert_int_equal(a.calls, CASES);
    assert_ok(run(regraded, &a, &local_info, (measure_options){ 0 }, &r, err));
    assert_int_equal(a.calls, CASES);
    assert_int_equal(r.n_regraded, 1);
    assert_int_equal(r.n_pass, 29);
    assert_ok(run(t, &a, &local_info, (measure_options){ 0 }, &r, err));
    assert_int_equal(r.n_pass, 30); /* the old grades are still there */
    assert_int_equal(r.n_regraded, 0);
    assert_ok(run(prompted, &a, &local_info, (measure_options){ 0 }, &r, err));
    assert_int_equal(a.calls, 2 * CASES);
    assert_int_equal(r.n, CASES);
    assert_ok(run(sampled, &a, &local_info, (measure_options){ 0 }, &r, err));
    assert_int_equal(a.calls, 4 * CASES); /* twice each: one draw says little */
    provider_info other = local_info;
    other.model_digest = "other weights";
    asker b = { 0 }; /* its answers still say "weights" */
    error e = { 0 };
    assert_int_equal(run(t, &b, &other, (measure_options){ 0 }, &r, &e), E_PROVIDER);
    assert_non_null(strstr(e.text, "another model"));
    assert_int_equal(r.n, 0);
    assert_ok(run(t, &a, &local_info, (measure_options){ 0 }, &r, err));
    assert_int_equal(a.calls, 4 * CASES);
    task_close(&t);
    task_close(&regraded);
    task_close(&prompted);
    task_close(&sampled);
}

static void a_fault_is_neither_right_nor_wrong(void **state)
{
    (void)state;
    static const fault faults[] = { HANG, CRASH, SILENT, NOT_UTF8, ENDLESS, OTHER_MODEL, CANCELLED_BY_ITSELF };
    for (size_t f = 0; f < ARRAY_LEN(faults); f++) {
        task *t = make_task("public", "", "colour of", "0", -1);
        asker a = { .fault = faults[f], .bad_from = 5, .bad_to = 7 };
        measure_result r = { 0 };
        measure_options o = { .fresh = f > 0, .case_timeout_ms = 1 };
        provider_info who = local_info;
        who.kv_type = (const char *[]){ "a", "b", "c", "d", "e", "f", "g" }[f]; /* its own evidence */
        assert_ok(run(t, &a, &who, o, &r, err));
        assert_int_equal(r.n_failed, 2);
        assert_int_equal(r.n, CASES - 2);
        assert_int_equal(r.n_malformed, 0);
        assert_int_equal(r.n_pass + r.n_wrong, CASES - 2);
        a.fault = NONE;
        int before = a.calls;
        assert_ok(run(t, &a, &who, (measure_options){ 0 }, &r, err));
        assert_int_equal(a.calls - before, 2); /* the two, and nothing else, are tried again */
        assert_int_equal(r.n, CASES);
        assert_int_equal(r.n_pass, 30);
        task_close(&t);
    }
}

static void many_faults_in_a_row_end_the_run(void **state)
{
    (void)state;
    task *t = make_task("public", "", "colour of", "0", -1);
    asker a = { .fault = CRASH, .bad_from = 10, .bad_to = CASES };
    measure_result r = { 0 };
    error e = { 0 };
    assert_int_equal(run(t, &a, &local_info, (measure_options){ .max_failures = 3 }, &r, &e), E_PROVIDER);
    assert_int_equal(a.calls, 13);
    assert_int_equal(r.n, 10);
    assert_int_equal(r.n_failed, 3);
    assert_non_null(strstr(e.text, "3 cases in a row"));
    assert_non_null(strstr(e.text, "the worker died"));
    assert_non_null(strstr(e.text, "10 finished cases are kept"));
    task_close(&t);
}

static void impossible_numbers_are_unknown(void **state)
{
    (void)state;
    task *t = make_task("public", "", "colour of", "0", -1);
    asker a = { .fault = IMPOSSIBLE_TIMES, .bad_from = 0, .bad_to = CASES };
    measure_result r = { 0 };
    assert_ok(run(t, &a, &local_info, (measure_options){ 0 }, &r, err));
    assert_int_equal(r.n, CASES);
    assert_true(isnan(r.speed.decode_per_s) && isnan(r.speed.prefill_per_s));
    assert_true(r.speed.answer_p95_ms >= 0 && r.speed.answer_p95_ms < 10000 && r.speed.ttft_p95_ms < 10000);
    task_close(&t);
}

static void private_cases_go_nowhere(void **state)
{
    (void)state;
    provider_info cloud = { .name = "cloud", .kind = PROVIDER_OPENAI, .place = PLACE_REMOTE, .model = "big",
                            .model_digest = "", .url = "https://x/v1", .numerics = "", .kv_type = "", .isa = "",
                            .arch = "", .file_type = "", .has_template = true };
    static const char *const classes[] = { "internal", "private", "secret" };
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        task *t = make_task(classes[i], "", "colour of", "0", -1);
        asker a = { 0 };
        measure_result r = { 0 };
        error e = { 0 };
        assert_int_equal(run(t, &a, &cloud, (measure_options){ 0 }, &r, &e), E_DENIED);
        assert_int_equal(a.calls, 0);
        assert_non_null(strstr(e.text, classes[i]));
        task_close(&t);
        t = make_task(classes[i], "cases: synthetic\n", "colour of", "0", -1);
        assert_ok(run(t, &a, &cloud, (measure_options){ .limit = 2, .fresh = true }, &r, err));
        assert_int_equal(a.calls, 2);
        assert_int_equal(a.seen, PRIVACY_PUBLIC); /* nobody's data: the provider's own check lets it pass */
        task_close(&t);
    }
}

static void secret_keeps_no_text(void **state)
{
    (void)state;
    task *t = make_task("secret", "", "colour of", "0", -1), *again = make_task("secret", "", "colour of", "0", 4);
    asker a = { 0 };
    measure_result r = { 0 };
    assert_ok(run(t, &a, &local_info, (measure_options){ 0 }, &r, err));
    assert_int_equal(r.n_pass, 30);
    FILE *f = fopen(path, "rb");
    char *bytes = mem_zero(1 << 21);
    size_t n = fread(bytes, 1, 1 << 21, f);
    fclose(f);
    assert_null(memmem(bytes, n, "number 17", 9));
    mem_free(bytes);
    assert_ok(run(again, &a, &local_info, (measure_options){ 0 }, &r, err));
    assert_int_equal(a.calls, CASES + 1); /* no text to grade again: that case is asked */
    task_close(&t);
    task_close(&again);
}

static void a_base_model_continues_plain_prompts(void **state)
{
    (void)state;
    task *t = make_task("public", "", "colour of", "0", -1);
    provider_info base = local_info;
    base.has_template = false;
    asker a = { 0 };
    measure_result r = { 0 };
    assert_ok(run(t, &a, &base, (measure_options){ .limit = 1 }, &r, err));
    assert_int_equal(a.kind, REQUEST_TEXT);
    task_close(&t);
}

static uint32_t answers_there(void)
{
    ledger *l = NULL;
    ledger_sources src = { 0 };
    uint32_t n = 0;
    if (ledger_open(&l, path, LEDGER_READ, NULL) == OK && ledger_find_sources(l, "demo", &src, NULL) == OK && src.n)
        n = src.rows[0].n_answers;
    ledger_sources_close(&src);
    ledger_close(&l);
    return n;
}

static void killed_half_way_and_resumed(void **state)
{
    (void)state;
    task *t = make_task("public", "", "colour of", "0", -1);
    measure_result r = { 0 };
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        asker slow = { .wait_us = 10000 };
        (void)run(t, &slow, &local_info, (measure_options){ 0 }, &r, NULL);
        _exit(0);
    }
    while (answers_there() < 3)
        usleep(5000);
    kill(child, SIGKILL);
    int how;
    waitpid(child, &how, 0);
    asker a = { 0 };
    assert_ok(run(t, &a, &local_info, (measure_options){ 0 }, &r, err));
    assert_int_equal(r.n, CASES);
    assert_int_equal(r.n_pass, 30);
    assert_int_equal((int)r.n_kept + a.calls, CASES);
    if (WIFSIGNALED(how))
        assert_in_range(r.n_kept, 1, CASES - 1);
    task_close(&t);
}

static volatile int stop;
static void stop_soon(void *user, const measure_progress *p)
{
    (void)user;
    assert_true(p->done <= p->total);
    stop = 1;
}

static void stopping_keeps_what_is_finished(void **state)
{
    (void)state;
    task *t = make_task("public", "", "colour of", "0", -1);
    asker a = { 0 };
    measure_result r = { 0 };
    error e = { 0 };
    stop = 0;
    measure_options o = { .progress = stop_soon, .stop = &stop };
    assert_int_equal(run(t, &a, &local_info, o, &r, &e), E_CANCELLED);
    assert_int_equal(a.calls, 0);
    assert_string_not_equal(r.evidence, "");
    task_close(&t);
}

static void a_full_disk_in_mid_measure(void **state)
{
    (void)state;
    task *t = make_task("public", "", "colour of", "0", -1);
    measure_result r = { 0 };
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit = { 600 << 10, 600 << 10 };
        setrlimit(RLIMIT_FSIZE, &limit);
        asker a = { 0 };
        error e = { 0 };
        status s = run(t, &a, &local_info, (measure_options){ 0 }, &r, &e);
        _exit(s == E_IO && strstr(e.text, "what was finished is kept") && a.calls > 2 ? 0 : 1);
    }
    int how;
    waitpid(child, &how, 0);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    asker a = { 0 };
    assert_ok(run(t, &a, &local_info, (measure_options){ 0 }, &r, err));
    assert_int_equal(r.n, CASES);
    assert_true(r.n_kept > 0 && a.calls < CASES);
    task_close(&t);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    task *t = make_task("public", "", "colour of", "0", -1);
    int failed = 0;
    for (uint64_t n = 1; n < 1500; n += n < 60 ? 1 : 37) {
        asker a = { 0 };
        measure_result r = { 0 };
        error e = { 0 };
        mem_fail_at(n);
        status s = run(t, &a, &local_info, (measure_options){ .limit = 3, .fresh = true }, &r, &e);
        mem_fail_at(0);
        if (s != OK && s != E_NOMEM && !strstr(e.text, "memory is short"))
            fail_msg("allocation %d: %s: %s", (int)n, status_name(s), e.text);
        failed += s != OK;
    }
    assert_true(failed > 20);
    task_close(&t);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, own_ledger_make, own_ledger_remove)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_then_nothing_left_to_ask), TEST(a_limit_then_the_rest), TEST(evidence_and_grades_are_apart),
        TEST(a_fault_is_neither_right_nor_wrong), TEST(many_faults_in_a_row_end_the_run),
        TEST(impossible_numbers_are_unknown), TEST(private_cases_go_nowhere), TEST(secret_keeps_no_text),
        TEST(a_base_model_continues_plain_prompts), TEST(killed_half_way_and_resumed),
        TEST(stopping_keeps_what_is_finished), TEST(a_full_disk_in_mid_measure), TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
