/* stat.h: the decision statistics. Pure functions of their arguments: no state, no allocation, no input or output;
 * any thread. Numbers that make no sense (k > n, alpha outside (0,1)) assert.
 *
 * Notation. A paired suite compares two arms (local, cloud) item by item. D = local - cloud in {-1, 0, 1}; the counts
 *   w  local passed, cloud did not      t  both or neither      l  cloud passed, local did not      n = w + t + l
 * are all that the tests below need. Delta = E[D]; margin = delta > 0 is how much worse local may be at most.
 * Non-inferiority asks for evidence against H0: Delta <= -margin.
 *
 * Which one to use: a suite fixed before it is run: stat_tango. Results that are watched while they come in, or a suite
 * that grows: stat_eprocess (valid at any time one looks). An absolute bar: stat_clopper_pearson_lower, or
 * stat_eprocess_bar when watched. Sources are named at each function. Beside this header: plan.h (power, what a suite
 * can prove), decide.h (when to stop, many candidates), graded.h (clusters, bootstrap), drift.h, judge.h, confusion.h,
 * confidence.h. docs/STATISTICS.md says the same in plain words. */
#ifndef STAT_STAT_H
#define STAT_STAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct stat_interval {
    double low, high;
} stat_interval;

/* An estimate and its standard error. */
typedef struct stat_estimate {
    double value, error;
} stat_estimate;

typedef struct stat_pairs {
    uint64_t w, t, l;
} stat_pairs;

/* ---- distributions ---- */
/* Phi(z) = erfc(-z / sqrt 2) / 2, and its inverse for p in (0, 1): absolute error < 1e-12. */
double stat_normal_cdf(double z);
double stat_normal_quantile(double p);
/* Regularised incomplete beta I_x(a, b), a, b > 0, x in [0, 1]: Lentz' continued fraction (DLMF 8.17.22) with the
 * prefactor x^a (1-x)^b / B(a, b) by Loader's saddle-point expansion (2000), which keeps 1e-12 for large a and b. */
double stat_beta(double x, double a, double b);
/* x with I_x(a, b) = p. */
double stat_beta_quantile(double p, double a, double b);
/* x with P(T <= x) = p for Student's T, 0 < p < 1, freedom > 0: the tail of T is half of I_{f/(f+x^2)}(f/2, 1/2). */
double stat_student_quantile(double p, double freedom);
/* P(X <= k), X ~ Binomial(n, p): I_{1-p}(n - k, k + 1). */
double stat_binomial_cdf(uint64_t k, uint64_t n, double p);

/* ---- one rate: k of n passed; n = 0 gives [0, 1] ---- */
/* Clopper and Pearson 1934, exact (never covers less than said): low = BetaInv(a/2; k, n-k+1),
 * high = BetaInv(1-a/2; k+1, n-k), a = 1 - confidence. */
stat_interval stat_clopper_pearson(uint64_t k, uint64_t n, double confidence);
/* One-sided bounds: P(bound <= p) >= confidence, P(p <= bound) >= confidence. */
double stat_clopper_pearson_lower(uint64_t k, uint64_t n, double confidence);
double stat_clopper_pearson_upper(uint64_t k, uint64_t n, double confidence);
/* Wilson 1927: (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n). For display; covers on average only. */
stat_interval stat_wilson(uint64_t k, uint64_t n, double confidence);

/* ---- paired binary outcomes, suite fixed in advance ---- */
/* Tango 1998, score statistic of H0: Delta = difference (-1 < difference < 1):
 *   A = 2n, B = -w - l + (2n - w + l) d, C = -l d (1 - d), q = (sqrt(B^2 - 4AC) - B) / 2A
 *   T = (w - l - n d) / sqrt(n (2q + d (1 - d)))
 * Large T: Delta is larger than d. 0 for n = 0; +-infinity where the variance is 0 and the numerator is not. */
double stat_tango_z(stat_pairs p, double difference);
/* One-sided p-value of non-inferiority: 1 - Phi(T(-margin)); 1 for an empty suite. Weak for n psi < 6,
 * where its true size may also exceed alpha (.07 for n = 25, psi = .1, margin .1): use the e-process. */
double stat_tango_p(stat_pairs p, double margin);
/* All d with |T(d)| <= z: a two-sided interval for Delta. n = 0 gives [-1, 1]. */
stat_interval stat_tango(stat_pairs p, double confidence);
/* One-sided: the largest d with T(d) >= z(confidence); -1 when there is none. */
double stat_tango_lower(stat_pairs p, double confidence);
/* Exact McNemar (binomial on the discordant pairs, w against l with 1/2). Two-sided: min(1, 2 P(X <= min(w, l))).
 * p = 1 is no evidence of equality. */
double stat_mcnemar(stat_pairs p);
/* One-sided: small when local is better (P(X >= w)). */
double stat_mcnemar_better(stat_pairs p);
/* Share of discordant pairs psi = (w + l) / n; 0 for n = 0. */
double stat_discordance(stat_pairs p);

/* ---- planning ---- */
/* n = (z(1-alpha) + z(power))^2 psi / (margin + difference)^2, rounded up; margin + difference > 0. An approximation
 * that asks for too few where n psi < 18 (62 for margin .10, psi .10, whose power is .71 and not .8);
 * stat_tango_sample_size of plan.h is exact. */
uint64_t stat_sample_size(double margin, double difference, double psi, double alpha, double power);
/* The least margin that n items can prove when the arms are equal: (z(1-alpha) + z(power)) sqrt(psi / n); at most 1.
 * alpha .05, power .8: 2.49 sqrt(psi / n). n = 0 gives 1. Never under z^2 / (n + z^2), z = z(1-alpha), which is the
 * margin where T = z without a single discordant pair: a suite with psi = 0 does not prove everything. */
double stat_resolution(uint64_t n, double psi, double alpha, double power);
/* The same for one rate against a bar, at rate p: (z(1-alpha) + z(power)) sqrt(p (1-p) / n). Never under
 * p - alpha^(1/n): no lower bound of Clopper and Pearson exceeds alpha^(1/n), even when all pass. */
double stat_resolution_rate(uint64_t n, double rate, double alpha, double power);

/* ---- anytime-valid: look whenever you like ----
 * A mixture of 24 constant bets (Waudby-Smith and Ramdas 2024; closed form for D in {-1, 0, 1}):
 *   lambda_g = c_g / (1 - margin), c_g = .98 (g + 1/2) / 24, g = 0 … 23
 *   E = 1/24 sum_g (1 + lambda_g (1 + margin))^w (1 + lambda_g margin)^t (1 - lambda_g (1 - margin))^l
 * E is a supermartingale under Delta <= -margin, so P(E ever reaches 1/alpha) <= alpha (Ville): promote when
 * log E >= -log alpha, at any time. Three counts are the whole state; states of disjoint items add up.
 * Counts with different evidence keys must never be added. */
enum { STAT_BETS = 24 };
/* log E; 0 < margin < 1 gives non-inferiority, margin = 0 superiority; negative margins demand more than that
 * (-1 < margin < 1). */
double stat_eprocess(stat_pairs p, double margin);
/* The other direction, H0: Delta >= -margin (local is not worse than allowed): large when it clearly is. */
double stat_eprocess_worse(stat_pairs p, double margin);
/* Confidence sequence for Delta by inversion: each end one-sided at alpha / 2, valid at all times at once. */
stat_interval stat_eprocess_interval(stat_pairs p, double confidence);
/* One-sided lower end at alpha = 1 - confidence: the largest d whose H0: Delta <= d is rejected, -1 if none. */
double stat_eprocess_lower(stat_pairs p, double confidence);
/* An absolute bar, H0: p <= bar (0 < bar < 1): X = Y - bar, lambda_g = c_g / bar:
 *   E = 1/24 sum_g (1 + lambda_g (1 - bar))^k (1 - lambda_g bar)^(n-k); returns log E. */
double stat_eprocess_bar(uint64_t k, uint64_t n, double bar);

/* Graded differences D in [-1, 1]: the same bets, 24 log-wealths instead of three counts. The other direction
 * (H0: Delta >= -margin): init with -margin and add -D. One arm with scores x in [0, 1] against a bar: init with 1 -
 * bar and add x - 1; the other direction: init with bar and add -x.
 * Cases that belong together (repeats of one, several of one document) count once: add the mean of their D. */
typedef struct stat_wealth {
    double margin;
    double log_wealth[STAT_BETS];
} stat_wealth;
void stat_wealth_init(stat_wealth *s, double margin);
void stat_wealth_add(stat_wealth *s, double d);
double stat_wealth_log(const stat_wealth *s); /* log E */

/* e-BH (Wang and Ramdas 2022) over k tasks, valid under any dependence: with E sorted downwards, promote the first
 * k* = max{j: E_(j) >= k / (alpha j)}. log_e has k entries; promoted (k entries) is written; returns k*. */
size_t stat_ebh(const double *log_e, size_t k, double alpha, bool *promoted);

/* ---- mean of scores in [0, 1] ---- */
/* Betting interval of Waudby-Smith and Ramdas 2024 (hedged capital, predictable plug-in bets for a fixed n), valid for
 * any distribution on [0, 1] and n >= 1; depends on the order of x, which must be fixed beforehand (case order).
 * Scores outside [0, 1] are clamped. n = 0 gives [0, 1]. */
stat_interval stat_mean_interval(const double *x, size_t n, double confidence);

#endif
