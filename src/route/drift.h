/* drift.h: what the stored shadows of a route say of it: healthy, suspect, or shown to be worse. Pure: the state is
 * computed anew from the rows in the order in which they were stored, and nothing else is kept anywhere.
 *
 * D_t = value - base, local minus cloud; margin is the task's (delta):
 *   graded     value = pass of local - pass of cloud, both judged by the task's graders; base = base_low = 0
 *   agreement  value = 1 where both answers say the same under the task's graders, else 0; base = the rate of that on
 *              the suite, base_low its lower 95 % bound (Clopper-Pearson)
 *
 *   HEALTHY  e-SR (stat/drift.h) on D_t. Null: E[D_t | past] >= -margin. Alarm at R >= level: at the worst healthy
 *            route after `level` shadows on average or later.                               alarm -> SUSPECT
 *   SUSPECT  two e-processes on the rows after the alarm, and failures of the local side since then:
 *            log E >= -log alpha_back against "E[value - base_low] >= -margin"              -> BACK
 *            `failures` hard failures                                                       -> BACK
 *            log E >= -log alpha against "E[D] <= -margin": fresh evidence that it is well  -> HEALTHY, e-SR anew
 *   BACK     stays: only another basis (other model, prompt, graders, cases: route/watch.h) begins anew.
 * A wrong BACK has at most the probability alpha_back an episode, a wrong return at most alpha, however long one looks.
 * A row without a value (the cloud did not answer) moves nothing. */
#ifndef ROUTE_DRIFT_H
#define ROUTE_DRIFT_H

#include <stdbool.h>
#include <stdint.h>

#include "stat/drift.h"

typedef enum drift_phase { DRIFT_HEALTHY, DRIFT_SUSPECT, DRIFT_BACK } drift_phase;
const char *drift_phase_name(drift_phase p); /* "healthy", "suspect", "back" */

#define DRIFT_LEVEL 1000.0
#define DRIFT_ALPHA 0.05
#define DRIFT_ALPHA_BACK 0.01
enum { DRIFT_FAILURES = 3 };

typedef struct drift_rules {
    double margin;     /* 0 < margin < 1 */
    double level;      /* > 1: the least mean number of shadows to a false alarm */
    double alpha, alpha_back; /* in (0, 1) */
    uint32_t failures; /* of the local side, while suspect */
} drift_rules;

typedef struct drift_row {
    int64_t at_us;
    double value;      /* NAN: nothing was compared */
    double base, base_low;
    bool local_failed;
} drift_row;

/* Zero is a healthy route of which nothing was seen; drift_init sets the rules. */
typedef struct drift_state {
    drift_phase phase;
    drift_rules rules;
    stat_drift sr;
    stat_wealth better, worse; /* SUSPECT: since the alarm */
    uint32_t n;         /* compared since this phase began */
    uint32_t n_all, n_alarms, n_failures; /* failures: while suspect */
    double sum;         /* of D over the n of this phase */
    double alarm_value; /* R at the newest alarm */
    uint32_t alarm_n;   /* compared until it, since the detector began */
    int64_t alarm_us, changed_us; /* 0: never */
} drift_state;

void drift_init(drift_state *s, const drift_rules *rules);
/* The next row. Values outside [-1, 1] are held there: a file that was imported may say anything. */
void drift_add(drift_state *s, const drift_row *row);
/* SUSPECT: log E of "worse" and of "well"; 0 in other phases. */
double drift_log_worse(const drift_state *s);
double drift_log_better(const drift_state *s);

#endif
