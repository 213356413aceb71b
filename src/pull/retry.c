/* retry.c: when a failed request is made again: full jitter (Brooker, "Exponential Backoff And Jitter"), after what the
 * server asked for, if it did. */
#include <math.h>
#include <stdio.h>

#include "plat/clock.h"
#include "plat/random.h"
#include "pull/get_int.h"

enum { TRIES = 8, BACKOFF_MS = 500, BACKOFF_MOST = 60 };

static double backoff_s(const getter *g, unsigned failures)
{
    uint32_t random = 0;
    error ignored;
    if (random_bytes(&random, sizeof random, &ignored))
        random = UINT32_MAX / 2;
    double first = (g->o.backoff_ms ? g->o.backoff_ms : BACKOFF_MS) / 1000.0;
    double most = fmin(first * ldexp(1, (int)failures), first * BACKOFF_MOST);
    return most * (0.5 + 0.5 * (double)random / UINT32_MAX);
}

status retry_failed(retry *r, const getter *g, const wire_result *why, char *note, size_t room, error *err)
{
    unsigned tries = g->o.tries ? g->o.tries : TRIES;
    if (!why->again)
        return fail(err, why->err.code, "%s", why->err.text);
    if (why->unreachable && !g->reached && r->failures + 1 >= RETRY_OFFLINE_TRIES)
        return fail(err, E_PROVIDER, "%s: this machine seems to be offline; models that are already here keep working",
                    why->err.text);
    if (r->failures + 1 >= tries)
        return fail(err, why->err.code, "%s (after %u tries)", why->err.text, tries);
    if (why->retry_after_s > RETRY_AFTER_MAX_S)
        return fail(err, E_PROVIDER, "%s: it asks to be left alone for %.0f s: try again then", why->err.text,
                    why->retry_after_s);
    double wait = why->retry_after_s + backoff_s(g, r->failures);
    r->failures++;
    r->until_us = clock_mono_us() + (uint64_t)(wait * 1e6);
    snprintf(note, room, "%s: again in %.1f s", why->err.text, wait);
    return OK;
}
