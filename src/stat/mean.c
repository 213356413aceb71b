/* mean.c: a betting interval for the mean of scores in [0, 1] (Waudby-Smith and Ramdas 2024, hedged capital). */
#include "stat/stat.h"

#include <assert.h>
#include <math.h>

/* Bets are cut at CUT / m, so that no single score can ruin the capital. */
static const double CUT = 0.5;

static double clamp(double x)
{
    return x > 0 ? x < 1 ? x : 1 : 0; /* NaN becomes 0 */
}

/* Does the capital of the bets that the mean exceeds m ever reach exp(need)? The bet on score t uses only what came
 * before it: lambda_t = sqrt(2 need / (n s2)), s2 = (1/4 + sum (x_i - mean_i)^2) / t,
 * mean_i = (1/2 + sum x) / (i + 1). */
static bool rejects(const double *x, size_t n, bool mirror, double m, double need)
{
    double sum = 0.5, squares = 0.25, log_capital = 0;
    for (size_t i = 0; i < n; i++) {
        double score = mirror ? 1 - clamp(x[i]) : clamp(x[i]), count = (double)i + 1;
        double lambda = sqrt(2 * need * count / ((double)n * squares));
        if (lambda * m > CUT)
            lambda = CUT / m;
        log_capital += log1p(lambda * (score - m));
        if (log_capital >= need)
            return true;
        sum += score;
        double away = score - sum / (count + 1);
        squares += away * away;
    }
    return false;
}

static double lower_end(const double *x, size_t n, bool mirror, double need)
{
    double low = 0, high = 1;
    for (int i = 0; i < 50; i++) {
        double mid = low + (high - low) / 2;
        if (rejects(x, n, mirror, mid, need))
            low = mid;
        else
            high = mid;
    }
    return low;
}

stat_interval stat_mean_interval(const double *x, size_t n, double confidence)
{
    assert(confidence > 0 && confidence < 1);
    double need = -log((1 - confidence) / 2);
    return (stat_interval){ lower_end(x, n, false, need), 1 - lower_end(x, n, true, need) };
}
