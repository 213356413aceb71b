/* pool.h: a persistent pool of compute threads.
 *
 * pool_run() starts the same function on every thread, the caller's included, and returns when all are done; between
 * two runs the threads spin for a moment, then sleep. Work is split by index, never by time, so results do not depend
 * on who is fast. One owner thread opens, runs and closes a pool; jobs may call pool_barrier(). Threads run
 * SCHED_BATCH. */
#ifndef PLAT_POOL_H
#define PLAT_POOL_H

#include <stddef.h>

#include "base/status.h"
#include "plat/gauge.h"

#define POOL_MAX_THREADS 256

typedef struct pool pool;
typedef void pool_job(void *arg, int index, int count); /* index 0 is the caller of pool_run */

/* n_threads counts the caller: 1 starts no thread. *out is written only on success; close with pool_close(). */
status pool_open(pool **out, int n_threads, error *err) MUST_CHECK;
/* Ends the threads, frees, nulls. Accepts NULL. Not from within a job. */
void pool_close(pool **p);

int pool_threads(const pool *p);

/* Runs job(arg, 0 .. n-1, n) on all threads. Everything written before is seen by the job, everything that the job
 * wrote is seen after. Not from within a job. */
void pool_run(pool *p, pool_job *job, void *arg);

/* The same on the first threads only, as many as the gauge says. */
void pool_run_as(pool *p, const gauge *g, pool_job *job, void *arg);
/* The same, and the gauge learns from it: `units` is how much work this run is, in any unit. */
void pool_run_gauged(pool *p, gauge *g, uint32_t units, pool_job *job, void *arg);
/* A gauge for the threads of this pool on the processors of this process. */
void pool_gauge(const pool *p, gauge *out);

/* Within a job: returns when every thread of it has called it. Every thread must call it equally often. */
void pool_barrier(pool *p);

/* The part [*begin, *end) of `items` that belongs to index of count; parts are contiguous, in order, and differ by at
 * most one. */
void pool_part(size_t items, int index, int count, size_t *begin, size_t *end);

#endif
