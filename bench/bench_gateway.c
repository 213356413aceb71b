/* bench_gateway: what hearth adds to a request that another server answers: the same requests straight to a trivial
 * upstream and through `hearth serve` (logging on), at several rates. Latencies count from the moment a request was
 * due, so that a server that falls behind shows it.
 *
 *     bench_gateway [SECONDS [RATE...]]      HEARTH_BUILD says where hearth is (build) */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SENDERS = 32, PIECE = 65536, RATES_MAX = 8 };

static const char answer[] =
    "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":"
    "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"yes\"},\"finish_reason\":null}]}\n\n"
    "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":"
    "[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],"
    "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1,\"total_tokens\":10}}\n\ndata: [DONE]\n\n";

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "gateway: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- HTTP, as little as it takes ---- */

static bool send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

/* One message: its head, then Content-Length bytes, or chunks up to the empty one. False: none. */
static bool receive(int fd, char room[PIECE])
{
    size_t have = 0, whole = 0;
    while (!whole || have < whole) {
        if (have == PIECE - 1)
            return false;
        ssize_t k = recv(fd, room + have, PIECE - 1 - have, 0);
        if (k <= 0)
            return false;
        have += (size_t)k;
        room[have] = 0;
        char *end = strstr(room, "\r\n\r\n");
        if (!end)
            continue;
        char *length = strcasestr(room, "content-length:");
        if (length && length < end)
            whole = (size_t)(end + 4 - room) + strtoul(length + 15, NULL, 10);
        else if (strstr(end, "\r\n0\r\n\r\n"))
            return true;
    }
    return true;
}

/* ---- the upstream ---- */

static void *serve_one(void *user)
{
    int fd = (int)(intptr_t)user;
    char *room = malloc(PIECE), head[256];
    int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                     "Content-Length: %zu\r\n\r\n", sizeof answer - 1);
    while (room && receive(fd, room) && send_all(fd, head, (size_t)n) && send_all(fd, answer, sizeof answer - 1))
        ;
    free(room);
    close(fd);
    return NULL;
}

static void *serve_all(void *user)
{
    int listener = (int)(intptr_t)user;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        pthread_t t;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd) == 0)
            pthread_detach(t);
    }
    return NULL;
}

static int listen_any(uint16_t *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) || listen(fd, 512) || getsockname(fd, (struct sockaddr *)&a, &n))
        die("listen");
    *port = ntohs(a.sin_port);
    return fd;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    a.sin_port = htons(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

/* ---- the senders ---- */

typedef struct load {
    uint16_t port;
    double rate;
    uint64_t start_us;
    uint32_t n; /* requests in all */
    atomic_uint next, failed;
    uint32_t *took_us;
    char request[1024];
} load;

static void *send_some(void *user)
{
    load *l = user;
    char *room = malloc(PIECE);
    int fd = connect_to(l->port);
    for (uint32_t i; room && (i = atomic_fetch_add(&l->next, 1)) < l->n;) {
        uint64_t due = l->start_us + (uint64_t)((double)i * 1e6 / l->rate), now = now_us();
        if (due > now)
            usleep((useconds_t)(due - now));
        bool ok = fd >= 0 && send_all(fd, l->request, strlen(l->request)) && receive(fd, room) &&
                  !strncmp(room, "HTTP/1.1 200", 12) && strstr(room, "yes");
        l->took_us[i] = (uint32_t)(now_us() - due);
        if (ok)
            continue;
        if (atomic_fetch_add(&l->failed, 1) == 0 && fd >= 0)
            fprintf(stderr, "gateway: %.300s\n", room);
        if (fd >= 0)
            close(fd);
        fd = connect_to(l->port);
    }
    if (fd >= 0)
        close(fd);
    free(room);
    return NULL;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

typedef struct figures {
    double p50_ms, p99_ms;
    unsigned failed;
} figures;

static figures measure(uint16_t port, double rate, double seconds)
{
    static load l;
    pthread_t threads[SENDERS];
    const char *body = "{\"model\":\"up\",\"messages\":[{\"role\":\"user\",\"content\":\"Is water wet?\"}],"
                       "\"max_tokens\":1}";
    memset(&l, 0, sizeof l);
    l.port = port;
    l.rate = rate;
    l.n = (uint32_t)(rate * seconds) > 0 ? (uint32_t)(rate * seconds) : 1;
    l.took_us = calloc(l.n, sizeof *l.took_us);
    snprintf(l.request, sizeof l.request, "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    l.start_us = now_us() + 100000;
    for (int i = 0; i < SENDERS; i++)
        if (pthread_create(&threads[i], NULL, send_some, &l))
            die("thread");
    for (int i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    qsort(l.took_us, l.n, sizeof *l.took_us, ascending);
    figures f = { l.took_us[l.n / 2] / 1e3, l.took_us[(uint32_t)(0.99 * (l.n - 1))] / 1e3, l.failed };
    free(l.took_us);
    return f;
}

/* ---- hearth ---- */

static pid_t start_hearth(const char *home, uint16_t port, uint16_t upstream)
{
    const char *build = getenv("HEARTH_BUILD");
    char path[4096], text[64];
    snprintf(path, sizeof path, "%s/config.yaml", home);
    FILE *f = fopen(path, "w");
    if (!f)
        die(path);
    fprintf(f, "version: 1\ndefault_class: public\nproviders:\n  - {name: up, kind: openai, "
            "url: \"http://127.0.0.1:%u/v1\", model: m}\n", upstream);
    fclose(f);
    snprintf(path, sizeof path, "%s/hearth", build ? build : "build");
    snprintf(text, sizeof text, "127.0.0.1:%u", port);
    pid_t pid = fork();
    if (pid == 0) {
        char log[4200];
        snprintf(log, sizeof log, "%s/log", home);
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, 2);
        setenv("HEARTH_HOME", home, 1);
        execl(path, "hearth", "serve", "--listen", text, (char *)NULL);
        _exit(127);
    }
    for (int i = 0, fd; i < 200; i++) {
        if ((fd = connect_to(port)) >= 0) {
            close(fd);
            return pid;
        }
        usleep(50000);
    }
    die("hearth did not start");
    return pid;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 5, rates[RATES_MAX] = { 1, 100, 1000 };
    int n_rates = 3;
    for (int i = 2; i < argc && i - 2 < RATES_MAX; i++) {
        rates[i - 2] = strtod(argv[i], NULL);
        n_rates = i - 1;
    }
    uint16_t upstream, port;
    char home[] = "/tmp/hearth-gateway-XXXXXX", command[100];
    pthread_t t;
    if (!mkdtemp(home))
        die(home);
    signal(SIGPIPE, SIG_IGN);
    int listener = listen_any(&upstream);
    pthread_create(&t, NULL, serve_all, (void *)(intptr_t)listener);
    close(listen_any(&port));
    pid_t pid = start_hearth(home, port, upstream);
    (void)measure(port, 2000, 1); /* its helpers are started */
    unsigned failed = 0;
    for (int i = 0; i < n_rates; i++) {
        figures direct = measure(upstream, rates[i], seconds), through = measure(port, rates[i], seconds);
        printf("%6.0f/s  direct p50 %.2f ms p99 %.2f ms   through hearth p50 %.2f ms p99 %.2f ms   added p50 %.2f ms "
               "p99 %.2f ms   failed %u\n", rates[i], direct.p50_ms, direct.p99_ms, through.p50_ms, through.p99_ms,
               through.p50_ms - direct.p50_ms, through.p99_ms - direct.p99_ms, through.failed);
        fflush(stdout);
        failed += direct.failed + through.failed;
    }
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    snprintf(command, sizeof command, "rm -r %s", home);
    return system(command) != 0 || failed > 0;
}
