/* file.c: whole reads and writes. */
#include "plat/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_TRIES = 100 };

status file_write_all(int fd, const char *name, const void *bytes, size_t n, error *err)
{
    const char *p = bytes;
    while (n > 0) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return fail(err, E_IO, "%s: %s", name, strerror(k < 0 ? errno : ENOSPC));
        p += k;
        n -= (size_t)k;
    }
    return OK;
}

status file_read_all(int fd, const char *name, void *bytes, size_t n, error *err)
{
    char *p = bytes;
    while (n > 0) {
        ssize_t k = read(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return fail(err, E_IO, "%s: %s", name, strerror(errno));
        if (k == 0)
            return fail(err, E_FORMAT, "%s: ends too early", name);
        p += k;
        n -= (size_t)k;
    }
    return OK;
}

status file_slurp_fd(int fd, const char *name, buf *out, error *err)
{
    ssize_t n = 1;
    for (char *to; n != 0 && (to = buf_reserve(out, 4096));) {
        n = read(fd, to, 4096);
        if (n > 0)
            buf_advance(out, (size_t)n);
        else if (n < 0 && errno != EINTR)
            break;
    }
    return n < 0 ? fail(err, E_IO, "%s: %s", name, strerror(errno)) : buf_ok(out, name, err);
}

status file_slurp(const char *path, buf *out, error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", path, strerror(errno));
    status s = file_slurp_fd(fd, path, out, err);
    close(fd);
    return s;
}

status file_open_new(int *fd, const char *path, mode_t mode, error *err)
{
    *fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (*fd >= 0)
        return OK;
    return errno == EEXIST ? fail(err, E_EXISTS, "%s: is there already: nothing is overwritten", path)
                           : fail(err, E_IO, "%s: %s", path, strerror(errno));
}

status file_create(const char *path, mode_t mode, const void *bytes, size_t n, error *err)
{
    int fd;
    status s = file_open_new(&fd, path, mode, err);
    if (s)
        return s;
    s = file_write_all(fd, path, bytes, n, err);
    if (close(fd) && !s)
        s = fail(err, E_IO, "%s: %s", path, strerror(errno));
    if (s)
        unlink(path);
    return s;
}

static status no_writing(const char *path, int e, error *err)
{
    return fail(err, e == ENOSPC || e == EDQUOT ? E_NOFIT : E_IO, "%s: cannot be written: %s", path, strerror(e));
}

/* Whether the descriptor is still the file of that name: who had the lock may have renamed or removed it. */
static bool is_named(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

status file_open_locked(int *out, const char *path, mode_t mode, error *err)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd < 0)
            return no_writing(path, errno, err);
        int e = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
        if (!e && is_named(fd, path)) {
            *out = fd;
            return OK;
        }
        close(fd);
        if (e == EWOULDBLOCK)
            break;
        if (e)
            return fail(err, E_IO, "%s: cannot be locked: %s", path, strerror(e));
    }
    return fail(err, E_EXISTS, "%s: another process writes it", path);
}

bool file_share(int from, int to)
{
    return ioctl(to, FICLONE, from) == 0;
}
