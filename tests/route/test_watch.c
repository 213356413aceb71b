/* drift.h, policy.h, ledger/watch.h: the state that shadows give, against its own formulas and by simulation; what a
 * policy may hold; and both through a real ledger. */
#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/watch.h"
#include "lib/own_ledger.h"
#include "lib/random.h"
#include "route/policy.h"
#include "route/watch.h"
#include "task/task.h"

static const drift_rules usual = { 0.1, DRIFT_LEVEL, DRIFT_ALPHA, DRIFT_ALPHA_BACK, DRIFT_FAILURES };

static drift_row row_of(double value, int64_t at)
{
    return (drift_row){ .at_us = at, .value = value };
}

/* ---- drift ---- */

/* Against e-SR computed here, bet by bet: the alarm comes at the row that the formula names. */
static void the_alarm_is_the_formulas(void **state)
{
    (void)state;
    drift_state s;
    double r[24] = { 0 };
    drift_init(&s, &usual);
    int at = 0;
    for (double mean = 0; mean < DRIFT_LEVEL && at < 1000;) {
        double d = at % 3 == 0 ? 0 : -1;
        mean = 0;
        for (int g = 0; g < 24; g++) {
            double lambda = 0.98 * (g + 0.5) / 24 / 1.1;
            r[g] = (r[g] + 1) * (1 - lambda * (d + 0.1));
            mean += r[g] / 24;
        }
        drift_row row = row_of(d, ++at);
        assert_int_equal(s.phase, DRIFT_HEALTHY);
        drift_add(&s, &row);
    }
    assert_int_equal(s.phase, DRIFT_SUSPECT);
    assert_int_equal(s.alarm_us, at);
    assert_int_equal(s.alarm_n, (uint32_t)at);
    assert_true(s.alarm_value >= DRIFT_LEVEL && s.n == 0 && s.n_alarms == 1);
}

static void from_suspect_one_way_or_the_other(void **state)
{
    (void)state;
    drift_state s, same;
    drift_init(&s, &usual);
    for (int i = 0; s.phase == DRIFT_HEALTHY; i++) {
        drift_row row = row_of(-1, i);
        drift_add(&s, &row);
    }
    same = s;
    stat_wealth worse;
    stat_wealth_init(&worse, -0.1);
    int n = 0;
    for (; s.phase == DRIFT_SUSPECT; n++) { /* back at the row at which log E reaches log 100 */
        assert_true(stat_wealth_log(&worse) < log(100));
        drift_row row = row_of(-1, 100 + n);
        drift_add(&s, &row);
        stat_wealth_add(&worse, 1);
    }
    assert_true(stat_wealth_log(&worse) >= log(100));
    assert_int_equal(s.phase, DRIFT_BACK);
    for (int i = 0; i < 1000; i++) { /* and stays */
        drift_row row = row_of(1, 1000 + i);
        drift_add(&s, &row);
    }
    assert_int_equal(s.phase, DRIFT_BACK);
    s = same;
    for (n = 0; s.phase == DRIFT_SUSPECT && n < 1000; n++) {
        drift_row row = row_of(0, 100 + n);
        drift_add(&s, &row);
    }
    assert_int_equal(s.phase, DRIFT_HEALTHY); /* equal answers prove it well, after some tens */
    assert_in_range(n, 10, 100);
    assert_int_equal(s.changed_us, 100 + n - 1);
    s = same;
    for (int i = 0; i < DRIFT_FAILURES; i++) {
        assert_int_equal(s.phase, DRIFT_SUSPECT);
        drift_row row = { .at_us = 5, .value = NAN, .local_failed = true };
        drift_add(&s, &row);
    }
    assert_int_equal(s.phase, DRIFT_BACK);
}

/* Failures of a healthy route, rows without a value, and numbers of a stranger's file. */
static void what_moves_nothing(void **state)
{
    (void)state;
    drift_state s, before;
    drift_init(&s, &usual);
    before = s;
    for (int i = 0; i < 10; i++) {
        drift_row failed = { .value = NAN, .local_failed = true }, none = { .value = NAN };
        drift_row odd = { 0, 1, NAN, 0, false };
        drift_add(&s, &failed);
        drift_add(&s, &none);
        drift_add(&s, &odd);
    }
    assert_memory_equal(&s, &before, sizeof s);
    drift_row wild = row_of(-1e9, 1);
    drift_add(&s, &wild);
    assert_true(s.sum >= -1 && stat_drift_value(&s.sr) > 0);
}

/* Agreement: the alarm looks at the rate on the suite, going back at its lower bound: with 0.8 where the suite gave 0.9
 * (lower bound 0.8) a margin of .05 alarms, and never goes back wrongly. */
static void agreement_goes_back_by_the_lower_bound(void **state)
{
    (void)state;
    enum { RUNS = 200, ROWS = 1500 };
    const drift_rules rules = { 0.05, DRIFT_LEVEL, DRIFT_ALPHA, DRIFT_ALPHA_BACK, DRIFT_FAILURES };
    int alarms = 0, back = 0;
    for (int run = 0; run < RUNS; run++) {
        drift_state s;
        drift_init(&s, &rules);
        for (int i = 0; i < ROWS; i++) {
            drift_row row = { i, rnd(1000) < 800, 0.9, 0.8, false };
            drift_add(&s, &row);
        }
        alarms += s.n_alarms > 0;
        back += s.phase == DRIFT_BACK;
    }
    printf("agreement 80 %%, on the suite 90 %%: %d of %d alarm, %d go back\n", alarms, RUNS, back);
    assert_true(alarms > RUNS / 2 && back <= RUNS / 50);
}

/* ---- policies ---- */

static const char whole[] =
    "hearth: 1\nchanges: apply\nalpha: 0.01\nshadow: {rate: 0.05, usd_per_day: 0.5, seed: 9}\n"
    "drift: {level: 500, alpha_back: 0.02, failures: 2}\nreassess: {usd: 1, minutes: 60, days: 30}\n"
    "tasks:\n  invoice: {changes: propose, route: cloud, shadow_rate: 0.2}\n  letters: {route: local}\n";

static void every_key_is_read(void **state)
{
    (void)state;
    policy *p = NULL;
    route_rules r;
    assert_ok(policy_parse(&p, whole, strlen(whole), "policy.yaml", err));
    assert_true(!p->propose && p->shadow_seed == 9 && p->n_tasks == 2);
    assert_true(fabs(p->shadow_usd_per_day - 0.5) + fabs(p->reassess_usd - 1) + fabs(p->reassess_minutes - 60) +
                fabs(p->reassess_days - 30) < 1e-12);
    policy_rules(p, "invoice", 4, &r);
    assert_true(r.propose && r.pin == PIN_CLOUD && r.number == 4 && r.drift.failures == 2);
    assert_true(fabs(r.alpha - 0.01) + fabs(r.drift.level - 500) + fabs(r.drift.alpha_back - 0.02) +
                fabs(r.drift.alpha - 0.01) < 1e-12);
    policy_rules(p, "other", 4, &r);
    assert_true(!r.propose && r.pin == PIN_NONE);
    assert_true(fabs(policy_shadow_rate(p, "invoice") - 0.2) + fabs(policy_shadow_rate(p, "letters") - 0.05) < 1e-12);
    for (int c = PRIVACY_PUBLIC; c <= PRIVACY_SECRET; c++) {
        error e = { 0 };
        assert_int_equal(policy_check(p, policy_find(p, "invoice"), (privacy_class)c, &e),
                         c >= PRIVACY_PRIVATE ? E_DENIED : OK);
        assert_true(c < PRIVACY_PRIVATE || strstr(e.text, "policy.yaml:8: task 'invoice' is "));
        assert_int_equal(policy_check(p, policy_find(p, "letters"), (privacy_class)c, &e), OK);
    }
    policy_close(&p);
    assert_ok(policy_parse(&p, "hearth: 1\n", 10, "p", err));
    assert_true(p->propose && !(p->shadow_rate > 0) && isnan(p->reassess_usd)); /* nothing leaves unless it says so */
    policy_close(&p);
}

static void what_a_policy_may_not_hold(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        { "", "p:1: a policy is a map" },
        { "changes: apply\n", "'hearth: 1' is missing" },
        { "hearth: 2\n", "version 2" },
        { "hearth: 1\nshadow: {rat: 1}\n", "p:2: unknown key 'rat' (did you mean 'rate'?)" },
        { "hearth: 1\nshadow: {rate: 0.1}\n", "p:2: a shadow rate needs" },
        { "hearth: 1\ntasks:\n  a: {shadow_rate: 0.1}\n", "a shadow rate needs" },
        { "hearth: 1\nshadows: 1\n", "did you mean 'shadow'?" },
        { "hearth: 1\nshadow: {rate: 1.5}\n", "p:2: 'rate' is 1.5; it must be from 0 to 1" },
        { "hearth: 1\nshadow: 3\n", "'shadow' is a map" },
        { "hearth: 1\nchanges: maybe\n", "'changes' is 'maybe'; it is apply or propose" },
        { "hearth: 1\ntasks:\n  a: {route: clod}\n", "p:3: 'route' is 'clod'; it is evidence, local, cloud or refuse" },
        { "hearth: 1\ntasks:\n  a: {rout: local}\n", "did you mean 'route'?" },
        { "hearth: 1\ntasks:\n  a: 1\n", "'a' is a map" },
        { "hearth: 1\ntasks: [a]\n", "'tasks' is a map" },
        { "hearth: 1\nalpha: 0\n", "'alpha' is 0" },
        { "hearth: 1\nprivacy: public\n", "unknown key 'privacy'" },
        { "hearth: 1\ntasks:\n  a: {privacy: public}\n", "unknown key 'privacy'" },
        { "hearth: 1\ndrift: {failures: 1.5}\n", "'failures' is a whole number" },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        policy *p = NULL;
        error e = { 0 };
        status s = policy_parse(&p, bad[i][0], strlen(bad[i][0]), "p", &e);
        if (s == OK || p || !strstr(e.text, bad[i][1]))
            fail_msg("%s: %d %s", bad[i][0], s, e.text);
    }
}

static void without_memory(void **state)
{
    (void)state;
    int refused = 0;
    for (uint64_t n = 1; n < 300; n++) {
        policy *p = NULL;
        error e = { 0 };
        mem_fail_at(n);
        status s = policy_parse(&p, whole, strlen(whole), "p", &e);
        mem_fail_at(0);
        assert_true((s == OK) == (p != NULL));
        refused += s == E_NOMEM;
        policy_close(&p);
    }
    assert_true(refused > 3);
}

/* ---- through a ledger ---- */

static const char yaml[] = "hearth: 1\nid: t\nprivacy: public\nprompt: 'x {{input}}'\ngraders: [{type: exact}]\n"
                           "bar: 0.5\n";

/* The state comes from the stored rows of its own basis, in their order, and is the same in every process. */
static void the_state_is_what_was_stored(void **state)
{
    (void)state;
    ledger *l = NULL;
    task *t = NULL;
    char basis[DIGEST_HEX], other[DIGEST_HEX];
    int64_t number = 0;
    assert_ok(task_parse(&t, yaml, strlen(yaml), "t", err));
    static const char one[] = "{\"input\":\"a\",\"expected\":\"b\"}\n";
    assert_ok(task_parse_cases(t, one, strlen(one), err));
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    ledger_policy first = { .who = "me", .reason = "try", .body = whole }, second = first;
    second.body = "hearth: 1\n";
    route_input in = { .margin = 0.1, .cloud = { .present = true } };
    strcpy(in.local.evidence, "0123");
    assert_ok(route_watch(l, t, &in, err));
    assert_int_equal(in.rules.number, 0); /* no policy, no rules */
    assert_ok(ledger_append_policy(l, &first, &number, err));
    assert_int_equal(number, 1);
    assert_ok(ledger_append_policy(l, &second, &number, err));
    assert_int_equal(number, 2);
    assert_ok(route_basis(t, "0123", "", basis, err));
    assert_ok(route_basis(t, "0124", "", other, err));
    assert_string_not_equal(basis, other);
    for (int i = 0; i < 80; i++) {
        ledger_shadow s = { .task = "t", .basis = i % 2 ? basis : other, .kind = "graded", .provider = "c",
                            .local_text = "a", .cloud_text = "b", .value = i % 2 ? -1 : 0 };
        assert_ok(ledger_append_shadow(l, &s, true, err));
    }
    ledger_close(&l);
    assert_ok(ledger_open(&l, path, LEDGER_READ, err));
    assert_ok(route_watch(l, t, &in, err));
    assert_true(in.rules.number == 2 && in.rules.propose);
    drift_state want;
    drift_init(&want, &in.rules.drift);
    for (int i = 0; i < 40; i++) {
        drift_row row = row_of(-1, 0);
        drift_add(&want, &row);
    }
    assert_int_equal(in.drift.phase, DRIFT_BACK);
    assert_int_equal(in.drift.phase, want.phase);
    assert_int_equal(in.drift.n_all, want.n_all);
    assert_true(fabs(in.drift.alarm_value - want.alarm_value) < 1e-9 && in.drift.alarm_us > 0);
    ledger_shadows rows = { 0 };
    assert_ok(ledger_find_shadows(l, "t", NULL, &rows, err));
    assert_int_equal(rows.n, 80);
    assert_true(!isnan(rows.rows[0].cost_usd) && strlen(rows.rows[0].local_text) == 64);
    ledger_shadows_close(&rows);
    ledger_close(&l);
    task_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_alarm_is_the_formulas), cmocka_unit_test(from_suspect_one_way_or_the_other),
        cmocka_unit_test(what_moves_nothing), cmocka_unit_test(agreement_goes_back_by_the_lower_bound),
        cmocka_unit_test(every_key_is_read), cmocka_unit_test(what_a_policy_may_not_hold),
        cmocka_unit_test(without_memory),
        cmocka_unit_test_setup_teardown(the_state_is_what_was_stored, own_ledger_make, own_ledger_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
