/* pace.h: how fast something comes, over the last seconds. Owner thread. */
#ifndef PULL_PACE_H
#define PULL_PACE_H

#include <stddef.h>
#include <stdint.h>

enum { PACE_POINTS = 20, PACE_STEP_US = 500000 }; /* ten seconds */

typedef struct pace {
    struct {
        uint64_t us, done;
    } at[PACE_POINTS];
    size_t n, next;
} pace;

/* Notes that `done` bytes are there; a smaller number than before begins anew. Returns bytes a second, 0 while nobody
 * knows. */
double pace_note(pace *p, uint64_t now_us, uint64_t done);

#endif
