/* write.c: the files of a task folder, made whole or not at all. */
#include "task/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/paths.h"

enum { PATH_BYTES_MAX = 4096 };

static status path_in(char out[PATH_BYTES_MAX], const char *dir, const char *name, error *err)
{
    int n = snprintf(out, PATH_BYTES_MAX, "%s/%s", dir, name);
    return n > 0 && n < PATH_BYTES_MAX ? OK : fail(err, E_RANGE, "%.60s…: the path is too long", dir);
}

static status write_all(int fd, const char *path, const buf *text, error *err)
{
    for (size_t done = 0; done < text->len;) {
        ssize_t n = write(fd, text->data + done, text->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(err, E_IO, "%s: %s", path, strerror(errno));
        done += (size_t)n;
    }
    return OK;
}

/* A file that was not there; it is removed again when it could not be written. */
static status write_new(const char *path, mode_t mode, const buf *text, error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return fail(err, errno == EEXIST ? E_EXISTS : E_IO, "%s: %s", path,
                    errno == EEXIST ? "it is there already; nothing is overwritten" : strerror(errno));
    status s = write_all(fd, path, text, err);
    if (close(fd) && !s)
        s = fail(err, E_IO, "%s: %s", path, strerror(errno));
    if (s)
        unlink(path);
    return s;
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
        s = write_new(yaml_path, 0600, yaml, err);
    if (s || !cases)
        return s;
    s = write_new(cases_path, 0600, cases, err);
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
        s = write_new(fresh, st.st_mode & 0777, yaml, err);
    if (!s && rename(fresh, path)) {
        s = fail(err, E_IO, "%s: %s", path, strerror(errno));
        unlink(fresh);
    }
    return s;
}
