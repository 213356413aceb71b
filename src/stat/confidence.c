/* confidence.c: thresholds by fixed-sequence testing, reliability, AUROC. Formulas and sources: confidence.h. */
#include "stat/confidence.h"

#include <assert.h>
#include <math.h>

#include "stat/stat_int.h"

stat_threshold stat_choose_threshold(const double *confidence, const bool *correct, size_t n, const double *grid,
                                     size_t m, double error, double alpha)
{
    assert(error > 0 && error < 1 && alpha > 0 && alpha < 1);
    stat_threshold best = { 0 };
    double least = log(alpha) / log1p(-error);
    for (size_t j = 0; j < m; j++) {
        assert(j == 0 || grid[j] < grid[j - 1]);
        uint64_t accepted = 0, wrong = 0;
        for (size_t i = 0; i < n; i++) {
            accepted += confidence[i] >= grid[j];
            wrong += confidence[i] >= grid[j] && !correct[i];
        }
        if ((double)accepted < least)
            continue;
        double upper = stat_clopper_pearson_upper(wrong, accepted, 1 - alpha);
        if (upper > error)
            break;
        best = (stat_threshold){ true, grid[j], accepted, wrong, upper, (double)accepted / (double)n };
    }
    return best;
}

uint64_t stat_threshold_needs(uint64_t wrong, double error, double alpha)
{
    assert(error > 0 && error < 1 && alpha > 0 && alpha < 1);
    const uint64_t most = (uint64_t)1 << 40;
    uint64_t low = wrong, high = wrong + 1; /* low does not pass: all of it wrong is no proof */
    while (high < most && stat_binomial_cdf(wrong, high, error) > alpha) {
        low = high;
        high *= 2;
    }
    if (high >= most)
        return most;
    while (high - low > 1) {
        uint64_t mid = low + (high - low) / 2;
        *(stat_binomial_cdf(wrong, mid, error) > alpha ? &low : &high) = mid;
    }
    return high;
}

double stat_reliability(const double *confidence, const bool *correct, size_t n, double level, stat_bin *bins,
                        size_t n_bins)
{
    assert(n_bins >= 1);
    double off = 0;
    for (size_t b = 0; b < n_bins; b++)
        bins[b] = (stat_bin){ 0 };
    for (size_t i = 0; i < n; i++) {
        assert(confidence[i] >= 0 && confidence[i] <= 1);
        size_t b = (size_t)(confidence[i] * (double)n_bins);
        b = b < n_bins ? b : n_bins - 1;
        bins[b].n++;
        bins[b].correct += correct[i];
        bins[b].confidence += confidence[i];
    }
    for (size_t b = 0; b < n_bins; b++) {
        stat_bin *bin = &bins[b];
        off += fabs((double)bin->correct - bin->confidence);
        bin->confidence = bin->n ? bin->confidence / (double)bin->n : 0;
        bin->accuracy = stat_clopper_pearson(bin->correct, bin->n, level);
    }
    return n ? off / (double)n : 0;
}

/* Share of the items of the other kind that lie below item i; ties half. */
static double placement(const double *confidence, const bool *correct, size_t n, size_t i)
{
    double below = 0, others = 0;
    for (size_t j = 0; j < n; j++) {
        if (correct[j] == correct[i])
            continue;
        others++;
        below += confidence[j] < confidence[i] ? 1 : confidence[j] > confidence[i] ? 0 : 0.5;
    }
    return below / others;
}

stat_estimate stat_auroc(const double *confidence, const bool *correct, size_t n)
{
    double count[2] = { 0, 0 }, mean[2] = { 0, 0 }, squares[2] = { 0, 0 }, variance = 0;
    for (size_t i = 0; i < n; i++)
        count[correct[i]]++;
    if (count[0] <= 0 || count[1] <= 0)
        return (stat_estimate){ 0.5, 0 };
    double seen[2] = { 0, 0 };
    for (size_t i = 0; i < n; i++) { /* Welford's running variance: one pass over the placements */
        bool kind = correct[i];
        double v = placement(confidence, correct, n, i), away = v - mean[kind];
        mean[kind] += away / ++seen[kind];
        squares[kind] += away * (v - mean[kind]);
    }
    for (int kind = 0; kind < 2; kind++)
        variance += count[kind] > 1 ? squares[kind] / (count[kind] - 1) / count[kind] : mean[1] * (1 - mean[1]);
    return (stat_estimate){ mean[1], sqrt(variance) };
}

stat_interval stat_auroc_interval(const double *confidence, const bool *correct, size_t n, double level)
{
    assert(level > 0 && level < 1);
    uint64_t right = 0;
    for (size_t i = 0; i < n; i++)
        right += correct[i];
    uint64_t wrong = n - right, fewer = right < wrong ? right : wrong;
    stat_estimate e = stat_auroc(confidence, correct, n);
    if (fewer == 0)
        return (stat_interval){ 0, 1 };
    if (e.error <= 0)
        return stat_clopper_pearson((uint64_t)(e.value * (double)fewer + 0.5), fewer, level);
    return stat_logit_interval(e, level);
}
