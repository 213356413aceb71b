/* inspect_ring.c: one inspector after another, each as long as somebody asks it. */
#include "privacy/inspect.h"

#include <pthread.h>

#include "base/mem.h"

typedef struct holder {
    inspector *i;
    unsigned held;
    struct holder *next; /* an older one */
} holder;

struct inspect_ring {
    pthread_mutex_t lock;
    holder *shown; /* the ring holds it too */
};

/* With the lock held. */
static void let_go(inspect_ring *r, const inspector *i)
{
    for (holder **at = &r->shown; *at; at = &(*at)->next) {
        holder *h = *at;
        if (h->i != i)
            continue;
        if (--h->held == 0) {
            *at = h->next;
            inspector_close(&h->i);
            mem_free(h);
        }
        return;
    }
}

status inspect_ring_open(inspect_ring **out, const inspect_settings *o, error *err)
{
    inspect_ring *r = mem_zero(sizeof *r);
    if (!r)
        return fail(err, E_NOMEM, "no memory for the detectors");
    pthread_mutex_init(&r->lock, NULL);
    status s = inspect_ring_reload(r, o, err);
    if (s)
        inspect_ring_close(&r);
    else
        *out = r;
    return s;
}

status inspect_ring_reload(inspect_ring *r, const inspect_settings *o, error *err)
{
    holder *fresh = mem_zero(sizeof *fresh);
    if (!fresh)
        return fail(err, E_NOMEM, "no memory for the detectors");
    status s = inspector_open(&fresh->i, o, err);
    if (s) {
        mem_free(fresh);
        return s;
    }
    fresh->held = 1;
    pthread_mutex_lock(&r->lock);
    const inspector *old = r->shown ? r->shown->i : NULL;
    fresh->next = r->shown;
    r->shown = fresh;
    if (old)
        let_go(r, old);
    pthread_mutex_unlock(&r->lock);
    return OK;
}

void inspect_ring_close(inspect_ring **r)
{
    if (!*r)
        return;
    if ((*r)->shown)
        let_go(*r, (*r)->shown->i);
    pthread_mutex_destroy(&(*r)->lock);
    mem_free(*r);
    *r = NULL;
}

const inspector *inspect_ring_hold(inspect_ring *r)
{
    if (!r)
        return NULL;
    pthread_mutex_lock(&r->lock);
    r->shown->held++;
    const inspector *i = r->shown->i;
    pthread_mutex_unlock(&r->lock);
    return i;
}

void inspect_ring_release(inspect_ring *r, const inspector *i)
{
    if (!r || !i)
        return;
    pthread_mutex_lock(&r->lock);
    let_go(r, i);
    pthread_mutex_unlock(&r->lock);
}
