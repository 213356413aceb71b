/* explain.h: the whole argument for one request, and nothing else: a dry run. POST /v1/route/explain takes the body of
 * any dialect and runs that dialect's own reader and api_target, as the request itself would; where it would be asked,
 * the walk ends, and what is known by then becomes the answer. Nothing is sent, opened (but the local model that makes
 * vectors, where the config names one) or kept. */
#ifndef API_EXPLAIN_H
#define API_EXPLAIN_H

#include "api/visit.h"

/* What a dry run has found; hangs at the visit. */
typedef struct api_dry {
    js *argument;    /* owned; NULL: it did not come to a decision */
    api_fault fault; /* why not, or why it would be refused */
} api_dry;

/* After api_target: keeps the argument at the visit. refused: NULL, or why it would not be answered. */
void api_explain_target(api *a, http_request *r, const target *t, const api_fault *refused);

#endif
