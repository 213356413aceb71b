/* measure_arms: several providers at once, cases in company, budgets, and runs that end when the question is decided.
 * Askers stand where providers would; what they answer follows from the case's number alone. */
#include "lib/check.h"
#include "lib/own_ledger.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "measure/measure.h"
#include "plat/clock.h"
#include "stat/stat.h"
#include "task/task.h"

/* n cases, even ones expecting "red" and odd ones "green"; in clusters of `cluster` cases each. */
static task *make_task(int n, int cluster, const char *more)
{
    task *t = NULL;
    buf cases = BUF_INIT(1 << 20), yaml = BUF_INIT(4096);
    buf_printf(&yaml, "hearth: 1\nid: demo\nprivacy: public\nprompt: 'colour of {{input}}'\noutput:\n  kind: label\n"
               "  labels: [red, green]\ngraders:\n  - type: label\nbar: 0.5\nmargin: 0.1\n%s", more);
    for (int i = 0; i < n; i++)
        buf_printf(&cases, "{\"id\": \"c%03d\", \"input\": \"number %d\", \"expected\": \"%s\", "
                   "\"cluster\": \"k%d\"}\n",
                   i, i, i % 2 ? "green" : "red", cluster > 1 ? i / cluster : i);
    assert_ok(task_parse(&t, yaml.data, yaml.len, "demo", err));
    assert_ok(task_parse_cases(t, cases.data, cases.len, err));
    buf_clear(&yaml);
    buf_clear(&cases);
    return t;
}

/* ---- askers ---- */

typedef struct asker {
    bool (*right)(int i);
    const char *wrong;         /* NULL: the other label */
    int fail_from;             /* cases from here on get no answer; 0: none do */
    unsigned (*wait_us)(int i);
    atomic_int calls, now, most; /* in all, at this moment, most at once */
    atomic_int most_early;     /* most at once among the first MEASURE_ALONE calls */
} asker;

static bool always(int i) { (void)i; return true; }
static bool never(int i) { (void)i; return false; }
static bool three_of_four(int i) { return i % 4 != 0; }
static unsigned a_little(int i) { (void)i; return 2000; }
static unsigned odd_ones_are_slow(int i) { return i % 2 ? 6000 : 100; }

static void raise_to(atomic_int *most, int now)
{
    int seen = atomic_load(most);
    while (now > seen && !atomic_compare_exchange_weak(most, &seen, now))
        ;
}

static status ask(void *user, const request *r, event_fn *fn, void *fn_user, const provider_limits *limits, error *err)
{
    asker *a = user;
    int i = (int)strtol(r->case_id + 1, NULL, 10), call = atomic_fetch_add(&a->calls, 1);
    int now = atomic_fetch_add(&a->now, 1) + 1;
    (void)limits;
    raise_to(call < MEASURE_ALONE ? &a->most_early : &a->most, now);
    if (a->wait_us)
        usleep(a->wait_us(i));
    atomic_fetch_sub(&a->now, 1);
    if (a->fail_from && i >= a->fail_from) {
        event_error e = { .code = E_PROVIDER, .kind = FAULT_CRASHED, .text = "gone" };
        (void)fn(fn_user, &(event){ .kind = EVENT_ERROR, .error = &e });
        return fail(err, E_PROVIDER, "gone");
    }
    const char *right = i % 2 ? "green" : "red", *other = i % 2 ? "red" : "green";
    const char *text = a->right(i) ? right : a->wrong ? a->wrong : other;
    event_done d = { .finish = ANSWER_STOP, .prompt_tokens = 100, .completion_tokens = 10, .prefill_seconds = NAN,
                     .decode_seconds = NAN, .ttft_seconds = NAN, .mean_logprob = NAN, .model = "m", .model_digest = "w",
                     .numerics = "1" };
    if (fn(fn_user, &(event){ .kind = EVENT_TEXT, .text = text, .text_bytes = strlen(text) }))
        d.finish = ANSWER_CANCELLED;
    (void)fn(fn_user, &(event){ .kind = EVENT_DONE, .end = &d });
    return OK;
}

static const provider_info local_info = { .name = "local:m.gguf", .kind = PROVIDER_LOCAL, .place = PLACE_LOCAL,
                                          .model = "m.gguf", .model_digest = "w", .url = "", .numerics = "1",
                                          .kv_type = "f16", .isa = "avx2", .arch = "x", .file_type = "Q4_1",
                                          .n_threads = 2, .parallel = 4, .has_template = true };
static const provider_info cloud_info = { .name = "cloud", .kind = PROVIDER_OPENAI, .place = PLACE_REMOTE,
                                          .model = "big", .model_digest = "", .url = "https://x/v1", .numerics = "",
                                          .kv_type = "",
                                          .isa = "", .arch = "", .file_type = "", .has_template = true, .parallel = 8,
                                          .price_input = 1000, .price_output = 2000 };

static status run(const task *t, asker *askers, const provider_info *const *who, size_t n, measure_options o,
                  measure_result *r, measure_outcome *out, error *e)
{
    measure_arm arms[4];
    ledger *l = NULL;
    for (size_t i = 0; i < n; i++)
        arms[i] = (measure_arm){ who[i], ask, &askers[i], NULL };
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    status s = measure_arms(l, t, arms, n, &o, r, out, e);
    assert_int_equal(ledger_verify(l, NULL), OK);
    ledger_close(&l);
    return s;
}

static const provider_info *const both[] = { &local_info, &cloud_info };

static bool has_finding(const measure_outcome *o, const char *code, bool *grave)
{
    for (size_t i = 0; i < o->n_findings; i++)
        if (!strcmp(o->findings[i].code, code)) {
            if (grave)
                *grave = o->findings[i].grave;
            return true;
        }
    return false;
}

/* ---- tests ---- */

static void the_first_alone_the_rest_together(void **state)
{
    (void)state;
    task *t = make_task(80, 1, "");
    asker a = { .right = three_of_four, .wait_us = a_little };
    measure_result r = { 0 };
    assert_ok(run(t, &a, both, 1, (measure_options){ 0 }, &r, NULL, err));
    assert_int_equal(a.calls, 80);
    assert_int_equal(a.most_early, 1);
    assert_in_range(a.most, 2, 4);
    assert_int_equal(r.n, 80);
    assert_int_equal(r.n_pass, 60);
    assert_int_equal(r.speed.n, MEASURE_ALONE); /* times are those of one caller */
    assert_int_equal(r.speed.concurrency, 1);
    task_close(&t);
}

/* A decision needs the cases up to it in their order, however fast each is answered. */
static void it_ends_when_it_is_decided(void **state)
{
    (void)state;
    task *t = make_task(200, 1, "");
    asker slow = { .right = always, .wait_us = odd_ones_are_slow }, a[2] = { slow, slow };
    measure_result r[2] = { 0 };
    measure_outcome o;
    assert_ok(run(t, a, both, 2, (measure_options){ .until_decided = true }, r, &o, err));
    assert_int_equal(o.decided, MEASURE_PROVEN);
    assert_int_equal(o.win + o.loss, 0);
    assert_true(o.log_e >= log(20));
    assert_in_range(o.n_pairs, 44, 70); /* 44 suffice at margin .1; some were in flight */
    assert_true(o.n_unasked > 200 && a[0].calls < 100);
    assert_string_equal(r[0].ended, "decided");
    assert_int_equal(r[0].n_asked, a[0].calls); /* nothing that was asked is lost */
    int before = a[0].calls + a[1].calls;
    assert_ok(run(t, a, both, 2, (measure_options){ .until_decided = true }, r, &o, err));
    assert_int_equal(a[0].calls + a[1].calls, before); /* decided already: nothing is asked */
    assert_int_equal(o.decided, MEASURE_PROVEN);
    task_close(&t);
}

static void a_worse_one_is_refuted(void **state)
{
    (void)state;
    task *t = make_task(200, 1, "");
    asker a[2] = { { .right = never }, { .right = always } };
    measure_result r[2] = { 0 };
    measure_outcome o;
    assert_ok(run(t, a, both, 2, (measure_options){ .until_decided = true }, r, &o, err));
    assert_int_equal(o.decided, MEASURE_REFUTED);
    assert_in_range(o.n_pairs, 5, 30);
    assert_true(o.difference == -1 && o.lower < -o.margin);
    assert_int_equal(r[0].decided, MEASURE_REFUTED); /* of the bar, too */
    task_close(&t);
}

/* 200 cases in 20 clusters are 20 observations: what 44 independent cases prove, they do not. */
static void clusters_are_one_observation_each(void **state)
{
    (void)state;
    task *t = make_task(200, 10, "");
    asker a[2] = { { .right = always }, { .right = always } };
    measure_result r[2] = { 0 };
    measure_outcome o;
    assert_ok(run(t, a, both, 2, (measure_options){ .until_decided = true }, r, &o, err));
    assert_int_equal(o.decided, MEASURE_OPEN);
    assert_int_equal(o.n_pairs, 200);
    stat_wealth w;
    stat_wealth_init(&w, 0.1);
    for (int i = 0; i < 20; i++)
        stat_wealth_add(&w, 0);
    assert_true(fabs(o.log_e - stat_wealth_log(&w)) < 1e-9);
    task_close(&t);
}

static void one_arm_is_held_against_the_bar(void **state)
{
    (void)state;
    task *t = make_task(200, 1, "");
    asker a = { .right = always };
    measure_result r = { 0 };
    assert_ok(run(t, &a, both, 1, (measure_options){ .until_decided = true }, &r, NULL, err));
    assert_int_equal(r.decided, MEASURE_PROVEN);
    assert_true(r.decided_after < 20 && a.calls < 30 && a.calls >= (int)r.decided_after);
    uint32_t n = r.decided_after; /* as the closed form says */
    assert_true(stat_eprocess_bar(n, n, 0.5) >= log(20));
    task_close(&t);
}

/* 100 tokens in at 1000 USD a million and 10 out at 2000: 0.12 USD an answer. */
static void a_budget_is_kept(void **state)
{
    (void)state;
    task *t = make_task(100, 1, "sampling: {max_tokens: 20}\n");
    asker a[2] = { { .right = always }, { .right = always } };
    measure_result r[2] = { 0 };
    measure_outcome o;
    assert_ok(run(t, a, both, 2, (measure_options){ .max_cost_usd = 3 }, r, &o, err));
    assert_string_equal(r[1].ended, "max-cost");
    assert_true(r[1].cost_usd <= 3 && r[1].cost_usd > 2);
    assert_true(fabs(r[1].cost_usd - 0.12 * r[1].n_asked) < 1e-9 && fabs(r[1].cost_per_answer - 0.12) < 1e-9);
    assert_int_equal(r[0].n_asked, 100); /* what costs nothing goes on */
    provider_info unpriced = cloud_info;
    unpriced.price_input = NAN;
    error e = { 0 };
    const provider_info *who[] = { &unpriced };
    assert_int_equal(run(t, a, who, 1, (measure_options){ .max_cost_usd = 3, .fresh = true }, r, &o, &e), E_RANGE);
    assert_non_null(strstr(e.text, "price"));
    task_close(&t);
}

static unsigned long_wait(int i)
{
    return i < 30 ? 100 : 300000;
}

static void time_is_kept(void **state)
{
    (void)state;
    task *t = make_task(60, 1, "");
    asker a = { .right = always, .wait_us = long_wait };
    measure_result r = { 0 };
    uint64_t since = clock_mono_us();
    assert_ok(run(t, &a, both, 1, (measure_options){ .max_seconds = 0.5 }, &r, NULL, err));
    assert_true(clock_mono_us() - since < 3000000);
    assert_string_equal(r.ended, "max-time");
    assert_in_range(r.n, 30, 50);
    a.wait_us = NULL;
    uint32_t kept = r.n;
    assert_ok(run(t, &a, both, 1, (measure_options){ 0 }, &r, NULL, err));
    assert_int_equal(r.n_kept, kept);
    assert_int_equal(r.n, 60);
    task_close(&t);
}

static void one_fails_the_other_goes_on(void **state)
{
    (void)state;
    task *t = make_task(60, 1, "");
    asker a[2] = { { .right = always, .wait_us = a_little }, { .right = always, .fail_from = 10 } };
    measure_result r[2] = { 0 };
    measure_outcome o;
    error e = { 0 };
    assert_int_equal(run(t, a, both, 2, (measure_options){ .parallel = 1 }, r, &o, &e), E_PROVIDER);
    assert_int_equal(r[0].n, 60);
    assert_int_equal(r[1].n, 10);
    assert_int_equal(r[1].n_failed, 5);
    assert_int_equal(a[1].calls, 15);
    assert_true(has_finding(&o, "failures", NULL));
    assert_int_equal(o.n_pairs, 10);
    task_close(&t);
}

static void doubts_come_first(void **state)
{
    (void)state;
    bool grave = false;
    task *t = make_task(60, 1, "");
    asker a[2] = { { .right = always }, { .right = never } }; /* the reference is below guessing */
    measure_result r[2] = { 0 };
    measure_outcome o;
    assert_ok(run(t, a, both, 2, (measure_options){ 0 }, r, &o, err));
    assert_true(has_finding(&o, "below-chance", &grave) && grave);
    assert_false(has_finding(&o, "label-noise", NULL));
    a[0].right = a[1].right = three_of_four; /* both are wrong in the same way, in a quarter of the cases */
    assert_ok(run(t, a, both, 2, (measure_options){ .fresh = true }, r, &o, err));
    assert_true(has_finding(&o, "label-noise", &grave) && grave);
    assert_false(has_finding(&o, "below-chance", NULL));
    a[1].wrong = "no colour at all";
    assert_ok(run(t, a, both, 2, (measure_options){ .fresh = true }, r, &o, err));
    assert_true(has_finding(&o, "malformed", &grave) && grave);
    assert_false(has_finding(&o, "own-answers", NULL));
    task_close(&t);
}

static void graders_that_reject_their_own_answers(void **state)
{
    (void)state;
    static const char yaml[] = "hearth: 1\nid: odd\nprivacy: public\nprompt: '{{input}}'\n"
                               "graders:\n  - type: exact\n  - {type: max-words, max: 1}\nbar: 0.5\n";
    static const char cases[] = "{\"id\": \"c0\", \"input\": \"a\", \"expected\": \"one\"}\n"
                                "{\"id\": \"c1\", \"input\": \"b\", \"expected\": \"two words\"}\n";
    task *t = NULL;
    asker a = { .right = always };
    measure_result r = { 0 };
    measure_outcome o;
    bool grave = false;
    assert_ok(task_parse(&t, yaml, sizeof yaml - 1, "odd", err));
    assert_ok(task_parse_cases(t, cases, sizeof cases - 1, err));
    assert_ok(run(t, &a, both, 1, (measure_options){ 0 }, &r, &o, err));
    assert_true(has_finding(&o, "own-answers", &grave) && grave);
    for (size_t i = 0; i < o.n_findings; i++)
        if (!strcmp(o.findings[i].code, "own-answers"))
            assert_true(strstr(o.findings[i].text, "c1") && !strstr(o.findings[i].text, "c0"));
    task_close(&t);
}

/* With a split only the cases held back are asked, in every order, and they alone make the suite. */
static void only_held_back_cases_are_asked(void **state)
{
    (void)state;
    task *t = make_task(100, 1, "split: {held_back: 0.4, salt: x}\n");
    asker a[2] = { { .right = three_of_four }, { .right = three_of_four } };
    measure_result r[2] = { 0 };
    measure_outcome o;
    size_t measured = task_measured(t), right = 0;
    assert_in_range(measured, 25, 55);
    for (size_t i = 0; i < t->n_cases; i++)
        right += task_is_measured(t, &t->cases[i]) && i % 4 != 0;
    assert_ok(run(t, a, both, 2, (measure_options){ .until_decided = true, .alpha = 1e-9 }, r, &o, err));
    assert_int_equal(a[0].calls, measured);
    assert_int_equal(r[0].n_cases, measured);
    assert_int_equal(r[0].n_pass, right);
    assert_int_equal(o.n_pairs, measured);
    task_close(&t);
}

static void one_draw_is_refused(void **state)
{
    (void)state;
    task *t = make_task(5, 1, "sampling: {temperature: 0.5}\n");
    asker a = { .right = always };
    measure_result r = { 0 };
    error e = { 0 };
    assert_int_equal(run(t, &a, both, 1, (measure_options){ 0 }, &r, NULL, &e), E_FORMAT);
    assert_non_null(strstr(e.text, "repeats"));
    assert_int_equal(a.calls, 0);
    task_close(&t);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, own_ledger_make, own_ledger_remove)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_alone_the_rest_together), TEST(it_ends_when_it_is_decided), TEST(a_worse_one_is_refuted),
        TEST(clusters_are_one_observation_each), TEST(one_arm_is_held_against_the_bar), TEST(a_budget_is_kept),
        TEST(time_is_kept), TEST(one_fails_the_other_goes_on), TEST(doubts_come_first),
        TEST(graders_that_reject_their_own_answers), TEST(one_draw_is_refused),
        TEST(only_held_back_cases_are_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
