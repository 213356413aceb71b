/* busy.h: how much of the machine others took while something was measured: a speed that was measured beside them says
 * more about them than about the machine. Linux: /proc/stat, getrusage. Any thread. */
#ifndef PLAT_BUSY_H
#define PLAT_BUSY_H

#include <stddef.h>

typedef struct busy_meter {
    double all_s, own_s, at_s; /* processor seconds of everybody, and of ours; when */
} busy_meter;

/* Ours are this process and those of `pids` (its helpers), all still running at both calls. */
void busy_begin(busy_meter *m, const int *pids, size_t n);
/* Processors that others kept at work since then, on average; NAN: not known. */
double busy_others(const busy_meter *m, const int *pids, size_t n);

#endif
