/* stat_int.h: what the files of this folder share. */
#ifndef STAT_STAT_INT_H
#define STAT_STAT_INT_H

#include "stat/stat.h"

/* c_g = .98 (g + 1/2) / 24, the bets of every e-process here. */
static inline double stat_bet(int g)
{
    return 0.98 * (g + 0.5) / STAT_BETS;
}

/* log of the mean of exp(x). */
double stat_log_mean(const double x[STAT_BETS]);

/* A number of [0, 1] with its standard error: the normal interval on the scale of log(v / (1 - v)), which stays inside.
 * 0 < value < 1. */
stat_interval stat_logit_interval(stat_estimate e, double confidence);

#endif
