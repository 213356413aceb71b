/* cores.c: cores of this process. The quota is read from cgroup v2 (cpu.max: "max 100000" or "150000 100000") or v1. */
#include "plat/cores.h"

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

static bool read_text(const char *path, char *text, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, bytes - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = 0;
    return true;
}

/* Quota in cores, rounded up; 0: none. */
static long quota(void)
{
    char text[64];
    long long share = -1, period = 0;
    if (read_text("/sys/fs/cgroup/cpu.max", text, sizeof text)) {
        char *rest = text;
        share = strtoll(text, &rest, 10); /* "max" reads as 0 */
        period = strtoll(rest, NULL, 10);
    } else if (read_text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", text, sizeof text)) {
        share = strtoll(text, NULL, 10);
        if (read_text("/sys/fs/cgroup/cpu/cpu.cfs_period_us", text, sizeof text))
            period = strtoll(text, NULL, 10);
    }
    return share > 0 && period > 0 && share / period < 100000 ? (long)((share + period - 1) / period) : 0;
}

int cores_usable(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN), limit = quota();
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) < n)
        n = CPU_COUNT(&set);
    if (limit > 0 && limit < n)
        n = limit;
    return n < 1 ? 1 : (int)n;
}
