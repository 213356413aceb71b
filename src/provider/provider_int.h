/* provider_int.h: what the kinds of provider share. */
#ifndef PROVIDER_PROVIDER_INT_H
#define PROVIDER_PROVIDER_INT_H

#include <pthread.h>

#include "base/mem.h"
#include "plat/msg.h"
#include "plat/proc.h"
#include "provider/provider.h"

enum { CALL_MODEL_MAX = 128, PROVIDER_NAMES_MAX = 16, HELPER_GRACE_MS = 1000 };

/* ---- one call of provider_complete, as the kinds see it ---- */
typedef struct call {
    event_fn *fn;
    void *user;
    provider_limits limits; /* defaults filled in */
    uint64_t start_us, first_us, last_us; /* first_us: first token or text, 0 before; last_us: latest sign of life */
    bool cancelled;         /* fn said so */
    uint32_t calls;         /* tool calls so far */
    event_done end;         /* filled by the kind before it returns OK */
    char *model;            /* CALL_MODEL_MAX bytes for a model's name from the answer */
    char address[PROVIDER_ADDRESS]; /* egress: what was connected to; "": nothing */
    bool again;             /* egress: nothing of an answer came, the same request may be sent once more */
    bool sent;              /* egress: something of it left, or nobody knows */
    double requests_left, tokens_left, limit_s; /* egress: what the server told of its limits; NAN: nothing */
    event_error fault;      /* kind and details before it fails; `text` is taken from err */
    bool fault_set;
} call;

/* Hands an event that is not the last to the caller; true: cancelled, now or before. */
bool call_emit(call *c, const event *e);
bool call_wait(call *c);
/* Which limit has passed, as a sentence, or NULL. */
const char *call_overdue(const call *c, uint64_t now_us);
/* Sets the fault and ends as `return fail(...)` does. */
status call_fail(call *c, error *err, fault_kind kind, status code, const char *format, ...) PRINTF_LIKE(5, 6);

/* ---- a kind ---- */
struct helper;
typedef void helper_fn(void *user, struct helper *h, bool busy); /* busy: it takes no call now */
typedef struct provider_ops {
    status (*complete)(provider *p, const request *r, call *c, error *err);
    void (*close)(provider *p);
    int (*process)(const provider *p); /* NULL: never one */
    bool (*health)(provider *p, provider_health *out); /* NULL: none */
    /* Calls fn for each helper process that runs; none ends meanwhile. start: one is started where none runs, and asked
     * nothing. NULL: never one. */
    status (*helpers)(provider *p, bool start, helper_fn *fn, void *user, error *err);
    bool parallel; /* complete may run many times at once; else provider.c lets one in after another */
} provider_ops;

struct provider {
    const provider_ops *ops;
    provider_info info;
    provider_limits limits; /* instead of the defaults; 0: those */
    void *own;            /* the kind's */
    const char *answered_by[PROVIDER_NAMES_MAX]; /* models' names from answers, with `naming`; in memory */
    size_t n_answered_by;
    pthread_mutex_t naming;
    arena memory;         /* strings of info and of the kind */
    pthread_mutex_t lock; /* one request after another; of a kind that is parallel: its own */
};

/* A copy that lives as long as p; NULL without memory. */
const char *provider_keep(provider *p, const char *text);

/* How many servers are open in this process. */
unsigned provider_servers_open(void);

/* memory.c: what a model may take that is opened between begin (most: its own limit, 0: none) and end, which says what
 * it took; given back when its process is gone. */
uint64_t local_memory_begin(uint64_t most);
void local_memory_end(uint64_t bytes);
void local_memory_give(uint64_t bytes);

/* Each fills p->ops, p->own and the rest of p->info. On failure provider_close(p) has still to be called. */
status local_open(provider *p, const char *model, const config *cfg, error *err) MUST_CHECK;
status replay_open(provider *p, const char *file, error *err) MUST_CHECK;
status openai_open(provider *p, const config_provider *c, const config *cfg, error *err) MUST_CHECK;

/* ---- a helper process on the other end of a link: worker or egress ----
 *
 * Its owner starts, opens and stops it, with no call under way; calls come from any thread, many at once. */
typedef struct helper {
    const char *program;       /* "hearth-worker"; borrowed */
    const char *const *keep;   /* environment variables it gets; borrowed */
    proc process;
    msg_link link;
    bool running;              /* started and not stopped */
    int grace_ms;              /* so long it may take to end by itself, once it is told to */
    js *hello;                 /* its self-test; lives until the next start */
    js *opened;                /* OPENED, of a helper of lanes; likewise */
    pthread_mutex_t sending;   /* one message after another */
    pthread_mutex_t lock;      /* of what follows */
    uint32_t next_request;
    struct inbox *inboxes;     /* of the calls under way */
    pthread_cond_t taken;      /* one of them took a message, or left */
    bool reading;              /* `reader` runs */
    pthread_t reader;
    bool ended;                /* no more messages will come: `why` */
    error why;
} helper;

void helper_init(helper *h, const char *program, const char *const *keep);
/* Stops it, frees what it has. Accepts a zero helper. */
void helper_clear(helper *h);

/* Starts it and checks its HELLO: same build, else E_PROVIDER. What its self-test says is its owner's to judge. */
status helper_start(helper *h, error *err) MUST_CHECK;
/* Sends OPEN and waits for OPENED, whose JSON is *opened (js_free). E_* as the helper said; E_PROVIDER when it died.
 * The helper has ended when this fails. */
status helper_open(helper *h, const js *settings, const int *fds, size_t n_fds, js **opened, error *err) MUST_CHECK;
/* Runs one request; events go to c. A helper that died or had to be killed has ended afterwards. */
status helper_complete(helper *h, const js *payload, call *c, error *err) MUST_CHECK;
/* It has ended by itself or was killed: how, in words; then it can only be stopped. */
bool helper_ended(helper *h, char *how, size_t bytes);
/* The process, 0: none, or it has ended. */
int helper_process(helper *h);
void helper_stop(helper *h);

#endif
