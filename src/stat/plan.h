/* plan.h: what a paired suite can and cannot prove, before it is run. Pure functions; no allocation; any thread.
 *
 * psi is the share of items on which the arms differ (stat.h). Before anything is measured it is unknown;
 * STAT_PSI_UNKNOWN is the median over 58 public tasks answered by a small and a large model. */
#ifndef STAT_PLAN_H
#define STAT_PLAN_H

#include "stat/stat.h"

#define STAT_PSI_UNKNOWN 0.19

/* Exact probability that Tango's test of n pairs proves Delta > -margin at alpha, when the arms differ on a share psi
 * of the items and Delta = difference, |difference| <= psi <= 1. Summed over all outcomes:
 *   sum over m of P(Bin(n, psi) = m) P(Bin(m, (1 + difference / psi) / 2) >= w_m),
 * w_m the least w whose T(-margin) exceeds z(1-alpha) with m discordant pairs (T grows with w). At difference = -margin
 * this is the true size of the test, which is near alpha but not always under it. About n log n steps. */
double stat_tango_power(uint64_t n, double psi, double difference, double margin, double alpha);
/* The number of pairs that decides: power(n) >= power > power(n - 1), found by bisection (the exact power is a saw with
 * small teeth, so n + 1 may lie a little below again). 0 when a million pairs are not enough. */
uint64_t stat_tango_sample_size(double psi, double difference, double margin, double alpha, double power);

/* The least number of pairs, all ties, by which the watched e-process promotes at alpha: 90 for margin .05, 44 for .10
 * (alpha .05). 0 < margin < 1. */
uint64_t stat_eprocess_least(double margin, double alpha);

/* Writes "60 cases prove ±14 points, no less" (stat_resolution at alpha and power; UTF-8, ended by a null, cut to size
 * as snprintf does) and returns its whole length. psi < 0: unknown, STAT_PSI_UNKNOWN is taken and said. Points under 10
 * have one decimal. */
int stat_say_resolution(char *out, size_t size, uint64_t n, double psi, double alpha, double power);
/* The same for one arm against a bar when it passes at this rate: "60 cases prove a bar 10 points below a rate of 90 %,
 * no closer". */
int stat_say_resolution_rate(char *out, size_t size, uint64_t n, double rate, double alpha, double power);

#endif
