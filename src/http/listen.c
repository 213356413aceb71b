/* listen.c: the address, or the socket that was handed over, and libmicrohttpd's daemon on it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "http/http_int.h"

/* ---- addresses ------------------------------------------------------------------------------------------------- */

static bool parse_address(const http_options *o, struct sockaddr_storage *address)
{
    memset(address, 0, sizeof *address);
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    if (strchr(o->host, ':')) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(o->port);
        return inet_pton(AF_INET6, o->host, &six->sin6_addr) == 1;
    }
    four->sin_family = AF_INET;
    four->sin_port = htons(o->port);
    return inet_pton(AF_INET, o->host, &four->sin_addr) == 1;
}

status http_socket_address(int fd, char host[HTTP_HOST_BYTES], uint16_t *port, error *err)
{
    struct sockaddr_storage a = { 0 };
    socklen_t n = sizeof a;
    int listening = 0;
    socklen_t m = sizeof listening;
    if (getsockname(fd, (struct sockaddr *)&a, &n) || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &m))
        return fail(err, E_IO, "descriptor %d: %s", fd, strerror(errno));
    if (!listening)
        return fail(err, E_FORMAT, "descriptor %d is a socket that does not listen", fd);
    *port = 0;
    if (a.ss_family == AF_UNIX) {
        snprintf(host, HTTP_HOST_BYTES, "localhost");
    } else if (a.ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)&a;
        inet_ntop(AF_INET, &four->sin_addr, host, HTTP_HOST_BYTES);
        *port = ntohs(four->sin_port);
    } else if (a.ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&a;
        inet_ntop(AF_INET6, &six->sin6_addr, host, HTTP_HOST_BYTES);
        *port = ntohs(six->sin6_port);
    } else {
        return fail(err, E_UNSUPPORTED, "descriptor %d is a socket of another family than IP and Unix", fd);
    }
    return OK;
}

/* ---- the daemon ------------------------------------------------------------------------------------------------ */

/* Until the daemon has started, what libmicrohttpd says is the reason why it does not. */
static void on_log(void *cls, const char *format, va_list args)
{
    http_server *s = cls;
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    if (!s->daemon)
        snprintf(s->said, sizeof s->said, "%s", text);
    log_line(LOG_LEVEL_INFO, "http: %s", text);
}

typedef struct items {
    struct MHD_OptionItem list[16];
    size_t n;
} items;

static void add(items *i, enum MHD_OPTION option, intptr_t value, void *pointer)
{
    i->list[i->n++] = (struct MHD_OptionItem){ option, value, pointer };
}

static void add_limits(items *i, const http_options *o)
{
    add(i, MHD_OPTION_CONNECTION_LIMIT, o->max_connections, NULL);
    add(i, MHD_OPTION_CONNECTION_TIMEOUT, o->read_seconds, NULL);
    add(i, MHD_OPTION_CONNECTION_MEMORY_LIMIT, 64 * 1024, NULL); /* a header beyond it is a 431 */
}

static status start(http_server *s, unsigned flags, struct sockaddr_storage *address, error *err)
{
    const http_options *o = &s->options;
    items i = { .n = 0 };
    flags |= MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_ITC |
             MHD_USE_POLL;
    add_limits(&i, o);
    if (o->listen_fd >= 0)
        add(&i, MHD_OPTION_LISTEN_SOCKET, o->listen_fd, NULL);
    else
        add(&i, MHD_OPTION_SOCK_ADDR, 0, address);
    if (o->tls_cert) {
        flags |= MHD_USE_TLS;
        add(&i, MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->tls_cert);
        add(&i, MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->tls_key);
        add(&i, MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2");
    }
    add(&i, MHD_OPTION_END, 0, NULL);
    errno = 0;
    s->daemon = MHD_start_daemon(flags, 0, http_on_accept, s, http_on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, s,
                                 MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
                                 http_on_connection, s, MHD_OPTION_ARRAY, i.list, MHD_OPTION_END);
    if (s->daemon)
        return OK;
    if (o->tls_cert && strstr(s->said, "TLS"))
        return fail(err, E_FORMAT, "the certificate and its key do not work: %s", s->said);
    return fail(err, E_IO, "cannot listen on %s port %u: %s", s->host, o->port,
                errno ? strerror(errno) : s->said[0] ? s->said : "the address is in use or not ours");
}

status http_listen(http_server *s, error *err)
{
    struct sockaddr_storage address;
    const http_options *o = &s->options;
    if (o->listen_fd < 0 && !parse_address(o, &address))
        return fail(err, E_FORMAT, "'%s' is not a numeric address to listen on", s->host);
    if (o->tls_cert && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
        return fail(err, E_UNSUPPORTED, "this libmicrohttpd was built without TLS");
    status st = start(s, strchr(s->host, ':') ? MHD_USE_IPv6 : 0, &address, err);
    if (st)
        return st;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
    s->port = info && info->port ? info->port : o->port;
    return OK;
}
