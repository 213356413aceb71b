/* job.h: one run of pack_quantize, as its steps see it. Private to src/pack.
 *
 *     plan (plan.c)          what each tensor is, and its type, where a type or a mix says it
 *     survey (survey.c)      what each tensor would lose in each type, on a sample of its rows
 *     gains (gains.c)        what such a loss costs at the end: nats of divergence
 *     choose (choose.c)      types by both, within a budget of bytes
 *     encode (encode.c)      all tensors, layer by layer */
#ifndef PACK_JOB_H
#define PACK_JOB_H

#include "gguf/gguf.h"
#include "gguf/write.h"
#include "pack/encoder.h"
#include "pack/moments.h"
#include "pack/quantize.h"
#include "pack/reference.h"
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
    quant_role role;
    int32_t layer; /* -1: of none */
    moments_kind kind;
    const quant_traits *from, *to;
    encoder_way way;
    bool surveyed;
    candidate candidates[JOB_CANDIDATES];
    size_t n_candidates;
    double noise;        /* loss of noise that is as large as W is, row by row */
    double gain;         /* nats of divergence for a loss of 1 */
    double direct_gain;  /* of an embedding, as what enters the first layer */
    unsigned char *encoded;
} pack_tensor;

typedef struct job {
    const pack_options *o;
    const char *to;
    gguf *file;
    gguf_writer *w;
    matrix_tools tools;
    kernels k;
    const quant_mix *mix; /* NULL: one type */
    pack_tensor *tensors;
    size_t n;
    bool tied;
    pack_report report;
    uint64_t of_type[64]; /* values that were encoded, by their old type */
    uint64_t done;
    reference_text seen, held;
} job;

/* Calls `each` for every tensor for which `wanted` is true, in the order of layers, with an encoder for it. */
typedef bool job_wanted(const pack_tensor *t);
typedef status job_each(job *j, pack_tensor *t, const encoder *e, error *err);
status job_walk(job *j, bool feeding, job_wanted *wanted, job_each *each, error *err) MUST_CHECK;

status job_survey(job *j, error *err) MUST_CHECK;
status job_gains(job *j, error *err) MUST_CHECK;
status job_choose(job *j, uint64_t bytes, error *err) MUST_CHECK;

/* Types that hearth writes by name: E_UNSUPPORTED with a list of them. */
status job_find_type(const char *name, const quant_traits **out, error *err) MUST_CHECK;

#endif
