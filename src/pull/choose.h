/* choose.h: which of many files is the model that is meant. Names only; any thread.
 *
 * Models are *.gguf files; the parts of a split model (-00001-of-0000N) are one. Files beside a language model
 * (mmproj: a picture encoder; imatrix: statistics for quantising) are none. The quantisation is the last word of the
 * path that reads like one: Q4_K_M, IQ4_XS, UD-Q4_K_XL, F16, BF16, MXFP4. */
#ifndef PULL_CHOOSE_H
#define PULL_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { CHOOSE_LABEL = 32, CHOOSE_PARTS_MAX = 1024 };

typedef struct choose_file {
    const char *path; /* folders and all, with / */
    uint64_t bytes;   /* 0: unknown */
} choose_file;

/* The model of `want`: a quantisation (upper or lower case), or a path that ends in .gguf; NULL: the sole model, else
 * the one in Q4_K_M. *out: indexes into files, of a split model in order; free with mem_free.
 * E_NOTFOUND lists what there is, with sizes; where parts are missing it names the first. `where` begins a sentence. */
status choose_model(const choose_file *files, size_t n, const char *want, const char *where, size_t **out,
    size_t *n_out, error *err) MUST_CHECK;

/* The quantisation a path names, in upper case; false: none. */
bool choose_label(const char *path, char label[CHOOSE_LABEL]);

/* "…-00002-of-00004.gguf": *part from 1, *parts, and the length of what stands before. False: no part. */
bool choose_split(const char *path, unsigned *part, unsigned *parts, size_t *stem);

#endif
