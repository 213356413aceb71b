/* ollama_int.h: Ollama's dialect: its requests become OpenAI-shaped conversations, which openai_messages.c and
 * openai_tools.c check; the answers are lines of JSON, or one object. */
#ifndef API_OLLAMA_INT_H
#define API_OLLAMA_INT_H

#include "api/openai_int.h"

typedef struct ollama_call {
    js *body;             /* as it was sent; owns every text below */
    chat_call chat;       /* its conversation and tools in OpenAI's words, and the neutral request */
    const char *said;     /* the model's name as it was sent: answers repeat it */
    char model[ROUTE_NAME_BYTES]; /* without ":latest" */
    bool generate;        /* /api/generate: `response` instead of a message */
    bool stream;
    bool load;            /* nothing is asked: the model is only opened */
    bool keep_set;        /* keep_alive was sent */
    double keep_seconds;  /* < 0: for ever */
} ollama_call;

/* Frees with ollama_call_clear, also after a fault. */
bool ollama_read_chat(span body, ollama_call *c, api_fault *f);
bool ollama_read_generate(span body, ollama_call *c, api_fault *f);
void ollama_call_clear(ollama_call *c);

/* ---- its parts, by file ---- */

/* Into out[ROUTE_NAME_BYTES], without ":latest"; *said is the name as it was sent (ollama_options.c). */
bool ollama_read_model(const js *body, const char **said, char *out, api_fault *f);
/* keep_alive: seconds, or a text such as "5m" or "1h30m"; negative: for ever (ollama_options.c). */
bool ollama_read_keep(const js *body, bool *set, double *seconds, api_fault *f);
/* `options` to sampling and context; of an answer that is not drawn (embeddings) sampling means nothing. */
bool ollama_read_options(const js *body, bool is_task, request *out, api_fault *f);
/* `messages` in OpenAI's words. NULL: a fault (ollama_messages.c). */
js *ollama_messages(const js *list, api_fault *f);

/* ---- writing (ollama_write.c) ---- */

typedef struct ollama_answer {
    http_request *r;
    const ollama_call *call;
    uint64_t began_us, last_us;
    buf text, thinking;     /* not streamed: all of it */
    js *calls;              /* not streamed: all; NULL: none */
    char *name, *id;        /* of the call that is being said */
    buf arguments;
    js *logprobs;           /* since the last line, or all; NULL: none */
    js *relaxed;            /* what of a task's schema is not enforced; NULL: everything is */
    bool broken;
    api_fault fault;
} ollama_answer;

void ollama_answer_init(ollama_answer *a, http_request *r, const ollama_call *call);
void ollama_answer_clear(ollama_answer *a);
/* An event_fn; user is the ollama_answer. */
int ollama_event(void *user, const event *e);
/* As a status, or as a line when the answer has begun. */
void ollama_say_fault(ollama_answer *a);
/* The whole answer to a request that asked nothing; reason: "load" or "unload". */
void ollama_reply_loaded(ollama_answer *a, const char *reason);
/* {model, created_at, done}. */
js *ollama_object(const char *said, bool done);
/* Nanoseconds; a time that is not known is left out. */
void ollama_set_time(js *o, const char *name, double seconds);

/* ---- opening without asking (ollama_show.c) ---- */

/* The object `details` of an open model. */
js *ollama_details(const provider_info *info);

typedef void ollama_visit(void *user, const provider_info *info);
/* keep_s: how long it stays open without work; NULL: as usual. fn may be NULL. */
bool ollama_open(api *a, http_request *r, const char *model, const double *keep_s, ollama_visit *fn, void *user,
                 api_fault *f);

#endif
