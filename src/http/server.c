/* server.c: libmicrohttpd's callbacks, and the life of the server.
 *
 * Threads: libmicrohttpd's own (all callbacks), one per running handler (handler.c), and the watcher (watch.c).
 *
 * Lock order: server, then request. libmicrohttpd is told to resume a connection with the request's lock held; it takes
 * no lock of ours in return. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "http/http_int.h"

void http_options_init(http_options *o)
{
    *o = (http_options){ .host = "127.0.0.1",
                         .max_body = 16 << 20,
                         .max_requests = 512, /* those that wait for a model are among them */
                         .max_connections = 1024,
                         .read_seconds = 30,
                         .write_seconds = 30,
                         .listen_fd = -1 };
}

/* ---- libmicrohttpd's callbacks --------------------------------------------------------------------------------- */

/* First call, header only: refuse what need not be read. */
static void check_header(http_request *r)
{
    const char *origin = http_header(r, "Origin");
    bool any, listed = http_is_listed(r->server, origin, &any);
    const char *why = http_guard(r->server, http_header(r, "Host"), listed ? NULL : origin);
    const char *length = http_header(r, "Content-Length");
    uint64_t n = 0;
    if (any)
        http_set(r, "Vary", "Origin");
    if (!why && listed)
        http_allow_origin(r, origin);
    if (why)
        http_refuse(r, 403, why);
    else if (listed && http_preflight(r))
        return;
    else if (length && (!str_u64(length, &n) || n > r->server->options.max_body))
        http_refuse(r, 413, "the body is larger than this server accepts");
    else if (n && !http_hold_body(r, n))
        http_refuse_body(r, n);
    else if (!http_names_ok(r)) /* "name : value" too: who reads it loosely takes it for another header, or for none */
        http_refuse(r, 400, "a header's name is no token (RFC 9110): a blank before its colon, or a folded line");
}

/* Of a body whose length nobody said this is where it is counted. It is too late for an answer then, until all came. */
static void add_body(http_request *r, const char *bytes, size_t n)
{
    uint64_t all = (uint64_t)r->body.len + n;
    r->no_room = all <= r->server->options.max_body && !http_hold_body(r, all) ? all : 0;
    if (r->no_room)
        buf_clear(&r->body);
    else
        buf_add(&r->body, bytes, n);
}

enum MHD_Result http_on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_bytes, void **state)
{
    (void)version;
    http_server *s = cls;
    http_request *r = *state;
    if (!r) {
        r = *state = http_request_new(s, c, url, method);
        if (r)
            check_header(r);
        return r ? MHD_YES : MHD_NO;
    }
    if (*upload_bytes) {
        if (!r->refused && !r->no_room)
            add_body(r, upload, *upload_bytes);
        *upload_bytes = 0;
        return MHD_YES;
    }
    if (r->refused)
        return MHD_YES;
    pthread_mutex_lock(&r->lock);
    http_stage stage = r->stage;
    pthread_mutex_unlock(&r->lock);
    if (stage == STAGE_WORKING)
        return MHD_NO; /* resumed without an answer: the client is gone */
    if (stage != STAGE_READING)
        return http_send(r);
    if (r->no_room) {
        http_refuse_body(r, r->no_room);
        return MHD_YES;
    }
    if (r->body.failed) {
        http_refuse(r, 413, "the body is larger than this server accepts");
        return MHD_YES;
    }
    return http_start_handler(r);
}

void http_on_completed(void *cls, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
    http_server *s = cls;
    http_request *r = *state;
    if (!r)
        return;
    *state = NULL;
    pthread_mutex_lock(&s->lock);
    http_connection *connection = http_connection_of(c);
    if (connection) {
        connection->request = NULL;
        connection->since_ms = http_now_ms();
    }
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&r->lock);
    r->gone = true;
    r->whole = why == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    r->suspended = false;
    pthread_cond_broadcast(&r->drained);
    pthread_mutex_unlock(&r->lock);
    http_leave(r);
}

/* ---- open and close -------------------------------------------------------------------------------------------- */

status http_open(http_server **out, const http_options *o, http_handler *handler, void *user, error *err)
{
    http_server *s = mem_zero(sizeof *s);
    if (!s)
        return fail(err, E_NOMEM, "no memory for the server");
    s->options = *o;
    s->handler = handler;
    s->user = user;
    s->wake[0] = s->wake[1] = s->quiet_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->idle, NULL);
    char own[HTTP_HOST_BYTES];
    snprintf(own, sizeof own, "%s", o->host);
    status st = o->listen_fd >= 0 ? http_socket_address(o->listen_fd, own, &s->options.port, err) : OK;
    s->host = mem_strdup(own);
    s->options.host = s->host;
    if (!st && !s->host)
        st = fail(err, E_NOMEM, "no memory for the server");
    if (!st)
        st = http_listen(s, err);
    if (!st)
        st = http_watch(s, err);
    if (st) {
        http_close(&s);
        return st;
    }
    *out = s;
    return OK;
}

uint16_t http_port(const http_server *s)
{
    return s->port;
}

void http_drain(http_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool first = !s->draining;
    s->draining = true;
    pthread_mutex_unlock(&s->lock);
    if (first)
        s->quiet_fd = MHD_quiesce_daemon(s->daemon); /* libmicrohttpd may still look at it: closed after it */
    if (first && s->options.listen_fd < 0 && s->quiet_fd != MHD_INVALID_SOCKET)
        shutdown(s->quiet_fd, SHUT_RD); /* callers are refused; a handed-over socket keeps them for its next server */
}

size_t http_busy(http_server *s)
{
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    for (http_connection *c = s->connections; c; c = c->next) {
        if (!c->request)
            continue;
        pthread_mutex_lock(&c->request->lock);
        n += c->request->stage != STAGE_READING;
        pthread_mutex_unlock(&c->request->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* Every suspended connection must be resumed before libmicrohttpd may stop. */
static void end_requests(http_server *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    for (int round = 0; round < 2; round++) {
        for (http_connection *c = s->connections; c; c = c->next) {
            if (c->request)
                http_mark_gone(c->request);
        }
        while (s->running)
            pthread_cond_wait(&s->idle, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

void http_close(http_server **server)
{
    http_server *s = *server;
    if (!s)
        return;
    end_requests(s);
    http_watch_end(s);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    if (s->quiet_fd >= 0)
        close(s->quiet_fd);
    for (size_t i = 0; i < s->n_origins; i++)
        mem_free(s->origins[i]);
    mem_free(s->origins);
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->host);
    mem_free(s);
    *server = NULL;
}
