/* eprocess.c: evidence that may be looked at any time: the mixture of 24 bets, its confidence sequence, e-BH.
 * Formulas: stat.h. All in logarithms: E of a long suite is far outside a double. */
#include "stat/stat_int.h"

#include <assert.h>
#include <math.h>

double stat_log_mean(const double x[STAT_BETS])
{
    double top = x[0], sum = 0;
    for (int g = 1; g < STAT_BETS; g++)
        top = fmax(top, x[g]);
    for (int g = 0; g < STAT_BETS; g++)
        sum += exp(x[g] - top);
    return top + log(sum / STAT_BETS);
}

double stat_eprocess(stat_pairs p, double margin)
{
    assert(margin > -1 && margin < 1);
    double x[STAT_BETS];
    for (int g = 0; g < STAT_BETS; g++) {
        double c = stat_bet(g), lambda = c / (1 - margin);
        x[g] = (double)p.w * log1p(lambda * (1 + margin)) + (double)p.t * log1p(lambda * margin) +
               (double)p.l * log1p(-c);
    }
    return stat_log_mean(x);
}

double stat_eprocess_worse(stat_pairs p, double margin)
{
    return stat_eprocess((stat_pairs){ p.l, p.t, p.w }, -margin);
}

/* The largest d with log E(H0: Delta <= d) >= need. E falls as d grows. */
static double eprocess_root(stat_pairs p, double need)
{
    double low = -1, high = 1;
    for (int i = 0; i < 100; i++) {
        double mid = low + (high - low) / 2;
        if (mid <= low || mid >= high)
            break;
        if (stat_eprocess(p, -mid) >= need)
            low = mid;
        else
            high = mid;
    }
    return low;
}

stat_interval stat_eprocess_interval(stat_pairs p, double confidence)
{
    assert(confidence > 0 && confidence < 1);
    double need = -log((1 - confidence) / 2);
    return (stat_interval){ eprocess_root(p, need), -eprocess_root((stat_pairs){ p.l, p.t, p.w }, need) };
}

double stat_eprocess_lower(stat_pairs p, double confidence)
{
    assert(confidence > 0 && confidence < 1);
    return eprocess_root(p, -log(1 - confidence));
}

double stat_eprocess_bar(uint64_t k, uint64_t n, double bar)
{
    assert(k <= n && bar > 0 && bar < 1);
    double x[STAT_BETS];
    for (int g = 0; g < STAT_BETS; g++) {
        double c = stat_bet(g);
        x[g] = (double)k * log1p(c / bar * (1 - bar)) + (double)(n - k) * log1p(-c);
    }
    return stat_log_mean(x);
}

void stat_wealth_init(stat_wealth *s, double margin)
{
    assert(margin > -1 && margin < 1);
    s->margin = margin;
    for (int g = 0; g < STAT_BETS; g++)
        s->log_wealth[g] = 0;
}

void stat_wealth_add(stat_wealth *s, double d)
{
    assert(d >= -1 && d <= 1);
    for (int g = 0; g < STAT_BETS; g++)
        s->log_wealth[g] += log1p(stat_bet(g) / (1 - s->margin) * (d + s->margin));
}

double stat_wealth_log(const stat_wealth *s)
{
    return stat_log_mean(s->log_wealth);
}

/* How many of the tasks have at least this much evidence (with ties, the last of them). */
static size_t rank_of(const double *log_e, size_t k, double e)
{
    size_t rank = 0;
    for (size_t i = 0; i < k; i++)
        rank += log_e[i] >= e;
    return rank;
}

size_t stat_ebh(const double *log_e, size_t k, double alpha, bool *promoted)
{
    assert(alpha > 0 && alpha < 1);
    size_t best = 0;
    for (size_t i = 0; i < k; i++) {
        size_t rank = rank_of(log_e, k, log_e[i]);
        if (rank > best && log_e[i] >= log((double)k / (alpha * (double)rank)))
            best = rank;
    }
    for (size_t i = 0; i < k; i++)
        promoted[i] = rank_of(log_e, k, log_e[i]) <= best;
    return best;
}
