/* file.c: a report on disk: whole or not at all, and for its owner alone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/file.h"
#include "report/report_int.h"

status report_write_file(const char *path, const char *text, size_t n, error *err)
{
    struct stat there;
    buf part = BUF_INIT(1 << 16);
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode))
        return fail(err, E_IO, "%s: is not a file that can be replaced", path);
    buf_printf(&part, "%s.XXXXXX", path);
    status s = buf_ok(&part, "the file's name", err);
    int fd = s ? -1 : mkstemp(part.data); /* mode 0600 */
    if (!s && fd < 0)
        s = fail(err, E_IO, "%s: cannot be made: %s", path, strerror(errno));
    if (fd >= 0) {
        s = file_write_all(fd, path, text, n, err);
        if (!s && fsync(fd))
            s = fail(err, E_IO, "%s: %s", path, strerror(errno));
        if (close(fd) && !s)
            s = fail(err, E_IO, "%s: %s", path, strerror(errno));
        if (!s && rename(part.data, path))
            s = fail(err, E_IO, "%s: cannot take its name: %s", path, strerror(errno));
        if (s)
            unlink(part.data);
    }
    buf_clear(&part);
    return s;
}
