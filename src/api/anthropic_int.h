/* anthropic_int.h: the reader of messages requests, and the writer of their answers. */
#ifndef API_ANTHROPIC_INT_H
#define API_ANTHROPIC_INT_H

#include "api/api_int.h"
#include "base/buf.h"

typedef struct anthropic_call {
    js *body;                  /* owns every text that is not in the two below */
    js *conversation;          /* OpenAI's messages, owned; neutral.conversation points here when it is needed */
    js *tools;                 /* OpenAI's tools, owned; NULL: none */
    request_message *messages; /* owned; their texts are the conversation's */
    const char *model;         /* "" when absent */
    request neutral;
    bool stream;
    bool count;                /* count_tokens: the prompt is measured, nothing is drawn */
} anthropic_call;

/* A body for /v1/messages, with `count` one for /v1/messages/count_tokens. anthropic_call_clear also after a fault. */
bool anthropic_read(span body, bool count, anthropic_call *out, api_fault *f);
void anthropic_call_clear(anthropic_call *c);
/* Its parts, by file: anthropic_messages.c, anthropic_tools.c. */
bool anthropic_read_messages(anthropic_call *c, api_fault *f);
bool anthropic_read_tools(anthropic_call *c, api_fault *f);

/* ---- writing ---- */

enum { ANTHROPIC_BLOCKS_MAX = 160 }; /* content blocks of one answer */

typedef enum block_kind { BLOCK_TEXT, BLOCK_THINKING, BLOCK_TOOL } block_kind;

typedef struct content_block {
    block_kind kind;
    buf text; /* not streamed: text, thought, or a call's arguments */
    char *id, *name;
    uint32_t call; /* BLOCK_TOOL: the index of EVENT_CALL */
    bool open;
} content_block;

/* One answer on its way: what the client heard, or what is collected until it hears all at once. */
typedef struct anthropic_answer {
    http_request *r;
    const anthropic_call *call;
    char id[API_ID_BYTES];
    content_block blocks[ANTHROPIC_BLOCKS_MAX];
    uint32_t n_blocks;
    uint32_t n_prefill; /* tokens to compute, as far as known */
    js *relaxed;        /* what is not enforced; NULL: everything is */
    bool over;          /* the answer was said to its end */
    bool broken;        /* no memory or no reader: stop */
    uint64_t last_us;   /* when the client last heard something */
    api_fault fault;
} anthropic_answer;

void anthropic_answer_init(anthropic_answer *a, http_request *r, const anthropic_call *call);
void anthropic_answer_clear(anthropic_answer *a);
/* An event_fn; user is the anthropic_answer. */
int anthropic_event(void *user, const event *e);
/* `event: name`, and o as its data. Takes o. */
void anthropic_send(anthropic_answer *a, const char *name, js *o);

#endif
