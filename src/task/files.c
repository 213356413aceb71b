/* files.c: what a task was made of, for whoever keeps one and must know when to read it again. */
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
