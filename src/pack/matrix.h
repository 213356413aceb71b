/* matrix.h: products and triangular factors of dense float matrices, on a pool. Owner thread of the pool.
 *
 * Matrices are row-major. Products run on the float kernels of the machine (kernels.h, F32): one chain of fused
 * multiply-adds an output, so results depend neither on threads nor on the instruction set. */
#ifndef PACK_MATRIX_H
#define PACK_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "kernels/kernels.h"
#include "plat/pool.h"

typedef struct matrix_tools {
    const kernels *k;
    pool *p;
} matrix_tools;

/* c[i][j] += factor * sum over x < depth of a[i][x] * b[j][x], for i < m and j < n. lda, ldb, ldc: floats from one row
 * to the next. E_NOMEM. */
status matrix_multiply(const matrix_tools *t, const float *a, size_t lda, size_t m, const float *b, size_t ldb,
                       size_t n, size_t depth, float factor, float *c, size_t ldc, error *err) MUST_CHECK;

/* c[i][j] += sum over x < depth of rows[x][i] * rows[x][j], j <= i: second moments of `depth` rows of n values. What is
 * above the diagonal is anything until matrix_mirror. E_NOMEM. */
status matrix_gram(const matrix_tools *t, const float *rows, size_t ld, size_t depth, size_t n, float *c,
                   error *err) MUST_CHECK;

/* The lower triangle becomes the upper one too. */
void matrix_mirror(float *c, size_t n);

/* h (n x n, symmetric, positive definite) becomes L of h = L L^T in its lower triangle; the rest is left as it was.
 * E_RANGE: it is not positive definite (the first pivot that is not is named). E_NOMEM. */
status matrix_cholesky(const matrix_tools *t, float *h, size_t n, error *err) MUST_CHECK;

#endif
