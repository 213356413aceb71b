/* grid.h: values that lie exactly on a type's grid already: dequantised files, checkpoints trained for a type.
 *
 * "Exactly" means: decoding gives the same floats, after rounding to the precision in which they were stored (F16 and
 * BF16 keep of step times code what fits). Types: those of blocks of 32 with one step (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0,
 * IQ4_NL, MXFP4). Any thread; no state, no allocation. */
#ifndef QUANT_GRID_H
#define QUANT_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Encodes n values, whole blocks, which were stored as `precision` (QUANT_F32, QUANT_F16 or QUANT_BF16), so that they
 * come back exactly. false: the type is none of those, or some block does not fit; out is then undefined. */
bool grid_encode(uint32_t type, uint32_t precision, const float *x, size_t n, void *out);

/* The type of fewest bits for which grid_encode would succeed with all n values. false: none, n is no whole number of
 * blocks, or there is no block of at least three different values (zeros and constants lie on every grid). Gives up at
 * the first block that no type fits. */
bool grid_find(uint32_t precision, const float *x, size_t n, uint32_t *type);

#endif
