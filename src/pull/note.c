/* note.c: see the header. */
#include "pull/note.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "plat/file.h"
#include "pull/choose.h"
#include "pull/link.h"

enum { NOTE_PATH_MAX = 4096, NOTES_MAX = 100000 };

static void set_text(js *o, const char *key, const char *text)
{
    if (text && *text)
        js_set(o, key, js_new_string(text));
}

static js *to_js(const pull_note *n)
{
    char when[32];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    js_begin();
    js *o = js_object();
    js_set(o, "hearth", js_new_int(1));
    set_text(o, "source", n->source);
    set_text(o, "url", n->url);
    set_text(o, "revision", n->revision);
    set_text(o, "sha256", n->files[0].sha256);
    js_set(o, "bytes", js_new_int((int64_t)n->files[0].bytes));
    set_text(o, "etag", n->etag);
    set_text(o, "licence", n->licence);
    set_text(o, "pulled", when);
    js *files = n->n > 1 ? js_array() : NULL;
    for (size_t i = 0; files && i < n->n; i++) {
        js *f = js_object();
        set_text(f, "name", n->files[i].name);
        js_set(f, "bytes", js_new_int((int64_t)n->files[i].bytes));
        set_text(f, "sha256", n->files[i].sha256);
        js_push(files, f);
    }
    if (n->n > 1)
        js_set(o, "files", files);
    if (js_lost()) {
        js_free(o);
        return NULL;
    }
    return o;
}

static status write_synced(const char *path, const buf *text, error *err)
{
    int fd;
    if (unlink(path) && errno != ENOENT)
        return fail(err, E_IO, "%s: %s", path, strerror(errno));
    status s = file_open_new(&fd, path, 0600, err);
    if (s)
        return s;
    s = file_write_all(fd, path, text->data, text->len, err);
    if (!s && fsync(fd))
        s = fail(err, E_IO, "%s: %s", path, strerror(errno));
    if (close(fd) && !s)
        s = fail(err, E_IO, "%s: %s", path, strerror(errno));
    return s;
}

status note_write(const pull_note *n, const char *dir, const char *staging, error *err)
{
    char from[NOTE_PATH_MAX], to[NOTE_PATH_MAX];
    int a = snprintf(from, sizeof from, "%s/note.json", staging);
    int b = snprintf(to, sizeof to, "%s/%s.json", dir, n->files[0].name);
    if (a < 0 || a >= NOTE_PATH_MAX || b < 0 || b >= NOTE_PATH_MAX)
        return fail(err, E_RANGE, "%s: the path is too long", dir);
    js *o = to_js(n);
    if (!o)
        return fail(err, E_NOMEM, "no memory for a note");
    buf text = BUF_INIT(NOTE_MAX);
    js_write(o, JS_PRETTY, &text);
    buf_char(&text, '\n');
    js_free(o);
    status s = buf_ok(&text, "a note", err);
    if (!s)
        s = write_synced(from, &text, err);
    if (!s && rename(from, to))
        s = fail(err, E_IO, "%s: %s", to, strerror(errno));
    if (s)
        unlink(from);
    buf_clear(&text);
    return s;
}

status note_read(js **out, const char *dir, const char *file, error *err)
{
    char path[NOTE_PATH_MAX];
    int k = snprintf(path, sizeof path, "%s/%s.json", dir, file);
    buf text = BUF_INIT(NOTE_MAX);
    js *o = NULL;
    int64_t version = 0;
    status s = k > 0 && k < NOTE_PATH_MAX ? file_slurp(path, &text, NULL) : E_NOTFOUND;
    if (!s)
        s = js_parse(&o, text.data, text.len, path, 1, NULL);
    buf_clear(&text);
    if (s == E_NOMEM)
        return fail(err, s, "no memory for a note");
    if (o && (!js_int(js_get(o, "hearth"), &version) || version != 1)) {
        js_free(o);
        o = NULL;
    }
    *out = o;
    return OK;
}

static bool file_has(const char *dir, const char *file, const js *bytes)
{
    char path[NOTE_PATH_MAX];
    struct stat st;
    int64_t want;
    int k = snprintf(path, sizeof path, "%s/%s", dir, file);
    return k > 0 && k < NOTE_PATH_MAX && js_int(bytes, &want) && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           st.st_size == want;
}

bool note_holds(const js *n, const char *dir, const char *file)
{
    const js *files = js_get(n, "files");
    if (!file_has(dir, file, js_get(n, "bytes")))
        return false;
    for (size_t i = 0; i < js_len(files); i++) {
        const char *name = js_text(js_get(js_at(files, i), "name"));
        if (!name || !link_safe_name(name) || !file_has(dir, name, js_get(js_at(files, i), "bytes")))
            return false;
    }
    return true;
}

/* "NAME.gguf" or "NAME-00001-of-00002.gguf" */
static bool called(const char *file, const char *name)
{
    unsigned part, parts;
    size_t stem = strlen(file) - 5;
    choose_split(file, &part, &parts, &stem);
    return strlen(name) == stem && strncmp(file, name, stem) == 0;
}

status note_find(js **out, const char *dir, const char *source, const char *name, error *err)
{
    DIR *d = opendir(dir);
    status s = OK;
    js *found = NULL;
    if (!d)
        return fail(err, E_IO, "%s: %s", dir, strerror(errno));
    struct dirent *e;
    for (size_t seen = 0; !s && !found && seen < NOTES_MAX && (e = readdir(d)); seen++) {
        char file[256];
        size_t n = strlen(e->d_name);
        if (!str_ends(e->d_name, ".gguf.json") || e->d_name[0] == '.' || n - 5 >= sizeof file)
            continue;
        memcpy(file, e->d_name, n - 5);
        file[n - 5] = 0;
        js *o = NULL;
        if (name && !called(file, name))
            continue;
        s = note_read(&o, dir, file, err);
        const char *from = js_text(js_get(o, "source"));
        if (from && strcmp(from, source) == 0 && note_holds(o, dir, file) && js_set(o, "name", js_new_string(file)))
            found = o;
        else
            js_free(o);
    }
    closedir(d);
    if (s)
        js_free(found);
    else
        *out = found;
    return s;
}
