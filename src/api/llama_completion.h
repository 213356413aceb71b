/* llama_completion.h: POST /completion: what is asked (llama_read.c), the walk (llama_completion.c), and the answer on
 * its way (llama_write.c). Several prompts are answered one after another. */
#ifndef API_LLAMA_COMPLETION_H
#define API_LLAMA_COMPLETION_H

#include "api/llama_int.h"

typedef struct llama_call {
    js *body;              /* owns every text below */
    const char *model;     /* "" when absent */
    llama_prompt *prompts; /* owned */
    size_t n_prompts;
    bool many;             /* they came as a list: so does the answer */
    bool stream, return_tokens;
    bool probabilities;    /* n_probs was asked */
    int64_t n_predict;     /* -1: to the end */
    const js *fields;      /* response_fields; NULL: all */
    const char *grammar;   /* "" when none */
    request neutral;       /* without a prompt */
} llama_call;

bool llama_read_call(span body, llama_call *out, api_fault *f);
void llama_call_clear(llama_call *c);
/* The sampling as generation_settings tells it. */
js *llama_settings_js(const llama_call *c);

typedef struct llama_answer {
    http_request *r;
    const llama_call *call;
    char id[API_ID_BYTES];
    size_t prompt;         /* which is answered now */
    size_t part;           /* of it, which is being made tokens */
    bool reading;          /* its parts are being made tokens: it is more than one text */
    buf ids;               /* its tokens, int32_t, when it is not one text */
    buf written;           /* and its text */
    buf text;              /* since the last chunk or all */
    buf tokens, probabilities; /* likewise, the members of JSON lists */
    bool new_line;         /* the text holds one */
    int64_t drawn, prompt_tokens;
    buf replies;           /* not streamed: the answers so far, as JSON */
    bool complete;         /* what was asked last has ended, and not because somebody left */
    bool broken;           /* no reader: stop */
    bool full;             /* the answer is too large, or there is no memory: stop */
    uint64_t last_us;      /* when the client last heard something */
    api_fault fault;
} llama_answer;

void llama_answer_init(llama_answer *a, http_request *r, const llama_call *call);
void llama_answer_clear(llama_answer *a);
/* Before the events of the prompt's answer. */
void llama_answer_begin(llama_answer *a);
/* An event_fn; user is the llama_answer. Not for the events of what is being made tokens. */
int llama_answer_event(void *user, const event *e);
/* After the last prompt: the whole answer, or the end of the stream. False: fault says why not. */
bool llama_answer_end(llama_answer *a);
/* The fault as an HTTP status or, once the stream has begun, in it. */
void llama_answer_fault(llama_answer *a);

#endif
