/* source.h: rows of a tensor of the source as floats, checked. Owner thread of the pool. */
#ifndef PACK_SOURCE_H
#define PACK_SOURCE_H

#include <stdbool.h>

#include "base/status.h"
#include "gguf/gguf.h"
#include "pack/matrix.h"

/* Rows first, first + step, … (n of them) as floats [n][cols]; the file's pages are given back. E_UNSUPPORTED: hearth
 * cannot read the type; E_FORMAT naming tensor and row: a value is not finite. */
status source_read(const gguf *g, const gguf_tensor *t, const matrix_tools *tools, uint64_t first, uint64_t step,
                   size_t n, float *out, error *err) MUST_CHECK;

/* The same of encoded rows as they stand in memory, which are known to be in order. */
void source_decode(const matrix_tools *tools, uint32_t type, const void *rows, size_t n, size_t cols, float *out);

/* E_RANGE naming tensor and row: an encoded row holds a scale that is not finite, or is far below one of its values
 * that its scales cannot reach. values: what source_read gave. `first`: the tensor's row that the first is. E_NOMEM. */
status source_check(const gguf *g, const gguf_tensor *t, uint32_t type, const float *values, const void *rows,
                    uint64_t first, size_t n, error *err) MUST_CHECK;

/* Encodes n rows that source_read gave so that the very same values come back; false: they do not lie on this type's
 * grid (quant/grid.h). */
bool source_on_grid(const gguf_tensor *t, const matrix_tools *tools, uint32_t type, const float *values, size_t n,
                    void *out);

#endif
