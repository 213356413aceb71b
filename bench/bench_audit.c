/* What the audit log adds to a request: audit_append with a body of 4 KiB, on a disk (BENCH_DIR, default build) and in
 * memory (/dev/shm: the same work, without waiting for a disk); then how fast a log is verified.
 *
 *   tools/bench build audit */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plat/clock.h"
#include "privacy/audit_verify.h"

enum { THREADS_MAX = 16, BODY = 4096 };

typedef struct lane {
    audit *log;
    double *us;
    size_t n;
} lane;

static char body[BODY];

static void *append(void *user)
{
    lane *l = user;
    error err = { 0 };
    audit_receipt r;
    audit_entry e = { .privacy = PRIVACY_PUBLIC, .place = PRIVACY_REMOTE, .host = "https://api.openai.com:443",
                      .model = "gpt-4o-mini", .task = "ticket-class", .caller = "laptop", .request = "chatcmpl-1",
                      .policy = "class", .detectors = "1", .body = body, .body_bytes = sizeof body };
    for (size_t i = 0; i < l->n; i++) {
        uint64_t start = clock_mono_us();
        if (audit_append(l->log, &e, &r, &err) != OK) {
            fprintf(stderr, "%s\n", err.text);
            exit(1);
        }
        l->us[i] = (double)(clock_mono_us() - start);
    }
    return NULL;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(const char *where, int threads, size_t n)
{
    pthread_t id[THREADS_MAX];
    lane l[THREADS_MAX];
    error err = { 0 };
    audit *log = NULL;
    double *us = calloc(n, sizeof *us);
    if (!us || audit_open(&log, &err) != OK)
        exit(1);
    uint64_t start = clock_mono_us();
    for (int i = 0; i < threads; i++) {
        l[i] = (lane){ log, us + (size_t)i * (n / (size_t)threads), n / (size_t)threads };
        pthread_create(&id[i], NULL, append, &l[i]);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(id[i], NULL);
    double s = (double)(clock_mono_us() - start) * 1e-6;
    audit_counts c = audit_count(log);
    qsort(us, n, sizeof *us, ascending);
    printf("%-6s %2d threads: p50 %6.0f us, p99 %6.0f us, %7.0f appends/s, %.1f records a commit\n", where, threads,
           us[n / 2], us[n * 99 / 100], (double)n / s, (double)c.records / (double)c.commits);
    audit_close(&log);
    free(us);
}

static void verify(const char *where)
{
    audit_verdict v;
    audit_question q = { .log = NULL };
    error err = { 0 };
    uint64_t start = clock_mono_us();
    if (audit_verify(&q, NULL, NULL, &v, &err) != OK || !v.holds || !v.keyed) {
        fprintf(stderr, "%s%s\n", err.text, v.fault);
        exit(1);
    }
    double s = (double)(clock_mono_us() - start) * 1e-6;
    printf("%-6s verify: %llu records in %.3f s, %.0f a second\n", where, (unsigned long long)v.records, s,
           (double)v.records / s);
}

static void run(const char *where, const char *folder, size_t n)
{
    static const char *const names[] = { "audit.log", "audit.state", "audit.key", "audit.anchors" };
    char home[256], path[300];
    snprintf(home, sizeof home, "%s/bench-audit-XXXXXX", folder);
    if (!mkdtemp(home) || setenv("HEARTH_HOME", home, 1) != 0) {
        printf("%s: no folder can be made there\n", folder);
        return;
    }
    measure(where, 1, n);
    measure(where, 8, n);
    verify(where);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s/%s", home, names[i]);
        unlink(path);
    }
    rmdir(home);
}

int main(void)
{
    const char *disk = getenv("BENCH_DIR");
    memset(body, 'x', sizeof body);
    run("disk", disk ? disk : "build", 2000);
    run("memory", "/dev/shm", 20000);
    return 0;
}
