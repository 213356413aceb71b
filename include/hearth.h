/* hearth.h: the public C library (libhearth): run a language model from a GGUF file, locally.
 * Compile and link with `pkg-config --cflags --libs hearth` (add --static for libhearth.a); a whole program is in
 * examples/complete.c.
 *
 *     hearth_model *m;
 *     hearth_session *s;
 *     char why[HEARTH_ERROR_BYTES];
 *     if (hearth_model_open(&m, "model.gguf", NULL, why) || hearth_session_open(&s, m, why))
 *         return fputs(why, stderr), 1;
 *     hearth_generate_text(s, "Once upon a time", NULL, print_piece, NULL, NULL, why);
 *     hearth_session_close(&s);
 *     hearth_model_close(&m);
 *
 * Every function that can fail returns HEARTH_OK (0) or an error, and then writes a sentence that names what and where
 * into `why` (HEARTH_ERROR_BYTES, or NULL). Out-parameters are written only on success; X_close accepts NULL and nulls.
 * Option structs carry their size: initialise them with their _init function, then set what you want.
 *
 * Threads
 *  1. A model and all its sessions belong to one thread at a time: no two calls on them may overlap. They may move to
 *     another thread when the program orders the calls (a mutex, a join). Even functions with const arguments count.
 *  2. Different models are independent: each has compute threads of its own, and two may work at the same time.
 *  3. hearth_version and the _init functions: any thread, any time.
 *  4. A callback runs in the thread that called hearth_generate; it must not call into the same model. To stop, it
 *     returns true; to stop from another thread, let the callback look at an atomic of yours.
 *  5. Do not fork between open and close to go on with the model in the child: its compute threads are not there.
 *     Signals are untouched; nothing here exits, prints or changes the locale.
 *
 * Ownership
 *  1. What X_open gave is closed with X_close, sessions before their model.
 *  2. Strings in hearth_model_info and from hearth_token_text live as long as the model; text in a callback, until
 *     it returns. Arguments stay the caller's and are not kept after the call.
 *  3. The file may be deleted once hearth_model_open has returned: weights are in memory. All memory is taken by then
 *     but a session's list of tokens: generating allocates nothing that grows. */
#ifndef HEARTH_H
#define HEARTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEARTH_VERSION "0.1.0"
#define HEARTH_ERROR_BYTES 1024

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

typedef enum hearth_result {
    HEARTH_OK = 0,
    HEARTH_NO_MEMORY,
    HEARTH_IO,          /* a file cannot be read */
    HEARTH_FORMAT,      /* the file is damaged, or not what it says */
    HEARTH_UNSUPPORTED, /* well formed, but hearth does not run it */
    HEARTH_RANGE,       /* an option or argument is out of its limits */
    HEARTH_NOT_FOUND,
    HEARTH_NO_FIT,      /* too large for the memory budget or the context; the sentence shows the numbers */
    HEARTH_CANCELLED,
} hearth_result;

const char *hearth_version(void);

/* ---- models ---- */

typedef struct hearth_model hearth_model;

typedef struct hearth_model_options {
    size_t size;
    int n_threads;      /* 0: the cores that this process may use */
    uint32_t context;   /* most tokens of a session; 0: the model's own limit, but at most 8192 */
    uint32_t n_sessions; /* sessions that can be full at the same time; 0: 1 */
    uint64_t mem_bytes; /* refuse (HEARTH_NO_FIT) what would take more; 0: no limit */
    bool kv_f32;        /* keys and values in F32 instead of F16; at most one of the two */
    bool kv_q8;         /* eight-bit: little more than half the memory, faster at depth */
    bool exact;         /* F32 throughout: slow, the reference */
} hearth_model_options;
void hearth_model_options_init(hearth_model_options *o);

/* o may be NULL: defaults. */
hearth_result hearth_model_open(hearth_model **out, const char *path, const hearth_model_options *o, char *why);
/* Close its sessions first. */
void hearth_model_close(hearth_model **m);

typedef struct hearth_model_info {
    const char *arch, *name, *file_type; /* borrowed from the model */
    uint64_t n_params, memory_bytes;     /* memory_bytes: weights, KV, scratch, vocabulary */
    uint32_t context_train, context, n_vocab, n_embd, n_layers;
} hearth_model_info;
void hearth_model_get_info(const hearth_model *m, hearth_model_info *out);

/* ---- text and tokens ---- */

/* Writes at most `size` tokens and returns how many the text has in *n (call again with more room if *n > size).
 * special: "<|im_end|>" and its like become control tokens. begin: add the begin-of-text token if the model has one. */
hearth_result hearth_tokenize(const hearth_model *m, const char *text, size_t bytes, bool special, bool begin,
                              int32_t *tokens, size_t size, size_t *n, char *why);
/* The bytes of one token, possibly part of a character; "" for control tokens. Borrowed, *bytes long. */
const char *hearth_token_text(const hearth_model *m, int32_t token, size_t *bytes);

typedef struct hearth_message {
    const char *role;    /* "system", "user", "assistant" */
    const char *content; /* UTF-8 */
} hearth_message;
/* A conversation as tokens, by the model's own template, ready for the assistant's answer. HEARTH_UNSUPPORTED: the
 * model has no template. Sizes as in hearth_tokenize. */
hearth_result hearth_chat_tokens(const hearth_model *m, const hearth_message *messages, int n_messages, int32_t *tokens,
                                 size_t size, size_t *n, char *why);

/* ---- vectors of texts: encoders (BERT and its kin, which open no session), and any other model ---- */

typedef enum hearth_pooling { HEARTH_POOL_FILE, HEARTH_POOL_MEAN, HEARTH_POOL_CLS, HEARTH_POOL_LAST } hearth_pooling;

typedef struct hearth_embedding {
    size_t size;
    hearth_pooling pooling; /* FILE: as the model's file wishes */
    uint32_t dimensions;    /* only the first so many values; 0: all (n_embd) */
    bool raw;               /* as pooled; otherwise of length 1 */
    bool truncate;          /* a text that is too long loses its end; otherwise it is HEARTH_RANGE with the counts */
} hearth_embedding;
void hearth_embedding_init(hearth_embedding *o);

/* One vector for each of n texts (UTF-8), one after the other in out. o may be NULL. A vector does not depend on the
 * texts beside it. */
hearth_result hearth_embed(hearth_model *m, const char *const *texts, size_t n, const hearth_embedding *o, float *out,
                           char *why);

/* ---- sessions ---- */

typedef struct hearth_session hearth_session;
hearth_result hearth_session_open(hearth_session **out, hearth_model *m, char *why);
void hearth_session_close(hearth_session **s);
uint32_t hearth_session_length(const hearth_session *s);
/* Forgets all but the first n tokens and returns the length that is left. That is less than n (0 today) when the model
 * has sliding windows and was more than some hundred tokens beyond n: what it saw there is gone. hearth_generate feeds
 * such tokens again by itself. */
uint32_t hearth_session_truncate(hearth_session *s, uint32_t n);

/* Natural logarithms of p(tokens[i] | those before), in logprobs[1 .. n - 1]; logprobs[0] = 0. Starts the session
 * afresh. */
hearth_result hearth_score(hearth_session *s, const int32_t *tokens, uint32_t n, double *logprobs, char *why);

/* ---- generating ---- */

#define HEARTH_STOPS 16

typedef struct hearth_sampling {
    size_t size;
    float temperature; /* 0: greedy */
    uint32_t top_k;    /* 0: off */
    float top_p, min_p;
    float repeat_penalty, presence_penalty, frequency_penalty;
    uint32_t repeat_last_n;
    uint64_t seed;       /* the same seed gives the same answer, on every machine */
    uint32_t max_tokens; /* 0: until the model ends or the context is full */
    const char *stops[HEARTH_STOPS];
    uint32_t n_stops;
    const char *grammar; /* GBNF, as llama.cpp has it: the answer is a text of this grammar; NULL: any text. What the
                            grammar forces is not drawn. Only max_tokens, the context and stops cut an answer short */
} hearth_sampling;
/* temperature 0.8, top_k 40, top_p 0.95, min_p 0.05, no penalties. */
void hearth_sampling_init(hearth_sampling *o);

/* A piece of the answer: whole UTF-8 characters, zero-terminated, final. Return true to cancel. */
typedef bool hearth_on_text(void *user, const char *text, size_t bytes);

typedef enum hearth_finish { HEARTH_STOP, HEARTH_LENGTH, HEARTH_CONTEXT, HEARTH_CANCEL } hearth_finish;

typedef struct hearth_answer {
    hearth_finish finish;
    uint32_t n_prompt, n_reused, n_tokens; /* n_reused: prompt tokens that were not computed again */
    double prefill_s, decode_s, first_token_s;
    double sum_logprob; /* of the drawn tokens */
} hearth_answer;

/* The prompt is everything so far: what the session already holds of it is not computed again. o, on_text and out may
 * be NULL. HEARTH_NO_FIT with the counts when the prompt is longer than the context: it is never cut. */
hearth_result hearth_generate(hearth_session *s, const int32_t *prompt, uint32_t n, const hearth_sampling *o,
                              hearth_on_text *on_text, void *user, hearth_answer *out, char *why);
/* The same for a text that the model continues. */
hearth_result hearth_generate_text(hearth_session *s, const char *prompt, const hearth_sampling *o,
                                   hearth_on_text *on_text, void *user, hearth_answer *out, char *why);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
