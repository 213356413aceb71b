/* route.h: which provider a task gets, and why. Any thread.
 *
 * route_decide is pure: facts in, decision and reason out; it reads no clock, file or ledger. route_gather collects the
 * facts of one task from the ledger, for `hearth route`, `serve` and `demo` alike. Nothing here opens a provider: the
 * caller acts.
 *
 * Properties (tests/route proves them over the discretised input space):
 *  1. total and deterministic: every input has one choice and a reason;
 *  2. class private, secret or unknown never yields a place but local; internal never yields remote;
 *  3. monotone: better local evidence never turns local into cloud or refuse;
 *  4. a number that is missing (NAN, no cases) never argues for local; it only may keep a task that is local already
 *     (SUSPECT: in doubt the current route stays), or local where a policy pins it there;
 *  5. no policy (rules.h) lets anything go farther than its class allows;
 *  6. a cascade (cascade.h) needs a cloud that the class allows, and never goes with a refusal.
 *
 * States:  UNPROVEN --measured--> CANDIDATE --all requirements met--> LOCAL --in doubt--> SUSPECT --met again--> LOCAL
 *          CANDIDATE or SUSPECT --shown to be below--> CLOUD (only where the class allows one; else CANDIDATE)
 *          LOCAL --alarm of the drift detector--> SUSPECT --the shadows say so (drift.h)--> CLOUD or LOCAL */
#ifndef ROUTE_ROUTE_H
#define ROUTE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/privacy_class.h"
#include "base/status.h"
#include "ledger/ledger.h"
#include "privacy/privacy.h"
#include "route/cascade.h"
#include "route/rules.h"

/* CLOUD stands for every place that is not local. */
typedef enum route_choice { ROUTE_REFUSE, ROUTE_CLOUD, ROUTE_LOCAL } route_choice;
const char *route_choice_name(route_choice c); /* "refuse", "cloud", "local" */

typedef enum route_state {
    ROUTE_UNPROVEN, ROUTE_CANDIDATE, ROUTE_STATE_LOCAL, ROUTE_SUSPECT, ROUTE_STATE_CLOUD
} route_state;
const char *route_state_name(route_state s); /* "unproven", "candidate", "local", "suspect", "cloud" */
route_state route_state_of(const char *name); /* UNPROVEN for any other word */

enum { ROUTE_NAME_BYTES = 256, ROUTE_REASON_BYTES = 768 };

/* What is known about one provider on this task: the matching set only. NAN where a number is not known. */
typedef struct route_side {
    bool present;              /* there is such a provider at all */
    char provider[ROUTE_NAME_BYTES]; /* config name or SPEC: what the caller opens */
    char model[ROUTE_NAME_BYTES];
    privacy_place place;
    bool public_only;          /* whatever its place allows, it takes nothing but public requests */
    char evidence[DIGEST_HEX]; /* "" when never measured */
    char run[UUID_TEXT];       /* its newest run */
    int64_t measured_us;       /* newest answer; 0: never */
    uint32_t n_cases;          /* answers a complete measurement of the suite has */
    uint32_t n, n_pass, n_wrong, n_malformed; /* answered and graded under the current suite, prompt and grader */
    uint32_t n_failed;         /* cases without an answer in the newest run */
    uint32_t n_stale;          /* answers that do not match any more, never counted */
    char stale[ROUTE_NAME_BYTES]; /* why: "the prompt changed (60 answers)", "" when n_stale is 0 */
    double pass, lower, upper; /* rate and its 95 % interval (Clopper-Pearson) */
    double score, score_lower, score_upper;
    double latency_p95_ms;     /* whole answer, on this machine */
    double ttft_p50_ms, decode_per_s, prefill_per_s;
    double peak_bytes;
    bool elsewhere;            /* its speed was measured on another machine only, so it is not known here */
    double cost_usd;           /* per answer; 0 for local */
} route_side;

typedef struct route_input {
    char task[72];
    bool class_known;
    privacy_class privacy;     /* read only when class_known */
    bool has_bar, has_margin;
    double bar;                /* least lower bound of the pass rate for local */
    double margin;             /* non-inferiority: local may be worse than cloud by less than this */
    double limit_latency_p95_ms, limit_cost_usd, limit_malformed; /* NAN: no limit */
    route_side local, cloud;   /* the best of each side */
    bool clustered;            /* cases share source documents: a part of the suite proves nothing by itself */
    uint32_t paired_w, paired_t, paired_l; /* cases both answered: only local right, same, only cloud right */
    uint64_t memory_limit_bytes; /* what may be used; 0: not known */
    route_state previous;      /* of the task's newest decision that was kept */
    double majority, regex;    /* baselines; NAN: none */
    route_calibration cascade; /* of the local side */
    bool flag_below_bar;       /* where nobody else may answer, a local answer below the bar is given, and flagged */
    route_rules rules;         /* the policy in force */
    drift_state drift;         /* of the two sides that are compared here */
} route_input;

typedef struct route_decision {
    route_choice choice;
    route_state state;
    char provider[ROUTE_NAME_BYTES]; /* "" for refuse */
    privacy_place place;
    char evidence[DIGEST_HEX]; /* what it rests on; "" when on nothing */
    char run[UUID_TEXT];
    /* of the local side; met_margin also when there is nothing to compare with */
    bool met_bar, met_margin, met_limits, complete;
    route_cascade cascade;     /* over this choice: who is asked first, and who then */
    bool below_bar;            /* LOCAL, though its bar is not met: whoever asks is told, in these words: */
    char below[128];           /* "40 of 60 right, lower bound 53.3 %, bar 80 %"; else "" */
    bool proposed;             /* it would be LOCAL, were it applied (route_rules.propose) */
    int64_t policy;            /* the version that was in force; 0: none */
    char reason[ROUTE_REASON_BYTES]; /* one sentence or two; never empty */
} route_decision;

void route_decide(const route_input *in, route_decision *out);

/* ---- facts from the ledger ---- */

struct task; /* task/task.h */

/* A provider that may be chosen: from the config. Local ones that were only measured by SPEC come from the ledger. */
typedef struct route_candidate {
    const char *name;
    privacy_place place;
    bool recording;            /* replay: shown, never chosen */
    double price_input, price_output; /* US dollars per million tokens; NAN: not known. Not read for local places */
    bool public_only;          /* config's class_max, where it is narrower than the place */
} route_candidate;

/* The digest of the weights that a local provider has today: "" they are not there. False: nobody can know. */
typedef bool route_weights(const void *user, const char *provider, char out[DIGEST_HEX]);

typedef struct route_settings {
    const route_candidate *candidates;
    size_t n_candidates;
    const char *machine;       /* whose speed counts: a ledger_machine_id; NULL: this machine's */
    uint64_t memory_limit_bytes; /* 0: not known */
    privacy_class privacy;     /* of the request, where it is above the task's: which clouds it may choose from */
    route_weights *weights;    /* NULL: evidence of a local provider is taken to be of the weights that it has */
    const void *weights_user;
    const char *numerics, *kv_type; /* of local answers now (base/numerics.h; the config's `kv`); NULL: likewise */
} route_settings;

/* l may be NULL (no ledger yet): then nothing is known. *out is complete or not written. Sides are chosen so: among
 * local sources the one that meets the task's requirements, else the one with the highest lower bound; the cloud is the
 * first configured one that the class allows, that is not known to cost more than the limit, and that has evidence;
 * else the first without evidence, else the first that costs more. */
status route_gather(ledger *l, const struct task *t, const route_settings *s, route_input *out, error *err) MUST_CHECK;

/* Keeps a decision in the ledger, with the counts and evidence that it rests on, when it differs from the task's newest
 * one: its verdict is the state's name. *written may be NULL. */
status route_record(ledger *l, const struct task *t, const route_input *in, const route_decision *d, bool *written,
                    error *err) MUST_CHECK;

/* ---- words ---- */

/* The whole argument, a few lines of plain text: counts, interval, bar, margin, limits, what is stale and why, ids. */
void route_explain(const route_input *in, const route_decision *d, buf *out);
/* The same as data. NULL without memory. */
js *route_to_js(const route_input *in, const route_decision *d);
/* The table of design: task, quality [interval], baseline, speed, memory, privacy, decision, reason. n rows. */
void route_table(const route_input *in, const route_decision *d, size_t n, size_t columns, buf *out);

#endif
