/* write.c: the files of a task folder, made whole or not at all. */
#include "task/write.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/file.h"
#include "plat/paths.h"

enum { PATH_BYTES_MAX = 4096 };

static status path_in(char out[PATH_BYTES_MAX], const char *dir, const char *name, error *err)
{
    int n = snprintf(out, PATH_BYTES_MAX, "%s/%s", dir, name);
    return n > 0 && n < PATH_BYTES_MAX ? OK : fail(err, E_RANGE, "%.60s…: the path is too long", dir);
}

status task_create(const char *dir, const buf *yaml, const buf *cases, error *err)
{
    char yaml_path[PATH_BYTES_MAX], cases_path[PATH_BYTES_MAX];
    status s = buf_ok(yaml, "task.yaml", err);
    if (!s && cases)
        s = buf_ok(cases, "cases.jsonl", err);
    if (!s)
        s = path_in(yaml_path, dir, "task.yaml", err);
    if (!s)
        s = path_in(cases_path, dir, "cases.jsonl", err);
    if (!s)
        s = path_make_dirs(dir, err);
    if (!s)
        s = file_create(yaml_path, 0600, yaml->data, yaml->len, err);
    if (s || !cases)
        return s;
    s = file_create(cases_path, 0600, cases->data, cases->len, err);
    if (s)
        unlink(yaml_path);
    return s;
}

status task_replace_yaml(const char *dir, const buf *yaml, error *err)
{
    char path[PATH_BYTES_MAX], fresh[PATH_BYTES_MAX];
    struct stat st;
    status s = buf_ok(yaml, "task.yaml", err);
    if (!s)
        s = path_in(path, dir, "task.yaml", err);
    if (!s)
        s = path_in(fresh, dir, ".task.yaml.new", err);
    if (!s && stat(path, &st))
        s = fail(err, E_IO, "%s: %s", path, strerror(errno));
    if (!s)
        s = file_create(fresh, st.st_mode & 0777, yaml->data, yaml->len, err);
    if (!s && rename(fresh, path)) {
        s = fail(err, E_IO, "%s: %s", path, strerror(errno));
        unlink(fresh);
    }
    return s;
}
