/* gauge.h: how many threads pay for one kind of work and how long they should spin, measured while the work is done.
 * Owner thread.
 *
 * Threads that meet at barriers are as fast as the slowest. On a machine with busy neighbours that is one that waits
 * for a processor, and spinning for it is time that the scheduler takes back: two spinning threads on two shared cores
 * were measured at 40 % of two that sleep, or of one alone. A gauge starts with all threads, spinning, and stays there
 * while nobody stalls. When stalls take much of the time it tries the next choice for a few passes and keeps what was
 * faster; from then on it tries its neighbours now and again, ever more rarely while that does not pay. Pure: it reads
 * no clock. What is computed never depends on it (docs/NUMERICS.md). */
#ifndef PLAT_GAUGE_H
#define PLAT_GAUGE_H

#include <stdint.h>

enum { GAUGE_CHOICES = 3 };

typedef struct gauge_choice {
    int threads;
    int spins; /* looks at a word before sleeping on it */
} gauge_choice;

typedef struct gauge {
    gauge_choice choices[GAUGE_CHOICES]; /* from the most eager to one thread alone */
    int n_choices, at, trial;       /* trial: the choice being tried, or -1 */
    int step;                       /* where the next trial goes: 1 or -1 */
    uint32_t passes, rest, backoff; /* passes of this window; windows until the next trial is allowed */
    double seconds, stalled, units; /* of this window */
    double cost;                /* seconds a unit in the last window of the choice `at` */
} gauge;

/* More threads than processors are never chosen: with 4 on 2 cores, decode ran at 40 % of the speed of 2. n_processors
 * 0: not known, taken as enough. */
void gauge_init(gauge *g, int n_threads, int n_processors);
/* What the next pass takes. */
gauge_choice gauge_next(const gauge *g);
/* A pass like that did `units` of work in `seconds`; its threads slept `stalled` seconds at barriers, added
 * up over all of them. */
void gauge_note(gauge *g, uint32_t units, double seconds, double stalled);

#endif
