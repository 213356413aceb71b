/* money.h against computations by hand. tests/measure/test_money.py holds the intervals against numpy's. */
#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "measure/money.h"

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-12 * fmax(1, fabs(b));
}

static void means_by_hand(void **state)
{
    (void)state;
    /* three clusters; what is not known is left out, and with it the second one */
    const double x[] = { 1, 2, NAN, NAN, 6, 7 };
    const uint32_t unit[] = { 0, 0, 0, 1, 2, 2 };
    money_figure f;
    assert_ok(money_mean(x, unit, 6, 0.95, &f, err));
    assert_int_equal(f.n, 4);
    assert_true(near(f.mean, 4)); /* (1 + 2 + 6 + 7) / 4 */
    assert_true(near(f.low, 1.5) && near(f.high, 6.5)); /* the one twice, or the other */
    const double same[] = { 3, 3, 3 };
    assert_ok(money_mean(same, unit + 3, 3, 0.95, &f, err));
    assert_true(near(f.mean, 3) && near(f.low, 3) && near(f.high, 3));
    assert_ok(money_mean(x, unit, 2, 0.95, &f, err)); /* one cluster */
    assert_true(near(f.mean, 1.5) && isnan(f.low) && isnan(f.high));
    assert_ok(money_mean(x, unit, 0, 0.95, &f, err));
    assert_true(isnan(f.mean) && f.n == 0);
}

static void differences_are_paired(void **state)
{
    (void)state;
    const double cloud[] = { 10, 20, 30, NAN }, local[] = { 9, 19, 29, 1 };
    const uint32_t unit[] = { 0, 1, 2, 3 };
    money_figure f;
    assert_ok(money_difference(cloud, local, unit, 4, 0.95, &f, err));
    assert_true(near(f.mean, 1) && near(f.low, 1) && near(f.high, 1) && f.n == 3);
}

static void when_it_pays(void **state)
{
    (void)state;
    const money_figure saves = { 0.002, 0.001, 0.004, 60 }, perhaps = { 0.001, -0.001, 0.002, 60 },
                       dearer = { -0.001, -0.002, -0.0005, 60 }, unclear = { -0.001, -0.002, 0.0005, 60 },
                       unknown = { NAN, NAN, NAN, 0 }, one = { 0.002, NAN, NAN, 1 };
    money_break_even b = money_breaks_even(40, &saves);
    assert_int_equal(b.when, MONEY_FROM);
    assert_true(near(b.answers, 20000) && near(b.low, 10000) && near(b.high, 40000));
    b = money_breaks_even(40, &perhaps);
    assert_int_equal(b.when, MONEY_FROM);
    assert_true(near(b.answers, 40000) && near(b.low, 20000) && isinf(b.high)); /* never is not excluded */
    b = money_breaks_even(40, &dearer);
    assert_int_equal(b.when, MONEY_NEVER);
    assert_true(isnan(b.answers) && isinf(b.low));
    b = money_breaks_even(40, &unclear);
    assert_int_equal(b.when, MONEY_NEVER);
    assert_true(near(b.low, 80000) && isinf(b.high));
    b = money_breaks_even(0, &saves);
    assert_int_equal(b.when, MONEY_ALREADY);
    assert_int_equal(money_breaks_even(0, &dearer).when, MONEY_NEVER);
    assert_int_equal(money_breaks_even(40, &unknown).when, MONEY_UNKNOWN);
    assert_int_equal(money_breaks_even(NAN, &saves).when, MONEY_UNKNOWN);
    b = money_breaks_even(40, &one);
    assert_true(b.when == MONEY_FROM && near(b.answers, 20000) && isnan(b.low) && isnan(b.high));
    assert_true(near(money_joules_usd(65.0 * 3600, 0.4), 0.026)); /* 65 W for an hour at 40 cents */
}

static void no_memory(void **state)
{
    (void)state;
    const double x[] = { 1, 2 };
    const uint32_t unit[] = { 0, 1 };
    for (uint64_t n = 1; n <= 2; n++) {
        money_figure f = { 5, 5, 5, 5 };
        error e = { 0 };
        mem_fail_at(n);
        status s = money_mean(x, unit, 2, 0.95, &f, &e);
        mem_fail_at(0);
        assert_int_equal(s, E_NOMEM);
        assert_true(f.n == 5); /* untouched */
    }
}

/* "interval FILE": lines "unit x"; prints mean, low, high. For test_money.py. */
static int print_interval(const char *path)
{
    enum { MOST = 10000 };
    static double x[MOST];
    static uint32_t unit[MOST];
    size_t n = 0;
    FILE *f = fopen(path, "r");
    while (f && n < MOST && fscanf(f, "%u %lf", &unit[n], &x[n]) == 2)
        n++;
    if (f)
        fclose(f);
    money_figure out;
    error err = { 0 };
    if (money_mean(x, unit, n, 0.95, &out, &err))
        return 1;
    printf("%.17g %.17g %.17g\n", out.mean, out.low, out.high);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "interval") == 0)
        return print_interval(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_by_hand),
        cmocka_unit_test(differences_are_paired),
        cmocka_unit_test(when_it_pays),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
