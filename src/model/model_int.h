/* model_int.h: the inside of a bound model. Private to src/model. */
#ifndef MODEL_MODEL_INT_H
#define MODEL_MODEL_INT_H

#include "model/model.h"

/* A weight matrix as panels of 16 rows (kernels.h). panels == NULL: the model has none. */
typedef struct model_matrix {
    const char *panels;
    size_t panel_bytes;
    int type;
    uint32_t rows, cols;
} model_matrix;

/* NULL where the model has none. Vectors are F32. */
typedef struct model_layer {
    model_matrix q, k, v, o, gate, up, down;
    const float *attn_norm, *attn_post_norm, *ffn_norm, *ffn_post_norm; /* [n_embd] */
    const float *attn_post_shift, *ffn_post_shift;                      /* [n_embd]: biases of layer norms */
    const float *q_norm, *k_norm;                                       /* [head_dim] */
    const float *q_bias, *k_bias, *v_bias, *o_bias, *gate_bias, *up_bias, *down_bias;
} model_layer;

struct model {
    model_spec spec;
    model_layer *layers;
    uint32_t first_layer;     /* of the whole model: of a part that begins later */
    model_matrix embed, head; /* head.panels == embed.panels when tied; of an encoder: the classifier or none */
    model_matrix dense;       /* [n_embd][n_embd], of an encoder: tanh(dense x + bias) stands before the classifier */
    model_matrix positions, types; /* [context_train][n_embd]; of kinds of tokens */
    const float *embed_norm, *embed_shift;
    const float *output_norm, *head_bias, *dense_bias;
    const float *rope_divisors, *rope_long, *rope_short; /* [rope_dim / 2] or NULL */
    void *block;  /* what was allocated */
    char *arena;  /* 64-aligned inside it */
};

/* ---- rope.c ---- */

/* Frequencies and factor of one kind of layer: angle of pair i at position p is p * freq[i]. */
typedef struct model_rope {
    double *freq; /* [rope_dim / 2], the caller's memory */
    double factor; /* on cos and sin */
} model_rope;

/* Fills freq (memory given) and factor for window layers or for global ones, at this context limit. */
void model_rope_init(model_rope *r, const model *m, bool window_layers, uint32_t context);
/* rope_dim/2 cosines, then rope_dim/2 sines of one position. */
void model_rope_table(const model_rope *r, uint32_t rope_dim, uint32_t position, float *table);
/* What a query of this position is multiplied by (ARCH_Q_TEMPERATURE), 1 otherwise. */
float model_query_factor(const model_spec *spec, uint32_t position);

#endif
