/* walk.h: second moments of all products of a model, layer after layer, over a text and over one held out. Owner
 * thread. */
#ifndef PACK_WALK_H
#define PACK_WALK_H

#include "pack/moments.h"
#include "pack/reference.h"

typedef struct walk walk;

/* What must stay until walk_close is borrowed. held_out NULL: nobody asks what is lost on tokens held out. The states
 * between layers take n_embd floats for every token. */
status walk_open(walk **out, reference *r, const matrix_tools *t, const reference_text *seen,
                 const reference_text *held_out, error *err) MUST_CHECK;
void walk_close(walk **w);

/* Of the next layer (0, 1, …); close each of them. */
status walk_layer(walk *w, moments out[MOMENTS_OF_LAYER], error *err) MUST_CHECK;
/* The next layer, when nobody asks. */
status walk_past(walk *w, error *err) MUST_CHECK;
/* Of the head, after all layers. */
status walk_head(walk *w, moments *out, error *err) MUST_CHECK;

#endif
