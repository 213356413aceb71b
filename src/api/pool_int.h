/* pool_int.h: what the parts of the pool share. All fields are under the api's lock. */
#ifndef API_POOL_INT_H
#define API_POOL_INT_H

#include "api/api_int.h"
#include "api/queue.h"

typedef enum pooled_state { POOLED_OPENING, POOLED_OPEN, POOLED_FAILED } pooled_state;

struct pooled {
    pooled *next;
    char *spec, *key;      /* as it was asked for first; provider_key */
    provider *provider;    /* OPEN */
    pooled_state state;
    api_fault fault;       /* FAILED: no longer in the list; whoever waits for it is told this */
    bool local;
    bool leaving;          /* closed when the last has given: takes nobody */
    unsigned refs;         /* who waits or is answered */
    unsigned users;        /* who is answered */
    uint64_t bytes;        /* local: what it took of the budget */
    queue waiting;
    double mean_s;         /* of a service */
    uint64_t idle_since_us;
    double keep_s;         /* negative: for ever */
};

/* ---- pool.c ---- */

/* Takes p out of the list and closes it, the lock released meanwhile. Nobody uses it. */
void api_pool_close(api *a, pooled *p);
pooled *api_pool_find(const api *a, const char *spec, const char *key);
/* Waits for a change, at most ms. */
void api_pool_wait(api *a, int ms);

/* ---- pool_memory.c ---- */

/* Opens p->spec, the lock released meanwhile, into p->provider and p->bytes. gone(user) ends the waiting for memory. */
bool api_pool_open(api *a, pooled *p, const http_request *r, api_fault *f);

/* ---- pool_idle.c ---- */

/* The thread that closes what has been idle for its time. */
status api_pool_reap(api *a, error *err) MUST_CHECK;

#endif
