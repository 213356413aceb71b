/* openai_responses_int.h: OpenAI's responses: the reader of requests, and the writer of answers. Nothing is kept
 * between requests: the whole conversation comes with each. */
#ifndef API_OPENAI_RESPONSES_INT_H
#define API_OPENAI_RESPONSES_INT_H

#include "api/openai_int.h"

typedef struct responses_call {
    js *body;       /* as it was sent; owns every text below */
    chat_call chat; /* its conversation and tools in the words of chat completions, and the neutral request */
} responses_call;

/* Frees with responses_clear, also after a fault. */
bool responses_read(span body, responses_call *out, api_fault *f);
void responses_clear(responses_call *c);
/* `instructions` and `input` (a text or items) as messages of chat completions. NULL: a fault
 * (openai_responses_items.c). */
js *responses_messages(const char *instructions, const js *input, api_fault *f);

/* ---- writing (openai_responses_write.c) ---- */

enum { RESPONSES_ITEMS_MAX = 160 }; /* output items of one answer */

typedef enum response_kind { ITEM_MESSAGE, ITEM_REASONING, ITEM_CALL } response_kind;

typedef struct response_item {
    response_kind kind;
    buf text;             /* so far: the text, the thought, a call's arguments */
    js *logprobs;         /* ITEM_MESSAGE: of its tokens; NULL: none */
    char *call_id, *name; /* ITEM_CALL */
    uint32_t call;        /* ITEM_CALL: the index of EVENT_CALL */
    bool open, cut;       /* cut: the answer ended before it did */
} response_item;

/* One answer on its way. */
typedef struct responses_answer {
    http_request *r;
    const responses_call *call;
    char id[API_ID_BYTES];
    int64_t created;
    response_item items[RESPONSES_ITEMS_MAX];
    uint32_t n_items;
    int64_t sequence;  /* number of the next event */
    js *logprobs;      /* of tokens whose text has not come yet; NULL: none */
    js *relaxed;       /* what is not enforced; NULL: everything is */
    bool broken;       /* no memory or no reader: stop */
    uint64_t last_us;  /* when the client last heard something */
    api_fault fault;
} responses_answer;

void responses_answer_init(responses_answer *a, http_request *r, const responses_call *call);
void responses_answer_clear(responses_answer *a);
/* An event_fn; user is the responses_answer. */
int responses_event(void *user, const event *e);
/* As a status, or as response.failed when the stream has begun. */
void responses_say_fault(responses_answer *a);

#endif
