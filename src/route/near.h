/* near.h: which task a text is nearest to, by vectors of its examples. Pure; any thread.
 *
 * A task's score for a text is the largest cosine between the text's vector and those of its examples. The text is
 * taken for the task of the largest score that reaches that task's own threshold.
 *
 * A threshold is calibrated on foreign texts, the examples of all other tasks: on the fixed grid 0.99, 0.98, … from
 * strict to lax it is the last value up to which the upper bound (Clopper and Pearson, one-sided, 95 %) of the share of
 * foreign texts that would be taken stays at or below the level: fixed-sequence testing, so that trying many values
 * costs no confidence (Angelopoulos, Bates, Candès, Jordan, Lei 2021, "Learn then Test"). With too few foreign texts
 * not even the strictest value can be shown: the task is then never taken. At level 0.05 that is fewer than 59. */
#ifndef ROUTE_NEAR_H
#define ROUTE_NEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/js.h"
#include "base/status.h"

#define NEAR_STRICTEST 0.99
#define NEAR_LAXEST 0.20
#define NEAR_CONFIDENCE 0.95

/* n unit vectors of `dim` floats each, one after another. */
typedef struct near_task {
    const char *name;
    const float *vectors;
    size_t n;
    bool recognised;      /* its examples may be learnt from; else they are only foreign to the others */
    /* near_calibrate writes: */
    double threshold;     /* NAN: nothing is taken for it */
    uint32_t n_foreign, n_foreign_taken; /* texts of others, and how many the threshold takes */
    double foreign_upper; /* the bound of that share; NAN where there is no threshold */
    uint32_t n_own_taken; /* of its n examples, each compared with the others of them */
} near_task;

status near_calibrate(near_task *tasks, size_t n, size_t dim, double level, error *err) MUST_CHECK;
/* False: it is near to none. */
bool near_find(const near_task *tasks, size_t n, size_t dim, const float *vector, size_t *which, double *score);
/* [{task, threshold, examples, own_taken, foreign, foreign_taken, foreign_upper}]. NULL without memory. */
js *near_to_js(const near_task *tasks, size_t n);

#endif
