/* engine.h: one loaded model, and the conversations ("sessions") that run on it.
 *
 * An engine owns the repacked weights, the vocabulary, the pools of KV pages, the scratch memory, the compute threads.
 * A session is one timeline: the tokens that have been fed, and the KV pages that remember them. Several sessions share
 * an engine and are stepped together: engine_step takes rows of any sessions, one row a token.
 *
 * KV pages hold 64 positions. There are two kinds, each with a pool of its own: pages of the layers that see
 * everything, which a session keeps for all its tokens, and pages of the layers that see a window, of which it keeps
 * the latest. So a session cannot always go back: session_truncate says how far it came.
 *
 * One thread owns an engine and all its sessions: every function here is for that owner thread, unless it says "any
 * thread". Everything is allocated in engine_open and session_open: stepping allocates nothing.
 *
 * One answer: logits are a function of weights, tokens, kv_type, exact, numerics version and, where rope depends on it,
 * of the context limit. Never of thread count, batch company, chunking or instruction set (docs/NUMERICS.md).
 *
 * Text generation on top of this: generate.h. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

typedef struct engine engine;
typedef struct session session;
struct gguf;
struct vocab;
struct grammar_vocab;

/* ---- opening ---- */

typedef enum engine_kv {
    ENGINE_KV_F16 = 0, /* the default */
    ENGINE_KV_F32,     /* twice the bytes; with `exact`, the path that proofs use */
    ENGINE_KV_Q8,      /* little more than half the bytes, and faster at depth: eight-bit codes with scales */
    ENGINE_KV_TYPES
} engine_kv;
/* "f16", "f32", "q8": what options, facts and evidence call it. */
const char *engine_kv_name(engine_kv kv);
/* false, and *out as it was, when no type has that name. */
bool engine_kv_named(const char *name, engine_kv *out);
/* engine_info's, without an engine. */
const char *engine_numerics(void);

/* Return true to cancel the load (engine_open answers E_CANCELLED). done and total are bytes of weights. */
typedef bool engine_progress(void *user, uint64_t done, uint64_t total);

typedef struct engine_options {
    size_t size;          /* sizeof(engine_options), set by engine_options_init: lets the struct grow */
    int n_threads;        /* compute threads, the caller's included; 0: the cores this process may use */
    uint32_t context;     /* most positions of one session; 0: the model's own limit, but at most 8192 */
    uint32_t n_sessions;  /* the KV pools hold this many full contexts; 0: 1 */
    uint64_t kv_bytes;    /* most bytes of both KV pools, instead of that many full contexts: rounded down to whole
                             pages, which n_sessions sessions share in any way (engine_kv_bytes); 0: unused */
    uint32_t rewind;      /* positions that session_truncate can always go back; 0: 256; at least `batch`. Costs KV of
                             window layers only */
    uint64_t mem_bytes;   /* budget: more than this is refused with E_NOFIT before anything is loaded; 0: no budget */
    uint64_t process_bytes; /* of the program around it (plat/footprint.h), as part of the budget and its arithmetic */
    bool grammars;        /* the budget has room for the vocabulary as grammars need it. Without, it is made only where
                             mem_bytes leaves room for it then */
    engine_kv kv_type;
    uint32_t batch;       /* most rows of one pass through the layers, 1..1024; 0: 128. Changes memory and speed only.
                             Encoders: at least `context` (which is never more than they have), n_sessions 0 is 4 */
    bool slices;          /* room for a second pass, so that a batch (batch.h) reads a prompt in layers between the
                             steps of those who answer. Costs scratch only */
    uint32_t logit_rows;  /* most rows of a pass that may want logits, at least: one for each answer under way; 0: 8 */
    bool exact;           /* weights expanded to F32 and F32 activations: slow, large, the reference */
    const char *isa;      /* kernel level: "portable", "avx2"...; NULL: HEARTH_ISA in the environment, else best */
    engine_progress *progress; /* may be NULL */
    void *user;
} engine_options;
void engine_options_init(engine_options *o);

/* What engine_open would allocate with these options, in bytes. Computed from the header alone, by the code that
 * allocates: engine_open takes exactly this. total_bytes is the sum of weights, KV, scratch, vocabulary, loading,
 * process, and grammars where the options ask for them. docs/MEMORY.md says what is in each. */
enum { ENGINE_GLOBAL, ENGINE_WINDOW, ENGINE_KINDS }; /* layers that see everything; that see a window */
typedef struct engine_pages {
    uint64_t page_bytes;    /* 0: the model has no such layers */
    uint32_t n_pages;       /* in the pool */
    uint32_t session_pages; /* most that one session holds */
} engine_pages;

typedef struct engine_budget {
    uint64_t weights_bytes; /* repacked weights, norms and tables */
    uint64_t kv_bytes;      /* both KV pools */
    uint64_t scratch_bytes; /* activations, logits, sessions, the prefix cache's tree */
    uint64_t vocab_bytes;   /* vocabulary and merges */
    uint64_t grammar_bytes; /* the vocabulary as grammars need it, made when one is first asked for: an upper bound */
    uint64_t load_bytes;    /* of the file, mapped while it is loaded, what KV and scratch do not take later anyway */
    uint64_t process_bytes; /* as the options say, and page tables; 0: as they say */
    uint64_t total_bytes;
    uint64_t token_bytes;   /* weight bytes read for one decoded token (each matrix once, of the embedding one row) */
    uint32_t context;       /* the limit that the options led to */
    uint32_t window;        /* positions that a window layer sees; 0: there are none */
    uint32_t n_pages;       /* 64 positions each: what all sessions together can hold */
    engine_pages pages[ENGINE_KINDS];
} engine_budget;
status engine_plan(const struct gguf *file, const engine_options *o, engine_budget *out, error *err) MUST_CHECK;
/* "weights 92.1 MiB + KV 11.2 MiB (512 positions) + scratch 7.2 MiB + ... = 121 MiB", without terms of no bytes. */
void engine_arithmetic(const engine_budget *b, bool grammars, buf *out);
/* The bytes of KV pools for n_pages x 64 positions that n_sessions sessions share in any way. Any thread, as the next.
 * A position has no price of its own: a session pays for window layers only until it holds session_pages of them. */
uint64_t engine_kv_bytes(const engine_budget *b, uint64_t n_pages, uint32_t n_sessions);
/* The bytes of KV that a token reads which has so many before it. */
uint64_t engine_kv_read_bytes(const engine_budget *b, uint64_t n_before);

/* Opens the model. The file passes to the engine, which closes it, also when this fails. The mapping is released in
 * steps while weights are repacked. Errors: E_NOFIT with the arithmetic; E_FORMAT, E_UNSUPPORTED naming the tensor or
 * key; E_NOMEM; E_CANCELLED. o may be NULL (defaults). */
status engine_open(engine **out, struct gguf *file, const engine_options *o, error *err) MUST_CHECK;
/* All sessions must be closed before. */
void engine_close(engine **e);

/* ---- what it is ---- */

typedef struct engine_info {
    const char *arch;           /* general.architecture */
    const char *name;           /* general.name, or "" */
    const char *file_type;      /* the commonest type of its matrices by bytes: "Q4_1" */
    const char *isa;            /* kernel level in use */
    uint64_t n_params;
    uint32_t context_train, context; /* trained for; limit of a session here */
    uint32_t n_vocab, n_embd, n_layers;
    int n_threads;
    bool exact;
    bool is_encoder;            /* it makes vectors (embed.h) and writes nothing: sessions cannot be opened */
    engine_kv kv_type;
    const char *numerics;       /* version of docs/NUMERICS.md, part of every evidence key */
} engine_info;

/* Borrowed, live as long as the engine. */
const engine_info *engine_get_info(const engine *e);
const struct vocab *engine_vocab(const engine *e);
/* The vocabulary as grammars need it: made when it is first asked for. Borrowed, live as long as the engine.
 * E_UNSUPPORTED: the model has no vocabulary; E_NOMEM. */
status engine_grammar_vocab(engine *e, const struct grammar_vocab **out, error *err) MUST_CHECK;
/* The chat template's source text (tokenizer.chat_template), or NULL: a base model. */
const char *engine_chat_template(const engine *e);
/* The budget that engine_open took. */
const engine_budget *engine_memory(const engine *e);

/* ---- sessions ---- */

/* A session takes KV pages from the pools as it grows, and gives them back in session_truncate and session_close; those
 * of window layers also as it grows, when they are out of sight by more than `rewind` positions. */
status session_open(session **out, engine *e, error *err) MUST_CHECK;
void session_close(session **s);
engine *session_engine(const session *s);

/* Tokens so far, all of them remembered in the KV cache. Borrowed until the next change. */
uint32_t session_length(const session *s);
const int32_t *session_tokens(const session *s);
/* Forgets all but the first n tokens and returns the length that is left: n (the length, if n is more), or less when
 * the window before position n is gone; then the caller feeds the tokens from there on again. It is n whenever n is 0,
 * the model has no window layers, or n is at most `rewind` below the longest that the session has been since it was
 * last empty. Less than n is always 0 today. */
uint32_t session_truncate(session *s, uint32_t n);
/* Length of the common prefix of the session and these tokens. */
uint32_t session_common(const session *s, const int32_t *tokens, uint32_t n);

/* ---- the prefix cache ----
 *
 * The engine remembers full KV pages by their tokens, in a tree for every scope: whoever's prompts begin alike and are
 * of one scope compute that beginning once. Remembered pages take only KV memory that no session needs; the oldest go
 * first. The answer is the same, bit for bit, with and without. */

#define ENGINE_SCOPE_BYTES 128

/* Whose prefixes this session may use and add to; the session is emptied, unless that was its scope already. NULL, as
 * after session_open: nobody's. At most 64 scopes are remembered: a session whose scope finds no place has none.
 * E_RANGE: a name that is too long. */
status session_share(session *s, const char *scope, error *err) MUST_CHECK;
/* Makes the session hold the longest beginning of these n tokens, short of the last, that it or its scope remembers,
 * and returns that length; the caller feeds the rest. Where that came from the cache, `rewind` counts from there. */
uint32_t session_recall(session *s, const int32_t *tokens, uint32_t n);
/* Enters what the session holds now, in whole pages. */
void session_remember(session *s);
/* Forgets what is remembered of a scope, or of all (NULL). */
void engine_forget(engine *e, const char *scope);

/* ---- stepping ---- */

typedef struct engine_row {
    session *session;
    int32_t token;
    uint32_t position; /* must be the session's length plus its rows before this one: rows of a session are in order */
    bool want_logits;
} engine_row;

/* Runs n rows (1..batch) through the model and appends each to its session. logits (may be NULL when no row wants any)
 * receives one pointer per wanted row, in order, to n_vocab floats: borrowed until the next step of this engine.
 * Errors leave every session as it was: E_RANGE (token, position, too many rows), E_NOFIT (context or KV pool full). */
status engine_step(engine *e, const engine_row *rows, uint32_t n, const float **logits, error *err) MUST_CHECK;
/* Most rows of a step, and most rows of one step that may want logits. */
uint32_t engine_batch(const engine *e);
uint32_t engine_logit_rows(const engine *e);

/* Called between chunks of a long feed; return true to stop (E_CANCELLED; what was fed stays). */
typedef bool session_progress(void *user, uint32_t done, uint32_t total);

/* Appends n tokens, in chunks. *logits (may be NULL) receives those after the last one, borrowed as above.
 * E_NOFIT with the counts when they do not fit the context: nothing is fed, nothing is ever cut. */
status session_feed(session *s, const int32_t *tokens, uint32_t n, const float **logits, session_progress *progress,
                    void *user, error *err) MUST_CHECK;

/* Log-probabilities of given text: starts the session afresh, feeds n tokens and writes logprobs[i] = natural log of
 * p(tokens[i] | tokens[0..i)), for i >= 1; logprobs[0] = 0. top (may be NULL) is called for i >= 1 with the logits
 * that token i was judged by. */
typedef void session_top(void *user, uint32_t i, const float *logits, double log_sum_exp);
status session_score(session *s, const int32_t *tokens, uint32_t n, double *logprobs, session_top *top, void *user,
                     error *err) MUST_CHECK;

/* The same in pieces, so that others can have their steps between: a call of scoring_step feeds at most `most` tokens
 * (0, and never more than: engine_batch) and judges the tokens after them; *over: all are. Whatever the pieces, the
 * numbers are the same. tokens, logprobs and user are borrowed until scoring_close; nobody else changes the session
 * meanwhile. After an error only closing is left. */
typedef struct scoring scoring;
status scoring_open(scoring **out, session *s, const int32_t *tokens, uint32_t n, double *logprobs, session_top *top,
                    void *user, error *err) MUST_CHECK;
status scoring_step(scoring *g, uint32_t most, bool *over, error *err) MUST_CHECK;
void scoring_close(scoring **g);

#endif
