/* api.h: HTTP dialects over the providers. One dialect file turns JSON into the neutral request and the neutral events
 * back into its own chunks; routes.c is the table of paths.
 *
 * Order, for every request that asks a model: its class (class_of), then the route (route_gather, route_decide), then
 * the provider. What the class forbids is refused before a provider is opened.
 *
 * api_handle is an http_handler: it may run on many threads at once. */
#ifndef API_API_H
#define API_API_H

#include <stdint.h>

#include "base/status.h"
#include "http/http.h"
#include "provider/config.h"

typedef struct api api;

struct key_ring;
struct journal;

struct task;

typedef struct api_options {
    const config *config;    /* borrowed, outlives the api */
    const char *model;       /* default MODEL of requests that name none that exists; NULL: none */
    const char *bin_dir;     /* where the program is: tasks are searched near it; may be NULL */
    uint64_t memory_bytes;   /* what local models may use together; 0: no budget */
    uint32_t parallel;       /* answers of a local model at once; 0: 16. This and the next where config says nothing */
    uint32_t queue;          /* requests that wait for one model; 0: 256 */
    double keep_s;           /* how long a provider without work stays open; 0: 300; negative: for ever */
    struct key_ring *keys;   /* who may ask; borrowed (api/keys.h) */
    struct journal *journal; /* one line for each request; borrowed; NULL: none (api/journal.h) */
    /* Says what stands behind the models that a task's graders name, without which their grades are not found
     * (measure/tools.h, which is not below this module). NULL: tasks with such graders have no evidence. */
    status (*bind_task)(struct task *t, const config *c, error *err);
    bool log_prompts;        /* the lines hold what was asked and answered, but for secret requests */
} api_options;

status api_open(api **out, const api_options *o, error *err) MUST_CHECK;
/* After http_close: no handler runs any more. Ends the workers. */
void api_close(api **a);

/* Reads again what is kept between requests. For changes that files and the ledger do not show by themselves. */
void api_forget(api *a);

/* For http_open; user is the api *. */
void api_handle(void *user, http_request *r);
void api_done(void *user, const http_summary *s);

#endif
