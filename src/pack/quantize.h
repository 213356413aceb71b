/* quantize.h: a model file in another type of weights: every matrix by the plain encoder of quant/, one type for all.
 *
 * Which tensors are encoded is llama-quantize's choice: those of two or more dimensions whose name ends in ".weight",
 * without norms, routers of experts, positions and the other small ones (quant_role_of of quant/mix.h); everything else
 * is kept byte for byte. A row that is no whole number of blocks takes the fall-back type that llama-quantize would
 * take (Q4_K: Q5_0, ...), and F16 where that does not divide it either.
 *
 * Streamed: beside the mapped file, whose pages are given back in steps, there is one slab of encoded rows and for each
 * thread one row of floats. The bytes do not depend on the number of threads. Owner thread. */
#ifndef PACK_QUANTIZE_H
#define PACK_QUANTIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* Return true to stop (E_CANCELLED). Bytes of the source's tensors. */
typedef bool pack_progress(void *user, uint64_t done, uint64_t total);

typedef struct pack_options {
    const char *type;        /* "q4_0": any that quant/ encodes, any case */
    const char *output_type; /* of output.weight, or of token_embd.weight where they are one; NULL: as the others */
    const char *text; size_t text_bytes, tokens; uint64_t size; float damping; int way;
    int n_threads;           /* 0: the machine's */
    bool overwrite;          /* otherwise a file in the place is E_EXISTS */
    pack_progress *progress; /* may be NULL */
    void *user;
} pack_options;

typedef struct pack_report {
    const char *type, *source_type;  /* source_type: that most of the encoded values had */
    uint32_t n_tensors, n_encoded, n_kept; /* a matrix that had its type already is kept */
    uint32_t n_fallback;                   /* matrices in a fall-back type, encoded or kept */
    uint64_t source_bytes, bytes;    /* of all tensors */
    uint64_t n_params;
    bool requantized;                /* some encoded tensor was quantised already: its losses add up */
} pack_report;

/* Writes `to`, whole or not at all. E_UNSUPPORTED: a type that cannot be written or read; E_EXISTS; E_NOFIT: not enough
 * room on the disk; E_FORMAT naming tensor and row: a value is not finite; E_RANGE: one is too large for the type. */
status pack_quantize(const char *from, const char *to, const pack_options *o, pack_report *out, error *err) MUST_CHECK;

/* OK, or E_UNSUPPORTED with a list of the types that can be written. */
status pack_check_type(const char *name, error *err) MUST_CHECK;

#endif
