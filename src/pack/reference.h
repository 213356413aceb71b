/* reference.h: the model as it is, run over many pieces of text one layer at a time, with what flows between the layers
 * kept by the caller. So no more than a layer need be in memory, products can be watched, and weights can be changed to
 * see what that does. Owner thread of the pool; file and tools are borrowed. */
#ifndef PACK_REFERENCE_H
#define PACK_REFERENCE_H

#include <stdint.h>

#include "base/status.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "pack/matrix.h"

typedef struct reference reference;

enum { REFERENCE_PIECE_MAX = 512 }; /* tokens */

/* Pieces of text, each a sequence of its own: tokens starts[i] .. starts[i + 1] - 1, at most REFERENCE_PIECE_MAX. */
typedef struct reference_text {
    const int32_t *ids;
    const size_t *starts; /* [n + 1] */
    size_t n;
} reference_text;

/* Layers stay in memory once they were needed as long as all are no more than `memory` bytes together. Matrices become
 * F32 where they fit so, and always when they are quantised: E_UNSUPPORTED, E_FORMAT as model_open. */
status reference_open(reference **out, const gguf *g, const matrix_tools *t, uint64_t memory, error *err) MUST_CHECK;
void reference_close(reference **r);
const model_spec *reference_spec(const reference *r);

/* What enters the first layer: [tokens][n_embd]. */
status reference_embed(reference *r, const reference_text *x, float *states, error *err) MUST_CHECK;

/* Called after each piece: n_rows inputs of every product of the layer. */
typedef status reference_watch(void *user, const model_inputs *inputs, size_t n_rows, error *err);
/* states: what enters layer `layer` becomes what leaves it. watch may be NULL. */
status reference_layer(reference *r, uint32_t layer, const reference_text *x, float *states, reference_watch *watch,
                       void *user, error *err) MUST_CHECK;

/* What the head multiplies with: the last norm of n rows of states. out may be states. */
status reference_hidden(reference *r, const float *states, size_t n, float *out, error *err) MUST_CHECK;

/* Logits of n rows that left the last layer, n <= REFERENCE_LOGITS: n_logits floats for each, valid until the next
 * call. */
enum { REFERENCE_LOGITS = 32 };
status reference_logits(reference *r, const float *states, size_t n, const float *out[REFERENCE_LOGITS],
                        error *err) MUST_CHECK;

/* Other weights for a matrix (rows as in the file), until reference_restore. Where layers do not stay in memory they
 * are lost with the layer. */
status reference_put(reference *r, const gguf_tensor *t, const float *rows, error *err) MUST_CHECK;
status reference_restore(reference *r, const gguf_tensor *t, error *err) MUST_CHECK;

#endif
