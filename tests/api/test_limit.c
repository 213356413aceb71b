/* The token bucket with a clock of the test's own: bursts, rates, waits that are exact, and the bound that holds
 * whatever the times of asking are: in any window of t seconds at most burst + rate * t are let in. */
#include "lib/check.h"

#include <math.h>

#include "api/limit.h"

static void a_burst_and_then_the_rate(void **state)
{
    (void)state;
    limit l = { 0 };
    limit_rule rule = { .per_second = 2, .burst = 5 };
    double wait;
    uint64_t now = 1000;
    for (int i = 0; i < 5; i++)
        assert_int_equal(limit_enter(&l, &rule, now, &wait), LIMIT_GO);
    assert_int_equal(limit_enter(&l, &rule, now, &wait), LIMIT_TOO_OFTEN);
    assert_true(fabs(wait - 0.5) < 1e-9);
    assert_int_equal(limit_enter(&l, &rule, now + 499000, &wait), LIMIT_TOO_OFTEN);
    assert_int_equal(limit_enter(&l, &rule, now + 501000, &wait), LIMIT_GO);
    /* an hour is no more than one burst */
    for (int i = 0; i < 5; i++)
        assert_int_equal(limit_enter(&l, &rule, now + 3600000000u, &wait), LIMIT_GO);
    assert_int_equal(limit_enter(&l, &rule, now + 3600000000u, &wait), LIMIT_TOO_OFTEN);
}

static void the_wait_that_is_told_is_enough_and_no_less(void **state)
{
    (void)state;
    limit l = { 0 };
    limit_rule rule = { .per_second = 7.0 / 60, .burst = 3 };
    double wait;
    uint64_t now = 5;
    for (int i = 0; i < 200; i++) {
        if (limit_enter(&l, &rule, now, &wait) == LIMIT_GO)
            continue;
        limit early = l, late = l;
        uint64_t us = (uint64_t)(wait * 1e6);
        assert_int_equal(limit_enter(&early, &rule, now + us - 10, &wait), LIMIT_TOO_OFTEN);
        assert_int_equal(limit_enter(&late, &rule, now + us + 10, &wait), LIMIT_GO);
        now += us / 2;
    }
}

static void no_window_lets_in_more_than_the_bound(void **state)
{
    (void)state;
    enum { N = 2000 };
    static double in[N];
    limit l = { 0 };
    limit_rule rule = { .per_second = 3, .burst = 4 };
    uint64_t now = 0, seed = 7;
    size_t n = 0;
    for (int i = 0; i < N; i++) {
        double wait;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        now += (seed >> 33) % 400000;
        if (limit_enter(&l, &rule, now, &wait) == LIMIT_GO)
            in[n++] = (double)now / 1e6;
    }
    assert_true(n > 500);
    for (size_t i = 0; i < n; i++)
        for (size_t k = i; k < n; k++)
            assert_true((double)(k - i + 1) <= rule.burst + rule.per_second * (in[k] - in[i]) + 1e-6);
}

static void only_so_many_at_once(void **state)
{
    (void)state;
    limit l = { 0 };
    limit_rule rule = { .per_second = 1, .burst = 3, .concurrency = 2 };
    double wait;
    assert_int_equal(limit_enter(&l, &rule, 0, &wait), LIMIT_GO);
    assert_int_equal(limit_enter(&l, &rule, 0, &wait), LIMIT_GO);
    assert_int_equal(limit_enter(&l, &rule, 0, &wait), LIMIT_TOO_MANY);
    assert_true(wait == 1);
    limit_leave(&l);
    assert_int_equal(limit_enter(&l, &rule, 0, &wait), LIMIT_GO); /* being too many has cost no token */
    limit_leave(&l);
    assert_int_equal(limit_enter(&l, &rule, 0, &wait), LIMIT_TOO_OFTEN);
    assert_int_equal(l.running, 1);
}

static void a_new_rule_goes_on_with_the_old_use(void **state)
{
    (void)state;
    limit l = { 0 };
    limit_rule wide = { .per_second = 1, .burst = 10 }, narrow = { .per_second = 1, .burst = 2, .concurrency = 1 };
    limit_rule none = { 0 };
    double wait;
    assert_int_equal(limit_enter(&l, &wide, 0, &wait), LIMIT_GO);
    assert_int_equal(limit_enter(&l, &narrow, 0, &wait), LIMIT_TOO_MANY);
    limit_leave(&l);
    assert_int_equal(limit_enter(&l, &narrow, 0, &wait), LIMIT_GO); /* nine were left, two are */
    assert_true(l.tokens == 1);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(limit_enter(&l, &none, 0, &wait), LIMIT_GO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_and_then_the_rate),
        cmocka_unit_test(the_wait_that_is_told_is_enough_and_no_less),
        cmocka_unit_test(no_window_lets_in_more_than_the_bound),
        cmocka_unit_test(only_so_many_at_once),
        cmocka_unit_test(a_new_rule_goes_on_with_the_old_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
