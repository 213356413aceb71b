/* audit_commit.c: one write of the log for all that wait.
 *
 *   lock (audit.state) -> read state -> read what lies after it in the log -> append records -> fdatasync log
 *        -> anchor, now and then -> write state -> unlock
 *
 * Invariants:
 *  1. The log is durable before the state says so, and before anybody may send.
 *  2. Bytes of the log are never changed or removed. What a cut-off write left is named by a `torn` record.
 *  3. A log that is shorter than its state says was cut: nothing is appended any more.
 *  4. The files are opened for each commit: another process may have begun a new chain. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "privacy/audit_int.h"

static status open_log(const audit_files *f, int *fd, uint64_t *bytes, error *err)
{
    struct stat st;
    int log = open(f->log, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log < 0)
        return fail(err, E_IO, "%s: %s", f->log, strerror(errno));
    if (fstat(log, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(log);
        return fail(err, E_IO, "%s: is not a plain file", f->log);
    }
    *fd = log;
    *bytes = (uint64_t)st.st_size;
    return OK;
}

/* The end of the log, from `from` on. */
static status read_tail(int fd, const char *name, uint64_t from, size_t n, char *out, error *err)
{
    for (size_t at = 0; at < n;) {
        ssize_t k = pread(fd, out + at, n - at, (off_t)(from + at));
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return fail(err, E_IO, "%s: %s", name, k < 0 ? strerror(errno) : "it shrinks");
        at += (size_t)k;
    }
    return OK;
}

/* Brings the chain to the log's end: a process may have ended between writing the log and the state. What is no record
 * at the very end is put into words by a `torn` record in `out`. */
static status catch_up(audit_chain *c, const audit_commit *job, int fd, uint64_t size, buf *out, error *err)
{
    uint64_t from = c->bytes;
    if (size < from)
        return fail(err, E_FORMAT, "%s: %llu bytes are missing at its end: it was cut (hearth audit verify)",
                    job->files->log, (unsigned long long)(from - size));
    if (size == from)
        return OK;
    if (size - from > AUDIT_TAIL_MAX)
        return fail(err, E_FORMAT, "%s: what follows record %llu was not written by hearth (hearth audit verify)",
                    job->files->log, (unsigned long long)(c->next - 1));
    size_t n = (size_t)(size - from);
    char *tail = mem_alloc(n + 1);
    if (!tail)
        return fail(err, E_NOMEM, "%s: no memory for its last %zu bytes", job->files->log, n);
    status s = read_tail(fd, job->files->log, from, n, tail, err);
    c->bytes = 0;
    audit_next x = { .lost = false };
    while (!s && audit_find(c, tail, n, true, &x))
        js_free(x.record);
    bool lost = x.lost;
    if (!s && !lost && c->bytes < n) {
        tail[n] = '\n'; /* perhaps nothing is missing but this */
        if (audit_find(c, tail, n + 1, true, &x))
            buf_char(out, '\n');
        js_free(x.record);
        lost = x.lost;
    }
    size_t whole = (size_t)c->bytes;
    c->bytes += from;
    if (!s && lost)
        s = fail(err, E_NOMEM, "%s: no memory to read its end", job->files->log);
    else if (!s && whole < n)
        audit_write_torn(c, job->now_us, tail + whole, n - whole, out);
    mem_free(tail);
    return s;
}

static status check_clock(const audit_chain *c, const audit_commit *job, error *err)
{
    char now[CLOCK_TEXT], last[CLOCK_TEXT];
    if (job->now_us >= c->last_us - (int64_t)AUDIT_BACK_S * 1000000)
        return OK;
    return fail(err, E_RANGE, "the clock says %s and the last record is of %s: set the clock, or begin a new chain "
                "(hearth audit begin --anew)", clock_utc_text(job->now_us, now), clock_utc_text(c->last_us, last));
}

static status append(const audit_commit *job, int fd, const buf *lines, bool *lost, error *err)
{
    status s = file_write_all(fd, job->files->log, lines->data, lines->len, err);
    if (s)
        return s;
    if (fdatasync(fd) == 0)
        return OK;
    *lost = true; /* after a failed sync the kernel may call clean what is on no disk */
    return fail(err, E_IO, "%s: %s", job->files->log, strerror(errno));
}

static void write_records(audit_chain *c, const audit_commit *job, audit_wait *first, buf *out)
{
    if (c->next == 1)
        audit_write_begin(c, job->now_us, out);
    for (audit_wait *w = first; w; w = w->next) {
        *w->receipt = (audit_receipt){ .sequence = c->next, .body_bytes = w->entry->body_bytes };
        memcpy(w->receipt->chain, c->id, UUID_TEXT);
        digest_hex(w->body, w->receipt->body);
        audit_write_release(c, job->now_us, w->entry, w->body, out, w->receipt->mac);
    }
}

static bool anchor_due(const audit_chain *c, const audit_commit *job)
{
    uint64_t now = clock_mono_us();
    bool due = c->anchored == 0 || c->next - 1 - c->anchored >= AUDIT_ANCHOR_RECORDS ||
               now - *job->anchor_us >= (uint64_t)AUDIT_ANCHOR_S * 1000000;
    if (due)
        *job->anchor_us = now;
    return due;
}

/* With the lock held and the log open. */
static status commit_locked(audit_commit *job, audit_state *st, int fd, uint64_t size, audit_wait *first, error *err)
{
    buf lines = BUF_INIT((AUDIT_BATCH_MAX + 2) * (size_t)AUDIT_LINE_MAX);
    bool fresh = st->chain.next == 1;
    status s = check_clock(&st->chain, job, err);
    if (!s)
        s = catch_up(&st->chain, job, fd, size, &lines, err);
    if (!s)
        write_records(&st->chain, job, first, &lines);
    if (!s && lines.failed) /* its ceiling is above what a batch can be */
        s = fail(err, E_NOMEM, "no memory for the records");
    if (!s)
        s = append(job, fd, &lines, &job->lost, err);
    if (!s && fresh)
        s = audit_sync_folder(job->files->log, err);
    if (!s) {
        if (anchor_due(&st->chain, job))
            audit_anchor_write(job->files, &st->chain, job->now_us);
        s = audit_state_write(st, job->files, err);
    }
    buf_clear(&lines);
    return s;
}

status audit_commit_run(audit_commit *job, audit_wait *first, error *err)
{
    audit_state st = { .fd = -1 };
    int fd = -1;
    uint64_t size = 0;
    status s = audit_state_open(&st, job->files, AUDIT_WRITE, err);
    job->now_us = job->now();
    if (!s)
        s = open_log(job->files, &fd, &size, err);
    if (!s && !st.found && size > 0)
        s = fail(err, E_FORMAT, "%s: it is damaged or gone, and %s cannot be continued without it "
                 "(hearth audit verify; then hearth audit begin --anew)", job->files->state, job->files->log);
    if (!s && !st.found)
        s = audit_state_begin(&st, job->files, false, err);
    if (!s)
        s = commit_locked(job, &st, fd, size, first, err);
    if (fd >= 0)
        close(fd);
    audit_state_close(&st);
    return s;
}
