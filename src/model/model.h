/* model.h: weights bound and repacked, and the forward pass over them. For src/engine and src/fit.
 *
 * A model is immutable after model_open and owns one arena with all repacked weights. A model_run owns the scratch
 * of one forward pass at a time and runs it on a pool. Neither knows sessions: a row of input says its token, its
 * position, and where the KV pages of its sequence are. Nothing here allocates after model_run_open. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "gguf/gguf.h"
#include "kernels/kernels.h"
#include "model/sizes.h"
#include "model/spec.h"
#include "plat/pool.h"

typedef struct model model;
typedef struct model_run model_run;

/* ---- weights ---- */

/* From the header alone, by the code that model_open uses. Checks that every tensor is there and in shape: E_FORMAT
 * with tensor, expected and found shape; E_UNSUPPORTED for a type without a kernel or a tensor that no row knows. */
status model_plan(const gguf *g, bool exact, model_spec *spec, model_sizes *sizes, error *err) MUST_CHECK;

/* A tensor that a model has, or may have. */
typedef struct model_tensor {
    const char *name; /* until the call returns */
    bool needed;      /* false: files may leave it out */
    int n_dims;       /* 1 or 2 */
    uint64_t ne[2];
    int32_t layer;    /* -1: of no layer */
} model_tensor;
typedef status model_tensor_each(void *user, const model_tensor *t, error *err);

/* Calls `each` for every tensor that a model with these keys has a place for, until it fails. Of its tensors the header
 * needs those that keys do not size: token_embd.weight (the vocabulary), and an encoder's cls.output.weight and
 * token_types.weight where it has them. */
status model_list(const gguf *keys, model_tensor_each *each, void *user, error *err) MUST_CHECK;

/* Return true to stop. */
typedef bool model_progress(void *user, uint64_t done_bytes, uint64_t total_bytes);

/* Repacks all weights, on all threads of the pool, and releases the file's pages in steps. Afterwards the model does
 * not need the file. exact: matrices become F32. progress may be NULL. */
status model_open(model **out, const gguf *g, bool exact, pool *p, model_progress *progress, void *user, error *err)
    MUST_CHECK;
void model_close(model **m);

/* Layers from .. to - 1 alone, as a model of that many layers; and of what stands before the first and after the last,
 * what `ends` says. For those who have not the memory for all of it at once, or look inside. */
enum {
    MODEL_EMBEDDING = 1, /* model_forward without states, of a model that begins with layer 0 */
    MODEL_NORM = 2,      /* model_hidden */
    MODEL_HEAD = 4,      /* with MODEL_NORM: model_logits. The embedding too, where that is the head */
    MODEL_ENDS = MODEL_EMBEDDING | MODEL_NORM | MODEL_HEAD,
};
typedef struct model_part {
    uint32_t from, to;
    unsigned ends;
} model_part;
/* Matrices: in the file's type; in F32, exactly what they are; quantised ones in F16, which rounds the 12th bit. */
typedef enum model_keeps { MODEL_AS_IS, MODEL_F32, MODEL_F16 } model_keeps;
status model_open_part(model **out, const gguf *g, const model_part *part, model_keeps keeps, pool *p, error *err)
    MUST_CHECK;
/* Other weights in the place of matrix `t` of the same file, rounded to the type that the model keeps it in (so: not
 * of a quantised file as it is). What the part has not is left alone. Not while a pass runs. E_NOMEM, and what `give`
 * says: it is asked for some rows at a time, [n][cols] from row `first` of t. */
typedef status model_rows(void *user, const gguf_tensor *t, uint64_t first, size_t n, float *rows, error *err);
status model_put(model *m, const gguf *g, const gguf_tensor *t, model_rows *give, void *user, pool *p, error *err)
    MUST_CHECK;
const model_spec *model_get_spec(const model *m);

/* Bytes of a KV page: 64 positions, all layers of the kind (MODEL_GLOBAL, MODEL_WINDOW), all KV heads. 0: the model has
 * none of them. */
uint64_t model_page_bytes(const model_spec *spec, enum kernels_kv kv, int kind);

/* ---- running ---- */

typedef struct model_run_options {
    uint32_t batch;      /* most rows of one forward pass */
    uint32_t logit_rows; /* most rows of one model_logits */
    uint32_t context;    /* most positions of a sequence; chooses the factors of longrope */
    enum kernels_kv kv;
    int n_threads;
} model_run_options;

/* Bytes that model_run_open allocates. */
uint64_t model_run_bytes(const model_spec *spec, const model_run_options *o);
/* Model, kernels and pool are borrowed; the pool has o->n_threads threads. */
status model_run_open(model_run **out, const model *m, const kernels *k, pool *p, const model_run_options *o,
                      error *err) MUST_CHECK;
void model_run_close(model_run **r);

/* The KV pages of a sequence: page i holds positions 64 i to 64 i + 63 of the layers of a kind. Of window layers only
 * pages that a row of the pass sees or writes are read. A kind that the model has not may be NULL. */
typedef struct model_pages {
    char **of[MODEL_KINDS];
} model_pages;

typedef struct model_row {
    int32_t token;     /* < n_vocab: the caller has checked */
    uint32_t position; /* < context, < context_train where positions are learned; KV of the earlier positions it sees
                          is in pages, or in earlier rows of this pass */
    const model_pages *pages; /* the same pointer = the same sequence; rows of one are adjacent and ascending */
    uint32_t type;  /* of an encoder: the token's kind, 0 or < n_types */
} model_row;

/* Runs n rows (1..batch) through all layers and writes their keys and values. An encoder sees all rows of a sequence,
 * and no others: a sequence is one pass, from position 0, and its pages are free afterwards. */
void model_forward(model_run *r, const model_row *rows, uint32_t n);
/* The same in pieces, so that another run of the same model can have its passes between. `rows` is borrowed until
 * model_forward_layers says that it ran the last layer; few rows run all layers at once whatever n_layers says. */
void model_forward_begin(model_run *r, const model_row *rows, uint32_t n);
bool model_forward_layers(model_run *r, uint32_t n_layers);
uint32_t model_forward_left(const model_run *r); /* layers that have not run yet */
/* From the middle: `states` [n][n_embd] stand in for the embeddings; NULL: they do not. A part without layers only
 * begins: model_states, model_hidden and model_logits follow. */
void model_forward_states(model_run *r, const model_row *rows, uint32_t n, const float *states);
/* What left the last layer, all rows of the last pass: [n][n_embd]; the states for the layers after these. */
void model_states(const model_run *r, float *out);

/* Where a pass leaves what its products multiply with, before any quantisation: rows of so many floats. NULL: nowhere.
 * Of the layer that ran last. */
typedef struct model_inputs {
    float *qkv;  /* [batch][n_embd] */
    float *o;    /* [batch][n_heads x head_dim] */
    float *ffn;  /* [batch][n_embd]: of gate and up */
    float *down; /* [batch][n_ff] */
} model_inputs;
void model_watch(model_run *r, const model_inputs *inputs);

/* What the last model_forward made of a row, the last norm applied: n_embd floats. */
void model_hidden(const model_run *r, uint32_t row, float *out);
/* Logits of n of the rows of the last model_forward (indices in `which`), n <= logit_rows: n_logits floats for each
 * (of an encoder without classifier: do not ask), at model_logits_at(r, 0 .. n - 1) until the next call. */
void model_logits(model_run *r, const uint32_t *which, uint32_t n);
const float *model_logits_at(const model_run *r, uint32_t i);

#endif
