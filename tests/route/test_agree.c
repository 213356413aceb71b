/* agree.h and trip.h: two answers to one request compared without the right one, for each kind of output; the base from
 * a ledger's answers; what answers say of themselves. */
#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "lib/own_ledger.h"
#include "route/agree.h"
#include "route/trip.h"
#include "stat/stat.h"
#include "task/evidence.h"
#include "task/task.h"

static const js *input;

static task *open_task(const char *rest)
{
    char yaml[1024];
    task *t = NULL;
    int n = snprintf(yaml, sizeof yaml, "hearth: 1\nid: t\nprivacy: public\nprompt: 'x {{input}}'\nbar: 0.5\n%s", rest);
    assert_ok(task_parse(&t, yaml, (size_t)n, "t", err));
    return t;
}

static double compare(const task *t, bool graded, const char *local, const char *cloud)
{
    agree_result r;
    assert_ok(agree_compare(t, graded, input, local, cloud, &r, err));
    return r.value;
}

static void is(double got, double want)
{
    if (isnan(want) ? !isnan(got) : !(fabs(got - want) < 1e-12))
        fail_msg("%g, not %g", got, want);
}

static void each_kind_of_output(void **state)
{
    (void)state;
    task *label = open_task("output: {kind: label, labels: [billing, shipping]}\ngraders: [{type: label}]\n");
    is(compare(label, false, "billing", "Billing."), 1);
    is(compare(label, false, "shipping", "billing"), 0);
    is(compare(label, false, "I do not know", "billing"), 0);
    is(compare(label, false, "billing", "I do not know"), NAN); /* the cloud's is malformed: nothing to learn */
    bool malformed;
    assert_ok(agree_malformed(label, input, "neither of them", &malformed, err));
    assert_true(malformed);
    assert_ok(agree_malformed(label, input, "shipping", &malformed, err));
    assert_false(malformed);
    task_close(&label);

    task *number = open_task("output: {kind: number}\ngraders: [{type: number}]\n");
    is(compare(number, false, "42", "42.0"), 1);
    is(compare(number, false, "41", "42"), 0);
    task_close(&number);

    task *json = open_task("output: {kind: json}\ngraders: [{type: json-fields}]\n");
    is(compare(json, false, "{\"a\": 1, \"b\": \"x\"}", "{\"b\":\"x\",\"a\":1}"), 1);
    is(compare(json, false, "{\"a\": 2}", "{\"a\":1}"), 0);
    is(compare(json, false, "{\"a\": 2}", "no JSON"), NAN);
    task_close(&json);

    task *text = open_task("graders: [{type: exact}]\n");
    is(compare(text, false, "a word", " a word\n"), 1);
    is(compare(text, false, "another", "a word"), 0);
    task_close(&text);

    task *graded = open_task("graders: [{type: max-words, max: 2}]\n");
    is(compare(graded, true, "two words", "and three words"), 1);
    is(compare(graded, true, "and three words", "two words"), -1);
    is(compare(graded, true, "one", "two"), 0);
    task_close(&graded);

    task *facts = open_task("graders: [{type: exact, key: answer}]\n"); /* no answer has members */
    agree_result r;
    error e = { 0 };
    assert_int_equal(agree_compare(facts, false, input, "a", "b", &r, &e), E_UNSUPPORTED);
    assert_non_null(strstr(e.text, "cannot be compared"));
    task_close(&facts);
}

/* ---- through a ledger ---- */

enum { N = 60 };

static void load_cases(task *t)
{
    buf b = BUF_INIT(1 << 16);
    for (int i = 0; i < N; i++)
        buf_printf(&b, "{\"id\":\"c%d\",\"input\":\"i%d\",\"expected\":\"billing\"}\n", i, i);
    assert_ok(task_parse_cases(t, buf_text(&b), b.len, err));
    buf_clear(&b);
}

/* Answers of one side: the first `right` say billing, the rest shipping; every tenth is longer and less sure. */
static void answer(ledger *l, const task *t, const char *provider, int right, int n, route_side *side)
{
    task_case_key *keys = NULL;
    size_t n_keys = 0;
    char run[UUID_TEXT], id[UUID_TEXT];
    const ledger_evidence e = { provider, "", "", "", "", false, "{}" };
    const ledger_run r = { .task = "t", .provider = provider, .place = "local", .model = provider };
    assert_ok(ledger_begin(l, &r, &e, run, err));
    assert_ok(task_case_keys(t, provider, &keys, &n_keys, err));
    for (int i = 0; i < n; i++) {
        ledger_grade g = { keys[i].grader, i < right, i < right ? LEDGER_PASS : LEDGER_WRONG, NULL };
        ledger_answer a = { .case_id = keys[i].c->id, .prompt = keys[i].prompt, .keep_text = true, .finish = "stop",
                            .text = i < right ? "billing" : "shipping", .n_output = i % 10 == 0 ? 9 : 2,
                            .mean_logprob = i % 10 == 0 ? -3 : -0.5 };
        assert_ok(ledger_append_answer(l, run, &a, &g, id, err));
    }
    mem_free(keys);
    memset(side, 0, sizeof *side);
    snprintf(side->provider, sizeof side->provider, "%s", provider);
    ledger_evidence_id(&e, side->evidence);
}

static void the_base_is_the_suites(void **state)
{
    (void)state;
    ledger *l = NULL;
    route_side here, there, few;
    agree_base b;
    error e = { 0 };
    task *t = open_task("output: {kind: label, labels: [billing, shipping]}\ngraders: [{type: label}]\n"
                        "limits: {malformed: 0.1}\n");
    load_cases(t);
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    answer(l, t, "here", 50, N, &here);
    answer(l, t, "there", 56, N, &there);
    answer(l, t, "few", 10, AGREE_PAIRS_MIN - 1, &few);
    assert_ok(agree_measure(l, t, &here, &there, &b, err));
    assert_true(!b.graded && b.n == N);
    is(b.rate, 54 / 60.0); /* both wrong in the same way is agreement, too */
    is(b.low, stat_clopper_pearson(54, 60, 0.90).low);
    assert_int_equal(agree_measure(l, t, &few, &there, &b, &e), E_UNSUPPORTED);
    assert_non_null(strstr(e.text, "19 cases have answers of both sides"));
    assert_ok(ledger_purge_text(l, NULL, NULL, err));
    assert_int_equal(agree_measure(l, t, &here, &there, &b, &e), E_UNSUPPORTED); /* nothing to compare any more */

    trip_state trip;
    trip_alarm alarms[TRIPS];
    assert_ok(trip_init(&trip, l, t, here.evidence, err));
    assert_true(trip.on[TRIP_MALFORMED] && trip.on[TRIP_LOGPROB] && trip.on[TRIP_LENGTH]);
    is(trip.least_logprob, -3);
    assert_int_equal(trip.most_output, 9);
    trip_answer fine = { true, false, -0.5, 2 }, off = { true, true, -9, 100 };
    for (int i = 0; i < 2000; i++) /* a tenth are long and unsure, as in the suite: no alarm, ever */
        assert_int_equal(trip_add(&trip, &fine, 100, alarms), 0);
    size_t n = 0;
    int at = 0;
    for (; n == 0 && at < 200; at++)
        n = trip_add(&trip, &off, 100, alarms);
    assert_true(at > 2 && at < 60);
    assert_in_range(n, 1, TRIPS);
    assert_true(alarms[0].value >= 100 && alarms[0].n > 2000);
    assert_int_equal(alarms[0].kind, TRIP_MALFORMED); /* its cap is the lowest */
    ledger_close(&l);
    task_close(&t);
}

static int make_input(void **state)
{
    (void)state;
    js *o = js_object();
    js_set(o, "input", js_new_string("something"));
    input = o;
    return 0;
}

static int drop_input(void **state)
{
    (void)state;
    js_free((js *)(uintptr_t)input);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_output),
        cmocka_unit_test_setup_teardown(the_base_is_the_suites, own_ledger_make, own_ledger_remove),
    };
    return cmocka_run_group_tests(tests, make_input, drop_input);
}
