/* mix.h: the standard mixes ("Q4_K_M"): which tensor of a model gets which type. Constants only; any thread.
 *
 * A mix is a main type and rules: some tensors lose more when they are coarse (values, the down projection, the first
 * and last layers, the head), and get a finer type. The names and the choices are those of llama-quantize, whose files
 * people download; tests/golden/mixes.json records what it chose for models of many shapes. */
#ifndef QUANT_MIX_H
#define QUANT_MIX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* What a tensor does, as far as mixes care. */
typedef enum quant_role {
    QUANT_KEPT, /* vectors, norms, routers, positions: stay as they are, F32 in converters' files */
    QUANT_EMBED,
    QUANT_HEAD, /* output.weight */
    QUANT_ATTN_Q,
    QUANT_ATTN_K,
    QUANT_ATTN_V, /* also the fused q, k and v */
    QUANT_ATTN_OUTPUT,
    QUANT_FFN_UP,
    QUANT_FFN_GATE,
    QUANT_FFN_DOWN,
    QUANT_OTHER, /* a matrix of none of these kinds */
    QUANT_ROLES
} quant_role;

/* By the name that GGUF files give it; rows: gguf_tensor_rows. */
quant_role quant_role_of(span name, uint64_t rows);

/* N of "blk.N.…"; -1: it belongs to no layer. */
int32_t quant_layer_of(span name);

/* What the rules ask about the model. */
typedef struct quant_mix_model {
    uint32_t n_layers;
    uint32_t n_gqa;     /* query heads for each key-value head */
    uint32_t n_experts; /* 0: none */
    bool tied;          /* no output.weight: the embedding is the head too */
    bool importances;   /* encoded with an importance matrix, which changes a few choices */
} quant_mix_model;

typedef struct quant_mix {
    const char *name;   /* "Q4_K_M" */
    uint32_t main;      /* enum quant_type */
    uint32_t file_type; /* general.file_type of such files (llama.h, LLAMA_FTYPE_*) */
} quant_mix;

/* By name, any case; "Q3_K", "Q4_K" and "Q5_K" mean their _M. NULL: there is none. */
const quant_mix *quant_mix_find(const char *name);
/* The i-th, in the order of the sizes of a file of Llama 3 8B; NULL past the last. */
const quant_mix *quant_mix_at(size_t i);

/* The type of a tensor of this role (QUANT_KEPT: F32) in layer `layer` (0 for what is in none) with rows of `cols`
 * values, which are a whole number of the type's blocks. */
uint32_t quant_mix_type(const quant_mix *mix, const quant_mix_model *model, quant_role role, uint32_t layer,
                        uint64_t cols);

/* The type itself, or what stands in for it where rows of `cols` values are no whole number of its blocks: a type of
 * shorter blocks, F16 at last. */
uint32_t quant_type_fitting(uint32_t type, uint64_t cols);

#endif
