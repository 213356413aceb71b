/* sizes.h: what a model takes and what a pass over it multiplies, as model_plan says. For src/engine and src/fit. */
#ifndef MODEL_SIZES_H
#define MODEL_SIZES_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/kernels.h"

/* Matrices of one type and shape that a pass multiplies with. */
typedef struct model_product {
    int type;
    uint32_t rows, cols;
    uint32_t n;   /* how many there are */
    bool of_head; /* only for rows that want logits */
} model_product;
enum { MODEL_PRODUCTS = 96 }; /* kinds of them: what is beyond is added to the last kind, by its bytes */

typedef struct model_sizes {
    uint64_t weights_bytes; /* the arena and what surrounds it: exactly what model_open allocates */
    uint64_t token_bytes;   /* weight bytes that one decoded token reads: all but the embedding's other rows */
    uint64_t n_params;
    uint32_t main_type;     /* the type that holds most bytes of the matrices, as the file stores them */
    uint64_t type_bytes[KERNELS_TYPES]; /* of weights_bytes: by the type they are kept in (vectors: QUANT_F32). What is
                                           left are the tables around them */
    model_product products[MODEL_PRODUCTS];
    uint32_t n_products;
} model_sizes;

/* Passes of up to this many rows are prepared by every thread for itself: 5 barriers a layer; of more, by rows: 10. */
enum { MODEL_ALONE_ROWS = 4 };

#endif
