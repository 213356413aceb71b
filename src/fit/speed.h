/* speed.h: how fast a model really is on this machine, measured through the engine. Owner thread.
 *
 *   prefill  n_prefill tokens fed at once when `depth` positions are remembered already
 *   decode   n_decode tokens fed one by one from `depth` on
 *   batch    n_decode steps of `sequences` rows, each of a session of its own with a short prompt; the rate is of all
 * Tokens are arbitrary (speed does not depend on them) and nothing is sampled: drawing a token is no part of the
 * figures. Every figure is measured `repeat` times; the median counts, the extremes tell how calm the machine was.
 *
 * Limits. decode: read_bytes_per_s / (token_bytes + KV bytes of all positions before): what the memory allows when
 * every weight is read once a token. prefill: what the products alone take, each at the measured rate of its type's
 * kernel. `share` is the measured rate over its limit; 0: no limit is known. `expected` is what fit.h foretold. */
#ifndef FIT_SPEED_H
#define FIT_SPEED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/js.h"
#include "base/status.h"
#include "engine/engine.h"
#include "fit/fit.h"

enum { SPEED_ROWS = 16, SPEED_REPEAT_MAX = 101, SPEED_PROMPT = 16, SPEED_DEPTH_MAX = 1 << 22, SPEED_BATCH_MAX = 64 };

/* what: "prefill at 4096", for people. Return true to stop (E_CANCELLED). */
typedef bool speed_progress(void *user, const char *what);

typedef struct speed_options {
    uint32_t depths[SPEED_ROWS], n_depths;   /* any order, <= SPEED_DEPTH_MAX */
    uint32_t batches[SPEED_ROWS], n_batches; /* 1..SPEED_BATCH_MAX */
    uint32_t repeat;                         /* 1..SPEED_REPEAT_MAX */
    uint32_t n_prefill, n_decode;            /* tokens of one measurement, 1..4096 */
    speed_progress *progress;                /* may be NULL */
    void *user;
} speed_options;
/* depths 0, 1k, 4k, 8k; sequences 1, 4, 8; 5 repeats of 512 and 32 tokens. */
void speed_options_init(speed_options *o);

typedef struct speed_rate {
    double median, least, most; /* tokens per second */
    double share, expected;
} speed_rate;

typedef struct speed_depth {
    uint32_t depth;
    speed_rate prefill, decode;
} speed_depth;

typedef struct speed_batch {
    uint32_t sequences;
    speed_rate decode;
} speed_batch;

typedef struct speed_result {
    fit_model model;           /* what was expected of it */
    double read_bytes_per_s;   /* the better of before and after */
    int threads;
    char isa[16], numerics[16], kv_type[8];
    double load_s;             /* gguf_open and engine_open */
    double first_token_s;      /* feeding SPEED_PROMPT tokens to an empty session, median */
    uint64_t planned_bytes;    /* fit's arithmetic for the options of this measurement */
    uint64_t peak_bytes;       /* of this process, measured from before the load; 0: not known */
    speed_depth depths[SPEED_ROWS];
    uint32_t n_depths;         /* ascending; one that the context does not allow is measured as deep as it does */
    speed_batch batches[SPEED_ROWS];
    uint32_t n_batches;
} speed_result;

/* Opens the model at path, measures, closes it. eo: as for engine_open; context, n_sessions and kv_bytes are chosen
 * here (eo->context, if given, is an upper limit). */
status speed_measure(const char *path, const engine_options *eo, const speed_options *o, speed_result *out,
                     error *err) MUST_CHECK;
js *speed_js(const speed_result *r);

/* ---- how many threads ---- */

typedef struct speed_threads {
    int n[SPEED_ROWS];
    double prefill_per_s[SPEED_ROWS], decode_per_s[SPEED_ROWS]; /* best of three: a neighbour only makes it slower */
    int n_tried, best;
} speed_threads;

/* Opens the model with 1, 2, ... threads (all counts up to 4, then powers of two, and the counts of physical and of
 * allowed cores) and takes the fewest whose prefill x decode is within 6 % of the best. Remembers nothing:
 * plat/threads.h does. */
status speed_choose_threads(const char *path, const engine_options *eo, speed_progress *progress, void *user,
                            speed_threads *out, error *err) MUST_CHECK;

#endif
