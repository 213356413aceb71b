/* worker_int.h: the worker's own. */
#ifndef WORKER_WORKER_INT_H
#define WORKER_WORKER_INT_H

#include <stdbool.h>

#include "base/js.h"
#include "chat/chat.h"
#include "chat/output.h"
#include "chat/tool_prompt.h"
#include "engine/engine.h"
#include "engine/generate.h"
#include "grammar/grammar.h"
#include "plat/msg.h"

typedef struct worker {
    msg_link link;
    engine *engine;
    session *session;
    chat *chat;          /* NULL: no_chat says why */
    error no_chat;
    output_format format; /* how this model calls tools and thinks */
    tool_abilities can;   /* what its template says of tools by itself; asked when tools first come */
    bool can_known;
    grammar_vocab *vocab; /* with the format's control tokens; NULL: there are none, the engine's will do */
    bool vocab_known;
    bool over;           /* the front is gone or said CLOSE */
    status broken;       /* it broke the protocol */
} worker;

/* Sends JSON and frees it. False when the front is gone (w->over is set). */
bool worker_send(worker *w, msg_type type, uint32_t request, js *payload);
bool worker_send_error(worker *w, uint32_t request, status code, const char *kind, const char *text, int64_t n_prompt,
                       int64_t n_context);
/* Looks, without waiting, for what the front wants while `request` runs; true: stop it. */
bool worker_interrupted(worker *w, uint32_t request);

/* Runs one COMPLETE to its DONE or ERROR. payload is the request's JSON. */
void worker_answer(worker *w, uint32_t request, const js *payload);

#endif
