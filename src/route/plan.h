/* plan.h: what should be measured again, and why. Reads the ledger, opens nothing, measures nothing. Owner thread.
 *
 * An offer is a provider that could answer a task today. What the ledger holds of it is compared with what is asked and
 * judged today, and with the weights that lie there today; nothing is taken on trust because it was true once. */
#ifndef ROUTE_PLAN_H
#define ROUTE_PLAN_H

#include "ledger/ledger.h"

struct task; /* task/task.h */

typedef struct plan_offer {
    const char *provider;
    const char *model_digest; /* of the weights now; "" where nobody can know (a server) */
} plan_offer;

typedef enum plan_reason {
    PLAN_CURRENT,    /* nothing to do */
    PLAN_NEW,        /* never measured on this task: it could cross over */
    PLAN_MODEL,      /* the model file changed */
    PLAN_STALE,      /* prompt, cases, graders or sampling changed */
    PLAN_INCOMPLETE, /* some cases have no answer */
    PLAN_ALARM,      /* a detector of its live answers alarmed since (ledger/watch.h) */
    PLAN_OLD,        /* the newest answer is older than was asked for: what a server serves may have changed */
    PLAN_REASONS,
} plan_reason;
const char *plan_reason_name(plan_reason r); /* "current", "new", "model", "stale", "incomplete", "alarm", "old" */

typedef struct plan_item {
    size_t offer;
    plan_reason reason;
    uint32_t n_cases, n_kept; /* that are measured; of them answered and graded as of today */
    int64_t measured_us;      /* the newest answer; 0: never */
    char why[256];            /* a sentence: "the model file changed (60 answers)" */
} plan_item;

/* items: one for each offer, in their order. Of weights that are known, answers made by others do not count. now_us and
 * max_age_us: older evidence of what has no digest is due; max_age_us 0: never. */
status plan_make(ledger *l, const struct task *t, const plan_offer *offers, size_t n, int64_t now_us,
                 int64_t max_age_us, plan_item *items, error *err) MUST_CHECK;

#endif
