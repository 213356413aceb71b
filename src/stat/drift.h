/* drift.h: has a route that was good become bad? An e-detector of Shiryaev and Roberts' kind (Shin, Ramdas and Rinaldo
 * 2024), averaged over the 24 bets of stat.h. Pure functions of the caller's state: one thread at a time per state.
 *
 * Healthy means E[D_t | past] >= -margin, D = local - cloud in [-1, 1]. With the bets lambda_g = c_g / (1 + margin),
 * g = 0 … 23:
 *   R_0,g = 0,  R_t,g = (R_t-1,g + 1) (1 - lambda_g (D_t + margin)),  R_t = mean over g of R_t,g
 * R_t - t is a supermartingale while healthy, so an alarm at R >= level comes after `level` observations on average or
 * later, even at the worst healthy Delta = -margin, and within t observations with probability <= t / level.
 * After an alarm begin anew with stat_drift_init. The order of observations matters: states do not add up.
 *
 * A rate that must stay under p (malformed answers, refusals, retries; x in [0, 1]): init with p, and add -x. */
#ifndef STAT_DRIFT_H
#define STAT_DRIFT_H

#include <stdbool.h>

#include "stat/stat.h"

typedef struct stat_drift {
    double margin;
    double r[STAT_BETS]; /* >= 0, held at 1e300 */
} stat_drift;

/* -1 < margin < 1 */
void stat_drift_init(stat_drift *s, double margin);
/* One shadowed answer: d = score of local - score of cloud; -1, 0 or 1 for a binary pair. Anything outside [-1, 1]
 * asserts. */
void stat_drift_add(stat_drift *s, double d);
/* R_t; 0 before the first observation. */
double stat_drift_value(const stat_drift *s);
/* R_t >= level; level > 1, the least mean time to a false alarm. */
bool stat_drift_alarm(const stat_drift *s, double level);

#endif
