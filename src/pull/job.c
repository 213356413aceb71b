/* job.c: a url as it is: one file, under its own name. */
#include "pull/job.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/str.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "plat/paths.h"

enum { NAME_ROOM = 200, HEADER_BYTES_MAX = 64 << 20 };

static bool is_url(const char *source)
{
    return strncasecmp(source, "https://", 8) == 0 || strncasecmp(source, "http://", 7) == 0;
}

/* A file's name out of a stranger's text: what is no letter, digit or ._+- becomes _, and none is hidden. */
static bool name_of(const char *text, size_t n, char out[NAME_ROOM])
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";
    if (n == 0 || n + 8 >= NAME_ROOM)
        return false;
    for (size_t i = 0; i < n; i++)
        out[i] = strchr(good, text[i]) && text[i] ? text[i] : '_';
    out[n] = 0;
    if (out[0] == '.')
        out[0] = '_';
    return true;
}

static status file_name(const job *j, char out[NAME_ROOM], error *err)
{
    char shown[GET_SHOWN];
    size_t n = strcspn(j->source, "?#");
    const char *from = j->source + n;
    while (from > j->source && from[-1] != '/')
        from--;
    if (j->name ? !name_of(j->name, strlen(j->name), out) : !name_of(from, (size_t)(j->source + n - from), out))
        return fail(err, E_FORMAT, "%s: gives the file no name: say one with --name", get_shown(j->source, shown));
    if (j->name && !str_ends(out, ".gguf"))
        memcpy(out + strlen(out), ".gguf", 6);
    return OK;
}

static bool join(char out[PATH_MAX], const char *dir, const char *name, const char *suffix)
{
    int n = snprintf(out, PATH_MAX, "%s/%s%s", dir, name, suffix);
    return n > 0 && n < PATH_MAX;
}

/* ---- the note beside a model ---- */

typedef struct note {
    const job *j;
    char path[PATH_MAX];
} note;

static status write_note(void *user, const get_got *got, error *err)
{
    note *n = user;
    char when[CLOCK_TEXT];
    buf text = BUF_INIT(1 << 16);
    js *o = js_object();
    js_set(o, "hearth", js_new_int(1));
    js_set(o, "source", js_new_string(n->j->source));
    js_set(o, "url", js_new_string(n->j->source));
    js_set(o, "sha256", js_new_string(got->sha256));
    js_set(o, "bytes", js_new_int((int64_t)got->bytes));
    if (got->etag[0])
        js_set(o, "etag", js_new_string(got->etag));
    js_set(o, "pulled", js_new_string(clock_utc_text(clock_utc_us(), when)));
    js_write(o, JS_PRETTY, &text);
    js_free(o);
    buf_char(&text, '\n');
    status s = buf_ok(&text, "a note", err);
    (void)unlink(n->path); /* of a model that is gone: the caller found none under this name */
    if (!s)
        s = file_create(n->path, 0600, text.data, text.len, err);
    buf_clear(&text);
    return s;
}

/* ---- the two jobs ---- */

static status unknown(const job *j, error *err)
{
    return fail(err, E_UNSUPPORTED, "%.200s: not a source that this build can fetch: an https url is one", j->source);
}

status job_get(const job *j, getter *g, js **done, error *err)
{
    char name[NAME_ROOM], path[PATH_MAX], part[PATH_MAX], staging[PATH_MAX];
    get_got got;
    note n = { .j = j };
    if (!is_url(j->source))
        return unknown(j, err);
    status s = file_name(j, name, err);
    if (s)
        return s;
    bool fits = join(path, j->models, name, "") && join(n.path, j->models, name, ".json") &&
                join(staging, j->models, ".pull", "") && join(part, staging, name, ".part");
    if (!fits)
        return fail(err, E_RANGE, "%s: the path is too long", j->models);
    const get_want w = { .url = j->source, .path = path, .sha256 = j->sha256, .part = part, .before = write_note,
                         .user = &n };
    s = path_make_dirs(staging, err);
    if (!s)
        s = get_file(g, &w, &got, err);
    if (s)
        return s;
    js *o = js_object(), *file = js_object(), *files = js_array();
    js_set(file, "path", js_new_string(path));
    js_set(file, "bytes", js_new_int((int64_t)got.bytes));
    js_set(file, "sha256", js_new_string(got.sha256));
    js_set(file, "found", js_new_bool(got.found));
    js_push(files, file);
    js_set(o, "source", js_new_string(j->source));
    js_set(o, "files", files);
    *done = o;
    return OK;
}

status job_header(const job *j, getter *g, uint64_t first, size_t n, job_bytes *bytes, void *user, js **done,
                  error *err)
{
    char name[NAME_ROOM];
    buf b = BUF_INIT(HEADER_BYTES_MAX);
    uint64_t total = 0;
    if (!is_url(j->source))
        return unknown(j, err);
    status s = n <= HEADER_BYTES_MAX ? file_name(j, name, err)
                                     : fail(err, E_RANGE, "a header of over %d bytes", (int)HEADER_BYTES_MAX);
    if (!s)
        s = get_range(g, j->source, first, n, &b, &total, err);
    if (!s && b.len)
        s = bytes(user, b.data, b.len, err);
    if (!s) {
        js *o = js_object(), *file = js_object(), *files = js_array();
        js_set(file, "name", js_new_string(name));
        js_set(file, "url", js_new_string(j->source));
        js_set(file, "bytes", js_new_int((int64_t)b.len));
        js_set(file, "file_bytes", js_new_int((int64_t)total));
        js_push(files, file);
        js_set(o, "files", files);
        *done = o;
    }
    buf_clear(&b);
    return s;
}
