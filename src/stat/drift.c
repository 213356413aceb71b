/* drift.c: the e-SR drift detector. Formulas and source: drift.h. */
#include "stat/drift.h"

#include <assert.h>
#include <math.h>

#include "stat/stat_int.h"

/* Far beyond any level, and two more steps still fit a double. */
static const double MOST = 1e300;

void stat_drift_init(stat_drift *s, double margin)
{
    assert(margin > -1 && margin < 1);
    s->margin = margin;
    for (int g = 0; g < STAT_BETS; g++)
        s->r[g] = 0;
}

void stat_drift_add(stat_drift *s, double d)
{
    assert(d >= -1 && d <= 1);
    double step = (d + s->margin) / (1 + s->margin);
    for (int g = 0; g < STAT_BETS; g++)
        s->r[g] = fmin(MOST, (s->r[g] + 1) * (1 - stat_bet(g) * step));
}

double stat_drift_value(const stat_drift *s)
{
    double sum = 0;
    for (int g = 0; g < STAT_BETS; g++)
        sum += s->r[g];
    return sum / STAT_BETS;
}

bool stat_drift_alarm(const stat_drift *s, double level)
{
    assert(level > 1);
    return stat_drift_value(s) >= level;
}
