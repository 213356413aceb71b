/* find.c: names to files. See store.h for what MODEL can be. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"
#include "gguf/gguf.h"
#include "plat/paths.h"
#include "store/store_int.h"

enum { NAMES_TOLD = 6 };

typedef struct wanted {
    const char *model; /* as it was given */
    size_t len;        /* of it, without ".gguf" and part number */
    bool whole;        /* with a place's prefix: compared with whole names, otherwise with their last part */
} wanted;

const char *store_label(const store_model *m)
{
    const char *slash = strrchr(m->path, '/');
    return m->place != STORE_MODELS && m->place != STORE_PATH ? m->name : slash ? slash + 1 : m->path;
}

/* What a NAME without prefix is compared with: llama3.2:1b of ollama:llama3.2:1b, FILE of hf:OWNER/REPO/FILE. */
static const char *short_name(const store_model *m)
{
    const char *colon = strchr(m->name, ':'), *slash = strrchr(m->name, '/');
    switch (m->place) {
    case STORE_OLLAMA: return colon ? colon + 1 : m->name;
    case STORE_HF:
    case STORE_LMSTUDIO: return slash ? slash + 1 : m->name;
    default: return m->name;
    }
}

/* Without the tag that Ollama adds by itself. */
static size_t untagged(const store_model *m, const char *name, size_t len)
{
    static const char tag[] = ":latest";
    size_t n = sizeof tag - 1;
    return m->place == STORE_OLLAMA && len > n && strncasecmp(name + len - n, tag, n) == 0 ? len - n : len;
}

/* hf:OWNER/REPO:QUANT against hf:OWNER/REPO/FILE-QUANT. */
static bool quant_is(const wanted *w, const store_model *m)
{
    const char *at = memchr(w->model, ':', w->len), *end = w->model + w->len;
    const char *quant = at ? memchr(at + 1, ':', (size_t)(end - at - 1)) : NULL;
    if (!w->whole || m->place != STORE_HF || !quant || quant + 1 == end)
        return false;
    size_t before = (size_t)(quant - w->model), n = (size_t)(end - quant - 1), l = strlen(m->name);
    return l > before + n + 1 && strncasecmp(m->name, w->model, before) == 0 && m->name[before] == '/' &&
           strncasecmp(m->name + l - n, quant + 1, n) == 0 && strchr("-./", m->name[l - n - 1]);
}

/* How near a name has to come. */
enum level { FILE_NAME, EXACT, ANY_CASE, BEGINNING, QUANT, LEVELS };

static bool hits(const wanted *w, const store_model *m, enum level level)
{
    const char *name = w->whole ? m->name : short_name(m), *slash = strrchr(m->path, '/');
    size_t l = untagged(m, name, strlen(name)), len = untagged(m, w->model, w->len);
    switch (level) {
    case FILE_NAME: return !w->whole && slash && m->place != STORE_OLLAMA && strcmp(slash + 1, w->model) == 0;
    case EXACT: return l == len && memcmp(name, w->model, l) == 0;
    case ANY_CASE: return l == len && strncasecmp(name, w->model, l) == 0;
    case BEGINNING: return strlen(name) > w->len && strncasecmp(name, w->model, w->len) == 0;
    default: return quant_is(w, m);
    }
}

/* The one model that is meant; NULL: none, or *many. The same file in two places is one. */
static const store_model *match(const store_model *list, size_t n, const wanted *w, bool usable, bool *many)
{
    const store_model *found = NULL;
    *many = false;
    for (int level = 0; level < LEVELS && !found && !*many; level++)
        for (size_t i = 0; i < n; i++) {
            if (!hits(w, &list[i], (enum level)level) || (list[i].unusable == NULL) != usable)
                continue;
            if (found && !store_same_file(found->path, list[i].path))
                *many = true;
            else if (!found)
                found = &list[i];
        }
    return *many ? NULL : found;
}

/* ---- what is said when there is none ---- */

static void add_several(const store_model *list, size_t n, const wanted *w, buf *out)
{
    size_t k = 0;
    for (size_t i = 0; i < n && k < NAMES_TOLD; i++) {
        bool hit = false;
        for (int level = 0; level < LEVELS; level++)
            hit = hit || hits(w, &list[i], (enum level)level);
        if (hit) /* two files may have one name: NAME.gguf and NAME-00001-of-00002.gguf */
            buf_printf(out, "%s%s", k++ ? ", " : "", list[i].place == STORE_MODELS && strlen(list[i].name) == w->len
                                                         ? store_label(&list[i]) : list[i].name);
    }
}

static const char *near_name(const store_model *list, size_t n, const wanted *w)
{
    const char **names = mem_array(n ? n : 1, sizeof *names), *near = NULL;
    for (size_t i = 0; names && i < n; i++)
        names[i] = w->whole ? list[i].name : short_name(&list[i]);
    if (names && n)
        near = str_nearest(w->model, names, n, sizeof *names);
    for (size_t i = 0; names && near && i < n; i++)
        if (names[i] == near) {
            near = list[i].name;
            break;
        }
    mem_free(names);
    return near;
}

static status none_such(const store_model *list, size_t n, const wanted *w, bool many, error *err)
{
    buf names = BUF_INIT(ERROR_TEXT_BYTES - 200);
    char *dir = NULL;
    const char *near = near_name(list, n, w), *model = w->model;
    status s = path_of(&dir, PATH_DATA, "models", err);
    if (many) {
        add_several(list, n, w, &names);
        s = fail(err, E_NOTFOUND, "model '%s': several begin like this: %s", model, buf_text(&names));
    } else if (near) {
        s = fail(err, E_NOTFOUND, "model '%s': there is none; did you mean '%s'?", model, near);
    } else if (w->whole && !s) {
        s = fail(err, E_NOTFOUND, "model '%s': not in %s; see hearth list --all-places", model,
                 store_place_title(store_prefix(model)));
    } else if (!s && n == 0) {
        s = fail(err, E_NOTFOUND, "model '%s': no such file, and no models in %s", model, dir);
    } else if (!s) {
        for (size_t i = 0; i < n && i < NAMES_TOLD; i++)
            buf_printf(&names, "%s%s", i ? ", " : "", list[i].name);
        s = fail(err, E_NOTFOUND, "model '%s': no such file, and not among those in %s%s: %s%s", model, dir,
                 list[n - 1].place == STORE_MODELS ? "" : " and in other programs' places", buf_text(&names),
                 n > NAMES_TOLD ? ", ..." : "");
    }
    buf_clear(&names);
    mem_free(dir);
    return s;
}

/* ---- finding ---- */

static status copy_model(store_model *out, const store_model *m, error *err)
{
    store_model c = { mem_strdup(m->name), mem_strdup(m->path), NULL, m->place, m->bytes, m->modified_s };
    if (!c.name || !c.path) {
        store_model_clear(&c);
        return fail(err, E_NOMEM, "no memory for a model's name");
    }
    *out = c;
    return OK;
}

static status look_path(store_model *out, const char *path, error *err)
{
    struct stat st;
    unsigned long part;
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    if (stat(path, &st) != 0)
        return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(err, E_IO, "%s: not a regular file", path);
    store_scan s = { .err = err, .place = STORE_PATH };
    char *name = mem_strndup(file, store_stem(file, &part));
    status added = name ? store_add(&s, name, path, NULL) : fail(err, E_NOMEM, "no memory for a model's name");
    if (!added && s.n == 0)
        added = fail(err, E_NOTFOUND, "%s: is gone", path);
    if (!added)
        added = copy_model(out, s.list, err);
    store_free(s.list, s.n);
    mem_free(name);
    return added;
}

/* In what was listed so far; E_NOTFOUND without a sentence: go on elsewhere. */
static status look_in(store_model *out, const store_scan *s, const wanted *w, bool last)
{
    bool many = false, many_unusable = false;
    const store_model *m = match(s->list, s->n, w, true, &many);
    const store_model *bad = m || many ? NULL : match(s->list, s->n, w, false, &many_unusable);
    if (m)
        return copy_model(out, m, s->err);
    if (bad)
        return fail(s->err, E_UNSUPPORTED, "model '%s': %s", bad->name, bad->unusable);
    if (many || many_unusable || last)
        return none_such(s->list, s->n, w, many || many_unusable, s->err);
    return E_NOTFOUND;
}

static status look(store_model *out, const char *model, const store_ear *ear, error *err)
{
    unsigned long part;
    error first = { 0 };
    store_scan s = { .err = err, .ear = ear };
    wanted w = { model, store_stem(model, &part), store_prefix(model) != STORE_PATH };
    status st = w.whole ? OK : store_scan_models(&s);
    if (!st && !w.whole) {
        s.err = &first;
        st = look_in(out, &s, &w, false);
        if (st && (st != E_NOTFOUND || first.text[0])) {
            st = fail(err, st, "%s", first.text);
            goto out;
        }
        s.err = err;
        if (!st)
            goto out;
        st = OK;
    }
    if (!st)
        st = store_scan_places(&s);
    if (!st)
        st = look_in(out, &s, &w, true);
out:
    store_free(s.list, s.n);
    return st;
}

/* A word with a slash is a path, unless a place's name begins it and there is no such file. */
static bool is_path(const char *model)
{
    struct stat st;
    if (stat(model, &st) == 0 && S_ISREG(st.st_mode))
        return true;
    return strchr(model, '/') && store_prefix(model) == STORE_PATH;
}

status store_look(store_model *out, const char *model, error *err)
{
    if (!model[0])
        return fail(err, E_NOTFOUND, "model: the name is empty");
    return is_path(model) ? look_path(out, model, err) : look(out, model, NULL, err);
}

status store_find(char **path, const char *model, error *err)
{
    store_model m = { 0 };
    status s = store_look(&m, model, err);
    if (!s) {
        *path = m.path;
        m.path = NULL;
    }
    store_model_clear(&m);
    return s;
}

/* An ear that remembers whether it was the listener who failed. */
typedef struct watcher {
    store_seen_fn *fn;
    void *user;
    status failed;
} watcher;

static status seen(void *user, const char *path, error *err)
{
    watcher *w = user;
    w->failed = w->fn(w->user, path, err);
    return w->failed;
}

status store_watch(const char *model, store_seen_fn *fn, void *user, error *err)
{
    watcher w = { fn, user, OK };
    const store_ear ear = { .seen = seen, .seen_user = &w };
    store_model m = { 0 };
    error why = { 0 };
    status s = is_path(model) ? OK : look(&m, model, &ear, &why);
    if (w.failed)
        s = fail(err, w.failed, "%s", why.text);
    else if (s != E_NOMEM)
        s = OK;
    else
        s = fail(err, s, "%s", why.text);
    char part[STORE_PATH_MAX];
    const char *first = m.path ? m.path : model;
    if (!s)
        s = fn(user, model, err); /* a file of this name, where this process is */
    if (!s && m.path)
        s = fn(user, m.path, err);
    for (unsigned i = 1; !s && i < GGUF_MAX_FILES && store_part(first, i, part, sizeof part, NULL) == OK; i++)
        s = fn(user, part, err);
    store_model_clear(&m);
    return s;
}

status store_part(const char *path, unsigned i, char *out, size_t room, error *err)
{
    return gguf_part_path(path, i, out, room, err);
}
