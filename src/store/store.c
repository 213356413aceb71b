/* store.c: names to files. See the header. */
#include "store/store.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "gguf/gguf.h"
#include "plat/paths.h"

enum { MODELS_MAX = 10000, MODEL_PATH_MAX = 4096, PART_TAIL = 15 /* "-00001-of-00002" */ };

static bool five_digits(const char *p)
{
    for (int i = 0; i < 5; i++)
        if (!isdigit((unsigned char)p[i]))
            return false;
    return true;
}

/* Length of the name without ".gguf" and part number; *part is 0 for a single file. */
static size_t stem(const char *file, unsigned long *part)
{
    size_t n = strlen(file);
    if (n > 5 && strcasecmp(file + n - 5, ".gguf") == 0)
        n -= 5;
    *part = 0;
    const char *tail = n > PART_TAIL ? file + n - PART_TAIL : NULL;
    if (tail && tail[0] == '-' && five_digits(tail + 1) && strncmp(tail + 6, "-of-", 4) == 0 &&
        five_digits(tail + 10)) {
        *part = strtoul(tail + 1, NULL, 10);
        n -= PART_TAIL;
    }
    return n;
}

static uint64_t bytes_of_parts(const char *path, uint64_t first)
{
    char part[MODEL_PATH_MAX];
    struct stat st;
    uint64_t sum = first;
    for (unsigned i = 1; gguf_part_path(path, i, part, sizeof part, NULL) == OK; i++)
        if (stat(part, &st) == 0)
            sum += (uint64_t)st.st_size;
    return sum;
}

static status add_model(store_model **list, size_t *n, const char *dir, const char *file, error *err)
{
    unsigned long part;
    size_t len = strlen(file), base = stem(file, &part);
    struct stat st;
    buf path = BUF_INIT(MODEL_PATH_MAX - 1);
    if (len < 6 || strcasecmp(file + len - 5, ".gguf") != 0 || part > 1 || *n >= MODELS_MAX)
        return OK;
    buf_printf(&path, "%s/%s", dir, file);
    status s = buf_ok(&path, "a model's path", err);
    if (s || stat(path.data, &st) != 0 || !S_ISREG(st.st_mode)) {
        buf_clear(&path);
        return s;
    }
    store_model *more = mem_resize(*list, (*n + 1) * sizeof **list);
    if (!more) {
        buf_clear(&path);
        return fail(err, E_NOMEM, "no memory for the list of models");
    }
    *list = more;
    store_model m = { .name = mem_strndup(file, base), .modified_s = (int64_t)st.st_mtime,
                     .bytes = bytes_of_parts(path.data, (uint64_t)st.st_size) };
    m.path = buf_take(&path);
    if (!m.name || !m.path) {
        mem_free(m.name);
        mem_free(m.path);
        return fail(err, E_NOMEM, "no memory for the list of models");
    }
    more[(*n)++] = m;
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const store_model *)a)->name, ((const store_model *)b)->name);
}

status store_list(store_model **out, size_t *n, error *err)
{
    char *dir = NULL;
    store_model *list = NULL;
    size_t count = 0;
    status s = path_of(&dir, PATH_DATA, "models", err);
    if (s)
        return s;
    DIR *d = opendir(dir);
    if (!d && errno != ENOENT)
        s = fail(err, E_IO, "%s: %s", dir, strerror(errno));
    for (struct dirent *e; d && !s && (e = readdir(d));)
        s = add_model(&list, &count, dir, e->d_name, err);
    if (d)
        closedir(d);
    mem_free(dir);
    if (s) {
        store_free(list, count);
        return s;
    }
    if (count > 1)
        qsort(list, count, sizeof *list, by_name);
    *out = list;
    *n = count;
    return OK;
}

void store_free(store_model *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mem_free(list[i].name);
        mem_free(list[i].path);
    }
    mem_free(list);
}

status store_delete(const store_model *m, error *err)
{
    char part[MODEL_PATH_MAX];
    unsigned n = 0;
    while (gguf_part_path(m->path, n, part, sizeof part, NULL) == OK)
        n++;
    while (n > 0) { /* the first part last: without it the others are no model that could be named */
        status s = gguf_part_path(m->path, --n, part, sizeof part, err);
        if (s)
            return s;
        if (unlink(part) != 0 && errno != ENOENT)
            return fail(err, E_IO, "%s: %s", part, strerror(errno));
    }
    return OK;
}

/* ---- finding ---- */

/* The one model that matches at this level: 0 exact, 1 without case, 2 beginning. *many: more than one. */
static const store_model *match(const store_model *list, size_t n, const char *name, size_t len, int level, bool *many)
{
    const store_model *found = NULL;
    *many = false;
    for (size_t i = 0; i < n; i++) {
        size_t l = strlen(list[i].name);
        bool hit = level == 0   ? l == len && memcmp(list[i].name, name, len) == 0
                   : level == 1 ? l == len && strncasecmp(list[i].name, name, len) == 0
                                : l > len && strncasecmp(list[i].name, name, len) == 0;
        if (hit && found)
            *many = true;
        else if (hit)
            found = &list[i];
    }
    return *many ? NULL : found;
}

static status none_such(const store_model *list, size_t n, const char *model, size_t len, bool many, error *err)
{
    buf names = BUF_INIT(400);
    char *dir = NULL;
    const char *near = n ? str_nearest(model, &list[0].name, n, sizeof *list) : NULL;
    for (size_t i = 0, k = 0; many && i < n && k < 6; i++)
        if (strncasecmp(list[i].name, model, len) == 0)
            buf_printf(&names, "%s%s", k++ ? ", " : "", list[i].name);
    status s = path_of(&dir, PATH_DATA, "models", err);
    if (many)
        s = fail(err, E_NOTFOUND, "model '%s': several begin like this: %s", model, buf_text(&names));
    else if (near)
        s = fail(err, E_NOTFOUND, "model '%s': there is none; did you mean '%s'?", model, near);
    else if (!s && n == 0)
        s = fail(err, E_NOTFOUND, "model '%s': no such file, and no models in %s", model, dir);
    else if (!s) {
        for (size_t i = 0; i < n && i < 6; i++)
            buf_printf(&names, "%s%s", i ? ", " : "", list[i].name);
        s = fail(err, E_NOTFOUND, "model '%s': no such file, and not among those in %s: %s%s", model, dir,
                 buf_text(&names), n > 6 ? ", ..." : "");
    }
    buf_clear(&names);
    mem_free(dir);
    return s;
}

status store_find(char **path, const char *model, error *err)
{
    struct stat st;
    store_model *list = NULL;
    size_t n = 0;
    unsigned long part;
    if (!model[0])
        return fail(err, E_NOTFOUND, "model: the name is empty");
    if (strchr(model, '/') || (stat(model, &st) == 0 && S_ISREG(st.st_mode))) {
        if (stat(model, &st) != 0)
            return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", model, strerror(errno));
        if (!S_ISREG(st.st_mode))
            return fail(err, E_IO, "%s: not a regular file", model);
        *path = mem_strdup(model);
        return *path ? OK : fail(err, E_NOMEM, "no memory for a path");
    }
    status s = store_list(&list, &n, err);
    if (s)
        return s;
    size_t len = stem(model, &part);
    bool many = false;
    const store_model *m = NULL;
    for (int level = 0; level < 3 && !m && !many; level++)
        m = match(list, n, model, len, level, &many);
    if (m) {
        char *copy = mem_strdup(m->path);
        s = copy ? OK : fail(err, E_NOMEM, "no memory for a path");
        if (copy)
            *path = copy;
    } else {
        s = none_such(list, n, model, len, many, err);
    }
    store_free(list, n);
    return s;
}

status store_part(const char *path, unsigned i, char *out, size_t room, error *err)
{
    return gguf_part_path(path, i, out, room, err);
}
