/* snapshot.c: see the header. */
#include "worker/snapshot.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static bool may_keep(const char *scope)
{
    return scope[0] == SNAPSHOT_SCOPE;
}

static snapshot_options options_of(const worker_snapshot *s)
{
    return (snapshot_options){ .model = s->model, .max_bytes = s->max_bytes, .max_ms = SNAPSHOT_MS, .keeps = may_keep };
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void worker_snapshot_init(worker_snapshot *s)
{
    *s = (worker_snapshot){ .from = -1, .to = -1 };
}

void worker_snapshot_close(worker_snapshot *s)
{
    close_one(&s->from);
    close_one(&s->to);
}

status worker_snapshot_take(worker_snapshot *s, const msg *open, const js *settings, size_t *n_files, error *err)
{
    const js *o = js_get(settings, "snapshot"), *from = js_get(o, "from");
    const char *digest = js_text(js_get(o, "model"));
    int64_t to_at, from_at = -1, bytes, n = (int64_t)open->n_fds;
    *n_files = open->n_fds;
    if (!o)
        return OK;
    bool ok = js_int(js_get(o, "to"), &to_at) && js_int(js_get(o, "bytes"), &bytes) && bytes > 0 && digest &&
              *digest && strlen(digest) <= SNAPSHOT_MODEL_BYTES && (!from || js_int(from, &from_at));
    int64_t files = n - 1 - (from != NULL);
    if (!ok || files < 1 || to_at != files || (from && from_at != files + 1))
        return fail(err, E_FORMAT, "open: 'snapshot' does not go with the %zu files that came", open->n_fds);
    *n_files = (size_t)files;
    memcpy(s->model, digest, strlen(digest) + 1);
    s->max_bytes = (uint64_t)bytes;
    s->to = open->fds[to_at];
    open->fds[to_at] = -1;
    if (from) {
        s->from = open->fds[from_at];
        open->fds[from_at] = -1;
    }
    return OK;
}

void worker_snapshot_restore(worker_snapshot *s, struct engine *e)
{
    const snapshot_options o = options_of(s);
    snapshot_report r;
    error err = { 0 };
    if (s->from < 0)
        return;
    if (engine_snapshot_read(e, s->from, &o, &r, &err))
        log_line(LOG_LEVEL_WARN, "worker: %s; it is not used", err.text);
    else
        log_line(LOG_LEVEL_INFO, "worker: %u pages of prefixes are back%s", r.n_pages, r.cut ? ", not all" : "");
    close_one(&s->from);
}

void worker_snapshot_keep(worker_snapshot *s, struct engine *e)
{
    const snapshot_options o = options_of(s);
    snapshot_report r;
    struct stat st;
    error err = { 0 };
    if (s->to < 0 || fstat(s->to, &st) != 0 || st.st_nlink == 0)
        return;
    if (engine_snapshot_write(e, s->to, &o, &r, &err))
        log_line(LOG_LEVEL_WARN, "worker: %s", err.text);
    else
        log_line(LOG_LEVEL_INFO, "worker: %u pages of prefixes are kept%s", r.n_pages, r.cut ? ", not all" : "");
}
