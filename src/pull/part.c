/* part.c: see the header. */
#include "pull/part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "plat/clock.h"
#include "plat/file.h"

enum { HASH_STEP = 1 << 20, STATE_MAX = 4 << 20 };

/* ---- errors ---- */

static bool no_room(int e)
{
    return e == ENOSPC || e == EDQUOT || e == EFBIG;
}

static status disk_error(const char *path, int e, error *err)
{
    return no_room(e) ? fail(err, E_NOFIT, "%s: %s; what came is kept: with more room the same command goes on", path,
                             strerror(e))
                      : fail(err, E_IO, "%s: %s", path, strerror(e));
}

/* ---- opening ---- */

status part_open(part *p, const char *path, error *err)
{
    *p = (part){ .path = path, .fd = -1 };
    int fd;
    status s = file_open_locked(&fd, path, 0644, err);
    if (s)
        return s;
    p->fd = fd;
    p->state_path = mem_strjoin(path, ".state");
    p->state_new = mem_strjoin(path, ".state.new");
    p->hash = digest_open();
    p->synced_us = clock_mono_us();
    if (p->state_path && p->state_new && p->hash)
        return OK;
    part_close(p);
    return fail(err, E_NOMEM, "%s: no memory", path);
}

void part_close(part *p)
{
    if (p->fd >= 0)
        close(p->fd);
    digest_close(&p->hash, NULL);
    runs_clear(&p->have);
    mem_free(p->state_path);
    mem_free(p->state_new);
    *p = (part){ .fd = -1 };
}

status part_reset(part *p, error *err)
{
    if ((unlink(p->state_path) != 0 && errno != ENOENT) || ftruncate(p->fd, 0) != 0)
        return fail(err, E_IO, "%s: %s", p->path, strerror(errno));
    digest_close(&p->hash, NULL);
    p->hash = digest_open();
    p->hashed = p->written = 0;
    p->id = (part_id){ 0 };
    runs_clear(&p->have);
    return p->hash ? OK : fail(err, E_NOMEM, "%s: no memory", p->path);
}

/* ---- the state ---- */

static bool copy_text(char *out, size_t room, const js *v)
{
    const char *text = js_text(v);
    size_t n = text ? strlen(text) : 0;
    if (n >= room)
        return false;
    memcpy(out, text ? text : "", n + 1);
    return true;
}

static bool same_text(const js *v, const char *want)
{
    const char *text = js_text(v);
    return strcmp(text ? text : "", want ? want : "") == 0;
}

static bool read_runs(part *p, const js *list, uint64_t bytes)
{
    for (size_t i = 0; i < js_len(list); i++) {
        int64_t from, to;
        const js *one = js_at(list, i);
        if (!js_int(js_at(one, 0), &from) || !js_int(js_at(one, 1), &to) || from < 0 || to <= from ||
            (uint64_t)to > bytes || !runs_add(&p->have, (uint64_t)from, (uint64_t)to))
            return false;
    }
    return true;
}

/* True: the state is of this file, and is taken over. */
static bool believe(part *p, const js *state, const char *url, const char *sha256)
{
    struct stat st;
    int64_t version = 0, inode = 0, bytes = 0;
    bool whole = fstat(p->fd, &st) == 0 && js_int(js_get(state, "hearth"), &version) && version == 1 &&
                 js_int(js_get(state, "inode"), &inode) && (ino_t)inode == st.st_ino &&
                 js_int(js_get(state, "bytes"), &bytes) && bytes > 0 &&
                 copy_text(p->id.etag, sizeof p->id.etag, js_get(state, "etag")) &&
                 copy_text(p->id.modified, sizeof p->id.modified, js_get(state, "modified")) &&
                 read_runs(p, js_get(state, "runs"), (uint64_t)bytes) && runs_end(&p->have) <= (uint64_t)st.st_size;
    p->id.bytes = (uint64_t)bytes;
    /* a digest says what the file is, wherever it comes from; else the server's own words must say it */
    const js *wanted = js_get(state, "sha256");
    bool told = same_text(js_get(state, "url"), url) && (p->id.etag[0] || p->id.modified[0]);
    return whole && ((sha256 && same_text(wanted, sha256)) || (told && (!sha256 || same_text(wanted, ""))));
}

status part_load(part *p, const char *url, const char *sha256, error *err)
{
    buf text = BUF_INIT(STATE_MAX);
    js *state = NULL;
    error ignored;
    bool ok = file_slurp(p->state_path, &text, &ignored) == OK &&
              js_parse(&state, text.data, text.len, p->state_path, 1, &ignored) == OK && believe(p, state, url, sha256);
    js_free(state);
    buf_clear(&text);
    return ok ? OK : part_reset(p, err);
}

static void write_state(const part *p, const char *url, const char *sha256, uint64_t inode, buf *out)
{
    js *o = js_object(), *list = js_array();
    js_set(o, "hearth", js_new_int(1));
    js_set(o, "url", js_new_string(url));
    js_set(o, "inode", js_new_int((int64_t)inode));
    js_set(o, "bytes", js_new_int((int64_t)p->id.bytes));
    js_set(o, "etag", js_new_string(p->id.etag));
    js_set(o, "modified", js_new_string(p->id.modified));
    js_set(o, "sha256", js_new_string(sha256 ? sha256 : ""));
    for (size_t i = 0; i < p->have.n; i++) {
        js *one = js_array();
        js_push(one, js_new_int((int64_t)p->have.at[i].from));
        js_push(one, js_new_int((int64_t)p->have.at[i].to));
        js_push(list, one);
    }
    js_set(o, "runs", list);
    js_write(o, JS_COMPACT, out);
    js_free(o);
}

status part_save(part *p, const char *url, const char *sha256, error *err)
{
    struct stat st;
    p->synced_us = clock_mono_us();
    p->written = 0;
    if (!p->id.bytes || !p->have.n)
        return OK;
    if (fdatasync(p->fd) != 0 || fstat(p->fd, &st) != 0)
        return disk_error(p->path, errno, err);
    buf text = BUF_INIT(STATE_MAX);
    js_begin();
    write_state(p, url, sha256, st.st_ino, &text);
    status s = js_lost() ? fail(err, E_NOMEM, "%s: no memory", p->state_path) : buf_ok(&text, p->state_path, err);
    (void)unlink(p->state_new);
    int fd = s ? -1 : open(p->state_new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (!s && fd < 0)
        s = disk_error(p->state_new, errno, err);
    if (!s && (write(fd, text.data, text.len) != (ssize_t)text.len || fdatasync(fd) != 0 ||
               rename(p->state_new, p->state_path) != 0))
        s = disk_error(p->state_new, errno ? errno : ENOSPC, err);
    if (fd >= 0)
        close(fd);
    buf_clear(&text);
    return s;
}

/* ---- bytes ---- */

status part_reserve(part *p, error *err)
{
    struct statvfs fs;
    struct stat st;
    char need[24], have[24], left[24], more[24];
    if (fstat(p->fd, &st) != 0 || fstatvfs(p->fd, &fs) != 0)
        return fail(err, E_IO, "%s: %s", p->path, strerror(errno));
    uint64_t there = (uint64_t)st.st_blocks * 512, free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    uint64_t missing = p->id.bytes > there ? p->id.bytes - there : 0;
    int e = missing > free_bytes ? ENOSPC : 0;
    if (!e && missing && fallocate(p->fd, 0, 0, (off_t)p->id.bytes) != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
        e = errno;
    if (e && no_room(e)) {
        uint64_t lack = missing > free_bytes ? missing - free_bytes : missing;
        return fail(err, E_NOFIT, "%s: the file has %s, of which %s has its place already; %s is free there (%s): %s "
                    "more is needed", p->path, str_human_bytes(need, p->id.bytes), str_human_bytes(have, there),
                    str_human_bytes(left, free_bytes), strerror(e), str_human_bytes(more, lack));
    }
    return e ? fail(err, E_IO, "%s: %s", p->path, strerror(e)) : OK;
}

status part_write(part *p, uint64_t at, const void *bytes, size_t n, error *err)
{
    const char *from = bytes;
    for (size_t done = 0; done < n;) {
        ssize_t k = pwrite(p->fd, from + done, n - done, (off_t)(at + done));
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return disk_error(p->path, k < 0 ? errno : ENOSPC, err);
        done += (size_t)k;
    }
    if (at == p->hashed) {
        digest_add(p->hash, bytes, n);
        p->hashed += n;
    }
    p->written += n;
    return runs_add(&p->have, at, at + n) ? OK : fail(err, E_NOMEM, "%s: no memory", p->path);
}

status part_hash(part *p, uint64_t most, error *err)
{
    uint64_t end = runs_prefix(&p->have);
    if (end <= p->hashed)
        return OK;
    if (end - p->hashed > most)
        end = p->hashed + most;
    char *step = mem_alloc(HASH_STEP);
    if (!step)
        return fail(err, E_NOMEM, "%s: no memory", p->path);
    status s = OK;
    while (p->hashed < end && !s) {
        size_t want = end - p->hashed < HASH_STEP ? (size_t)(end - p->hashed) : HASH_STEP;
        ssize_t k = pread(p->fd, step, want, (off_t)p->hashed);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            s = fail(err, E_IO, "%s: %s", p->path, k < 0 ? strerror(errno) : "it has become shorter");
        else
            digest_add(p->hash, step, (size_t)k);
        p->hashed += k > 0 ? (uint64_t)k : 0;
    }
    mem_free(step);
    return s;
}

status part_digest(part *p, char hex[DIGEST_HEX], error *err)
{
    uint8_t raw[DIGEST_BYTES];
    status s = part_hash(p, UINT64_MAX, err);
    if (s)
        return s;
    digest_close(&p->hash, raw);
    digest_hex(raw, hex);
    return OK;
}

/* ---- the end ---- */

static status sync_folder(const char *file, error *err)
{
    const char *slash = strrchr(file, '/');
    char *dir = slash ? mem_strndup(file, slash > file ? (size_t)(slash - file) : 1) : mem_strdup(".");
    if (!dir)
        return fail(err, E_NOMEM, "%s: no memory", file);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    status s = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL) ? OK : fail(err, E_IO, "%s: %s", dir, strerror(errno));
    if (fd >= 0)
        close(fd);
    mem_free(dir);
    return s;
}

status part_rename(const char *from, const char *to, error *err)
{
    struct stat st;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return OK;
    if (errno == EINVAL || errno == ENOSYS) /* the file system knows no such rename */
        errno = lstat(to, &st) == 0 ? EEXIST : rename(from, to) == 0 ? 0 : errno;
    if (!errno)
        return OK;
    return errno == EEXIST ? fail(err, E_EXISTS, "%s: is there already: nothing is overwritten", to)
                           : disk_error(to, errno, err);
}

status part_place(part *p, const char *to, error *err)
{
    if (fdatasync(p->fd) != 0)
        return disk_error(p->path, errno, err);
    status s = part_rename(p->path, to, err);
    if (s)
        return s;
    (void)unlink(p->state_path);
    (void)unlink(p->state_new);
    return sync_folder(to, err);
}

void part_remove(part *p)
{
    (void)unlink(p->state_path);
    (void)unlink(p->state_new);
    (void)unlink(p->path);
}
