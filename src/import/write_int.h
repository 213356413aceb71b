/* write_int.h: weights into a file. A family says by a table which weight becomes which tensor; here they are found,
 * checked, declared and written, row by row. Private to import/. */
#ifndef IMPORT_WRITE_INT_H
#define IMPORT_WRITE_INT_H

#include "import/import_int.h"

typedef enum import_dim {
    DIM_ONE,
    DIM_EMBD,
    DIM_VOCAB,
    DIM_FF,
    DIM_FF2, /* gate, then up */
    DIM_HEAD,
    DIM_Q,
    DIM_KV,
    DIM_QKV,
    DIM_POSITIONS,
    DIM_TYPES,
    DIM_CLASSES,
    N_DIMS
} import_dim;

typedef enum import_change {
    CHANGE_NONE,
    CHANGE_INTERLEAVE, /* rows of each head: the halves that rope turns together come to lie side by side */
    CHANGE_PLUS_ONE,
} import_change;

typedef struct import_place {
    const char *from, *to;   /* %u is the layer; both end in .weight, and .bias where there is one */
    import_dim rows, cols;   /* of the weight; rows DIM_ONE: a vector. The bias has as many values as it has rows */
    bool always_f32;
    uint32_t with, without;  /* only for models with all of these traits, and none of those */
    uint32_t bias;           /* there is a bias when the model has one of these */
    import_change change;
    uint32_t change_with;    /* traits of the models whose values are changed; their biases' too */
} import_place;

typedef struct import_planned {
    const import_tensor *tensor; /* NULL: values */
    const float *values;         /* made here; the caller's */
    uint32_t n_values;
    import_change change;
    uint32_t type;
} import_planned;

typedef struct import_writing {
    gguf_writer *w;
    import_weights *weights;
    import_report *report; /* tensors, parameters and bytes are counted */
    const char *family;    /* for errors: "BERT" */
    uint32_t traits;
    uint64_t dims[N_DIMS];
    uint32_t type;      /* QUANT_*; UINT32_MAX: as stored */
    uint32_t main_type; /* what stands for the file */
    import_planned *list;
    size_t n, max;
} import_writing;

/* x->weights is set. type: of import_options. most: tensors, at most. */
status import_writing_open(import_writing *x, const char *type, size_t most, error *err) MUST_CHECK;
void import_writing_close(import_writing *x);
/* general.*, and the report's name and type. arch: a constant. */
void import_write_general(import_writing *x, const char *arch, const char *name);
/* Declares those of n places that the model has. */
status import_declare(import_writing *x, const import_place *places, size_t n, uint32_t layer, error *err) MUST_CHECK;
/* A vector in F32 that is in no file. */
void import_declare_values(import_writing *x, const char *name, const float *values, uint32_t n);
/* Weights that were not declared are an error, but for those that begin, or after a '*' end, like one of these. */
status import_check_left_over(const import_writing *x, const char *const *left_out, size_t n, error *err) MUST_CHECK;
/* All declared tensors, in order. E_NOFIT: no room on the disk. */
status import_write_data(const import_writing *x, error *err) MUST_CHECK;

#endif
