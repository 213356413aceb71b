/* The e-SR drift detector: its recursion against a plain sum over all starts, its guarantee at the worst healthy case,
 * and the figures of a simulation made independently in NumPy. At margin .05 and level 1000: alarms within 4000 shadows
 * of a healthy route 2 % (psi .1) and 16-20 % (psi .2); delay after a drop to -15 points 93 (mean, psi .15) and 102
 * (median, psi .2), to -25 points 51 (mean). */
#include "near.h"

#include <stdio.h>

#include "stat/drift.h"

/* R_t is the sum over every start s <= t of the e-process that begins at s: that is what it stands for. */
static void it_is_a_sum_of_eprocesses(void **state)
{
    (void)state;
    enum { N = 60 };
    static const double margins[] = { .05, .1, -.2, 0 };
    for (size_t k = 0; k < ARRAY_LEN(margins); k++) {
        double d[N];
        stat_drift s;
        stat_drift_init(&s, margins[k]);
        assert_true(stat_drift_value(&s) <= 0);
        for (int t = 0; t < N; t++) {
            d[t] = k % 2 ? difference(.1, .4) : 2 * uniform() - 1;
            stat_drift_add(&s, d[t]);
            double sum = 0;
            for (int start = 0; start <= t; start++) {
                stat_wealth w; /* the other direction: bets against Delta >= -margin */
                stat_wealth_init(&w, -margins[k]);
                for (int i = start; i <= t; i++)
                    stat_wealth_add(&w, -d[i]);
                sum += exp(stat_wealth_log(&w));
            }
            NEAR(stat_drift_value(&s) / sum, 1, 1e-12);
        }
    }
}

/* Observations until the alarm; `most` when there is none before. */
static int until_alarm(double margin, double win, double lose, int most)
{
    stat_drift s;
    stat_drift_init(&s, margin);
    for (int t = 1; t <= most; t++) {
        stat_drift_add(&s, difference(win, lose));
        if (stat_drift_alarm(&s, 1000))
            return t;
    }
    return most;
}

static void healthy_routes_seldom_alarm(void **state)
{
    (void)state;
    enum { RUNS = 1500, SHADOWS = 4000 };
    static const struct { double psi, low, high; } rows[] = { { .1, .01, .03 }, { .2, .14, .21 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int alarms = 0;
        seed = 11 + i;
        for (int run = 0; run < RUNS; run++)
            alarms += until_alarm(.05, rows[i].psi / 2, rows[i].psi / 2, SHADOWS + 1) <= SHADOWS;
        double share = (double)alarms / RUNS;
        printf("psi %.1f, healthy: alarm within %d shadows: %.1f %%\n", rows[i].psi, SHADOWS, 100 * share);
        assert_true(share >= rows[i].low && share <= rows[i].high);
    }
}

/* Delta is exactly -margin: the mean time to an alarm is at least the level, and P(alarm within t) <= t / level. Runs
 * cut off at 20 times the level count with that length, which only makes the mean smaller. */
static void the_worst_healthy_case_keeps_the_run_length(void **state)
{
    (void)state;
    enum { RUNS = 300 };
    double sum = 0;
    int soon = 0;
    seed = 5;
    for (int run = 0; run < RUNS; run++) {
        int t = until_alarm(.05, .075, .125, 20000);
        sum += t;
        soon += t <= 100;
    }
    printf("worst healthy case: mean time to a false alarm %.0f (level 1000)\n", sum / RUNS);
    assert_true(sum / RUNS >= 1000);
    assert_true(soon <= at_most(.1, RUNS) * RUNS);
}

static void drops_are_found_in_time(void **state)
{
    (void)state;
    enum { RUNS = 4000 };
    static const struct { double win, lose, mean, median; } rows[] = {
        { 0, .15, 93, 87 }, { .025, .175, 114, 102 }, { 0, .25, 51, 49 }
    };
    static double delays[RUNS];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double mean = 0;
        seed = 3 + i;
        for (int run = 0; run < RUNS; run++) {
            delays[run] = until_alarm(.05, rows[i].win, rows[i].lose, 100000);
            mean += delays[run] / RUNS;
        }
        qsort(delays, RUNS, sizeof *delays, by_size);
        printf("drop to %.0f points: delay mean %.1f, median %.0f\n", 100 * (rows[i].win - rows[i].lose), mean,
               delays[RUNS / 2]);
        NEAR(mean / rows[i].mean, 1, .05);
        NEAR(delays[RUNS / 2] / rows[i].median, 1, .05);
    }
}

/* An alarm that nobody answers must not become infinity or NaN. */
static void values_stay_finite(void **state)
{
    (void)state;
    stat_drift s;
    stat_drift_init(&s, .05);
    for (int t = 0; t < 100000; t++)
        stat_drift_add(&s, -1);
    assert_true(isfinite(stat_drift_value(&s)) && stat_drift_alarm(&s, 1e290));
    for (int t = 0; t < 100000; t++)
        stat_drift_add(&s, 1);
    assert_true(stat_drift_value(&s) < 50); /* the lowest bet forgets slowest, c = .98 / 48 */
    stat_drift_init(&s, .02); /* a rate that must stay under 2 % */
    for (int t = 0; t < 400; t++)
        stat_drift_add(&s, t % 10 == 0 ? -1 : 0);
    assert_true(stat_drift_alarm(&s, 1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_a_sum_of_eprocesses),
        cmocka_unit_test(healthy_routes_seldom_alarm),
        cmocka_unit_test(the_worst_healthy_case_keeps_the_run_length),
        cmocka_unit_test(drops_are_found_in_time),
        cmocka_unit_test(values_stay_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
