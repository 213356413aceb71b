/* provider.h: one door to whoever answers: a local worker, a cloud or on-premises server (through egress), recorded
 * answers.
 *
 * SPEC is a name from config.yaml, or local:MODEL, openai:URL#MODEL, anthropic:URL#MODEL,
 * replay:FILE; a bare MODEL that is not a configured name means local:MODEL. Opening a local provider starts its worker
 * and loads the model; opening a server sends nothing.
 *
 * provider_open and provider_close: one thread. provider_complete: any thread; `parallel` calls run
 * at once; what is more a local model refuses, others let it wait. Errors of the request leave the
 * provider usable: a worker that died is started again by the next request. */
#ifndef PROVIDER_PROVIDER_H
#define PROVIDER_PROVIDER_H

#include "base/status.h"
#include "provider/config.h"
#include "provider/request.h"
#include "store/store.h"

typedef struct provider provider;

typedef enum provider_kind { PROVIDER_LOCAL, PROVIDER_OPENAI, PROVIDER_REPLAY, PROVIDER_ANTHROPIC } provider_kind;
const char *provider_kind_name(provider_kind k); /* "local", "openai", "replay", "anthropic" */
bool provider_is_server(provider_kind k);        /* asked through a URL: openai, anthropic */

/* Strings are never NULL ("" when not known), numbers 0; borrowed, live until provider_close. */
typedef struct provider_info {
    const char *name;         /* the configured name, or SPEC */
    provider_kind kind;
    provider_place place;     /* config.h; a loopback URL is remote unless config says on-premises, and never local */
    const char *model;        /* file name without folder, or the remote model's name */
    privacy_class class_max;  /* the highest class it is sent: config's class_max, else what the place allows */
    const char *url;          /* openai, anthropic: the address that is asked, without MODEL */
    const char *model_digest; /* SHA-256 hex of the file; of split files: of their digests, in order. Local only */
    const char *numerics;     /* version of docs/NUMERICS.md */
    const char *kv_type;      /* "f16", "q8", "f32" */
    const char *isa;
    const char *arch;
    const char *file_type;
    const char *chat_template; /* its source text */
    uint32_t context;         /* most positions of a request */
    uint32_t context_train;
    uint32_t parallel;        /* most answers at once */
    int n_threads;
    uint64_t n_params;
    uint64_t budget_bytes;    /* what the worker's engine took: weights, KV, scratch, vocabulary */
    bool has_template;        /* messages can be rendered */
    bool is_encoder;          /* it makes vectors and continues no text */
    bool tags;                /* it labels the parts of a text (REQUEST_TAG) */
    double price_input, price_output; /* US dollars per million tokens; NAN when not known (local: 0) */
    double price_cached;              /* of input that was cached; NAN: as other input */
    const char *price_as_of;          /* "2026-11-01"; "": undated; NULL: no price */
} provider_info;

/* From now on all local models that are open in this process take no more than this together; 0: no budget. Any thread.
 * A model that does not fit into what is left is E_NOFIT. */
void provider_share_memory(uint64_t bytes);
/* From now on at most so many calls of one server at a time, each in a process of its own (hearth-egress); others wait.
 * 1 to PROVIDER_CALLS_MAX, which it is at first. Any thread. */
enum { PROVIDER_CALLS_MAX = 8 };
void provider_limit_calls(unsigned n);

status provider_open(provider **out, const char *spec, const config *cfg, error *err) MUST_CHECK;
void provider_close(provider **p);
const provider_info *provider_get_info(const provider *p);

/* What the spec would be, without opening anything: its place decides whether privacy allows it at all. */
status provider_place_of(const char *spec, const config *cfg, provider_place *out, error *err) MUST_CHECK;
/* The same for its kind. */
status provider_kind_of(const char *spec, const config *cfg, provider_kind *out, error *err) MUST_CHECK;
/* What two SPECs have in common that mean the same weights or server: free with mem_free. E_NOTFOUND as provider_open
 * would say it, and E_FORMAT. */
status provider_key(const char *spec, const config *cfg, char **out, error *err) MUST_CHECK;
/* Names every file and folder that decides which weights a local SPEC means now (store/store.h); of others none. */
status provider_watch(const char *spec, const config *cfg, store_seen_fn *fn, void *user, error *err) MUST_CHECK;
/* SHA-256 (hex) of the weights that the SPEC means today, "" when they are not there. False: it is asked through a URL
 * or is a recording, or they cannot be read: nobody can know. */
bool provider_weights(const char *spec, const config *cfg, char out[65]);
/* True when this class may be sent to this place (public: any; internal: local, on-premises; else local only). A
 * recording counts as the place it was recorded from only in reports: it sends nothing, so it is always allowed. */
bool provider_allows(provider_kind kind, provider_place place, privacy_class privacy);

/* 0 takes the default in brackets, or what config.yaml's timeouts say of a server. Times are milliseconds
 * from the call, idle between two pieces. */
typedef struct provider_limits {
    uint32_t timeout_ms; /* the whole answer [600000] */
    uint32_t connect_ms; /* remote: until connected [10000] */
    uint32_t first_ms;   /* until the first piece [timeout_ms] */
    uint32_t idle_ms;    /* between two pieces [60000] */
} provider_limits;

/* Runs one request to its end. fn gets the events: last exactly one EVENT_DONE (then OK is returned) or one EVENT_ERROR
 * (then its status, with the sentence in err). limits may be NULL. Refuses with E_DENIED what provider_allows does not
 * allow, before anything leaves. */
status provider_complete(provider *p, const request *r, event_fn *fn, void *user, const provider_limits *limits,
                         error *err) MUST_CHECK;

/* The same, collected: answer (zero-terminated, free with mem_free) and how it ended. The strings in *end are borrowed
 * from the provider. */
status provider_answer(provider *p, const request *r, char **answer, event_done *end, const provider_limits *limits,
                       error *err) MUST_CHECK;

/* How a server does, for whoever shows it. Numbers since provider_open; a server's limits as it last told them. */
typedef enum provider_circuit {
    CIRCUIT_CLOSED,    /* requests go */
    CIRCUIT_OPEN,      /* too many failed: requests are refused at once */
    CIRCUIT_HALF_OPEN, /* one request tries whether it is well again */
} provider_circuit;
const char *provider_circuit_name(provider_circuit c); /* "closed", "open", "half-open" */

enum { PROVIDER_ADDRESS = 64 };

typedef struct provider_health {
    provider_circuit circuit;
    double probe_s;             /* OPEN: until the next try */
    uint64_t sent, failed;      /* attempts: all, and those that were the server's failure */
    uint64_t retried;           /* attempts after the first of a request */
    uint64_t refused;           /* requests that the circuit refused */
    uint64_t limited;           /* requests that a rate limit or a budget refused */
    double requests_left, tokens_left; /* NAN: not told */
    double limit_s;             /* until something that is used up comes back; 0: nothing is */
    double usd_today, usd_month; /* spent and reserved (UTC); NAN: without a budget */
    char address[PROVIDER_ADDRESS]; /* that was connected to last; "": none yet */
} provider_health;
/* False: the kind is no server. Any thread. */
bool provider_get_health(provider *p, provider_health *out);

/* The process that answers (a worker or egress), 0 when none runs. For tests and `ps`. */
int provider_process(const provider *p);

#endif
