/* digest.c: a model's digest, remembered. CACHE/digests holds lines "DEVICE INODE SIZE MTIME_NS SHA256"; lines
 * are only added (one write each), the last match counts, and the file begins anew when it has grown to its ceiling. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "gguf/gguf.h"
#include "plat/msg.h"
#include "plat/paths.h"
#include "store/store_int.h"

enum { CACHE_BYTES_MAX = 1 << 20, LINE_MAX_BYTES = 200, STEP = 1 << 20 };

static void key_of(const struct stat *st, char line[LINE_MAX_BYTES])
{
    snprintf(line, LINE_MAX_BYTES, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " ", (uint64_t)st->st_dev,
             (uint64_t)st->st_ino, (uint64_t)st->st_size,
             (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec);
}

static bool is_hex(const char *p)
{
    return strspn(p, "0123456789abcdef") >= 64 && (p[64] == '\n' || p[64] == 0);
}

static bool remembered(const char *cache, const char *key, char out[DIGEST_HEX])
{
    bool found = false;
    buf text = BUF_INIT(CACHE_BYTES_MAX);
    int fd = open(cache, O_RDONLY | O_CLOEXEC);
    for (ssize_t n = 1; fd >= 0 && n > 0;) {
        char *to = buf_reserve(&text, 1 << 14);
        n = to ? read(fd, to, 1 << 14) : 0;
        if (n > 0)
            buf_advance(&text, (size_t)n);
    }
    if (fd >= 0)
        close(fd);
    size_t len = strlen(key);
    for (const char *p = buf_text(&text); p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
        if (strncmp(p, key, len) == 0 && is_hex(p + len)) {
            memcpy(out, p + len, 64);
            out[64] = 0;
            found = true;
        }
    buf_clear(&text);
    return found;
}

/* A cache that cannot be written costs time, nothing else. */
static void remember(const char *cache, const char *key, const char *hex)
{
    char line[LINE_MAX_BYTES + DIGEST_HEX + 1];
    struct stat st;
    int n = snprintf(line, sizeof line, "%s%s\n", key, hex);
    if (path_make_parents(cache, NULL) != OK)
        return;
    int fd = open(cache, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_size > CACHE_BYTES_MAX - 4096 && ftruncate(fd, 0) != 0)
        n = 0;
    ssize_t ignored = write(fd, line, (size_t)n);
    (void)ignored;
    close(fd);
}

status store_digest_fd(int fd, const char *name, const store_check *c, uint64_t *done, uint64_t total, char out[65],
                       error *err)
{
    uint8_t sum[DIGEST_BYTES];
    digest *d = digest_open();
    char *step = mem_alloc(STEP);
    status s = d && step ? OK : fail(err, E_NOMEM, "no memory for a model's digest");
    off_t at = 0;
    while (!s) {
        ssize_t n = pread(fd, step, STEP, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            s = fail(err, E_IO, "reading %s: %s", name, strerror(errno));
        if (n <= 0)
            break;
        digest_add(d, step, (size_t)n);
        at += n;
        *done += (uint64_t)n;
        if (c && c->progress && c->progress(c->user, *done, total))
            s = fail(err, E_CANCELLED, "stopped while reading %s", name);
    }
    if (d)
        digest_close(&d, sum);
    mem_free(step);
    if (!s)
        digest_hex(sum, out);
    return s;
}

static status digest_one(int fd, const char *cache, char out[DIGEST_HEX], error *err)
{
    struct stat before, after;
    char key[LINE_MAX_BYTES], key_after[LINE_MAX_BYTES], hex[DIGEST_HEX];
    if (fstat(fd, &before) != 0)
        return fail(err, E_IO, "reading the model: %s", strerror(errno));
    key_of(&before, key);
    if (cache && remembered(cache, key, out))
        return OK;
    uint64_t done = 0;
    status s = store_digest_fd(fd, "the model", NULL, &done, 0, hex, err);
    if (s)
        return s;
    if (fstat(fd, &after) == 0) {
        key_of(&after, key_after);
        /* a file that changed just now may change again without another time */
        if (cache && strcmp(key, key_after) == 0 && time(NULL) > after.st_mtim.tv_sec + 2)
            remember(cache, key, hex);
    }
    memcpy(out, hex, sizeof hex);
    return OK;
}

status store_digest(const int *fds, size_t n, char out[65], error *err)
{
    char *cache = NULL, hex[DIGEST_HEX] = "";
    buf all = BUF_INIT((size_t)64 << 10);
    status s = OK;
    if (path_of(&cache, PATH_CACHE, "digests", NULL) != OK)
        cache = NULL;
    for (size_t i = 0; i < n && !s; i++) {
        s = digest_one(fds[i], cache, hex, err);
        buf_str(&all, hex);
    }
    if (!s)
        s = buf_ok(&all, "a model's digests", err);
    if (!s && n > 1)
        digest_of(all.data, all.len, hex);
    if (!s)
        memcpy(out, hex, sizeof hex);
    buf_clear(&all);
    mem_free(cache);
    return s;
}

status store_digest_file(const char *path, char out[65], error *err)
{
    char part[PATH_MAX];
    int fds[MSG_FDS_MAX];
    size_t n = 0;
    status s = OK;
    while (!s && (s = gguf_part_path(path, (unsigned)n, part, sizeof part, err)) == OK) {
        if (n == MSG_FDS_MAX)
            s = fail(err, E_UNSUPPORTED, "%s: a model of more than %d files: join them first", path, (int)MSG_FDS_MAX);
        else if ((fds[n] = open(part, O_RDONLY | O_CLOEXEC)) < 0)
            s = fail(err, E_IO, "%s: %s", part, strerror(errno));
        else
            n++;
    }
    if (s == E_RANGE && n > 0)
        s = store_digest(fds, n, out, err);
    while (n > 0)
        close(fds[--n]);
    return s;
}
