/* helper.c: the front's side of a helper process.
 *
 *   stopped --helper_start--> running --helper_open--> open, many helper_complete at once
 *      ^                         |                      |
 *      |                         v                      v  it died, hung or said what is no message
 *      +------------------- helper_stop <------------- ended
 *
 * From helper_open on a thread of its own reads the link (inbox.c). Whoever finds that the helper hangs kills it; all
 * its calls then see that it has ended. Its owner stops it when the last of them has left.
 *
 * What comes from a helper is checked like what comes from a stranger: a worker reads hostile models. */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "plat/build_id.h"
#include "plat/clock.h"
#include "provider/helper_int.h"

enum { START_MS = 20000, LOAD_QUIET_MS = 120000, SEND_MS = 10000, DRAIN_MS = 5000, TICK_MS = 100 };

void helper_init(helper *h, const char *program, const char *const *keep)
{
    *h = (helper){ .program = program, .keep = keep, .grace_ms = HELPER_GRACE_MS };
    pthread_mutex_init(&h->lock, NULL);
    pthread_mutex_init(&h->sending, NULL);
}

void helper_clear(helper *h)
{
    if (!h->program)
        return;
    helper_stop(h);
    js_free(h->hello);
    js_free(h->opened);
    pthread_mutex_destroy(&h->lock);
    pthread_mutex_destroy(&h->sending);
    *h = (helper){ 0 };
}

void helper_stop(helper *h)
{
    if (!h->running)
        return;
    if (h->reading) {
        (void)shutdown(h->link.fd, SHUT_RDWR); /* end of file is the wish to end, for both sides */
        pthread_join(h->reader, NULL);
        pthread_cond_destroy(&h->taken);
        h->reading = false;
    }
    msg_link_close(&h->link);
    proc_stop(&h->process, h->grace_ms);
    h->running = false;
}

int helper_process(helper *h)
{
    pthread_mutex_lock(&h->lock);
    int pid = h->running && !h->ended ? h->process.pid : 0;
    pthread_mutex_unlock(&h->lock);
    return pid;
}

/* It hangs, or is not to be believed. */
static void kill_now(helper *h)
{
    pthread_mutex_lock(&h->lock);
    if (!h->process.ended)
        kill(h->process.pid, SIGKILL);
    h->ended = true; /* for everybody, before the reader has seen it */
    pthread_mutex_unlock(&h->lock);
    (void)shutdown(h->link.fd, SHUT_RDWR);
}

bool helper_ended(helper *h, char *how, size_t bytes)
{
    pthread_mutex_lock(&h->lock);
    bool ended = h->ended || proc_wait(&h->process, 0);
    if (ended) {
        h->ended = true;
        proc_wait(&h->process, HELPER_GRACE_MS);
        proc_how_ended(&h->process, how, bytes);
    }
    pthread_mutex_unlock(&h->lock);
    return ended;
}

/* The helper was lost while a call went on: why, in words. */
static status lost(helper *h, error *err)
{
    char how[128] = "";
    bool ended = helper_ended(h, how, sizeof how) && h->process.ended;
    return ended ? fail(err, E_PROVIDER, "%s %s", h->program, how)
                 : fail(err, E_PROVIDER, "%s: %s", h->program, h->why.text);
}

/* The same before calls are possible; it is stopped. */
static status lost_early(helper *h, error *err, const error *link_error)
{
    char how[128];
    bool ended = proc_wait(&h->process, HELPER_GRACE_MS);
    proc_how_ended(&h->process, how, sizeof how);
    status s = ended ? fail(err, E_PROVIDER, "%s %s", h->program, how)
                     : fail(err, E_PROVIDER, "%s: %s", h->program, link_error->text);
    helper_stop(h);
    return s;
}

/* ---- starting ---- */

static status check_hello(helper *h, const msg *m, error *err)
{
    js *j = NULL;
    if (m->type != MSG_HELLO || js_parse(&j, m->data, m->length, h->program, 1, err) != OK)
        return fail(err, E_PROVIDER, "%s: it did not say hello", h->program);
    js_free(h->hello);
    h->hello = j;
    const char *build = js_text(js_get(j, "build"));
    if (!build || strcmp(build, build_id()) != 0)
        return fail(err, E_PROVIDER, "%s is of another build (%.40s, this is %s): install both together", h->program,
                    build ? build : "?", build_id());
    return OK;
}

status helper_start(helper *h, error *err)
{
    char path[PROC_PATH_MAX];
    int fd;
    msg m;
    bool got = false;
    error why = { 0 };
    status s = proc_find(path, h->program, err);
    if (!s)
        s = proc_spawn(&h->process, &fd, path, h->keep, err);
    if (s)
        return s == E_NOMEM ? s : E_PROVIDER;
    msg_link_open(&h->link, fd);
    h->running = true;
    h->ended = false;
    h->next_request = 1;
    s = msg_receive(&h->link, &m, &got, START_MS, &why);
    if (s)
        return lost_early(h, err, &why);
    s = got ? check_hello(h, &m, err) : fail(err, E_PROVIDER, "%s did not start in time", h->program);
    if (s)
        helper_stop(h);
    return s;
}

/* ---- opening ---- */

status helper_error(const js *j, error *err)
{
    status s = status_named(js_text(js_get(j, "status")));
    const char *text = js_text(js_get(j, "text"));
    return fail(err, s ? s : E_PROVIDER, "%s", text ? text : "it failed without saying why");
}

static status send_js(helper *h, msg_type type, uint32_t id, const js *payload, const int *fds, size_t n_fds,
                      error *err)
{
    buf text = BUF_INIT(MSG_BYTES_MAX);
    js_write(payload, JS_COMPACT, &text);
    status s = payload ? buf_ok(&text, "a message to a helper", err) : fail(err, E_NOMEM, "no memory for a message");
    pthread_mutex_lock(&h->sending);
    if (!s)
        s = msg_send(&h->link, type, id, text.data, text.len, fds, n_fds, SEND_MS, err);
    pthread_mutex_unlock(&h->sending);
    buf_clear(&text);
    return s;
}

status helper_open(helper *h, const js *settings, const int *fds, size_t n_fds, js **opened, error *err)
{
    error why = { 0 };
    status s = send_js(h, MSG_OPEN, 0, settings, fds, n_fds, &why);
    if (s == E_PROVIDER)
        return lost_early(h, err, &why);
    while (!s) {
        msg m;
        bool got = false;
        js *j = NULL;
        if (msg_receive(&h->link, &m, &got, LOAD_QUIET_MS, &why) != OK)
            return lost_early(h, err, &why);
        if (!got) {
            s = fail(&why, E_PROVIDER, "%s: opening the model makes no progress", h->program);
        } else if (m.type == MSG_LOADING) {
            continue;
        } else if ((m.type != MSG_OPENED && m.type != MSG_ERROR) ||
                   js_parse(&j, m.data, m.length, h->program, 1, &why) != OK) {
            s = fail(&why, E_PROVIDER, "%s: an answer that is none", h->program);
        } else if (m.type == MSG_ERROR) {
            s = helper_error(j, &why);
            js_free(j);
        } else {
            s = helper_read(h, &why);
            if (!s) {
                *opened = j;
                return OK;
            }
            js_free(j);
        }
    }
    helper_stop(h);
    return fail(err, s, "%s", why.text);
}

/* ---- a call ---- */

static bool send_cancel(helper *h, uint32_t id)
{
    pthread_mutex_lock(&h->sending);
    bool sent = msg_send(&h->link, MSG_CANCEL, id, "", 0, NULL, 0, 1000, NULL) == OK;
    pthread_mutex_unlock(&h->sending);
    return sent;
}

/* Ends a request that the helper still works on: asks, waits a little, then ends the helper. */
static void abandon(helper *h, inbox *in)
{
    uint64_t deadline = clock_mono_us() + (uint64_t)DRAIN_MS * 1000;
    bool over = !send_cancel(h, in->request), ended = false;
    while (!over && !ended && clock_mono_us() < deadline) {
        helper_message *m = inbox_take(h, in, TICK_MS, &ended);
        over = m && (m->type == MSG_DONE || m->type == MSG_ERROR);
        mem_free(m);
        if (over)
            return;
    }
    kill_now(h);
}

typedef struct following {
    helper *h;
    inbox *in;
    call *c;
    uint64_t asked_us; /* when CANCEL was sent; 0: not yet */
    bool over;
} following;

/* Time has passed: a limit of the caller's, or of the answer to a CANCEL. */
static status check_time(following *f, error *err)
{
    uint64_t now = clock_mono_us();
    if (f->asked_us && now - f->asked_us > (uint64_t)DRAIN_MS * 1000) {
        kill_now(f->h);
        f->over = true; /* cancelled, though not gracefully */
        return OK;
    }
    const char *late = f->asked_us ? NULL : call_overdue(f->c, now);
    if (!late)
        return OK;
    abandon(f->h, f->in);
    return call_fail(f->c, err, FAULT_TIMEOUT, E_PROVIDER, "%s (%.1f s)", late, (double)(now - f->c->start_us) * 1e-6);
}

static status too_slow(following *f, error *err)
{
    abandon(f->h, f->in);
    return call_fail(f->c, err, FAULT_INTERNAL, E_RANGE, "the answer was not taken as fast as it came");
}

static status crashed(following *f, error *err)
{
    f->c->fault.kind = FAULT_CRASHED;
    f->c->fault_set = true;
    return lost(f->h, err);
}

/* Events until the last one. Cancelling: CANCEL is sent once, and the DONE that follows is waited for, so that counts
 * and times of a cancelled answer are known too. */
static status follow(following *f, error *err)
{
    status s = OK;
    while (!s && !f->over) {
        bool ended = false;
        if (f->c->cancelled && !f->asked_us) {
            f->asked_us = clock_mono_us();
            if (!send_cancel(f->h, f->in->request))
                kill_now(f->h);
        }
        helper_message *m = inbox_take(f->h, f->in, TICK_MS, &ended);
        if (ended)
            return crashed(f, err);
        if (m && (s = helper_event(f->h, f->c, m, &f->over, err)) != OK && !f->over)
            kill_now(f->h);
        if (!m)
            call_wait(f->c);
        mem_free(m);
        if (!m && f->in->lost)
            return too_slow(f, err);
        if (!s && !f->over)
            s = check_time(f, err);
    }
    return s;
}

status helper_complete(helper *h, const js *payload, call *c, error *err)
{
    error why = { 0 };
    inbox in;
    following f = { .h = h, .in = &in, .c = c };
    status s = inbox_open(h, &in, &why);
    if (!s)
        s = send_js(h, MSG_COMPLETE, in.request, payload, NULL, 0, &why);
    if (s == E_PROVIDER) {
        kill_now(h);
        s = crashed(&f, err);
    } else if (s) {
        s = fail(err, s, "%s", why.text);
    } else {
        s = follow(&f, err);
    }
    inbox_close(h, &in);
    return s;
}
