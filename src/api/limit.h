/* limit.h: how often, and how many at once. Arithmetic alone: no clock, no threads; the caller holds a lock and says
 * what time it is.
 *
 * A token bucket: `burst` requests at once from a full one, then `per_second` for ever:
 *   tokens = min(burst, tokens + (now - at) * per_second), and a request takes one. */
#ifndef API_LIMIT_H
#define API_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct limit_rule {
    double per_second;    /* 0: as often as one likes */
    double burst;         /* at least 1 where per_second is set */
    unsigned concurrency; /* 0: as many as one likes */
} limit_rule;

/* What has been used. Zero: nothing yet, a full bucket. It outlives its rule: a new rule goes on with the old use. */
typedef struct limit {
    bool begun;
    double tokens;
    uint64_t at_us;   /* when `tokens` was right; monotonic */
    unsigned running;
} limit;

typedef enum limit_answer { LIMIT_GO, LIMIT_TOO_OFTEN, LIMIT_TOO_MANY } limit_answer;

/* LIMIT_GO: one runs more, until limit_leave. Else nothing was taken, and *wait_s says when to ask again: when a token
 * will be there, or (TOO_MANY: nobody knows) 1. */
limit_answer limit_enter(limit *l, const limit_rule *rule, uint64_t now_us, double *wait_s);
void limit_leave(limit *l);

#endif
