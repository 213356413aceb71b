/* measure.h: runs a task's cases on one provider or several, grades the answers, keeps every finished case. Owner
 * thread; the cases themselves are asked by threads of its own (crew.h).
 *
 * Order of a run, and why:
 *  1. privacy: may this task's cases go to this place? (measure_allowed; before the provider opens)
 *  2. evidence: which answers in the ledger were made under the same evidence and prompt? Those are not asked again;
 *     when only the grader changed they are graded again without asking.
 *  3. for each case that is left: render, ask, grade, append in one transaction. A kill loses the cases in flight.
 *  4. after each: is the budget spent, is the question decided? Then nothing further begins.
 *  5. facts of the run: speed over the answers that this machine gave to one caller alone, peak memory, what it cost.
 * The first MEASURE_ALONE cases of a local arm are asked one at a time, for their times; the rest together (a batch
 * costs little more than one answer, and no answer depends on its company: docs/NUMERICS.md).
 * A provider that fails (timeout, crash, garbage, no recording) gives a failure, which is neither right nor wrong and
 * is tried again by the next run; max_failures in a row end its part of the run with E_PROVIDER. What was finished
 * stays.
 */
#ifndef MEASURE_MEASURE_H
#define MEASURE_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "ledger/ledger.h"
#include "ledger/tally.h"
#include "provider/provider.h"

struct task;          /* task/task.h */
struct measure_tools; /* tools.h */

/* E_DENIED with the user's sentence when the task's class forbids this place and its cases are not synthetic. A
 * recording (replay) sends nothing and is always allowed. */
status measure_allowed(const struct task *t, const char *provider_name, provider_kind kind, provider_place place,
                       error *err) MUST_CHECK;

/* The same for a SPEC or a configured name, before anything opens. */
status measure_spec_allowed(const struct task *t, const char *spec, const config *cfg, error *err) MUST_CHECK;

/* Who is asked: a provider, or in tests something worse. */
typedef status measure_ask(void *user, const request *r, event_fn *fn, void *fn_user, const provider_limits *limits,
                           error *err);

enum { MEASURE_ARMS_MAX = 16, MEASURE_ALONE = 20, MEASURE_FINDINGS_MAX = 24 };

/* What was foretold of a provider before it was asked; NAN: nothing. Kept beside what is measured (ledger.h,
 * LEDGER_PREDICTED). */
typedef struct measure_foretold {
    double decode_per_s, prefill_per_s; /* tokens per second, of an answer given alone */
    double peak_bytes;
} measure_foretold;

typedef struct measure_arm {
    const provider_info *who;
    measure_ask *ask;
    void *user;
    const measure_foretold *foretold; /* NULL: nothing was */
} measure_arm;

typedef struct measure_progress {
    const char *task, *provider; /* of several providers "": the figures are of all */
    uint32_t done, total;      /* cases: of this run, without those kept from before */
    uint32_t kept, failed, passed; /* answered before; failures now; passes among all graded so far */
    double cases_per_s;        /* 0 until the first is done */
    double eta_s;              /* -1: not known yet */
    uint32_t prefill_done, prefill_total; /* of the case in flight */
} measure_progress;

typedef struct measure_options {
    bool fresh;                /* ask again even what is answered */
    uint32_t limit;            /* asks only the first so many cases; 0: all. The result is of all that is answered */
    uint32_t case_timeout_ms;  /* 0: 120000 */
    uint32_t max_failures;     /* in a row; 0: 5 */
    uint32_t parallel;         /* cases at once of each arm, no more than the provider takes; 0: as many as it takes, of
                                  a remote one 4 */
    double max_cost_usd;       /* <= 0: no limit. Reserved for each case before it is asked: needs known prices */
    double max_seconds;        /* <= 0: no limit. Cases in flight are then given up */
    bool until_decided;        /* ends when the question is decided at `alpha`, however often one looks (decide.h);
                                  cases are then taken in the order of their ids' digests */
    double alpha;              /* 0: .05 */
    const struct measure_tools *tools; /* what the task's graders need, opened for this task; NULL: they need none */
    void (*progress)(void *user, const measure_progress *p); /* NULL: none. Called a few times a second at most */
    void *progress_user;
    const char *powercap;      /* where the energy counters lie; NULL: the system's (plat/energy.h) */
    const volatile int *stop;  /* NULL, or nonzero asks to end after what is finished: E_CANCELLED */
} measure_options;

/* What the run proved by the e-process, whatever it was watched for. */
typedef enum measure_decided { MEASURE_OPEN, MEASURE_PROVEN, MEASURE_REFUTED } measure_decided;
const char *measure_decided_name(measure_decided d); /* "open", "proven", "refuted" */

typedef struct measure_result {
    char run[UUID_TEXT];
    char evidence[DIGEST_HEX];
    uint32_t n_cases;          /* of the suite */
    uint32_t n_asked, n_kept, n_regraded, n_failed;
    uint32_t n_timeout;        /* of n_failed: no answer in time */
    uint32_t n_refused;        /* of n_asked: answers that decline to answer; they are graded like any other */
    uint32_t n_ungraded;       /* answers whose judge or model gave nothing that can be used: graded by the next run */
    uint32_t n, n_pass, n_wrong, n_malformed; /* the matching set: n = n_pass + n_wrong + n_malformed */
    double pass, pass_lower, pass_upper;      /* rate; Clopper-Pearson, 95 % */
    double score, score_lower, score_upper;   /* mean of scores, 95 % */
    double macro_f1, micro_f1; /* by label or field, of the first grader that has them (suite.h); NAN: none */
    double majority, regex;    /* baselines' pass rates on the same cases; NAN: the task has none */
    double resolution;         /* half width of the interval that this many cases give at worst */
    tally_speed speed;         /* on this machine, in the setting of the newest answer */
    double peak_bytes;         /* most memory the provider's process held; NAN: not known */
    double cost_usd;           /* of this run's answers at the provider's prices; NAN: not known */
    double cost_per_answer;    /* over the matching set; NAN: not known */
    measure_decided decided;   /* against the task's bar; OPEN when it has none */
    uint32_t decided_after;    /* cases */
    char stale[256];           /* why older answers do not count; "" when none are stale */
    char ended[96];            /* why the run ended before its last case: "max-cost", "max-time", "decided"; else "" */
    double seconds;            /* of this run */
} measure_result;

/* What makes one doubt a result, whatever it says. */
typedef struct measure_finding {
    const char *code; /* "own-answers", "below-chance", "label-noise", "malformed", "failures", "resolution": stable */
    bool grave;       /* nothing should be concluded before it is mended */
    char text[320];   /* a sentence; names cases by id, quotes none */
} measure_finding;

/* Of all arms together. */
typedef struct measure_outcome {
    size_t local, reference;   /* arms that are compared: the first local one and the first that is not, else the
                                  second; SIZE_MAX: there is none */
    uint32_t n_pairs;          /* cases that both answered */
    uint64_t win, tie, loss;   /* local alone right, both or neither, reference alone right */
    double difference, lower, upper; /* local - reference; 95 %: Tango, or of a run until decided the confidence
                                        sequence, which holds though the run chose its own end */
    double margin;
    measure_decided decided;   /* local is at most `margin` worse (an e-process: valid however often one looks) */
    double log_e;              /* of its evidence */
    uint32_t decided_after;    /* pairs */
    uint32_t n_unasked;        /* cases of all arms that a decision or budget made unnecessary */
    size_t n_findings;
    measure_finding findings[MEASURE_FINDINGS_MAX];
} measure_outcome;

/* results (n_arms) and *outcome (may be NULL) are written also when E_CANCELLED or E_PROVIDER ends the run early: they
 * then tell what is there. A budget that is spent is no error. The task's cases are loaded. E_FORMAT: the task draws at
 * a temperature above 0 without repeats; E_RANGE: --max-cost without prices. */
status measure_arms(ledger *l, const struct task *t, const measure_arm *arms, size_t n_arms, const measure_options *o,
                    measure_result *results, measure_outcome *outcome, error *err) MUST_CHECK;
/* The same for one arm. */
status measure_task(ledger *l, const struct task *t, const provider_info *who, measure_ask *ask, void *user,
                    const measure_options *o, measure_result *out, error *err) MUST_CHECK;
/* measure_ask for a provider *. */
status measure_ask_provider(void *p, const request *r, event_fn *fn, void *fn_user, const provider_limits *limits,
                            error *err);

/* The evidence under which this provider answers this task. Strings in *out are borrowed from who and from *keep, which
 * the caller frees (mem_free). */
status measure_evidence(const struct task *t, const provider_info *who, char **keep, ledger_evidence *out,
                        error *err) MUST_CHECK;

#endif
