/* gauge.c: windows of passes, and what follows from each. */
#include "plat/gauge.h"

#include <stdbool.h>

enum {
    WINDOW = 8,      /* passes of a window */
    TRIAL = 4,       /* and of one that tries another choice */
    FIRST_REST = 4,  /* windows between trials */
    LONGEST_REST = 32,
};
static const double long_enough = 0.25;    /* seconds that end a window early */
static const double stalls_worth = 0.2;    /* share of the threads' time */
static const double clearly_less = 0.93;   /* a trial must cost less than this share of what it replaces */

static void add(gauge *g, int threads, int spins)
{
    g->choices[g->n_choices++] = (gauge_choice){ threads, spins };
}

/* A spin is a pause of 40..140 cycles: PATIENT is 25..60 microseconds, BRIEF a few. */
void gauge_init(gauge *g, int n_threads, int n_processors)
{
    enum { PATIENT = 2000, BRIEF = 100 };
    *g = (gauge){ .trial = -1, .step = 1, .backoff = FIRST_REST };
    if (n_processors > 0 && n_processors < n_threads)
        n_threads = n_processors;
    if (n_threads > 1) {
        add(g, n_threads, PATIENT);
        add(g, n_threads, BRIEF);
    }
    add(g, 1, 0);
}

gauge_choice gauge_next(const gauge *g)
{
    return g->choices[g->trial >= 0 ? g->trial : g->at];
}

static void end_trial(gauge *g, double cost)
{
    if (cost < clearly_less * g->cost) {
        g->at = g->trial;
        g->cost = cost;
        g->rest = 1;
        g->backoff = FIRST_REST;
    } else {
        g->step = -g->step;
        g->backoff = 2 * g->backoff < LONGEST_REST ? 2 * g->backoff : LONGEST_REST;
        g->rest = g->backoff;
    }
    g->trial = -1;
}

/* Upwards, to more eager choices, is always worth a trial; downwards only when threads stall. */
static void end_window(gauge *g, double cost, double share)
{
    bool up = g->at > 0, down = g->at + 1 < g->n_choices && share > stalls_worth;
    g->cost = cost;
    if (g->rest > 0)
        g->rest--;
    else if (down && (g->step > 0 || !up))
        g->trial = g->at + 1;
    else if (up)
        g->trial = g->at - 1;
}

void gauge_note(gauge *g, uint32_t units, double seconds, double stalled)
{
    g->passes++;
    g->seconds += seconds;
    g->stalled += stalled;
    g->units += units;
    bool trying = g->trial >= 0;
    if (g->n_choices < 2 || (g->passes < (trying ? TRIAL : WINDOW) && g->seconds < long_enough))
        return;
    double cost = g->seconds / g->units, share = g->stalled / (g->seconds * gauge_next(g).threads);
    if (trying)
        end_trial(g, cost);
    else
        end_window(g, cost, share);
    g->passes = 0;
    g->seconds = g->stalled = g->units = 0.0;
}
