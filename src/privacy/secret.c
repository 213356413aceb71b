#include "privacy/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/file.h"
#include "plat/paths.h"
#include "plat/random.h"

enum { LINE_BYTES = DIGEST_HEX, TRIES = 3 };

static status read_line(int fd, const char *path, char line[LINE_BYTES], error *err)
{
    struct stat st;
    if (fstat(fd, &st))
        return fail(err, E_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(err, E_FORMAT, "%s: not a file", path);
    if (st.st_mode & 077)
        return fail(err, E_DENIED, "%s: other users may read it (mode %o): its mode must be 600, and what was made "
                    "with it is known to them", path, (unsigned)(st.st_mode & 0777));
    status s = file_read_all(fd, path, line, LINE_BYTES, err);
    if (!s && (line[LINE_BYTES - 1] != '\n' || strspn(line, "0123456789abcdef") != LINE_BYTES - 1))
        s = fail(err, E_FORMAT, "%s: not 64 hexadecimal digits in a line", path);
    return s;
}

/* Written whole under another name, then linked to its own: nobody ever reads half of it. */
static status make(const char *path, error *err)
{
    uint8_t raw[DIGEST_BYTES];
    char line[LINE_BYTES], name[UUID_TEXT], other[4352];
    status s = path_make_parents(path, err);
    if (!s)
        s = random_bytes(raw, sizeof raw, err);
    if (!s)
        s = uuid_v7(name, err);
    if (s)
        return s;
    digest_hex(raw, line);
    line[LINE_BYTES - 1] = '\n';
    if ((size_t)snprintf(other, sizeof other, "%s.%s", path, name) >= sizeof other)
        return fail(err, E_RANGE, "%s: the path is too long", path);
    s = file_create(other, 0600, line, sizeof line, err);
    if (s)
        return s;
    if (link(other, path) && errno != EEXIST)
        s = fail(err, E_IO, "%s: %s", path, strerror(errno));
    unlink(other);
    explicit_bzero(raw, sizeof raw);
    explicit_bzero(line, sizeof line);
    return s;
}

static status read_secret(const char *path, char line[LINE_BYTES], error *err)
{
    for (int tries = 0; tries < TRIES; tries++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0) {
            status s = read_line(fd, path, line, err);
            close(fd);
            return s;
        }
        if (errno != ENOENT)
            return fail(err, E_IO, "%s: %s", path, strerror(errno));
        status s = make(path, err);
        if (s)
            return s;
    }
    return fail(err, E_IO, "%s: it is removed again and again", path);
}

status secret_key(const char *purpose, uint8_t out[DIGEST_BYTES], error *err)
{
    char *path = NULL, line[LINE_BYTES] = { 0 };
    status s = path_of(&path, PATH_CONFIG, "privacy.key", err);
    if (!s)
        s = read_secret(path, line, err);
    if (!s)
        digest_hmac(line, LINE_BYTES - 1, purpose, strlen(purpose), out);
    explicit_bzero(line, sizeof line);
    mem_free(path);
    return s;
}
