/* imatrix.h: importance matrices, as llama.cpp's tools write and read them. Owner thread.
 *
 * For each matrix of a model the sums of squares of its inputs, channel by channel, over calibration text: what an
 * error in a column of weights costs. A file is GGUF: general.type "imatrix", imatrix.datasets, imatrix.chunk_count,
 * imatrix.chunk_size, and for each matrix two F32 tensors, NAME.in_sum2 [n, matrices] and NAME.counts [1, matrices] (of
 * experts each has its own; otherwise one). Files of the older binary form (".dat") are read too: int32 entries; each
 * int32 bytes and name, int32 calls, int32 n, n floats that are means of squares times calls; then, if they are there,
 * int32 chunks, int32 bytes and the data set's name. The first bytes decide which of both a file is. */
#ifndef PACK_IMATRIX_H
#define PACK_IMATRIX_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

typedef struct imatrix imatrix;

/* Reads and checks all of a file; nothing of it stays open. E_FORMAT names the file and the matrix: values or counts
 * that are negative or not finite, sums without counts, shapes that do not belong together, a name twice, a file that
 * is something else; E_IO, E_NOTFOUND, E_NOMEM. */
status imatrix_read(imatrix **out, const char *path, error *err) MUST_CHECK;
void imatrix_close(imatrix **m);

/* The mean square of every input channel of a matrix: n floats (row length times experts), borrowed. *out NULL: the
 * file has nothing of it, or no token reached it; an expert that none reached has ones, as llama.cpp has it.
 * E_FORMAT: the file has another n, it was made with another model. */
status imatrix_find(const imatrix *m, span tensor, uint64_t n, const float **out, error *err) MUST_CHECK;

typedef struct imatrix_facts {
    const char *path;      /* as given */
    const char *dataset;   /* the first; "" if none is named */
    size_t n_entries;
    uint32_t n_chunks;     /* 0: not said */
    uint32_t chunk_tokens; /* 0: not said */
} imatrix_facts;
/* Borrowed. */
const imatrix_facts *imatrix_about(const imatrix *m);

typedef struct imatrix_entry {
    const char *tensor; /* at most 55 bytes, so that NAME.in_sum2 is a name of GGUF */
    const float *sum2;  /* [n]: over `count` tokens, the sums of x^2 */
    uint64_t n;
    float count;        /* a whole number */
} imatrix_entry;

/* Writes `path`, whole or not at all, over what was there. dataset: what the text was. n_chunks passes of chunk_tokens
 * (>= 1) tokens. E_RANGE names an entry that the reader would refuse; E_IO, E_NOMEM. */
status imatrix_write(const char *path, const imatrix_entry *entries, size_t n, const char *dataset, uint32_t n_chunks,
                     uint32_t chunk_tokens, error *err) MUST_CHECK;

#endif
