/* wheel.c: libzip, and what is checked before and after it. */
#include "pull/wheel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <zip.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "plat/file.h"

enum { END_BYTES = 22, END_LOOK = END_BYTES + 65535, END64_LOCATOR = 20, END64 = 56 };
enum { PIECE = 256 << 10, STORED = 0, DEFLATED = 8 };

struct wheel {
    zip_t *zip;
    char *shown;
    wheel_member *members;
    size_t n;
};

/* ---- the directory, before libzip reads it ----------------------------------------------------------------------- */

static uint64_t little(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

/* The record at tail + at, or its long form (zip64) before it: how many members, and how long the directory is. */
static bool read_end(const unsigned char *tail, size_t at, uint64_t *entries, uint64_t *bytes)
{
    const unsigned char *p = tail + at;
    *entries = little(p + 10, 2);
    *bytes = little(p + 12, 4);
    if (at < END64_LOCATOR || memcmp(p - END64_LOCATOR, "PK\6\7", 4) != 0)
        return true;
    for (size_t k = at - END64_LOCATOR; k-- > 0;)
        if (at - END64_LOCATOR - k >= END64 && memcmp(tail + k, "PK\6\6", 4) == 0) {
            *entries = little(tail + k + 32, 8);
            *bytes = little(tail + k + 40, 8);
            return true;
        }
    return false;
}

/* tail[0..n) is the archive's end. What a directory says of its own size decides how much memory reading it takes;
 * every record that libzip could take for the directory's is looked at. */
static status check_end(const unsigned char *tail, size_t n, uint64_t file_bytes, const char *shown, error *err)
{
    bool found = false;
    for (size_t at = 0; at + END_BYTES <= n; at++) {
        uint64_t entries, bytes;
        if (memcmp(tail + at, "PK\5\6", 4) != 0)
            continue;
        found = true;
        if (!read_end(tail, at, &entries, &bytes))
            return fail(err, E_FORMAT, "%s: the directory of the archive is not at its end", shown);
        if (entries > WHEEL_MEMBERS_MAX || bytes > WHEEL_DIRECTORY_MAX || bytes > file_bytes)
            return fail(err, E_FORMAT, "%s: its directory claims %llu members in %llu bytes: more than is read", shown,
                (unsigned long long)entries, (unsigned long long)bytes);
    }
    return found ? OK : fail(err, E_FORMAT, "%s: is no zip archive, or its end is missing", shown);
}

static status check_file_end(int fd, const char *shown, error *err)
{
    off_t size = lseek(fd, 0, SEEK_END);
    size_t n = size > END_LOOK ? END_LOOK : (size_t)(size > 0 ? size : 0);
    unsigned char *tail = mem_alloc(n ? n : 1);
    status s = tail ? OK : fail(err, E_NOMEM, "%s: no memory for its directory", shown);
    if (!s && (size < 0 || lseek(fd, size - (off_t)n, SEEK_SET) < 0))
        s = fail(err, E_IO, "%s: %s", shown, strerror(errno));
    if (!s)
        s = file_read_all(fd, shown, tail, n, err);
    if (!s)
        s = check_end(tail, n, (uint64_t)size, shown, err);
    mem_free(tail);
    return s;
}

/* ---- members ----------------------------------------------------------------------------------------------------- */

/* Inside the folder it is unpacked to, whatever that is: relative, no step upwards, no drive, no backslash. */
static bool inside(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > 4096 || *name == '/' || !utf8_valid(name, n) || (n > 1 && name[1] == ':'))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == '\\' || name[i] == 0x7f)
            return false;
    for (const char *p = name; *p;) {
        size_t k = strcspn(p, "/");
        if (k == 2 && p[0] == '.' && p[1] == '.')
            return false;
        p += k + (p[k] == '/');
    }
    return true;
}

static status check_member(const wheel *w, const zip_stat_t *st, error *err)
{
    zip_uint64_t all = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD |
                       ZIP_STAT_ENCRYPTION_METHOD;
    if ((st->valid & all) != all)
        return fail(err, E_FORMAT, "%s: a member without a name or a length", w->shown);
    if (!inside(st->name))
        return fail(err, E_FORMAT, "%s: a member's name leads out of the archive ('%.100s'); nothing of it is used",
            w->shown, utf8_valid(st->name, strlen(st->name)) ? st->name : "not UTF-8");
    if (st->encryption_method != ZIP_EM_NONE)
        return fail(err, E_UNSUPPORTED, "%s: %.200s is encrypted", w->shown, st->name);
    if (st->comp_method != STORED && st->comp_method != DEFLATED)
        return fail(err, E_UNSUPPORTED, "%s: %.200s is compressed by method %u; wheels have 0 and 8", w->shown,
            st->name, (unsigned)st->comp_method);
    if (st->size > WHEEL_SMALL && st->size / WHEEL_RATIO_MAX > st->comp_size)
        return fail(err, E_FORMAT, "%s: %.200s would unpack from %llu to %llu bytes: no weights do; refused", w->shown,
            st->name, (unsigned long long)st->comp_size, (unsigned long long)st->size);
    return OK;
}

static status read_directory(wheel *w, uint64_t file_bytes, error *err)
{
    zip_int64_t n = zip_get_num_entries(w->zip, 0);
    uint64_t packed = 0;
    if (n < 0 || n > WHEEL_MEMBERS_MAX)
        return fail(err, E_FORMAT, "%s: too many members", w->shown);
    w->members = mem_array((size_t)n + 1, sizeof *w->members);
    if (!w->members)
        return fail(err, E_NOMEM, "%s: no memory for its directory", w->shown);
    for (zip_int64_t i = 0; i < n; i++) {
        zip_stat_t st;
        if (zip_stat_index(w->zip, (zip_uint64_t)i, 0, &st))
            return fail(err, E_FORMAT, "%s: member %lld: %s", w->shown, (long long)i, zip_strerror(w->zip));
        status s = check_member(w, &st, err);
        if (s)
            return s;
        packed += st.comp_size;
        if (packed > file_bytes) /* members that lie upon each other */
            return fail(err, E_FORMAT, "%s: its members claim more bytes than it has", w->shown);
        w->members[i] = (wheel_member){ st.name, st.size };
        w->n = (size_t)i + 1;
    }
    return OK;
}

static status open_source(wheel **out, zip_source_t *source, uint64_t bytes, const char *shown, error *err)
{
    zip_error_t why;
    zip_error_init(&why);
    wheel *w = mem_zero(sizeof *w);
    status s = w && (w->shown = mem_strdup(shown)) && source ? OK : fail(err, E_NOMEM, "%s: no memory for it", shown);
    if (!s && !(w->zip = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &why)))
        s = fail(err, zip_error_code_zip(&why) == ZIP_ER_MEMORY ? E_NOMEM : E_FORMAT, "%s: %s", shown,
            zip_error_strerror(&why));
    if (s && source)
        zip_source_free(source);
    if (!s)
        s = read_directory(w, bytes, err);
    zip_error_fini(&why);
    if (s)
        wheel_close(&w);
    else
        *out = w;
    return s;
}

status wheel_open(wheel **out, const char *path, const char *shown, error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", shown, strerror(errno));
    status s = check_file_end(fd, shown, err);
    off_t size = s ? 0 : lseek(fd, 0, SEEK_END);
    FILE *file = s ? NULL : fdopen(fd, "rb");
    if (!file) {
        close(fd);
        return s ? s : fail(err, E_NOMEM, "%s: no memory for it", shown);
    }
    zip_source_t *source = zip_source_filep_create(file, 0, -1, NULL);
    if (!source)
        fclose(file);
    return open_source(out, source, (uint64_t)size, shown, err);
}

status wheel_open_bytes(wheel **out, const void *bytes, size_t n, const char *shown, error *err)
{
    size_t tail = n < END_LOOK ? n : END_LOOK;
    status s = check_end((const unsigned char *)bytes + (n - tail), tail, n, shown, err);
    return s ? s : open_source(out, zip_source_buffer_create(bytes, n, 0, NULL), n, shown, err);
}

void wheel_close(wheel **w)
{
    if (!w || !*w)
        return;
    if ((*w)->zip)
        zip_discard((*w)->zip);
    mem_free((*w)->shown);
    mem_free((*w)->members);
    mem_free(*w);
    *w = NULL;
}

const char *wheel_shown(const wheel *w)
{
    return w->shown;
}

size_t wheel_n(const wheel *w)
{
    return w->n;
}

const wheel_member *wheel_at(const wheel *w, size_t i)
{
    return &w->members[i];
}

/* ---- content ----------------------------------------------------------------------------------------------------- */

status wheel_read(wheel *w, size_t i, status (*sink)(void *user, const void *bytes, size_t n, error *err), void *user,
    error *err)
{
    const wheel_member *m = &w->members[i];
    zip_file_t *f = zip_fopen_index(w->zip, i, 0);
    if (!f)
        return fail(err, E_FORMAT, "%s: %.200s: %s", w->shown, m->name, zip_strerror(w->zip));
    char *piece = mem_alloc(PIECE);
    status s = piece ? OK : fail(err, E_NOMEM, "%s: no memory to unpack it", w->shown);
    uint64_t done = 0;
    for (zip_int64_t k = 1; !s && k > 0;) {
        k = zip_fread(f, piece, PIECE);
        if (k < 0)
            s = fail(err, E_FORMAT, "%s: %.200s is damaged: %s", w->shown, m->name, zip_file_strerror(f));
        else if ((uint64_t)k > m->bytes - done)
            s = fail(err, E_FORMAT, "%s: %.200s is longer than the archive says", w->shown, m->name);
        else if (k > 0)
            s = sink(user, piece, (size_t)k, err);
        done += k > 0 ? (uint64_t)k : 0;
    }
    if (!s && done != m->bytes)
        s = fail(err, E_FORMAT, "%s: %.200s is shorter than the archive says", w->shown, m->name);
    mem_free(piece);
    zip_fclose(f);
    return s;
}

static status into_buf(void *user, const void *bytes, size_t n, error *err)
{
    buf_add(user, bytes, n);
    return buf_ok(user, "a member of a wheel", err);
}

status wheel_text(wheel *w, size_t i, buf *out, error *err)
{
    if (w->members[i].bytes > out->max)
        return fail(err, E_RANGE, "%s: %.200s is too large", w->shown, w->members[i].name);
    return wheel_read(w, i, into_buf, out, err);
}

bool metadata_next(const char *text, size_t n, const char *key, size_t *at, const char **value, size_t *value_n)
{
    size_t key_n = strlen(key);
    while (*at < n) {
        const char *line = text + *at;
        const char *end = memchr(line, '\n', n - *at);
        size_t len = end ? (size_t)(end - line) : n - *at;
        span s = span_trim((span){ line, len });
        if (s.n == 0) { /* the headers end with an empty line */
            *at = n;
            return false;
        }
        *at += len + (end != NULL);
        if (len > key_n && line[key_n] == ':' && strncasecmp(line, key, key_n) == 0) {
            s = span_trim((span){ line + key_n + 1, len - key_n - 1 });
            *value = s.p;
            *value_n = s.n;
            return true;
        }
    }
    return false;
}
