/* confusion.h: what a confusion matrix says: agreement, Cohen's kappa, macro-F1. Pure functions; no allocation; any
 * thread.
 *
 * `counts` is k x k, row-major: counts[i k + j] items have label i by the first (truth, human) and j by the second
 * (model, judge). Items are independent; p_ij = counts / n, r_i row sums of p, s_j column sums. n = 0 is allowed. */
#ifndef STAT_CONFUSION_H
#define STAT_CONFUSION_H

#include "stat/stat.h"

/* Share of equal labels, by Clopper and Pearson. */
stat_interval stat_agreement(const uint64_t *counts, size_t k, double confidence);

/* Cohen 1960: kappa = (po - pe) / (1 - pe), po = sum p_ii, pe = sum r_i s_i; standard error of Fleiss, Cohen and
 * Everitt 1969. 0 and 0 when both always use the same one label, or for n = 0: kappa has no value there. */
stat_estimate stat_kappa(const uint64_t *counts, size_t k);
/* kappa -+ z error, cut to [-1, 1]. When all agree the error is 0: the low end then is kappa at the low end of the
 * agreement. Where kappa has no value: [-1, 1]. */
stat_interval stat_kappa_interval(const uint64_t *counts, size_t k, double confidence);

/* F = mean over the labels that occur (in row or column) of F_c = 2 p_cc / (r_c + s_c). Standard error by the delta
 * method (Takahashi, Yamamoto, Kuchiba and Koyama 2022), in the form sqrt(sum p_ij g_ij^2 / n) with g_ij = dF / dp_ij
 * (sum p_ij g_ij = 0, since F does not change when all p are scaled). 0 and 0 for n = 0. */
stat_estimate stat_macro_f1(const uint64_t *counts, size_t k);
/* Normal on the scale of log(F / (1 - F)). When all are right or all wrong the error is 0: the interval then is that of
 * the agreement. Each label should occur 5 times or more; rarer ones make it too short. n = 0 gives [0, 1]. */
stat_interval stat_macro_f1_interval(const uint64_t *counts, size_t k, double confidence);

#endif
