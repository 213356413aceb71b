/* pool_idle.c: what is open, for how long, and who ends it. */
#include <errno.h>
#include <string.h>

#include "api/pool_int.h"
#include "plat/clock.h"

enum { TICK_MS = 1000 };

static bool is_idle(const pooled *p)
{
    return p->state == POOLED_OPEN && !p->refs;
}

static double idle_s(const pooled *p)
{
    return (double)(clock_mono_us() - p->idle_since_us) * 1e-6;
}

static pooled *next_due(const api *a)
{
    for (pooled *p = a->pool; p; p = p->next)
        if (is_idle(p) && p->keep_s >= 0 && idle_s(p) >= p->keep_s)
            return p;
    return NULL;
}

static void *reap(void *user)
{
    api *a = user;
    pthread_mutex_lock(&a->lock);
    while (!a->ending) {
        pooled *p = next_due(a);
        if (p)
            api_pool_close(a, p);
        else
            api_pool_wait(a, TICK_MS);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

status api_pool_reap(api *a, error *err)
{
    int e = pthread_create(&a->reaper, NULL, reap, a);
    if (e)
        return fail(err, E_IO, "no thread to close idle models: %s", strerror(e));
    a->reaping = true;
    return OK;
}

void api_keep(api *a, const char *spec, double seconds)
{
    pthread_mutex_lock(&a->lock);
    pooled *p = api_pool_find(a, spec, NULL);
    if (p) {
        p->keep_s = seconds;
        pthread_cond_broadcast(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
}

/* The next open one of this file that stays; p NULL: from the first on. */
static pooled *find_file(const api *a, const char *file, bool leaving)
{
    for (pooled *p = a->pool; p; p = p->next)
        if (p->local && p->state == POOLED_OPEN && p->leaving == leaving &&
            strcmp(provider_get_info(p->provider)->model, file) == 0)
            return p;
    return NULL;
}

bool api_close_model(api *a, const char *file, bool wait, unsigned *n)
{
    bool all = true;
    *n = 0;
    pthread_mutex_lock(&a->lock);
    for (pooled *p; (p = find_file(a, file, false));) {
        ++*n;
        if (is_idle(p)) {
            api_pool_close(a, p);
        } else if (!wait) {
            all = false;
            break;
        } else {
            p->leaving = true;
        }
    }
    while (wait && find_file(a, file, true) && !a->ending)
        api_pool_wait(a, TICK_MS);
    pthread_mutex_unlock(&a->lock);
    return all;
}

void api_list_loaded(api *a, void (*fn)(void *user, const api_loaded *l), void *user)
{
    pthread_mutex_lock(&a->lock);
    for (const pooled *p = a->pool; p; p = p->next) {
        bool open = p->state == POOLED_OPEN, idle = is_idle(p);
        api_loaded l = { .spec = p->spec, .info = open ? provider_get_info(p->provider) : NULL,
                         .process = open ? provider_process(p->provider) : 0, .answering = p->users,
                         .waiting = (unsigned)p->waiting.n, .idle_s = idle ? idle_s(p) : 0, .left_s = -1 };
        if (idle && p->keep_s >= 0)
            l.left_s = p->keep_s > l.idle_s ? p->keep_s - l.idle_s : 0;
        fn(user, &l);
    }
    pthread_mutex_unlock(&a->lock);
}
