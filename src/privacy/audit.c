/* audit.c: group commit. Whoever finds nobody committing commits for all that wait; the others sleep until it is done,
 * and the first of those that came too late goes on with them. */
#include "privacy/audit.h"

#include <string.h>

#include "base/mem.h"
#include "plat/clock.h"
#include "privacy/audit_int.h"

status audit_open(audit **out, error *err)
{
    audit *a = mem_zero(sizeof *a);
    if (!a)
        return fail(err, E_NOMEM, "no memory for the audit log");
    status s = audit_files_find(&a->files, err);
    if (s) {
        mem_free(a);
        return s;
    }
    a->now = clock_utc_us;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->done, NULL);
    *out = a;
    return OK;
}

/* The last records of a process get an anchor too. */
static void anchor_the_end(audit *a)
{
    audit_state st = { .fd = -1 };
    error e;
    if (audit_state_open(&st, &a->files, AUDIT_WRITE, &e) == OK && st.found && st.chain.next - 1 > st.chain.anchored) {
        audit_anchor_write(&a->files, &st.chain, a->now());
        (void)!audit_state_write(&st, &a->files, &e); /* else the next one writes it again */
    }
    audit_state_close(&st);
}

void audit_close(audit **a)
{
    if (!*a)
        return;
    if ((*a)->counts.records > 0)
        anchor_the_end(*a);
    pthread_cond_destroy(&(*a)->done);
    pthread_mutex_destroy(&(*a)->lock);
    audit_files_clear(&(*a)->files);
    mem_free(*a);
    *a = NULL;
}

/* Takes what waits, at most a batch. */
static audit_wait *take(audit *a, size_t *n)
{
    audit_wait *first = a->first, *last = first;
    for (*n = 1; *n < AUDIT_BATCH_MAX && last->next; ++*n)
        last = last->next;
    a->first = last->next;
    if (!a->first)
        a->last = NULL;
    last->next = NULL;
    return first;
}

/* With the lock held, which is given up meanwhile. */
static void commit(audit *a)
{
    size_t n;
    error why = { 0 };
    audit_wait *first = take(a, &n);
    audit_commit job = { .files = &a->files, .now = a->now, .anchor_us = &a->anchor_us };
    a->committing = true;
    pthread_mutex_unlock(&a->lock);
    status s = audit_commit_run(&job, first, &why);
    pthread_mutex_lock(&a->lock);
    a->committing = false;
    a->lost = a->lost || job.lost;
    a->counts.commits++;
    a->counts.records += s ? 0 : n;
    for (audit_wait *w = first, *next; w; w = next) {
        next = w->next; /* w may be gone as soon as it is done */
        w->s = s;
        w->why = why;
        w->done = true;
    }
    pthread_cond_broadcast(&a->done);
}

status audit_append(audit *a, const audit_entry *e, audit_receipt *receipt, error *err)
{
    audit_receipt made;
    audit_wait w = { .entry = e, .receipt = &made };
    if (!e->kind && (!privacy_allows(e->privacy, e->place) || e->place == PRIVACY_LOCAL))
        return fail(err, E_DENIED, "a request of class %s is not released to a %s place",
                    privacy_class_name(e->privacy), privacy_place_name(e->place));
    digest_raw(e->body, e->body_bytes, w.body);
    pthread_mutex_lock(&a->lock);
    if (a->lost) {
        pthread_mutex_unlock(&a->lock);
        return fail(err, E_IO, "%s: the disk failed while it was written: what it holds is only known after a restart",
                    a->files.log);
    }
    if (a->last)
        a->last->next = &w;
    else
        a->first = &w;
    a->last = &w;
    while (!w.done) {
        if (a->committing)
            pthread_cond_wait(&a->done, &a->lock);
        else
            commit(a);
    }
    pthread_mutex_unlock(&a->lock);
    if (w.s)
        return fail(err, w.s, "%s", w.why.text);
    *receipt = made;
    return OK;
}

audit_counts audit_count(audit *a)
{
    pthread_mutex_lock(&a->lock);
    audit_counts c = a->counts;
    pthread_mutex_unlock(&a->lock);
    return c;
}
