#include "measure/crew.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "plat/wait.h"

enum { THREADS_MAX = 256 };

typedef struct lane {
    crew_lane line;
    crew *owner;
    size_t next;       /* of line.items */
    uint32_t in_flight; /* asked now, or asked and not kept yet */
    bool alone;        /* the one in flight is */
} lane;

struct crew {
    pthread_mutex_t lock;
    pthread_cond_t moved; /* something ended, or everything shall */
    lane *lanes;
    size_t n_lanes;
    crew_done *first, **last; /* finished, oldest first */
    double budget_usd, taken_usd;
    bool halted, ran_out;
    atomic_bool cancelled;
    pthread_t threads[THREADS_MAX];
    size_t n_threads;
};

static void done_free(crew_done *d)
{
    buf_clear(&d->r.text);
    mem_free(d->prompt_text);
    mem_free(d->v.detail);
    mem_free(d);
}

/* ---- taking the next case ---- */

/* Until its owner has kept them, no more cases wait than the lane has threads: what fails too often ends the run before
 * many more are asked. */
static bool must_wait(const lane *l, const crew_item *i)
{
    return l->alone || l->in_flight >= l->line.threads || (i->alone && l->in_flight);
}

static void skip_over(lane *l)
{
    while (l->next < l->line.n && l->line.items[l->next].s->over)
        l->next++;
}

/* A provider may count tokens in its own way: what its dearest answer cost so far is the better guess, if higher. */
static double reserve(const crew_item *i)
{
    return i->worst_usd > 0 && i->s->dearest_usd > i->worst_usd ? i->s->dearest_usd : i->worst_usd;
}

/* The next case of the lane, or NULL when there is none any more. Waits while one is asked alone. */
static const crew_item *take(crew *c, lane *l, double *reserved_usd)
{
    const crew_item *i = NULL;
    pthread_mutex_lock(&c->lock);
    skip_over(l);
    while (!c->halted && l->next < l->line.n && must_wait(l, &l->line.items[l->next])) {
        pthread_cond_wait(&c->moved, &c->lock);
        skip_over(l);
    }
    if (!c->halted && l->next < l->line.n) {
        i = &l->line.items[l->next];
        if (c->taken_usd + reserve(i) > c->budget_usd) {
            c->ran_out = true;
            l->next = l->line.n;
            i = NULL;
        }
    }
    if (i) {
        l->next++;
        l->in_flight++;
        l->alone = i->alone;
        *reserved_usd = reserve(i);
        c->taken_usd += *reserved_usd;
    }
    pthread_mutex_unlock(&c->lock);
    return i;
}

static void give(crew *c, lane *l, crew_done *d)
{
    pthread_mutex_lock(&c->lock);
    d->lane = l;
    *c->last = d;
    c->last = &d->next;
    pthread_cond_broadcast(&c->moved);
    pthread_mutex_unlock(&c->lock);
}

static void *work(void *at)
{
    lane *l = at;
    crew *c = l->owner;
    for (;;) {
        crew_done *d = mem_zero(sizeof *d);
        const crew_item *i = d ? take(c, l, &d->reserved_usd) : NULL;
        if (!i) {
            if (!d)
                crew_halt(c, false); /* the owner sees cases that nobody asked */
            mem_free(d);
            return NULL;
        }
        d->item = *i;
        d->r.text = (buf)BUF_INIT(ANSWER_BYTES_MAX);
        d->asked = ask_case(i->s, c, i->s->by_task[i->key].c, i->repeat, &d->r, &d->prompt_text, &d->why);
        d->r.row.concurrency = i->alone ? 1 : l->line.threads;
        if (!d->asked) {
            grade_facts facts = measure_facts(&d->r.row, i->s->who);
            arm_judge(i->s, i->key, buf_text(&d->r.text), d->r.text.len, &facts, &d->v);
        }
        give(c, l, d);
    }
}

/* ---- the owner's side ---- */

static bool idle(const crew *c)
{
    for (size_t i = 0; i < c->n_lanes; i++)
        if (c->lanes[i].in_flight || (!c->halted && c->lanes[i].next < c->lanes[i].line.n))
            return false;
    return true;
}

static status start(crew *c, error *err)
{
    for (size_t i = 0; i < c->n_lanes; i++) {
        lane *l = &c->lanes[i];
        for (uint32_t k = 0; k < l->line.threads && k < l->line.n && c->n_threads < THREADS_MAX; k++) {
            if (pthread_create(&c->threads[c->n_threads], NULL, work, l) == 0)
                c->n_threads++;
            else if (k == 0)
                return fail(err, E_NOMEM, "no thread could be started");
        }
    }
    return OK;
}

status crew_open(crew **out, const crew_lane *lanes, size_t n_lanes, double budget_usd, error *err)
{
    crew *c = mem_zero(sizeof *c);
    lane *own = mem_array(n_lanes + 1, sizeof *own);
    if (!c || !own) {
        mem_free(c);
        mem_free(own);
        return fail(err, E_NOMEM, "no memory for a run");
    }
    pthread_mutex_init(&c->lock, NULL);
    wait_init(&c->moved);
    c->lanes = own;
    c->n_lanes = n_lanes;
    c->last = &c->first;
    c->budget_usd = budget_usd;
    for (size_t i = 0; i < n_lanes; i++)
        own[i] = (lane){ .line = lanes[i], .owner = c };
    status s = start(c, err);
    if (s)
        crew_close(&c);
    else
        *out = c;
    return s;
}

crew_done *crew_wait(crew *c, int ms)
{
    struct timespec until = wait_until(ms);
    pthread_mutex_lock(&c->lock);
    while (!c->first && !idle(c) && pthread_cond_timedwait(&c->moved, &c->lock, &until) == 0)
        ;
    crew_done *d = c->first;
    if (d) {
        c->first = d->next;
        if (!c->first)
            c->last = &c->first;
    }
    pthread_mutex_unlock(&c->lock);
    return d;
}

bool crew_is_idle(crew *c)
{
    pthread_mutex_lock(&c->lock);
    bool is = idle(c);
    pthread_mutex_unlock(&c->lock);
    return is;
}

bool crew_ran_out(crew *c)
{
    pthread_mutex_lock(&c->lock);
    bool is = c->ran_out;
    pthread_mutex_unlock(&c->lock);
    return is;
}

void crew_kept(crew *c, crew_done *d, double spent_usd)
{
    lane *l = d->lane;
    pthread_mutex_lock(&c->lock);
    c->taken_usd += spent_usd - d->reserved_usd;
    if (spent_usd > d->item.s->dearest_usd)
        d->item.s->dearest_usd = spent_usd;
    l->in_flight--;
    l->alone = false;
    pthread_cond_broadcast(&c->moved);
    pthread_mutex_unlock(&c->lock);
    done_free(d);
}

void crew_drop(crew *c, arm *a)
{
    pthread_mutex_lock(&c->lock);
    a->over = true;
    for (size_t i = 0; i < c->n_lanes; i++)
        skip_over(&c->lanes[i]);
    pthread_cond_broadcast(&c->moved);
    pthread_mutex_unlock(&c->lock);
}

void crew_halt(crew *c, bool cancel)
{
    pthread_mutex_lock(&c->lock);
    c->halted = true;
    if (cancel)
        atomic_store(&c->cancelled, true);
    pthread_cond_broadcast(&c->moved);
    pthread_mutex_unlock(&c->lock);
}

bool crew_cancelled(const crew *c)
{
    return atomic_load(&c->cancelled);
}

void crew_close(crew **at)
{
    crew *c = *at;
    if (!c)
        return;
    crew_halt(c, true);
    for (size_t i = 0; i < c->n_threads; i++)
        pthread_join(c->threads[i], NULL);
    while (c->first) {
        crew_done *d = c->first;
        c->first = d->next;
        done_free(d);
    }
    pthread_cond_destroy(&c->moved);
    pthread_mutex_destroy(&c->lock);
    mem_free(c->lanes);
    mem_free(c);
    *at = NULL;
}
