/* rate.c: intervals for one rate, and planning. Formulas and sources: stat.h. */
#include "stat/stat.h"

#include <assert.h>
#include <math.h>

static double lower_at(uint64_t k, uint64_t n, double alpha)
{
    return k == 0 ? 0 : stat_beta_quantile(alpha, (double)k, (double)(n - k) + 1);
}

/* The mirror image of lower_at: small tails are solved near 0, where doubles are dense. */
static double upper_at(uint64_t k, uint64_t n, double alpha)
{
    return 1 - lower_at(n - k, n, alpha);
}

stat_interval stat_clopper_pearson(uint64_t k, uint64_t n, double confidence)
{
    assert(k <= n && confidence > 0 && confidence < 1);
    double half = (1 - confidence) / 2;
    return (stat_interval){ lower_at(k, n, half), upper_at(k, n, half) };
}

double stat_clopper_pearson_lower(uint64_t k, uint64_t n, double confidence)
{
    assert(k <= n && confidence > 0 && confidence < 1);
    return lower_at(k, n, 1 - confidence);
}

double stat_clopper_pearson_upper(uint64_t k, uint64_t n, double confidence)
{
    assert(k <= n && confidence > 0 && confidence < 1);
    return upper_at(k, n, 1 - confidence);
}

stat_interval stat_wilson(uint64_t k, uint64_t n, double confidence)
{
    assert(k <= n && confidence > 0 && confidence < 1);
    if (n == 0)
        return (stat_interval){ 0, 1 };
    double z = -stat_normal_quantile((1 - confidence) / 2), m = (double)n, p = (double)k / m;
    double centre = p + z * z / (2 * m), scale = 1 + z * z / m;
    double half = z * sqrt(p * (1 - p) / m + z * z / (4 * m * m));
    double low = (centre - half) / scale, high = (centre + half) / scale;
    return (stat_interval){ k == 0 ? 0 : low, k == n ? 1 : high };
}

/* z(1 - alpha) + z(power) */
static double planning_z(double alpha, double power)
{
    assert(alpha > 0 && alpha < 1 && power > 0 && power < 1);
    return stat_normal_quantile(power) - stat_normal_quantile(alpha);
}

uint64_t stat_sample_size(double margin, double difference, double psi, double alpha, double power)
{
    assert(margin + difference > 0 && psi >= 0 && psi <= 1);
    double z = planning_z(alpha, power), gap = margin + difference;
    double n = ceil(z * z * psi / (gap * gap));
    return n < 1 ? 1 : n > 1e18 ? (uint64_t)1000000000000000000 : (uint64_t)n;
}

double stat_resolution(uint64_t n, double psi, double alpha, double power)
{
    assert(psi >= 0 && psi <= 1);
    if (n == 0)
        return 1;
    double z = stat_normal_quantile(alpha), least = z * z / ((double)n + z * z);
    return fmin(1, fmax(least, planning_z(alpha, power) * sqrt(psi / (double)n)));
}

double stat_resolution_rate(uint64_t n, double rate, double alpha, double power)
{
    assert(rate >= 0 && rate <= 1);
    if (n == 0)
        return 1;
    double least = rate - pow(alpha, 1 / (double)n);
    return fmin(1, fmax(least, planning_z(alpha, power) * sqrt(rate * (1 - rate) / (double)n)));
}
