/* How fast something comes. */
#include "lib/check.h"

#include "pull/pace.h"

static void speeds(void **state)
{
    (void)state;
    pace p = { .n = 0 };
    assert_true(pace_note(&p, 1000, 0) == 0);
    double rate = 0;
    for (uint64_t t = 0; t <= 60; t++) /* a steady megabyte a second, then twice that */
        rate = pace_note(&p, 1000 + t * 250000, t < 30 ? t * 250000 : 7500000 + (t - 30) * 500000);
    assert_true(rate > 1.5e6 && rate <= 2e6); /* of ten seconds, 7.5 were fast */
    for (uint64_t t = 61; t <= 90; t++)
        rate = pace_note(&p, 1000 + t * 250000, 7500000 + (t - 30) * 500000);
    assert_true(rate > 1.99e6 && rate < 2.01e6);
    assert_true(pace_note(&p, 1000 + 91 * 250000, 10) == 0); /* from the beginning again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
