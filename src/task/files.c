/* files.c: what a task was made of, for whoever keeps one and must know when to read it again. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "task/task_int.h"

/* dir/a, or dir/a/b. */
static status visit(const char *dir, const char *a, const char *b, task_file_fn *fn, void *user, error *err)
{
    char *path = task_joined(dir, a), *full = path && b ? task_joined(path, b) : NULL;
    status s = !path || (b && !full) ? task_no_memory(err) : fn(user, b ? full : path, err);
    mem_free(full);
    mem_free(path);
    return s;
}

/* Where a word is looked for, also behind the place where it was found: cheaper to ask than to know. */
static status visit_places(const char *name, const char *bin_dir, task_file_fn *fn, void *user, error *err)
{
    char *where[TASK_PLACES];
    status s = visit(".", name, "task.yaml", fn, user, err);
    task_places(where, bin_dir);
    for (int i = 0; i < TASK_PLACES; i++) {
        if (!s && where[i])
            s = visit(where[i], name, "task.yaml", fn, user, err);
        mem_free(where[i]);
    }
    return s;
}

status task_files(const task *t, const char *name, const char *bin_dir, task_file_fn *fn, void *user, error *err)
{
    status s = fn(user, t->path, err);
    if (!s && !strchr(name, '/'))
        s = visit_places(name, bin_dir, fn, user, err);
    if (!s)
        s = visit(t->dir, "cases.jsonl", NULL, fn, user, err);
    for (const struct task_path *p = t->memory->paths; !s && p; p = p->next)
        s = fn(user, p->path, err);
    return s;
}

/* ---- labels ---- */

static size_t depth(const char *path)
{
    size_t n = 0;
    for (const char *p = path; *p; p++)
        n += *p == '/' && p[1] && p[1] != '/';
    return n;
}

/* The real folders: by `..`, which the kernel follows wherever they come to lie. */
static status visit_up(const char *dir, size_t steps, task_file_fn *fn, void *user, error *err)
{
    buf at = BUF_INIT(PATH_MAX + 4 * PATH_MAX);
    status s = OK;
    buf_str(&at, dir);
    for (size_t i = 0; !s && i <= steps; i++) {
        s = at.failed ? task_no_memory(err) : visit(buf_text(&at), ".hearth-class", NULL, fn, user, err);
        buf_str(&at, "/..");
    }
    buf_clear(&at);
    return s;
}

/* The folders that an absolute path names, whatever is a link among them. */
static status visit_named(const char *dir, task_file_fn *fn, void *user, error *err)
{
    char path[PATH_MAX];
    size_t n = strlen(dir);
    status s = OK;
    if (n >= sizeof path)
        return OK; /* nothing can be opened there */
    memcpy(path, dir, n + 1);
    while (!s && n > 1) {
        while (n > 1 && path[n - 1] != '/')
            n--;
        path[n > 1 ? n - 1 : n] = 0;
        s = visit(n > 1 ? path : "", ".hearth-class", NULL, fn, user, err);
        n = n > 1 ? n - 1 : n;
    }
    return s;
}

status task_labels(const task *t, task_file_fn *fn, void *user, error *err)
{
    char real[PATH_MAX];
    bool known = realpath(t->dir, real) != NULL;
    status s = visit_up(t->dir, known ? depth(real) : 0, fn, user, err);
    return s || t->dir[0] != '/' || (known && strcmp(real, t->dir) == 0) ? s : visit_named(t->dir, fn, user, err);
}
