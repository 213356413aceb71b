/* money.c: see the header. */
#include "measure/money.h"

#include <math.h>

#include "base/mem.h"
#include "stat/graded.h"

enum { MONEY_SEED = 1 };

/* The clusters that have something known in them, in order: x - y, y NULL: x. Returns their number. */
static size_t gather(const double *x, const double *y, const uint32_t *unit, size_t n, stat_cluster *out,
                     size_t *items)
{
    size_t k = 0;
    uint32_t last = 0;
    *items = 0;
    for (size_t i = 0; i < n; i++) {
        double v = y ? x[i] - y[i] : x[i];
        if (isnan(v))
            continue;
        if (k == 0 || unit[i] != last)
            out[k++] = (stat_cluster){ 0, 0 };
        last = unit[i];
        out[k - 1].sum += v;
        out[k - 1].n += 1;
        ++*items;
    }
    return k;
}

static double mean_of(const stat_cluster *c, size_t k)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < k; i++) {
        sum += c[i].sum;
        n += c[i].n;
    }
    return k ? sum / n : NAN;
}

status money_difference(const double *minuend, const double *subtrahend, const uint32_t *unit, size_t n,
                        double confidence, money_figure *out, error *err)
{
    stat_cluster *clusters = mem_array(n + 1, sizeof *clusters);
    double *means = mem_array(MONEY_RESAMPLES, sizeof *means);
    status st = clusters && means ? OK : fail(err, E_NOMEM, "no memory for the costs of %zu answers", n);
    if (!st) {
        money_figure f = { NAN, NAN, NAN, 0 };
        size_t k = gather(minuend, subtrahend, unit, n, clusters, &f.n);
        f.mean = mean_of(clusters, k);
        if (k >= 2) {
            stat_bootstrap_means(clusters, k, MONEY_SEED, means, MONEY_RESAMPLES);
            stat_interval i = stat_bootstrap_percentile(means, MONEY_RESAMPLES, confidence);
            f.low = i.low;
            f.high = i.high;
        }
        *out = f;
    }
    mem_free(clusters);
    mem_free(means);
    return st;
}

status money_mean(const double *x, const uint32_t *unit, size_t n, double confidence, money_figure *out, error *err)
{
    return money_difference(x, NULL, unit, n, confidence, out, err);
}

double money_joules_usd(double joules, double usd_per_kwh)
{
    return joules / 3.6e6 * usd_per_kwh;
}

/* Answers that a saving pays for; INFINITY where nothing is saved. */
static double needed(double usd_per_month, double saving)
{
    return isnan(saving) ? NAN : saving > 0 ? usd_per_month / saving : INFINITY;
}

money_break_even money_breaks_even(double usd_per_month, const money_figure *saving)
{
    money_break_even b = { MONEY_UNKNOWN, NAN, NAN, NAN };
    if (isnan(saving->mean) || isnan(usd_per_month))
        return b;
    b.low = needed(usd_per_month, saving->high);
    b.high = needed(usd_per_month, saving->low);
    b.when = !(saving->mean > 0) ? MONEY_NEVER : usd_per_month > 0 ? MONEY_FROM : MONEY_ALREADY;
    if (b.when == MONEY_FROM)
        b.answers = usd_per_month / saving->mean;
    return b;
}
