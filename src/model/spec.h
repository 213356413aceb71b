/* spec.h: what the keys of a file say about its model: the numbers behind an architecture's row. Private to src/model
 * and, read only, to src/fit and src/engine through model.h. Any thread. */
#ifndef MODEL_SPEC_H
#define MODEL_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "gguf/gguf.h"
#include "model/arch.h"

enum { MODEL_MAX_LAYERS = 512 };

/* Layers that see everything and layers that see a window keep their KV apart. is_window is the index. */
enum { MODEL_GLOBAL, MODEL_WINDOW, MODEL_KINDS };

typedef enum rope_scaling { ROPE_NONE, ROPE_LINEAR, ROPE_YARN, ROPE_LONGROPE } rope_scaling;

/* The numbers in the file. */
typedef enum model_pooling {
    MODEL_POOL_NONE = 0,
    MODEL_POOL_MEAN = 1,
    MODEL_POOL_CLS = 2,
    MODEL_POOL_LAST = 3,
    MODEL_POOL_RANK = 4, /* a classifier over the first position */
    MODEL_POOLINGS
} model_pooling;

typedef struct model_spec {
    const arch *arch;
    uint32_t n_vocab, n_embd, n_layers, n_ff;
    uint32_t n_logits;                      /* n_vocab; of an encoder: the classes of its classifier, 0: it has none */
    uint32_t n_types;                       /* kinds of tokens that an encoder tells apart; 0: none */
    bool has_dense;                         /* an encoder whose classifier has a layer of its own before it */
    uint32_t n_heads, n_kv_heads, head_dim; /* n_heads is a multiple of n_kv_heads */
    uint32_t rope_dim;                      /* even, <= head_dim: the values beyond are not turned; 0: no rope */
    uint32_t context_train;
    float norm_eps;
    float embed_scale, q_scale;
    float attn_cap, final_cap; /* 0: none */

    float rope_base, window_rope_base; /* of global and of window layers */
    rope_scaling scaling;              /* of global layers (of all, without ARCH_WINDOW_ROPE) */
    double rope_factor;                /* positions are divided by this; 1: none */
    uint32_t rope_context;             /* the context before stretching (yarn, longrope, temperature) */
    float rope_attn_factor;            /* extra factor on cos and sin; 1: none */
    float yarn_fast, yarn_slow, yarn_log_mul;
    float temperature; /* of queries; 0: none */

    uint32_t window; /* a position sees itself and the window - 1 before it; 0: all layers are global */
    bool is_window[MODEL_MAX_LAYERS];
    uint32_t n_of_kind[MODEL_KINDS];
    uint16_t place[MODEL_MAX_LAYERS]; /* of a layer among those of its kind */

    model_pooling pooling; /* of the vectors of a text's positions into one, as the file wishes */
    bool is_encoder;

    uint32_t act_formats; /* bit 1 << kernels_act of every format that its matrices take; bind.c sets it */
} model_spec;

/* Reads and checks the keys. Errors name the file and the key: E_UNSUPPORTED (architecture, experts, ...), E_FORMAT,
 * E_RANGE, E_NOTFOUND. */
status model_spec_read(model_spec *out, const gguf *g, error *err) MUST_CHECK;

/* Becomes what it would be of a model that has only layers from .. to - 1. */
void model_spec_cut(model_spec *m, uint32_t from, uint32_t to);

#endif
