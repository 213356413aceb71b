/* grid_int.h: what the searches of grid.c and grid_k.c have in common. Private to src/quant. */
#ifndef QUANT_GRID_INT_H
#define QUANT_GRID_INT_H

#include <stdbool.h>
#include <stdint.h>

#include "quant/lattice.h"

typedef struct interval {
    double low, high;
} interval;

enum { GRID_MOST_STEPS = 64, GRID_F16_INFINITE = 0x7C00 };

/* v rounded as `precision` stores it. */
float grid_stored(uint32_t precision, float v);
/* At least the numbers that are stored as v. */
interval grid_before(uint32_t precision, float v);
/* Finite f16 as integers in the order of their values; the first that is not below `low`. */
double grid_f16_at(int order);
int grid_first_f16(double low);

/* A block of a K type or IQ4_XS. false: these values are none. */
bool grid_k_step(const lattice *l, uint32_t precision, const float *x, uint8_t *block);
bool grid_k_line(const lattice *l, uint32_t precision, const float *x, uint8_t *block);

#endif
