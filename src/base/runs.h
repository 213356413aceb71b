/* runs.h: which bytes of a file are there: an ordered list of runs that neither touch nor overlap. Owner thread. */
#ifndef BASE_RUNS_H
#define BASE_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes from .. to - 1. */
typedef struct run {
    uint64_t from, to;
} run;

typedef struct runs {
    run *at;
    size_t n, room;
} runs;

void runs_clear(runs *r);
/* False: no memory. An empty run is nothing. */
bool runs_add(runs *r, uint64_t from, uint64_t to);
/* Bytes that are there. */
uint64_t runs_sum(const runs *r);
/* The end of the run that begins at 0. */
uint64_t runs_prefix(const runs *r);
/* Where the last run ends. */
uint64_t runs_end(const runs *r);
/* The first gap below `end` that is neither there nor in one of the n taken runs, cut to `most` bytes. False: none. */
bool runs_gap(const runs *r, const run *taken, size_t n, uint64_t end, uint64_t most, run *out);

#endif
