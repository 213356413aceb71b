/* rates.h: what the kernels do on this machine, measured once and remembered. Owner thread.
 *
 * Every rate is in seconds of one thread while all threads of the pool do the same, so that what they share (the bus,
 * the last cache, the clock) is in the figure. The median of three windows of two milliseconds, about a second
 * apart. */
#ifndef FIT_RATES_H
#define FIT_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "kernels/kernels.h"
#include "plat/pool.h"

/* Where what is read lies: in the second level of each thread's core, in the last level, in memory. */
enum fit_place { FIT_L2, FIT_L3, FIT_MEMORY, FIT_PLACES };

/* Where a product's cost is measured: tokens at once, by columns. Of tokens and columns between, and of more, it is
 * inferred: a panel costs something of its own, and something a column. */
enum { FIT_FEW = 2, FIT_BLOCK = 128, FIT_COLS = 2, FIT_HEAD_DIMS = 3 };
extern const uint32_t fit_few[FIT_FEW];
extern const uint32_t fit_cols[FIT_COLS], fit_block_cols[FIT_COLS];
extern const uint32_t fit_head_dims[FIT_HEAD_DIMS];

/* Only doubles: the file is a list of them. 0: there is no such kernel. */
typedef struct fit_rates {
    double read_bytes_per_s[FIT_PLACES]; /* all threads together, one stream each, nothing computed */
    double barrier, run;                 /* seconds of one barrier; of starting and ending a job */
    double handed;                       /* seconds a byte that another thread has just written, read over it */
    /* seconds a byte of weights */
    double one[KERNELS_TYPES][FIT_PLACES][FIT_COLS];
    double few[KERNELS_TYPES][FIT_FEW][FIT_COLS]; /* for all of them, weights in memory, as the next */
    double block[KERNELS_TYPES][FIT_COLS];        /* FIT_BLOCK tokens; at fit_block_cols */
    /* seconds a position of one KV head */
    double attend_one[KV_TYPES][FIT_HEAD_DIMS];  /* for one query, keys and values in memory */
    double attend_four[KV_TYPES][FIT_HEAD_DIMS]; /* for four */
    double attend_near[KV_TYPES][FIT_HEAD_DIMS]; /* for one of many queries, keys and values in the second level */
    double attend_again[KV_TYPES][FIT_HEAD_DIMS]; /* for one alone, which finds them there */
    /* seconds a value, rows in the second level */
    double quantise[ACT_FORMATS], store[KV_TYPES];
    double norm; /* added to the residual stream, and normed */
    double silu, gelu, rope;
    double angle; /* sine and cosine of one */
    double others; /* processors that others kept at work meanwhile; 0 also where that is not known */
} fit_rates;

/* Fills all of it, with the kernels of k on the threads of p. bytes: what may be taken for it; l2, l3: sizes of the
 * caches, 0: there is none. E_NOMEM. */
typedef struct fit_measuring {
    const kernels *k;
    pool *p;
    uint64_t bytes, l2, l3;
    bool uneven; /* cores are of two kinds: work is divided evenly, so the slowest thread counts */
} fit_measuring;
status fit_rates_measure(fit_rates *out, const fit_measuring *how, error *err) MUST_CHECK;
/* read_bytes_per_s alone. */
status fit_rates_measure_reading(fit_rates *out, const fit_measuring *how, error *err) MUST_CHECK;

/* The file NAME of the cache directory: rates with the key of what they were measured with. false: there is none, it is
 * damaged, of another key, or older than max_days. */
bool fit_rates_recall(fit_rates *out, const char *name, const char *key, int max_days, int64_t *measured_at);
status fit_rates_remember(const fit_rates *r, const char *name, const char *key, int64_t measured_at, error *err)
    MUST_CHECK;

#endif
