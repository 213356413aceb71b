/* threads.h: how many compute threads were measured to be best on this machine, remembered. Any thread.
 *
 * One line of text in the cache directory, file "threads": "N ALLOWED QUOTA_PERCENT CPU NAME". It counts only while
 * processor, allowed cores and cgroup quota are those it was measured with. */
#ifndef PLAT_THREADS_H
#define PLAT_THREADS_H

#include "base/status.h"
#include "plat/machine.h"

/* The remembered number for this machine, at least 1 and at most cpu->allowed; 0: nothing is remembered. */
int threads_recall(const machine_cpu *cpu);
/* Replaces what is remembered. E_IO, E_NOTFOUND (no home), E_NOMEM. */
status threads_remember(const machine_cpu *cpu, int n, error *err) MUST_CHECK;

#endif
