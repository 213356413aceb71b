/* server.c: connections, threads, deadlines.
 *
 * Threads: libmicrohttpd's own (all callbacks), one per running handler, and the watcher, which sees what
 * libmicrohttpd cannot: that the client of a suspended connection has hung up, and that a request takes too long to
 * arrive (libmicrohttpd's timeout is of inactivity only: a byte a second would keep a connection for ever).
 *
 * Lock order: server, then request. libmicrohttpd is told to resume a connection with the request's lock held; it takes
 * no lock of ours in return. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/http_int.h"

void http_options_init(http_options *o)
{
    *o = (http_options){ .host = "127.0.0.1",
                         .max_body = 16 << 20,
                         .max_requests = 64,
                         .max_connections = 256,
                         .read_seconds = 30,
                         .write_seconds = 30 };
}

/* ---- the request's accessors ----------------------------------------------------------------------------------- */

const char *http_method(const http_request *r)
{
    return r->method;
}

const char *http_path(const http_request *r)
{
    return r->path;
}

static const char *field(const http_request *r, enum MHD_ValueKind kind, const char *name)
{
    for (const http_field *f = r->fields; f; f = f->next) {
        if (f->kind == kind && (kind == MHD_HEADER_KIND ? strcasecmp(f->name, name) : strcmp(f->name, name)) == 0)
            return f->value;
    }
    return NULL;
}

const char *http_header(const http_request *r, const char *name)
{
    return field(r, MHD_HEADER_KIND, name);
}

const char *http_query(const http_request *r, const char *name)
{
    return field(r, MHD_GET_ARGUMENT_KIND, name);
}

span http_body(const http_request *r)
{
    return (span){ buf_text(&r->body), r->body.len };
}

bool http_gone(const http_request *r)
{
    http_request *mine = (http_request *)(uintptr_t)r;
    pthread_mutex_lock(&mine->lock);
    bool gone = r->gone;
    pthread_mutex_unlock(&mine->lock);
    return gone;
}

/* ---- the handler's thread -------------------------------------------------------------------------------------- */

static void *run_handler(void *arg)
{
    http_request *r = arg;
    http_server *s = r->server;
    s->handler(s->user, r);
    if (!http_begun(r)) {
        static const char sorry[] = "{\"error\":{\"message\":\"no answer was made\",\"type\":\"server_error\"}}\n";
        http_reply(r, 500, "application/json", sorry, sizeof sorry - 1);
    }
    pthread_mutex_lock(&r->lock);
    r->ended = true;
    if (r->stage == STAGE_STREAMING)
        http_set_deadline(r);
    http_wake(r);
    pthread_mutex_unlock(&r->lock);
    http_leave(r);
    pthread_mutex_lock(&s->lock);
    s->running--;
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static bool take_slot(http_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool ok = !s->stopping && s->running < s->options.max_requests;
    s->running += ok;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

/* The body is complete: gives the exchange to a thread and suspends the connection until it answers. */
static enum MHD_Result start_handler(http_request *r)
{
    http_server *s = r->server;
    if (!take_slot(s)) {
        http_refuse(r, 503, "too many requests at the same time; try again");
        return MHD_YES;
    }
    pthread_mutex_lock(&r->lock); /* the watcher looks at it already */
    r->holders = 2;
    r->stage = STAGE_WORKING;
    r->suspended = true;
    MHD_suspend_connection(r->connection);
    pthread_mutex_unlock(&r->lock);
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&thread, &attributes, run_handler, r);
    pthread_attr_destroy(&attributes);
    if (rc == 0)
        return MHD_YES;
    log_line(LOG_LEVEL_ERROR, "no thread for a request: %s", strerror(rc));
    pthread_mutex_lock(&r->lock);
    r->holders = 1;
    pthread_mutex_unlock(&r->lock);
    http_reply(r, 503, "text/plain", "no thread\n", 10);
    pthread_mutex_lock(&s->lock);
    s->running--;
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
    return MHD_YES;
}

/* ---- libmicrohttpd's callbacks --------------------------------------------------------------------------------- */

/* MHD_KeyValueIterator: copies one field, because the connection may end before the handler does. */
static enum MHD_Result copy_field(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    http_request *r = cls;
    http_field *f = arena_alloc(&r->memory, sizeof *f);
    if (!f)
        return MHD_NO;
    f->kind = kind;
    f->name = arena_strndup(&r->memory, name, strlen(name));
    f->value = arena_strndup(&r->memory, value ? value : "", value ? strlen(value) : 0);
    if (!f->name || !f->value)
        return MHD_NO;
    f->next = r->fields;
    r->fields = f;
    return MHD_YES;
}

static http_connection *connection_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static http_request *new_request(http_server *s, struct MHD_Connection *c, const char *path, const char *method)
{
    http_connection *connection = connection_of(c);
    http_request *r = connection ? mem_zero(sizeof *r) : NULL;
    if (!r)
        return NULL;
    r->memory = (arena)ARENA_INIT(HTTP_FIELD_BYTES);
    r->path = arena_strndup(&r->memory, path, strlen(path));
    r->method = arena_strndup(&r->memory, method, strlen(method));
    int n = MHD_get_connection_values(c, MHD_HEADER_KIND | MHD_GET_ARGUMENT_KIND, NULL, NULL);
    if (!r->path || !r->method ||
        MHD_get_connection_values(c, MHD_HEADER_KIND | MHD_GET_ARGUMENT_KIND, copy_field, r) != n) {
        arena_clear(&r->memory);
        mem_free(r);
        return NULL;
    }
    r->server = s;
    r->connection = c;
    r->body = (buf)BUF_INIT(s->options.max_body);
    r->holders = 1;
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->drained, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_lock(&s->lock);
    connection->request = r;
    pthread_mutex_unlock(&s->lock);
    return r;
}

/* First call, header only: refuse what need not be read. */
static void check_header(http_request *r)
{
    const char *why = http_guard(r->server, http_header(r, "Host"), http_header(r, "Origin"));
    const char *length = http_header(r, "Content-Length");
    uint64_t n;
    if (why)
        http_refuse(r, 403, why);
    else if (length && (!str_u64(length, &n) || n > r->server->options.max_body))
        http_refuse(r, 413, "the body is larger than this server accepts");
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_bytes, void **state)
{
    (void)version;
    http_server *s = cls;
    http_request *r = *state;
    if (!r) {
        r = *state = new_request(s, c, url, method);
        if (r)
            check_header(r);
        return r ? MHD_YES : MHD_NO;
    }
    if (*upload_bytes) {
        if (!r->refused)
            buf_add(&r->body, upload, *upload_bytes);
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
    if (r->body.failed) {
        http_refuse(r, 413, "the body is larger than this server accepts");
        return MHD_YES;
    }
    return start_handler(r);
}

static void on_completed(void *cls, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
    (void)why;
    http_server *s = cls;
    http_request *r = *state;
    if (!r)
        return;
    *state = NULL;
    pthread_mutex_lock(&s->lock);
    http_connection *connection = connection_of(c);
    if (connection) {
        connection->request = NULL;
        connection->since_ms = http_now_ms();
    }
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&r->lock);
    r->gone = true;
    r->suspended = false;
    pthread_cond_broadcast(&r->drained);
    pthread_mutex_unlock(&r->lock);
    http_leave(r);
}

static void connected(http_server *s, struct MHD_Connection *c, void **context)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    http_connection *connection = mem_zero(sizeof *connection);
    if (!connection)
        return; /* no request can begin on it: new_request finds no context */
    connection->fd = info ? info->connect_fd : -1;
    connection->since_ms = http_now_ms();
    *context = connection;
    pthread_mutex_lock(&s->lock);
    connection->next = s->connections;
    s->connections = connection;
    pthread_mutex_unlock(&s->lock);
}

static void disconnected(http_server *s, void **context)
{
    http_connection *connection = *context;
    *context = NULL;
    pthread_mutex_lock(&s->lock);
    for (http_connection **at = &s->connections; *at; at = &(*at)->next) {
        if (*at == connection) {
            *at = connection->next;
            break;
        }
    }
    pthread_mutex_unlock(&s->lock);
    mem_free(connection);
}

static void on_connection(void *cls, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        connected(cls, c, context);
    else
        disconnected(cls, context);
}

static void on_log(void *cls, const char *format, va_list args)
{
    (void)cls;
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    log_line(LOG_LEVEL_INFO, "http: %s", text);
}

/* ---- the watcher ----------------------------------------------------------------------------------------------- */

enum { WATCH_MS = 250 };

/* With the server's lock held: nobody can free a connection or its request meanwhile. */
static void look(http_server *s)
{
    int64_t late = http_now_ms() - (int64_t)s->options.read_seconds * 1000;
    for (http_connection *c = s->connections; c; c = c->next) {
        http_request *r = c->request;
        http_stage stage = STAGE_READING;
        bool gone = false;
        if (r) {
            pthread_mutex_lock(&r->lock);
            stage = r->stage;
            gone = r->gone || (r->last_ms && r->last_ms < http_now_ms());
            pthread_mutex_unlock(&r->lock);
        }
        struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };
        if (stage == STAGE_READING ? c->since_ms < late : gone)
            shutdown(c->fd, SHUT_RDWR); /* too slow a writer, or too slow a reader */
        else if (stage != STAGE_READING && poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)))
            http_mark_gone(r);
    }
}

static void *watch(void *arg)
{
    http_server *s = arg;
    for (;;) {
        struct pollfd p = { .fd = s->wake[0], .events = POLLIN };
        poll(&p, 1, WATCH_MS);
        pthread_mutex_lock(&s->lock);
        bool stop = s->stopping;
        if (!stop)
            look(s);
        pthread_mutex_unlock(&s->lock);
        if (stop)
            return NULL;
    }
}

/* ---- open and close -------------------------------------------------------------------------------------------- */

static bool parse_address(const http_options *o, struct sockaddr_storage *address, bool *v6)
{
    memset(address, 0, sizeof *address);
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    *v6 = strchr(o->host, ':') != NULL;
    if (*v6) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(o->port);
        return inet_pton(AF_INET6, o->host, &six->sin6_addr) == 1;
    }
    four->sin_family = AF_INET;
    four->sin_port = htons(o->port);
    return inet_pton(AF_INET, o->host, &four->sin_addr) == 1;
}

static status start_daemon(http_server *s, error *err)
{
    struct sockaddr_storage address;
    bool v6;
    if (!parse_address(&s->options, &address, &v6))
        return fail(err, E_FORMAT, "'%s' is not a numeric address to listen on", s->host);
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_ITC |
                     MHD_USE_POLL | (v6 ? MHD_USE_IPv6 : 0);
    errno = 0;
    s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, &address,
                                 MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
                                 on_connection, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
                                 MHD_OPTION_CONNECTION_LIMIT, s->options.max_connections,
                                 MHD_OPTION_CONNECTION_TIMEOUT, s->options.read_seconds,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)64 * 1024, MHD_OPTION_END);
    if (!s->daemon)
        return fail(err, E_IO, "cannot listen on %s port %u: %s", s->host, s->options.port,
                    errno ? strerror(errno) : "the address is in use or not ours");
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
    s->port = info && info->port ? info->port : s->options.port;
    return OK;
}

status http_open(http_server **out, const http_options *o, http_handler *handler, void *user, error *err)
{
    http_server *s = mem_zero(sizeof *s);
    if (!s)
        return fail(err, E_NOMEM, "no memory for the server");
    s->options = *o;
    s->handler = handler;
    s->user = user;
    s->wake[0] = s->wake[1] = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->idle, NULL);
    s->host = mem_strdup(o->host);
    s->options.host = s->host;
    status st = s->host ? OK : fail(err, E_NOMEM, "no memory for the server");
    if (!st && pipe2(s->wake, O_CLOEXEC | O_NONBLOCK))
        st = fail(err, E_IO, "pipe: %s", strerror(errno));
    if (!st)
        st = start_daemon(s, err);
    if (!st && pthread_create(&s->watcher, NULL, watch, s))
        st = fail(err, E_IO, "no thread for the server");
    s->watching = !st;
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
    if (s->watching) {
        if (write(s->wake[1], "x", 1) < 0)
            log_line(LOG_LEVEL_DEBUG, "the watcher wakes by itself");
        pthread_join(s->watcher, NULL);
    }
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    for (int i = 0; i < 2; i++) {
        if (s->wake[i] >= 0)
            close(s->wake[i]);
    }
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->host);
    mem_free(s);
    *server = NULL;
}
