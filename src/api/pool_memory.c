/* pool_memory.c: local models side by side within the budget.
 *
 * What a model needs its worker says before it loads anything: opening it in what is left either works or costs nothing
 * (E_NOFIT). Then idle ones go, one after another, and when there is none left, busy ones are waited for; but only if
 * it would fit alone. */
#include "api/pool_int.h"
#include "base/mem.h"
#include "plat/clock.h"

enum { WAIT_MS = 100, PATIENCE_S = 60, LEAST_BYTES = 1 << 20 };

static uint64_t left(const api *a)
{
    uint64_t used = a->closing_bytes;
    for (const pooled *p = a->pool; p; p = p->next)
        used += p->bytes;
    return used < a->options.memory_bytes ? a->options.memory_bytes - used : 0;
}

static pooled *longest_idle(const api *a)
{
    pooled *oldest = NULL;
    for (pooled *p = a->pool; p; p = p->next)
        if (p->local && p->state == POOLED_OPEN && !p->refs &&
            (!oldest || p->idle_since_us < oldest->idle_since_us))
            oldest = p;
    return oldest;
}

static bool any_busy(const api *a)
{
    bool busy = a->closing_bytes > 0;
    for (const pooled *p = a->pool; p; p = p->next)
        busy = busy || (p->local && p->state == POOLED_OPEN);
    return busy;
}

/* bytes 0: as much as there is. With the lock held, which is released meanwhile. */
static status try_open(api *a, pooled *p, uint64_t bytes, bool look, error *err)
{
    config own = *a->options.config;
    provider *opened = NULL;
    own.mem_bytes = bytes;
    own.parallel = a->options.parallel;
    own.look = look;
    own.keeps_snapshots = true;
    if (a->options.memory_bytes && bytes < LEAST_BYTES)
        return fail(err, E_NOFIT, "no memory is left of the budget of %llu MiB",
                    (unsigned long long)(a->options.memory_bytes >> 20));
    pthread_mutex_unlock(&a->lock);
    status s = provider_open(&opened, p->spec, &own, err);
    if (!s && look)
        provider_close(&opened);
    pthread_mutex_lock(&a->lock);
    if (s || look)
        return s;
    p->provider = opened;
    p->bytes = provider_get_info(opened)->budget_bytes;
    return OK;
}

static bool refuse_busy(api *a, const error *why, api_fault *f)
{
    double mean = 1;
    for (const pooled *p = a->pool; p; p = p->next)
        mean = p->mean_s > mean ? p->mean_s : mean;
    api_refuse(f, FAULT_BUSY, "model", "%s; the rest is taken by models that are answering: come back later",
               why->text);
    f->retry_after_s = mean;
    return false;
}

/* Makes room for p, or waits for it. False: there is none to be had. */
static bool make_room(api *a, pooled *p, bool *fits_alone, uint64_t until_us, error *err)
{
    if (!longest_idle(a) && !any_busy(a))
        return false;
    if (!*fits_alone && left(a) < a->options.memory_bytes) {
        error alone = { 0 };
        if (try_open(a, p, a->options.memory_bytes, true, &alone)) {
            *err = alone;
            return false;
        }
        *fits_alone = true;
    }
    pooled *idle = longest_idle(a);
    if (idle)
        api_pool_close(a, idle);
    else if (clock_mono_us() > until_us)
        return false;
    else
        api_pool_wait(a, WAIT_MS);
    return true;
}

static bool open_local(api *a, pooled *p, const http_request *r, api_fault *f)
{
    uint64_t until_us = clock_mono_us() + (uint64_t)PATIENCE_S * 1000000;
    bool fits_alone = false;
    error e = { 0 };
    status s;
    while ((s = try_open(a, p, left(a), false, &e)) == E_NOFIT && make_room(a, p, &fits_alone, until_us, &e))
        if (http_gone(r))
            return api_refuse(f, FAULT_INTERNAL, "", "the client has left");
    if (!s)
        return true;
    return s == E_NOFIT && fits_alone ? refuse_busy(a, &e, f) : api_refuse_status(f, "model", &e);
}

bool api_pool_open(api *a, pooled *p, const http_request *r, api_fault *f)
{
    error e = { 0 };
    if (!p->local) {
        pthread_mutex_unlock(&a->lock);
        status s = provider_open(&p->provider, p->spec, a->options.config, &e);
        pthread_mutex_lock(&a->lock);
        return !s || api_refuse_status(f, "model", &e);
    }
    while (a->opening)
        api_pool_wait(a, WAIT_MS);
    a->opening = true;
    bool ok = open_local(a, p, r, f);
    a->opening = false;
    return ok;
}
