/* decide.h: is enough measured? Decisions while a suite runs, and over many candidates at once. Pure functions; no
 * allocation; any thread. */
#ifndef STAT_DECIDE_H
#define STAT_DECIDE_H

#include "stat/stat.h"

/* What the cases seen so far say. Wrong PROMOTED and wrong REJECTED each have a probability of at most alpha over the
 * whole run, however often one asks, if one stops at the first answer that is not OPEN: both rest on e-processes
 * (Ville), log E >= -log alpha. An answer later on may be OPEN again; the first one counts.
 *   PROMOTED  local is not worse than the margin (is above the bar)
 *   REJECTED  local is worse than the margin (is below the bar): the e-process of the other direction
 *   CANNOT    not decided, and even if every case that is left favoured local, E would stay under 1/alpha
 *   OPEN      none of these: go on */
typedef enum stat_verdict { STAT_OPEN, STAT_PROMOTED, STAT_REJECTED, STAT_CANNOT, STAT_VERDICTS } stat_verdict;

/* "open", "promoted", "rejected", "cannot be decided" */
const char *stat_verdict_text(stat_verdict v);

/* Pairs against a margin, 0 <= margin < 1; `left` cases of the suite are not yet seen. */
stat_verdict stat_decide_pairs(stat_pairs seen, double margin, double alpha, uint64_t left);
/* One arm, k of n passed, against a bar, 0 < bar < 1. */
stat_verdict stat_decide_bar(uint64_t k, uint64_t n, double bar, double alpha, uint64_t left);
/* Graded differences: `better` holds the evidence against "too bad", `worse` that of the other direction (stat.h says
 * how to feed both); `best` is the largest value that can still be added to `better` (1 for differences, 0 for one arm
 * against a bar). */
stat_verdict stat_decide_wealth(const stat_wealth *better, const stat_wealth *worse, double best, double alpha,
                                uint64_t left);

/* ---- many candidates (model x quant) for one task ---- */
/* E-values: log E must reach log(m / alpha), so that the chance that any of m candidates is promoted wrongly is at most
 * alpha (Bonferroni for e-values; over tasks use stat_ebh, which asks for less). m >= 1. */
double stat_log_threshold(size_t m, double alpha);
/* p-values of fixed suites, adjusted: reject where adjusted <= alpha. Bonferroni: min(1, m p). Holm 1979, never larger:
 * max over i <= j of min(1, (m - i + 1) p_(i)), p sorted upwards. `adjusted` has m entries and is not p. */
void stat_bonferroni(const double *p, size_t m, double *adjusted);
void stat_holm(const double *p, size_t m, double *adjusted);

#endif
