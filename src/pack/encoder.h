/* encoder.h: rows of one matrix in another type, by what its inputs are like.
 *
 * Three ways, each better and slower than the one before: plain encoding; the search for the scales that lose least by
 * the importances of channels (mean squares of inputs); and feedback (feedback.h), which needs whole second moments.
 * What a way loses is judged by moments that it has not seen. Owner thread of the pool. */
#ifndef PACK_ENCODER_H
#define PACK_ENCODER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "pack/moments.h"
#include "pack/way.h"

typedef struct encoder encoder;

/* For matrices with inputs of these moments (borrowed, not NULL). feeding: the last way will be asked for: factors are
 * made, 8 block^2 bytes for each block. E_NOMEM, E_RANGE (feedback.h). */
status encoder_open(encoder **out, const matrix_tools *t, const moments *m, bool feeding, float damping,
                    error *err) MUST_CHECK;
/* Without moments: importances for n channels (NULL: all alike), no feedback, no loss. Borrowed. */
status encoder_open_simple(encoder **out, const matrix_tools *t, const float *importances, size_t n,
                           error *err) MUST_CHECK;
void encoder_close(encoder **e);

/* Rows of n floats each. E_NOMEM. A way that the encoder or the type has not is the next one before it. */
status encoder_rows(const encoder *e, encoder_way way, uint32_t type, const float *rows, size_t n_rows, void *out,
                    error *err) MUST_CHECK;

/* Does feedback do anything for this type? At eight bits so little is lost that it, ten times slower, has nothing to
 * gain. */
bool encoder_feeds(uint32_t type);

/* sum over rows of (a - b) H (a - b)^T, H of the held-out tokens. b NULL: of a itself. */
status encoder_loss(const encoder *e, const float *a, const float *b, size_t n_rows, double *out,
                    error *err) MUST_CHECK;

/* Mean squares of inputs, n floats, as the search uses them; NULL: all alike. */
const float *encoder_importances(const encoder *e);

/* The trace of H of the held-out tokens: what noise of variance 1 loses, a row. Without moments: n. */
double encoder_trace(const encoder *e);

#endif
