/* stream.h: an answer in a provider's dialect, streamed or whole, to hearth's events. Owner thread.
 *
 *   bytes -> stream_event (one chunk) ... -> stream_end
 * stream.c reads OpenAI's chat completions, stream_anthropic.c Anthropic's messages; stream_init begins with OpenAI's.
 * Calls are taken only when tools were offered. The text goes to `text` as it comes; stream_end says whether it was a
 * complete answer. */
#ifndef EGRESS_STREAM_H
#define EGRESS_STREAM_H

#include "base/buf.h"
#include "base/js.h"
#include "base/status.h"

enum {
    STREAM_ANSWER_MAX = 8 << 20, /* bytes of one answer's text, reasoning and arguments together */
    STREAM_CALLS_MAX = 128,
};

typedef enum stream_call { STREAM_CALL, STREAM_ARGUMENTS, STREAM_CALL_END } stream_call;

typedef enum stream_dialect { STREAM_OPENAI, STREAM_ANTHROPIC } stream_dialect;

typedef struct stream {
    /* false: nobody wants more */
    bool (*text)(void *user, const char *text, size_t n);
    bool (*reasoning)(void *user, const char *text, size_t n);
    bool (*token)(void *user, js *token); /* takes the JSON of a TOKEN message */
    bool (*call)(void *user, stream_call what, js *call); /* takes the JSON of CALL, ARGUMENTS, CALL_END */
    void *user;
    stream_dialect dialect;
    bool want_tokens, want_calls;
    const js *stops;       /* the texts that were asked to end it, where the dialect says which of them did; borrowed */

    bool finished;         /* a finish reason came */
    bool ended;            /* [DONE] or message_stop came */
    const char *fault;     /* a fault's kind that the provider named in the middle of its answer; NULL: none */
    int stop;              /* which of `stops` matched; -1: none, or nobody says */
    bool context_full;
    int block;             /* Anthropic: what kind of block is open */
    int64_t block_index;
    bool block_empty;
    const char *finish;    /* "stop", "length" or "tool_calls" */
    uint32_t calls;        /* begun so far */
    int64_t prompt_tokens, cached_tokens, completion_tokens; /* -1: not said */
    double sum_logprob;
    int64_t n_logprobs;
    size_t text_bytes;
    char model[128];
} stream;

void stream_init(stream *s, bool want_tokens, bool want_calls);
/* The data of one event: a chunk, "[DONE]", or an event of Anthropic's. E_PROVIDER: it makes no sense; E_CANCELLED:
 * nobody wants more. */
status stream_event(stream *s, const char *data, size_t n, error *err) MUST_CHECK;
/* A whole answer that was not streamed. */
status stream_whole(stream *s, const char *data, size_t n, error *err) MUST_CHECK;
/* At the end of the bytes: E_PROVIDER when the answer was cut off. */
status stream_end(const stream *s, error *err) MUST_CHECK;
/* DONE's JSON. */
js *stream_done(const stream *s, bool cancelled);

/* The message of an error document ({"error": {"message"}}, {"error": "text"}, {"message"}...), made printable and
 * short; "" when there is none. */
void stream_error_text(const char *data, size_t n, char *out, size_t out_bytes);

#endif
