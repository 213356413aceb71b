/* health.h: how a server does: a circuit breaker, a budget of retries, and its rate limits. Pure apart from its lock:
 * the caller says what time it is (monotonic microseconds). Any thread.
 *
 * Circuit (Nygard, "Release It!"): of the attempts of the last HEALTH_WINDOW_S seconds, at most HEALTH_WINDOW, at least
 * HEALTH_FEW must be there and half of them have failed, then it opens. After HEALTH_OPEN_S one request may try; if
 * that fails too, it stays open for twice as long, up to HEALTH_OPEN_MAX_S.
 * Retries: a bucket of HEALTH_RETRIES, full at first; each request adds `share`, each retry takes one. So an outage is
 * asked little more than its share more often, whatever each request would like. */
#ifndef PROVIDER_HEALTH_H
#define PROVIDER_HEALTH_H

#include <pthread.h>

#include "provider/provider.h"

enum { HEALTH_WINDOW = 20, HEALTH_WINDOW_S = 60, HEALTH_FEW = 5, HEALTH_OPEN_S = 5, HEALTH_OPEN_MAX_S = 300,
       HEALTH_RETRIES = 10 };

typedef enum health_result {
    HEALTH_GOOD,    /* an answer, or a refusal that is the request's own fault */
    HEALTH_BAD,     /* unreachable, too late, 5xx, garbage */
    HEALTH_UNKNOWN, /* cancelled, or it never left */
} health_result;

typedef struct health {
    pthread_mutex_t lock;
    struct {
        uint64_t at_us;
        bool bad;
    } window[HEALTH_WINDOW];
    size_t n, next;
    provider_circuit circuit;
    bool probing;
    uint64_t open_until_us, open_us; /* open_us: how long it stays open the next time */
    uint64_t limited_until_us;
    double share, retries;           /* what the bucket holds */
    provider_health told;            /* counters, requests_left, tokens_left */
} health;

void health_init(health *h, double share);
void health_clear(health *h);

/* A request begins: the bucket of retries grows. */
void health_request(health *h);
/* May an attempt go now? 0: yes, and health_leave must follow. Else seconds until it may: *circuit says whether the
 * circuit is open (then it is refused), or a rate limit used up (then it may wait). */
double health_enter(health *h, uint64_t now_us, bool *circuit);
void health_leave(health *h, health_result result, uint64_t now_us);
/* What a server told about its limits (NAN: nothing); wait_s > 0: no attempt goes until then. */
void health_limits(health *h, double requests_left, double tokens_left, double wait_s, uint64_t now_us);
/* One more attempt of a request: false when the bucket is empty. */
bool health_retry(health *h);
/* A request that was refused without being sent. */
void health_refused(health *h, bool circuit);
void health_tell(health *h, provider_health *out, uint64_t now_us);

#endif
