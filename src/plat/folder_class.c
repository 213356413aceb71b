#include "plat/folder_class.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

enum { WORD_MAX = 64 };
static const char name[] = ".hearth-class";

/* Of one file; public when it is not there. */
static privacy_class read_label(const char *path)
{
    char text[WORD_MAX];
    struct stat st;
    privacy_class c = PRIVACY_PRIVATE;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? PRIVACY_PUBLIC : PRIVACY_PRIVATE;
    ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, text, sizeof text) : -1;
    close(fd);
    if (n < 0 || n == WORD_MAX)
        return c;
    span word = span_trim((span){ text, (size_t)n });
    char whole[WORD_MAX];
    memcpy(whole, word.p, word.n);
    whole[word.n] = 0;
    (void)privacy_class_parse(whole, &c);
    return c;
}

/* The folder and all above it; path is absolute. */
static privacy_class up_from(const char *path, size_t n)
{
    privacy_class highest = PRIVACY_PUBLIC;
    for (;;) {
        while (n > 0 && path[n - 1] == '/')
            n--;
        char file[PATH_MAX + sizeof name + 1];
        snprintf(file, sizeof file, "%.*s/%s", (int)n, path, name);
        highest = privacy_class_join(highest, read_label(file));
        if (!n)
            return highest;
        while (n > 0 && path[n - 1] != '/')
            n--;
    }
}

privacy_class folder_class(const char *dir)
{
    char path[PATH_MAX], here[PATH_MAX];
    if (!realpath(dir, path))
        return PRIVACY_PRIVATE;
    privacy_class real = up_from(path, strlen(path));
    if (dir[0] != '/' && !getcwd(here, sizeof here))
        return privacy_class_join(real, PRIVACY_PRIVATE);
    int n = snprintf(path, sizeof path, dir[0] == '/' ? "%s%s" : "%s/%s", dir[0] == '/' ? "" : here, dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return privacy_class_join(real, PRIVACY_PRIVATE);
    return privacy_class_join(real, up_from(path, (size_t)n));
}
