/* request.h: the one neutral request and the events that answer it. Every dialect of api/ becomes a request, every
 * provider (worker, cloud, recording) answers with the same events.
 *
 * A request borrows everything it points at: the caller keeps it alive during provider_complete. Text is UTF-8 and
 * zero-terminated; a text that holds a zero byte cannot be said here, so its reader refuses it. Start with
 * request_init: it sets the neutral value of every field. */
#ifndef PROVIDER_REQUEST_H
#define PROVIDER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/js.h"
#include "base/privacy_class.h"
#include "base/status.h"

enum {
    REQUEST_STOPS_MAX = 16,           /* stop strings */
    REQUEST_STOP_BYTES_MAX = 256,     /* of one of them */
    REQUEST_BIASES_MAX = 1024,        /* tokens with a bias */
    REQUEST_LOGPROBS_MAX = 64,        /* alternatives per token */
    REQUEST_MESSAGES_MAX = 4096,
    REQUEST_BYTES_MAX = 8 << 20,      /* all text of a request together */
    REQUEST_TOKENS_MAX = 1 << 20,     /* token ids of a prompt given as ids, and the most max_tokens */
    REQUEST_ID_BYTES_MAX = 128,
    REQUEST_TOOLS_MAX = 512,
    REQUEST_TOOL_NAME_MAX = 128,      /* bytes */
};

typedef enum request_kind {
    REQUEST_CHAT,   /* messages, through the model's own chat template */
    REQUEST_TEXT,   /* raw text, continued as it is (BOS as the model wants it, no special tokens parsed) */
    REQUEST_TOKENS, /* token ids, taken as they are */
    REQUEST_EMBED,  /* texts to vectors (embed.h); sampling and what follows it mean nothing */
    REQUEST_TAG,    /* text to labelled parts of it (EVENT_SPAN), those of tag_threshold or more; likewise */
} request_kind;

typedef struct request_message {
    const char *role;    /* "system", "user", "assistant"; what else a template knows is its business */
    const char *content;
} request_message;

typedef enum request_tool_choice {
    TOOLS_AUTO,     /* text or calls, as the model likes */
    TOOLS_NONE,     /* text only: the tools are not shown to the model */
    TOOLS_REQUIRED, /* at least one call */
    TOOLS_NAMED,    /* a call of tool_name */
} request_tool_choice;

/* What the answer's text must look like. */
typedef enum request_shape {
    SHAPE_FREE,
    SHAPE_JSON,    /* one JSON object, any */
    SHAPE_SCHEMA,  /* JSON that `schema` accepts */
    SHAPE_GRAMMAR, /* `shape_text` is a grammar (GBNF) */
    SHAPE_REGEX,   /* `shape_text` is a regular expression, the whole answer matches */
    SHAPE_CHOICE,  /* one of `choices` */
} request_shape;
/* "free", "json", "schema", "grammar", "regex", "choice". */
const char *request_shape_name(request_shape s);

typedef struct request_sampling {
    double temperature;       /* 0: greedy */
    uint32_t top_k;           /* 0: off */
    double top_p;             /* 1: off */
    double min_p;             /* 0: off */
    double repeat_penalty;    /* 1: off */
    uint32_t repeat_last_n;   /* window of the penalties in tokens */
    double presence_penalty;  /* 0: off */
    double frequency_penalty; /* 0: off */
    uint64_t seed;            /* always used by a local model; sent to a remote one only if seed_set */
    bool seed_set;
    uint32_t max_tokens;      /* 0: until a stop rule or the end of the context */
    const char *stops[REQUEST_STOPS_MAX]; /* never part of the answer */
    size_t n_stops;
    const js *bias;           /* an object of token ids (of the model's own vocabulary) and what is added to their */
                              /* logits, -100 to 100; -100: the token is never drawn. NULL: none */
    bool ignore_eos;          /* speed tests: end-of-text does not stop. Local only */
} request_sampling;

typedef struct request {
    const char *id;        /* correlates logs; no meaning. NULL: none */
    privacy_class privacy; /* decided before; request_init says private */
    const char *scope;     /* who asks (an API key's name, a task): the KV prefixes of private and secret requests */
                           /* are reused only by requests of an equal scope. NULL: a scope of its own, never reused */
    const char *task;      /* which task and case this is: replay finds its answer by them. NULL: none */
    const char *case_id;
    bool synthetic;        /* cases of a task that declares them nobody's data: the last gate lets them pass */
    const char *policy;    /* for the audit log: the rule that let it go where it goes. NULL: none but the class */
    const char *detectors; /* and the version of the detectors that looked at it. NULL: none did */

    request_kind kind;
    const request_message *messages; /* CHAT: roles and texts */
    size_t n_messages;
    const js *conversation;          /* CHAT, instead of messages: OpenAI's message objects, with parts, tool_calls, */
                                     /* tool results and reasoning_content. NULL: messages */
    const js *tools;                 /* CHAT: OpenAI's list of {type: "function", function: {…}}. NULL: none */
    request_tool_choice tool_choice;
    const char *tool_name;           /* NAMED */
    bool one_call;                   /* no parallel calls */
    const js *template_kwargs;       /* CHAT: an object of further variables for the model's template. NULL: none */
    const char *text;                /* TEXT, TAG */
    double tag_threshold;            /* TAG: least probability of a span */
    const int32_t *tokens;           /* TOKENS */
    size_t n_tokens;
    const struct request_embed *embed; /* EMBED */

    request_shape shape;
    const js *schema;       /* SCHEMA */
    const js *choices;      /* CHOICE: a list of texts */
    const char *shape_text; /* GRAMMAR, REGEX */
    const char *shape_name; /* what the caller calls it; NULL: nothing */
    bool relaxed;           /* what of a schema cannot be enforced is left out, and said (EVENT_RELAXED) */

    request_sampling sampling;
    unsigned priority;      /* whose turn comes first: 0 to 2 (last), 1 by default. No matter for the answer */
    uint32_t context;       /* most tokens of prompt and answer, no more than the provider's; 0: those. Local only */
    bool logprobs;          /* report each drawn token with its log-probability (EVENT_TOKEN) */
    uint32_t n_logprobs;    /* and so many alternatives */
    bool echo;              /* report the prompt's own tokens first, as EVENT_TOKEN with `prompt` set. Local only */
    bool prompt_only;       /* compute nothing: the prompt's tokens (EVENT_PROMPT), then the end. Local only */
    bool decoded;           /* with prompt_only: a token's bytes are what it adds to the text: together whole UTF-8, */
                            /* without the blank that a vocabulary puts before a text */
    bool bare;              /* TEXT: without the tokens that the model wants around a text. Local only */
    bool control;           /* TEXT: the texts of control tokens become these tokens. Local only */
    bool score_only;        /* draw nothing: with echo, the log-probabilities of a given text */
} request;

/* Neutral values: greedy, no penalties, no limit, class private, kind CHAT without messages. */
void request_init(request *r);
/* E_RANGE or E_FORMAT naming the field that is outside its limits, not UTF-8, or missing. */
status request_check(const request *r, error *err) MUST_CHECK;
/* request_sampling.bias alone: E_RANGE or E_FORMAT naming logit_bias. */
status request_check_bias(const js *bias, error *err) MUST_CHECK;
/* The request as JSON: the form in which it travels to a worker or egress. NULL without memory. */
js *request_to_js(const request *r);
/* SHA-256 (hex) of the prompt alone: kind and messages (and tools and template_kwargs where there are any), text or
 * tokens; the key of recorded answers.
 * E_NOMEM. */
status request_prompt_digest(const request *r, char out[65], error *err) MUST_CHECK;

/* ---- events ---- */

typedef enum event_kind {
    EVENT_WAIT,    /* nothing new; comes at least every 100 ms while waiting, so that the caller can cancel */
    EVENT_PREFILL, /* done of total prompt tokens are in (local) */
    EVENT_RELAXED, /* the parts of a schema that are not enforced; once, before the answer */
    EVENT_TEXT,    /* a piece of the answer: whole UTF-8 characters */
    EVENT_REASONING, /* text: a piece of what the model thought before it answered */
    EVENT_CALL,      /* call: a tool call begins; its index is that of the answer's calls, from 0 */
    EVENT_ARGUMENTS, /* call, text: a piece of the arguments, JSON as text */
    EVENT_CALL_END,  /* call: `complete` if its arguments are one whole JSON object */
    EVENT_TOKEN,   /* one token with its log-probability; only when the request asked */
    EVENT_PROMPT,  /* the prompt's tokens, or (of a long one) the next of them; only when the request asked */
    EVENT_VECTOR,  /* the vector of one input (embed.h), in their order */
    EVENT_SPAN,    /* a labelled part of the text, in their order */
    EVENT_DONE,    /* the end of a complete answer, once */
    EVENT_ERROR,   /* the end of a failed one, once; provider_complete returns the same status */
} event_kind;

typedef enum answer_finish {
    ANSWER_STOP,      /* end-of-text token or stop string */
    ANSWER_LENGTH,    /* max_tokens, or the context is full (see context_full) */
    ANSWER_TOOL_CALLS, /* the answer is (or ends in) tool calls */
    ANSWER_CANCELLED, /* the callback asked */
    ANSWER_ERROR,     /* there was an EVENT_ERROR */
} answer_finish;
/* "stop", "length", "tool_calls", "cancelled", "error". */
const char *answer_finish_name(answer_finish f);
bool answer_finish_parse(const char *name, answer_finish *out);

typedef struct event_alternative {
    int32_t id;          /* -1: the provider does not say */
    double logprob;      /* natural */
    const char *text;    /* the token's own bytes, which may be part of a character */
    size_t text_bytes;
} event_alternative;

typedef struct event_token {
    bool prompt;             /* a token of the prompt (echo) */
    bool first;              /* the prompt's first: no log-probability (0) */
    event_alternative token;
    const event_alternative *top; /* most likely first */
    size_t n_top;
} event_token;

typedef struct event_prompt {
    const event_alternative *tokens; /* without log-probability (0) */
    size_t n;
} event_prompt;

/* Counts are -1 and times and mean_logprob NAN when the provider does not say. Strings are never NULL. */
typedef struct event_done {
    answer_finish finish;
    bool context_full;      /* ANSWER_LENGTH because of the context, not of max_tokens */
    int stop;               /* ANSWER_STOP: which of the request's stop strings ended it; -1: none, or nobody says */
    int64_t prompt_tokens;
    int64_t cached_tokens;  /* of them taken from an earlier request */
    int64_t completion_tokens;
    double prefill_seconds;
    double decode_seconds;
    double ttft_seconds;    /* from provider_complete's call to the first token or text, as seen by the caller */
    double total_seconds;   /* likewise, to the end */
    double mean_logprob;    /* over the answer's tokens, the model's own */
    uint64_t peak_bytes;    /* most memory the worker ever held; 0: unknown */
    const char *model;      /* as the provider names it */
    const char *model_digest; /* SHA-256 hex of the weights' files, or "" */
    const char *numerics;   /* version of docs/NUMERICS.md, or "" */
} event_done;

/* What went wrong, for whoever must answer a client; http is the status that says it best. */
typedef enum fault_kind {
    FAULT_INVALID,      /* 400: the request cannot be done like this */
    FAULT_CONTEXT,      /* 400: prompt too long; n_prompt and n_context are set */
    FAULT_NOFIT,        /* 400: does not fit in memory */
    FAULT_DENIED,       /* 403: privacy forbids it */
    FAULT_NOTFOUND,     /* 404: no such model or recorded answer */
    FAULT_RATE_LIMITED, /* 429 from upstream, or of ours; retry_after_s may be set */
    FAULT_BUSY,         /* 503: too many wait already, or memory is taken by models that answer; retry_after_s */
    FAULT_UPSTREAM,     /* 502: the provider answered with an error (upstream_status) or with garbage */
    FAULT_UNREACHABLE,  /* 503: no connection, or the worker could not be started */
    FAULT_CRASHED,      /* 502: the worker or egress died in mid-answer */
    FAULT_TIMEOUT,      /* 504 */
    FAULT_INTERNAL,     /* 500 */
} fault_kind;
/* "invalid", "context-too-long", ... */
const char *fault_kind_name(fault_kind k);
bool fault_kind_parse(const char *name, fault_kind *out);
int fault_http(fault_kind k);

typedef struct event_error {
    status code;
    fault_kind kind;
    const char *text;       /* a sentence */
    int64_t n_prompt, n_context; /* FAULT_CONTEXT, else 0 */
    int upstream_status;    /* the HTTP status that a remote provider sent, else 0 */
    double retry_after_s;   /* else 0 */
} event_error;

typedef struct event_call {
    uint32_t index;
    const char *id, *name; /* CALL */
    bool complete;         /* CALL_END */
} event_call;

typedef struct event_span {
    size_t begin, end;      /* bytes of the text */
    const char *label;      /* "SURNAME" */
    double probability;     /* that it is something at all */
} event_span;

/* Everything is borrowed during the call. */
typedef struct event {
    event_kind kind;
    uint32_t done, total;     /* PREFILL */
    const char *text;         /* TEXT, REASONING, ARGUMENTS: zero-terminated */
    size_t text_bytes;
    const event_call *call;   /* CALL, ARGUMENTS, CALL_END */
    const js *relaxed;        /* RELAXED: a list of texts, "schema path: what" */
    const event_token *token; /* TOKEN */
    const event_prompt *prompt; /* PROMPT */
    const event_done *end;    /* DONE */
    const event_error *error; /* ERROR */
    const struct event_vector *vector; /* VECTOR */
    const event_span *span;   /* SPAN */
} event;

/* Returns nonzero to cancel: the answer then ends with DONE and ANSWER_CANCELLED (the return value of DONE and ERROR
 * is ignored). Called on provider_complete's thread. */
typedef int event_fn(void *user, const event *e);

#endif
