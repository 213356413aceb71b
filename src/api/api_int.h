/* api_int.h: what the dialects share. */
#ifndef API_API_INT_H
#define API_API_INT_H

#include <pthread.h>

#include "api/api.h"
#include "api/facts.h"
#include "api/metrics.h"
#include "api/recognise.h"
#include "base/js.h"
#include "privacy/conversations.h"
#include "provider/provider.h"
#include "route/route.h"
#include "store/store.h"
#include "task/task.h"

/* ---- faults: how a request that cannot be answered is told so (reply.c) ---- */

/* What went wrong, in the neutral terms of request.h; param names the field, or is "". */
typedef struct api_fault {
    fault_kind kind;
    int http; /* 0: fault_http(kind) */
    char param[128];
    char text[ERROR_TEXT_BYTES];
    int64_t n_prompt, n_context;
    double retry_after_s;
} api_fault;

/* All return false, so that a reader can end in `return api_refuse(…)`. */
bool api_refuse(api_fault *f, fault_kind kind, const char *param, const char *format, ...) PRINTF_LIKE(4, 5);
bool api_no_memory(api_fault *f);
bool api_refuse_status(api_fault *f, const char *param, const error *err);
bool api_refuse_event(api_fault *f, const char *param, const event_error *e); /* an answer's EVENT_ERROR */
/* The fault as the object {"error":{…}} of OpenAI's dialect. NULL without memory. */
js *api_fault_js(const api_fault *f);
void api_reply_fault(http_request *r, const api_fault *f);
/* The same status and headers, the body in another dialect's form. Takes body. */
void api_reply_fault_as(http_request *r, const api_fault *f, js *body);
/* Takes body. */
void api_reply_js(http_request *r, int code, js *body);

/* ---- pieces of answers (reply.c) ---- */

/* Begins a stream of events. */
void api_begin_events(http_request *r);
/* Writes the object between two texts into an answer that has begun. Takes o. False: no reader or no memory. */
bool api_write_js(http_request *r, const char *before, js *o, const char *after);
/* Keeps a copy of what of a schema is not enforced (EVENT_RELAXED) in *kept (js_free); before the answer begins it also
 * says it in x-hearth-not-enforced, as far as it fits. */
void api_keep_not_enforced(http_request *r, js **kept, const js *list);
/* {token, logprob, bytes, top_logprobs: [{token, logprob, bytes}]}. */
js *api_token_js(const event_token *t);
/* "[0.1,0.2]" */
void api_add_vector(buf *out, const struct event_vector *v);

/* ---- fields: nothing is dropped silently (fields.c) ---- */

typedef enum field_rule {
    FIELD_READ,    /* the dialect reads it */
    FIELD_IGNORED, /* changes nothing about the answer */
    FIELD_NEUTRAL, /* not done: accepted only as null, false, 0, "" or empty, or its `neutral` text */
} field_rule;
typedef struct field {
    const char *name;
    field_rule rule;
    const char *neutral; /* FIELD_NEUTRAL: a further harmless value, or NULL */
} field;
/* False: a field that is unknown (the nearest is named) or that would change the answer and is not done. */
bool api_check_fields(const js *object, const field *fields, size_t n, const char *where, api_fault *f);

/* The member, NULL when it is absent or null. */
const js *api_value(const js *object, const char *name);
bool api_is_text(const js *v, const char *text);
bool api_is_tool_name(const js *v);
/* None of these may be there when a task is asked. */
bool api_check_absent(const js *object, const char *const *names, size_t n, api_fault *f);

/* Typed readers: absent or null leaves *out; a wrong type or a value outside low..high is a fault naming the field. */
bool api_read_number(const js *object, const char *name, double low, double high, double *out, api_fault *f);
bool api_read_whole(const js *object, const char *name, int64_t low, int64_t high, int64_t *out, api_fault *f);
bool api_read_bool(const js *object, const char *name, bool *out, api_fault *f);
bool api_read_text(const js *object, const char *name, const char **out, api_fault *f);
/* `logprobs` and `top_logprobs`. */
bool api_read_logprobs(const js *body, request *out, api_fault *f);
/* A string or a list of them. */
bool api_read_stops(const js *object, const char *name, request_sampling *out, api_fault *f);
/* `logit_bias`: an object, or llama-server's list of [id, bias or false], which becomes one in body. */
bool api_read_bias(js *body, request_sampling *out, api_fault *f);
/* Parses a body that must be an object with these fields. */
bool api_read_body(span body, const field *fields, size_t n, js **out, api_fault *f);

/* ---- providers that are open (pool.c, pool_memory.c, pool_idle.c) ----
 *
 * A provider is opened by the first request for it and stays open until it has had nothing to do for its time, memory
 * is wanted for another, or it is told to go. Local models share the memory budget: for one that does not fit beside
 * the others, idle ones go, the longest idle first, and busy ones are waited for. Each answers `parallel` requests at
 * once; more wait in turns (queue.h). */

typedef struct pooled pooled;
/* A place among those who are answered now. */
typedef struct api_lease {
    pooled *p;
    provider *provider;
    uint64_t began_us;
} api_lease;
/* priority: 0 (first) to 2. http_gone(r) ends the waiting; r NULL: nobody waits for it, and the server's end does.
 * False: the fault says why (BUSY and RATE_LIMITED with a time to come back). */
bool api_take(api *a, const char *spec, const char *who, unsigned priority, const http_request *r, api_lease *out,
              api_fault *f);
/* Every take has its give; accepts a lease that was not given. */
void api_give(api *a, api_lease *l);
/* The models that clients are shown: the models directory, with `found_models` also those of other programs that can
 * be run. Free with store_free. */
status api_models(const api *a, store_model **out, size_t *n, error *err) MUST_CHECK;
/* Closes the local models of this name (store_label) that are open, when their answers are over; no new ones begin
 * there. *n: how many there are. False: one of them is answering (with `wait` false: it stays as it is). */
bool api_close_model(api *a, const char *file, bool wait, unsigned *n);
/* How long the provider that this spec means stays open without work: seconds, negative: for ever. Only from now on:
 * the next request without a wish of its own returns to the default. */
void api_keep(api *a, const char *spec, double seconds);

/* Calls fn for every provider that is open, without the pool's lock: none closes meanwhile. */
void api_each_provider(api *a, void (*fn)(void *user, provider *p), void *user);

typedef struct api_loaded {
    const char *spec;
    const provider_info *info; /* NULL: it is being opened */
    int process;
    unsigned answering, waiting;
    double idle_s, left_s;     /* since its last answer; until it goes, negative: never, or it is answering */
} api_loaded;
/* Calls fn for everything that is open or being opened, with the pool's lock held. */
void api_list_loaded(api *a, void (*fn)(void *user, const api_loaded *l), void *user);

struct api {
    api_options options;
    pthread_mutex_t lock;
    pthread_cond_t changed;   /* monotonic: somebody gave, opened or closed */
    pooled *pool;
    bool opening;             /* a local model is being opened: one at a time, for the sake of the arithmetic */
    uint64_t closing_bytes;   /* of local models whose processes are on their way out */
    bool ending;
    bool reaping;
    pthread_t reaper;
    metrics counted;
    facts *facts;             /* what decisions rest on; its own lock */
    recogniser *recogniser;   /* its own locks */
    struct shadow *shadow;    /* shadow.h; NULL: there is none yet */
    struct conversations *talk; /* NULL: they are not known, and so all requests are private */
};

/* ---- who asks, and where it may go (target.c) ---- */

enum { API_WHY_BYTES = 256 };
/* The request's answerer, decided: class first, then route. */
typedef struct target {
    privacy_class privacy;
    char why[API_WHY_BYTES];       /* of the class: "detector: email; key default" */
    char detectors[API_WHY_BYTES]; /* their version and what they found: for the audit log */
    const char *scope;      /* the asker's name: cached prefixes of private requests stay within it */
    char task[72];          /* "" for a plain model */
    char spec[ROUTE_NAME_BYTES];
    bool placed;            /* place is known: that of spec, or of what it would have been */
    provider_place place;
    bool routed;            /* by the evidence in `decision` */
    route_decision decision;
    facts *facts;           /* whose sheet it holds */
    const facts_sheet *sheet; /* held; NULL for a plain model */
    const task *t;          /* the sheet's; NULL for a plain model */
    task_messages messages; /* owned: the measured prompt, rendered */
    const request *asked;   /* the whole request, borrowed; NULL: there is none (a task alone is explained) */
    bool unasked;           /* only where the task would go is wanted: nothing is rendered */
    recognised recognised;  /* how its task was found */
    size_t skip;            /* so many of the caller's messages are the task's own system prompt */
    char recognised_why[256];
    const char *policy;     /* why a request of no task goes there; NULL: it names its model */
    js *calibration;        /* owned: counts and thresholds of RECOGNISED_NEAREST; NULL: it was not looked at */
    js *variables;          /* owned: what it was rendered with; NULL: the caller's own messages are asked */
    buf said;               /* owned: the answer so far, of a request that is more than public */
    conversation_texts talk; /* owned: what of it sticks */
} target;

/* What is declared of a request, before its texts are looked at (inspect.c). */
typedef struct declared {
    const privacy_class *header, *key; /* NULL: nothing is said */
} declared;
/* The request's class: the highest of what is declared, of what is found in its body, and of its conversation. */
void api_classify(api *a, const http_request *r, const declared *d, target *out);
/* One more thing is known of it, "task": joined. */
void api_class_raise(target *t, privacy_class c, const char *why);
/* Its class is final: what it says keeps it, before anything is answered. What cannot be written down is refused where
 * there is a server elsewhere: another turn of it, when this process is gone, might go there. */
bool api_stick(api *a, const http_request *r, target *t, api_fault *f);
/* What was answered sticks too: at its end it is written down, before the client has the end. */
void api_remember(api *a, target *t, const event *e);

/* model: the request's field; input: its `input` object or NULL; messages: what the caller said. *rendered says that
 * the task's own messages take their place. */
bool api_target(api *a, http_request *r, const char *model, const js *input, const request_message *messages,
                size_t n_messages, target *out, api_fault *f);
void api_target_clear(target *t);
/* Whether its class may go there; a 403 that says why not. */
bool api_may_have(const target *t, provider_kind kind, provider_place place, api_fault *f);
/* out->messages of a task for out->spec, from what the caller said: the object `input`, or its messages. */
bool api_target_render(target *out, const js *input, const request_message *messages, size_t n, api_fault *f);
/* What its decision rests on: the sheet's facts for this request. Of a target that has a sheet. */
void api_target_facts(const target *t, route_input *out);
/* x-hearth-route, -provider, -class, -class-reason, -reason, -evidence, -task, for answers and
 * faults alike. A fault that comes before there is a target says class private and route none. */
void api_set_headers(http_request *r, const target *t);
/* What they say: "local", "cloud", "refuse", "none"; a sentence. */
const char *api_route_word(const target *t);
const char *api_reason(const target *t);

/* ---- asking: what every dialect does with its neutral request (ask.c) ---- */

enum { API_ID_BYTES = 64 };
/* prefix and a fresh UUID. */
bool api_new_id(const char *prefix, char out[API_ID_BYTES], api_fault *f);

typedef struct api_ask {
    http_request *r;
    const char *model;  /* the request's field, "" when absent */
    const js *input;    /* of a task; NULL: none */
    request *neutral;   /* what is asked; privacy, scope, id and (unless seed_set) seed are filled in, and by a task its
                           prompt and sampling */
    const char *param;  /* the field that a provider's refusal is about; NULL: none */
    event_fn *fn;       /* gets all events but EVENT_ERROR; the answer's headers can be set until it begins */
    bool (*next)(void *user, request *neutral); /* after an answer without a fault: changes what is asked next and
                           returns true, or false: that was the last. NULL: one answer */
    void *user;
    bool keep_set;      /* the model stays open for keep_s seconds after this answer (api_keep) */
    double keep_s;
    bool held;          /* zero; cascade.c's own: what comes is not yet the answer */
    target to;          /* zero; ask.c's own */
} api_ask;
/* Class, route, provider, events, in this order. False: f says what went wrong; what the dialect has begun stays begun.
 * A client that is gone ends the answer with EVENT_DONE and ANSWER_CANCELLED. */
bool api_ask_provider(api *a, api_ask *ask, const char *id, api_fault *f);

/* Its parts, for cascade.c. What a task says of sampling and tools; its rendered messages, in an array of
 * TASK_MESSAGES_MAX that lives as long as they are asked; and the way from a decided target to its provider. */
void api_use_sampling(const target *to, request *neutral);
void api_use_messages(const target *to, request *neutral, request_message *messages);
bool api_ask_arm(api *a, api_ask *ask, api_fault *f);

/* ---- the dialects' handlers, for routes.c ---- */
/* The handler of a path that asks a model, for a dry run (explain.h). False: it is none. */
bool api_run_dry(api *a, http_request *r, const char *path);
void api_route_explain(api *a, http_request *r);
void api_openai_chat(api *a, http_request *r);
void api_openai_responses(api *a, http_request *r);
void api_openai_completions(api *a, http_request *r);
void api_openai_embeddings(api *a, http_request *r);
void api_anthropic_messages(api *a, http_request *r);
void api_anthropic_count(api *a, http_request *r);
/* The fault as {"type": "error", "error": {…}}. NULL without memory. */
js *api_ollama_fault_js(const api_fault *f); /* {"error": "text"} */
js *api_anthropic_fault_js(const api_fault *f);
void api_openai_models(api *a, http_request *r);
void api_openai_model(api *a, http_request *r);
void api_health(api *a, http_request *r);
void api_ollama_root(api *a, http_request *r);
void api_ollama_version(api *a, http_request *r);
void api_ollama_chat(api *a, http_request *r);
void api_ollama_generate(api *a, http_request *r);
void api_ollama_embed(api *a, http_request *r);
void api_ollama_embeddings(api *a, http_request *r);
void api_ollama_tags(api *a, http_request *r);
void api_ollama_ps(api *a, http_request *r);
void api_ollama_show(api *a, http_request *r);
void api_ollama_delete(api *a, http_request *r);
/* llama-server's own paths: {"error": {code, message, type}}, code being the status. */
js *api_llama_fault_js(const api_fault *f);
void api_llama_tokenize(api *a, http_request *r);
void api_llama_detokenize(api *a, http_request *r);
void api_llama_template(api *a, http_request *r);
void api_llama_completion(api *a, http_request *r);
void api_llama_props(api *a, http_request *r);
void api_llama_slots(api *a, http_request *r);
void api_metrics(api *a, http_request *r);
void api_privacy_proof(api *a, http_request *r);
void api_rerank(api *a, http_request *r);

#endif
