/* crew.h: threads that ask, so that the thread which owns the ledger only grades and keeps. Inside measure/.
 *
 * A lane is a line of cases with some threads at its head. All local arms share one lane, since they share the machine:
 * what they say of speed would otherwise be of each other. Every other arm has a lane of its own. Within a lane cases
 * begin in order. A case marked `alone` begins when nothing else of its lane is in flight, and nothing begins beside
 * it: its times are those of one caller.
 *
 * All but crew_cancelled: the owner's thread. */
#ifndef MEASURE_CREW_H
#define MEASURE_CREW_H

#include "measure/measure_int.h"

typedef struct crew crew;

typedef struct crew_item {
    arm *s;
    size_t key;
    uint32_t repeat;
    bool alone;
    double worst_usd; /* the most that it can cost; 0: nothing, or no matter */
} crew_item;

typedef struct crew_lane {
    crew_item *items; /* borrowed */
    size_t n;
    uint32_t threads;
} crew_lane;

/* One case, asked: crew_kept takes it back. */
typedef struct crew_done {
    struct crew_done *next;
    struct lane *lane;
    crew_item item;
    double reserved_usd;
    status asked;
    reply r;
    error why;
    verdict v;         /* of an answer */
    char *prompt_text;
} crew_done;

/* budget_usd: no case begins that could bring the sum beyond it; INFINITY: no budget. */
status crew_open(crew **out, const crew_lane *lanes, size_t n_lanes, double budget_usd, error *err) MUST_CHECK;
/* The next finished case, or NULL after ms without one. */
crew_done *crew_wait(crew *c, int ms);
/* Nothing is in flight and nothing will begin; finished cases may still wait. */
bool crew_is_idle(crew *c);
/* Some lane ended because of the budget. */
bool crew_ran_out(crew *c);
/* The owner is through with a case: it is freed, and what it really cost replaces what was reserved for it. */
void crew_kept(crew *c, crew_done *d, double spent_usd);
/* No further case of this arm begins. */
void crew_drop(crew *c, arm *a);
/* No further case begins; with `cancel` those in flight are given up. */
void crew_halt(crew *c, bool cancel);
/* Halts, waits for the threads, frees what nobody fetched. Accepts NULL. */
void crew_close(crew **c);

/* ask.c looks here while it waits: true when this case is given up. Any thread. */
bool crew_cancelled(const crew *c);

#endif
