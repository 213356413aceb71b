/* lanes.h: several processes of one kind of helper, each with one call at a time: egress keeps one connection and its
 * deadlines. They are started when they are first needed, and again when they ended. Any thread. */
#ifndef PROVIDER_LANES_H
#define PROVIDER_LANES_H

#include "provider/provider_int.h"

enum { LANES_MAX = PROVIDER_CALLS_MAX };

typedef struct lane {
    helper helper;
    bool taken;
    bool ready; /* it is open, and no other thread starts or ends it */
} lane;

typedef struct lanes {
    lane of[LANES_MAX];
    const js *settings; /* of OPEN; borrowed */
    pthread_mutex_t lock;
    pthread_cond_t given;
} lanes;

void lanes_init(lanes *l, const char *program, const char *const *keep);
void lanes_clear(lanes *l);
/* A helper that runs and is open; waits while all are taken. The caller's until lanes_give, also after an error. */
status lanes_take(lanes *l, helper **out, error *err) MUST_CHECK;
void lanes_give(lanes *l, helper *h);
/* Calls fn for each process that is open; busy ones take no further call. */
void lanes_each(lanes *l, helper_fn *fn, void *user);
/* The process of the first that runs; 0: none. */
int lanes_process(lanes *l);

#endif
