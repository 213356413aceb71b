/* get_file.c: a file onto the disk. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "pull/get_int.h"

typedef struct file_sink {
    const char *name;
    int fd;
    digest *hash;
    uint64_t done, total;
    char etag[GET_ETAG];
} file_sink;

static status on_head(void *user, const wire_head *h, error *err)
{
    file_sink *f = user;
    f->done = 0;
    f->total = h->has_length ? h->length : 0;
    memcpy(f->etag, h->etag, sizeof f->etag);
    digest_close(&f->hash, NULL);
    f->hash = digest_open();
    if (!f->hash)
        return fail(err, E_NOMEM, "no memory for a digest");
    return lseek(f->fd, 0, SEEK_SET) == 0 && ftruncate(f->fd, 0) == 0
               ? OK
               : fail(err, E_IO, "%s: %s", f->name, strerror(errno));
}

static status on_body(void *user, const char *bytes, size_t n, error *err)
{
    file_sink *f = user;
    digest_add(f->hash, bytes, n);
    f->done += n;
    return file_write_all(f->fd, f->name, bytes, n, err);
}

static status transfer_once(getter *g, const get_want *w, file_sink *f, error *err)
{
    const wire_ask a = { .url = w->url, .plain_http = w->sha256 != NULL };
    const wire_sink sink = { on_head, on_body, f };
    retry again = { 0 };
    for (;;) {
        char note[ERROR_TEXT_BYTES];
        wire *x = wire_take(g);
        status s = x ? wire_start(g, x, &a, &sink, err) : fail(err, E_NOMEM, "no memory for a request");
        while (!s && wire_running(x)) {
            s = wire_turn(g, 100, err);
            if (!s && get_report(g, &(get_progress){ .path = w->path, .done = f->done, .total = f->total, .streams = 1 }))
                s = fail(err, E_CANCELLED, "cancelled");
        }
        if (s && x)
            wire_stop(g, x);
        if (s || !wire_outcome(x)->err.code)
            return s;
        s = retry_failed(&again, g, wire_outcome(x), note, sizeof note, err);
        if (!s && get_note(g, w->path, note))
            s = fail(err, E_CANCELLED, "cancelled");
        while (!s && clock_mono_us() < again.until_us)
            s = wire_turn(g, 100, err);
        if (s)
            return s;
    }
}

status get_file(getter *g, const get_want *w, get_got *out, error *err)
{
    char part[PATH_MAX];
    uint8_t raw[DIGEST_BYTES];
    struct stat st;
    snprintf(part, sizeof part, "%s.part", w->path);
    *out = (get_got){ 0 };
    if (stat(w->path, &st) == 0) {
        status s = digest_file(w->path, out->sha256, err);
        if (!s && w->sha256 && strcmp(w->sha256, out->sha256) != 0)
            s = fail(err, E_EXISTS, "%s: another file is there already", w->path);
        out->bytes = (uint64_t)st.st_size;
        out->found = true;
        return s;
    }
    file_sink f = { .name = part, .fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0600) };
    if (f.fd < 0)
        return fail(err, E_IO, "%s: %s", part, strerror(errno));
    status s = transfer_once(g, w, &f, err);
    if (!s) {
        digest_close(&f.hash, raw);
        digest_hex(raw, out->sha256);
        out->bytes = f.done;
        memcpy(out->etag, f.etag, sizeof out->etag);
        if ((w->bytes && w->bytes != f.done) || (f.total && f.total != f.done))
            s = fail(err, E_FORMAT, "%s: %llu bytes came, not as many as were announced", part, (unsigned long long)f.done);
        else if (w->sha256 && strcmp(w->sha256, out->sha256) != 0)
            s = fail(err, E_FORMAT, "%s: its SHA-256 is %s, not %s", part, out->sha256, w->sha256);
    }
    if (!s)
        s = get_check(g, part, w->path, err);
    if (!s && (fdatasync(f.fd) != 0 || rename(part, w->path) != 0))
        s = fail(err, E_IO, "%s: %s", w->path, strerror(errno));
    digest_close(&f.hash, NULL);
    close(f.fd);
    return s;
}
