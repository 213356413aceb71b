/* quantize.h: a model file in other types of weights, by what its matrices are multiplied with.
 *
 * Which tensors are encoded is llama-quantize's choice: those of two or more dimensions whose name ends in ".weight",
 * without norms, routers of experts, positions and the other small ones (quant_role_of of quant/mix.h); everything else
 * is kept byte for byte. Which type each gets is one type's name, a standard mix's (quant/mix.h), or found: the least
 * divergence that a file of some size can have (choose.c). A row that is no whole number of blocks takes the fall-back
 * type that llama-quantize would take (Q4_K: Q5_0, ...), and F16 where that does not divide it either.
 *
 * Streamed: beside the mapped file, whose pages are given back in steps, there are the weights of one layer, the second
 * moments of its inputs, the states of the calibration text, and a slab of rows. The bytes do not depend on the number
 * of threads. Owner thread. */
#ifndef PACK_QUANTIZE_H
#define PACK_QUANTIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "pack/way.h"

/* What the files and reports call text that nobody gave. */
#define PACK_OWN_TEXT "the model's own text"
#define PACK_BUILT_IN_TEXT "built-in text" /* of a model that writes none, or that is too large to be run whole here */

/* Return true to stop (E_CANCELLED). Each phase counts in its own unit. */
typedef bool pack_progress(void *user, const char *phase, uint64_t done, uint64_t total);

typedef struct pack_options {
    const char *type;        /* "q4_0", "Q4_K_M": any type that quant/ encodes, or mix, any case. NULL: `size` says */
    const char *output_type; /* of output.weight, or of token_embd.weight where they are one; NULL: as the others */
    uint64_t size;           /* bytes of the whole file that types are found for; 0: `type` says */
    uint64_t data_bytes;     /* the same of the tensors alone */
    double speed;            /* of a found mix: per cent of divergence that a per cent less time is worth; 0: none */
    uint32_t rows_of;        /* only matrices whose rows are a multiple of this; 0: all */
    encoder_way way;         /* the best that may be used */
    float damping;           /* of feedback (feedback.h) */
    const char *text;        /* to calibrate by, text_bytes; NULL: the model's own (texts.h) */
    size_t text_bytes;
    const span *tasks;       /* n_tasks texts that the model's own shall continue; may be NULL */
    size_t n_tasks;
    const char *text_name;   /* what the file is to call `text` */
    uint64_t tokens;         /* most of the text */
    const char *save_imatrix; /* path: writes the importances that were found; NULL: does not */
    const char *measured;    /* path: measurements of a found mix are read from there, and kept; NULL: kept beside `to`
                                until it is whole */
    const char *imatrix;     /* path: importances by another program, where there is no text; NULL: none */
    int n_threads;           /* 0: the machine's */
    bool passing;            /* the source will not be there again: nothing is kept that could go on with it */
    bool overwrite;          /* otherwise a file in the place is E_EXISTS */
    pack_progress *progress; /* may be NULL */
    void *user;
} pack_options;

typedef struct pack_report {
    const char *type, *source_type;  /* source_type: that most of the encoded values had */
    uint32_t n_tensors, n_encoded, n_kept; /* a matrix that had its type already is kept */
    uint32_t n_fallback;                   /* matrices in a fall-back type, encoded or kept */
    uint32_t n_grid;                       /* matrices whose values lie on a type's grid already */
    uint64_t n_calibration;                /* tokens; 0: there was to be no text, or not_calibrated says why not */
    const char *text;                      /* whose: options.text_name, or the names above */
    char not_calibrated[ERROR_TEXT_BYTES]; /* why the model cannot be run; "" */
    uint32_t n_resumed;                    /* that an earlier run had written */
    uint64_t source_bytes, bytes;    /* of all tensors */
    uint64_t n_params;
    double expected;                 /* of a found mix: nats of divergence, by what was measured; 0: not known */
    double measured;                 /* of the new file, on tokens held out; 0: not measured */
    double ns_token;                 /* of a found mix: products of a decoded token on this machine */
    bool is_encoder;                 /* then both are means of 1 - cos between embeddings */
    bool requantized;                /* some encoded tensor was quantised already: its losses add up */
} pack_report;

/* Writes `to`, whole or not at all; after E_CANCELLED, and when it is killed, the same call goes on with what is there.
 * E_UNSUPPORTED: a type that cannot be written or read; E_EXISTS; E_NOFIT: not enough room on the disk, or no file can
 * be as small as `size`; E_FORMAT naming tensor and row: a value is not finite; E_RANGE: one is too large for
 * the type. */
status pack_quantize(const char *from, const char *to, const pack_options *o, pack_report *out, error *err) MUST_CHECK;

/* The types that a found mix is made of (enum quant_type), from small to large; matrices may also stay as they are. */
enum { PACK_TYPES = 14 };
extern const uint32_t pack_types[PACK_TYPES];

/* OK, or E_UNSUPPORTED with a list of the types and mixes that can be written. */
status pack_check_type(const char *name, error *err) MUST_CHECK;

#endif
