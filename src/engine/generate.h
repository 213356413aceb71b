/* generate.h: from logits to text: sampling, stop rules, streaming. Owner thread of the engine.
 *
 * engine_generate feeds a prompt (what the session holds of it already is reused: the common prefix, as far as
 * session_truncate gets there), then samples to a stop rule. The tokens depend on the prompt, the options and the
 * engine's contract only: random numbers are a counter-based function of (seed, choice, position), ties go to the
 * lowest token id. */
#ifndef ENGINE_GENERATE_H
#define ENGINE_GENERATE_H

#include "engine/engine.h"

struct grammar;

#define SAMPLING_STOPS 16         /* most stop strings */
#define SAMPLING_STOP_BYTES 256   /* longest stop string */
#define SAMPLING_LOGPROBS 64      /* most alternatives reported */
#define SAMPLING_REPEAT_LAST 4096 /* longest window of the penalties */
#define SAMPLING_BIASES 1024      /* most tokens with a bias */
#define SAMPLING_BIAS_MOST 10000  /* largest finite bias */

/* Speculation: where the text repeats itself (an answer that copies from its prompt), several tokens are foreseen and
 * verified in one step. The answer is the same, bit for bit, with and without. */
typedef enum sampling_speculate {
    SPECULATE_AUTO = 0, /* the default: when it has held often enough for what it costs */
    SPECULATE_OFF,
    SPECULATE_ALWAYS, /* whenever anything is foreseen: for tests */
} sampling_speculate;

/* Added to a token's logit before penalties: -INFINITY, the token is never drawn, or at most SAMPLING_BIAS_MOST up or
 * down. */
typedef struct token_bias {
    int32_t token;
    float bias;
} token_bias;

typedef struct sampling_options {
    size_t size;             /* sizeof(sampling_options), set by sampling_options_init */
    float temperature;       /* 0: greedy */
    uint32_t top_k;          /* 0: off */
    float top_p;             /* 1: off */
    float min_p;             /* 0: off; keeps p >= min_p * p_max */
    float repeat_penalty;    /* 1: off; divides positive, multiplies negative logits of tokens in the window */
    uint32_t repeat_last_n;  /* window of the three penalties in tokens, prompt included; 0: off; default 64 */
    float presence_penalty;  /* 0: off; subtracted once from tokens in the window */
    float frequency_penalty; /* 0: off; subtracted per occurrence in the window */
    uint64_t seed;           /* same seed, same answer; the default is 0, a caller that wants variety draws one */
    uint32_t choice;         /* index of the answer when several are drawn from one seed (OpenAI's n) */
    uint32_t n_logprobs;     /* alternatives reported with each token, 0..SAMPLING_LOGPROBS */
    uint32_t max_tokens;     /* 0: until a stop rule or the context's end */
    const char *stops[SAMPLING_STOPS]; /* stop strings, borrowed during the call; never part of the text */
    uint32_t n_stops;
    bool ignore_eos;         /* for speed measurements: end-of-text tokens do not stop */
    sampling_speculate speculate;
    bool special;            /* emit the text of control tokens too, each as an event of its own */
    struct grammar *grammar; /* the answer is a text of it (see below), or NULL; borrowed during the call, and used by
                                one call at a time */
    const struct grammar_vocab *grammar_vocab; /* NULL: the engine's own. Else one of the same tokens in which control
                                tokens may have texts: they are taken where the grammar forces such a text */
    const token_bias *bias;  /* n_bias of them, borrowed like `stops`; of one token the last counts. What a grammar
                                forces is taken whatever its bias */
    uint32_t n_bias;         /* 0..SAMPLING_BIASES */
} sampling_options;
/* temperature 0.8, top_k 40, top_p 0.95, min_p 0.05, no penalties, window 64. */
void sampling_options_init(sampling_options *o);
/* E_RANGE naming the field that is out of its limits. That tokens with a bias are in the vocabulary is checked where an
 * answer begins. */
status sampling_options_check(const sampling_options *o, error *err) MUST_CHECK;

/* Under a grammar (grammar/grammar.h) only tokens that its mask has are drawn: the mask comes after penalties and
 * temperature and before top-k, so the filters see allowed tokens only. What the grammar forces is taken without
 * drawing, by the rule in constrain.h: fed in one step, or one by one when log-probabilities are asked for; the tokens
 * are the same. The answer ends, FINISH_STOP, with a token that ends (which the grammar allows where its text may end),
 * or without one where nothing can follow. Only max_tokens, the context, a stop string and cancelling end it before its
 * text is whole. Foreseen tokens are tried against the grammar first. E_UNSUPPORTED: the vocabulary cannot say what the
 * grammar wants; E_RANGE: the grammar's ceilings. */

typedef struct token_logprob {
    int32_t token;
    float logprob; /* natural log of the model's own probability: before penalties, temperature, grammar and filters;
                      0 for a token that a grammar forced, unless log-probabilities were asked for */
} token_logprob;

typedef enum generate_kind {
    GENERATE_PREFILL, /* done of total prompt tokens are in; total excludes the reused prefix */
    GENERATE_TOKEN,   /* a token was drawn: token, top. Its text may come later */
    GENERATE_TEXT,    /* text, text_bytes: whole UTF-8 characters that are final: no stop string can take them back */
} generate_kind;

typedef struct generate_event {
    generate_kind kind;
    uint32_t done, total;     /* PREFILL */
    token_logprob token;      /* TOKEN */
    const token_logprob *top; /* TOKEN: n_top alternatives, most likely first; borrowed during the call */
    uint32_t n_top;
    const char *text;         /* TEXT: zero-terminated, borrowed during the call */
    size_t text_bytes;
    bool control;             /* TEXT: of one control token */
} generate_event;

/* Return true to cancel: the session keeps what it has, the result says FINISH_CANCELLED and the status is OK. The
 * callback must not step, feed or score any session of this engine. */
typedef bool generate_callback(void *user, const generate_event *event);

typedef enum finish_reason {
    FINISH_STOP,      /* end-of-text token or stop string */
    FINISH_LENGTH,    /* max_tokens */
    FINISH_CONTEXT,   /* the context is full */
    FINISH_CANCELLED, /* the callback asked */
} finish_reason;
/* "stop", "length", "context", "cancelled". */
const char *finish_reason_name(finish_reason r);

typedef struct generate_result {
    finish_reason finish;
    uint32_t n_prompt;   /* prompt tokens */
    uint32_t n_reused;   /* of them taken from the session's KV */
    uint32_t n_tokens;   /* tokens drawn or forced, the end-of-text token included */
    uint32_t n_forced;   /* of them taken without drawing, because the grammar left no choice */
    int32_t last_token;  /* the last one drawn or forced, -1: none */
    const char *stop;    /* the stop string that matched (one of the options' pointers), or NULL */
    uint32_t n_drafted, n_accepted; /* tokens that were foreseen and verified; of them those that held */
    double prefill_s, decode_s, first_token_s; /* first_token_s: from the call to the first token drawn */
    double sum_logprob;  /* over the drawn tokens (not the forced ones), the model's own probabilities */
} generate_result;

/* The n prompt tokens (>= 1) are the whole conversation: the session is truncated to the common prefix (or further, as
 * session_truncate says) and fed the rest. E_NOFIT with the counts when prompt and context do not fit. callback may be
 * NULL. */
status engine_generate(session *s, const int32_t *prompt, uint32_t n, const sampling_options *o,
                       generate_callback *callback, void *user, generate_result *out, error *err) MUST_CHECK;

/* ---- an answer as a thing ----
 *
 * The same answer, token by token, in the hands of a scheduler (batch.h), which steps many of them together. The prompt
 * is copied; the options, and what they point at, are borrowed until generation_close, as are `user` and the session,
 * which nobody else changes meanwhile. A grammar serves one generation at a time. Nothing is fed yet and the session is
 * as it was; errors as above: E_RANGE, E_NOFIT, E_UNSUPPORTED, E_NOMEM. */
typedef struct generation generation;
status generation_open(generation **out, session *s, const int32_t *prompt, uint32_t n, const sampling_options *o,
                       generate_callback *callback, void *user, error *err) MUST_CHECK;
/* Take it out of its batch first. */
void generation_close(generation **g);
/* It ends with FINISH_CANCELLED in the next step, as if the callback had said so; the callback is not called again. */
void generation_cancel(generation *g);
bool generation_is_over(const generation *g);
/* How it went, once it is over: the status and error that it failed with, or OK and *out. Times are those of the clock:
 * first_token_s from generation_open, prefill_s and decode_s from its first step on, the steps of others included. */
status generation_result(const generation *g, generate_result *out, error *err) MUST_CHECK;

#endif
