#include "plat/busy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "plat/clock.h"

static double ticks_to_seconds(double ticks)
{
    long each = sysconf(_SC_CLK_TCK);
    return each > 0 ? ticks / (double)each : NAN;
}

/* The first line: user nice system idle iowait irq softirq steal; guests are in user already. NAN: not known. */
static double read_all(void)
{
    double v[8] = { 0 };
    FILE *f = fopen("/proc/stat", "re");
    int n = f ? fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7])
              : 0;
    if (f)
        fclose(f);
    return n < 4 ? NAN : ticks_to_seconds(v[0] + v[1] + v[2] + v[5] + v[6] + v[7]);
}

/* Fields 14 and 15, behind the name, which may hold anything but ends with the last ')'. */
static double read_process(int pid)
{
    char path[48], text[1024];
    double user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    const char *end = strrchr(text, ')');
    if (!end || sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lf %lf", &user, &system) != 2)
        return 0;
    return ticks_to_seconds(user + system);
}

static double read_own(const int *pids, size_t n)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u))
        return NAN;
    double s = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec);
    s += (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    for (size_t i = 0; i < n; i++)
        s += pids[i] > 0 ? read_process(pids[i]) : 0;
    return s;
}

static busy_meter now(const int *pids, size_t n)
{
    return (busy_meter){ read_all(), read_own(pids, n), (double)clock_mono_us() / 1e6 };
}

void busy_begin(busy_meter *m, const int *pids, size_t n)
{
    *m = now(pids, n);
}

double busy_others(const busy_meter *m, const int *pids, size_t n)
{
    busy_meter then = now(pids, n);
    double others = (then.all_s - m->all_s) - (then.own_s - m->own_s), seconds = then.at_s - m->at_s;
    if (!(seconds > 0))
        return NAN;
    return others > 0 ? others / seconds : isnan(others) ? NAN : 0;
}
