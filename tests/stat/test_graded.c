/* Clustered means, bootstrap and the graded confidence sequence: recorded values of statsmodels, SciPy and confseq
 * (record_golden.py), exact enumeration, identities, and coverage by simulation. */
#include "near.h"

#include <stdio.h>
#include <string.h>

#include "golden_table.h"
#include "stat/graded.h"

enum { RESAMPLES = 40000 };
static double means[RESAMPLES];

static void student_matches_scipy(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(student_rows); i += 3) {
        const double *row = &student_rows[i];
        NEAR(stat_student_quantile(row[0], row[1]), row[2], 1e-10 * (1 + fabs(row[2])));
    }
    NEAR(stat_student_quantile(.975, 1e7), stat_normal_quantile(.975), 1e-6);
}

/* Bootstrap ends are themselves random: SciPy's of 400,000 resamples and ours of 40,000 differ by some hundredths of a
 * standard error. */
static void said_by_others(const stat_cluster *c, size_t k, const double said[8])
{
    stat_estimate e = stat_cluster_mean(c, k);
    stat_interval z = stat_cluster_z(c, k, .95), t = stat_cluster_t(c, k, .95);
    NEAR(e.value, said[0], 1e-14);
    NEAR(e.error, said[1], 1e-14);
    NEAR(z.low, said[2], 1e-13);
    NEAR(z.high, said[3], 1e-13);
    NEAR(t.high - e.value, e.error * stat_student_quantile(.975, (double)k - 1), 1e-13);
    NEAR(t.low + t.high, 2 * e.value, 1e-13);
    stat_bootstrap_means(c, k, 1, means, RESAMPLES);
    stat_interval percentile = stat_bootstrap_percentile(means, RESAMPLES, .95);
    stat_interval bca = stat_bootstrap_bca(c, k, means, RESAMPLES, .95);
    NEAR(percentile.low, said[4], .05 * e.error);
    NEAR(percentile.high, said[5], .05 * e.error);
    NEAR(bca.low, said[6], .06 * e.error);
    NEAR(bca.high, said[7], .06 * e.error);
}

static void clusters_match_scipy_and_statsmodels(void **state)
{
    (void)state;
    stat_cluster c[40];
    stat_clusters(documents, documents_cluster, ARRAY_LEN(documents), c, 30);
    said_by_others(c, 30, documents_said);
    stat_clusters(scores, NULL, 40, c, 40);
    said_by_others(c, 40, scores_said);
}

/* Same seed, same numbers (the ends computed in Python from the formula: they must not change); another seed,
 * others. */
static void resamples_are_reproducible(void **state)
{
    (void)state;
    stat_cluster c[40];
    double again[100];
    stat_clusters(scores, NULL, 40, c, 40);
    stat_bootstrap_means(c, 40, 7, means, 100);
    stat_bootstrap_means(c, 40, 7, again, 100);
    assert_memory_equal(means, again, sizeof again);
    NEAR(means[0], 0.7105, 1e-14);
    NEAR(means[99], 0.8855000000000001, 1e-14);
    for (int i = 1; i < 100; i++)
        assert_true(means[i - 1] <= means[i]);
    stat_bootstrap_means(c, 40, 8, again, 100);
    assert_memory_not_equal(means, again, sizeof again);
}

/* Five clusters have 5^5 equally likely resamples: the drawn distribution is the enumerated one. */
static void resamples_follow_the_enumeration(void **state)
{
    (void)state;
    static const stat_cluster c[5] = { { .5, 1 }, { 1.75, 3 }, { .125, 2 }, { 4, 4 }, { 0, 1 } };
    static double all[3125];
    for (int at = 0; at < 3125; at++) {
        double sum = 0, n = 0;
        for (int j = 0, code = at; j < 5; j++, code /= 5) {
            sum += c[code % 5].sum;
            n += c[code % 5].n;
        }
        all[at] = sum / n;
    }
    qsort(all, 3125, sizeof *all, by_size);
    stat_bootstrap_means(c, 5, 99, means, RESAMPLES);
    for (int at = 100; at < 3125; at += 100) {
        double drawn = 0, exact = 0;
        for (int b = 0; b < RESAMPLES; b++)
            drawn += means[b] < all[at] + 1e-9;
        for (int b = 0; b < 3125; b++)
            exact += all[b] < all[at] + 1e-9;
        NEAR(drawn / RESAMPLES, exact / 3125, .012);
    }
}

static void extremes_have_an_answer(void **state)
{
    (void)state;
    static const stat_cluster same[4] = { { 1, 2 }, { .5, 1 }, { 1.5, 3 }, { .5, 1 } };
    stat_bootstrap_means(same, 4, 1, means, 1000);
    stat_interval v = stat_bootstrap_bca(same, 4, means, 1000, .95);
    NEAR(v.low, .5, 1e-12);
    NEAR(v.high, .5, 1e-12);
    NEAR(stat_cluster_mean(same, 4).error, 0, 1e-12);
    /* Half of the scores 1: a quarter of the resamples have just that mean. Ties count half: nothing is corrected. */
    stat_cluster half[10];
    for (int i = 0; i < 10; i++)
        half[i] = (stat_cluster){ i % 2, 1 };
    stat_bootstrap_means(half, 10, 1, means, RESAMPLES);
    v = stat_bootstrap_bca(half, 10, means, RESAMPLES, .95);
    NEAR(v.low + v.high, 1, 1e-12);
    NEAR(v.low, stat_bootstrap_percentile(means, RESAMPLES, .95).low, 1e-12);
    /* One cluster apart from all others: a large acceleration, yet both ends are means that were drawn. */
    static const stat_cluster odd[3] = { { 0, 1 }, { 0, 1 }, { 1, 1 } };
    stat_bootstrap_means(odd, 3, 1, means, 1000);
    v = stat_bootstrap_bca(odd, 3, means, 1000, .999);
    assert_true(v.low >= 0 && v.low < v.high && v.high <= 1);
}

/* Thirty documents of four items that share a part of their score. Clustered intervals hold what they say; one that
 * takes the items for independent does not. */
static void clustered_intervals_cover(void **state)
{
    (void)state;
    enum { RUNS = 600, K = 30, EACH = 4, DRAWS = 400 };
    double x[K * EACH], missed[5] = { 0 };
    uint32_t id[K * EACH];
    stat_cluster c[K * EACH];
    seed = 21;
    for (int run = 0; run < RUNS; run++) {
        for (uint32_t i = 0, effect = 0; i < K * EACH; i++) {
            if (i % EACH == 0)
                effect = uniform() < .6;
            id[i] = i / EACH;
            x[i] = uniform() < .7 ? effect : uniform(); /* mean .7 * .6 + .3 * .5 = .57 */
        }
        stat_clusters(x, NULL, K * EACH, c, K * EACH);
        stat_interval v[5] = { stat_cluster_z(c, K * EACH, .95) };
        stat_clusters(x, id, K * EACH, c, K);
        stat_bootstrap_means(c, K, (uint64_t)run, means, DRAWS);
        v[1] = stat_cluster_z(c, K, .95);
        v[2] = stat_cluster_t(c, K, .95);
        v[3] = stat_bootstrap_percentile(means, DRAWS, .95);
        v[4] = stat_bootstrap_bca(c, K, means, DRAWS, .95);
        for (int i = 0; i < 5; i++)
            missed[i] += v[i].low > .57 || v[i].high < .57;
    }
    printf("95 %% intervals of 30 clusters miss: z %.1f %%, t %.1f %%, percentile %.1f %%, BCa %.1f %%; of items "
           "%.1f %%\n",
           100 * missed[1] / RUNS, 100 * missed[2] / RUNS, 100 * missed[3] / RUNS, 100 * missed[4] / RUNS,
           100 * missed[0] / RUNS);
    assert_true(missed[0] > .15 * RUNS);
    assert_true(missed[2] <= at_most(.055, RUNS) * RUNS);
    for (int i = 1; i < 5; i++)
        assert_true(missed[i] <= .10 * RUNS);
}

static void sequence_is_that_of_the_counts(void **state)
{
    (void)state;
    double d[60];
    for (int i = 0; i < 60; i++)
        d[i] = i < 6 ? -1 : i < 16 ? 1 : 0;
    stat_interval graded = stat_graded_sequence(d, 60, .95);
    stat_interval counted = stat_eprocess_interval((stat_pairs){ 10, 44, 6 }, .95);
    NEAR(graded.low, counted.low, 1e-9);
    NEAR(graded.high, counted.high, 1e-9);
    stat_interval none = stat_graded_sequence(d, 0, .95);
    assert_true(none.low <= -1 && none.high >= 1);
}

/* Looked at after every 40 of 200 graded differences, it misses at most alpha of the time in all. */
static void sequence_covers_at_all_times(void **state)
{
    (void)state;
    enum { RUNS = 100, N = 200, EVERY = 40 };
    double d[N];
    int missed = 0;
    seed = 77;
    for (int run = 0; run < RUNS; run++) {
        bool out = false;
        for (int i = 0; i < N; i++) {
            d[i] = (uniform() < .3 ? 2 * uniform() - 1 : 0) - .1 * (uniform() < .5); /* mean -.05 */
            d[i] = fmax(-1, d[i]);
            stat_interval v = { -1, 1 };
            if (i % EVERY == EVERY - 1)
                v = stat_graded_sequence(d, (size_t)i + 1, .9);
            out = out || v.low > -.05 || v.high < -.05;
        }
        missed += out;
    }
    printf("graded sequence at 90 %%: missed %.1f %%\n", 100.0 * missed / RUNS);
    assert_true(missed <= at_most(.1, RUNS) * RUNS);
}

static void betting_matches_confseq(void **state)
{
    (void)state;
    stat_interval v = stat_mean_interval(betting_scores, ARRAY_LEN(betting_scores), .95);
    NEAR(v.low, betting_said[0], 1e-12);
    NEAR(v.high, betting_said[1], 1e-12);
    for (size_t i = 0; i < ARRAY_LEN(confseq_pairs); i += 5) {
        const double *row = &confseq_pairs[i];
        stat_pairs p = { (uint64_t)row[0], (uint64_t)row[1], (uint64_t)row[2] };
        NEAR(stat_eprocess(p, row[3]), row[4], 1e-11);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(student_matches_scipy),
        cmocka_unit_test(clusters_match_scipy_and_statsmodels),
        cmocka_unit_test(resamples_are_reproducible),
        cmocka_unit_test(resamples_follow_the_enumeration),
        cmocka_unit_test(extremes_have_an_answer),
        cmocka_unit_test(clustered_intervals_cover),
        cmocka_unit_test(sequence_is_that_of_the_counts),
        cmocka_unit_test(sequence_covers_at_all_times),
        cmocka_unit_test(betting_matches_confseq),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
