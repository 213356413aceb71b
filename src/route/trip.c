#include "route/trip.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "task/task.h"

static const double TAIL = 0.05, TAIL_CAP = 0.15;

const char *trip_name(trip_kind k)
{
    static const char *const names[TRIPS] = { "malformed", "log-probability", "length" };
    return names[(unsigned)k < TRIPS ? k : TRIP_MALFORMED];
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Nearest rank; NAN of too few. */
static double quantile(double *x, size_t n, double share)
{
    if (n < TRIP_ANSWERS_MIN)
        return NAN;
    qsort(x, n, sizeof *x, by_size);
    size_t at = (size_t)ceil(share * (double)n);
    return x[at ? at - 1 : 0];
}

static status read_quantiles(trip_state *t, const ledger_rows *rows, error *err)
{
    double *sure = mem_array(rows->n + 1, sizeof *sure), *size = mem_array(rows->n + 1, sizeof *size);
    size_t n_sure = 0, n_size = 0;
    status s = sure && size ? OK : fail(err, E_NOMEM, "no memory for %zu answers", rows->n);
    for (size_t i = 0; !s && i < rows->n; i++) {
        if (!isnan(rows->rows[i].mean_logprob))
            sure[n_sure++] = rows->rows[i].mean_logprob;
        if (rows->rows[i].n_output >= 0)
            size[n_size++] = (double)rows->rows[i].n_output;
    }
    if (!s) {
        double most = quantile(size, n_size, 1 - TAIL);
        t->least_logprob = quantile(sure, n_sure, TAIL);
        t->most_output = isnan(most) ? 0 : (int64_t)most;
        t->on[TRIP_LOGPROB] = !isnan(t->least_logprob);
        t->on[TRIP_LENGTH] = !isnan(most);
    }
    mem_free(sure);
    mem_free(size);
    return s;
}

status trip_init(trip_state *t, ledger *l, const struct task *of, const char *evidence, error *err)
{
    double cap = of->limits.malformed;
    ledger_rows rows = { 0 };
    *t = (trip_state){ .least_logprob = NAN };
    status s = ledger_find_answers(l, of->id, evidence, &rows, err);
    if (!s)
        s = read_quantiles(t, &rows, err);
    ledger_rows_close(&rows);
    t->on[TRIP_MALFORMED] = cap > 0 && cap < 1;
    t->cap[TRIP_MALFORMED] = t->on[TRIP_MALFORMED] ? cap : TAIL_CAP;
    t->cap[TRIP_LOGPROB] = t->cap[TRIP_LENGTH] = TAIL_CAP;
    for (int k = 0; k < TRIPS; k++)
        stat_drift_init(&t->detector[k], t->cap[k]);
    return s;
}

size_t trip_add(trip_state *t, const trip_answer *a, double level, trip_alarm *alarms)
{
    const bool seen[TRIPS] = { t->on[TRIP_MALFORMED] && a->known, t->on[TRIP_LOGPROB] && !isnan(a->mean_logprob),
                               t->on[TRIP_LENGTH] && a->n_output >= 0 };
    const bool off[TRIPS] = { a->malformed, a->mean_logprob < t->least_logprob, a->n_output > t->most_output };
    size_t n = 0;
    for (int k = 0; k < TRIPS; k++) {
        if (!seen[k])
            continue;
        t->n[k]++;
        stat_drift_add(&t->detector[k], off[k] ? -1 : 0);
        if (!stat_drift_alarm(&t->detector[k], level))
            continue;
        alarms[n++] = (trip_alarm){ (trip_kind)k, stat_drift_value(&t->detector[k]), t->n[k] };
        stat_drift_init(&t->detector[k], t->cap[k]);
        t->n[k] = 0;
    }
    return n;
}
