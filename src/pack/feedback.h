/* feedback.h: rounding a matrix to a type so that later columns make up for the errors of earlier ones. Owner thread.
 *
 * What a product loses on average is tr(E H E^T), where E = W - Q and H holds the second moments of its inputs. With
 * H = V V^T, V upper triangular with diagonal d and U = V / d by columns, that is
 *
 *     sum over columns c of d[c]^2 * | w_c + sum over j < c of e_j U[j][c] - q_c |^2
 *
 * so column by column the best that can be done is to round w_c + (what came before), and an error costs d[c]^2 (LDLQ:
 * Chee et al., "QuIP", 2023, section 3; the same as GPTQ's order of work). Here blocks have scales: those of a block
 * are searched (quant_traits.search) with d^2 as weights when the errors of all blocks before it have arrived. */
#ifndef PACK_FEEDBACK_H
#define PACK_FEEDBACK_H

#include <stdint.h>

#include "base/status.h"
#include "pack/matrix.h"

typedef struct feedback feedback;

/* gram: n x n second moments, copied; `damping` times the mean of its diagonal is added to the diagonal. E_RANGE when
 * even so it is not positive definite; E_NOMEM (8 n^2 bytes). */
status feedback_open(feedback **out, const matrix_tools *t, const float *gram, size_t n, float damping,
                     error *err) MUST_CHECK;
void feedback_close(feedback **f);

/* Encodes rows of n floats as `type` (which has a lattice); values are the matrix, n floats a row. E_NOMEM. */
status feedback_encode(const feedback *f, uint32_t type, const float *values, size_t n_rows, void *out,
                       error *err) MUST_CHECK;

/* The sum over rows of (a - b) H (a - b)^T, H being n x n second moments: what a product loses. E_NOMEM. */
status feedback_loss(const matrix_tools *t, const float *gram, size_t n, const float *a, const float *b, size_t n_rows,
                     double *out, error *err) MUST_CHECK;

#endif
