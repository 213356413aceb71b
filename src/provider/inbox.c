/* inbox.c: one thread reads a helper's link and hands every message to the call that it belongs to, so that many calls
 * share a helper. A call that takes nothing holds the others up for STALL_MS at most: then it loses what did not
 * fit. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "plat/wait.h"
#include "provider/helper_int.h"

enum { INBOX_BYTES_MAX = 4 << 20, STALL_MS = 1000 };

/* ---- the reader's side; the lock is held ---- */

static inbox *find(const helper *h, uint32_t id)
{
    inbox *in = h->inboxes;
    while (in && in->request != id)
        in = in->next;
    return in;
}

/* NULL: the call has left, or it takes nothing. */
static inbox *with_room(helper *h, uint32_t id, size_t bytes)
{
    inbox *in = find(h, id);
    struct timespec until = wait_until(STALL_MS);
    while (in && !in->lost && in->bytes && in->bytes + bytes > INBOX_BYTES_MAX) {
        if (pthread_cond_timedwait(&h->taken, &h->lock, &until) == ETIMEDOUT) {
            if ((in = find(h, id)) && in->bytes + bytes > INBOX_BYTES_MAX)
                in->lost = true;
        } else {
            in = find(h, id);
        }
    }
    return in && !in->lost ? in : NULL;
}

static void deliver(helper *h, const msg *m)
{
    inbox *in = with_room(h, m->request, m->length);
    if (!in)
        return;
    helper_message *copy = mem_alloc(sizeof *copy + m->length + 1);
    if (!copy) {
        in->lost = true;
    } else {
        copy->next = NULL;
        copy->type = m->type;
        copy->length = m->length;
        memcpy(copy->data, m->data, m->length + 1);
        *(in->first ? &in->last->next : &in->first) = copy;
        in->last = copy;
        in->bytes += m->length;
    }
    pthread_cond_signal(&in->arrived);
}

static void *read_link(void *user)
{
    helper *h = user;
    error why = { 0 };
    bool got = false;
    msg m;
    while (msg_receive(&h->link, &m, &got, -1, &why) == OK) {
        if (!got)
            continue;
        pthread_mutex_lock(&h->lock);
        deliver(h, &m);
        pthread_mutex_unlock(&h->lock);
    }
    pthread_mutex_lock(&h->lock);
    h->ended = true;
    h->why = why;
    for (inbox *in = h->inboxes; in; in = in->next)
        pthread_cond_signal(&in->arrived);
    pthread_cond_broadcast(&h->taken);
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

status helper_read(helper *h, error *err)
{
    wait_init(&h->taken);
    h->ended = false;
    int e = pthread_create(&h->reader, NULL, read_link, h);
    if (e) {
        pthread_cond_destroy(&h->taken);
        return fail(err, E_IO, "%s: no thread for its messages: %s", h->program, strerror(e));
    }
    h->reading = true;
    return OK;
}

/* ---- the call's side ---- */

status inbox_open(helper *h, inbox *in, error *err)
{
    status s = OK;
    *in = (inbox){ .next = NULL };
    wait_init(&in->arrived);
    pthread_mutex_lock(&h->lock);
    in->request = h->next_request++;
    if (h->next_request == 0)
        h->next_request = 1;
    if (h->ended)
        s = fail(err, E_PROVIDER, "%s", h->why.text);
    in->next = h->inboxes;
    h->inboxes = in;
    pthread_mutex_unlock(&h->lock);
    return s;
}

void inbox_close(helper *h, inbox *in)
{
    pthread_mutex_lock(&h->lock);
    for (inbox **at = &h->inboxes; *at; at = &(*at)->next)
        if (*at == in) {
            *at = in->next;
            break;
        }
    pthread_cond_broadcast(&h->taken);
    pthread_mutex_unlock(&h->lock);
    while (in->first) {
        helper_message *m = in->first;
        in->first = m->next;
        mem_free(m);
    }
    pthread_cond_destroy(&in->arrived);
}

helper_message *inbox_take(helper *h, inbox *in, int timeout_ms, bool *ended)
{
    struct timespec until = wait_until(timeout_ms);
    pthread_mutex_lock(&h->lock);
    while (!in->first && !in->lost && !h->ended &&
           pthread_cond_timedwait(&in->arrived, &h->lock, &until) != ETIMEDOUT)
        ;
    helper_message *m = in->first;
    if (m) {
        bool was_full = in->bytes > INBOX_BYTES_MAX / 2;
        in->first = m->next;
        in->bytes -= m->length;
        if (was_full)
            pthread_cond_signal(&h->taken);
    }
    *ended = !m && h->ended;
    pthread_mutex_unlock(&h->lock);
    return m;
}
