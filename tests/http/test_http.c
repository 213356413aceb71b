/* A real listener and real sockets: answers, limits, clients that are slow, rude or gone. */
#include "lib/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "http/http.h"

enum { BIG_BYTES = 6 << 20, MAX_PER_ADDRESS = 28 };

static http_server *server;
static atomic_int n_gone, n_slow_ended, n_stalled, n_done;

static void nap(int ms)
{
    struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
    nanosleep(&t, NULL);
}

static void handle(void *user, http_request *r)
{
    (void)user;
    span body = http_body(r);
    const char *path = http_path(r);
    if (strcmp(path, "/echo") == 0) {
        http_set(r, "X-Echo", http_header(r, "x-ask") ? http_header(r, "x-ask") : "none");
        http_set(r, "X-Evil", "a\r\nSet-Cookie: b");
        http_reply(r, 200, "text/plain", body.p, body.n);
    } else if (strcmp(path, "/stream") == 0) {
        http_begin(r, 200, "text/event-stream");
        for (int i = 0; i < 5; i++) {
            char line[32];
            int n = snprintf(line, sizeof line, "data: %d\n\n", i);
            if (http_write(r, line, (size_t)n))
                return;
            nap(20);
        }
    } else if (strcmp(path, "/wait") == 0) {
        for (int i = 0; i < 100 && !http_gone(r); i++)
            nap(50);
        n_gone += http_gone(r);
        http_reply(r, 200, "text/plain", "late", 4);
    } else if (strcmp(path, "/big") == 0) {
        static char big[BIG_BYTES];
        http_reply(r, 200, "text/plain", big, sizeof big);
    } else if (strcmp(path, "/flood") == 0) {
        static char block[65536];
        http_begin(r, 200, "text/plain");
        while (http_write(r, block, sizeof block) == OK)
            ;
        n_slow_ended++;
    } else if (strcmp(path, "/trickle") == 0) { /* far less than any queue holds */
        http_begin(r, 200, "text/plain");
        for (int i = 0; i < 150 && http_write(r, "a few bytes a time\n", 19) == OK && !http_gone(r); i++)
            nap(20);
        n_stalled += http_gone(r);
    } else if (strcmp(path, "/headers") == 0) {
        for (int i = 0; i < 40; i++) {
            char name[16];
            snprintf(name, sizeof name, "X-Many-%d", i);
            http_set(r, name, "first");
        }
        http_set(r, "x-many-3", "second");
        http_reply(r, 200, "text/plain", "", 0);
    } /* anything else: a handler that answers nothing */
}

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(http_port(server)) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct timeval limit = { 10, 0 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Everything until the other side closes. */
static const char *hear(int fd)
{
    static char all[1 << 16];
    size_t n = 0;
    for (ssize_t k; n < sizeof all - 1 && (k = recv(fd, all + n, sizeof all - 1 - n, 0)) > 0;)
        n += (size_t)k;
    all[n] = '\0';
    close(fd);
    return all;
}

static const char *ask(const char *request)
{
    int fd = dial();
    say(fd, request);
    return hear(fd);
}

#define HEAD "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"

static void answers_come_back(void **state)
{
    (void)state;
    const char *a = ask("POST /echo " HEAD "X-Ask: hi\r\nContent-Length: 5\r\n\r\nhello");
    assert_true(str_starts(a, "HTTP/1.1 200"));
    assert_non_null(strstr(a, "X-Echo: hi"));
    assert_null(strstr(a, "\r\nSet-Cookie"));
    assert_true(str_ends(a, "\r\n\r\nhello"));
    assert_true(str_starts(ask("GET /nothing " HEAD "\r\n"), "HTTP/1.1 500"));
}

static void streams_arrive_in_pieces(void **state)
{
    (void)state;
    const char *a = ask("GET /stream " HEAD "\r\n");
    assert_non_null(strstr(a, "Transfer-Encoding: chunked"));
    assert_non_null(strstr(a, "data: 0\n\n"));
    assert_non_null(strstr(a, "data: 4\n\n"));
    assert_true(str_ends(a, "0\r\n\r\n"));
}

static void foreign_hosts_and_origins_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        int code;
    } cases[] = {
        { "Host: localhost:5150\r\n", 200 },
        { "Host: 127.0.0.1\r\nOrigin: http://127.0.0.1:3000\r\n", 200 },
        { "Host: [::1]:80\r\n", 200 },
        { "Host: evil.example\r\n", 403 },
        { "Host: 127.0.0.1.evil.example\r\n", 403 },
        { "Host: localhost\r\nOrigin: https://evil.example\r\n", 403 },
        { "Host: localhost\r\nOrigin: null\r\n", 403 },
        { "Host: localhost\r\nOrigin: http://localhost.evil.example\r\n", 403 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char request[512], want[32];
        snprintf(request, sizeof request, "GET /echo HTTP/1.1\r\nConnection: close\r\n%s\r\n", cases[i].lines);
        snprintf(want, sizeof want, "HTTP/1.1 %d", cases[i].code);
        if (!str_starts(ask(request), want))
            fail_msg("%s: expected %d", cases[i].lines, cases[i].code);
    }
}

static void bodies_have_a_ceiling(void **state)
{
    (void)state;
    assert_true(str_starts(ask("POST /echo " HEAD "Content-Length: 99999999\r\n\r\n"), "HTTP/1.1 413"));
    int fd = dial();
    say(fd, "POST /echo " HEAD "Transfer-Encoding: chunked\r\n\r\n");
    char chunk[4096 + 16];
    int n = snprintf(chunk, sizeof chunk, "1000\r\n%04096d\r\n", 0);
    for (int i = 0; i < 40; i++) {
        if (send(fd, chunk, (size_t)n, MSG_NOSIGNAL) < 0)
            break;
    }
    send(fd, "0\r\n\r\n", 5, MSG_NOSIGNAL);
    assert_true(str_starts(hear(fd), "HTTP/1.1 413"));
}

static void a_client_that_left_is_noticed(void **state)
{
    (void)state;
    int before = n_gone;
    int fd = dial();
    say(fd, "GET /wait " HEAD "\r\n");
    nap(200);
    close(fd);
    for (int i = 0; i < 40 && n_gone == before; i++)
        nap(50);
    assert_int_equal(n_gone, before + 1);
}

static void slow_readers_lose_their_connection(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "GET /flood " HEAD "\r\n");
    for (int i = 0; i < 60 && !n_slow_ended; i++)
        nap(100);
    assert_int_equal(n_slow_ended, 1);
    close(fd);
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

static void headers_are_replaced_and_none_is_lost_in_silence(void **state)
{
    (void)state;
    const char *a = ask("GET /headers " HEAD "\r\n");
    assert_int_equal(count(a, "X-Many-"), 32);
    assert_non_null(strstr(a, "X-Many-3: second\r\n"));
    assert_non_null(strstr(a, "X-Hearth-Headers-Dropped: 8\r\n"));
    assert_null(strstr(ask("GET /echo " HEAD "\r\n"), "Headers-Dropped"));
}

/* The reader takes nothing, and the kernel's buffers would take the small pieces for minutes: the handler hears within
 * write_seconds (and the watcher's quarter of a second, twice). */
static void a_stream_nobody_takes_is_ended(void **state)
{
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 1024;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(http_port(server)) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    say(fd, "GET /trickle " HEAD "\r\n");
    for (int i = 0; i < 60 && !n_stalled; i++)
        nap(100);
    assert_int_equal(n_stalled, 1);
    close(fd);
}

/* As slow, but it takes a little all the time: to the end. */
static void a_slow_reader_of_a_slow_stream_is_served(void **state)
{
    (void)state;
    char bit[512];
    int fd = dial();
    size_t got = 0;
    int before = n_stalled;
    say(fd, "GET /trickle " HEAD "\r\n");
    for (ssize_t n; (n = recv(fd, bit, sizeof bit, 0)) > 0; got += (size_t)n)
        nap(50);
    close(fd);
    assert_int_equal(n_stalled, before);
    assert_true(got > 150 * 19);
}

/* 1: an answer has begun or is awaited; 0: closed without one. */
static int is_open(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void one_address_has_so_many_connections(void **state)
{
    (void)state;
    int fds[40], open = 0;
    for (int i = 0; i < 40; i++)
        fds[i] = dial();
    nap(300);
    for (int i = 0; i < 40; i++)
        open += is_open(fds[i]);
    assert_int_equal(open, MAX_PER_ADDRESS);
    int other = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in from = { .sin_family = AF_INET }, to = { .sin_family = AF_INET };
    to.sin_port = htons(http_port(server));
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* by its number: src/chat has a function of the name `bind`, and this program links it */
    assert_int_equal(syscall(SYS_bind, other, &from, (socklen_t)sizeof from), 0);
    assert_int_equal(connect(other, (struct sockaddr *)&to, sizeof to), 0);
    say(other, "GET /echo " HEAD "\r\n");
    assert_true(str_starts(hear(other), "HTTP/1.1 200"));
    for (int i = 0; i < 40; i++)
        close(fds[i]);
    nap(300);
    assert_true(str_starts(ask("GET /echo " HEAD "\r\n"), "HTTP/1.1 200"));
}

static void a_header_has_a_ceiling(void **state)
{
    (void)state;
    static char request[200000];
    int n = snprintf(request, sizeof request, "GET /echo " HEAD "X-Long: %0150000d\r\n\r\n", 0);
    int fd = dial();
    send(fd, request, (size_t)n, MSG_NOSIGNAL);
    const char *a = hear(fd);
    assert_true(!*a || str_starts(a, "HTTP/1.1 431") || str_starts(a, "HTTP/1.1 413"));
    assert_true(str_starts(ask("GET /echo " HEAD "\r\n"), "HTTP/1.1 200"));
}

/* A body that comes a byte at a time is bounded as the header is. */
static void a_body_a_byte_at_a_time_runs_out_of_time(void **state)
{
    (void)state;
    int fd = dial(), sent = 0;
    say(fd, "POST /echo " HEAD "Content-Length: 1000\r\n\r\n");
    for (; sent < 100; sent++) {
        if (send(fd, "x", 1, MSG_NOSIGNAL) < 0)
            break;
        nap(100);
    }
    assert_in_range(sent, 10, 60);
    close(fd);
}

static void every_request_is_done_once(void **state)
{
    (void)state;
    int before = n_done;
    for (int i = 0; i < 5; i++)
        ask("POST /echo " HEAD "Content-Length: 2\r\n\r\nhi");
    ask("GET /echo HTTP/1.1\r\nConnection: close\r\nHost: evil.example\r\n\r\n");
    for (int i = 0; i < 40 && n_done < before + 6; i++)
        nap(50);
    assert_int_equal(n_done, before + 6);
}

/* An answer that is complete is not kept for ever for one who takes a little of it now and then: a second, and six
 * for these six megabytes. What the kernel had taken by then still arrives. */
static void drips_of_an_answer_run_out_of_time(void **state)
{
    (void)state;
    char bit[2048];
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(http_port(server)) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    say(fd, "GET /big " HEAD "\r\n");
    size_t got = 0;
    int rounds = 0;
    for (ssize_t n; (n = recv(fd, bit, sizeof bit, 0)) > 0; rounds++) {
        got += (size_t)n;
        nap(rounds < 90 ? 100 : 0);
    }
    assert_in_range(got, 1000, BIG_BYTES - 1);
    close(fd);
}

static void a_header_a_byte_at_a_time_runs_out_of_time(void **state)
{
    (void)state;
    int fd = dial();
    const char *drip = "GET /echo HTTP/1.1\r\nHost: localhost\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    int sent = 0;
    for (; drip[sent]; sent++) {
        if (send(fd, drip + sent, 1, MSG_NOSIGNAL) < 0)
            break;
        nap(100);
    }
    assert_true(sent < 60); /* cut off after about two seconds, though never idle */
    close(fd);
}

static void many_at_once_are_all_answered(void **state)
{
    (void)state;
    int fds[24];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = dial();
        say(fds[i], "GET /stream " HEAD "\r\n");
    }
    int ok = 0, busy = 0;
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        const char *a = hear(fds[i]);
        ok += strstr(a, "data: 4\n\n") != NULL;
        busy += str_starts(a, "HTTP/1.1 503");
    }
    assert_int_equal(ok + busy, (int)ARRAY_LEN(fds));
    assert_true(ok >= 16);
}

static void addresses_in_use_are_named(void **state)
{
    (void)state;
    http_options o;
    http_options_init(&o);
    o.port = http_port(server);
    http_server *second = NULL;
    error e;
    assert_int_equal(http_open(&second, &o, handle, NULL, &e), E_IO);
    assert_non_null(strstr(e.text, "127.0.0.1"));
    assert_null(second);
    o.host = "localhost";
    assert_int_equal(http_open(&second, &o, handle, NULL, &e), E_FORMAT);
}

static void count_done(void *user, const http_summary *s)
{
    (void)user;
    bool echo = strcmp(s->path, "/echo") == 0 && s->code == 200 && s->body.n == 2 && s->bytes_out == 2;
    bool refused = s->code == 403 && !s->context && s->whole;
    n_done += echo || refused;
}

static int start(void **state)
{
    (void)state;
    http_options o;
    http_options_init(&o);
    o.max_body = 100000;
    o.max_requests = 16;
    o.max_per_address = MAX_PER_ADDRESS;
    o.done = count_done;
    o.read_seconds = 2;
    o.write_seconds = 1;
    error e;
    if (http_open(&server, &o, handle, NULL, &e)) {
        print_error("%s\n", e.text);
        return -1;
    }
    return 0;
}

static int stop(void **state)
{
    (void)state;
    int fd = dial(); /* closing while a handler works must end it, not hang */
    say(fd, "GET /wait " HEAD "\r\n");
    nap(100);
    http_close(&server);
    close(fd);
    return server != NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_back),
        cmocka_unit_test(streams_arrive_in_pieces),
        cmocka_unit_test(foreign_hosts_and_origins_are_refused),
        cmocka_unit_test(bodies_have_a_ceiling),
        cmocka_unit_test(a_client_that_left_is_noticed),
        cmocka_unit_test(slow_readers_lose_their_connection),
        cmocka_unit_test(headers_are_replaced_and_none_is_lost_in_silence),
        cmocka_unit_test(a_stream_nobody_takes_is_ended),
        cmocka_unit_test(a_slow_reader_of_a_slow_stream_is_served),
        cmocka_unit_test(a_header_has_a_ceiling),
        cmocka_unit_test(a_body_a_byte_at_a_time_runs_out_of_time),
        cmocka_unit_test(one_address_has_so_many_connections),
        cmocka_unit_test(every_request_is_done_once),
        cmocka_unit_test(drips_of_an_answer_run_out_of_time),
        cmocka_unit_test(a_header_a_byte_at_a_time_runs_out_of_time),
        cmocka_unit_test(many_at_once_are_all_answered),
        cmocka_unit_test(addresses_in_use_are_named),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
