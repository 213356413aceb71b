/* proc.h: helper processes: found beside the program, started with one socketpair, ended with their parent.
 *
 * A helper gets descriptor 3 (its end of the pair), /dev/null as input and output, the parent's stderr, an environment
 * of named variables only, and nothing else. It is killed when this process ends, however that happens: all helpers
 * are forked by one thread that lives as long as the process, because PR_SET_PDEATHSIG follows the thread that forked.
 * Any thread; one owner per proc. */
#ifndef PLAT_PROC_H
#define PLAT_PROC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { PROC_PATH_MAX = 4096, PROC_HELPER_FD = 3 };

typedef struct proc {
    int pid;        /* 0: none */
    int exit_status; /* of waitpid, once ended */
    bool ended;
} proc;

/* The path of "hearth-worker": beside the running program, else in ../libexec/hearth from there; HEARTH_LIBEXEC in the
 * environment names another folder and is then the only one. E_NOTFOUND names the places. */
status proc_find(char out[PROC_PATH_MAX], const char *helper, error *err) MUST_CHECK;

/* Starts path with no arguments. *fd is our end of the pair (close-on-exec). keep: NULL-terminated names of environment
 * variables that the helper gets if they are set; a name ending in '*' is a prefix. The HEARTH_LOG and sanitizer
 * variables are always kept. E_IO when it cannot be started (also when exec fails). */
status proc_spawn(proc *out, int *fd, const char *path, const char *const *keep, error *err) MUST_CHECK;

/* Reaps; waits at most timeout_ms (-1: for ever). True when it has ended. */
bool proc_wait(proc *p, int timeout_ms);
/* Waits grace_ms for it to end by itself, then kills and reaps. Accepts a proc that never ran or ended. */
void proc_stop(proc *p, int grace_ms);
/* "was killed by signal 9 (Killed)", "ended with exit status 1", "still runs", into text. */
const char *proc_how_ended(const proc *p, char *text, size_t bytes);

/* For helpers, first thing in main: dies with the parent, raises oom_score_adj so that it is killed before others,
 * makes no core dumps. False when it was not started by proc_spawn (descriptor 3 is no socket). */
bool proc_is_helper(int oom_score_adj);

/* Most resident memory so far of this process, in bytes; 0 when not known. */
unsigned long long proc_peak_bytes(void);
/* The peak begins anew at what is resident now. False: this system cannot. */
bool proc_peak_reset(void);

#endif
