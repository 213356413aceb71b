/* moments.h: the second moments of what a matrix is multiplied with: H = sum x x^T over the tokens of a text, once over
 * the tokens that encoders may look at and once over tokens held out, by which their choices are judged.
 *
 * Where rows are longer than MOMENTS_BLOCK, only the blocks on the diagonal are kept: errors are made up for within a
 * block. Owner thread of the pool. */
#ifndef PACK_MOMENTS_H
#define PACK_MOMENTS_H

#include <stddef.h>

#include "base/status.h"
#include "gguf/gguf.h"
#include "pack/matrix.h"
#include "pack/reference.h"

enum { MOMENTS_BLOCK = 6144 };

/* The products of a layer by what they multiply with, and the head. */
typedef enum moments_kind {
    MOMENTS_QKV,
    MOMENTS_O,
    MOMENTS_FFN,
    MOMENTS_DOWN,
    MOMENTS_OF_LAYER,
    MOMENTS_HEAD = MOMENTS_OF_LAYER,
    MOMENTS_KINDS
} moments_kind;

/* Of a tensor, by its name; MOMENTS_KINDS: it is none of these. tied: the embedding is the head. */
moments_kind moments_kind_of(const gguf_tensor *t, bool tied);

enum { MOMENTS_SEEN, MOMENTS_HELD_OUT, MOMENTS_SETS };

typedef struct moments {
    size_t n;                    /* values of an input */
    size_t block;                /* of them in a block (the last may have fewer) */
    float *gram[MOMENTS_SETS];   /* blocks one after the other, each [width][width]; lower triangles until
                                    moments_finish. NULL: nobody asks for this set */
    double tokens[MOMENTS_SETS];
} moments;

/* The first n_sets of the sets, of n values. */
status moments_open(moments *m, size_t n, int n_sets, error *err) MUST_CHECK;
void moments_close(moments *m);
/* Adds rows of n values. */
status moments_add(moments *m, int set, const matrix_tools *t, const float *rows, size_t n_rows, error *err) MUST_CHECK;
/* Both sums become means, and whole matrices. */
void moments_finish(moments *m);

/* Block i: columns [*at, *at + *width) and its matrix. NULL past the last. */
const float *moments_block(const moments *m, int set, size_t i, size_t *at, size_t *width);

#endif
