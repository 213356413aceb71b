/* engine_int.h: the inside of engine and session. Private to src/engine. */
#ifndef ENGINE_ENGINE_INT_H
#define ENGINE_ENGINE_INT_H

#include "engine/engine.h"
#include "engine/lookup.h"
#include "engine/prefix.h"
#include "grammar/grammar.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "plat/pool.h"
#include "token/vocab.h"

/* A token with its logit, or with its weight once that is computed. */
typedef struct candidate {
    float logit;
    int32_t token;
} candidate;

/* A pool of KV pages: one allocation, handed out page by page. A page holds 64 positions of all layers of its kind. Its
 * holders are sessions and the cache of prefixes; a page of several is full and only read. */
typedef struct kv_pool {
    void *block;      /* NULL: no pages */
    char *base;       /* 64-aligned in block */
    size_t page_bytes;
    char **free_list; /* [n_pages], the first n_free are free */
    bool *used;       /* [n_pages]: was handed out before, so it must be cleared again */
    uint16_t *holders; /* [n_pages]; 0: free */
    bool *cached;      /* [n_pages]: the cache of prefixes is one of them */
    uint32_t n_pages, n_free;
} kv_pool;

/* What a draw works in. Of one thread at a time. */
typedef struct sampler {
    candidate *candidates; /* [n_vocab] */
    float *work;           /* [n_vocab rounded up to 16] */
    uint16_t *counts;      /* [n_vocab], zero between uses */
} sampler;

struct engine {
    engine_info info;
    engine_budget budget;
    uint64_t mem_bytes; /* that it was opened within; 0: any */
    bool grammars;      /* they are in that budget */
    kernels k;
    pool *pool;
    model *model;
    model_run *run;
    vocab *vocab; /* NULL: the file has no tokenizer */
    grammar_vocab *grammar_vocab; /* NULL: not asked for yet */
    kv_pool kv[MODEL_KINDS];
    uint32_t batch, logit_rows, n_open; /* n_open sessions */
    model_row *rows;         /* [batch] */
    model_run *slices;       /* NULL: the option is off */
    model_row *slice_rows;   /* [batch] */
    struct session *sliced;  /* whose chunk is under way; NULL: nobody's */
    bool slice_wants;        /* logits of its last row */
    engine_row *step;        /* [batch]: the rows of a step of answers, */
    const float **logits;    /* [logit_rows]: and what came of them */
    uint32_t *which;         /* [batch] */
    sampler *samplers;       /* [n_samplers]: one, or with slices one for each thread */
    uint32_t n_samplers;
    lookup *lookup;
    const void *foreseen; /* whose text the lookup knows: a generation, or NULL */
    prefix_cache *prefix;
    char *arch, *name, *chat_template;
    char **classes; /* names, [n_classes]; NULL: none, or without names */
    uint32_t n_classes;
};

struct session {
    engine *e;
    int32_t *tokens; /* [context] */
    model_pages pages; /* [context / 64 + 1] of each kind that the model has; NULL where no page is held */
    uint32_t length;
    uint32_t n_pages;     /* held are pages [0, n_pages) of global layers, */
    uint32_t window_from; /* and [window_from, n_pages) of window layers */
    uint32_t pending; /* rows of the step under way */
    int scope;        /* of the prefix cache, or PREFIX_NONE */
};

/* One chunk of one session, without logits: n (1..batch) tokens of the vocabulary that fit the context. */
status session_feed_chunk(session *s, const int32_t *tokens, uint32_t n, error *err) MUST_CHECK;
/* E_NOFIT and E_RANGE: tokens that a session cannot be fed after those it has. */
status session_check_tokens(const session *s, const int32_t *tokens, uint32_t n, error *err) MUST_CHECK;

/* Checks rows as engine_step does and takes their pages; they are pending then. On failure nothing has changed. */
status session_reserve(engine *e, const engine_row *rows, uint32_t n, error *err) MUST_CHECK;

/* ---- slice.c: a chunk of one session's text, some layers at a time, between the steps of others ----
 *
 * While it is under way the session must not be changed, and its length does not show the chunk. */
uint64_t slice_bytes(const model_spec *spec, const model_run_options *o);
status slice_open(engine *e, const model_run_options *o, error *err) MUST_CHECK;
void slice_close(engine *e);
/* Errors as engine_step's. */
status slice_begin(engine *e, const engine_row *rows, uint32_t n, error *err) MUST_CHECK;
/* Runs at most n_layers; true: the chunk is in, and *logits are those of its last row if it wanted
 * them, borrowed until the next chunk's. */
bool slice_run(engine *e, uint32_t n_layers, const float **logits);
/* As if it had not begun; the session may be shorter (session_truncate). */
void slice_drop(engine *e);

/* Natural log of the sum of exp over a row of logits; clobbers m->work. */
double engine_log_sum(const engine *e, sampler *m, const float *logits);

/* Bytes of one session in an engine with this plan of pages. */
uint64_t session_bytes(const engine_budget *b);

/* Fills what a budget says of KV, from its context and from options without zeros. */
void kv_plan(engine_budget *b, const model_spec *spec, enum kernels_kv kv, const engine_options *o);
/* n_pages 0: a pool of none, for a kind of layers that the model has not. */
status kv_open(kv_pool *kv, uint32_t n_pages, size_t page_bytes, error *err) MUST_CHECK;
void kv_close(kv_pool *kv);
char *kv_take(kv_pool *kv); /* its caller is the one holder; NULL: none left */
void kv_share(kv_pool *kv, const char *page); /* one holder more */
void kv_give(kv_pool *kv, char *page); /* one less; the last one's goes back */
uint32_t kv_holders(const kv_pool *kv, const char *page);
/* The cache becomes a holder, or ceases to be one. */
void kv_cache(kv_pool *kv, const char *page);
void kv_uncache(kv_pool *kv, char *page);
/* Is there one holder, or one beside the cache? */
bool kv_is_own(const kv_pool *kv, const char *page);

/* ---- sample.c ---- */

struct sampling_options;

/* A bit for each token that may be drawn; those beyond its words may not. Borrowed from whoever made it. */
typedef struct token_mask {
    const uint64_t *words;
    size_t n;
} token_mask;

/* Draws the token that will stand at `position` = length of the session, from its logits. logprob of the token and the
 * n_logprobs likeliest alternatives are the model's own: before penalties, temperature and filters. */
typedef struct sampled {
    int32_t token;
    float logprob;
    uint32_t n_top;
    struct token_logprob *top; /* the caller's array of SAMPLING_LOGPROBS */
} sampled;
/* mask: the tokens that may be drawn, at least one, as grammar.h has it; NULL: all. */
void engine_sample(const engine *e, sampler *m, const session *s, const float *logits, const token_mask *mask,
                   const struct sampling_options *o, sampled *out);
/* The same for a token that is not drawn but given: only what is reported of it. */
void engine_report(const engine *e, sampler *m, const float *logits, const struct sampling_options *o, int32_t token,
                   sampled *out);

/* Philox4x32-10: the first word of the block with this key and counter. */
uint32_t sample_random(uint64_t seed, uint64_t position, uint32_t choice);

#endif
