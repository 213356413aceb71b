#include "plat/disk.h"

#include <stdio.h>
#include <string.h>
#include <limits.h>
#include <sys/statvfs.h>

uint64_t disk_free_bytes(const char *folder)
{
    char at[PATH_MAX];
    struct statvfs v;
    if (snprintf(at, sizeof at, "%s", folder) >= (int)sizeof at)
        return 0;
    while (statvfs(at, &v) != 0) {
        char *slash = strrchr(at, '/');
        if (!slash || !at[1])
            return 0;
        slash[slash == at] = '\0';
    }
    return (uint64_t)v.f_bavail * v.f_frsize;
}
