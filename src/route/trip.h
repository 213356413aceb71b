/* trip.h: what answers say of themselves, without anybody to compare with. Each of these is a share that must stay
 * under a cap, watched by e-SR (stat/drift.h):
 *   malformed        under the task's own limit of malformed answers; not watched without one
 *   log-probability  answers less sure (mean per token) than 95 % of the suite's: under 15 %
 *   length           answers with more tokens than 95 % of the suite's: under 15 %
 * The quantiles are estimates from at least TRIP_ANSWERS_MIN answers, which the distance from 5 to 15 % allows for. An
 * alarm is a reason to look, never one to change a route: it says that answers are other ones, not that they are worse.
 * State of the caller's: one thread at a time. */
#ifndef ROUTE_TRIP_H
#define ROUTE_TRIP_H

#include "ledger/ledger.h"
#include "stat/drift.h"

struct task;

enum { TRIP_ANSWERS_MIN = 40 };

typedef enum trip_kind { TRIP_MALFORMED, TRIP_LOGPROB, TRIP_LENGTH, TRIPS } trip_kind;
const char *trip_name(trip_kind k); /* "malformed", "log-probability", "length": ledger_alarm's words */

typedef struct trip_state {
    bool on[TRIPS];
    double cap[TRIPS];
    stat_drift detector[TRIPS];
    uint64_t n[TRIPS];         /* answers since it began */
    double least_logprob;
    int64_t most_output;
} trip_state;

/* From the task's limits and its answers under this evidence. */
status trip_init(trip_state *t, ledger *l, const struct task *of, const char *evidence, error *err) MUST_CHECK;

typedef struct trip_answer {
    bool known, malformed;     /* known: whether it is malformed is */
    double mean_logprob;       /* NAN: not known */
    int64_t n_output;          /* -1: not known */
} trip_answer;
typedef struct trip_alarm {
    trip_kind kind;
    double value;
    uint64_t n;
} trip_alarm;
/* One more answer. alarms (TRIPS): those that it sets off; their detectors begin anew. Returns how many. */
size_t trip_add(trip_state *t, const trip_answer *a, double level, trip_alarm *alarms);

#endif
