/* shadow.c: the queue and its thread. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/shadow_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "plat/random.h"
#include "plat/wait.h"
#include "route/watch.h"

enum { LOOK_MS = 2000, RAISED = 4 };

/* ---- the handler's side ---- */

void shadow_begin(shadow *s, const target *to, const request *q, shadow_seen *seen)
{
    *seen = (shadow_seen){ .text = BUF_INIT(SHADOW_TEXT_MAX), .mean_logprob = NAN, .n_output = -1 };
    const route_decision *d = &to->decision;
    seen->privacy = q->privacy > to->privacy ? q->privacy : to->privacy;
    seen->on = s && atomic_load(&s->on) && to->routed && to->t && to->variables && d->choice == ROUTE_LOCAL &&
               (d->state == ROUTE_STATE_LOCAL || d->state == ROUTE_SUSPECT) && d->evidence[0] && !to->t->tools &&
               seen->privacy < PRIVACY_SECRET &&
               (q->kind == REQUEST_CHAT || q->kind == REQUEST_TEXT) && !q->prompt_only;
}

void shadow_event(shadow_seen *seen, const event *e)
{
    if (!seen->on || seen->done)
        return;
    if (e->kind == EVENT_TEXT) {
        buf_add(&seen->text, e->text, e->text_bytes);
    } else if (e->kind == EVENT_DONE) { /* of several answers the first */
        seen->done = true;
        seen->mean_logprob = e->end->mean_logprob;
        seen->n_output = e->end->completion_tokens;
        if (e->end->finish != ANSWER_STOP && e->end->finish != ANSWER_LENGTH)
            seen->on = false;
    }
}

static void free_job(shadow_job *j)
{
    if (!j)
        return;
    js_free(j->input);
    mem_free(j->text);
    mem_free(j);
}

static shadow_job *new_job(const target *to, const shadow_seen *seen, const char *failed)
{
    shadow_job *j = mem_zero(sizeof *j);
    if (!j)
        return NULL;
    snprintf(j->task, sizeof j->task, "%s", to->task);
    snprintf(j->fault, sizeof j->fault, "%s", failed);
    memcpy(j->evidence, to->decision.evidence, sizeof j->evidence);
    j->state = to->decision.state;
    j->privacy = seen->privacy;
    j->mean_logprob = seen->mean_logprob;
    j->n_output = seen->n_output;
    j->input = js_copy(to->variables);
    j->text = mem_strdup(buf_text(&seen->text));
    if (!j->input || !j->text) {
        free_job(j);
        return NULL;
    }
    return j;
}

void shadow_end(shadow *s, const target *to, shadow_seen *seen, const char *failed)
{
    bool whole = seen->done && !seen->text.failed && !failed[0] && !memchr(buf_text(&seen->text), 0, seen->text.len);
    shadow_job *j = seen->on && (whole || failed[0]) ? new_job(to, seen, failed) : NULL;
    buf_clear(&seen->text);
    if (!j)
        return;
    pthread_mutex_lock(&s->lock);
    bool room = s->n < SHADOW_QUEUE_MAX && !atomic_load(&s->ending);
    if (room) {
        *s->end = j;
        s->end = &j->next;
        s->n++;
        pthread_cond_signal(&s->filled);
    }
    pthread_mutex_unlock(&s->lock);
    if (!room)
        free_job(j);
}

/* ---- what holds now ---- */

/* A ledger that is not there yet is none of ours to make. */
static status open_ledger(shadow *s, error *err)
{
    ledger *there = NULL;
    if (s->l)
        return OK;
    status found = ledger_open(&there, NULL, LEDGER_READ, err);
    ledger_close(&there);
    if (found && found != E_UNSUPPORTED)
        return found;
    return ledger_open(&s->l, NULL, LEDGER_WRITE, err);
}

/* The policy in force, read anew: whoever takes it back is obeyed at the next request. */
static status look(shadow *s, error *err)
{
    policy *p = NULL;
    int64_t number = 0;
    status found = open_ledger(s, err);
    if (!found)
        found = policy_open(&p, &number, s->l, err);
    if (found) { /* nothing is known, so nothing is sent */
        atomic_store(&s->on, false);
        policy_close(&s->told);
        return found == E_NOTFOUND ? OK : found;
    }
    policy_close(&s->told);
    s->told = p;
    s->number = number;
    atomic_store(&s->on, p != NULL);
    return OK;
}

status shadow_facts_open(shadow *s, const shadow_job *j, shadow_facts **out, error *err)
{
    shadow_facts *f = mem_zero(sizeof *f);
    if (!f)
        return fail(err, E_NOMEM, "no memory for task %s", j->task);
    f->facts = s->a->facts;
    status st = facts_hold(f->facts, j->task, j->privacy, &f->sheet, err);
    if (!st) {
        f->t = f->sheet->t;
        f->in = f->sheet->in;
        f->in.privacy = privacy_class_join(f->t->privacy, j->privacy);
    }
    if (!st && strcmp(f->in.local.evidence, j->evidence) != 0)
        st = fail(err, E_UNSUPPORTED, "task %s is answered by another model since", j->task);
    if (!st)
        st = route_basis(f->t, f->in.local.evidence, f->in.cloud.evidence, f->basis, err);
    if (st)
        shadow_facts_close(&f);
    else
        *out = f;
    return st;
}

void shadow_facts_close(shadow_facts **f)
{
    if (!*f)
        return;
    facts_release((*f)->facts, (*f)->sheet);
    mem_free(*f);
    *f = NULL;
}

/* ---- the thread ---- */

/* [0, 1): splitmix64 of seed and counter. */
static double draw(shadow *s)
{
    uint64_t z = (s->told->shadow_seed ? s->told->shadow_seed : s->seed) + ++s->counter * 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static bool drawn(shadow *s, const shadow_job *j, bool raised)
{
    double rate = policy_shadow_rate(s->told, j->task), u = draw(s);
    if (!(rate > 0) || j->privacy >= PRIVACY_PRIVATE)
        return false;
    return u < (j->state == ROUTE_SUSPECT ? 1 : raised ? fmin(1, RAISED * rate) : rate);
}

static void work(shadow *s, const shadow_job *j)
{
    bool raised = false;
    error err = { 0 };
    status st = look(s, &err);
    if (!st && (!s->told || !s->l))
        return;
    if (!st && j->fault[0])
        st = shadow_failed(s, j, &err);
    else if (!st)
        st = shadow_trip_look(s, j, &raised, &err);
    if (!st && !j->fault[0] && drawn(s, j, raised))
        st = shadow_ask(s, j, &err);
    if (st)
        log_line(st == E_UNSUPPORTED || st == E_DENIED ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "shadow: %s", err.text);
}

static shadow_job *take(shadow *s)
{
    pthread_mutex_lock(&s->lock);
    if (!s->first && !atomic_load(&s->ending)) {
        struct timespec until = wait_until(LOOK_MS);
        pthread_cond_timedwait(&s->filled, &s->lock, &until);
    }
    shadow_job *j = s->first;
    if (j) {
        s->first = j->next;
        if (!s->first)
            s->end = &s->first;
        s->n--;
    }
    pthread_mutex_unlock(&s->lock);
    return j;
}

static void *run(void *user)
{
    shadow *s = user;
    error err = { 0 };
    status last = OK;
    while (!atomic_load(&s->ending)) {
        shadow_job *j = take(s);
        if (j && !atomic_load(&s->ending)) {
            work(s, j);
        } else if (!j) {
            status st = look(s, &err);
            if (st && st != last)
                log_line(LOG_LEVEL_WARN, "shadow: %s", err.text);
            last = st;
        }
        free_job(j);
    }
    return NULL;
}

status shadow_open(shadow **out, api *a, error *err)
{
    shadow *s = mem_zero(sizeof *s);
    if (!s)
        return fail(err, E_NOMEM, "no memory for the comparing thread");
    s->a = a;
    s->end = &s->first;
    pthread_mutex_init(&s->lock, NULL);
    wait_init(&s->filled);
    status st = random_bytes(&s->seed, sizeof s->seed, err);
    error why = { 0 };
    if (!st && (budget_open(&s->spent, NULL, &why) || look(s, &why))) /* answers do not depend on it */
        log_line(LOG_LEVEL_WARN, "shadow: %s", why.text);
    if (!st && pthread_create(&s->thread, NULL, run, s))
        st = fail(err, E_IO, "a thread could not be started");
    s->started = !st;
    if (st)
        shadow_close(&s);
    *out = s;
    return st;
}

void shadow_close(shadow **at)
{
    shadow *s = *at;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->ending, true);
    pthread_cond_broadcast(&s->filled);
    pthread_mutex_unlock(&s->lock);
    if (s->started)
        pthread_join(s->thread, NULL);
    for (shadow_job *j = s->first, *next; j; j = next) {
        next = j->next;
        free_job(j);
    }
    policy_close(&s->told);
    budget_close(&s->spent);
    ledger_close(&s->l);
    pthread_cond_destroy(&s->filled);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
    *at = NULL;
}
