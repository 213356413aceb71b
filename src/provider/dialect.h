/* dialect.h: a neutral request in the words of a server's API. The answer's words are read in egress. Any thread. */
#ifndef PROVIDER_DIALECT_H
#define PROVIDER_DIALECT_H

#include "provider/request.h"

typedef struct dialect_options {
    const char *model;
    bool vendor;         /* openai: api.openai.com itself: newer names of fields, nothing of other servers' own */
    uint32_t max_tokens; /* of a request that says none; 0: not said to the server either */
} dialect_options;

typedef struct dialect {
    const char *name; /* as egress calls it */
    const char *path; /* behind the provider's url */
    /* E_UNSUPPORTED naming what would change the answer and cannot be said; E_FORMAT: no conversation. */
    status (*check)(const request *r, const dialect_options *o, error *err);
    /* The body of a request that `check` let pass; NULL without memory. Streamed. */
    js *(*body)(const request *r, const dialect_options *o);
} dialect;

extern const dialect dialect_openai, dialect_anthropic;

/* Messages of roles and texts, or the caller's own, as OpenAI's list; NULL without memory. */
js *dialect_messages(const request *r);

#endif
