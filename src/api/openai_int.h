/* openai_int.h: the reader of chat requests, apart from what answers them. */
#ifndef API_OPENAI_INT_H
#define API_OPENAI_INT_H

#include "api/api_int.h"
#include "base/mem.h"
#include "hearth.h"

#define OPENAI_FINGERPRINT "hearth-" HEARTH_VERSION

typedef struct chat_call {
    js *body;             /* owns every text below */
    arena memory;         /* messages that were joined from parts */
    const char *model;    /* "" when absent */
    const js *input;      /* of a task; NULL: none */
    request neutral;
    bool stream, include_usage;
} chat_call;

bool openai_read_chat(span body, chat_call *out, api_fault *f);
void openai_chat_clear(chat_call *c);

#endif
