/* The threshold of a cascade: does it keep its promise, on models whose truth is known; what the ledger gives it. */
#include "lib/check.h"
#include "lib/own_ledger.h"
#include "lib/random.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "route/route.h"
#include "stat/confidence.h"
#include "task/evidence.h"

static double uniform(void)
{
    return ((double)rnd(1u << 30) + 0.5) / (1u << 30);
}

/* ---- the promise ---- */

/* An answer of sureness s (0 lax … 1 strict, uniform) has the mean log-probability -10^(-3 s) and is wrong with
 * probability base * (1 - s)^power: from s on accepted, base (1 - s)^power / (power + 1) are wrong. */
typedef struct world {
    double base, power;
    size_t n;
} world;

static double logprob_of(double s)
{
    return -pow(10, -3 * s);
}

static double true_risk(const world *w, double tau)
{
    double s = log10(-tau) / -3; /* of the threshold */
    return w->base * pow(1 - (s < 0 ? 0 : s), w->power) / (w->power + 1);
}

enum { N_MAX = 1000, RUNS = 1000 };
static double x[N_MAX];
static bool right[N_MAX], malformed[N_MAX];

static void draw(const world *w)
{
    for (size_t i = 0; i < w->n; i++) {
        double s = uniform();
        x[i] = logprob_of(s);
        right[i] = uniform() >= w->base * pow(1 - s, w->power);
        malformed[i] = !right[i] && i % 2;
    }
}

/* Of many calibrations at most 1 - confidence accept more errors than the risk allows. At the border all answers are as
 * bad as allowed and a hair more, so that every threshold that is found breaks the promise. */
static void the_risk_is_kept(void **state)
{
    (void)state;
    static const struct {
        world w;
        double risk, confidence;
        bool border;
    } rows[] = {
        { { 0.051, 0, 400 }, 0.05, 0.95, true },   { { 0.051, 0, 120 }, 0.05, 0.95, true },
        { { 0.101, 0, 300 }, 0.1, 0.9, true },     { { 0.25, 2, 500 }, 0.05, 0.95, false },
        { { 0.4, 1.3, 600 }, 0.05, 0.95, false }, { { 0.3, 0.6, 300 }, 0.1, 0.9, false },
    };
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        double alpha = 1 - rows[k].confidence, coverage = 0;
        int broken = 0, found = 0;
        seed = 7 + k;
        for (int run = 0; run < RUNS; run++) {
            route_calibration c = { .asked = true, .risk = rows[k].risk, .confidence = rows[k].confidence };
            draw(&rows[k].w);
            route_calibrate(x, right, malformed, rows[k].w.n, &c);
            found += c.found;
            broken += c.found && true_risk(&rows[k].w, c.tau) > rows[k].risk;
            coverage += c.found ? c.coverage / RUNS : 0;
        }
        printf("%zu cases, risk %.2f: found %.1f %%, coverage %.2f, broken %.2f %% of %.0f allowed\n", rows[k].w.n,
               rows[k].risk, 100.0 * found / RUNS, coverage, 100.0 * broken / RUNS, 100 * alpha);
        /* three standard errors of a simulation of so many runs */
        assert_true(broken <= RUNS * (alpha + 3 * sqrt(alpha * (1 - alpha) / RUNS)));
        assert_true(!rows[k].border || broken == found); /* and there it really could be broken */
        assert_true(rows[k].border || found > RUNS / 10);
    }
}

/* What is said of the threshold that was taken is what counting says. */
static void the_numbers_are_those_of_the_threshold(void **state)
{
    (void)state;
    const world w = { 0.25, 2, 600 };
    int found = 0;
    seed = 99;
    for (int run = 0; run < 50; run++) {
        route_calibration c = { .asked = true, .risk = 0.06, .confidence = 0.95 };
        uint32_t accepted = 0, wrong = 0, bad = 0;
        draw(&w);
        route_calibrate(x, right, malformed, w.n, &c);
        if (!c.found) {
            assert_true(c.why[0] && isnan(c.tau));
            continue;
        }
        found++;
        for (size_t i = 0; i < w.n; i++) {
            accepted += x[i] >= c.tau;
            wrong += x[i] >= c.tau && !right[i];
            bad += x[i] >= c.tau && malformed[i];
        }
        stat_interval coverage = stat_clopper_pearson(accepted, w.n, 0.95);
        assert_true(c.n_accepted == accepted && c.n_wrong == wrong && c.n_malformed == bad && c.n == w.n);
        assert_true(fabs(c.coverage - accepted / 600.0) < 1e-12);
        assert_true(fabs(c.coverage_lower - coverage.low) < 1e-12 && fabs(c.coverage_upper - coverage.high) < 1e-12);
        assert_true(fabs(c.risk_upper - stat_clopper_pearson_upper(wrong, accepted, 0.95)) < 1e-12);
        assert_true(c.risk_upper <= 0.06 && c.n_needed == 49 && c.auroc > 0.5);
        assert_true(isinf(log10(-c.tau)) || fabs(log10(-c.tau) * 16 - round(log10(-c.tau) * 16)) < 1e-9);
    }
    assert_true(found > 25);
}

/* One wrong answer put right never loses a cascade, nor coverage. */
static void a_better_model_is_never_accepted_less(void **state)
{
    (void)state;
    const world w = { 0.3, 1.5, 300 };
    int gained = 0;
    seed = 5;
    for (int run = 0; run < 60; run++) {
        draw(&w);
        double before = -1;
        for (size_t i = 0; i < w.n; i++) { /* right one after the other, in a drawn order */
            route_calibration c = { .asked = true, .risk = 0.1, .confidence = 0.95 };
            if (i && right[i - 1])
                continue;
            if (i)
                right[i - 1] = true;
            malformed[i ? i - 1 : 0] = false;
            route_calibrate(x, right, malformed, w.n, &c);
            double now = c.found ? c.coverage : -1;
            assert_true(now >= before);
            gained += now > before;
            before = now;
        }
    }
    assert_true(gained > 60);
}

static void few_cases_are_told_how_many_it_takes(void **state)
{
    (void)state;
    route_calibration c = { .asked = true, .risk = 0.05, .confidence = 0.95 };
    for (size_t i = 0; i < 60; i++) {
        x[i] = -0.01;
        right[i] = true;
    }
    memset(malformed, 0, sizeof malformed);
    route_calibrate(x, right, malformed, 0, &c);
    assert_false(c.found);
    route_calibrate(x, right, malformed, 58, &c);
    assert_false(c.found);
    assert_int_equal(c.n_needed, 59);
    assert_string_equal(c.why, "a risk of 5.0 % takes at least 59 accepted answers without a mistake, and there are "
                               "58 cases");
    route_calibrate(x, right, malformed, 59, &c);
    assert_true(c.found && c.n_accepted == 59 && c.tau <= -0.01);
    right[3] = false;
    route_calibrate(x, right, malformed, 59, &c);
    assert_false(c.found);
    assert_non_null(strstr(c.why, "of its 59 surest answers 1 are wrong, which allows up to 7.8 %"));
    x[3] = -INFINITY; /* never accepted, and no reason to fall */
    x[4] = 0;         /* a forced answer: as sure as can be */
    route_calibrate(x, right, malformed, 60, &c);
    assert_true(c.found && c.n_accepted == 59 && c.n_wrong == 0);
}

/* ---- from the ledger ---- */

enum { CASES = 200 };
static ledger *kept;

static task *make_task(const char *privacy, const char *cascade, const char *cluster)
{
    task *t = NULL;
    char text[1024];
    buf cases = BUF_INIT(1 << 20);
    int n = snprintf(text, sizeof text, "hearth: 1\nid: demo\nprivacy: %s\nprompt: 'colour of {{input}}'\n"
                     "output:\n  kind: label\n  labels: [red, green]\ngraders:\n  - type: label\nbar: 0.9\n"
                     "sampling: {max_tokens: 8}\n%s", privacy, cascade);
    for (int i = 0; i < CASES; i++)
        buf_printf(&cases, "{\"id\": \"c%03d\", \"input\": \"number %d\", \"expected\": \"red\"%s}\n", i, i, cluster);
    assert_ok(task_parse(&t, text, (size_t)n, "demo", err));
    assert_ok(task_parse_cases(t, cases.data, cases.len, err));
    buf_clear(&cases);
    return t;
}

/* n answers, of which those after the first n_sure are unsure, and every second of these wrong. */
static void put(const task *t, int n, int n_sure, bool logprobs)
{
    task_case_key *keys = NULL;
    char *sampling = NULL, run[UUID_TEXT], id[UUID_TEXT];
    size_t n_keys = 0;
    assert_ok(task_case_keys(t, "local:m.gguf", &keys, &n_keys, err));
    assert_ok(task_sampling_key(t, &sampling, err));
    ledger_evidence e = { "local", logprobs ? "w1" : "w2", "1", "f16", "", false, sampling };
    ledger_run r = { .machine = *ledger_this_machine(), .task = t->id, .provider = "local:m.gguf", .place = "local",
                     .model = "m", .version = "x", .threads = 2, .isa = "avx2", .power = "mains" };
    assert_ok(ledger_begin(kept, &r, &e, run, err));
    for (int i = 0; i < n; i++) {
        bool sure = i < n_sure, good = sure || i % 2;
        ledger_answer a = { .case_id = keys[i].c->id, .prompt = keys[i].prompt, .text = good ? "red" : "green",
                            .keep_text = true, .finish = "stop", .n_prompt = 100, .n_output = 1, .n_cached = 0,
                            .prefill_us = 1000, .decode_us = 1000, .ttft_us = 2000, .total_us = 3000,
                            .mean_logprob = !logprobs ? NAN : sure ? -0.01 : -1 };
        ledger_grade g = { keys[i].grader, good, good ? LEDGER_PASS : LEDGER_WRONG, NULL };
        assert_ok(ledger_append_answer(kept, run, &a, &g, id, err));
    }
    mem_free(keys);
    mem_free(sampling);
}

static int setup(void **state)
{
    error err[1];
    return own_ledger_make(state) || ledger_open(&kept, path, LEDGER_WRITE, err) ? -1 : 0;
}

static int teardown(void **state)
{
    ledger_close(&kept);
    return own_ledger_remove(state);
}

static const route_candidate places[] = { { "cloud", PRIVACY_REMOTE, false, 10, 10, false },
                                          { "rack", PRIVACY_ON_PREMISES, false, 1, 1, false } };

static route_decision decide(const task *t, size_t n_places, route_input *in)
{
    route_settings s = { .candidates = places, .n_candidates = n_places };
    route_decision d;
    assert_ok(route_gather(kept, t, &s, in, err));
    route_decide(in, &d);
    return d;
}

static void below_its_bar_but_sure_where_it_is_right(void **state)
{
    (void)state;
    task *t = make_task("public", "cascade: {risk: 0.1}\n", ""), *plain = make_task("public", "", "");
    route_input in;
    put(t, CASES, 140, true); /* 170 of 200 right: below .9 */
    route_decision d = decide(plain, 1, &in);
    assert_true(d.choice == ROUTE_CLOUD && !d.cascade.on && !d.cascade.why[0]);
    assert_null(strstr(d.reason, "cascade"));
    d = decide(t, 1, &in);
    assert_int_equal(d.choice, ROUTE_CLOUD);
    assert_int_equal(d.state, ROUTE_CANDIDATE);
    assert_true(d.cascade.on && in.cascade.found);
    assert_int_equal(in.cascade.n_accepted, 140);
    assert_int_equal(in.cascade.n_wrong, 0);
    assert_true(in.cascade.tau <= -0.01 && in.cascade.tau > -1);
    assert_string_equal(d.cascade.local, "local:m.gguf");
    assert_string_equal(d.cascade.cloud, "cloud");
    assert_int_equal(strlen(d.cascade.local_evidence), 64);
    assert_non_null(strstr(d.reason, "are taken (70 % of 200, at most 2.1 % of them wrong), the others are asked of "
                                     "cloud"));
    buf words = BUF_INIT(1 << 16);
    route_explain(&in, &d, &words);
    assert_non_null(strstr(buf_text(&words), "140 of 200 cases, 70.0 %, 95 % interval 63.1 to 76.3 %"));
    assert_non_null(strstr(buf_text(&words), "risk      0 of 140 accepted are wrong: at most 2.1 %"));
    buf_clear(&words);
    js *j = route_to_js(&in, &d);
    int64_t accepted = 0;
    assert_true(js_int(js_get(js_get(j, "cascade"), "accepted"), &accepted) && accepted == 140);
    assert_true(js_bool(js_get(js_get(j, "cascade"), "on"), false));
    js_free(j);
    bool written = false;
    assert_ok(route_record(kept, t, &in, &d, &written, err));
    assert_true(written);
    assert_ok(route_record(kept, t, &in, &d, &written, err));
    assert_false(written);
    task_close(&t);
    task_close(&plain);
}

/* Each time the answer is the plain one, and the reason says why there is no cascade. */
static void without_it_is_as_it_was(void **state)
{
    (void)state;
    static const struct {
        const char *privacy, *cascade, *cluster;
        int n;
        bool logprobs;
        size_t n_places;
        const char *why;
    } rows[] = {
        { "private", "cascade: {risk: 0.1}\n", "", CASES, true, 2, "what is private is never asked elsewhere" },
        { "secret", "cascade: {risk: 0.1}\n", "", CASES, true, 2, "what is secret is never asked elsewhere" },
        { "internal", "cascade: {risk: 0.1}\n", "", CASES, true, 1, "what is internal may not go to cloud" },
        { "public", "cascade: {risk: 0.1}\n", "", CASES, true, 0, "there is no cloud to ask" },
        { "public", "cascade: {risk: 0.01}\n", "", CASES, true, 1, "299 accepted answers without a mistake" },
        { "public", "cascade: {risk: 0.1}\n", ", \"cluster\": \"one\"", CASES, true, 1, "share source documents" },
        { "public", "cascade: {risk: 0.1}\n", "", CASES - 1, true, 1, "199 of 200 cases are answered" },
        { "public", "cascade: {risk: 0.1}\n", "", CASES, false, 1, "200 of 200 answers came without" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        route_input in;
        task *t = make_task(rows[i].privacy, rows[i].cascade, rows[i].cluster);
        task *plain = make_task(rows[i].privacy, "", rows[i].cluster);
        assert_int_equal(setup(NULL), 0);
        put(t, rows[i].n, 140, rows[i].logprobs);
        route_decision without = decide(plain, rows[i].n_places, &in), d = decide(t, rows[i].n_places, &in);
        assert_false(d.cascade.on);
        assert_int_equal(d.choice, without.choice);
        assert_int_equal(d.state, without.state);
        assert_string_equal(d.provider, without.provider);
        if (!strstr(d.cascade.why, rows[i].why) || !strstr(d.reason, rows[i].why))
            fail_msg("row %zu: '%s' in '%s'", i, d.cascade.why, d.reason);
        task_close(&t);
        task_close(&plain);
        assert_int_equal(teardown(NULL), 0);
    }
}

/* An internal task has an on-premises server as its other arm, also where a remote one stands first in the config. */
static void internal_escalates_to_its_own_premises(void **state)
{
    (void)state;
    task *t = make_task("internal", "cascade: {risk: 0.1}\n", "");
    route_input in;
    put(t, CASES, 140, true);
    route_decision d = decide(t, 2, &in);
    assert_true(d.cascade.on && d.cascade.cloud_place == PRIVACY_ON_PREMISES);
    assert_string_equal(d.cascade.cloud, "rack");
    in.privacy = PRIVACY_PRIVATE; /* a label raised it */
    route_decide(&in, &d);
    assert_true(!d.cascade.on && d.choice == ROUTE_REFUSE);
    task_close(&t);
}

static void want_of_memory_makes_no_cascade(void **state)
{
    (void)state;
    task *t = make_task("public", "cascade: {risk: 0.1}\n", "");
    route_settings s = { .candidates = places, .n_candidates = 1 };
    static route_input whole, in;
    put(t, CASES, 140, true);
    assert_ok(route_gather(kept, t, &s, &whole, err));
    for (uint64_t n = 1; n < 3000; n += n < 20 ? 1 : 97) {
        error e = { 0 };
        mem_fail_at(n);
        status got = route_gather(kept, t, &s, &in, &e);
        mem_fail_at(0);
        assert_true(got != OK || !in.cascade.found || in.cascade.tau == whole.cascade.tau);
    }
    for (uint64_t n = 1; n < 6; n++) {
        route_decision d;
        in = whole;
        in.privacy = PRIVACY_PRIVATE;
        mem_fail_at(n);
        route_decide(&in, &d);
        mem_fail_at(0);
        assert_true(!d.cascade.on && d.cascade.why[0]);
    }
    task_close(&t);
}

#define KEPT(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_risk_is_kept),
        cmocka_unit_test(the_numbers_are_those_of_the_threshold),
        cmocka_unit_test(a_better_model_is_never_accepted_less),
        cmocka_unit_test(few_cases_are_told_how_many_it_takes),
        KEPT(below_its_bar_but_sure_where_it_is_right),
        cmocka_unit_test(without_it_is_as_it_was),
        KEPT(internal_escalates_to_its_own_premises),
        KEPT(want_of_memory_makes_no_cascade),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
