#include "plat/paths.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"

static const struct {
    const char *variable, *below_home;
} xdg[] = {
    [PATH_CONFIG] = { "XDG_CONFIG_HOME", ".config" },
    [PATH_DATA] = { "XDG_DATA_HOME", ".local/share" },
    [PATH_CACHE] = { "XDG_CACHE_HOME", ".cache" },
};

static const char *variable(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

status path_of(char **out, path_kind kind, const char *name, error *err)
{
    const char *all = variable("HEARTH_HOME"), *base = variable(xdg[kind].variable), *home = variable("HOME");
    buf b = BUF_INIT(PATH_MAX);
    if (all)
        buf_str(&b, all);
    else if (base && base[0] == '/')
        buf_printf(&b, "%s/hearth", base);
    else if (home)
        buf_printf(&b, "%s/%s/hearth", home, xdg[kind].below_home);
    else
        return fail(err, E_NOTFOUND, "neither HEARTH_HOME nor HOME is set: there is no place for hearth's files");
    if (name && *name)
        buf_printf(&b, "/%s", name);
    status s = buf_ok(&b, "the path of hearth's files", err);
    if (s) {
        buf_clear(&b);
        return s;
    }
    *out = buf_take(&b);
    return OK;
}

static status make_one(const char *dir, error *err)
{
    if (mkdir(dir, 0700) == 0)
        return OK;
    int why = errno;
    struct stat st;
    if (stat(dir, &st) == 0)
        return S_ISDIR(st.st_mode) ? OK : fail(err, E_EXISTS, "%s: is in the way: not a folder", dir);
    return fail(err, E_IO, "%s: cannot make the folder: %s", dir, strerror(why));
}

/* Makes every folder on the way to path[0..n), which must not be empty. */
static status make_upto(const char *path, size_t n, error *err)
{
    char *copy = mem_strndup(path, n);
    if (!copy)
        return fail(err, E_NOMEM, "no memory for a path");
    status s = OK;
    for (char *p = copy + 1; !s && p < copy + n; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        s = make_one(copy, err);
        *p = '/';
    }
    if (!s)
        s = make_one(copy, err);
    mem_free(copy);
    return s;
}

status path_make_dirs(const char *dir, error *err)
{
    return *dir ? make_upto(dir, strlen(dir), err) : OK;
}

status path_make_parents(const char *file, error *err)
{
    const char *slash = strrchr(file, '/');
    return slash && slash > file ? make_upto(file, (size_t)(slash - file), err) : OK;
}
