/* list.c: lists of models, and the models directory. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"
#include "gguf/gguf.h"
#include "plat/paths.h"
#include "store/store_int.h"

enum { PART_TAIL = 15 /* "-00001-of-00002" */ };

static bool five_digits(const char *p)
{
    for (int i = 0; i < 5; i++)
        if (!isdigit((unsigned char)p[i]))
            return false;
    return true;
}

static bool is_gguf(const char *file)
{
    size_t n = strlen(file);
    return n > 5 && strcasecmp(file + n - 5, ".gguf") == 0;
}

size_t store_stem(const char *file, unsigned long *part)
{
    size_t n = strlen(file);
    if (is_gguf(file))
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

/* Files beside a model that are called .gguf and are none: the picture encoders of vision models and importance
 * matrices, as the tools that write them name them. */
static bool is_beside(const char *file)
{
    const char *slash = strrchr(file, '/');
    return strcasestr(slash ? slash + 1 : file, "mmproj") || strcasestr(slash ? slash + 1 : file, "imatrix");
}

bool store_is_model(const char *file)
{
    unsigned long part;
    for (const char *p = file; *p; p++)
        if (iscntrl((unsigned char)*p))
            return false;
    if (!is_gguf(file) || is_beside(file))
        return false;
    (void)store_stem(file, &part);
    return part <= 1;
}

/* Parts that are not there count nothing. */
static uint64_t bytes_of_parts(const char *path, uint64_t first)
{
    char part[STORE_PATH_MAX];
    struct stat st;
    uint64_t sum = first;
    for (unsigned i = 1; i < GGUF_MAX_FILES && gguf_part_path(path, i, part, sizeof part, NULL) == OK; i++)
        if (stat(part, &st) == 0)
            sum += (uint64_t)st.st_size;
    return sum;
}

void store_model_clear(store_model *m)
{
    mem_free(m->name);
    mem_free(m->path);
    mem_free(m->unusable);
    *m = (store_model){ 0 };
}

void store_free(store_model *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store_model_clear(&list[i]);
    mem_free(list);
}

status store_add(store_scan *s, const char *name, const char *path, const char *why)
{
    struct stat st;
    if (s->n >= STORE_MODELS_MAX || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return OK;
    store_model *more = mem_resize(s->list, (s->n + 1) * sizeof *more);
    if (!more)
        return fail(s->err, E_NOMEM, "no memory for the list of models");
    s->list = more;
    store_model m = { .name = mem_strdup(name), .path = mem_strdup(path), .unusable = why ? mem_strdup(why) : NULL,
                      .place = s->place, .modified_s = (int64_t)st.st_mtime,
                      .bytes = bytes_of_parts(path, (uint64_t)st.st_size) };
    if (!m.name || !m.path || (why && !m.unusable)) {
        store_model_clear(&m);
        return fail(s->err, E_NOMEM, "no memory for the list of models");
    }
    more[s->n++] = m;
    return OK;
}

bool store_has(const store_scan *s, const char *name)
{
    for (size_t i = s->first; i < s->n; i++)
        if (strcasecmp(s->list[i].name, name) == 0)
            return true;
    return false;
}

static int by_name(const void *a, const void *b)
{
    const store_model *x = a, *y = b;
    int by = strcmp(x->name, y->name);
    return by ? by : strcmp(x->path, y->path);
}

void store_sort(store_scan *s, size_t first)
{
    if (s->n > first + 1)
        qsort(s->list + first, s->n - first, sizeof *s->list, by_name);
}

bool store_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* ---- the models directory ---- */

static status add_file(store_scan *s, const char *dir, const char *file)
{
    unsigned long part;
    char path[STORE_PATH_MAX];
    if (!store_is_model(file) || !store_join(path, dir, file))
        return OK;
    char *name = mem_strndup(file, store_stem(file, &part));
    status st = name ? store_add(s, name, path, NULL) : fail(s->err, E_NOMEM, "no memory for the list of models");
    mem_free(name);
    return st;
}

status store_scan_models(store_scan *s)
{
    char *dir = NULL;
    status st = path_of(&dir, PATH_DATA, "models", s->err);
    if (st)
        return st;
    s->place = STORE_MODELS;
    size_t first = s->n;
    st = store_see(s, dir);
    DIR *d = st ? NULL : opendir(dir);
    if (!st && !d && errno != ENOENT)
        st = fail(s->err, E_IO, "%s: %s", dir, strerror(errno));
    for (struct dirent *e; d && !st && (e = readdir(d));)
        st = add_file(s, dir, e->d_name);
    if (d)
        closedir(d);
    mem_free(dir);
    store_sort(s, first);
    return st;
}

static status take_list(store_scan *s, status st, store_model **out, size_t *n)
{
    if (st) {
        store_free(s->list, s->n);
        return st;
    }
    *out = s->list;
    *n = s->n;
    return OK;
}

status store_list(store_model **out, size_t *n, error *err)
{
    store_scan s = { .err = err };
    return take_list(&s, store_scan_models(&s), out, n);
}

status store_list_places(store_model **out, size_t *n, store_say_fn *say, void *user, error *err)
{
    const store_ear ear = { .say = say, .say_user = user };
    store_scan s = { .err = err, .ear = &ear };
    status st = store_scan_models(&s);
    return take_list(&s, st ? st : store_scan_places(&s), out, n);
}
