/* fit.h: what this machine has, what a model needs, whether it fits, and how fast it should be. Owner thread.
 *
 * The bytes come from engine_plan, the code that allocates: the estimate cannot drift from the truth. The speeds are
 * sums over the work of a step (expect.c), each term at the rate that this machine was measured to do it at
 * (rates.h). */
#ifndef FIT_FIT_H
#define FIT_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/js.h"
#include "base/status.h"
#include "engine/engine.h"
#include "engine/nearest.h"
#include "fit/rates.h"
#include "model/sizes.h"
#include "model/spec.h"
#include "plat/machine.h"

typedef struct fit_machine {
    machine_cpu cpu; /* cores by kind, caches */
    machine_memory memory;
    uint64_t disk_free_bytes; /* on the file system of the models directory; 0: not known */
    const char *isa;      /* kernel level in use: "avx2" */
    const char *features; /* for people: "AVX-512 VNNI, AVX2" */
    int threads;          /* that the figures below were measured with */
    double read_bytes_per_s;
    double macs_per_s;    /* multiply-adds per second of Q8_0 weights over 128 tokens */
    fit_rates rates;
    double measured_s;    /* what measuring took just now; 0: the rates were remembered */
    int64_t measured_at;  /* seconds since 1970 */
} fit_machine;

/* Reads the machine. Its rates are those remembered in the cache directory when they are of this processor, kernel
 * level, number of threads, build and numerics, and not older than FIT_RATES_DAYS; otherwise they are measured (about
 * two seconds, 256 MiB at most) and remembered, for ten minutes only if others kept more than FIT_BUSY processors at
 * work meanwhile. threads 0: as many as compute would use. */
enum { FIT_RATES_DAYS = 14 };
#define FIT_BUSY 0.25
status fit_measure_machine(fit_machine *out, int threads, error *err) MUST_CHECK;

/* The bandwidth once more; m keeps the better of both. */
status fit_measure_reading(fit_machine *m, error *err) MUST_CHECK;

/* ---- how long a step takes ---- */

/* Seconds by what they go to. A product of a matrix counts as memory as long as reading its bytes at the measured
 * bandwidth of where they lie takes; what it takes longer is multiplication. */
typedef struct fit_step {
    double memory_s;    /* reading weights */
    double multiply_s;  /* multiplying them */
    double attention_s; /* over keys and values of earlier positions */
    double sync_s;      /* threads that wait for each other */
    double rest_s;      /* norms, activations, quantising what is multiplied, rope, storing keys and values */
} fit_step;
double fit_step_seconds(const fit_step *s); /* their sum */

/* What a step's work is, from the header. */
typedef struct fit_work {
    model_spec spec;
    model_sizes sizes;
    engine_kv kv;
    uint32_t batch;
} fit_work;

typedef struct fit_model {
    char name[256], arch[64], file_type[16], kv_type[8];
    uint64_t file_bytes, n_params;
    uint32_t context, context_train, n_layers, n_vocab;
    engine_budget budget;
    uint64_t process_bytes; /* of the programs around it, of budget and server together */
    uint64_t server_bytes;  /* of hearth serve, where the model answers several at once; part of process_bytes */
    uint64_t need_bytes;    /* budget.total_bytes + server_bytes */
    uint64_t have_bytes;    /* what may be taken: the smaller of mem_bytes (if given) and what is free now; not given:
                               what is free without the reserve (machine.h) */
    bool fits;
    fit_work work;
    fit_step decode, prefill; /* where the seconds of the first and the last rate below go */
    double decode_per_s;      /* expected, at the start of a conversation */
    double decode_full_per_s; /* with a full context */
    double prefill_per_s;     /* of a prompt of FIT_PROMPT tokens (or as long as the context allows) */
} fit_model;
enum { FIT_PROMPT = 512, FIT_BATCH = 128 }; /* FIT_BATCH: of engine_options, where that says 0 */

/* From the header of the file at path; o as for engine_open (o->mem_bytes is the budget, 0: none). A model that does
 * not fit is no error here: fits says so. */
status fit_model_file(const char *path, const engine_options *o, const fit_machine *m, fit_model *out,
                      error *err) MUST_CHECK;

/* The same from a header: of a file that is open, of its beginning (gguf_parse), of none (catalogue_header). */
struct gguf;
status fit_model_gguf(const struct gguf *g, const char *name, const engine_options *o, const fit_machine *m,
                      fit_model *out, error *err) MUST_CHECK;

/* One step of `sequences` conversations with `depth` positions each: a token for each. */
fit_step fit_expect_decode(const fit_work *w, const fit_machine *m, uint32_t sequences, uint64_t depth);
/* A prompt of n tokens behind `depth` positions, in passes of the batch, and the logits of its last token. */
fit_step fit_expect_prefill(const fit_work *w, const fit_machine *m, uint32_t n, uint64_t depth);

/* memory.c. budget, process_bytes, server_bytes and need_bytes of a model: with n_sessions 0 or 1 and no slices, in a
 * command (`hearth run`); else in a worker of `hearth serve` that answers n_sessions at once, as that would plan it
 * (engine_share). Other fields are left alone. */
status fit_memory(const struct gguf *g, const engine_options *o, fit_model *out, error *err) MUST_CHECK;

/* "weights 98.1 MiB + KV 45.0 MiB + ... = 160.2 MiB of 21.3 GiB": the arithmetic in one line. */
void fit_arithmetic(const fit_model *f, buf *out);

/* What would fit have_bytes of f instead, in the order of what is lost: the ways of engine/nearest.h; then another file
 * or quantisation of the same model. Owned by nobody: plain values. */
typedef struct fit_ways {
    nearest ways;
    char file[256];       /* a smaller file of this model in the same folder that fits with these options; "": none */
    uint64_t file_need;   /* need_bytes with it */
    double weights_share; /* the part of its weights' bytes that would fit with the same options; 0: not even none */
    char type[16];        /* the largest type that would have no more, as "Q4_K_M"; "": none is that small */
} fit_ways;
/* g is the model's file at path (NULL: a model that is not on this disk). One header is read however many contexts are
 * tried; and those of its neighbours on the disk that begin with the same name. */
status fit_nearest(const struct gguf *g, const char *path, const engine_options *o, const fit_model *f,
                   fit_ways *out, error *err) MUST_CHECK;
/* "--kv q8 (118 MiB), or --ctx 1024 (117 MiB), or Qwen3-0.6B-Q4_K_M (397 MiB)". */
void fit_nearest_text(const fit_ways *n, buf *out);

/* The largest context, a multiple of 64, with which the model would fit; 0: none. */
status fit_largest_context(const char *path, const engine_options *o, const fit_machine *m, uint32_t *out,
                           error *err) MUST_CHECK;

/* ---- the model in other types of weights (retype.c) ---- */

/* The header that g's file would have with tensor i in types[i], all of which fit its rows; its tensors have no data.
 * fit_memory of it is what such a file takes. Close it with gguf_close. */
status fit_retyped(struct gguf **out, const struct gguf *g, const uint32_t *types, error *err) MUST_CHECK;
/* The most bytes of tensors (gguf_data_bytes) with which the model needs no more than have_bytes with these options,
 * each of its matrices in one of `types`, or what stands in for that where rows are no whole blocks. It is what the
 * worst choice of them allows: up to a few rows, and activations in a format that is not used then, are left over.
 * have_bytes: machine_memory_budget, asked before anything large is allocated. E_NOFIT: all else alone takes more. */
typedef struct fit_types {
    const uint32_t *types; /* enum quant_type: written, and with a kernel */
    size_t n;              /* at least 1 */
} fit_types;
status fit_tensor_bytes(const struct gguf *g, const engine_options *o, const fit_types *types, uint64_t have_bytes,
                        uint64_t *out, error *err) MUST_CHECK;

js *fit_machine_js(const fit_machine *m);
js *fit_model_js(const fit_model *f);

#endif
