/* listen.c: the address and libmicrohttpd's daemon on it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "http/http_int.h"

static void on_log(void *cls, const char *format, va_list args)
{
    (void)cls;
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    log_line(LOG_LEVEL_INFO, "http: %s", text);
}

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

status http_listen(http_server *s, error *err)
{
    struct sockaddr_storage address;
    bool v6;
    if (!parse_address(&s->options, &address, &v6))
        return fail(err, E_FORMAT, "'%s' is not a numeric address to listen on", s->host);
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_ITC |
                     MHD_USE_POLL | (v6 ? MHD_USE_IPv6 : 0);
    errno = 0;
    s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, http_on_request, s, MHD_OPTION_SOCK_ADDR, &address,
                                 MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
                                 http_on_connection, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
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
