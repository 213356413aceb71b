/* openai_completions.h: legacy completions: what is asked (openai_completions.c), and the answer on its way
 * (openai_completions_write.c). One call has `n` choices of each prompt; they are made one after another, and choice c
 * of prompt p has the index p * n + c. */
#ifndef API_OPENAI_COMPLETIONS_H
#define API_OPENAI_COMPLETIONS_H

#include "api/openai_int.h"

typedef struct completion_call {
    js *body;               /* owns every text below */
    const char *model;      /* "" when absent */
    request_input *prompts; /* owned */
    size_t n_prompts;
    uint32_t n;             /* choices of each */
    bool stream, include_usage;
    bool echo;              /* the prompt is part of the text, and of the log-probabilities */
    bool logprobs;
    request neutral;        /* of the prompt that is asked now */
} completion_call;

typedef struct completion_answer {
    http_request *r;
    const completion_call *call;
    char id[API_ID_BYTES];
    int64_t created;
    size_t prompt;         /* which is answered now, and its choice */
    uint32_t choice;
    buf text;              /* of the choice, since the last chunk or all */
    buf tokens, logprobs, top, offsets; /* likewise: the members of four JSON lists of equal length */
    size_t matched;        /* bytes of the prompt's text that its tokens have covered */
    int64_t characters;    /* of the choice's text before the next token */
    bool complete;         /* the choice has ended, and not because somebody left */
    buf choices;           /* not streamed: the choices so far, as JSON */
    int64_t tokens_in, tokens_cached, tokens_out;
    bool broken;           /* no reader: stop */
    bool full;             /* the answer is too large, or there is no memory: stop */
    uint64_t last_us;      /* when the client last heard something */
    api_fault fault;
} completion_answer;

void completion_answer_init(completion_answer *a, http_request *r, const completion_call *call);
void completion_answer_clear(completion_answer *a);
/* Before the events of the choice that `prompt` and `choice` name. */
void completion_begin(completion_answer *a);
/* An event_fn; user is the completion_answer. */
int completion_event(void *user, const event *e);
/* After the last choice: the whole answer, or the end of the stream. False: fault says why not. */
bool completion_end(completion_answer *a);
/* The fault as an HTTP status or, once the stream has begun, in it. */
void completion_say_fault(completion_answer *a);

#endif
