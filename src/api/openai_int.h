/* openai_int.h: the reader of chat requests, and the writer of answers. */
#ifndef API_OPENAI_INT_H
#define API_OPENAI_INT_H

#include "api/api_int.h"
#include "base/mem.h"
#include "hearth.h"
#include "provider/embed.h"

#define OPENAI_FINGERPRINT "hearth-" HEARTH_VERSION

typedef struct chat_call {
    js *body;             /* owns every text below */
    js *conversation;     /* messages in full, owned; neutral.conversation points here when it is needed */
    arena memory;         /* messages that were joined from parts */
    const char *model;    /* "" when absent */
    const js *input;      /* of a task; NULL: none */
    request neutral;
    uint32_t n;           /* choices; they are made one after another */
    bool stream, include_usage;
} chat_call;

enum { OPENAI_CHOICES_MAX = 8 }; /* of one prompt */

bool openai_read_chat(span body, chat_call *out, api_fault *f);
void openai_chat_clear(chat_call *c);
/* Its parts, by file: openai_messages.c, openai_tools.c. */
bool openai_read_messages(chat_call *c, api_fault *f);
bool openai_read_tools(chat_call *c, api_fault *f);
bool openai_read_shape(chat_call *c, api_fault *f);
/* How much to think, as variables for templates that know them: enable_thinking, reasoning_effort. */
bool openai_read_effort(chat_call *c, const js *effort, const char *name, api_fault *f);

/* ---- what several readers read ---- */

/* Temperature 1 unless said otherwise; seed, stops and logit_bias too (as a list of [id, bias or false] it is rewritten
 * in the body), max_tokens not. */
bool openai_read_sampling(js *body, request_sampling *s, api_fault *f);
/* stream, stream_options */
bool openai_read_stream(const js *body, bool *stream, bool *include_usage, api_fault *f);
/* `in` is the field `name`: a text, a list of texts, of token ids, or of lists of these (openai_inputs.c). *out is to
 * be freed with openai_inputs_free, also after a fault; its texts are borrowed from `in`. */
bool openai_read_inputs(const js *in, const char *name, request_input **out, size_t *n, api_fault *f);
void openai_inputs_free(request_input *inputs, size_t n);

/* ---- writing ---- */

enum { OPENAI_CALLS_MAX = 128 }; /* calls of one answer */

/* One answer on its way: what the client heard, or what is collected until it hears all at once. Text, reasoning, calls
 * and log-probabilities are those of the choice that is being made. */
typedef struct openai_answer {
    http_request *r;
    const chat_call *call;
    char id[API_ID_BYTES];
    int64_t created;
    buf text, reasoning;            /* not streamed: all of it */
    js *calls;                      /* not streamed: [id, name] of each; NULL: none */
    buf arguments[OPENAI_CALLS_MAX];
    js *logprobs;                   /* tokens since the last chunk, or all */
    js *relaxed;                    /* what is not enforced; NULL: everything is */
    uint32_t choice;                /* which is being made */
    bool begun, complete;           /* of it: its role was sent; it has ended, and not because somebody left */
    js *choices;                    /* not streamed: those that have ended; NULL: none */
    int64_t tokens_in, tokens_cached, tokens_out;
    bool broken;                    /* no memory or no reader: stop */
    uint64_t last_us;               /* when the client last heard something */
    api_fault fault;
} openai_answer;

void openai_answer_init(openai_answer *a, http_request *r, const chat_call *call);
void openai_answer_clear(openai_answer *a);
/* An event_fn; user is the openai_answer. */
int openai_event(void *user, const event *e);
/* After a choice: the next one, drawn with the next seed, so that n choices are what n requests answer. False: that was
 * the last. For api_ask.next. */
bool openai_next(void *user, request *neutral);
/* One `data:` line. Takes o. */
void openai_send(openai_answer *a, js *o);

#endif
