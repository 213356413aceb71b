/* Decision statistics against recorded values of other implementations, identities, and a simulation of peeking.
 *
 * The recorded values come from SciPy 1.17.1 (special.ndtri, special.betainc, stats.beta.ppf, stats.binom.sf),
 * statsmodels 0.15.0 (proportion_confint 'beta' and 'wilson', contingency_tables.mcnemar exact), and, where neither has
 * the formula, mpmath with 40 digits: Tango's statistic by maximising the constrained likelihood by bisection (not by
 * the closed form under test), the e-processes by summing the powers themselves (not logarithms). */
#include "near.h"

#include <stdio.h>

#include "stat/stat.h"

static void normal_matches_scipy(void **state)
{
    (void)state;
    static const double rows[][2] = {
        { 1e-300, -37.047096299361201 }, { 1e-12, -7.0344838253011313 }, { 1e-05, -4.2648907939228247 },
        { 0.001, -3.0902323061678132 },  { 0.025, -1.9599639845400545 }, { 0.3, -0.52440051270804089 },
        { 0.5, 0 },                      { 0.8, 0.8416212335729143 },    { 0.95, 1.6448536269514722 },
        { 0.975, 1.959963984540054 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        NEAR(stat_normal_quantile(rows[i][0]), rows[i][1], 1e-13 * (1 + fabs(rows[i][1])));
        NEAR(stat_normal_cdf(rows[i][1]) / rows[i][0], 1, 2e-12 * (1 + rows[i][1] * rows[i][1]));
    }
}

static void beta_matches_scipy(void **state)
{
    (void)state;
    static const double rows[][4] = {
        { 0.1, 0.5, 0.5, 0.20483276469913345 },       { 0.3, 1, 1, 0.3 },
        { 0.5, 2, 3, 0.6875 },                        { 0.99, 10, 0.25, 0.39624557373340957 },
        { 0.35, 40, 61, 0.17241500425124903 },        { 0.34, 1000, 2000, 0.78121509116064414 },
        { 0.501, 1e5, 1e5, 0.81445325544244229 },     { 2e-05, 3, 1e5, 0.32333441073884167 },
        { 0.9999, 99999, 1, 4.5381772136224775e-05 }, { 0.5, 15, 15, 0.5 },
        { 0.1, 14.5, 200, 0.95949077668202043 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const double *r = rows[i];
        NEAR(stat_beta(r[0], r[1], r[2]), r[3], 1e-12);
        NEAR(stat_beta(1 - r[0], r[2], r[1]), 1 - r[3], 1e-12);
        NEAR(stat_beta(stat_beta_quantile(r[3], r[1], r[2]), r[1], r[2]), r[3], 1e-12);
    }
}

static void rate_intervals_match_statsmodels(void **state)
{
    (void)state;
    static const struct { uint64_t k, n; double exact[2], wilson[2]; } rows[] = {
        { 0, 1, { 0, 0.975 }, { 0, 0.79345068562276266 } },
        { 0, 60, { 0, 0.059629492286166923 }, { 0, 0.060171852142089886 } },
        { 1, 60, { 0.00042187445234200883, 0.089399050057487037 }, { 0.0029481597947862495, 0.088551297275900637 } },
        { 31, 60, { 0.38394601733159683, 0.64768706999787362 }, { 0.39307810032592494, 0.63824950460267216 } },
        { 60, 60, { 0.94037050771383313, 1 }, { 0.93982814785790991, 1 } },
        { 57, 60, { 0.8607567532789272, 0.98956767035565174 }, { 0.86299483523651466, 0.9828504978356043 } },
        { 170, 200, { 0.79284129633144929, 0.89645047647813736 }, { 0.79394420715833336, 0.89286406437758004 } },
        { 499, 500, { 0.98890752310103125, 0.99994936566599257 }, { 0.98875929329485324, 0.99964686360544075 } },
        { 99000, 100000, { 0.98936388847064571, 0.9906074439109015 }, { 0.98936421396305396, 0.99059814118661482 } },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        stat_interval e = stat_clopper_pearson(rows[i].k, rows[i].n, .95), w = stat_wilson(rows[i].k, rows[i].n, .95);
        NEAR(e.low, rows[i].exact[0], 1e-12);
        NEAR(e.high, rows[i].exact[1], 1e-12);
        NEAR(w.low, rows[i].wilson[0], 1e-12);
        NEAR(w.high, rows[i].wilson[1], 1e-12);
    }
    static const double one_sided[][4] = { { 31, 60, 0.40349616855418996, 0.62856001961552654 },
                                           { 57, 60, 0.87581278952256392, 0.986234842431717 },
                                           { 0, 20, 0, 0.13910834066826516 },
                                           { 20, 20, 0.86089165933173484, 1 } };
    for (size_t i = 0; i < ARRAY_LEN(one_sided); i++) {
        const double *r = one_sided[i];
        NEAR(stat_clopper_pearson_lower((uint64_t)r[0], (uint64_t)r[1], .95), r[2], 1e-12);
        NEAR(stat_clopper_pearson_upper((uint64_t)r[0], (uint64_t)r[1], .95), r[3], 1e-12);
    }
    stat_interval none = stat_clopper_pearson(0, 0, .95);
    NEAR(none.low, 0, 0);
    NEAR(none.high, 1, 0);
}

/* The meaning of "exact": at every true rate the one-sided bound errs at most alpha of the time. Summed, not drawn. */
static void clopper_pearson_never_covers_less(void **state)
{
    (void)state;
    enum { N = 40 };
    double bounds[N + 1];
    for (uint64_t k = 0; k <= N; k++)
        bounds[k] = stat_clopper_pearson_lower(k, N, .95);
    for (double p = .01; p < 1; p += .01) {
        double wrong = 0;
        for (uint64_t k = 0; k <= N; k++)
            if (bounds[k] > p)
                wrong += stat_binomial_cdf(k, N, p) - (k ? stat_binomial_cdf(k - 1, N, p) : 0);
        assert_true(wrong <= .05 + 1e-12);
    }
}

static void mcnemar_matches_statsmodels(void **state)
{
    (void)state;
    static const double rows[][4] = {
        { 0, 0, 1, 1 },
        { 5, 5, 1, 0.623046875 },
        { 3, 12, 0.03515625, 0.996307373046875 },
        { 31, 27, 0.69400409407613184, 0.34700204703806592 },
        { 100, 60, 0.0019537280340643551, 0.00097686401703217757 },
        { 0, 6, 0.03125, 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        stat_pairs p = { (uint64_t)rows[i][0], 17, (uint64_t)rows[i][1] };
        NEAR(stat_mcnemar(p), rows[i][2], 1e-12);
        NEAR(stat_mcnemar_better(p), rows[i][3], 1e-12);
    }
}

static void tango_matches_the_likelihood(void **state)
{
    (void)state;
    static const struct { stat_pairs p; double d, z; } rows[] = {
        { { 31, 402, 27 }, -.05, 3.34826485462539 },    { { 3, 50, 7 }, -.1, 0.62172864946235034 },
        { { 0, 60, 0 }, -.1, 2.5819888974716113 },      { { 5, 0, 2 }, -.1, 1.4055137763355347 },
        { { 0, 44, 6 }, -.1, -0.47140452079103154 },    { { 12, 30, 3 }, .1, 1.2239811941351432 },
        { { 400, 9000, 600 }, -.05, 9.0599234055762635 }, { { 2, 0, 0 }, .3, 1.0377490433255417 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        NEAR(stat_tango_z(rows[i].p, rows[i].d), rows[i].z, 1e-11);
    static const struct { stat_pairs p; double low, high; } intervals[] = {
        { { 31, 402, 27 }, -0.02435937747568278, 0.04207514583230301 },
        { { 3, 50, 7 }, -0.1825361654344975, 0.04218438315692853 },
        { { 0, 44, 6 }, -0.2380481738320299, -0.04009068897063822 },
        { { 12, 30, 3 }, 0.03473502299745898, 0.3623431927200746 },
    };
    for (size_t i = 0; i < ARRAY_LEN(intervals); i++) {
        stat_interval got = stat_tango(intervals[i].p, .95);
        NEAR(got.low, intervals[i].low, 1e-11);
        NEAR(got.high, intervals[i].high, 1e-11);
        NEAR(stat_tango_lower(intervals[i].p, .975), intervals[i].low, 1e-11);
    }
    NEAR(stat_tango_p((stat_pairs){ 0, 0, 0 }, .1), 1, 0);
    assert_true(stat_tango((stat_pairs){ 0, 0, 0 }, .95).low <= -1);
}

static void eprocess_matches_the_sums(void **state)
{
    (void)state;
    static const struct { stat_pairs p; double margin, log_e; } rows[] = {
        { { 31, 402, 27 }, .05, 4.5993978571558503 },  { { 0, 90, 0 }, .05, 3.0186603649721395 },
        { { 0, 89, 0 }, .05, 2.9789123866097308 },     { { 0, 44, 0 }, .1, 3.0509234329253059 },
        { { 0, 43, 0 }, .1, 2.9690487648429948 },      { { 5, 20, 9 }, .1, -1.3261631805038293 },
        { { 4000, 90000, 6000 }, .05, 423.60685636109222 }, { { 30, 10, 5 }, 0, 8.6995257287764513 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        stat_pairs p = rows[i].p;
        double e = stat_eprocess(p, rows[i].margin), size = 1 + fabs(rows[i].log_e);
        NEAR(e, rows[i].log_e, 1e-12 * size);
        stat_wealth s;
        stat_wealth_init(&s, rows[i].margin);
        for (uint64_t j = 0; j < p.w + p.t + p.l; j++)
            stat_wealth_add(&s, j < p.w ? 1 : j < p.w + p.t ? 0 : -1);
        NEAR(stat_wealth_log(&s), e, 1e-9 * size);
        /* The interval is the inversion: at its one-sided end the evidence is exactly 1 / alpha. */
        double low = stat_eprocess_lower(p, .95);
        if (low > -1)
            NEAR(stat_eprocess(p, -low), log(20), 1e-9);
        stat_interval both = stat_eprocess_interval(p, .95), tango = stat_tango(p, .95);
        assert_true(both.low <= tango.low && both.high >= tango.high);
    }
    /* Perfect agreement promotes at 90 items (margin .05) and 44 (.10), not one earlier. */
    assert_true(stat_eprocess((stat_pairs){ 0, 90, 0 }, .05) >= log(20));
    assert_true(stat_eprocess((stat_pairs){ 0, 89, 0 }, .05) < log(20));
    assert_true(stat_eprocess_worse((stat_pairs){ 0, 10, 90 }, .05) > log(100));
    assert_true(stat_eprocess_worse((stat_pairs){ 31, 402, 27 }, .05) < 0);
    NEAR(stat_eprocess_bar(57, 60, .8), 4.6249299979740985, 1e-11);
    NEAR(stat_eprocess_bar(60, 60, .9), 4.4070428069394456, 1e-11);
    NEAR(stat_eprocess_bar(40, 60, .8), -2.4638881835291303, 1e-11);
}

static void planning_agrees_with_the_table(void **state)
{
    (void)state;
    static const double table[][3] = { { .05, .1, 248 }, { .05, .2, 495 }, { .1, .1, 62 }, { .1, .2, 124 } };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(stat_sample_size(table[i][0], 0, table[i][1], .05, .8), (uint64_t)table[i][2]);
    static const double resolution[][2] = { { 30, .198 }, { 60, .140 }, { 100, .108 }, { 200, .0766 }, { 500, .0485 } };
    for (size_t i = 0; i < ARRAY_LEN(resolution); i++)
        NEAR(stat_resolution((uint64_t)resolution[i][0], .19, .05, .8), resolution[i][1], .001);
    NEAR(stat_resolution(0, .2, .05, .8), 1, 0);
    NEAR(stat_resolution_rate(60, .9, .05, .8), 2.4865 * sqrt(.09 / 60), 1e-4);
}

static void ebh_promotes_by_rank(void **state)
{
    (void)state;
    const double log_e[] = { log(100), log(3), log(50), log(27), 0 };
    bool promoted[5];
    /* k / (alpha j) = 100, 50, 33.3, 25, 20 for j = 1 … 5; sorted 100, 50, 27, 3, 1: the second still holds. */
    assert_int_equal(stat_ebh(log_e, 5, .05, promoted), 2);
    assert_true(promoted[0] && !promoted[1] && promoted[2] && !promoted[3] && !promoted[4]);
    const double low[] = { log(99), log(49) };
    assert_int_equal(stat_ebh(low, 2, .01, promoted), 0);
    const double ties[] = { log(26), log(26), log(26), log(26), 0 };
    assert_int_equal(stat_ebh(ties, 5, .05, promoted), 4);
}

/* Delta is exactly -margin, the worst case of the null; looked at while it grows to 2000. The e-process errs at
 * most alpha of the time, while Tango's fixed-suite test, looked at every 20 items, errs several times as often. */
static void peeking_does_not_promote(void **state)
{
    (void)state;
    enum { RUNS = 1500, ITEMS = 2000 };
    static const double psis[] = { .1, .3 };
    for (size_t i = 0; i < ARRAY_LEN(psis); i++) {
        double margin = .05, lose = (psis[i] + margin) / 2, win = (psis[i] - margin) / 2;
        int by_e = 0, by_tango = 0;
        seed = 42 + i;
        for (int run = 0; run < RUNS; run++) {
            stat_pairs p = { 0, 0, 0 };
            bool e = false, tango = false;
            for (int item = 1; item <= ITEMS; item++) {
                double u = uniform();
                *(u < win ? &p.w : u < win + lose ? &p.l : &p.t) += 1;
                if (item % 5 == 0)
                    e = e || stat_eprocess(p, margin) >= log(20);
                if (item % 20 == 0)
                    tango = tango || stat_tango_p(p, margin) < .05;
            }
            by_e += e;
            by_tango += tango;
        }
        printf("psi %.1f: false promotions under peeking: e-process %.1f %%, Tango %.1f %%\n", psis[i],
               100.0 * by_e / RUNS, 100.0 * by_tango / RUNS);
        assert_true(by_e <= .05 * RUNS);
        assert_true(by_tango > .25 * RUNS && by_tango < .35 * RUNS);
    }
}

static void mean_interval_covers_and_narrows(void **state)
{
    (void)state;
    enum { N = 200, RUNS = 400 };
    double x[N];
    int missed = 0;
    double width = 0;
    seed = 7;
    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < N; i++) {
            double u = uniform();
            x[i] = u < .5 ? 1 : u < .8 ? .5 : 0; /* mean .65 */
        }
        stat_interval v = stat_mean_interval(x, N, .95);
        assert_true(v.low >= 0 && v.low <= v.high && v.high <= 1);
        missed += v.low > .65 || v.high < .65;
        width += (v.high - v.low) / RUNS;
    }
    printf("mean of 200 scores: missed %.1f %%, mean width %.3f (normal approximation: %.3f)\n", 100.0 * missed / RUNS,
           width, 2 * 1.96 * sqrt(.1525 / N));
    assert_true(missed <= .05 * RUNS);
    assert_true(width < 1.5 * 2 * 1.96 * sqrt(.1525 / N));
    for (int i = 0; i < N; i++)
        x[i] = 1;
    stat_interval all = stat_mean_interval(x, N, .95);
    assert_true(all.high >= 1 && all.low > .95 && all.low < 1);
    stat_interval none = stat_mean_interval(x, 0, .95);
    assert_true(none.low <= 0 && none.high >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_matches_scipy),
        cmocka_unit_test(beta_matches_scipy),
        cmocka_unit_test(rate_intervals_match_statsmodels),
        cmocka_unit_test(clopper_pearson_never_covers_less),
        cmocka_unit_test(mcnemar_matches_statsmodels),
        cmocka_unit_test(tango_matches_the_likelihood),
        cmocka_unit_test(eprocess_matches_the_sums),
        cmocka_unit_test(planning_agrees_with_the_table),
        cmocka_unit_test(ebh_promotes_by_rank),
        cmocka_unit_test(peeking_does_not_promote),
        cmocka_unit_test(mean_interval_covers_and_narrows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
