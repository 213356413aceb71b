/* watch.c: connections, and the thread that sees what libmicrohttpd cannot: that the client of a suspended connection
 * has hung up, and that a request takes too long to arrive (libmicrohttpd's timeout is of inactivity only: a byte a
 * second would keep a connection for ever). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/http_int.h"

/* ---- connections ----------------------------------------------------------------------------------------------- */

http_connection *http_connection_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
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

void http_on_connection(void *cls, struct MHD_Connection *c, void **context,
                        enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        connected(cls, c, context);
    else
        disconnected(cls, context);
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
status http_watch(http_server *s, error *err)
{
    if (pipe2(s->wake, O_CLOEXEC | O_NONBLOCK))
        return fail(err, E_IO, "pipe: %s", strerror(errno));
    if (pthread_create(&s->watcher, NULL, watch, s))
        return fail(err, E_IO, "no thread for the server");
    s->watching = true;
    return OK;
}

void http_watch_end(http_server *s)
{
    if (s->watching) {
        if (write(s->wake[1], "x", 1) < 0)
            log_line(LOG_LEVEL_DEBUG, "the watcher wakes by itself");
        pthread_join(s->watcher, NULL);
    }
    for (int i = 0; i < 2; i++) {
        if (s->wake[i] >= 0)
            close(s->wake[i]);
    }
}
