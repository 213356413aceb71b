#include "plat/footprint.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/types.h>

enum {
    KIB = 1 << 10,
    MIB = 1 << 20,
    BODIES_MOST = 64 * MIB,
    BODIES_LEAST = 1 * MIB,
    BODIES_PART = 16,    /* of the memory */
    SLACK_PART = 16,
    SLACK_LEAST = 8 * MIB,
    SLACK_MOST = 256 * MIB,
    POSITION_BYTES = 24, /* a token of a request: its text twice, its id in prompt and session */
};

/* Bytes of an idle process, of each thread that computes (the touched part of its stack, an allocator's arena), and of
 * each request beside its tokens. */
static const struct {
    uint32_t idle, thread, request;
} table[FOOTPRINT_KINDS] = {
    [FOOTPRINT_COMMAND] = { 6 * MIB, 96 * KIB, 64 * KIB },
    [FOOTPRINT_WORKER] = { 5 * MIB, 96 * KIB, 64 * KIB },
    [FOOTPRINT_SERVER] = { 12 * MIB, 0, 128 * KIB },
    [FOOTPRINT_PARENT] = { 9 * MIB, 0, 64 * KIB },
    [FOOTPRINT_EGRESS] = { 16 * MIB, 0, 128 * KIB },
};

uint64_t footprint_bytes(footprint_kind kind, const footprint_use *use)
{
    uint64_t bytes = table[kind].idle;
    if (use) {
        bytes += (uint64_t)(use->n_threads > 0 ? use->n_threads : 0) * table[kind].thread;
        bytes += use->n_requests * (table[kind].request + (uint64_t)use->context * POSITION_BYTES);
    }
    return bytes;
}

uint64_t footprint_bodies(uint64_t mem_bytes)
{
    uint64_t part = mem_bytes / BODIES_PART;
    return part < BODIES_LEAST ? BODIES_LEAST : part < BODIES_MOST ? part : BODIES_MOST;
}

uint64_t footprint_slack(uint64_t mem_bytes)
{
    uint64_t part = mem_bytes / SLACK_PART;
    return part < SLACK_LEAST ? SLACK_LEAST : part < SLACK_MOST ? part : SLACK_MOST;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INSTRUMENTED 1 /* a sanitizer takes memory of its own, and ends the program when it gets none */
#else
#define INSTRUMENTED 0
#endif

#if defined(__linux__) && !INSTRUMENTED

/* What RLIMIT_DATA counts: private memory that may be written, touched or not (VmData). */
static bool data_now(int pid, uint64_t *out)
{
    char path[48], line[128];
    unsigned long long kib = 0;
    snprintf(path, sizeof path, pid ? "/proc/%d/status" : "/proc/self/status", pid);
    FILE *f = fopen(path, "re");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f))
        found = sscanf(line, "VmData: %llu kB", &kib) == 1;
    if (f)
        fclose(f);
    *out = kib * 1024;
    return found;
}

bool footprint_limit(int pid, uint64_t more)
{
    uint64_t now;
    if (!data_now(pid, &now))
        return false;
    struct rlimit r;
    if (prlimit(pid, RLIMIT_DATA, NULL, &r) != 0)
        return false;
    rlim_t most = (rlim_t)(now + more);
    r.rlim_cur = r.rlim_max != RLIM_INFINITY && r.rlim_max < most ? r.rlim_max : most;
    return prlimit(pid, RLIMIT_DATA, &r, NULL) == 0;
}

#else

bool footprint_limit(int pid, uint64_t more)
{
    (void)pid;
    (void)more;
    return false;
}

#endif
