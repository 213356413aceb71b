/* grid.h: values that lie exactly on a type's grid already: dequantised files, checkpoints trained for a type.
 *
 * "Exactly" means: decoding gives the same floats, after rounding to the precision in which they were stored (F16 and
 * BF16 keep of step times code what fits). Types: those of blocks of 32 with one step (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0,
 * IQ4_NL, MXFP4) and those of 256 with scales (Q2_K to Q6_K, IQ4_XS). Blocks of the latter that no encoder makes may be
 * missed: a d below zero with mins, one value above 0 in all 256. Any thread; no state, no allocation. */
#ifndef QUANT_GRID_H
#define QUANT_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Encodes n values, whole blocks, which were stored as `precision` (QUANT_F32, QUANT_F16 or QUANT_BF16), so that they
 * come back exactly. false: the type is none of those, or some block does not fit; out is then undefined. */
bool grid_encode(uint32_t type, uint32_t precision, const float *x, size_t n, void *out);

/* Looks for the type of fewest bits on whose grid all rows of `cols` values lie: begin, look at rows until it is
 * enough, ask; then grid_encode says whether it is so, since rows that a smaller type fitted were not tried with larger
 * ones. grid_look: false: no type fits all rows up to here, and it need not be asked again (of ordinary values the
 * first block says that). grid_found: false also where no 32 neighbours have had three different values (zeros and
 * constants lie on every grid). */
enum { GRID_TYPES = 13 };
typedef struct grid_search {
    uint32_t precision;
    size_t cols;
    bool possible[GRID_TYPES], decided;
} grid_search;
void grid_begin(grid_search *g, uint32_t precision, size_t cols);
bool grid_look(grid_search *g, const float *x, size_t n_rows);
bool grid_found(const grid_search *g, uint32_t *type);

#endif
