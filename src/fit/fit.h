/* fit.h: what this machine has, what a model needs, whether it fits, and how fast it should be. Owner thread.
 *
 * The bytes come from engine_plan, the code that allocates: the estimate cannot drift from the truth. The speeds come
 * from two measurements of this machine, taken when asked:
 *   decode:  every weight byte is read once a token, so tokens/s <= bandwidth / (token_bytes + KV bytes at that depth)
 *   prefill: every weight is multiplied once a token, so tokens/s <= multiply-adds per second / parameters
 * FIT_DECODE_SHARE and FIT_PREFILL_SHARE are the parts of these limits that hearth is taken to reach: estimates still,
 * to be replaced by `hearth bench`'s share of the limit on a calm machine (docs/SPEED.md). */
#ifndef FIT_FIT_H
#define FIT_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/js.h"
#include "base/status.h"
#include "engine/engine.h"
#include "engine/nearest.h"
#include "plat/machine.h"

#define FIT_DECODE_SHARE 0.85
#define FIT_PREFILL_SHARE 0.70

typedef struct fit_machine {
    machine_cpu cpu;
    machine_memory memory;
    const char *isa;      /* kernel level in use: "avx2" */
    const char *features; /* for people: "AVX-512 VNNI, AVX2" */
    int threads;          /* that the figures below were measured with */
    double read_bytes_per_s;
    double copy_seconds;  /* what measuring took */
} fit_machine;

/* Reads the machine and measures its bandwidth (about a third of a second, 256 MiB at most). threads 0: as many as
 * compute would use. */
status fit_measure_machine(fit_machine *out, int threads, error *err) MUST_CHECK;

/* Multiply-adds per second of one weight type's kernel with this many threads, over blocks of tokens. 0: no kernel. */
status fit_measure_type(const fit_machine *m, uint32_t type, double *macs_per_s, error *err) MUST_CHECK;

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
    double decode_per_s;      /* expected, at the start of a conversation */
    double decode_full_per_s; /* with a full context */
    double prefill_per_s;
} fit_model;

/* From the header of the file at path; o as for engine_open (o->mem_bytes is the budget, 0: none). A model that does
 * not fit is no error here: fits says so. */
status fit_model_file(const char *path, const engine_options *o, const fit_machine *m, fit_model *out,
                      error *err) MUST_CHECK;

/* memory.c. budget, process_bytes, server_bytes and need_bytes of a model: with n_sessions 0 or 1 and no slices, in a
 * command (`hearth run`); else in a worker of `hearth serve` that answers n_sessions at once, as that would plan it
 * (engine_share). Other fields are left alone. */
struct gguf;
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

js *fit_machine_js(const fit_machine *m);
js *fit_model_js(const fit_model *f);

#endif
