/* verify.c: whether a model on the disk is what it was. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "gguf/gguf.h"
#include "store/store_int.h"

typedef struct job {
    const store_model *m;
    const store_check *check;
    store_note note;
    store_verdict *v;
    uint64_t done, total;
    unsigned n_proved;
} job;

/* Adds a sentence to the verdict. */
static void wrong(store_verdict *v, const char *format, ...) PRINTF_LIKE(2, 3);
static void wrong(store_verdict *v, const char *format, ...)
{
    size_t n = strlen(v->wrong);
    va_list args;
    v->whole = false;
    if (n + 3 < sizeof v->wrong) {
        va_start(args, format);
        if (n)
            n += (size_t)snprintf(v->wrong + n, sizeof v->wrong - n, "; ");
        vsnprintf(v->wrong + n, sizeof v->wrong - n, format, args);
        va_end(args);
    }
}

static void check_length(job *j, const char *path, uint64_t have, const store_expected *e)
{
    if (!e->bytes || e->bytes == have)
        return;
    if (have < e->bytes)
        wrong(j->v, "%s: %" PRIu64 " of %" PRIu64 " bytes are missing (%s says so)", path, e->bytes - have, e->bytes,
              e->from);
    else
        wrong(j->v, "%s: has %" PRIu64 " bytes, %s says %" PRIu64, path, have, e->from, e->bytes);
}

/* A file whose length is wrong is not read. */
static status check_part(job *j, unsigned i, const char *path, error *err)
{
    store_expected e;
    struct stat st;
    char hex[DIGEST_HEX];
    error one = { 0 };
    status s = store_expect(&e, j->m, &j->note, i, &one);
    if (s == E_FORMAT)
        wrong(j->v, "%s", one.text);
    else if (s)
        return fail(err, s, "%s", one.text);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        wrong(j->v, "%s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return OK;
    }
    check_length(j, path, (uint64_t)st.st_size, &e);
    bool read_it = e.sha256[0] && (!e.bytes || e.bytes == (uint64_t)st.st_size);
    s = read_it ? store_digest_fd(fd, path, j->check, &j->done, j->total, hex, &one) : OK;
    close(fd);
    if (s == E_IO)
        wrong(j->v, "%s", one.text);
    else if (s)
        return fail(err, s, "%s", one.text);
    else if (read_it && strcmp(hex, e.sha256) != 0)
        wrong(j->v, "%s: the SHA-256 is %s, %s says %s", path, hex, e.from, e.sha256);
    else if (read_it)
        j->n_proved++;
    if (e.from[0])
        snprintf(j->v->from, sizeof j->v->from, "%s", e.from);
    return OK;
}

/* The header and where the tensors end; every row when it was asked for. */
static status check_tensors(job *j, error *err)
{
    gguf *g = NULL;
    error one = { 0 };
    status s = gguf_open(&g, j->m->path, &one);
    for (size_t i = 0; !s && j->check && j->check->rows && i < gguf_n_tensors(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        s = gguf_check_rows(g, t, &one);
        gguf_release(g, t->data, t->bytes);
        if (!s && j->check->progress && j->check->progress(j->check->user, i + 1, gguf_n_tensors(g)))
            s = fail(&one, E_CANCELLED, "stopped while reading %s", j->m->path);
    }
    gguf_close(&g);
    if (s == E_NOMEM || s == E_CANCELLED)
        return fail(err, s, "%s", one.text);
    if (s)
        wrong(j->v, "%s", one.text);
    return OK;
}

status store_verify(store_verdict *out, const store_model *m, const store_check *c, error *err)
{
    char part[STORE_PATH_MAX];
    error one = { 0 };
    *out = (store_verdict){ .whole = true };
    job j = { .m = m, .check = c, .v = out, .total = m->bytes };
    status s = store_note_read(&j.note, m, &one);
    if (s == E_NOMEM)
        return fail(err, s, "%s", one.text);
    if (s)
        wrong(out, "%s", one.text);
    s = OK;
    while (!s && out->n_parts < GGUF_MAX_FILES && store_part(m->path, out->n_parts, part, sizeof part, NULL) == OK)
        s = check_part(&j, out->n_parts++, part, err);
    if (!s && out->whole)
        s = check_tensors(&j, err);
    store_note_clear(&j.note);
    out->proved = out->whole && out->n_parts && j.n_proved == out->n_parts;
    out->bytes = j.done;
    return s;
}
