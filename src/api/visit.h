/* visit.h: one request while it is answered: who asks, and what the log will say of it. It hangs at the http_request
 * from api_handle to api_done; the handler's thread owns it until its handler returns. */
#ifndef API_VISIT_H
#define API_VISIT_H

#include "api/api_int.h"
#include "api/keys.h"

enum { VISIT_NAME_BYTES = ROUTE_NAME_BYTES, VISIT_TEXT_MAX = 64 << 10 };

typedef struct api_visit {
    keys *held;      /* the set of keys at its beginning */
    const key *who;  /* one of them; NULL: not asked yet, or nobody */
    char model[VISIT_NAME_BYTES], provider[VISIT_NAME_BYTES]; /* as asked for, as chosen; cut; "" unknown */
    privacy_class privacy;
    bool classed;    /* privacy is known, and why it is so */
    char why[API_WHY_BYTES];
    int64_t prompt_tokens, completion_tokens; /* -1: not known */
    buf text;        /* --log-prompts: the answer, as far as it fits */
} api_visit;

/* NULL without memory. */
api_visit *api_visit_begin(api *a, http_request *r);
api_visit *api_visit_of(const http_request *r);

/* Finds out who asks, and lets it in or not: 401 or 429 in f. Each true has its api_let_out, after the handler. */
bool api_let_in(api *a, http_request *r, api_fault *f);
void api_let_out(api *a, http_request *r);

/* For the log: where the request goes, and what came of it. */
void api_visit_target(http_request *r, const char *model, const struct target *t);
void api_visit_event(const api *a, http_request *r, const event *e);

#endif
