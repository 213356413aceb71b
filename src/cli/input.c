#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

status input_read(int fd, const char *name, buf *out, error *err)
{
    char step[1 << 16];
    for (;;) {
        ssize_t n = read(fd, step, sizeof step);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(err, E_IO, "%s: %s", name, strerror(errno));
        if (n == 0)
            return OK;
        buf_add(out, step, (size_t)n);
        if (out->failed)
            return buf_ok(out, name, err);
    }
}

status input_read_file(const char *path, buf *out, error *err)
{
    if (strcmp(path, "-") == 0)
        return input_read(STDIN_FILENO, "standard input", out, err);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", path, strerror(errno));
    status s = input_read(fd, path, out, err);
    close(fd);
    return s;
}

bool input_date(const char *text, int64_t *us)
{
    struct tm at = { 0 };
    char again[16];
    int end = 0;
    if (sscanf(text, "%4d-%2d-%2d%n", &at.tm_year, &at.tm_mon, &at.tm_mday, &end) != 3 || text[end])
        return false;
    at.tm_year -= 1900;
    at.tm_mon -= 1;
    time_t t = timegm(&at);
    if (t < 0 || strftime(again, sizeof again, "%Y-%m-%d", &at) == 0 || strcmp(again, text) != 0)
        return false;
    *us = (int64_t)t * 1000000;
    return true;
}
