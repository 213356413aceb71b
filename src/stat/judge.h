/* judge.h: a mean from many grades of a model that judges and few of a human. Pure functions; no allocation; any
 * thread.
 *
 * Prediction-powered inference (Angelopoulos, Bates, Fannjiang, Jordan and Zrnic 2023): the judge graded n answers (f),
 * a human and the judge graded m others (Y, f); the second corrects the bias that the first has.
 *   theta = mean_n f + mean_m (Y - f),   error^2 = var(f) / n + var(Y - f) / m   (sample variances, n-1 and m-1)
 * The m answers must be a random sample of the same kind as the n, and none of the n. How far judge and human agree:
 * confusion.h. */
#ifndef STAT_JUDGE_H
#define STAT_JUDGE_H

#include "stat/stat.h"

typedef struct stat_ppi {
    double value, error;
    double judge_variance; /* var(f) / n */
    double human_variance; /* var(Y - f) / m */
} stat_ppi;

/* All grades in [0, 1]; n, m >= 2. `human` and `judge` have m entries, of the same answers in the same order. */
stat_ppi stat_ppi_mean(const double *judged, size_t n, const double *human, const double *judge, size_t m);
/* value -+ z error, cut to [0, 1]. A normal approximation: with few human labels (m < 50), or a judge that agreed on
 * all of them, it promises too much; use the bounds below. */
stat_interval stat_ppi_interval(stat_ppi p, double confidence);
/* Holds for every n and m >= 1: stat_mean_interval of f and of (1 + Y - f) / 2, each at half of 1 - confidence, added.
 * `scratch` has m entries. Depends on the order, which must be fixed beforehand. */
stat_interval stat_ppi_bounds(const double *judged, size_t n, const double *human, const double *judge, size_t m,
                              double confidence, double *scratch);

#endif
