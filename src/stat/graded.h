/* graded.h: means of graded scores where items come in clusters (several questions of one document, several repeats of
 * one case): clusters, not items, are independent. For one arm give its scores; for two arms the differences
 * D = local - cloud item by item. Pure functions; no allocation, the caller gives all memory; any thread.
 *
 * What these are good for: estimates with an interval for a fixed suite of 20 clusters and more. Below that, and where
 * scores hardly differ, they promise too much (all scores equal: an interval of length 0); stat_mean_interval and
 * stat_graded_sequence hold for any n, of independent items. Non-inferiority at alpha: the low end of the interval at
 * confidence 1 - 2 alpha is above -margin. */
#ifndef STAT_GRADED_H
#define STAT_GRADED_H

#include "stat/stat.h"

/* The sum of the scores of one cluster and their number, > 0. Items without clusters: one cluster each. */
typedef struct stat_cluster {
    double sum, n;
} stat_cluster;

/* Sums n scores by cluster: cluster[i] < k is the cluster of x[i]; NULL: each item its own (k = n). Writes out[0 …
 * k-1]; every cluster must have an item before it is used below. */
void stat_clusters(const double *x, const uint32_t *cluster, size_t n, stat_cluster *out, size_t k);

/* m = sum s_c / sum n_c and its cluster-robust standard error (Liang and Zeger 1986, with k / (k-1)):
 *   sqrt(k / (k-1) sum (s_c - n_c m)^2) / sum n_c. Needs k >= 2. */
stat_estimate stat_cluster_mean(const stat_cluster *c, size_t k);
/* m -+ z error, and m -+ t error with k - 1 degrees of freedom, which is wider and holds better for few clusters. */
stat_interval stat_cluster_z(const stat_cluster *c, size_t k, double confidence);
stat_interval stat_cluster_t(const stat_cluster *c, size_t k, double confidence);

/* Cluster bootstrap: `resamples` means of k clusters drawn with replacement, sorted. The j-th draw of resample b is
 * cluster floor(h k) with h = splitmix64(seed, b k + j) in [0, 1): a counter, no state, so that the same seed gives the
 * same numbers on any machine. 1 <= k < 2^32. */
void stat_bootstrap_means(const stat_cluster *c, size_t k, uint64_t seed, double *means, size_t resamples);
/* The percentile interval (Efron 1979) of sorted means; between two of them linearly. */
stat_interval stat_bootstrap_percentile(const double *means, size_t resamples, double confidence);
/* Bias-corrected and accelerated (Efron 1987): the percentiles Phi(z0 + (z0 + z) / (1 - a (z0 + z))) for z =
 * -+z(alpha/2), z0 = InvPhi(share of means below m, ties half), a = sum u^3 / (6 (sum u^2)^1.5), u = mean of the
 * leave-one-cluster-out means - each of them. `means` are those drawn from c. Needs k >= 2. */
stat_interval stat_bootstrap_bca(const stat_cluster *c, size_t k, const double *means, size_t resamples,
                                 double confidence);

/* The confidence sequence of stat_eprocess_interval for graded D in [-1, 1], independent items in their order: each end
 * one-sided at alpha / 2, valid at all times at once and for any n. n = 0 gives [-1, 1]. */
stat_interval stat_graded_sequence(const double *d, size_t n, double confidence);

#endif
