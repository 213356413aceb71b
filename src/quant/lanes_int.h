/* lanes_int.h: private to src/quant: 16 candidate grids for the same values, measured side by side.
 *
 * A lane is a candidate: its sums run over the values in their order, so that any instruction set gives the same bits
 * and nothing is added across lanes. The sums are of what a candidate leaves, e = x - value: where the loss is small
 * beside the values nothing cancels. Values are near 1 (encode_int.h): float neither overflows nor underflows. */
#ifndef QUANT_LANES_INT_H
#define QUANT_LANES_INT_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

enum { LANES = 16, LANES_VALUES = 32, LANES_UNITS = 512 }; /* candidates; values at most; halves of a unit */

/* What codes stand for: the integers low..high, or 16 levels. */
typedef struct lanes_grid {
    float low, high;
    const int8_t *levels; /* ascending, -128 < level < 127; NULL: uniform */
    float nearest[LANES_UNITS]; /* with levels: the nearest for each half of a unit from -128 */
} lanes_grid;

/* Makes g the grid of 16 levels. */
void quant_lanes_table(lanes_grid *g, const int8_t levels[16]);

/* Over n values: S w e e, S w e l, S w l l, with x ~ a l, l the level nearest to x / a. */
typedef struct lanes_sums {
    float ee[LANES], el[LANES], ll[LANES];
} lanes_sums;

void quant_lanes(const lanes_grid *g, const float *x, const float *w, int n, const float a[LANES], lanes_sums *s);

/* The same for x ~ a u + m with codes 0..top: S w e e, S w e u, S w e, S w u u, S w u. */
typedef struct lanes_lines {
    float ee[LANES], eu[LANES], e[LANES], uu[LANES], u[LANES];
} lanes_lines;

void quant_lanes_line(float top, const float *x, const float *w, int n, const float a[LANES], const float m[LANES],
                      lanes_lines *s);

/* The least-squares line for the codes that a lane chose: its loss (INFINITY where a is not above 0), the weighted mean
 * of the codes, and S w (u - mean)^2 (how the loss grows with an error of a when m makes up for it). */
typedef struct lanes_fits {
    float a[LANES], m[LANES], loss[LANES], mean[LANES], spread[LANES];
} lanes_fits;

/* Lane i, measured at a[i], m[i]. w: the sum of the importances; m <= highest. */
static inline void lanes_fit_line(const lanes_lines *s, int i, float w, const float *a, const float *m, float highest,
                                  lanes_fits *f)
{
    float uu = s->uu[i], u = s->u[i], eu = s->eu[i], e = s->e[i], one = w > 0 ? w : 1, mean = u / one;
    float spread = uu - mean * u, some = spread > 1e-6f * uu ? 1.0f : 0.0f, divisor = some > 0 ? spread : 1;
    float da = (eu - mean * e) / divisor * some, dm = e / one - da * mean;
    float at_border = (eu - (highest - m[i]) * u) / (uu > 0 ? uu : 1);
    bool out = m[i] + dm > highest;
    da = out ? at_border : da;
    dm = out ? highest - m[i] : dm;
    float loss = s->ee[i] - 2 * (da * eu + dm * e) + da * da * uu + 2 * da * dm * u + dm * dm * w;
    f->a[i] = a[i] + da;
    f->m[i] = m[i] + dm;
    f->mean[i] = mean;
    f->spread[i] = spread;
    f->loss[i] = a[i] + da > 0 ? loss : INFINITY;
}

void quant_lanes_fit_line(const lanes_lines *s, float w, const float a[LANES], const float m[LANES], float highest,
                          lanes_fits *f);

/* Likewise for x ~ a l; only a and loss are set. */
void quant_lanes_fit(const lanes_sums *s, const float a[LANES], lanes_fits *f);

/* The steps that suit best, of tries[i] + what their fit adds: best[n] and their losses, ascending, updated. */
void quant_lanes_keep(const lanes_sums *s, const float tries[LANES], int n, float best[], float loss[]);

/* The first of the least; a NaN is passed over. */
static inline int lanes_least(const float v[LANES])
{
    int at = 0;
    float least = INFINITY;
    for (int i = 0; i < LANES; i++) {
        at = v[i] < least ? i : at;
        least = v[i] < least ? v[i] : least;
    }
    return at;
}

/* The code of v = x / a as the lanes choose it; for levels the index. */
int quant_lanes_code(const lanes_grid *g, float v);

/* The nearest integer in [low, high], ties to even; NaN gives low. */
static inline float lanes_round(float v, float low, float high)
{
    v = v > low ? v : low;
    v = v < high ? v : high;
    return (v + 0x1.8p23f) - 0x1.8p23f;
}

#endif
