/* job.h: one run of pack_quantize, as its steps see it. Private to src/pack; owner thread.
 *
 *     plan      plan.c     what each tensor is, and its type where a type or a mix says it
 *     survey    survey.c   what each tensor would lose in each type, on a sample of its rows
 *     gains     gains.c    what such a loss costs at the end: nats of divergence
 *     choose    choose.c   types by both, within a budget of bytes
 *     keys      keys.c     what the new file says of itself
 *     encode    encode.c   all tensors, layer by layer */
#ifndef PACK_JOB_H
#define PACK_JOB_H

#include <stdio.h>

#include "gguf/gguf.h"
#include "gguf/write.h"
#include "pack/encoder.h"
#include "pack/imatrix.h"
#include "pack/moments.h"
#include "pack/quantize.h"
#include "pack/reference.h"
#include "pack/texts.h"
#include "quant/mix.h"
#include "quant/quant.h"

enum { JOB_CANDIDATES = 16 };

/* A type that a tensor could take. */
typedef struct candidate {
    const quant_traits *type;
    encoder_way way;
    double loss;   /* sum |(W - Q) x|^2 / sum |W x|^2 over inputs held out; without moments: of W itself */
    double direct; /* the same of W itself: what counts where rows are looked up */
} candidate;

typedef struct pack_tensor {
    const gguf_tensor *t;
    size_t index; /* in both files */
    quant_role role;
    int32_t layer; /* -1: of none */
    moments_kind kind;
    const quant_traits *from, *to;
    encoder_way way;
    const quant_traits *grid; /* its values lie on this type's already; NULL: on none */
    bool fallback; /* its rows are no whole blocks of what was asked for */
    bool left;     /* stays as it is: pack_options.rows_of */
    bool whole;    /* it is in the new file */
    candidate candidates[JOB_CANDIDATES];
    size_t n_candidates;
    float *sum2;        /* of its inputs, for pack_options.save_imatrix; NULL: not wanted, or not known */
    double noise;       /* the loss of noise that is as large as W, row by row */
    bool has_gain;
    double gain;        /* nats of divergence for a loss of 1 */
    double direct_gain; /* of an embedding, for its rows as what enters the first layer */
} pack_tensor;

/* What a name asks for. */
typedef struct plan_target {
    const quant_traits *type; /* of a mix: the main one */
    const quant_mix *mix;     /* NULL: one type */
} plan_target;

typedef struct job {
    const pack_options *o;
    const char *from, *to;
    gguf *file;
    gguf_writer *w;
    matrix_tools tools;
    kernels k;
    plan_target target; /* all zero: types are allocated */
    quant_mix_model about;
    bool is_encoder; /* known with calibration text */
    bool tied;       /* no head of its own: of a model that predicts, the embedding is it */
    pack_tensor *tensors;
    size_t n;
    texts text;                 /* n = 0: no calibration */
    texts set[MOMENTS_SETS];    /* its pieces by what they are for */
    reference_text read[MOMENTS_SETS];
    imatrix *imatrix; /* or NULL */
    char record_path[4096 + 16];
    FILE *record;        /* record.h; or NULL */
    struct judge *judge; /* of a found mix; or NULL */
    pack_report report;
    uint64_t done; /* bytes of the source's tensors */
} job;

/* ---- plan.c ---- */

/* E_UNSUPPORTED with a list of the types and mixes that can be written. */
status plan_find(const char *name, plan_target *out, error *err) MUST_CHECK;
/* What general.file_type calls a file of this type; false: it has no number. */
bool plan_file_type(uint32_t type, uint32_t *out);
status plan_tensors(job *j, error *err) MUST_CHECK;
void plan_types(job *j, const plan_target *all, const plan_target *output);
uint64_t plan_bytes(const pack_tensor *t, const quant_traits *type);
/* Bytes of a tensor with what it takes to the next one: files are written with alignment 32. */
uint64_t plan_padded(uint64_t bytes);
/* In the smallest type that it can take. */
uint64_t plan_least(const pack_tensor *t);
/* Bytes of the file's largest tensor as floats; and what a run may have in memory (docs/MEMORY.md). */
uint64_t plan_largest(const gguf *g);
uint64_t plan_memory(const gguf *g);
/* May it take this type? Whole blocks, and smaller than it is. */
bool plan_may_take(const pack_tensor *t, const quant_traits *type);
/* Which tensors lie on a type's grid: reads what looks like it. */
status plan_grids(job *j, error *err) MUST_CHECK;
/* Fills the report by the types as they stand. E_UNSUPPORTED: a source type that cannot be read. */
status plan_report(job *j, error *err) MUST_CHECK;

/* ---- calibrate.c ---- */

/* Text, and its division; nothing where the options or the model's kind leave no use for it. */
status calibrate_open(job *j, error *err) MUST_CHECK;
void calibrate_close(job *j);
/* Importances as an imatrix file, after encode_walk. */
status calibrate_save(const job *j, error *err) MUST_CHECK;

/* ---- encode.c ---- */

/* Calls `each` for every tensor that is wanted, in the order of layers, with an encoder for it. n_held_out: pieces of
 * text held out on which that knows what is lost (encoder_loss, encoder_trace); SIZE_MAX: all; 0: it does not. */
typedef bool encode_wanted(const pack_tensor *t);
typedef status encode_each(job *j, pack_tensor *t, const encoder *e, error *err);
status encode_walk(job *j, encode_wanted *wanted, encode_each *each, size_t n_held_out, error *err) MUST_CHECK;
/* Everything that is not in the file yet. */
status encode_all(job *j, error *err) MUST_CHECK;

/* ---- survey.c, gains.c, choose.c, keys.c ---- */

status survey_tensors(job *j, error *err) MUST_CHECK;
/* t->way for t->to, by a few rows. */
status survey_way(const job *j, pack_tensor *t, const encoder *e, error *err) MUST_CHECK;
struct judge;
status gains_measure(job *j, struct judge *g, error *err) MUST_CHECK;
/* Types for a file of at most so many bytes. E_NOFIT with the smallest size. */
status choose_types(job *j, uint64_t bytes, error *err) MUST_CHECK;
void keys_write(job *j);

/* E_CANCELLED when the caller wants it so. */
status job_tell(const job *j, const char *phase, uint64_t done, uint64_t total, error *err) MUST_CHECK;

#endif
