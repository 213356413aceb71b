/* machine.c: Linux's own words about the machine: /proc, /sys and the cgroup file system. */
#include "plat/machine.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/str.h"
#include "plat/threads.h"

/* The first line of a small file, without its line break; false (and "") when it cannot be read. */
static bool read_line(const char *path, char *out, size_t bytes)
{
    out[0] = '\0';
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool ok = fgets(out, (int)bytes, f) != NULL;
    fclose(f);
    out[strcspn(out, "\n")] = '\0';
    return ok;
}

/* The value of "KEY : value" or "KEY value" in a file of such lines; the first one found. */
static bool find_value(const char *path, const char *key, char *out, size_t bytes)
{
    FILE *f = fopen(path, "re");
    char line[512];
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        size_t n = strlen(key);
        if (strncmp(line, key, n) != 0 || !strchr(" \t:", line[n]))
            continue;
        span value = span_of(line + n);
        while (value.n && strchr(" \t:", value.p[0]))
            value.p++, value.n--;
        value = span_trim(value);
        snprintf(out, bytes, "%.*s", (int)value.n, value.p);
        found = true;
    }
    if (f)
        fclose(f);
    return found;
}

/* ---- processors ---- */

/* Hyper-threads of one core share a list such as "0,4" or "0-1": the core is counted at its first allowed member. */
static bool is_first_of_core(int cpu, const cpu_set_t *allowed)
{
    char path[128], list[256];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    if (!read_line(path, list, sizeof list))
        return true;
    for (char *p = list; *p;) {
        long from = strtol(p, &p, 10), to = from;
        if (*p == '-')
            to = strtol(p + 1, &p, 10);
        for (long i = from; i <= to && i < CPU_SETSIZE; i++) {
            if (i >= 0 && CPU_ISSET((size_t)i, allowed))
                return i == cpu;
        }
        if (*p != ',')
            break;
        p++;
    }
    return true;
}

/* Is this number in a list such as "0-7,16"? */
static bool is_listed(const char *list, int number)
{
    for (const char *p = list; *p;) {
        char *end;
        long from = strtol(p, &end, 10), to = from;
        if (end == p)
            return false;
        if (*end == '-')
            to = strtol(end + 1, &end, 10);
        if (number >= from && number <= to)
            return true;
        p = *end == ',' ? end + 1 : "";
    }
    return false;
}

/* Where cores are of two kinds: x86 lists the slower ones; elsewhere each says what it can, of 1024. */
static bool is_efficient(int cpu)
{
    char path[96], text[512];
    if (read_line("/sys/devices/cpu_atom/cpus", text, sizeof text))
        return is_listed(text, cpu);
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpu_capacity", cpu);
    return read_line(path, text, sizeof text) && strtol(text, NULL, 10) < 1024;
}

static void count_processors(machine_cpu *out)
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    out->online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (sched_getaffinity(0, sizeof allowed, &allowed)) {
        out->allowed = out->physical = out->online;
        return;
    }
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET((size_t)i, &allowed))
            continue;
        out->allowed++;
        bool first = is_first_of_core(i, &allowed);
        out->physical += first;
        out->efficient += first && is_efficient(i);
    }
    if (out->efficient == out->physical)
        out->efficient = 0;
}

static uint64_t cache_bytes(int level, const char *kind)
{
    for (int i = 0; i < 8; i++) {
        char path[96], text[32];
        uint64_t bytes = 0;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i);
        if (!read_line(path, text, sizeof text) || strtol(text, NULL, 10) != level)
            continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/type", i);
        if (!read_line(path, text, sizeof text) || (strcmp(text, kind) != 0 && strcmp(text, "Unified") != 0))
            continue;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        if (read_line(path, text, sizeof text) && str_bytes(text, &bytes))
            return bytes;
    }
    return 0;
}

/* ---- the cgroup ---- */

typedef struct cgroup {
    bool v2;
    char memory[PATH_MAX], cpu[PATH_MAX]; /* this process's folders in the file system; "" when there is none */
} cgroup;

static void find_cgroup(cgroup *g)
{
    memset(g, 0, sizeof *g);
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX + 128];
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        controllers++;
        if (!*controllers) {
            g->v2 = access("/sys/fs/cgroup/cgroup.controllers", R_OK) == 0;
            if (g->v2) {
                snprintf(g->memory, sizeof g->memory, "/sys/fs/cgroup%.4000s", path);
                snprintf(g->cpu, sizeof g->cpu, "/sys/fs/cgroup%.4000s", path);
            }
        } else if (!g->v2 && strstr(controllers, "memory")) {
            snprintf(g->memory, sizeof g->memory, "/sys/fs/cgroup/memory%.4000s", path);
        } else if (!g->v2 && strstr(controllers, "cpu") && !strstr(controllers, "cpuset")) {
            snprintf(g->cpu, sizeof g->cpu, "/sys/fs/cgroup/%.64s%.3900s", controllers, path);
        }
    }
    if (f)
        fclose(f);
}

/* Goes one folder up; false at the top of the cgroup file system. */
static bool go_up(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash <= path + strlen("/sys/fs/cgroup") - 1)
        return false;
    *slash = '\0';
    return str_starts(path, "/sys/fs/cgroup");
}

static bool read_in(const char *folder, const char *name, char *out, size_t bytes)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%.4000s/%s", folder, name);
    return read_line(path, out, bytes);
}

/* Processors' worth of time at one folder; 0: no limit there. */
static double quota_at(const cgroup *g, const char *folder)
{
    char quota[64] = "", period[64] = "";
    if (g->v2) {
        if (!read_in(folder, "cpu.max", quota, sizeof quota))
            return 0;
        char *blank = strchr(quota, ' ');
        if (!blank)
            return 0;
        *blank = '\0';
        snprintf(period, sizeof period, "%.60s", blank + 1);
    } else if (!read_in(folder, "cpu.cfs_quota_us", quota, sizeof quota) ||
               !read_in(folder, "cpu.cfs_period_us", period, sizeof period)) {
        return 0;
    }
    double q = strtod(quota, NULL), p = strtod(period, NULL); /* "max" and -1 are no limit */
    return q > 0 && p > 0 ? q / p : 0;
}

static double cpu_quota(void)
{
    cgroup g;
    find_cgroup(&g);
    double least = 0;
    if (!g.cpu[0])
        return 0;
    do {
        double quota = quota_at(&g, g.cpu);
        if (quota > 0 && (least == 0 || quota < least))
            least = quota;
    } while (go_up(g.cpu));
    return least;
}

void machine_read_cpu(machine_cpu *out)
{
    memset(out, 0, sizeof *out);
    if (!find_value("/proc/cpuinfo", "model name", out->name, sizeof out->name))
        find_value("/proc/cpuinfo", "Model", out->name, sizeof out->name);
    count_processors(out);
    out->quota = cpu_quota();
    out->l1d_bytes = cache_bytes(1, "Data");
    out->l2_bytes = cache_bytes(2, "Data");
    out->l3_bytes = cache_bytes(3, "Data");
    out->threads = out->physical > 0 ? out->physical : 1;
    if (out->quota > 0 && out->quota < out->threads)
        out->threads = out->quota < 1 ? 1 : (int)out->quota;
    int measured = threads_recall(out);
    out->threads = measured ? measured : out->threads;
}

/* ---- memory ---- */

static uint64_t kilobytes(const char *key)
{
    char text[64];
    return find_value("/proc/meminfo", key, text, sizeof text) ? strtoull(text, NULL, 10) * 1024 : 0;
}

static uint64_t number_in(const char *folder, const char *name)
{
    char text[64];
    return read_in(folder, name, text, sizeof text) ? strtoull(text, NULL, 10) : 0;
}

/* Pages of files count as used in a cgroup, and the kernel takes them back before it kills anybody: the active ones, a
 * model that was read twice, as well as the others. Those of tmpfs are no such pages. */
static uint64_t cache_at(const cgroup *g, const char *folder)
{
    static const char *const keys[2][2] = { { "total_inactive_file", "total_active_file" },
                                            { "inactive_file", "active_file" } };
    char path[PATH_MAX + 64], text[64];
    uint64_t cache = 0;
    snprintf(path, sizeof path, "%.4000s/memory.stat", folder);
    for (int i = 0; i < 2; i++)
        if (find_value(path, keys[g->v2][i], text, sizeof text))
            cache += strtoull(text, NULL, 10);
    return cache;
}

/* A limit and what counts against it. memory.high stops nobody, but beyond it every allocation waits for the kernel;
 * memsw limits memory and swap together, so what others have swapped out is taken. */
static const struct limit_row {
    bool v2;
    const char *limit, *used;
} limit_rows[] = {
    { true, "memory.max", "memory.current" },
    { true, "memory.high", "memory.current" },
    { false, "memory.limit_in_bytes", "memory.usage_in_bytes" },
    { false, "memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes" },
};

static void read_limit(machine_memory *out)
{
    cgroup g;
    find_cgroup(&g);
    if (!g.memory[0])
        return;
    uint64_t room = UINT64_MAX;
    do {
        uint64_t cache = cache_at(&g, g.memory);
        for (size_t i = 0; i < ARRAY_LEN(limit_rows); i++) {
            const struct limit_row *row = &limit_rows[i];
            uint64_t limit = row->v2 == g.v2 ? number_in(g.memory, row->limit) : 0; /* "max" reads as 0 */
            if (limit == 0 || limit >= out->total_bytes)
                continue;
            uint64_t used = number_in(g.memory, row->used);
            used = used > cache ? used - cache : 0;
            uint64_t left = limit > used ? limit - used : 0;
            if (left < room) {
                room = left;
                out->limit_bytes = limit;
                out->limit_used_bytes = used;
            }
        }
    } while (go_up(g.memory));
}

static uint64_t reserve_of(uint64_t usable)
{
    uint64_t reserve = usable / 20, least = 256 << 20, most = usable / 16;
    reserve = reserve < least ? least : reserve;
    return reserve < most ? reserve : most;
}

uint64_t machine_memory_budget(const machine_memory *m, uint64_t wanted)
{
    uint64_t most = m->usable_bytes;
    if (wanted)
        return wanted < most ? wanted : most;
    return most - (m->reserve_bytes < most ? m->reserve_bytes : 0);
}

bool machine_dies_as_group(void)
{
    cgroup g;
    find_cgroup(&g);
    if (!g.v2 || !g.memory[0])
        return false;
    do {
        if (number_in(g.memory, "memory.oom.group") == 1)
            return true;
    } while (go_up(g.memory));
    return false;
}

void machine_read_memory(machine_memory *out)
{
    memset(out, 0, sizeof *out);
    out->total_bytes = kilobytes("MemTotal");
    out->available_bytes = kilobytes("MemAvailable");
    out->usable_bytes = out->available_bytes;
    read_limit(out);
    uint64_t used = out->limit_used_bytes < out->limit_bytes ? out->limit_used_bytes : out->limit_bytes;
    if (out->limit_bytes && out->limit_bytes - used < out->usable_bytes)
        out->usable_bytes = out->limit_bytes - used;
    out->reserve_bytes = reserve_of(out->usable_bytes);
}

/* ---- the rest ---- */

#ifdef MADV_HUGEPAGE
static void advise_pages(void *block, size_t bytes, int advice)
{
    const uintptr_t huge = 2 << 20; /* where huge pages are larger, the kernel uses what fits */
    uintptr_t from = ((uintptr_t)block + huge - 1) / huge * huge, to = ((uintptr_t)block + bytes) / huge * huge;
    if (from < to)
        madvise((void *)from, to - from, advice);
}
#else
enum { MADV_HUGEPAGE, MADV_NOHUGEPAGE };
static void advise_pages(void *block, size_t bytes, int advice)
{
    (void)block;
    (void)bytes;
    (void)advice;
}
#endif

void machine_huge_pages(void *block, size_t bytes)
{
    advise_pages(block, bytes, MADV_HUGEPAGE);
}

void machine_small_pages(void *block, size_t bytes)
{
    advise_pages(block, bytes, MADV_NOHUGEPAGE);
}

char *machine_system(char *text, size_t bytes)
{
    struct utsname u;
    if (uname(&u))
        snprintf(text, bytes, "unknown");
    else
        snprintf(text, bytes, "%s %s %s", u.sysname, u.release, u.machine);
    return text;
}

/* A battery that discharges: on battery. A mains supply that is online, or a battery that does not discharge: mains. */
double machine_load(void)
{
    double minute = 0;
    return getloadavg(&minute, 1) == 1 ? minute : 0;
}

const char *machine_power(void)
{
    static const char base[] = "/sys/class/power_supply";
    DIR *d = opendir(base);
    const char *answer = "unknown";
    for (struct dirent *e; d && (e = readdir(d));) {
        char folder[PATH_MAX], text[64];
        if (e->d_name[0] == '.')
            continue;
        snprintf(folder, sizeof folder, "%s/%.200s", base, e->d_name);
        if (read_in(folder, "status", text, sizeof text) && strcmp(text, "Discharging") == 0) {
            answer = "battery";
            break;
        }
        if (text[0] || (read_in(folder, "online", text, sizeof text) && text[0] == '1'))
            answer = "mains";
    }
    if (d)
        closedir(d);
    return answer;
}

char *machine_governor(char *text, size_t bytes)
{
    if (!read_in("/sys/devices/system/cpu/cpu0/cpufreq", "scaling_governor", text, bytes))
        text[0] = 0;
    return text;
}

uint64_t machine_throttles(void)
{
    uint64_t sum = 0;
    char folder[96], text[32];
    for (int i = 0; i < 4096; i++) {
        snprintf(folder, sizeof folder, "/sys/devices/system/cpu/cpu%d", i);
        if (access(folder, F_OK) != 0)
            break;
        strncat(folder, "/thermal_throttle", sizeof folder - strlen(folder) - 1);
        if (read_in(folder, "core_throttle_count", text, sizeof text))
            sum += strtoull(text, NULL, 10);
    }
    return sum;
}

status machine_program_dir(char *out, size_t bytes, error *err)
{
    ssize_t n = readlink("/proc/self/exe", out, bytes - 1);
    if (n < 0)
        return fail(err, E_IO, "/proc/self/exe: %s", strerror(errno));
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (slash)
        *(slash == out ? slash + 1 : slash) = '\0';
    return OK;
}
