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
    uint64_t process_bytes; /* of the program around it */
    uint64_t need_bytes;    /* budget + process */
    uint64_t have_bytes;    /* what may be taken: the smaller of mem_bytes (if given) and what is free now */
    bool fits;
    double decode_per_s;      /* expected, at the start of a conversation */
    double decode_full_per_s; /* with a full context */
    double prefill_per_s;
} fit_model;

/* From the header of the file at path; o as for engine_open (o->mem_bytes is the budget, 0: none). A model that does
 * not fit is no error here: fits says so. */
status fit_model_file(const char *path, const engine_options *o, const fit_machine *m, fit_model *out,
                      error *err) MUST_CHECK;

/* The same from a header: of a file that is open, of its beginning (gguf_parse), of none (catalogue_header). */
status fit_model_gguf(const struct gguf *g, const char *name, const engine_options *o, const fit_machine *m,
                      fit_model *out, error *err) MUST_CHECK;

/* "weights 98.1 MiB + KV 45.0 MiB + … = 160.2 MiB of 21.3 GiB free": the arithmetic in one line. */
void fit_arithmetic(const fit_model *f, buf *out);
/* The largest context, a multiple of 64, with which the model would fit; 0: none. */
status fit_largest_context(const char *path, const engine_options *o, const fit_machine *m, uint32_t *out,
                           error *err) MUST_CHECK;

js *fit_machine_js(const fit_machine *m);
js *fit_model_js(const fit_model *f);

#endif
