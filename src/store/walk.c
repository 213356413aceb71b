/* walk.c: looking into folders that other programs keep: everything in them is a stranger, and nothing there that
 * cannot be read is an error of the models that can. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/file.h"
#include "store/store_int.h"

bool store_join(char *out, const char *a, const char *b)
{
    int n = snprintf(out, STORE_PATH_MAX, "%s/%s", a, b);
    return n > 0 && n < STORE_PATH_MAX;
}

void store_say(store_scan *s, const char *format, ...)
{
    char text[STORE_PATH_MAX + 200];
    va_list args;
    if (!s->ear || !s->ear->say)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    s->ear->say(s->ear->say_user, text);
}

status store_see(store_scan *s, const char *path)
{
    return s->ear && s->ear->seen ? s->ear->seen(s->ear->seen_user, path, s->err) : OK;
}

/* Once a place, when one of the ceilings is reached. */
static bool may_go_on(store_scan *s, unsigned *count, unsigned most, const char *what)
{
    if (*count == most)
        store_say(s, "%s: more than %u %s: the rest is not looked at", s->root, most, what);
    if (*count <= most)
        ++*count;
    return *count <= most;
}

status store_walk(store_scan *s, const char *dir, store_entry_fn *fn, void *user)
{
    status st = store_see(s, dir);
    if (st || !may_go_on(s, &s->folders, STORE_FOLDERS_MAX, "folders"))
        return st;
    DIR *d = opendir(dir);
    if (!d) {
        if (errno != ENOENT && errno != ENOTDIR)
            store_say(s, "%s: not looked into: %s", dir, strerror(errno));
        return OK;
    }
    for (struct dirent *e; !st && (e = readdir(d));)
        if (e->d_name[0] != '.' && may_go_on(s, &s->entries, STORE_ENTRIES_MAX, "entries"))
            st = fn(s, dir, e->d_name, user);
    closedir(d);
    return st;
}

/* ---- trees ---- */

typedef struct level {
    const struct level *up;
    dev_t device;
    ino_t inode;
    unsigned depth;
    const char *base; /* where names are counted from */
    store_entry_fn *fn;
    void *user;
} level;

static bool leads_back(const level *l, const struct stat *st)
{
    for (; l; l = l->up)
        if (l->device == st->st_dev && l->inode == st->st_ino)
            return true;
    return false;
}

static status tree_entry(store_scan *s, const char *dir, const char *name, void *user)
{
    const level *l = user;
    char path[STORE_PATH_MAX];
    struct stat st;
    if (!store_join(path, dir, name) || stat(path, &st) != 0)
        return OK;
    if (!S_ISDIR(st.st_mode))
        return l->fn(s, l->base, path + strlen(l->base) + 1, l->user);
    if (l->depth == STORE_DEPTH_MAX || leads_back(l, &st))
        return OK;
    level down = *l;
    down.up = l;
    down.device = st.st_dev;
    down.inode = st.st_ino;
    down.depth++;
    return store_walk(s, path, tree_entry, &down);
}

status store_walk_tree(store_scan *s, const char *dir, store_entry_fn *fn, void *user)
{
    struct stat st;
    level top = { .base = dir, .fn = fn, .user = user };
    if (stat(dir, &st) == 0) {
        top.device = st.st_dev;
        top.inode = st.st_ino;
    }
    return store_walk(s, dir, tree_entry, &top);
}

/* ---- texts ---- */

/* O_NONBLOCK: what lies there may be a pipe that nobody writes. */
bool store_read_small(const char *path, buf *out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    bool ok = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && file_slurp_fd(fd, path, out, NULL) == OK;
    if (fd >= 0)
        close(fd);
    return ok;
}
