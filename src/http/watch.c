/* watch.c: connections, and the thread that sees what libmicrohttpd cannot: that the client of a suspended connection
 * has hung up, and that a request takes too long to arrive (libmicrohttpd's timeout is of inactivity only: a byte a
 * second would keep a connection for ever). */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
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

/* What counts as one address: an IPv4 address, also mapped into IPv6, or the 64 bits of IPv6 that one customer has. */
static void address_key(const struct sockaddr *a, uint8_t key[HTTP_ADDRESS_KEY])
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    memset(key, 0, HTTP_ADDRESS_KEY);
    if (a && a->sa_family == AF_INET) {
        memcpy(key, &((const struct sockaddr_in *)a)->sin_addr, 4);
        key[8] = 4;
    } else if (a && a->sa_family == AF_INET6) {
        const uint8_t *six = ((const struct sockaddr_in6 *)a)->sin6_addr.s6_addr;
        bool four = memcmp(six, mapped, sizeof mapped) == 0;
        memcpy(key, four ? six + 12 : six, four ? 4 : 8);
        key[8] = four ? 4 : 6;
    }
}

enum MHD_Result http_on_accept(void *cls, const struct sockaddr *address, socklen_t n)
{
    (void)n;
    http_server *s = cls;
    uint8_t key[HTTP_ADDRESS_KEY];
    unsigned same = 0;
    if (!s->options.max_per_address)
        return MHD_YES;
    address_key(address, key);
    pthread_mutex_lock(&s->lock);
    for (http_connection *c = s->connections; c; c = c->next)
        same += memcmp(c->address, key, sizeof key) == 0;
    pthread_mutex_unlock(&s->lock);
    if (same < s->options.max_per_address)
        return MHD_YES;
    log_line(LOG_LEVEL_INFO, "http: a connection beyond the %u of one address was closed", s->options.max_per_address);
    return MHD_NO;
}

/* A peer that vanished without a word is asked for signs of life, and what it does not acknowledge ends the connection
 * (not on Unix sockets, where nobody vanishes). */
static void expect_life(int fd, unsigned seconds)
{
    const struct {
        int level, name, value;
    } options[] = { { SOL_SOCKET, SO_KEEPALIVE, 1 },
                    { IPPROTO_TCP, TCP_KEEPIDLE, seconds < 15 ? (int)seconds : 15 },
                    { IPPROTO_TCP, TCP_KEEPINTVL, 5 },
                    { IPPROTO_TCP, TCP_KEEPCNT, 3 },
                    { IPPROTO_TCP, TCP_USER_TIMEOUT, (int)seconds * 1000 } };
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int)))
            return;
    }
}

static void connected(http_server *s, struct MHD_Connection *c, void **context)
{
    const union MHD_ConnectionInfo *from = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    http_connection *connection = mem_zero(sizeof *connection);
    if (!connection)
        return; /* no request can begin on it: new_request finds no context */
    connection->fd = info ? info->connect_fd : -1;
    connection->since_ms = http_now_ms();
    address_key(from ? from->client_addr : NULL, connection->address);
    expect_life(connection->fd, s->options.write_seconds);
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

/* A reader of a stream that takes nothing. Little of it fits into the queue's window, but much into the kernel's, where
 * http_write does not see it wait: acknowledged is what was handed out less what the socket still holds. Its ceiling of
 * rest is write_seconds. */
static bool stalled(const http_server *s, http_connection *c, uint64_t handed_out)
{
    int held = 0;
    if (ioctl(c->fd, SIOCOUTQ, &held) || held <= 0) {
        c->held_since_ms = 0;
        return false;
    }
    int64_t taken = (int64_t)handed_out - held;
    if (!c->held_since_ms || taken > c->taken) {
        c->held_since_ms = http_now_ms();
        c->taken = taken;
    }
    return http_now_ms() - c->held_since_ms > (int64_t)s->options.write_seconds * 1000;
}

/* libmicrohttpd notices, unless the connection is suspended: then its handler must hear first. */
static void cut(http_connection *c)
{
    if (c->request)
        http_mark_gone(c->request);
    shutdown(c->fd, SHUT_RDWR);
}

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
            uint64_t handed_out = r->bytes_out;
            pthread_mutex_unlock(&r->lock);
            gone = (stage == STAGE_STREAMING && stalled(s, c, handed_out)) || gone;
        }
        struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };
        if (stage == STAGE_READING ? c->since_ms < late : gone)
            cut(c); /* too slow a writer, or too slow a reader */
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
