/* journal.c: two buffers: one is filled while the other one is written. */
#include "api/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "plat/clock.h"

enum { STEP_BYTES = 4096, /* what a pipe that is ready takes without blocking (PIPE_BUF) */
       POLL_MS = 100,
       LAST_US = 2000000 };

struct journal {
    char *path; /* NULL: standard error */
    pthread_t writer;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    buf waiting;
    uint64_t dropped;
    int fd, next_fd; /* next_fd: to be written to from now on; -1: none */
    bool started, ending;
    bool torn; /* the writer's: the last line stops in its middle */
    uint64_t end_us; /* when to give up after `ending` */
};

static status open_file(const char *path, int *fd, error *err)
{
    /* not blocking: a pipe without a reader is an error now, a full one is waited for by the writer alone */
    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    return *fd >= 0 ? OK : fail(err, E_IO, "%s: %s", path, strerror(errno));
}

/* ---- the writer ---- */

static bool too_late(journal *j)
{
    pthread_mutex_lock(&j->lock);
    bool late = j->ending && clock_mono_us() > j->end_us;
    pthread_mutex_unlock(&j->lock);
    return late;
}

/* Writes all of it: OK, or where it stopped: a disk that is full or gone loses lines, not requests. */
static size_t put(journal *j, const char *bytes, size_t n)
{
    size_t done = 0;
    while (done < n) {
        struct pollfd p = { .fd = j->fd, .events = POLLOUT };
        if (poll(&p, 1, POLL_MS) <= 0) {
            if (too_late(j)) {
                errno = ETIMEDOUT;
                return done;
            }
            continue;
        }
        ssize_t k = write(j->fd, bytes + done, n - done < STEP_BYTES ? n - done : STEP_BYTES);
        if (k < 0 && errno != EINTR && errno != EAGAIN)
            return done;
        done += k > 0 ? (size_t)k : 0;
    }
    return done;
}

static uint64_t count_lines(const char *bytes, size_t n)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += bytes[i] == '\n';
    return lines;
}

/* What could not be written is said when something can be: *lost lines, the first of them perhaps in part. */
static void put_lines(journal *j, const char *bytes, size_t n, uint64_t *lost)
{
    char line[96], when[CLOCK_TEXT];
    size_t done = put(j, bytes, n);
    if (done < n) {
        if (!*lost)
            log_line(LOG_LEVEL_WARN, "the log cannot be written: %s", strerror(errno));
        *lost += count_lines(bytes + done, n - done);
        j->torn = j->torn || (done && bytes[done - 1] != '\n');
    }
    if (done < n || !*lost)
        return;
    int k = snprintf(line, sizeof line, "%s{\"time\":\"%s\",\"dropped\":%llu}\n", j->torn ? "\n" : "",
                     clock_utc_text(clock_utc_us(), when), (unsigned long long)*lost);
    if (put(j, line, (size_t)k) == (size_t)k) {
        *lost = 0;
        j->torn = false;
    }
}

/* Waits for lines, and takes them into *lines, which is empty. False: there are no more and none will come. */
static bool take(journal *j, buf *lines, uint64_t *dropped)
{
    pthread_mutex_lock(&j->lock);
    while (!j->waiting.len && !j->dropped && !j->ending && j->next_fd < 0)
        pthread_cond_wait(&j->filled, &j->lock);
    buf full = j->waiting;
    j->waiting = *lines;
    *lines = full;
    *dropped = j->dropped;
    j->dropped = 0;
    int old = -1;
    if (j->next_fd >= 0) {
        old = j->fd;
        j->fd = j->next_fd;
        j->next_fd = -1;
    }
    bool more = lines->len || *dropped || !j->ending;
    pthread_mutex_unlock(&j->lock);
    if (old >= 0)
        close(old);
    return more;
}

static void *write_lines(void *arg)
{
    journal *j = arg;
    buf lines = BUF_INIT(JOURNAL_QUEUE_MAX);
    uint64_t dropped, lost = 0;
    while (take(j, &lines, &dropped)) {
        lost += dropped;
        put_lines(j, buf_text(&lines), lines.len, &lost);
        buf_reset(&lines);
    }
    buf_clear(&lines);
    return NULL;
}

/* ---- everybody's side ---- */

status journal_open(journal **out, const char *path, error *err)
{
    journal *j = mem_zero(sizeof *j);
    if (!j)
        return fail(err, E_NOMEM, "no memory for the log");
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->filled, NULL);
    j->waiting = (buf)BUF_INIT(JOURNAL_QUEUE_MAX);
    j->fd = STDERR_FILENO;
    j->next_fd = -1;
    status s = OK;
    if (path && !(j->path = mem_strdup(path)))
        s = fail(err, E_NOMEM, "no memory for the log");
    if (!s && path)
        s = open_file(path, &j->fd, err);
    if (!s && pthread_create(&j->writer, NULL, write_lines, j))
        s = fail(err, E_IO, "no thread for the log");
    j->started = !s;
    if (s)
        journal_close(&j);
    else
        *out = j;
    return s;
}

status journal_reopen(journal *j, error *err)
{
    int fd = -1;
    status s = j->path ? open_file(j->path, &fd, err) : OK;
    if (s || fd < 0)
        return s;
    pthread_mutex_lock(&j->lock);
    int unused = j->next_fd;
    j->next_fd = fd;
    pthread_cond_signal(&j->filled);
    pthread_mutex_unlock(&j->lock);
    if (unused >= 0)
        close(unused);
    return OK;
}

bool journal_add(journal *j, const char *line, size_t n)
{
    pthread_mutex_lock(&j->lock);
    size_t before = j->waiting.len;
    buf_add(&j->waiting, line, n);
    bool ok = !j->waiting.failed;
    if (!ok) { /* the next one may fit again */
        j->waiting.failed = false;
        j->waiting.len = before;
        j->dropped++;
    }
    pthread_cond_signal(&j->filled);
    pthread_mutex_unlock(&j->lock);
    return ok;
}

void journal_close(journal **at)
{
    journal *j = *at;
    if (!j)
        return;
    pthread_mutex_lock(&j->lock);
    j->ending = true;
    j->end_us = clock_mono_us() + LAST_US;
    pthread_cond_signal(&j->filled);
    pthread_mutex_unlock(&j->lock);
    if (j->started)
        pthread_join(j->writer, NULL);
    if (j->path && j->fd >= 0)
        close(j->fd);
    if (j->next_fd >= 0)
        close(j->next_fd);
    buf_clear(&j->waiting);
    pthread_cond_destroy(&j->filled);
    pthread_mutex_destroy(&j->lock);
    mem_free(j->path);
    mem_free(j);
    *at = NULL;
}
