/* recognise.h: which task a request is of that names none.
 *
 * Asked only where the request leaves it open: its model is `auto`, or is none that exists while the key has a task or
 * the config says `recognise`; or its path is /tasks/NAME/…. In this order, the first that is sure:
 *   path     /tasks/NAME/v1/chat/completions
 *   key      keys: - {name: …, task: NAME}
 *   system   its system prompt is the one that the task was measured with
 *   nearest  what it asks is nearest to the task's own examples, above a threshold that was calibrated on the others'
 * A task that was recognised only raises the class: it is joined with the key's and the label's. Requests that are of
 * no task go where config's `unknown` says. docs/ROUTING.md. */
#ifndef API_RECOGNISE_H
#define API_RECOGNISE_H

#include <stdbool.h>

#include "base/status.h"

typedef enum recognised {
    RECOGNISED_NOTHING, /* a model is named, or the default policy applies */
    RECOGNISED_MODEL,   /* the request itself: model: task:NAME */
    RECOGNISED_PATH,
    RECOGNISED_KEY,
    RECOGNISED_SYSTEM,
    RECOGNISED_NEAREST,
} recognised;
const char *recognised_name(recognised r); /* "nothing", "model", "path", "key", "system-prompt", "nearest" */

struct api;
struct target;
struct key;
struct api_fault;
struct http_request;

typedef struct recogniser recogniser;

/* The request leaves its task open (above); t->asked says what it asks. */
bool api_recognition_wanted(struct api *a, const struct http_request *r, const struct key *who, const char *model,
                            const struct target *t);
/* Sets t->recognised, recognised_why and task, or leaves them: it is of no task. False: it is of one that cannot be
 * asked so, or of nobody knows which. */
bool api_recognise(struct api *a, struct http_request *r, const struct key *who, struct target *t, struct api_fault *f);
/* Of no task: t->spec and t->policy by config's `unknown` and t->privacy. False: it is refused. */
bool api_unknown(struct api *a, struct target *t, struct api_fault *f);

status recogniser_open(recogniser **out, struct api *a, error *err) MUST_CHECK;
/* Before the pool. */
void recogniser_close(recogniser **r);

#endif
