/* recognise_int.h: the last way of recognise.c: by what is asked. */
#ifndef API_RECOGNISE_INT_H
#define API_RECOGNISE_INT_H

#include "api/known_tasks.h"
#include "api/visit.h"

/* The examples of all tasks as vectors, calibrated; made by the first request that comes so far, and again when a task
 * changes. Any thread. */
typedef struct near_index near_index;
status near_index_open(near_index **out, error *err) MUST_CHECK;
void near_index_close(near_index **i);

/* The task whose examples the text is nearest to. *found: there is one; then name and why are set. *counts: what the
 * thresholds rest on (js_free), also where nothing is found; NULL: no memory. The text is shown to the local model
 * `spec` only. */
bool near_index_find(near_index *i, api *a, const http_request *r, known_tasks *c, const char *text, bool *found,
                     char name[72], char why[256], js **counts, api_fault *f);

#endif
