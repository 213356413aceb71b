/* footprint.h: what a process of hearth takes beside the model in it: program and libraries, stacks, and what requests
 * that are under way take. The model's own part is engine_plan's. Any thread.
 *
 * The figures are measured (docs/MEMORY.md, "The programs"): a small model is run in each kind of process to the end of
 * its context, and what that held at its peak is compared with engine_plan's sum; tests/cli/test_memory.py does that
 * again and fails when a process takes more than was planned, or far less. */
#ifndef PLAT_FOOTPRINT_H
#define PLAT_FOOTPRINT_H

#include <stdbool.h>
#include <stdint.h>

typedef enum footprint_kind {
    FOOTPRINT_COMMAND, /* hearth, with a model in it: run, embed, bench, perplexity */
    FOOTPRINT_WORKER,  /* hearth-worker */
    FOOTPRINT_SERVER,  /* hearth serve, without request bodies */
    FOOTPRINT_PARENT,  /* hearth, with a worker beside it: measure, choose, privacy check */
    FOOTPRINT_EGRESS,  /* hearth-egress */
    FOOTPRINT_KINDS
} footprint_kind;

typedef struct footprint_use {
    int n_threads;       /* that compute */
    uint32_t n_requests; /* under way at once */
    uint32_t context;    /* positions of each */
} footprint_use;

/* use NULL: idle. */
uint64_t footprint_bytes(footprint_kind kind, const footprint_use *use);

/* The bodies of requests that a server with so much memory holds at once, and what is made of them: a part of it. */
uint64_t footprint_bodies(uint64_t mem_bytes);

/* From here on the process (0: this one) gets no more than `more` bytes of memory beyond what is allocated to it now:
 * then its next allocation fails. The last line of defence, for what no plan foresaw. False: this system cannot. */
bool footprint_limit(int pid, uint64_t more);

/* What is allowed beyond the plan before that line, for odd requests and for what an allocator keeps: of a budget of
 * mem_bytes a sixteenth, which is no more than the reserve (machine.h), but 8 to 256 MiB. */
uint64_t footprint_slack(uint64_t mem_bytes);

#endif
