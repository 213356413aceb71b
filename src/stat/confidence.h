/* confidence.h: is a model's own confidence worth anything, and from which confidence on may its answer be taken? For a
 * cascade inside a promoted task: the local answer is kept when its confidence is high enough, else the cloud is asked.
 * Pure functions; no allocation; any thread.
 *
 * Everywhere item i was answered with confidence[i] (a mean log-probability, a probability: any number but NaN, larger
 * is surer) and was right or not: correct[i]. Items are independent. */
#ifndef STAT_CONFIDENCE_H
#define STAT_CONFIDENCE_H

#include "stat/stat.h"

/* ---- the threshold ---- */
typedef struct stat_threshold {
    bool found;
    double threshold;   /* accept when confidence >= threshold */
    uint64_t accepted;  /* of the n items */
    uint64_t wrong;     /* of the accepted */
    double error_upper; /* Clopper and Pearson's one-sided bound of the error among accepted answers */
    double coverage;    /* accepted / n */
} stat_threshold;

/* Fixed-sequence testing (Bauer 1991; Learn then Test, Angelopoulos et al. 2021): grid[0 … m-1] falls from strict to
 * lax and is fixed before the items are looked at. Each threshold's upper bound at 1 - alpha is compared with the
 * allowed error; the first that fails ends the walk, and the last that passed is the answer. So the probability that
 * the error among accepted answers really exceeds `error` is at most alpha, without further correction. Thresholds that
 * accept fewer than log(alpha) / log(1 - error) items, which could not pass even without a mistake, are stepped over:
 * that depends on the confidences only, not on what was right. A threshold with few answers may fail for want of data
 * and end the walk, so begin the grid where a hundred or more are accepted. 0 < error < 1. All other fields are 0 when
 * none is found. */
stat_threshold stat_choose_threshold(const double *confidence, const bool *correct, size_t n, const double *grid,
                                     size_t m, double error, double alpha);

/* How many accepted items it takes to pass with so many wrong ones among them: the least n > wrong with
 * P(X <= wrong) <= alpha, X ~ Binomial(n, error), which is Clopper and Pearson's bound turned round. Without a mistake
 * ceil(log(alpha) / log(1 - error)). 0 < error < 1; what is beyond 2^40 is 2^40. */
uint64_t stat_threshold_needs(uint64_t wrong, double error, double alpha);

/* ---- reliability: confidences that are probabilities, in [0, 1] ---- */
typedef struct stat_bin {
    uint64_t n, correct;
    double confidence;      /* mean; 0 for an empty bin */
    stat_interval accuracy; /* Clopper and Pearson */
} stat_bin;

/* Bins of equal width, bin b of n_bins from b / n_bins on (1 belongs to the last). Writes bins and returns the expected
 * calibration error sum n_b / n |accuracy_b - confidence_b| (Naeini, Cooper and Hauskrecht 2015), which is above 0 for
 * few items even when the confidence is perfect. 0 for n = 0. */
double stat_reliability(const double *confidence, const bool *correct, size_t n, double level, stat_bin *bins,
                        size_t n_bins);

/* ---- does confidence tell right from wrong? ---- */
/* AUROC = P(confidence of a right one > that of a wrong one) + half of P(equal), Mann and Whitney 1947; standard error
 * of DeLong, DeLong and Clarke-Pearson 1988: sqrt(S10 / right + S01 / wrong); a kind with a single item, which has no
 * variance of its own, counts with A (1 - A). n^2 steps and no scratch. .5 and 0 when all are right or all wrong. */
stat_estimate stat_auroc(const double *confidence, const bool *correct, size_t n);
/* Normal on the scale of log(A / (1 - A)). When the error is 0 (the two wholly separated, or all confidences equal):
 * Clopper and Pearson with a share A of min(right, wrong), since var(A) <= A (1 - A) / min(right, wrong). All right or
 * all wrong: [0, 1]. */
stat_interval stat_auroc_interval(const double *confidence, const bool *correct, size_t n, double level);

#endif
