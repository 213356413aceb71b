/* command.h: runs a stranger's program once: text in, text out, and nothing else. Any thread; the caller waits.
 *
 * What the program cannot do, and by which layers:
 *   network      no socket of any family (seccomp), an empty network namespace where the kernel allows one, no TCP
 *                (Landlock); none of the descriptors that this process has
 *   writing      no file is made, changed or removed (seccomp; Landlock where there is one; a file size limit of 0);
 *                /dev/null may be written to
 *   reading      where there is Landlock: the system's programs, libraries and settings, the program's own place and
 *                the working folder. Elsewhere whatever the user may read
 *   processes    none, unless `processes` says so; its process group cannot be left, and is killed at the end. Signals
 *                to others are denied. The number of processes is a resource limit, which root does not obey
 *   time, memory `wall_ms` for all of it, processor time, `memory_bytes` of address space of each process, `output_max`
 *   environment  PATH, LANG, HOME=/ and PYTHONDONTWRITEBYTECODE, nothing of ours
 * seccomp is the layer that must be there. Whoever can change the program or what it reads needs no hole in it: it is
 * as trusted as the folder that it lies in. */
#ifndef PLAT_COMMAND_H
#define PLAT_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

enum { COMMAND_ARGS_MAX = 32, COMMAND_ERRORS_BYTES = 512 };

typedef struct command_job {
    const char *path;        /* of the program */
    const char *const *args; /* after the program's name */
    size_t n_args;           /* at most COMMAND_ARGS_MAX */
    const char *dir;         /* the working folder */
    const char *input;       /* its standard input */
    size_t n_input;
    uint32_t wall_ms;
    uint64_t memory_bytes;   /* 0: no limit */
    size_t output_max;       /* bytes of its standard output */
    uint32_t processes;      /* that it may start; 0: none */
} command_job;

typedef enum command_end {
    COMMAND_EXITED,    /* code: exit status */
    COMMAND_KILLED,    /* code: signal */
    COMMAND_TIMED_OUT, /* wall_ms were over */
    COMMAND_FLOODED,   /* it wrote more than output_max */
} command_end;

typedef struct command_result {
    command_end end;
    int code;
    buf output;                        /* at most output_max bytes; may hold zeros */
    char errors[COMMAND_ERRORS_BYTES]; /* the last of its standard error, as UTF-8 without control characters */
} command_result;

/* OK however the program ended: `end` says it. E_NOTFOUND: no such program or folder; E_IO: it cannot be started;
 * E_UNSUPPORTED: there is no sandbox here, so nothing was run. Clear the result after OK. */
status command_run(const command_job *c, command_result *out, error *err) MUST_CHECK;
void command_result_clear(command_result *r);
/* "exit status 3", "signal 11 (Segmentation fault)", "no end within 10000 ms", … into text. */
const char *command_how_ended(const command_job *c, const command_result *r, char *text, size_t bytes);

#endif
