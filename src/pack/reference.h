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

/* The model stays in memory, part by part as it is needed, if all is no more than `memory` bytes; otherwise there is
 * one part at a time: a layer, what is before the first, what is after the last. Matrices become F32 where the model
 * fits so. Quantised ones always do, but of a part that is larger than REFERENCE_EXACT_MOST in F32 they become F16: one
 * more error of a 4096th at most. E_UNSUPPORTED, E_FORMAT as model_open. */
#define REFERENCE_EXACT_MOST ((uint64_t)768 << 20)
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
 * call. The head is in memory from the first call until reference_logits_done. */
enum { REFERENCE_LOGITS = 32 };
status reference_logits(reference *r, const float *states, size_t n, const float *out[REFERENCE_LOGITS],
                        error *err) MUST_CHECK;
void reference_logits_done(reference *r);

/* Other weights for a matrix, until reference_restore. Where the model does not stay in memory they are lost with the
 * part when that has run; an embedding that is also the head is changed as the head. E_NOMEM, and what `give` says. */
status reference_put(reference *r, const gguf_tensor *t, model_rows *give, void *user, error *err) MUST_CHECK;
status reference_restore(reference *r, const gguf_tensor *t, error *err) MUST_CHECK;
/* Whatever is in memory of the model goes, and what was put in its place. */
void reference_forget(reference *r);

#endif
