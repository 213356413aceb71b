/* disk.h: a folder of a test's own, and files in it. The test's process is in it: paths are relative. */
#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/check.h"

static int disk_remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline void disk_remove(const char *path)
{
    nftw(path, disk_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes /tmp/hearth-NAME-PID, goes there, and says where that is. */
static inline const char *disk_enter(const char *name)
{
    static char dir[200];
    snprintf(dir, sizeof dir, "/tmp/hearth-%s-%d", name, (int)getpid());
    disk_remove(dir);
    if (mkdir(dir, 0700) || chdir(dir))
        abort();
    return dir;
}

static inline void disk_parents(const char *path)
{
    char part[4096];
    snprintf(part, sizeof part, "%s", path);
    for (char *p = part + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        mkdir(part, 0700);
    }
}

static inline void disk_putn(const char *path, const void *bytes, size_t n)
{
    disk_parents(path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static inline void disk_put(const char *path, const char *text)
{
    disk_putn(path, text, strlen(text));
}

static inline void disk_link(const char *to, const char *path)
{
    disk_parents(path);
    assert_int_equal(symlink(to, path), 0);
}

static inline bool disk_has(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

#endif
