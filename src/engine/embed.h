/* embed.h: texts to vectors, on top of engine.h. For the owner thread of the engine.
 *
 * A model makes a vector of n_embd values for every position of a text; pooling makes one of them. Encoders (BERT and
 * its kin) see the whole text from every position; models that write see what came before, so that only their last
 * position has seen all. Both can be asked; whether the vectors mean anything is a matter of how a model was trained.
 *
 * One answer: a vector is a function of weights, tokens, kv_type, pooling and numerics version (docs/NUMERICS.md,
 * "Vectors of texts"). Not of the company in a batch, of thread count or of instruction set.
 * A text is never cut unless it is asked for: E_RANGE says which and by how much it is too long. */
#ifndef ENGINE_EMBED_H
#define ENGINE_EMBED_H

#include "base/str.h"
#include "engine/engine.h"

struct token_list;

typedef enum engine_pooling {
    ENGINE_POOL_FILE, /* as the file wishes; where it wishes none: the mean (encoders), the last (others) */
    ENGINE_POOL_MEAN,
    ENGINE_POOL_FIRST, /* "cls" */
    ENGINE_POOL_LAST,
    ENGINE_POOLINGS
} engine_pooling;
/* "file", "mean", "cls", "last"; by name: false, and *out as it was, when there is none. */
const char *engine_pooling_name(engine_pooling p);
bool engine_pooling_named(const char *name, engine_pooling *out);

typedef struct embed_options {
    size_t size; /* set by embed_options_init */
    engine_pooling pooling;
    bool raw;            /* as pooled; otherwise of length 1 */
    uint32_t dimensions; /* only the first so many values, made of length 1 again; 0: all */
    bool (*cancel)(void *user); /* asked between passes; true: E_CANCELLED. May be NULL */
    void *user;
} embed_options;
void embed_options_init(embed_options *o);

typedef struct embed_input {
    const int32_t *tokens; /* with what the model wants around a text: engine_embed_tokens */
    uint32_t n;
} embed_input;

/* Appends the tokens of a text as the model wants to embed it. cut: a text that is too long for the model loses its end
 * (a token that the model wants at the end stays), and *was_cut says so; otherwise that is E_RANGE with the counts.
 * was_cut may be NULL. */
status engine_embed_tokens(const engine *e, const char *text, size_t n, bool cut, struct token_list *out, bool *was_cut,
                           error *err) MUST_CHECK;

/* Values of a vector with these options (o may be NULL: defaults). */
uint32_t engine_embed_length(const engine *e, const embed_options *o);
/* One vector for each of n inputs, one after the other in out. E_RANGE names the input (from 0) that is empty, too long
 * or has a token that does not exist; E_FORMAT when a vector is not finite. On failure out is undefined. */
status engine_embed(engine *e, const embed_input *inputs, uint32_t n, const embed_options *o, float *out, error *err)
    MUST_CHECK;

/* Encoders with a classifier: n_classes logits for each of n tokens (token classifiers), in out. E_UNSUPPORTED when the
 * model has none. */
uint32_t engine_n_classes(const engine *e); /* 0: no classifier */
const char *engine_class_name(const engine *e, uint32_t i); /* "" where the file has no names */
status engine_classify(engine *e, const int32_t *tokens, uint32_t n, float *out, error *err) MUST_CHECK;

/* Cross-encoders: encoders with a classifier of one class over the first position of a pair of texts, which is how well
 * the second answers the first. */
bool engine_ranks(const engine *e);

/* Appends the tokens of a pair as the model was trained to see it: [CLS] query [SEP] document [SEP], or <s> query </s>
 * </s> document </s>; *n_query are those of the first text, the marks about it included. cut: a document that is too
 * long loses its end. E_RANGE with the counts: the pair, or with cut the query alone, is too long; what was appended
 * then stays. */
status engine_rank_tokens(const engine *e, span query, span document, bool cut, struct token_list *out,
                          uint32_t *n_query, error *err) MUST_CHECK;

typedef struct rank_input {
    const int32_t *tokens;
    uint32_t n, n_query;
} rank_input;

/* The logit of each of n pairs. E_UNSUPPORTED: engine_ranks says no. Errors as engine_embed's. */
status engine_rank(engine *e, const rank_input *pairs, uint32_t n, float *out, error *err) MUST_CHECK;

/* Softmax of class i among n logits, in f64. Any thread. */
double engine_class_probability(const float *logits, uint32_t n, uint32_t i);

/* Cosine of the angle between two vectors of n values; 0 when one is zero. In f64, ascending. Any thread. */
double engine_cosine(const float *a, const float *b, uint32_t n);

#endif
