/* decide.c: stopping decisions from e-processes, and thresholds over many candidates. Formulas: decide.h. */
#include "stat/decide.h"

#include <assert.h>
#include <math.h>

#include "stat/stat_int.h"

const char *stat_verdict_text(stat_verdict v)
{
    static const char *const texts[STAT_VERDICTS] = {
        [STAT_OPEN] = "open",
        [STAT_PROMOTED] = "promoted",
        [STAT_REJECTED] = "rejected",
        [STAT_CANNOT] = "cannot be decided",
    };
    return texts[v];
}

/* All three are log E: for promotion, against it, and for promotion if the rest were as good as can be. */
static stat_verdict verdict_of(double better, double worse, double at_best, double alpha)
{
    assert(alpha > 0 && alpha < 1);
    double need = -log(alpha);
    if (better >= need)
        return STAT_PROMOTED;
    if (worse >= need)
        return STAT_REJECTED;
    return at_best < need ? STAT_CANNOT : STAT_OPEN;
}

stat_verdict stat_decide_pairs(stat_pairs seen, double margin, double alpha, uint64_t left)
{
    assert(margin >= 0);
    stat_pairs best = { seen.w + left, seen.t, seen.l };
    return verdict_of(stat_eprocess(seen, margin), stat_eprocess_worse(seen, margin), stat_eprocess(best, margin),
                      alpha);
}

stat_verdict stat_decide_bar(uint64_t k, uint64_t n, double bar, double alpha, uint64_t left)
{
    assert(k <= n);
    return verdict_of(stat_eprocess_bar(k, n, bar), stat_eprocess_bar(n - k, n, 1 - bar),
                      stat_eprocess_bar(k + left, n + left, bar), alpha);
}

stat_verdict stat_decide_wealth(const stat_wealth *better, const stat_wealth *worse, double best, double alpha,
                                uint64_t left)
{
    assert(best >= -1 && best <= 1 && best + better->margin >= 0);
    double at_best[STAT_BETS];
    for (int g = 0; g < STAT_BETS; g++) {
        double lambda = stat_bet(g) / (1 - better->margin);
        at_best[g] = better->log_wealth[g] + (double)left * log1p(lambda * (best + better->margin));
    }
    return verdict_of(stat_wealth_log(better), stat_wealth_log(worse), stat_log_mean(at_best), alpha);
}

double stat_log_threshold(size_t m, double alpha)
{
    assert(m >= 1 && alpha > 0 && alpha < 1);
    return log((double)m / alpha);
}

void stat_bonferroni(const double *p, size_t m, double *adjusted)
{
    for (size_t i = 0; i < m; i++)
        adjusted[i] = fmin(1, (double)m * p[i]);
}

/* Is p[i] before p[j] in the order of sorting? Ties by index. */
static bool before(const double *p, size_t i, size_t j)
{
    return p[i] < p[j] || (p[i] <= p[j] && i < j);
}

void stat_holm(const double *p, size_t m, double *adjusted)
{
    double largest = 0;
    size_t last = 0;
    for (size_t rank = 0; rank < m; rank++) {
        size_t next = m; /* the first after `last` in the order */
        for (size_t i = 0; i < m; i++)
            if ((rank == 0 || before(p, last, i)) && (next == m || before(p, i, next)))
                next = i;
        assert(next < m); /* NaN has no place in an order */
        largest = fmax(largest, fmin(1, (double)(m - rank) * p[next]));
        adjusted[next] = largest;
        last = next;
    }
}
