/* delete.c: removing a model of the models directory: its parts, its note, and what interrupted pulls left of it
 * (FILE.part and FILE.part.state, here and in the folders .pull/KEY/, which a running pull has locked with flock) and
 * interrupted `quantize` (FILE.part, FILE.part.done and FILE.part.measured, locked while one runs). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "gguf/gguf.h"
#include "plat/paths.h"
#include "store/store_int.h"

/* How the program that a place belongs to removes a model itself. */
static status refuse(const store_model *m, error *err)
{
    const char *name = strchr(m->name, ':') ? strchr(m->name, ':') + 1 : m->name, *slash = strchr(name, '/');
    const char *after = slash ? strchr(slash + 1, '/') : NULL;
    size_t repo = after ? (size_t)(after - name) : strlen(name);
    switch (m->place) {
    case STORE_OLLAMA:
        return fail(err, E_DENIED, "%s belongs to Ollama: ollama rm %s", m->name, name);
    case STORE_HF:
        return fail(err, E_DENIED, "%s belongs to the Hugging Face cache: hf cache rm model/%.*s (older: "
                    "huggingface-cli delete-cache)", m->name, (int)repo, name);
    case STORE_LMSTUDIO:
        return fail(err, E_DENIED, "%s belongs to LM Studio: remove it there, under My Models", m->name);
    default:
        return fail(err, E_DENIED, "%s: is a path; only models of the models directory are removed, by name: rm %s",
                    m->path, m->path);
    }
}

/* Of a link itself. */
static status add_file(store_files *f, const char *path, error *err)
{
    struct stat st;
    if (lstat(path, &st) != 0 || S_ISDIR(st.st_mode))
        return OK;
    char **more = mem_resize(f->paths, (f->n + 1) * sizeof *more);
    if (!more)
        return fail(err, E_NOMEM, "no memory for a list of files");
    f->paths = more;
    if (!(more[f->n] = mem_strdup(path)))
        return fail(err, E_NOMEM, "no memory for a list of files");
    f->n++;
    if (S_ISREG(st.st_mode)) /* a link frees nothing */
        f->bytes += (uint64_t)st.st_size;
    return OK;
}

/* FILE, when it is whole and waits for others, and what is there of it. */
static const char *const tails[] = { "", ".part", ".part.state", ".part.done", ".part.measured" };

/* What a fetch in the folder at stage has of FILE. E_EXISTS: it is running. */
static status add_staged(store_files *f, const char *stage, const char *file, error *err)
{
    char path[STORE_PATH_MAX + 32];
    size_t before = f->n;
    status s = OK;
    int fd = open(stage, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return OK;
    for (size_t i = 0; !s && i < ARRAY_LEN(tails); i++) {
        int n = snprintf(path, sizeof path, "%s/%s%s", stage, file, tails[i]);
        s = n > 0 && (size_t)n < sizeof path ? add_file(f, path, err) : OK;
    }
    if (!s && f->n > before && flock(fd, LOCK_EX | LOCK_NB) != 0)
        s = fail(err, E_EXISTS, "%s is being pulled now: wait, or stop that first", file);
    close(fd);
    return s;
}

/* Something that a running process may hold. E_EXISTS: it does. */
static status add_unheld(store_files *f, const char *path, error *err)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool held = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        close(fd);
    return held ? fail(err, E_EXISTS, "%s is being written now: wait, or stop that first", path)
                : add_file(f, path, err);
}

/* What was interrupted has left of the file at path. */
static status add_leftovers(store_files *f, const char *path, error *err)
{
    char name[STORE_PATH_MAX + 32], staging[STORE_PATH_MAX];
    const char *slash = strrchr(path, '/');
    status s = OK;
    for (size_t i = 1; !s && i < ARRAY_LEN(tails); i++) {
        snprintf(name, sizeof name, "%s%s", path, tails[i]);
        s = add_unheld(f, name, err);
    }
    int n = snprintf(staging, sizeof staging, "%.*s/.pull", (int)(slash ? slash - path : 0), path);
    DIR *d = !s && slash && n < STORE_PATH_MAX ? opendir(staging) : NULL;
    unsigned looked = 0;
    for (struct dirent *e; d && !s && looked < STORE_FOLDERS_MAX && (e = readdir(d)); looked++) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || !store_join(name, staging, e->d_name))
            continue;
        s = add_staged(f, name, slash + 1, err);
    }
    if (d)
        closedir(d);
    return s;
}

static unsigned count_parts(const char *path)
{
    char part[STORE_PATH_MAX];
    unsigned n = 0;
    while (n < GGUF_MAX_FILES && gguf_part_path(path, n, part, sizeof part, NULL) == OK)
        n++;
    return n;
}

/* In the order in which they go: the first part last, since without it the others are no model that could be named. */
status store_files_of(store_files *out, const store_model *m, error *err)
{
    store_files f = { 0 };
    char part[STORE_PATH_MAX];
    status s = m->place == STORE_MODELS ? OK : refuse(m, err);
    for (unsigned n = s ? 0 : count_parts(m->path); !s && n > 0; n--) {
        s = gguf_part_path(m->path, n - 1, part, sizeof part - 8, err);
        if (!s)
            s = add_leftovers(&f, part, err);
        if (!s && n == 1) {
            char note[STORE_PATH_MAX + 8];
            snprintf(note, sizeof note, "%s.json", part);
            s = add_file(&f, note, err);
        }
        if (!s)
            s = add_file(&f, part, err);
    }
    if (s)
        store_files_free(&f);
    else
        *out = f;
    return s;
}

status store_absent(store_model *out, const char *name, error *err)
{
    char *dir = NULL, path[STORE_PATH_MAX];
    unsigned long part;
    if (strchr(name, '/'))
        return fail(err, E_NOTFOUND, "model '%s': not the name of a model in the models directory", name);
    status s = path_of(&dir, PATH_DATA, "models", err);
    if (s)
        return s;
    size_t n = strlen(name);
    bool whole = n > 5 && strcasecmp(name + n - 5, ".gguf") == 0;
    int k = snprintf(path, sizeof path, "%s/%s%s", dir, name, whole ? "" : ".gguf");
    mem_free(dir);
    if (k < 0 || k >= STORE_PATH_MAX)
        return fail(err, E_RANGE, "model '%.100s...': the name is too long", name);
    store_model m = { .name = mem_strndup(name, store_stem(name, &part)), .path = mem_strdup(path) };
    if (!m.name || !m.path) {
        store_model_clear(&m);
        return fail(err, E_NOMEM, "no memory for a model's name");
    }
    *out = m;
    return OK;
}

void store_files_free(store_files *f)
{
    for (size_t i = 0; i < f->n; i++)
        mem_free(f->paths[i]);
    mem_free(f->paths);
    *f = (store_files){ 0 };
}

/* Of .pull/KEY/FILE the folder .pull/KEY, if this was the last in it. */
static void leave_stage(char *path)
{
    static const char staging[] = "/.pull";
    char *slash = strrchr(path, '/');
    if (!slash)
        return;
    *slash = '\0';
    const char *key = strrchr(path, '/');
    size_t n = key ? (size_t)(key - path) : 0, k = sizeof staging - 1;
    if (n > k && memcmp(path + n - k, staging, k) == 0)
        (void)rmdir(path);
}

status store_delete(const store_model *m, error *err)
{
    store_files f = { 0 };
    status s = store_files_of(&f, m, err);
    for (size_t i = 0; !s && i < f.n; i++) {
        if (unlink(f.paths[i]) != 0 && errno != ENOENT)
            s = fail(err, E_IO, "%s: %s", f.paths[i], strerror(errno));
        else
            leave_stage(f.paths[i]);
    }
    store_files_free(&f);
    return s;
}
