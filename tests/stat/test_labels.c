/* Judges, confusion matrices and confidence: recorded values of scikit-learn, statsmodels and ppi-python
 * (record_golden.py), identities, and coverage by simulation. */
#include "near.h"

#include <stdio.h>

#include "golden_table.h"
#include "stat/confidence.h"
#include "stat/confusion.h"
#include "stat/judge.h"

/* ---- judges ---- */
static void ppi_matches_the_package(void **state)
{
    (void)state;
    size_t n = ARRAY_LEN(ppi_judged), m = ARRAY_LEN(ppi_human);
    stat_ppi p = stat_ppi_mean(ppi_judged, n, ppi_human, ppi_judge, m);
    NEAR(p.value, ppi_said[0], 1e-14);
    double theirs = sqrt(p.judge_variance * (1 - 1 / (double)n) + p.human_variance * (1 - 1 / (double)m));
    NEAR(p.value - stat_normal_quantile(.975) * theirs, ppi_said[1], 1e-13);
    NEAR(p.value + stat_normal_quantile(.975) * theirs, ppi_said[2], 1e-13);
    stat_interval v = stat_ppi_interval(p, .95);
    NEAR(v.high - v.low, 2 * stat_normal_quantile(.975) * p.error, 1e-13);
    double scratch[64];
    stat_interval wide = stat_ppi_bounds(ppi_judged, n, ppi_human, ppi_judge, m, .95, scratch);
    assert_true(wide.low < v.low && wide.high > v.high);
    for (size_t i = 0; i < m; i++) /* two intervals, each at 97.5 % */
        scratch[i] = (1 + ppi_human[i] - ppi_judge[i]) / 2;
    stat_interval f = stat_mean_interval(ppi_judged, n, .975), shift = stat_mean_interval(scratch, m, .975);
    NEAR(wide.low, f.low + 2 * shift.low - 1, 1e-12);
    NEAR(wide.high, f.high + 2 * shift.high - 1, 1e-12);
}

/* A judge that praises 30 % of the wrong answers: its own mean is off by .12, the corrected one is not. With 15 human
 * labels the normal interval is too short and the bounds are not. */
static void ppi_corrects_a_lenient_judge(void **state)
{
    (void)state;
    enum { RUNS = 400, N = 300, MOST = 60 };
    static const size_t labels[] = { 60, 15 };
    double judged[N], human[MOST], judge[MOST], scratch[MOST], missed[2][2] = { { 0 } }, plain = 0;
    seed = 31;
    for (size_t k = 0; k < 2; k++)
        for (int run = 0; run < RUNS; run++) {
            size_t m = labels[k];
            for (size_t i = 0; i < N + m; i++) {
                double truth = uniform() < .6, f = truth > 0 ? 1 : uniform() < .3;
                *(i < N ? &judged[i] : &judge[i - N]) = f;
                if (i >= N)
                    human[i - N] = truth;
            }
            stat_interval v = stat_ppi_interval(stat_ppi_mean(judged, N, human, judge, m), .95);
            stat_interval b = stat_ppi_bounds(judged, N, human, judge, m, .95, scratch);
            missed[k][0] += v.low > .6 || v.high < .6;
            missed[k][1] += b.low > .6 || b.high < .6;
            v = stat_mean_interval(judged, N, .95);
            plain += k == 0 && (v.low > .6 || v.high < .6);
        }
    printf("the judge alone misses %.1f %%; with 60 labels %.1f %% (bounds %.1f %%), with 15: %.1f %% (%.1f %%)\n",
           100 * plain / RUNS, 100 * missed[0][0] / RUNS, 100 * missed[0][1] / RUNS, 100 * missed[1][0] / RUNS,
           100 * missed[1][1] / RUNS);
    assert_true(plain > .8 * RUNS);
    assert_true(missed[0][0] <= .09 * RUNS);
    assert_true(missed[0][1] <= .05 * RUNS && missed[1][1] <= .05 * RUNS);
}

/* ---- confusion matrices ---- */
static void confusion_matches_scikit_learn(void **state)
{
    (void)state;
    const double *said = confusion_said;
    for (const uint64_t *m = confusion_counts; m < confusion_counts + ARRAY_LEN(confusion_counts); said += 5) {
        size_t k = *m++;
        stat_interval agreement = stat_agreement(m, k, .95), kappa = stat_kappa_interval(m, k, .95);
        stat_estimate e = stat_kappa(m, k), f = stat_macro_f1(m, k);
        assert_true(agreement.low < said[0] && said[0] < agreement.high);
        NEAR(e.value, said[1], 1e-14);
        NEAR(e.error, said[2], 1e-14);
        NEAR(kappa.high - kappa.low, 2 * stat_normal_quantile(.975) * e.error, 1e-13);
        NEAR(f.value, said[3], 1e-14);
        NEAR(f.error, said[4], 1e-9);
        stat_interval v = stat_macro_f1_interval(m, k, .95);
        assert_true(v.low > 0 && v.low < f.value && f.value < v.high && v.high < 1);
        m += k * k;
    }
    assert_ptr_equal(said, confusion_said + ARRAY_LEN(confusion_said));
}

static void perfect_and_empty_matrices(void **state)
{
    (void)state;
    static const uint64_t perfect[9] = { 20, 0, 0, 0, 30, 0, 0, 0, 10 }, empty[4] = { 0 }, one[4] = { 7, 0, 0, 0 };
    static const uint64_t wrong[4] = { 0, 5, 5, 0 };
    stat_interval exact = stat_clopper_pearson(60, 60, .95), f = stat_macro_f1_interval(perfect, 3, .95);
    stat_interval kappa = stat_kappa_interval(perfect, 3, .95);
    NEAR(stat_macro_f1(perfect, 3).value, 1, 1e-15);
    NEAR(f.low, exact.low, 0);
    NEAR(stat_kappa(perfect, 3).value, 1, 1e-15);
    assert_true(kappa.low < exact.low && kappa.low > .85 && kappa.high >= 1);
    NEAR(stat_kappa(wrong, 2).value, -1, 1e-15);
    NEAR(stat_macro_f1_interval(wrong, 2, .95).low, 0, 0);
    for (int i = 0; i < 2; i++) {
        stat_interval none = stat_kappa_interval(i ? one : empty, 2, .95);
        assert_true(none.low <= -1 && none.high >= 1);
        NEAR(stat_kappa(i ? one : empty, 2).value, 0, 0);
    }
    assert_true(stat_macro_f1_interval(empty, 2, .95).high >= 1);
}

/* Cells of three labels drawn from known probabilities. */
static void label_intervals_cover(void **state)
{
    (void)state;
    enum { RUNS = 2000 };
    static const double p[9] = { .50, .04, .02, .05, .20, .03, .02, .02, .12 };
    static const size_t sizes[] = { 60, 300 };
    double po = 0, pe = 0, f1 = 0;
    for (int c = 0; c < 3; c++) {
        double row = p[3 * c] + p[3 * c + 1] + p[3 * c + 2], column = p[c] + p[3 + c] + p[6 + c];
        po += p[4 * c];
        pe += row * column;
        f1 += 2 * p[4 * c] / (row + column) / 3;
    }
    seed = 41;
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        double missed[2] = { 0 };
        for (int run = 0; run < RUNS; run++) {
            uint64_t m[9] = { 0 };
            for (size_t i = 0; i < sizes[s]; i++) {
                double u = uniform();
                int at = 0;
                while (at < 8 && u >= p[at])
                    u -= p[at++];
                m[at]++;
            }
            stat_interval kappa = stat_kappa_interval(m, 3, .95), macro = stat_macro_f1_interval(m, 3, .95);
            missed[0] += kappa.low > (po - pe) / (1 - pe) || kappa.high < (po - pe) / (1 - pe);
            missed[1] += macro.low > f1 || macro.high < f1;
        }
        printf("95 %% intervals of %zu labels miss: kappa %.1f %%, macro-F1 %.1f %%\n", sizes[s],
               100 * missed[0] / RUNS, 100 * missed[1] / RUNS);
        assert_true(missed[0] <= (s ? .065 : .08) * RUNS && missed[1] <= (s ? .065 : .08) * RUNS);
    }
}

/* ---- confidence ---- */
static void confidence_matches_scikit_learn(void **state)
{
    (void)state;
    size_t n = ARRAY_LEN(sure);
    stat_bin bins[10];
    stat_estimate area = stat_auroc(sure, sure_correct, n);
    NEAR(area.value, sure_said[0], 1e-14);
    NEAR(area.error, sure_said[1], 1e-14);
    NEAR(stat_reliability(sure, sure_correct, n, .95, bins, 10), sure_said[2], 1e-14);
    const double *said = sure_bins;
    for (size_t b = 0; b < 10; b++) {
        if (!bins[b].n)
            continue;
        NEAR((double)b, said[0], 0);
        NEAR((double)bins[b].correct / (double)bins[b].n, said[1], 1e-15);
        NEAR(bins[b].confidence, said[2], 1e-14);
        NEAR(bins[b].accuracy.low, stat_clopper_pearson(bins[b].correct, bins[b].n, .95).low, 0);
        said += 3;
    }
    assert_ptr_equal(said, sure_bins + ARRAY_LEN(sure_bins));
}

static void auroc_of_extremes(void **state)
{
    (void)state;
    static const double x[6] = { .1, .2, .3, .7, .8, .9 }, flat[6] = { .5, .5, .5, .5, .5, .5 };
    static const bool up[6] = { 0, 0, 0, 1, 1, 1 }, down[6] = { 1, 1, 1, 0, 0, 0 }, all[6] = { 1, 1, 1, 1, 1, 1 };
    NEAR(stat_auroc(x, up, 6).value, 1, 0);
    NEAR(stat_auroc_interval(x, up, 6, .95).low, stat_clopper_pearson(3, 3, .95).low, 0);
    NEAR(stat_auroc(x, down, 6).value, 0, 0);
    NEAR(stat_auroc_interval(x, down, 6, .95).high, stat_clopper_pearson(0, 3, .95).high, 0);
    NEAR(stat_auroc(flat, up, 6).value, .5, 0);
    assert_true(stat_auroc_interval(flat, up, 6, .95).low < .3);
    assert_true(stat_auroc_interval(x, all, 6, .95).low <= 0 && stat_auroc_interval(x, all, 6, .95).high >= 1);
    static const bool single[6] = { 1, 1, 0, 1, 1, 1 };
    assert_true(stat_auroc(x, single, 6).error > .3); /* one wrong answer says little */
}

/* Errors among accepted answers fall with confidence: P(wrong | c) = .4 (1 - c)^.7, c uniform. From the threshold t on
 * the error is .4 (1 - t)^.7 / 1.7; allowed are 10 %: t* = 1 - .425^(1 / .7) = .705. */
static void thresholds_keep_their_promise(void **state)
{
    (void)state;
    enum { RUNS = 600, N = 2000, GRID = 19 };
    static double c[N];
    static bool correct[N];
    double grid[GRID], coverage = 0;
    int broken = 0, naive = 0, found = 0;
    for (int j = 0; j < GRID; j++)
        grid[j] = .95 - .05 * j;
    seed = 51;
    for (int run = 0; run < RUNS; run++) {
        for (int i = 0; i < N; i++) {
            c[i] = uniform();
            correct[i] = uniform() >= .4 * pow(1 - c[i], .7);
        }
        stat_threshold t = stat_choose_threshold(c, correct, N, grid, GRID, .1, .05);
        double best = 1; /* the rule without a bound: the laxest whose observed error is allowed */
        for (int j = 0; j < GRID; j++) {
            int accepted = 0, wrong = 0;
            for (int i = 0; i < N; i++) {
                accepted += c[i] >= grid[j];
                wrong += c[i] >= grid[j] && !correct[i];
            }
            if (wrong <= .1 * accepted)
                best = grid[j];
        }
        naive += .4 * pow(1 - best, .7) / 1.7 > .1;
        broken += t.found && .4 * pow(1 - t.threshold, .7) / 1.7 > .1;
        found += t.found;
        coverage += t.coverage / RUNS;
        assert_true(!t.found || (t.error_upper <= .1 && t.accepted >= 29 && t.wrong <= t.accepted));
    }
    printf("thresholds found %.0f %%, mean coverage %.2f, error too large %.1f %% (by the observed error: %.0f %%)\n",
           100.0 * found / RUNS, coverage, 100.0 * broken / RUNS, 100.0 * naive / RUNS);
    assert_true(broken <= at_most(.05, RUNS) * RUNS);
    assert_true(naive > .25 * RUNS && found > .75 * RUNS);
}

static void thresholds_stop_at_the_first_failure(void **state)
{
    (void)state;
    /* 40 sure and right, 10 of the next 20 wrong, then 1000 right: the lax threshold would pass, but is never asked. */
    static double c[1060];
    static bool correct[1060];
    for (int i = 0; i < 1060; i++) {
        c[i] = i < 5 ? .97 : i < 40 ? .9 : i < 60 ? .8 : .7; /* the 5 at .95 prove nothing and are stepped over */
        correct[i] = i < 40 || i >= 60 || i % 2;
    }
    static const double grid[] = { .95, .9, .8, .7 };
    stat_threshold t = stat_choose_threshold(c, correct, 1060, grid, 4, .1, .05);
    assert_true(t.found && t.accepted == 40 && t.wrong == 0);
    NEAR(t.threshold, .9, 0);
    NEAR(t.error_upper, 1 - pow(.05, 1. / 40), 1e-12);
    assert_true(stat_clopper_pearson_upper(10, 1060, .95) < .1);
    t = stat_choose_threshold(c, correct, 1060, grid, 4, .05, .05); /* 40 are fewer than the 59 it takes */
    assert_true(!t.found && t.accepted == 0);
    assert_false(stat_choose_threshold(c, correct, 0, grid, 4, .1, .05).found);
}

static void what_it_takes_is_what_scipy_says(void **state)
{
    (void)state;
    for (const double *row = needs_rows; row < needs_rows + ARRAY_LEN(needs_rows); row += 4) {
        uint64_t wrong = (uint64_t)row[0], n = stat_threshold_needs(wrong, row[1], row[2]);
        assert_int_equal(n, (uint64_t)row[3]);
        assert_true(stat_clopper_pearson_upper(wrong, n, 1 - row[2]) <= row[1]);
        assert_true(stat_clopper_pearson_upper(wrong, n - 1, 1 - row[2]) > row[1]);
    }
    assert_int_equal(stat_threshold_needs(0, .5, .49), 2);
    assert_int_equal(stat_threshold_needs(0, .9, .5), 1);
    assert_int_equal(stat_threshold_needs(0, 1e-13, .05), (uint64_t)1 << 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ppi_matches_the_package),
        cmocka_unit_test(ppi_corrects_a_lenient_judge),
        cmocka_unit_test(confusion_matches_scikit_learn),
        cmocka_unit_test(perfect_and_empty_matrices),
        cmocka_unit_test(label_intervals_cover),
        cmocka_unit_test(confidence_matches_scikit_learn),
        cmocka_unit_test(auroc_of_extremes),
        cmocka_unit_test(thresholds_keep_their_promise),
        cmocka_unit_test(thresholds_stop_at_the_first_failure),
        cmocka_unit_test(what_it_takes_is_what_scipy_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
