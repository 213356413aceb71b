/* The circuit against a model of it that remembers everything, the bucket of retries, and limits. */
#include "lib/check.h"

#include <math.h>

#include "provider/health.h"

static const uint64_t SECOND = 1000000;

static bool try_one(health *h, uint64_t now, health_result r)
{
    bool circuit;
    double wait = health_enter(h, now, &circuit);
    if (wait > 0) {
        assert_true(circuit);
        return false;
    }
    health_leave(h, r, now);
    return true;
}

static provider_circuit circuit_of(health *h, uint64_t now)
{
    provider_health t;
    health_tell(h, &t, now);
    return t.circuit;
}

static void opens_and_closes(void **state)
{
    (void)state;
    health h;
    uint64_t now = 1000 * SECOND;
    health_init(&h, 0.1);
    for (int i = 0; i < HEALTH_FEW - 1; i++)
        assert_true(try_one(&h, now, HEALTH_BAD));
    assert_int_equal(circuit_of(&h, now), CIRCUIT_CLOSED); /* too few to judge */
    now += (HEALTH_WINDOW_S + 1) * SECOND;
    assert_true(try_one(&h, now, HEALTH_BAD));
    assert_int_equal(circuit_of(&h, now), CIRCUIT_CLOSED); /* those are long ago */
    for (int i = 0; i < HEALTH_FEW - 1; i++)
        assert_true(try_one(&h, now, HEALTH_BAD));
    assert_int_equal(circuit_of(&h, now), CIRCUIT_OPEN);
    double stays = HEALTH_OPEN_S;
    for (int round = 0; round < 10; round++) {
        assert_false(try_one(&h, now + (uint64_t)(stays * 1e6) - 1, HEALTH_GOOD));
        now += (uint64_t)(stays * 1e6);
        bool circuit;
        assert_true(health_enter(&h, now, &circuit) == 0);
        assert_int_equal(circuit_of(&h, now), CIRCUIT_HALF_OPEN);
        assert_true(health_enter(&h, now, &circuit) > 0 && circuit); /* one tries, the others wait for its news */
        health_leave(&h, HEALTH_UNKNOWN, now);                       /* it was cancelled: another may */
        assert_true(health_enter(&h, now, &circuit) == 0);
        health_leave(&h, HEALTH_BAD, now);
        assert_int_equal(circuit_of(&h, now), CIRCUIT_OPEN);
        stays = fmin(stays * 2, HEALTH_OPEN_MAX_S);
    }
    now += (uint64_t)(stays * 1e6);
    assert_true(try_one(&h, now, HEALTH_GOOD));
    for (int i = 0; i < HEALTH_FEW - 1; i++)
        assert_true(try_one(&h, now, HEALTH_BAD)); /* what was before the probe is forgotten */
    assert_int_equal(circuit_of(&h, now), CIRCUIT_CLOSED);
    health_clear(&h);
}

/* While it is closed it opens exactly when the last attempts, listed and counted here, say so. */
static void as_counted(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    size_t opened = 0;
    for (int round = 0; round < 300; round++) {
        health h;
        struct { uint64_t at; bool bad; } all[200];
        size_t n = 0;
        uint64_t now = 5000 * SECOND;
        health_init(&h, 0);
        while (n < 200) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            now += x % (4 * SECOND);
            all[n].at = now;
            all[n].bad = (x >> 40) % 100 < 20 + (uint64_t)round % 40;
            assert_true(try_one(&h, now, all[n].bad ? HEALTH_BAD : HEALTH_GOOD));
            size_t recent = 0, bad = 0;
            for (size_t i = n + 1; i-- > 0 && n - i < HEALTH_WINDOW;)
                if (now - all[i].at <= HEALTH_WINDOW_S * SECOND)
                    recent++, bad += all[i].bad;
            bool must = all[n].bad && recent >= HEALTH_FEW && bad * 2 >= recent;
            assert_int_equal(circuit_of(&h, now) == CIRCUIT_OPEN, must);
            opened += must;
            n++;
            if (must)
                break;
        }
        health_clear(&h);
    }
    assert_true(opened > 50 && opened < 300);
}

/* In an outage of any length: at most the bucket and its share of the requests. */
static void retries_do_not_multiply(void **state)
{
    (void)state;
    health h;
    int granted = 0;
    health_init(&h, 0.1);
    for (int i = 0; i < 1000; i++) {
        health_request(&h);
        granted += health_retry(&h);
        granted += health_retry(&h);
    }
    assert_true(granted > 100 && granted <= HEALTH_RETRIES + 100);
    health_clear(&h);
    health_init(&h, 0);
    health_request(&h);
    assert_false(health_retry(&h));
    health_clear(&h);
}

static void limits(void **state)
{
    (void)state;
    health h;
    bool circuit;
    provider_health t;
    uint64_t now = 7 * SECOND;
    health_init(&h, 0.1);
    health_limits(&h, 0, NAN, 2.5, now);
    assert_true(fabs(health_enter(&h, now + SECOND, &circuit) - 1.5) < 1e-9 && !circuit);
    health_limits(&h, NAN, 12, 0.1, now); /* of another answer: the longer one stays */
    assert_true(health_enter(&h, now + 2 * SECOND, &circuit) > 0);
    health_limits(&h, 4, NAN, NAN, now);
    assert_true(health_enter(&h, now + 3 * SECOND, &circuit) == 0);
    health_tell(&h, &t, now + 3 * SECOND);
    assert_true(t.requests_left == 4 && t.tokens_left == 12 && t.limit_s == 0 && t.sent == 1 && isnan(t.usd_today));
    health_clear(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(opens_and_closes), cmocka_unit_test(as_counted),
                                        cmocka_unit_test(retries_do_not_multiply), cmocka_unit_test(limits) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
