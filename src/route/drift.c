#include "route/drift.h"

#include <math.h>

#include "base/status.h"

const char *drift_phase_name(drift_phase p)
{
    static const char *const names[] = { "healthy", "suspect", "back" };
    return names[(unsigned)p < ARRAY_LEN(names) ? p : DRIFT_HEALTHY];
}

static void enter(drift_state *s, drift_phase phase, int64_t at_us)
{
    s->phase = phase;
    s->changed_us = at_us;
    s->n = s->n_failures = 0;
    s->sum = 0;
    stat_drift_init(&s->sr, s->rules.margin);
    stat_wealth_init(&s->better, s->rules.margin);
    stat_wealth_init(&s->worse, -s->rules.margin);
}

void drift_init(drift_state *s, const drift_rules *rules)
{
    *s = (drift_state){ .rules = *rules };
    enter(s, DRIFT_HEALTHY, 0);
}

static double held(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static void watch_healthy(drift_state *s, double d, int64_t at_us)
{
    stat_drift_add(&s->sr, d);
    if (!stat_drift_alarm(&s->sr, s->rules.level))
        return;
    s->n_alarms++;
    s->alarm_value = stat_drift_value(&s->sr);
    s->alarm_n = s->n;
    s->alarm_us = at_us;
    enter(s, DRIFT_SUSPECT, at_us);
}

static void watch_suspect(drift_state *s, double d, double d_low, int64_t at_us)
{
    stat_wealth_add(&s->better, d);
    stat_wealth_add(&s->worse, -d_low);
    if (stat_wealth_log(&s->worse) >= -log(s->rules.alpha_back))
        enter(s, DRIFT_BACK, at_us);
    else if (stat_wealth_log(&s->better) >= -log(s->rules.alpha))
        enter(s, DRIFT_HEALTHY, at_us);
}

void drift_add(drift_state *s, const drift_row *row)
{
    if (row->local_failed && s->phase == DRIFT_SUSPECT && ++s->n_failures >= s->rules.failures)
        enter(s, DRIFT_BACK, row->at_us);
    if (isnan(row->value) || isnan(row->base) || isnan(row->base_low) || s->phase == DRIFT_BACK)
        return;
    double d = held(row->value - row->base, -1, 1), d_low = held(row->value - row->base_low, -1, 1);
    s->n++;
    s->n_all++;
    s->sum += d;
    if (s->phase == DRIFT_HEALTHY)
        watch_healthy(s, d, row->at_us);
    else
        watch_suspect(s, d, d_low, row->at_us);
}

double drift_log_worse(const drift_state *s)
{
    return s->phase == DRIFT_SUSPECT ? stat_wealth_log(&s->worse) : 0;
}

double drift_log_better(const drift_state *s)
{
    return s->phase == DRIFT_SUSPECT ? stat_wealth_log(&s->better) : 0;
}
