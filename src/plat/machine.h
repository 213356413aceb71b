/* machine.h: what this machine has, as this process may use it. Linux: /proc, /sys and the cgroup (version 1 and 2).
 * Any thread. Nothing here fails: what cannot be read is 0 or "". */
#ifndef PLAT_MACHINE_H
#define PLAT_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct machine_cpu {
    char name[128];        /* "AMD Ryzen 7 5800X 8-Core Processor" */
    int online;            /* logical processors of the machine */
    int allowed;           /* of them this process may run on (affinity) */
    double quota;          /* processors' worth of time that the cgroup grants; 0: no limit */
    int physical;          /* cores without their hyper-threads among the allowed ones */
    int efficient;         /* of these the slower kind; 0: all are of one kind */
    int threads;           /* compute threads to start: what was measured best here (plat/threads.h), else the least of
                              physical and quota, at least 1 */
    uint64_t l1d_bytes, l2_bytes, l3_bytes; /* of the first processor */
} machine_cpu;
void machine_read_cpu(machine_cpu *out);

typedef struct machine_memory {
    uint64_t total_bytes;     /* of the machine */
    uint64_t available_bytes; /* that can be taken now without swapping (MemAvailable) */
    uint64_t limit_bytes;     /* the tightest cgroup limit above this process; 0: none */
    uint64_t limit_used_bytes; /* of that limit, taken already, without page cache that can go */
    uint64_t usable_bytes;    /* what may be taken now: the least of available and limit - used */
    uint64_t reserve_bytes;   /* of that, left to others and to what nobody foresaw unless somebody says otherwise: the
                                 larger of 256 MiB and a twentieth of it, but at most a sixteenth */
} machine_memory;
void machine_read_memory(machine_memory *out);
/* What a process tree may take: `wanted`, but no more than is free; 0: what is free without the reserve. */
uint64_t machine_memory_budget(const machine_memory *m, uint64_t wanted);
/* When memory runs out, the kernel kills every process of this cgroup together (memory.oom.group, here or above). */
bool machine_dies_as_group(void);

/* A large block of memory that is read again and again: asks for huge pages where the system gives them on request. The
 * block's incomplete huge pages at both ends stay ordinary: nothing beyond it becomes resident. Advice only. */
void machine_huge_pages(void *block, size_t bytes);
/* A large block of which parts are never touched: they are to take no memory. Advice only. */
void machine_small_pages(void *block, size_t bytes);

/* "Linux 6.1.0 x86_64" into text. */
char *machine_system(char *text, size_t bytes);
/* "mains", "battery" or "unknown". */
const char *machine_power(void);

/* What governs the first processor's frequency ("performance", "schedutil") into text; "" where nothing does. */
char *machine_governor(char *text, size_t bytes);
/* How often any core was slowed down for its heat since the machine started; 0: never, or not known. */
uint64_t machine_throttles(void);

/* Threads that want to run, averaged over a minute; 0: not known. */
double machine_load(void);

/* The folder of the running program. */
status machine_program_dir(char *out, size_t bytes, error *err) MUST_CHECK;

#endif
