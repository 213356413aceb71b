/* money.h: what an answer costs, with an interval, and from how many answers a month on the local one is cheaper. Pure
 * functions of their arguments (they allocate for the resamples); any thread.
 *
 * Means and intervals: the cluster bootstrap of stat/graded.h, percentile, MONEY_RESAMPLES resamples with a fixed seed,
 * so that the same answers give the same figures. Good from 20 clusters on; of one cluster there is no interval. It
 * says how far the mean of other cases like these might lie; that a price changes, or that tomorrow's requests are
 * longer, is not in it. */
#ifndef MEASURE_MONEY_H
#define MEASURE_MONEY_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { MONEY_RESAMPLES = 4000 };

/* A mean per answer; NAN where it is not known. */
typedef struct money_figure {
    double mean, low, high; /* low and high NAN: too few clusters */
    size_t n;               /* answers behind it */
} money_figure;

/* Of x[0 … n-1], leaving out NAN. unit: the cluster of each, ascending (equal ones together). n = 0 is not known. */
status money_mean(const double *x, const uint32_t *unit, size_t n, double confidence, money_figure *out,
                  error *err) MUST_CHECK;
/* Of minuend - subtrahend, item by item, where both are known. */
status money_difference(const double *minuend, const double *subtrahend, const uint32_t *unit, size_t n,
                        double confidence, money_figure *out, error *err) MUST_CHECK;

/* Watts for so many seconds: joules. 3.6 MJ are a kWh. */
double money_joules_usd(double joules, double usd_per_kwh);

typedef enum money_when {
    MONEY_UNKNOWN, /* what an answer saves is not known */
    MONEY_ALREADY, /* it saves something and nothing is paid by the month */
    MONEY_NEVER,   /* the local answer is not cheaper, however many there are */
    MONEY_FROM,    /* from `answers` a month on */
} money_when;

typedef struct money_break_even {
    money_when when;
    double answers;   /* a month; FROM only, else NAN */
    double low, high; /* FROM: its interval, high INFINITY where never is not excluded. NEVER: low is finite where a
                         saving is not excluded. NAN: not known */
} money_break_even;

/* usd_per_month / saving, saving = the cloud's answer - the local one's. The interval is the saving's, turned: the
 * more is saved, the fewer are needed. usd_per_month >= 0. */
money_break_even money_breaks_even(double usd_per_month, const money_figure *saving);

#endif
