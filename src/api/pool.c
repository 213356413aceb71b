/* pool.c: providers that stay open between requests: who waits for which, and whose turn it is. */
#include <math.h>
#include <string.h>

#include "api/pool_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "plat/wait.h"
#include "privacy/conversations.h"

enum { TICK_MS = 100 };

/* ---- the api ---- */

static api_options with_defaults(const api_options *given)
{
    api_options o = *given;
    const config *c = o.config;
    o.parallel = c->parallel ? c->parallel : o.parallel ? o.parallel : 16;
    o.queue = c->queue ? c->queue : o.queue ? o.queue : 256;
    o.keep_s = !isnan(c->keep_alive_s) ? c->keep_alive_s : o.keep_s != 0 ? o.keep_s : 300;
    return o;
}

status api_open(api **out, const api_options *o, error *err)
{
    api *a = mem_zero(sizeof *a);
    if (!a)
        return fail(err, E_NOMEM, "no memory for the server");
    a->options = with_defaults(o);
    pthread_mutex_init(&a->lock, NULL);
    wait_init(&a->changed);
    error why = { 0 };
    if (conversations_open(&a->talk, NULL, 0, &why))
        log_line(LOG_LEVEL_ERROR, "%s: nothing goes to a remote provider", why.text);
    status s = api_pool_reap(a, err);
    if (s)
        api_close(&a);
    *out = a;
    return s;
}

void api_close(api **api_at)
{
    api *a = *api_at;
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->ending = true;
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    if (a->reaping)
        pthread_join(a->reaper, NULL);
    pthread_mutex_lock(&a->lock);
    while (a->pool)
        api_pool_close(a, a->pool);
    pthread_mutex_unlock(&a->lock);
    conversations_close(&a->talk);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    mem_free(a);
    *api_at = NULL;
}

static void wait_ms(api *a, pthread_cond_t *cond, int ms)
{
    struct timespec until = wait_until(ms);
    pthread_cond_timedwait(cond, &a->lock, &until);
}

void api_pool_wait(api *a, int ms)
{
    wait_ms(a, &a->changed, ms);
}

/* ---- the list ---- */

pooled *api_pool_find(const api *a, const char *spec, const char *key)
{
    for (pooled *p = a->pool; p; p = p->next)
        if (!p->leaving && (strcmp(p->spec, spec) == 0 || (key && strcmp(p->key, key) == 0)))
            return p;
    return NULL;
}

static void unlink_pooled(api *a, pooled *p)
{
    for (pooled **at = &a->pool; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            return;
        }
}

static void free_pooled(pooled *p)
{
    if (!p)
        return;
    mem_free(p->spec);
    mem_free(p->key);
    mem_free(p);
}

void api_pool_close(api *a, pooled *p)
{
    uint64_t bytes = p->bytes;
    unlink_pooled(a, p);
    a->closing_bytes += bytes;
    pthread_mutex_unlock(&a->lock);
    if (p->provider)
        provider_close(&p->provider);
    free_pooled(p);
    pthread_mutex_lock(&a->lock);
    a->closing_bytes -= bytes;
    pthread_cond_broadcast(&a->changed);
}

static pooled *add(api *a, const char *spec, const char *key, bool local)
{
    pooled *p = mem_zero(sizeof *p);
    if (p) {
        p->spec = mem_strdup(spec);
        p->key = mem_strdup(key);
    }
    if (!p || !p->spec || !p->key) {
        free_pooled(p);
        return NULL;
    }
    p->local = local;
    p->keep_s = a->options.keep_s;
    p->waiting.max = a->options.queue;
    p->waiting.share = a->options.config->n_keys ? (a->options.queue + 1) / 2 : SIZE_MAX;
    p->next = a->pool;
    a->pool = p;
    return p;
}

/* ---- taking ---- */

typedef struct waiter {
    queue_ticket ticket;
    pthread_cond_t turn;
} waiter;

/* Of several free places each who takes one wakes the next. */
static void wake_next(pooled *p)
{
    const queue_ticket *t = queue_next(&p->waiting);
    if (t && p->state == POOLED_OPEN && p->users < provider_get_info(p->provider)->parallel)
        pthread_cond_signal(&((waiter *)(uintptr_t)t)->turn);
}

static void wake_all(pooled *p)
{
    for (queue_ticket *t = p->waiting.first; t; t = t->next)
        pthread_cond_signal(&((waiter *)t)->turn);
}

static void let_go(api *a, pooled *p)
{
    if (--p->refs)
        return;
    if (p->state == POOLED_FAILED)
        free_pooled(p);
    else if (p->leaving)
        api_pool_close(a, p);
}

/* With the lock held, and p referenced: opens it, and tells those who came meanwhile how that went. */
static bool open_first(api *a, pooled *p, const http_request *r, api_fault *f)
{
    bool ok = api_pool_open(a, p, r, f);
    p->state = ok ? POOLED_OPEN : POOLED_FAILED;
    p->idle_since_us = clock_mono_us();
    if (!ok) {
        p->fault = *f;
        unlink_pooled(a, p);
        wake_all(p);
    } else {
        wake_next(p);
    }
    pthread_cond_broadcast(&a->changed);
    return ok;
}

static bool refuse_full(const pooled *p, const waiter *w, queue_answer answer, api_fault *f)
{
    unsigned parallel = p->state == POOLED_OPEN ? provider_get_info(p->provider)->parallel : 1;
    bool own = answer == QUEUE_OVER_SHARE;
    api_refuse(f, own ? FAULT_RATE_LIMITED : FAULT_BUSY, "", own ? "%zu requests wait for '%s', of which '%s' has its "
               "share: come back later" : "%zu requests wait for '%s' already: come back later", p->waiting.n, p->spec,
               w->ticket.asker);
    f->retry_after_s = queue_retry_after(p->waiting.n, parallel, p->mean_s);
    return false;
}

static bool my_turn(const pooled *p, const waiter *w)
{
    return p->state == POOLED_OPEN && p->users < provider_get_info(p->provider)->parallel &&
           queue_next(&p->waiting) == &w->ticket;
}

/* With the lock held, and p referenced: until it is w's turn. */
static bool stand_in_line(api *a, pooled *p, waiter *w, bool opens, const http_request *r, api_fault *f)
{
    queue_answer answer = queue_push(&p->waiting, &w->ticket);
    if (answer != QUEUE_WAITS)
        return refuse_full(p, w, answer, f);
    bool ok = !opens || open_first(a, p, r, f);
    while (ok && !my_turn(p, w)) {
        if (p->state == POOLED_FAILED) {
            *f = p->fault;
            ok = false;
        } else if (http_gone(r)) {
            ok = api_refuse(f, FAULT_INTERNAL, "", "the client has left");
        } else {
            wait_ms(a, &w->turn, TICK_MS);
        }
    }
    if (ok)
        queue_serve(&p->waiting, &w->ticket);
    else
        queue_leave(&p->waiting, &w->ticket);
    if (p->state == POOLED_OPEN)
        p->users += ok;
    if (p->state == POOLED_OPEN)
        wake_next(p);
    return ok;
}

/* A URL or a file is named by whoever runs this server, in config.yaml or on its command line, never by a client: who
 * may name the address that is asked may name the one that gets the server's key, or one inside this network. */
static bool may_be_named(const api *a, const char *spec)
{
    provider_kind kind;
    error ignored;
    bool own = a->options.model && strcmp(spec, a->options.model) == 0;
    return own || (a->options.config && config_find(a->options.config, spec)) ||
           provider_kind_of(spec, a->options.config, &kind, &ignored) || kind == PROVIDER_LOCAL;
}

static pooled *find_or_add(api *a, const char *spec, bool *opens, api_fault *f)
{
    pooled *p = api_pool_find(a, spec, NULL);
    provider_place place;
    char *key = NULL;
    error e = { 0 };
    *opens = false;
    if (p)
        return p;
    if (!may_be_named(a, spec)) {
        api_refuse(f, FAULT_DENIED, "model", "'%.200s' is in no entry of `providers`: a request does not say which "
                   "server or file is asked", spec);
    } else if (provider_place_of(spec, a->options.config, &place, &e) ||
               provider_key(spec, a->options.config, &key, &e)) {
        api_refuse_status(f, "model", &e);
    } else if (!(p = api_pool_find(a, spec, key))) {
        p = add(a, spec, key, place == PLACE_LOCAL);
        *opens = p != NULL;
        if (!p)
            api_no_memory(f);
    }
    mem_free(key);
    return p;
}

bool api_take(api *a, const char *spec, const char *who, unsigned priority, const http_request *r, api_lease *out,
              api_fault *f)
{
    waiter w = { .ticket = { .asker = who ? who : "", .priority = priority } };
    bool opens, ok = false;
    *out = (api_lease){ .p = NULL };
    wait_init(&w.turn);
    pthread_mutex_lock(&a->lock);
    pooled *p = find_or_add(a, spec, &opens, f);
    if (p) {
        p->refs++;
        p->keep_s = a->options.keep_s;
        ok = stand_in_line(a, p, &w, opens, r, f);
        if (ok)
            *out = (api_lease){ p, p->provider, clock_mono_us() };
        else
            let_go(a, p);
    }
    pthread_mutex_unlock(&a->lock);
    pthread_cond_destroy(&w.turn);
    return ok;
}

void api_give(api *a, api_lease *l)
{
    pooled *p = l->p;
    if (!p)
        return;
    pthread_mutex_lock(&a->lock);
    p->users--;
    p->idle_since_us = clock_mono_us();
    p->mean_s = queue_mean(p->mean_s, (double)(p->idle_since_us - l->began_us) * 1e-6);
    wake_next(p);
    let_go(a, p);
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
    *l = (api_lease){ .p = NULL };
}

void api_each_provider(api *a, void (*fn)(void *user, provider *p), void *user)
{
    enum { MOST = 256 };
    pooled *open[MOST];
    size_t n = 0;
    pthread_mutex_lock(&a->lock);
    for (pooled *p = a->pool; p && n < MOST; p = p->next)
        if (p->state == POOLED_OPEN && !p->leaving) {
            p->refs++;
            open[n++] = p;
        }
    pthread_mutex_unlock(&a->lock);
    for (size_t i = 0; i < n; i++)
        fn(user, open[i]->provider);
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < n; i++)
        let_go(a, open[i]);
    pthread_cond_broadcast(&a->changed);
    pthread_mutex_unlock(&a->lock);
}
