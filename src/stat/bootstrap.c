/* bootstrap.c: the cluster bootstrap of a mean: percentile and BCa. Formulas and sources: graded.h. */
#include <assert.h>
#include <math.h>

#include "stat/graded.h"

/* splitmix64 (Steele, Lea and Flood 2014) as a function of its counter. */
static uint64_t hash(uint64_t seed, uint64_t counter)
{
    uint64_t z = seed + (counter + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void sift(double *x, size_t at, size_t n)
{
    double moved = x[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && x[child + 1] > x[child];
        if (x[child] <= moved)
            break;
        x[at] = x[child];
    }
    x[at] = moved;
}

/* Heapsort: qsort may allocate. */
static void sort(double *x, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(x, i, n);
    for (size_t end = n; end-- > 1;) {
        double top = x[0];
        x[0] = x[end];
        x[end] = top;
        sift(x, 0, end);
    }
}

void stat_bootstrap_means(const stat_cluster *c, size_t k, uint64_t seed, double *means, size_t resamples)
{
    assert(k >= 1 && k <= UINT32_MAX);
    for (size_t b = 0; b < resamples; b++) {
        double sum = 0, n = 0;
        for (size_t j = 0; j < k; j++) {
            const stat_cluster *drawn = &c[((hash(seed, b * k + j) >> 32) * k) >> 32];
            sum += drawn->sum;
            n += drawn->n;
        }
        means[b] = sum / n;
    }
    sort(means, resamples);
}

/* The p-quantile of sorted x, linear between order statistics: position p (n - 1). */
static double quantile(const double *x, size_t n, double p)
{
    double at = p * (double)(n - 1);
    size_t i = (size_t)at;
    return i + 1 < n ? x[i] + (at - (double)i) * (x[i + 1] - x[i]) : x[n - 1];
}

stat_interval stat_bootstrap_percentile(const double *means, size_t resamples, double confidence)
{
    assert(resamples >= 1 && confidence > 0 && confidence < 1);
    double half = (1 - confidence) / 2;
    return (stat_interval){ quantile(means, resamples, half), quantile(means, resamples, 1 - half) };
}

static double acceleration(const stat_cluster *c, size_t k, double sum, double n)
{
    double centre = 0, squares = 0, cubes = 0;
    for (size_t i = 0; i < k; i++)
        centre += (sum - c[i].sum) / (n - c[i].n) / (double)k;
    for (size_t i = 0; i < k; i++) {
        double u = centre - (sum - c[i].sum) / (n - c[i].n);
        squares += u * u;
        cubes += u * u * u;
    }
    return squares > 0 ? cubes / (6 * pow(squares, 1.5)) : 0;
}

/* Share of the means below m, ties half; kept off 0 and 1, where the correction has no value. */
static double share_below(const double *means, size_t resamples, double m)
{
    double below = 0;
    for (size_t b = 0; b < resamples; b++)
        below += means[b] < m ? 1 : means[b] > m ? 0 : 0.5;
    double least = 0.5 / (double)resamples;
    return fmin(1 - least, fmax(least, below / (double)resamples));
}

stat_interval stat_bootstrap_bca(const stat_cluster *c, size_t k, const double *means, size_t resamples,
                                 double confidence)
{
    assert(k >= 2 && resamples >= 1 && confidence > 0 && confidence < 1);
    double sum = 0, n = 0, ends[2];
    for (size_t i = 0; i < k; i++) {
        sum += c[i].sum;
        n += c[i].n;
    }
    double a = acceleration(c, k, sum, n), z0 = stat_normal_quantile(share_below(means, resamples, sum / n));
    for (int side = 0; side < 2; side++) {
        double half = (1 - confidence) / 2, z = z0 + stat_normal_quantile(side ? 1 - half : half);
        /* past the pole of the formula the percentile is the last one there is */
        double p = 1 - a * z > 0 ? stat_normal_cdf(z0 + z / (1 - a * z)) : side;
        ends[side] = quantile(means, resamples, p);
    }
    return (stat_interval){ ends[0], ends[1] };
}
