/* speech.h: what the model says, as messages to the front: content, reasoning, tool calls. The worker's thread.
 *
 * Where a model neither thinks aloud nor was offered tools its text goes through as it is. */
#ifndef WORKER_SPEECH_H
#define WORKER_SPEECH_H

#include "token/vocab.h"
#include "worker/worker_int.h"

typedef struct speech {
    worker *w;
    uint32_t request;
    output *parser; /* NULL: plain text */
    status broken;  /* no memory */
} speech;

/* The end of a prompt as text, control tokens and all: it may have begun what the model goes on with. For a buffer of
 * SPEECH_TAIL_MAX. */
enum { SPEECH_TAIL_TOKENS = 32, SPEECH_TAIL_MAX = 64 << 10 };
void speech_prompt_tail(const vocab *v, const token_list *prompt, buf *out);

/* in: the request; prompt: its tokens. */
status speech_begin(speech *s, worker *w, uint32_t request, const js *in, const token_list *prompt,
                    error *err) MUST_CHECK;
void speech_text(speech *s, const char *text, size_t n, bool control);
/* Nothing more is wanted: the turn is over by the format's own words, or there is no memory to go on. */
bool speech_over(const speech *s);
/* Everything was said: what waits is decided. */
status speech_end(speech *s, error *err) MUST_CHECK;
/* "tool_calls" when a model that stopped by itself has called tools, else finish. */
const char *speech_finish_name(const speech *s, const char *finish);
void speech_clear(speech *s);

#endif
