/* lattice.h: the blocks of a type as what an error-feeding quantiser needs: steps, offsets and codes, each by itself.
 *
 * Value j of a block is a[j / sub] * level(code j) - b[j / sub], where a and b follow from the block's scales. So a
 * quantiser chooses the scales once (quant_traits.search), reads a and b, moves codes one by one, and writes them back
 * under the same scales. Any thread; no state, no allocation. */
#ifndef QUANT_LATTICE_H
#define QUANT_LATTICE_H

#include <stdbool.h>
#include <stdint.h>

enum { LATTICE_BLOCK_MAX = 256, LATTICE_SUB_MAX = 16 };

typedef struct lattice_scale {
    float a, b;
} lattice_scale;

typedef struct lattice {
    uint32_t type;        /* enum quant_type */
    int block, sub;       /* values of a block; of those that share a and b */
    int n_codes;          /* codes are 0 .. n_codes - 1 */
    int low;              /* level(code) = code + low, unless there is a table */
    const int8_t *levels; /* 16, ascending; NULL: uniform */
    void (*get)(const void *block, uint8_t codes[LATTICE_BLOCK_MAX]);
    void (*put)(void *block, const uint8_t codes[LATTICE_BLOCK_MAX]); /* scales stay as they are */
    lattice_scale (*scale)(const void *block, int sub);
    /* The step times a factor near 1, as far as f16 can follow; m of Q4_1 and Q5_1 so that the middle of the range
     * stays. NULL: several steps, or a power of two. */
    void (*stretch)(void *block, float factor);
    /* Adds to the integers of one of several sub-blocks; false: that is out of their range, and nothing was done.
     * min_by is 0 where there are no mins. NULL: one step. */
    bool (*shift)(void *block, int sub, int scale_by, int min_by);
    bool mins; /* sub-blocks have mins */
} lattice;

/* NULL: the type has no lattice (floats, types that hearth does not write). */
const lattice *lattice_find(uint32_t type);

static inline float lattice_level(const lattice *l, int code)
{
    return l->levels ? (float)l->levels[code] : (float)(code + l->low);
}

/* The code whose value a * level - b is nearest to x; a == 0: the code of the level nearest to 0. */
int lattice_nearest(const lattice *l, float a, float b, float x);

#endif
