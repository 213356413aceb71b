/* health.c: see the header. */
#include "provider/health.h"

#include <math.h>
#include <string.h>

static const double SECOND_US = 1e6;

void health_init(health *h, double share)
{
    memset(h, 0, sizeof *h);
    pthread_mutex_init(&h->lock, NULL);
    h->share = share;
    h->retries = share > 0 ? HEALTH_RETRIES : 0;
    h->open_us = (uint64_t)HEALTH_OPEN_S * 1000000;
    h->told.requests_left = h->told.tokens_left = h->told.usd_today = h->told.usd_month = NAN;
}

void health_clear(health *h)
{
    pthread_mutex_destroy(&h->lock);
}

void health_request(health *h)
{
    pthread_mutex_lock(&h->lock);
    h->retries = fmin(h->retries + h->share, HEALTH_RETRIES);
    pthread_mutex_unlock(&h->lock);
}

static double seconds_until(uint64_t then_us, uint64_t now_us)
{
    return then_us > now_us ? (double)(then_us - now_us) / SECOND_US : 0;
}

double health_enter(health *h, uint64_t now_us, bool *circuit)
{
    double wait = 0;
    pthread_mutex_lock(&h->lock);
    *circuit = false;
    if (h->circuit == CIRCUIT_OPEN && now_us >= h->open_until_us)
        h->circuit = CIRCUIT_HALF_OPEN;
    if (h->circuit == CIRCUIT_OPEN || (h->circuit == CIRCUIT_HALF_OPEN && h->probing)) {
        *circuit = true;
        wait = fmax(seconds_until(h->open_until_us, now_us), 1);
    } else {
        wait = seconds_until(h->limited_until_us, now_us);
    }
    if (wait <= 0) {
        h->probing = h->circuit == CIRCUIT_HALF_OPEN;
        h->told.sent++;
    }
    pthread_mutex_unlock(&h->lock);
    return wait;
}

static bool too_many_failed(const health *h, uint64_t now_us)
{
    size_t all = 0, bad = 0;
    for (size_t i = 0; i < h->n; i++) {
        if (now_us - h->window[i].at_us > (uint64_t)HEALTH_WINDOW_S * 1000000)
            continue;
        all++;
        bad += h->window[i].bad;
    }
    return all >= HEALTH_FEW && bad * 2 >= all;
}

static void open_circuit(health *h, uint64_t now_us)
{
    h->circuit = CIRCUIT_OPEN;
    h->open_until_us = now_us + h->open_us;
    h->open_us = h->open_us * 2 < (uint64_t)HEALTH_OPEN_MAX_S * 1000000 ? h->open_us * 2
                                                                       : (uint64_t)HEALTH_OPEN_MAX_S * 1000000;
}

/* The probe's result decides alone; what was before it is forgotten. */
static void end_probe(health *h, health_result result, uint64_t now_us)
{
    h->probing = false;
    if (result == HEALTH_UNKNOWN)
        return; /* the next request tries */
    if (result == HEALTH_BAD) {
        open_circuit(h, now_us);
        return;
    }
    h->circuit = CIRCUIT_CLOSED;
    h->open_us = (uint64_t)HEALTH_OPEN_S * 1000000;
    h->n = h->next = 0;
}

void health_leave(health *h, health_result result, uint64_t now_us)
{
    pthread_mutex_lock(&h->lock);
    h->told.failed += result == HEALTH_BAD;
    if (h->circuit == CIRCUIT_HALF_OPEN) {
        end_probe(h, result, now_us);
    } else if (result != HEALTH_UNKNOWN && h->circuit == CIRCUIT_CLOSED) {
        h->window[h->next].at_us = now_us;
        h->window[h->next].bad = result == HEALTH_BAD;
        h->next = (h->next + 1) % HEALTH_WINDOW;
        h->n += h->n < HEALTH_WINDOW;
        if (result == HEALTH_BAD && too_many_failed(h, now_us))
            open_circuit(h, now_us);
    }
    pthread_mutex_unlock(&h->lock);
}

void health_limits(health *h, double requests_left, double tokens_left, double wait_s, uint64_t now_us)
{
    pthread_mutex_lock(&h->lock);
    if (!isnan(requests_left))
        h->told.requests_left = requests_left;
    if (!isnan(tokens_left))
        h->told.tokens_left = tokens_left;
    uint64_t until = wait_s > 0 ? now_us + (uint64_t)(wait_s * SECOND_US) : 0;
    if (until > h->limited_until_us)
        h->limited_until_us = until;
    pthread_mutex_unlock(&h->lock);
}

bool health_retry(health *h)
{
    pthread_mutex_lock(&h->lock);
    bool may = h->retries >= 1;
    h->retries -= may;
    h->told.retried += may;
    pthread_mutex_unlock(&h->lock);
    return may;
}

void health_refused(health *h, bool circuit)
{
    pthread_mutex_lock(&h->lock);
    h->told.refused += circuit;
    h->told.limited += !circuit;
    pthread_mutex_unlock(&h->lock);
}

void health_tell(health *h, provider_health *out, uint64_t now_us)
{
    pthread_mutex_lock(&h->lock);
    *out = h->told;
    out->circuit = h->circuit;
    out->probe_s = h->circuit == CIRCUIT_OPEN ? seconds_until(h->open_until_us, now_us) : 0;
    out->limit_s = seconds_until(h->limited_until_us, now_us);
    pthread_mutex_unlock(&h->lock);
}
