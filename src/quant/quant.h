/* quant.h: the types of a weight file: names, geometry, portable decode and encode. The reference for every kernel.
 *
 * A row of n values (n a multiple of the block) is n / block blocks of `bytes` bytes each, without padding and without
 * alignment. Block layouts, byte by byte: blocks.h. All functions: any thread, no allocation, no state.
 *
 * decode is bit-exact and defined for every bit pattern: nothing in a file can make it read outside the row.
 * encode wants finite input (the caller checks); a NaN or an infinity gives some valid block, never undefined
 * behaviour. Its `weights` (NULL: none) are n non-negative importances, one for each value of the row; only the K and
 * IQ4 types use them: they minimise sum w (x - decoded)^2. The other types encode exactly as the reference writers
 * do. */
#ifndef QUANT_QUANT_H
#define QUANT_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers in the file. */
enum quant_type {
    QUANT_F32 = 0,
    QUANT_F16 = 1,
    QUANT_Q4_0 = 2,
    QUANT_Q4_1 = 3,
    QUANT_Q5_0 = 6,
    QUANT_Q5_1 = 7,
    QUANT_Q8_0 = 8,
    QUANT_Q2_K = 10,
    QUANT_Q3_K = 11,
    QUANT_Q4_K = 12,
    QUANT_Q5_K = 13,
    QUANT_Q6_K = 14,
    QUANT_IQ2_XXS = 16,
    QUANT_IQ2_XS = 17,
    QUANT_IQ3_XXS = 18,
    QUANT_IQ1_S = 19,
    QUANT_IQ4_NL = 20,
    QUANT_IQ3_S = 21,
    QUANT_IQ2_S = 22,
    QUANT_IQ4_XS = 23,
    QUANT_I8 = 24,
    QUANT_I16 = 25,
    QUANT_I32 = 26,
    QUANT_I64 = 27,
    QUANT_F64 = 28,
    QUANT_IQ1_M = 29,
    QUANT_BF16 = 30,
    QUANT_TQ1_0 = 34,
    QUANT_TQ2_0 = 35,
    QUANT_MXFP4 = 39,
    QUANT_NVFP4 = 40,
    QUANT_Q1_0 = 41,
    QUANT_Q2_0 = 42,
};

typedef struct quant_traits {
    uint32_t id;
    const char *name; /* "Q4_K" */
    uint32_t block;   /* values in a block: 1, 32, 64, 128 or 256 */
    uint32_t bytes;   /* bytes in a block */
    /* NULL: only the geometry is known, so the file can be listed and sized but not computed with; refuse such a weight
     * with quant_advice(). n counts values and is a multiple of block. */
    void (*decode)(const void *row, float *out, size_t n);
    /* NULL: hearth does not write this type. */
    void (*encode)(const float *row, void *out, size_t n, const float *weights);
    /* As encode, but whatever the type: it searches for the scales that lose least, by the weights. NULL: no scales. */
    void (*search)(const float *row, void *out, size_t n, const float *weights);
    /* The first block whose scale (or value) is not finite, or SIZE_MAX. NULL: nothing can be wrong. */
    size_t (*check)(const void *row, size_t n);
} quant_traits;

/* The traits of a type in a file; NULL when it cannot be used (unknown, removed, another program's own). O(1). */
const quant_traits *quant_find(uint32_t id);
/* By name, any case ("q4_k"); NULL when there is none. */
const quant_traits *quant_find_name(const char *name);
/* The i-th supported type for listing, NULL past the last. */
const quant_traits *quant_at(size_t i);

/* The name of any id somebody is known to have written, also of those refused; "unknown" otherwise. */
const char *quant_name(uint32_t id);
/* For an id that cannot be used or not computed with: what it is and what to do, as the end of a sentence ("is a
 * removed repacked layout: ..."). Never NULL. */
const char *quant_advice(uint32_t id);

/* Bytes of a row of n values. 0: type not usable, n not a whole number of blocks, or the result exceeds 64 bits. */
uint64_t quant_row_bytes(uint32_t type, uint64_t n);

#endif
