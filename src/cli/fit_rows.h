/* fit_rows.h: the rows of `hearth fit`'s table: each model that is present, and each model of the catalogue in each
 * type of weights, judged on this machine, in the order of what is best for it. Owner thread.
 *
 * The order, first things first (docs/FIT.md says the same):
 *   1. the class below
 *   2. where a task was named and one of two was measured on it: the measured one; of two the higher pass rate
 *   3. what talks, then base models, then what only makes vectors
 *   4. FIT_SLOW: what loses little, of that the faster; FIT_NOT: the one that lacks less; else the larger class of
 *      parameters (each is 1.4 times the one below), in a class the newer model, of one model the more bytes
 *   5. the one that is present, then the name
 * A model's best row is its first in this order; types are looked at from the largest, so the first good one is it. */
#ifndef CLI_FIT_ROWS_H
#define CLI_FIT_ROWS_H

#include "cli/fit_subject.h"

#define FIT_READABLE_PER_S 5.0 /* tokens: about how fast people read */
#define FIT_LOSS_MOST 0.05     /* of perplexity: more is told apart, for a smaller model then often says more */
enum { FIT_CONTEXT_LEAST = 4096 };

typedef enum fit_class {
    FIT_GOOD,  /* fits at 4096 positions (or the model's own, if less), decodes at a readable speed, loses little */
    FIT_LOSSY, /* the same, but its type of weights is known to lose more than FIT_LOSS_MOST */
    FIT_SLOW,  /* fits, decodes slower */
    FIT_NOT,   /* does not fit at that context */
} fit_class;
const char *fit_class_name(fit_class c); /* "good", "lossy", "slow", "does-not-fit" */

/* What the ledger has of a model on the task that was named. */
typedef struct fit_quality {
    uint32_t n, n_pass; /* cases; n 0: nothing */
    double pass, lower, upper;
} fit_quality;

typedef struct fit_row {
    char name[256], type[16], kind[16], licence[64];
    char released[16];             /* "2025-04"; of a present file the date of the entry whose name it bears; or "" */
    bool present, unproved;        /* unproved: a fact that the figures follow from was found on no page */
    const catalogue_model *entry;  /* NULL: of no entry. Borrowed */
    char *path;                    /* present: its (first) file */
    uint64_t params, file_bytes, need_bytes, have_bytes;
    uint32_t context, context_train, largest; /* asked for; trained for; the largest that fits, 0: none */
    bool fits;                     /* at `context` */
    double decode_per_s, prefill_per_s;
    bool is_encoder;
    fit_class class;
    bool has_loss;
    catalogue_loss_row loss;
    fit_quality quality;
    bool best;                     /* of the rows of its model */
    size_t model;                  /* rows of one model have one number */
} fit_row;

typedef struct fit_rows {
    fit_row *rows;
    size_t n, room;
    size_t n_models;
} fit_rows;

typedef struct fit_rows_options {
    const catalogue *catalogue;
    const engine_options *engine;
    const fit_machine *machine;
    const char *const *types; /* of catalogue models; NULL-terminated */
    const char *kind, *licence; /* NULL: all. Of present models neither is known: they are then left out */
    bool best_only; /* of an entry no type after the first that is good: what follows in the order is never its best */
} fit_rows_options;

/* Judges all; damaged files are told on standard error and left out. */
status fit_rows_collect(fit_rows *out, const fit_rows_options *o, error *err) MUST_CHECK;
/* Sorts, and marks each model's best. */
void fit_rows_sort(fit_rows *r, bool by_quality);
void fit_rows_close(fit_rows *r);

/* The entry that a file is probably of, by its name; NULL: none. */
const catalogue_model *fit_entry_of(const catalogue *c, const char *file_name);

/* One subject's row. */
status fit_row_fill(fit_row *out, const fit_subject *s, const fit_rows_options *o, error *err) MUST_CHECK;
/* The types that are looked at unless others are named, from the largest. */
extern const char *const fit_default_types[];
/* The type of the entry that is best for this machine. */
status fit_best_type(const catalogue_model *m, const fit_rows_options *o, char type[16], error *err) MUST_CHECK;

js *fit_row_js(const fit_row *r);

#endif
