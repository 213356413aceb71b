/* client.c: see the header. */
#include "http/client.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MAX = 8 << 20, REQUEST_MAX = 1 << 20 };

static status connect_to_socket(const char *path, int *fd, error *err)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof a.sun_path)
        return fail(err, E_RANGE, "%s: too long for the path of a socket", path);
    memcpy(a.sun_path, path, strlen(path) + 1);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd >= 0 && connect(*fd, (const struct sockaddr *)&a, sizeof a) == 0)
        return OK;
    int e = errno;
    if (*fd >= 0)
        close(*fd);
    return fail(err, e == ECONNREFUSED || e == ENOENT ? E_NOTFOUND : E_IO, "no server at %s: %s", path, strerror(e));
}

static status connect_to(const http_question *q, int *fd, error *err)
{
    if (q->socket)
        return connect_to_socket(q->socket, fd, err);
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM }, *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%u", q->port);
    if (getaddrinfo(q->host, port, &hints, &found) != 0)
        return fail(err, E_FORMAT, "%s is no address", q->host);
    *fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int e = *fd < 0 || connect(*fd, found->ai_addr, found->ai_addrlen) != 0 ? errno : 0;
    freeaddrinfo(found);
    if (!e)
        return OK;
    if (*fd >= 0)
        close(*fd);
    return fail(err, e == ECONNREFUSED ? E_NOTFOUND : E_IO, "no server at %s port %u: %s", q->host, q->port,
                strerror(e));
}

static status send_all(int fd, const char *data, size_t n, error *err)
{
    while (n > 0) {
        ssize_t k = send(fd, data, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return fail(err, E_PROVIDER, "the server hung up: %s", strerror(errno));
        data += k;
        n -= (size_t)k;
    }
    return OK;
}

static status send_question(int fd, const http_question *q, error *err)
{
    buf text = BUF_INIT(REQUEST_MAX);
    bool six = strchr(q->host, ':') != NULL;
    buf_printf(&text, "%s %s HTTP/1.0\r\nHost: %s%s%s:%u\r\n", q->method, q->path, six ? "[" : "", q->host,
               six ? "]" : "", q->port);
    if (q->key)
        buf_printf(&text, "Authorization: Bearer %s\r\n", q->key);
    if (q->privacy)
        buf_printf(&text, "x-hearth-class: %s\r\n", q->privacy);
    if (q->body)
        buf_printf(&text, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(q->body));
    buf_str(&text, "\r\n");
    buf_str(&text, q->body ? q->body : "");
    status s = buf_ok(&text, "a request", err);
    if (!s)
        s = send_all(fd, text.data, text.len, err);
    buf_clear(&text);
    return s;
}

/* Everything until the server closes. */
static status receive_all(int fd, int timeout_ms, buf *out, error *err)
{
    char piece[16384];
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int ready = poll(&p, 1, timeout_ms);
        if (ready == 0)
            return fail(err, E_PROVIDER, "the server has not answered for %d ms", timeout_ms);
        ssize_t k = ready < 0 ? -1 : recv(fd, piece, sizeof piece, 0);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return fail(err, E_PROVIDER, "the server hung up: %s", strerror(errno));
        if (k == 0)
            return buf_ok(out, "the server's answer", err);
        buf_add(out, piece, (size_t)k);
    }
}

static status split(const buf *all, int *code, buf *out, error *err)
{
    const char *text = all->len ? all->data : "", *end = strstr(text, "\r\n\r\n");
    if (strncmp(text, "HTTP/1.", 7) != 0 || strlen(text) < 12 || !end)
        return fail(err, E_PROVIDER, "what answers there does not speak HTTP (TLS?)");
    *code = (int)strtol(text + 9, NULL, 10);
    buf_add(out, end + 4, all->len - (size_t)(end + 4 - text));
    return buf_ok(out, "the server's answer", err);
}

status http_ask(const http_question *q, int *code, buf *out, error *err)
{
    buf all = BUF_INIT(ANSWER_MAX);
    int fd = -1;
    status s = connect_to(q, &fd, err);
    if (s)
        return s;
    s = send_question(fd, q, err);
    if (!s)
        s = receive_all(fd, q->timeout_ms, &all, err);
    buf_str(&all, "");
    if (!s)
        s = split(&all, code, out, err);
    close(fd);
    buf_clear(&all);
    return s;
}
