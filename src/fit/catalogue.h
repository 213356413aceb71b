/* catalogue.h: small open models that need not be on this machine, as data: catalogue.yaml and losses.yaml, embedded
 * when the program is built. docs/CATALOGUE.md describes both files and what is proved.
 *
 * Nothing in them is a size in bytes: catalogue_header makes the header that a file of the model would have, and the
 * code that allocates reads it. Owner thread for opening and closing; everything else reads only. */
#ifndef FIT_CATALOGUE_H
#define FIT_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "fit/fit.h"

typedef struct catalogue catalogue;

typedef enum catalogue_kind {
    CATALOGUE_CHAT,
    CATALOGUE_BASE,
    CATALOGUE_EMBEDDING,
    CATALOGUE_RERANK,
    CATALOGUE_CODE,
    CATALOGUE_REASONING,
    CATALOGUE_KINDS
} catalogue_kind;

/* Facts that stand on a page, or under `unproved`. */
typedef enum catalogue_fact {
    CATALOGUE_SHAPE,
    CATALOGUE_CONTEXT,
    CATALOGUE_PARAMS,
    CATALOGUE_LICENCE,
    CATALOGUE_RELEASED,
    CATALOGUE_FILES,
    CATALOGUE_FACTS
} catalogue_fact;

typedef struct catalogue_shape {
    uint32_t layers, embd, ff, heads, kv_heads, head_dim;
    uint32_t vocab; /* rows of the embedding in the file, padding included */
    uint32_t window, window_period; /* all but every window_period-th layer see `window` positions; 0: not said */
    bool tied; /* the output matrix is the embedding */
} catalogue_shape;

/* Borrowed from the catalogue. */
typedef struct catalogue_model {
    const char *name, *title, *maker, *licence;
    const char *arch;     /* general.architecture */
    const char *released; /* "2025-04" */
    const char *source;   /* the maker's page */
    const char *files;    /* "hf:owner/repo", where GGUF files are; NULL: no page shows one */
    catalogue_kind kind;
    uint32_t context;     /* positions it was trained for */
    double params;        /* as the page states them, rounded as there; 0: not said */
    catalogue_shape shape;
    const char *const *quants; /* types that the page of `files` shows, also such as hearth does not read */
    size_t n_quants;
    const char *const *packages; /* "pypi:name": Python packages that carry such a file */
    size_t n_packages;
    const char *pages[CATALOGUE_FACTS]; /* where the fact was found; NULL: nowhere */
    bool unproved[CATALOGUE_FACTS];     /* the value is what is generally known */
} catalogue_model;

/* A measured loss of a type: what quantising cost a model. */
typedef struct catalogue_loss_row {
    const char *type, *model; /* the model that was measured, as its page calls it */
    double params;            /* of that model */
    bool imatrix;             /* it was encoded with an importance matrix, so without one the loss is larger */
    bool is_divergence;       /* value is the mean Kullback-Leibler divergence of next tokens; else a perplexity */
    double value;             /* of the quantised model */
    double base;              /* perplexity of the unquantised one; 0 for a divergence */
    double loss;              /* value / base - 1; a divergence as it is */
    const char *page;
} catalogue_loss_row;

/* Parses the embedded files. They are checked by a test, so an error other than E_NOMEM is a bug. */
status catalogue_open(catalogue **out, error *err) MUST_CHECK;
/* The same from other texts; `losses` may be NULL. Errors name file, line, entry and field. */
status catalogue_parse(catalogue **out, const char *models, size_t n_models, const char *losses, size_t n_losses,
                       error *err) MUST_CHECK;
void catalogue_close(catalogue **c);

size_t catalogue_n(const catalogue *c);
const catalogue_model *catalogue_at(const catalogue *c, size_t i);
const catalogue_model *catalogue_find(const catalogue *c, const char *name); /* NULL: not there */
const char *catalogue_kind_name(catalogue_kind kind);                        /* "chat" */
const char *catalogue_fact_name(catalogue_fact fact);                        /* "released" */

/* The header of a file of this model in this mix ("Q4_K_M", quant/mix.h; encoded without an importance matrix): names,
 * shapes and types of all tensors, the keys of its shape, no weights. File size and engine_plan's budget follow.
 *
 * One thing is an estimate: the vocabulary. Its tokens are as many as in the real one, but stand-ins as long as those
 * of real vocabularies are on average, and so are its merges (the table in catalogue_header.c). Left out: the chat
 * template, and vectors that only some files have (rope_freqs.weight, rope_factors_*).
 * E_UNSUPPORTED: no such mix, or hearth does not run the architecture. Close with gguf_close. */
status catalogue_header(struct gguf **out, const catalogue_model *m, const char *type, error *err) MUST_CHECK;

/* fit_model_file for a model of the catalogue. */
status fit_catalogue(const catalogue_model *m, const char *type, const engine_options *o, const fit_machine *machine,
                     fit_model *out, error *err) MUST_CHECK;

/* What is known of this type's loss, from the measured model whose number of parameters is nearest to m's (by ratio); a
 * perplexity where there is one. false: nothing is known. Say of which model it was: another model's loss is an order
 * of magnitude. */
bool catalogue_loss(const catalogue *c, const char *type, const catalogue_model *m, catalogue_loss_row *out);

#endif
