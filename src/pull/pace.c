/* pace.c: see the header. */
#include "pull/pace.h"

double pace_note(pace *p, uint64_t now_us, uint64_t done)
{
    size_t newest = (p->next + PACE_POINTS - 1) % PACE_POINTS;
    if (p->n && done < p->at[newest].done)
        *p = (pace){ .n = 0 };
    if (!p->n || now_us - p->at[newest].us >= PACE_STEP_US) {
        p->at[p->next].us = now_us;
        p->at[p->next].done = done;
        p->next = (p->next + 1) % PACE_POINTS;
        p->n += p->n < PACE_POINTS;
    }
    size_t oldest = (p->next + PACE_POINTS - p->n) % PACE_POINTS;
    uint64_t us = now_us - p->at[oldest].us;
    return us < PACE_STEP_US / 2 ? 0 : (double)(done - p->at[oldest].done) * 1e6 / (double)us;
}
