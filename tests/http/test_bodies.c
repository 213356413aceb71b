/* The bodies of all requests together have so much memory: who comes when it is taken is told to come again, who asks
 * for more than there is never gets it, and what was taken comes back. */
#include "lib/check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "http/http.h"

enum { ROOM = 1000 };

static http_server *server;
static atomic_int n_inside, may_leave;

static void nap(void)
{
    nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
}

static void handle(void *user, http_request *r)
{
    (void)user;
    n_inside++;
    while (!may_leave)
        nap();
    n_inside--;
    char text[32];
    int n = snprintf(text, sizeof text, "%zu", http_body(r).n);
    http_reply(r, 200, "text/plain", text, (size_t)n);
}

static int ask(const char *header, const char *body)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(http_port(server)) };
    char head[256];
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval limit = { 10, 0 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n\r\n", header);
    assert_true(send(fd, head, strlen(head), MSG_NOSIGNAL) > 0);
    if (*body)
        assert_true(send(fd, body, strlen(body), MSG_NOSIGNAL) > 0);
    return fd;
}

static const char *answer(int fd)
{
    static char all[4096];
    size_t n = 0;
    for (ssize_t k; n < sizeof all - 1 && (k = recv(fd, all + n, sizeof all - 1 - n, 0)) > 0;)
        n += (size_t)k;
    all[n] = '\0';
    close(fd);
    return all;
}

/* Room comes back a moment after the last byte of an answer: who is refused until then comes again. */
static const char *answer_soon(const char *header, const char *body)
{
    const char *a = answer(ask(header, body));
    for (int i = 0; i < 2000 && str_starts(a, "HTTP/1.1 503"); i++) {
        nap();
        a = answer(ask(header, body));
    }
    return a;
}

static const char *of(size_t n)
{
    static char text[4 * ROOM];
    memset(text, 'x', n);
    text[n] = '\0';
    return text;
}

static const char *chunk_of(size_t n)
{
    static char text[4 * ROOM + 64];
    snprintf(text, sizeof text, "%zx\r\n%s\r\n0\r\n\r\n", n, of(n));
    return text;
}

#define CHUNKED "Transfer-Encoding: chunked"

static void what_never_fits_is_refused(void **state)
{
    (void)state;
    may_leave = 1;
    assert_true(str_starts(answer(ask("Content-Length: 1001", "")), "HTTP/1.1 413"));
    assert_true(str_starts(answer(ask(CHUNKED, chunk_of(ROOM + 1))), "HTTP/1.1 413"));
    assert_true(str_ends(answer_soon("Content-Length: 1000", of(ROOM)), "\r\n\r\n1000"));
    assert_true(str_ends(answer_soon(CHUNKED, chunk_of(ROOM)), "\r\n\r\n1000"));
}

/* A request that the handler has as its `inside`-th, with room as in answer_soon. */
static int enter(const char *header, const char *body, int inside)
{
    int fd = -1;
    for (int i = 0; i < 2000 && n_inside < inside; i++) {
        if (fd >= 0)
            close(fd);
        fd = ask(header, body);
        struct pollfd answered = { fd, POLLIN, 0 };
        while (n_inside < inside && poll(&answered, 1, 2) == 0)
            continue;
    }
    assert_int_equal(n_inside, inside);
    return fd;
}

static void what_is_taken_comes_back(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        may_leave = 0;
        int first = enter("Content-Length: 700", of(700), 1);
        assert_true(str_starts(answer(ask("Content-Length: 301", of(301))), "HTTP/1.1 503"));
        assert_true(str_starts(answer(ask(CHUNKED, chunk_of(301))), "HTTP/1.1 503"));
        int second = enter("Content-Length: 300", of(300), 2);
        may_leave = 1;
        assert_true(str_ends(answer(first), "\r\n\r\n700"));
        assert_true(str_ends(answer(second), "\r\n\r\n300"));
        while (http_busy(server))
            nap();
    }
}

/* One that was announced and never came gives its room back when its connection goes. */
static void who_leaves_gives_back(void **state)
{
    (void)state;
    may_leave = 1;
    close(ask("Content-Length: 900", of(100)));
    assert_true(str_ends(answer_soon("Content-Length: 1000", of(ROOM)), "\r\n\r\n1000"));
}

static int open_server(void **state)
{
    (void)state;
    http_options o;
    http_options_init(&o);
    o.max_bodies = ROOM * HTTP_BODY_COPIES;
    return http_open(&server, &o, handle, NULL, NULL) != OK;
}

static int close_server(void **state)
{
    (void)state;
    may_leave = 1;
    http_close(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_never_fits_is_refused),
        cmocka_unit_test(what_is_taken_comes_back),
        cmocka_unit_test(who_leaves_gives_back),
    };
    return cmocka_run_group_tests(tests, open_server, close_server);
}
