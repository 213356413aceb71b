/* pool.c: providers that stay open between requests. */
#include <string.h>

#include "api/api_int.h"
#include "base/mem.h"

struct pooled {
    pooled *next;
    char *spec;
    provider *provider;
    unsigned users;
    bool local;
};

status api_open(api **out, const api_options *o, error *err)
{
    api *a = mem_zero(sizeof *a);
    if (!a)
        return fail(err, E_NOMEM, "no memory for the server");
    a->options = *o;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->given, NULL);
    *out = a;
    return OK;
}

static void close_pooled(pooled *p)
{
    provider_close(&p->provider);
    mem_free(p->spec);
    mem_free(p);
}

void api_close(api **api_at)
{
    api *a = *api_at;
    if (!a)
        return;
    while (a->pool) {
        pooled *p = a->pool;
        a->pool = p->next;
        close_pooled(p);
    }
    pthread_cond_destroy(&a->given);
    pthread_mutex_destroy(&a->lock);
    mem_free(a);
    *api_at = NULL;
}

static pooled *find(api *a, const char *spec)
{
    for (pooled *p = a->pool; p; p = p->next) {
        if (strcmp(p->spec, spec) == 0)
            return p;
    }
    return NULL;
}

/* With the lock held: unloads the local models that nobody uses, and waits for those that somebody does. While it
 * waits another request may open spec: then that one is returned. */
static pooled *unload_locals(api *a, const char *spec)
{
    for (pooled **at = &a->pool; *at;) {
        pooled *p = *at;
        if (!p->local) {
            at = &p->next;
        } else if (p->users) {
            pthread_cond_wait(&a->given, &a->lock);
            pooled *opened = find(a, spec);
            if (opened)
                return opened;
            at = &a->pool; /* the list may have changed */
        } else {
            *at = p->next;
            close_pooled(p);
        }
    }
    return NULL;
}

static status open_pooled(api *a, const char *spec, pooled **out, error *err)
{
    provider_place place;
    status s = provider_place_of(spec, a->options.config, &place, err);
    if (s)
        return s;
    pooled *p = place == PLACE_LOCAL ? unload_locals(a, spec) : NULL;
    if (p) {
        *out = p;
        return OK;
    }
    p = mem_zero(sizeof *p);
    if (!p || !(p->spec = mem_strdup(spec))) {
        mem_free(p);
        return fail(err, E_NOMEM, "no memory to open '%s'", spec);
    }
    s = provider_open(&p->provider, spec, a->options.config, err);
    if (s) {
        close_pooled(p);
        return s;
    }
    p->local = place == PLACE_LOCAL;
    p->next = a->pool;
    a->pool = p;
    *out = p;
    return OK;
}

status api_take(api *a, const char *spec, pooled **out, provider **provider_out, error *err)
{
    pthread_mutex_lock(&a->lock);
    pooled *p = find(a, spec);
    status s = p ? OK : open_pooled(a, spec, &p, err);
    if (!s) {
        p->users++;
        *out = p;
        *provider_out = p->provider;
    }
    pthread_mutex_unlock(&a->lock);
    return s;
}

void api_give(api *a, pooled *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&a->lock);
    p->users--;
    pthread_cond_broadcast(&a->given);
    pthread_mutex_unlock(&a->lock);
}

bool api_close_model(api *a, const char *file)
{
    bool free = true;
    pthread_mutex_lock(&a->lock);
    for (pooled **at = &a->pool; *at;) {
        pooled *p = *at;
        bool same = p->local && strcmp(provider_get_info(p->provider)->model, file) == 0;
        if (same && !p->users) {
            *at = p->next;
            close_pooled(p);
            continue;
        }
        free = free && !same;
        at = &p->next;
    }
    pthread_mutex_unlock(&a->lock);
    return free;
}
