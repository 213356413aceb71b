/* line_int.h: private to src/quant: the lines x ~ a u + m, codes u in 0..top, that suit a sub-block best. */
#ifndef QUANT_LINE_INT_H
#define QUANT_LINE_INT_H

#include <stdbool.h>

#include "quant/lanes_int.h"

typedef struct line_scan {
    float top;
    bool below;         /* m <= 0, and the range begins at 0 at least */
    float stretch;      /* the range is top + (-stretch .. stretch) steps long */
    float shorter;      /* and begins up to so much later, relative to it */
    int n_wide, n_near; /* passes of 16 candidates over all that; around the best two */
} line_scan;

/* A line fitted to the codes that it was found with: a lane of lanes_fits. */
typedef struct line_fit {
    float a, m, loss, mean, spread;
} line_fit;

static inline line_fit line_of(const lanes_fits *f, int i)
{
    return (line_fit){ f->a[i], f->m[i], f->loss[i], f->mean[i], f->spread[i] };
}

/* The best two of all that were seen; where all values are alike, a = 0. */
void quant_best_lines(const line_scan *scan, const float *x, const float *w, int n, line_fit best[2]);

#endif
