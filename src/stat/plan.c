/* plan.c: exact power of Tango's test, sample sizes from it, and what a suite can prove in words. Formulas: plan.h. */
#include "stat/plan.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

/* The least w that proves with m discordant pairs of n; m + 1 when none does. */
static uint64_t least_wins(uint64_t n, uint64_t m, double margin, double z)
{
    uint64_t low = 0, high = m + 1;
    while (low < high) {
        uint64_t w = low + (high - low) / 2;
        if (stat_tango_z((stat_pairs){ w, n - m, m - w }, -margin) > z)
            high = w;
        else
            low = w + 1;
    }
    return low;
}

/* P(Bin(m, q) >= w), q in [0, 1] */
static double at_least(uint64_t w, uint64_t m, double q)
{
    if (w == 0 || w > m)
        return w == 0;
    return stat_beta(q, (double)w, (double)(m - w) + 1);
}

static double log_choose(uint64_t n, uint64_t m)
{
    int sign; /* lgamma would write a global */
    return lgamma_r((double)n + 1, &sign) - lgamma_r((double)m + 1, &sign) - lgamma_r((double)(n - m) + 1, &sign);
}

double stat_tango_power(uint64_t n, double psi, double difference, double margin, double alpha)
{
    assert(psi >= 0 && psi <= 1 && fabs(difference) <= psi && margin > 0 && margin < 1);
    double z = -stat_normal_quantile(alpha), power = 0;
    double q = psi > 0 ? fmin(1, fmax(0, (1 + difference / psi) / 2)) : 0.5;
    for (uint64_t m = 0; m <= n; m++) {
        double differ = (double)m, same = (double)(n - m);
        if ((psi <= 0 && m > 0) || (psi >= 1 && m < n))
            continue;
        double log_p = log_choose(n, m) + (m > 0 ? differ * log(psi) : 0) + (m < n ? same * log1p(-psi) : 0);
        if (log_p > -45) /* what is left out of n = 10^6 terms is below 1e-13 */
            power += exp(log_p) * at_least(least_wins(n, m, margin, z), m, q);
    }
    return fmin(1, power);
}

uint64_t stat_tango_sample_size(double psi, double difference, double margin, double alpha, double power)
{
    enum { MOST = 1000000 };
    assert(margin + difference > 0 && power > 0 && power < 1);
    uint64_t low = 0, high = 1;
    while (stat_tango_power(high, psi, difference, margin, alpha) < power) {
        low = high;
        high *= 2;
        if (low > MOST)
            return 0;
    }
    while (high - low > 1) {
        uint64_t n = low + (high - low) / 2;
        if (stat_tango_power(n, psi, difference, margin, alpha) < power)
            low = n;
        else
            high = n;
    }
    return high > MOST ? 0 : high;
}

uint64_t stat_eprocess_least(double margin, double alpha)
{
    assert(margin > 0 && margin < 1 && alpha > 0 && alpha < 1);
    uint64_t low = 0, high = 1;
    while (stat_eprocess((stat_pairs){ 0, high, 0 }, margin) < -log(alpha) && high < (uint64_t)1 << 60)
        high *= 2;
    while (high - low > 1) {
        uint64_t n = low + (high - low) / 2;
        if (stat_eprocess((stat_pairs){ 0, n, 0 }, margin) < -log(alpha))
            low = n;
        else
            high = n;
    }
    return high;
}

/* Digits after the point of so many points. */
static int digits(double points)
{
    return points < 9.95;
}

static const char *cases(uint64_t n)
{
    return n == 1 ? "case proves" : "cases prove";
}

int stat_say_resolution(char *out, size_t size, uint64_t n, double psi, double alpha, double power)
{
    bool known = psi >= 0;
    if (n == 0)
        return snprintf(out, size, "no cases prove nothing");
    double points = 100 * stat_resolution(n, known ? psi : STAT_PSI_UNKNOWN, alpha, power);
    return snprintf(out, size, "%llu %s ±%.*f points, no less%s", (unsigned long long)n, cases(n), digits(points),
                    points, known ? "" : " (taking 19 % of the pairs to differ)");
}

int stat_say_resolution_rate(char *out, size_t size, uint64_t n, double rate, double alpha, double power)
{
    if (n == 0)
        return snprintf(out, size, "no cases prove nothing");
    double points = 100 * stat_resolution_rate(n, rate, alpha, power);
    return snprintf(out, size, "%llu %s a bar %.*f points below a rate of %.0f %%, no closer", (unsigned long long)n,
                    cases(n), digits(points), points, 100 * rate);
}
