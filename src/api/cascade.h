/* cascade.h: a task's request that is answered by a cascade (route/cascade.h): the local model answers first, and its
 * answer is held back until it is whole; sure enough, it is the answer, and else the cloud is asked the same, as any
 * request would be. The cloud's answer is held back too, so that the local one can take its place when it fails: where
 * there is a local answer there is no error. The handler's thread. */
#ifndef API_CASCADE_H
#define API_CASCADE_H

#include "api/api_int.h"
#include "base/mem.h"

/* Whether it is one: the decision has a cascade, and text is wanted (not vectors, tokens or scores). */
bool api_cascade_wanted(const api_ask *ask);
/* Answers it, after api_target. Says how in the headers x-hearth-cascade, -route, -provider and -evidence. */
bool api_cascade_ask(api *a, api_ask *ask, api_fault *f);

/* ---- an answer that is held back (held.c) ---- */

enum { HELD_BYTES_MAX = 64 << 20 };

typedef struct held_event held_event;
/* Zero it, but for memory: held_init. */
typedef struct held {
    arena memory;
    held_event *first, *last;
    event_done end;      /* its strings live in memory */
    bool done, failed;   /* the end has come; or there was no memory for it */
} held;
void held_init(held *h);
void held_clear(held *h);
/* An event_fn: keeps a copy of what belongs to an answer. */
int held_event_fn(void *user, const event *e);
/* Tells it all to fn, the end with these counts; what fn wants to end is ended as cancelled. */
void held_tell(const held *h, const event_done *end, event_fn *fn, void *user);

#endif
