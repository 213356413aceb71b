/* paired.c: two arms on the same fixed items: Tango's score test and interval, exact McNemar. Formulas: stat.h. */
#include "stat/stat.h"

#include <assert.h>
#include <math.h>

static double total(stat_pairs p)
{
    return (double)p.w + (double)p.t + (double)p.l;
}

double stat_discordance(stat_pairs p)
{
    double n = total(p);
    return n > 0 ? ((double)p.w + (double)p.l) / n : 0;
}

double stat_tango_z(stat_pairs p, double difference)
{
    assert(difference > -1 && difference < 1);
    double n = total(p), w = (double)p.w, l = (double)p.l, d = difference;
    double above = w - l - n * d;
    if (n <= 0 || above == 0)
        return 0;
    double a = 2 * n, b = -w - l + (2 * n - w + l) * d, c = -l * d * (1 - d);
    double root = sqrt(fmax(0, b * b - 4 * a * c));
    /* the larger root; written so that nothing cancels when b > 0 */
    double q = b > 0 ? -2 * c / (root + b) : (root - b) / (2 * a);
    double variance = n * (2 * q + d * (1 - d));
    return variance > 0 ? above / sqrt(variance) : above > 0 ? INFINITY : -INFINITY;
}

double stat_tango_p(stat_pairs p, double margin)
{
    if (total(p) <= 0)
        return 1;
    return stat_normal_cdf(-stat_tango_z(p, -margin));
}

/* The largest d with T(d) >= z. T falls as d grows. */
static double tango_root(stat_pairs p, double z)
{
    double low = -1, high = 1;
    for (int i = 0; i < 100; i++) {
        double mid = low + (high - low) / 2;
        if (mid <= low || mid >= high)
            break;
        if (stat_tango_z(p, mid) >= z)
            low = mid;
        else
            high = mid;
    }
    return low;
}

stat_interval stat_tango(stat_pairs p, double confidence)
{
    assert(confidence > 0 && confidence < 1);
    if (total(p) <= 0)
        return (stat_interval){ -1, 1 };
    double z = -stat_normal_quantile((1 - confidence) / 2);
    stat_pairs mirror = { p.l, p.t, p.w };
    return (stat_interval){ tango_root(p, z), -tango_root(mirror, z) };
}

double stat_tango_lower(stat_pairs p, double confidence)
{
    assert(confidence > 0 && confidence < 1);
    return total(p) <= 0 ? -1 : tango_root(p, -stat_normal_quantile(1 - confidence));
}

double stat_mcnemar(stat_pairs p)
{
    uint64_t less = p.w < p.l ? p.w : p.l;
    return p.w + p.l == 0 ? 1 : fmin(1, 2 * stat_binomial_cdf(less, p.w + p.l, 0.5));
}

double stat_mcnemar_better(stat_pairs p)
{
    return p.w == 0 ? 1 : stat_beta(0.5, (double)p.w, (double)p.l + 1);
}
