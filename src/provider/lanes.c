/* lanes.c: see the header. */
#include "provider/lanes.h"

#include <stdatomic.h>

static atomic_uint calls_most = PROVIDER_CALLS_MAX;

void provider_limit_calls(unsigned n)
{
    calls_most = n < 1 ? 1 : n < PROVIDER_CALLS_MAX ? n : PROVIDER_CALLS_MAX;
}

void lanes_init(lanes *l, const char *program, const char *const *keep)
{
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->given, NULL);
    for (size_t i = 0; i < LANES_MAX; i++)
        helper_init(&l->of[i].helper, program, keep);
}

void lanes_clear(lanes *l)
{
    for (size_t i = 0; i < LANES_MAX; i++)
        helper_clear(&l->of[i].helper);
    pthread_cond_destroy(&l->given);
    pthread_mutex_destroy(&l->lock);
}

/* The first that is free and runs, else the first that is free: few run where few are needed. */
static lane *pick(lanes *l)
{
    lane *best = NULL;
    for (size_t i = 0, n = calls_most; i < n; i++) {
        lane *x = &l->of[i];
        if (!x->taken && (!best || (x->helper.running && !best->helper.running)))
            best = x;
    }
    return best;
}

status lanes_take(lanes *l, helper **out, error *err)
{
    lane *x;
    char how[128];
    js *opened = NULL;
    pthread_mutex_lock(&l->lock);
    while (!(x = pick(l)))
        pthread_cond_wait(&l->given, &l->lock);
    x->taken = true;
    pthread_mutex_unlock(&l->lock);
    *out = &x->helper;
    bool lost = x->helper.running && helper_ended(&x->helper, how, sizeof how);
    if (x->helper.running && !lost)
        return OK;
    pthread_mutex_lock(&l->lock);
    x->ready = false;
    pthread_mutex_unlock(&l->lock);
    if (lost)
        helper_stop(&x->helper);
    status s = helper_start(&x->helper, err);
    if (!s)
        s = helper_open(&x->helper, l->settings, NULL, 0, &opened, err);
    pthread_mutex_lock(&l->lock);
    js_free(x->helper.opened);
    x->helper.opened = opened;
    x->ready = !s;
    pthread_mutex_unlock(&l->lock);
    return s;
}

void lanes_each(lanes *l, helper_fn *fn, void *user)
{
    char how[128];
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < LANES_MAX; i++)
        if (l->of[i].ready && !helper_ended(&l->of[i].helper, how, sizeof how))
            fn(user, &l->of[i].helper, l->of[i].taken);
    pthread_mutex_unlock(&l->lock);
}

void lanes_give(lanes *l, helper *h)
{
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < LANES_MAX; i++)
        if (&l->of[i].helper == h)
            l->of[i].taken = false;
    pthread_cond_signal(&l->given);
    pthread_mutex_unlock(&l->lock);
}

int lanes_process(lanes *l)
{
    int pid = 0;
    for (size_t i = 0; i < LANES_MAX && !pid; i++)
        pid = helper_process(&l->of[i].helper);
    return pid;
}
