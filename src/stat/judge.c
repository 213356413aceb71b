/* judge.c: prediction-powered means. Formulas and source: judge.h. */
#include "stat/judge.h"

#include <assert.h>
#include <math.h>

/* Mean of x - y (y may be NULL) and its squared standard error. */
static double mean_of(const double *x, const double *y, size_t n, double *variance)
{
    double mean = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        mean += (x[i] - (y ? y[i] : 0)) / (double)n;
    for (size_t i = 0; i < n; i++) {
        double away = x[i] - (y ? y[i] : 0) - mean;
        squares += away * away;
    }
    *variance = squares / ((double)n - 1) / (double)n;
    return mean;
}

stat_ppi stat_ppi_mean(const double *judged, size_t n, const double *human, const double *judge, size_t m)
{
    assert(n >= 2 && m >= 2);
    stat_ppi p;
    p.value = mean_of(judged, NULL, n, &p.judge_variance) + mean_of(human, judge, m, &p.human_variance);
    p.error = sqrt(p.judge_variance + p.human_variance);
    return p;
}

static double cut(double x)
{
    return fmin(1, fmax(0, x));
}

stat_interval stat_ppi_interval(stat_ppi p, double confidence)
{
    assert(confidence > 0 && confidence < 1);
    double z = -stat_normal_quantile((1 - confidence) / 2);
    return (stat_interval){ cut(p.value - z * p.error), cut(p.value + z * p.error) };
}

stat_interval stat_ppi_bounds(const double *judged, size_t n, const double *human, const double *judge, size_t m,
                              double confidence, double *scratch)
{
    assert(confidence > 0 && confidence < 1);
    for (size_t i = 0; i < m; i++)
        scratch[i] = (1 + human[i] - judge[i]) / 2;
    double each = 1 - (1 - confidence) / 2;
    stat_interval f = stat_mean_interval(judged, n, each), shift = stat_mean_interval(scratch, m, each);
    return (stat_interval){ cut(f.low + 2 * shift.low - 1), cut(f.high + 2 * shift.high - 1) };
}
