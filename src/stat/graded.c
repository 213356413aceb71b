/* graded.c: cluster-robust means and the confidence sequence of graded differences. Formulas: graded.h. */
#include "stat/graded.h"

#include <assert.h>
#include <math.h>

#include "stat/stat_int.h"

void stat_clusters(const double *x, const uint32_t *cluster, size_t n, stat_cluster *out, size_t k)
{
    assert(cluster || k == n);
    for (size_t c = 0; c < k; c++)
        out[c] = (stat_cluster){ 0, 0 };
    for (size_t i = 0; i < n; i++) {
        size_t c = cluster ? cluster[i] : i;
        assert(c < k);
        out[c].sum += x[i];
        out[c].n += 1;
    }
}

stat_estimate stat_cluster_mean(const stat_cluster *c, size_t k)
{
    assert(k >= 2);
    double sum = 0, n = 0, squares = 0;
    for (size_t i = 0; i < k; i++) {
        assert(c[i].n > 0);
        sum += c[i].sum;
        n += c[i].n;
    }
    double mean = sum / n;
    for (size_t i = 0; i < k; i++) {
        double away = c[i].sum - c[i].n * mean;
        squares += away * away;
    }
    return (stat_estimate){ mean, sqrt(squares * (double)k / ((double)k - 1)) / n };
}

static stat_interval around(stat_estimate e, double z)
{
    return (stat_interval){ e.value - z * e.error, e.value + z * e.error };
}

stat_interval stat_cluster_z(const stat_cluster *c, size_t k, double confidence)
{
    assert(confidence > 0 && confidence < 1);
    return around(stat_cluster_mean(c, k), -stat_normal_quantile((1 - confidence) / 2));
}

stat_interval stat_cluster_t(const stat_cluster *c, size_t k, double confidence)
{
    assert(confidence > 0 && confidence < 1);
    return around(stat_cluster_mean(c, k), -stat_student_quantile((1 - confidence) / 2, (double)k - 1));
}

/* The largest m with log E(H0: mean of D <= m) >= need; sign -1 mirrors D. E falls as m grows. */
static double sequence_root(const double *d, size_t n, double sign, double need)
{
    double low = -1, high = 1;
    for (int i = 0; i < 50; i++) {
        double mid = low + (high - low) / 2;
        stat_wealth s;
        stat_wealth_init(&s, -mid);
        for (size_t j = 0; j < n; j++)
            stat_wealth_add(&s, sign * d[j]);
        if (stat_wealth_log(&s) >= need)
            low = mid;
        else
            high = mid;
    }
    return low;
}

stat_interval stat_graded_sequence(const double *d, size_t n, double confidence)
{
    assert(confidence > 0 && confidence < 1);
    double need = -log((1 - confidence) / 2);
    return (stat_interval){ sequence_root(d, n, 1, need), -sequence_root(d, n, -1, need) };
}
