/* figures.h: what many judged tokens come to, and how sure that is. Pure functions of their arguments, apart from
 * scratch memory; any thread.
 *
 * Two errors are given, because readers know the first and the second is right:
 *   by tokens    as if every token were an observation of its own: s / sqrt(n). What llama-perplexity prints. A lower
 *                bound, for tokens that stand together are alike.
 *   by clusters  windows of a text, cases of a task. For the mean m = sum_c S_c / sum_c N_c of C clusters (sums S_c
 *                over N_c tokens) the linearised variance of a ratio (Cochran 1977, 6.3):
 *                    v = C / (C - 1) sum_c (S_c - m N_c)^2 / n^2,
 *                and m -+ t sqrt(v), t of Student's distribution with C - 1 degrees of freedom.
 * From fewer than two clusters there is no second error: NAN. */
#ifndef QUALITY_FIGURES_H
#define QUALITY_FIGURES_H

#include "base/js.h"
#include "quality/compare.h"
#include "stat/stat.h"

#define QUALITY_CONFIDENCE 0.95

typedef struct quality_mean {
    double value;
    double error;         /* by tokens, one standard error */
    double cluster_error; /* by clusters, one standard error; NAN */
    double low, high;     /* by clusters, at QUALITY_CONFIDENCE; NAN */
} quality_mean;

/* Of x, one value for each judged token of p. E_NOMEM. */
status quality_mean_of(const double *x, const passages *p, quality_mean *out, error *err) MUST_CHECK;
/* The same through exp(): error and interval of exp(mean), the errors by its derivative. */
quality_mean quality_exp(quality_mean m);
/* The same through sqrt(), for a mean of squares. */
quality_mean quality_sqrt(quality_mean m);

/* A quantile, linear between the order statistics around q (n - 1), and its interval from order statistics: exact for
 * independent values (Conover 1999, 3.2), so the least width here. low or high is NAN where n is too small to have it:
 * the 99.9 % quantile has an upper end from 3,688 values on. */
typedef struct quality_quantile {
    double q, value, low, high;
} quality_quantile;
quality_quantile quality_quantile_of(const double *sorted, size_t n, double q);

enum { QUALITY_QUANTILES = 5 };

typedef struct quality_figures {
    size_t n_tokens, n_passages, n_clusters;
    quality_mean kl;                           /* of A's distribution to B's, nats */
    quality_quantile kl_at[QUALITY_QUANTILES]; /* 50, 90, 95, 99, 99.9 % */
    double kl_max;
    quality_mean same_top;                     /* share of tokens; the interval is Wilson's over the tokens that the
                                                  clusters are worth: n / design effect, at most n */
    quality_mean rms_dp, mean_dp;              /* of p_B(x) - p_A(x), x the token that came */
    quality_mean perplexity_a, perplexity_b;
    quality_mean log_ratio, ratio;             /* ln(PPL_B / PPL_A), paired, and PPL_B / PPL_A */
} quality_figures;
status quality_sum_up(const quality_tokens *t, const passages *p, quality_figures *out, error *err) MUST_CHECK;

js *quality_mean_js(const quality_mean *m);
js *quality_figures_js(const quality_figures *f);

#endif
