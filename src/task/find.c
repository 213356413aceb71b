/* find.c: where tasks lie. A name is looked for in ./tasks, in the data folder, and beside the program. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "plat/paths.h"
#include "task/task_int.h"

enum { PLACES = TASK_PLACES, PATH_BYTES_MAX = 16 << 10, NAMES_MAX = 10000 };

char *task_joined(const char *a, const char *b)
{
    buf out = BUF_INIT(PATH_BYTES_MAX);
    buf_printf(&out, "%s/%s", a, b);
    char *taken = buf_take(&out);
    buf_clear(&out);
    return taken;
}

static bool is_file(const char *dir, const char *name)
{
    struct stat st;
    char *path = task_joined(dir, name);
    bool yes = path && !stat(path, &st) && S_ISREG(st.st_mode);
    mem_free(path);
    return yes;
}

void task_places(char *out[PLACES], const char *bin_dir)
{
    out[0] = mem_strdup("./tasks");
    out[1] = NULL;
    if (path_of(&out[1], PATH_DATA, "tasks", NULL) != OK)
        out[1] = NULL;
    out[2] = bin_dir ? task_joined(bin_dir, "../share/hearth/tasks") : NULL;
}

static void free_places(char *p[PLACES])
{
    for (int i = 0; i < PLACES; i++)
        mem_free(p[i]);
}

static status not_found(const char *name, const char *bin_dir, error *err)
{
    task_names all = { 0, NULL, NULL };
    const char *near = NULL;
    if (task_list(&all, bin_dir, NULL) == OK)
        near = str_nearest(name, all.names, all.n, sizeof *all.names);
    status s = fail(err, E_NOTFOUND, "there is no task '%s'%s%s%s (a task is a folder with task.yaml; a name is looked "
                    "for in ./tasks, $HEARTH_HOME/tasks and beside the program)", name, near ? "; did you mean '" : "",
                    near ? near : "", near ? "'?" : "");
    task_names_clear(&all);
    return s;
}

/* A path: the folder, or task.yaml in it. */
static status find_path(char **dir, const char *path, error *err)
{
    size_t n = strlen(path), tail = strlen("/task.yaml");
    while (n > 1 && path[n - 1] == '/')
        n--;
    bool file = !strcmp(path, "task.yaml") || (n > tail && !strcmp(path + n - tail, "/task.yaml"));
    char *found = !file ? mem_strndup(path, n) : n > tail ? mem_strndup(path, n - tail) : mem_strdup(".");
    if (!found)
        return task_no_memory(err);
    if (is_file(found, "task.yaml")) {
        *dir = found;
        return OK;
    }
    mem_free(found);
    return fail(err, E_NOTFOUND, "%s: no such task: there is no task.yaml in that folder", path);
}

status task_find(char **dir, const char *path_or_name, const char *bin_dir, error *err)
{
    if (strchr(path_or_name, '/') || is_file(path_or_name, "task.yaml") || !strcmp(path_or_name, "task.yaml") ||
        !strcmp(path_or_name, "."))
        return find_path(dir, path_or_name, err);
    char *where[PLACES], *found = NULL;
    task_places(where, bin_dir);
    for (int i = 0; i < PLACES && !found; i++) {
        char *candidate = where[i] ? task_joined(where[i], path_or_name) : NULL;
        if (candidate && path_or_name[0] && is_file(candidate, "task.yaml"))
            found = candidate;
        else
            mem_free(candidate);
    }
    free_places(where);
    if (!found)
        return not_found(path_or_name, bin_dir, err);
    *dir = found;
    return OK;
}

static bool has_name(const task_names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (!strcmp(names->names[i], name))
            return true;
    return false;
}

static status add_name(task_names *names, const char *name, char *dir, error *err)
{
    char **more = mem_resize(names->names, (names->n + 1) * sizeof *more);
    if (more)
        names->names = more;
    char **dirs = more ? mem_resize(names->dirs, (names->n + 1) * sizeof *dirs) : NULL;
    if (dirs)
        names->dirs = dirs;
    char *copy = dirs ? mem_strdup(name) : NULL;
    if (!copy) {
        mem_free(dir);
        return task_no_memory(err);
    }
    names->names[names->n] = copy;
    names->dirs[names->n++] = dir;
    return OK;
}

static status list_place(task_names *out, const char *place, error *err)
{
    DIR *d = opendir(place);
    if (!d)
        return OK; /* a place that is not there holds no tasks */
    status s = OK;
    for (struct dirent *e; !s && out->n < NAMES_MAX && (e = readdir(d));) {
        if (e->d_name[0] == '.' || has_name(out, e->d_name))
            continue;
        char *dir = task_joined(place, e->d_name);
        if (dir && is_file(dir, "task.yaml"))
            s = add_name(out, e->d_name, dir, err);
        else
            mem_free(dir);
    }
    closedir(d);
    return s;
}

static void sort_names(task_names *t)
{
    for (size_t i = 1; i < t->n; i++)
        for (size_t j = i; j > 0 && strcmp(t->names[j - 1], t->names[j]) > 0; j--) {
            char *name = t->names[j], *dir = t->dirs[j];
            t->names[j] = t->names[j - 1];
            t->dirs[j] = t->dirs[j - 1];
            t->names[j - 1] = name;
            t->dirs[j - 1] = dir;
        }
}

status task_list(task_names *out, const char *bin_dir, error *err)
{
    char *where[PLACES];
    task_names found = { 0, NULL, NULL };
    status s = OK;
    task_places(where, bin_dir);
    for (int i = 0; i < PLACES && !s; i++)
        if (where[i])
            s = list_place(&found, where[i], err);
    free_places(where);
    if (s) {
        task_names_clear(&found);
        return s;
    }
    sort_names(&found);
    *out = found;
    return OK;
}

void task_names_clear(task_names *t)
{
    for (size_t i = 0; i < t->n; i++) {
        mem_free(t->names[i]);
        mem_free(t->dirs[i]);
    }
    mem_free(t->names);
    mem_free(t->dirs);
    *t = (task_names){ 0, NULL, NULL };
}
