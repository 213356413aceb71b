/* shadow_int.h: what the files of shadow share. All but the queue belongs to the thread. */
#ifndef API_SHADOW_INT_H
#define API_SHADOW_INT_H

#include <stdatomic.h>

#include "api/shadow.h"
#include "ledger/watch.h"
#include "provider/budget.h"
#include "route/agree.h"
#include "route/policy.h"
#include "route/trip.h"

/* One answer that was given; owned by the queue, then by the thread. */
typedef struct shadow_job {
    struct shadow_job *next;
    char task[72];
    char evidence[DIGEST_HEX]; /* of the side that answered */
    route_state state;
    privacy_class privacy;     /* of the request: the highest of all that it is made of */
    js *input;                 /* the task's variables */
    char *text;                /* the answer */
    char fault[32];            /* "": it is whole */
    double mean_logprob;
    int64_t n_output;
} shadow_job;

/* The bases of comparison that are known: measured once each. */
typedef struct shadow_base {
    char basis[DIGEST_HEX];
    status known;              /* OK, or E_UNSUPPORTED: it cannot be compared */
    agree_base base;
} shadow_base;
enum { SHADOW_BASES_MAX = 32, SHADOW_TRIPS_MAX = 64 };

/* The tripwires of one task. */
typedef struct shadow_trip {
    char task[72], evidence[DIGEST_HEX];
    trip_state state;
    uint64_t raised_until_us;  /* monotonic: the rate is raised so long */
} shadow_trip;

struct shadow {
    api *a;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;      /* of the queue */
    pthread_cond_t filled;
    shadow_job *first, **end;
    size_t n;
    _Atomic bool on, ending;

    /* the thread's */
    ledger *l;                 /* NULL: there is none yet */
    policy *told;
    int64_t number;
    budget *spent;
    uint64_t seed, counter;
    shadow_base bases[SHADOW_BASES_MAX];
    size_t n_bases;
    shadow_trip trips[SHADOW_TRIPS_MAX];
    size_t n_trips;
};

/* A task with its facts of this moment, as requests have them; `in` is this one's own. */
typedef struct shadow_facts {
    facts *facts;
    const facts_sheet *sheet; /* held */
    const task *t;            /* the sheet's */
    route_input in;
    char basis[DIGEST_HEX];
} shadow_facts;
status shadow_facts_open(shadow *s, const shadow_job *j, shadow_facts **out, error *err) MUST_CHECK;
void shadow_facts_close(shadow_facts **f);

/* shadow_ask.c: asks the cloud, compares, stores; E_UNSUPPORTED and E_DENIED: nothing was to be done. */
status shadow_ask(shadow *s, const shadow_job *j, error *err) MUST_CHECK;
/* Stores a failure of the local side. */
status shadow_failed(shadow *s, const shadow_job *j, error *err) MUST_CHECK;

/* shadow_trip.c: looks at the answer itself. *raised: the rate is raised now. */
status shadow_trip_look(shadow *s, const shadow_job *j, bool *raised, error *err) MUST_CHECK;

#endif
