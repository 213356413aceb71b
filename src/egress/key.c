/* key.c: see the header. */
#include "egress/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_PATH_MAX = 4096, KEY_HIDDEN_MIN = 4 };

/* Takes white space off the end; false for what cannot be in a header. */
static bool key_clean(char *key)
{
    size_t n = strlen(key);
    while (n > 0 && (unsigned char)key[n - 1] <= ' ')
        key[--n] = 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)key[i] <= ' ' || (unsigned char)key[i] > '~')
            return false;
    return true;
}

static status read_env(char *out, const char *name, error *err)
{
    char *value = getenv(name);
    size_t n = value ? strlen(value) : 0;
    if (n >= KEY_MAX)
        return fail(err, E_RANGE, "the key in %s is too long", name);
    memcpy(out, value ? value : "", n + 1);
    if (value)
        explicit_bzero(value, n); /* /proc/PID/environ shows what stands here */
    return key_clean(out) ? OK : fail(err, E_FORMAT, "the key in %s has blanks or control characters", name);
}

static status read_file(char *out, const char *path, error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, E_NOTFOUND, "key file %s: %s", path, strerror(errno));
    ssize_t n = read(fd, out, KEY_MAX);
    int why = errno;
    close(fd);
    if (n < 0)
        return fail(err, E_IO, "key file %s: %s", path, strerror(why));
    if (n == KEY_MAX)
        return fail(err, E_RANGE, "key file %s is too long for a key", path);
    out[n] = 0;
    if (n == 0 || strlen(out) != (size_t)n || !key_clean(out) || !out[0])
        return fail(err, E_FORMAT, "key file %s: one line with the key is expected", path);
    return OK;
}

static status read_credential(char *out, const char *name, error *err)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    char path[KEY_PATH_MAX];
    if (strchr(name, '/') || name[0] == '.')
        return fail(err, E_FORMAT, "credential '%.80s': the name of a file in $CREDENTIALS_DIRECTORY", name);
    if (!dir || dir[0] != '/')
        return fail(err, E_NOTFOUND, "credential '%.80s': $CREDENTIALS_DIRECTORY is not set: start hearth as a service "
                    "with LoadCredential=%.80s:FILE", name, name);
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return fail(err, E_RANGE, "credential '%.80s': the path is too long", name);
    return read_file(out, path, err);
}

status key_read(char *out, const key_source *from, error *err)
{
    status s = OK;
    out[0] = 0;
    if (from->env && from->env[0])
        s = read_env(out, from->env, err);
    else if (from->credential && from->credential[0])
        s = read_credential(out, from->credential, err);
    else if (from->file && from->file[0])
        s = read_file(out, from->file, err);
    if (s)
        explicit_bzero(out, KEY_MAX);
    return s;
}

void key_hide(char *text, const char *key)
{
    size_t n = strlen(key);
    for (char *at = text; n >= KEY_HIDDEN_MIN && (at = strstr(at, key)); at += n)
        memset(at, '*', n);
}
