/* policy.h: what the router is told besides the task folders: policy.yaml, kept in versions in the ledger
 * (ledger/watch.h); the newest version is in force. Owner thread; a policy is not changed once read.
 *
 *   hearth: 1
 *   changes: propose          # or apply: what crosses over to this machine waits for `hearth reassess --apply`, or not
 *   alpha: 0.05               # of a wrong crossing, at each decision
 *   shadow: {rate: 0.05, usd_per_day: 0.50}        # share of local answers that are also asked elsewhere; default 0
 *   drift: {level: 1000, alpha_back: 0.01, failures: 3}
 *   reassess: {usd: 1, minutes: 60, days: 90}      # what one `hearth reassess --measure` may take; age of a server
 *   tasks:
 *     ticket-class: {changes: apply, route: local, shadow_rate: 0.2}     # route: evidence, local, cloud or refuse
 *
 * Nothing here says what class a request has: no policy can let a request go farther than its class does. */
#ifndef ROUTE_POLICY_H
#define ROUTE_POLICY_H

#include <stddef.h>

#include "base/privacy_class.h"
#include "base/status.h"
#include "route/rules.h"

enum { POLICY_TASKS_MAX = 1024 };

typedef struct policy_task {
    const char *id;
    int line;            /* of the file */
    int propose;         /* 0, 1; -1: as the policy says */
    route_pin pin;
    double shadow_rate;  /* NAN: as the policy says */
} policy_task;

typedef struct policy {
    const char *name;    /* the file's, for errors */
    bool propose;
    double alpha;
    double shadow_rate, shadow_usd_per_day;
    uint64_t shadow_seed; /* 0: chance; for experiments that are to be repeated */
    drift_rules drift;   /* but for margin */
    double reassess_usd, reassess_minutes, reassess_days; /* NAN: not said */
    policy_task *tasks;
    size_t n_tasks;
    struct arena *memory;
} policy;

/* name stands for the path in errors, which read "policy.yaml:7: ...". Unknown keys name the nearest known one. */
status policy_parse(policy **out, const char *text, size_t n, const char *name, error *err) MUST_CHECK;
void policy_close(policy **p);

/* NULL: it says nothing of this task. */
const policy_task *policy_find(const policy *p, const char *task);
/* E_DENIED: what it says of a task contradicts the class of the task. */
status policy_check(const policy *p, const policy_task *of, privacy_class task_class, error *err) MUST_CHECK;
/* What holds for a task; number is the version's. */
void policy_rules(const policy *p, const char *task, int64_t number, route_rules *out);
/* The share of its local answers that are shadowed while the route is healthy. */
double policy_shadow_rate(const policy *p, const char *task);

struct ledger; /* ledger/ledger.h */
/* The policy in force; *out NULL and *number 0 when none was ever set. A stored one that cannot be read is an error. */
status policy_open(policy **out, int64_t *number, struct ledger *l, error *err) MUST_CHECK;

#endif
