/* measure.h: runs a task's cases on a provider, grades them, keeps every finished case. Owner thread.
 *
 * Order of a run, and why:
 *  1. privacy: may this task's cases go to this place? (measure_allowed; before the provider opens)
 *  2. evidence: which answers in the ledger were made under the same evidence and prompt? Those are not asked again;
 *     when only the grader changed they are graded again without asking.
 *  3. for each case that is left: render, ask, grade, append in one transaction. A kill loses the case in flight.
 *  4. facts of the run: speed over all answers that this machine made in the same setting, peak memory.
 * A provider that fails (timeout, crash, garbage, no recording) gives a failure, which is neither right nor wrong and
 * is tried again by the next run; max_failures in a row stop the run with E_PROVIDER. What was finished stays. */
#ifndef MEASURE_MEASURE_H
#define MEASURE_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "ledger/ledger.h"
#include "ledger/tally.h"
#include "provider/provider.h"

struct task; /* task/task.h */

/* E_DENIED with the user's sentence when the task's class forbids this place and its cases are not synthetic. A
 * recording (replay) sends nothing and is always allowed. */
status measure_allowed(const struct task *t, const char *provider_name, provider_kind kind, provider_place place,
                       error *err) MUST_CHECK;

/* Who is asked: a provider, or in tests something worse. */
typedef status measure_ask(void *user, const request *r, event_fn *fn, void *fn_user, const provider_limits *limits,
                           error *err);

typedef struct measure_progress {
    const char *task, *provider;
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
    void (*progress)(void *user, const measure_progress *p); /* NULL: none. Called a few times a second at most */
    void *progress_user;
    const volatile int *stop;  /* NULL, or nonzero asks to end after what is finished: E_CANCELLED */
} measure_options;

typedef struct measure_result {
    char run[UUID_TEXT];
    char evidence[DIGEST_HEX];
    uint32_t n_cases;          /* of the suite */
    uint32_t n_asked, n_kept, n_regraded, n_failed;
    uint32_t n, n_pass, n_wrong, n_malformed; /* the matching set: n = n_pass + n_wrong + n_malformed */
    double pass, pass_lower, pass_upper;      /* rate; Clopper-Pearson, 95 % */
    double score, score_lower, score_upper;   /* mean of scores, 95 % */
    double majority, regex;    /* baselines' pass rates on the same cases; NAN: the task has none */
    double resolution;         /* half width of the interval that this many cases give at worst */
    tally_speed speed;         /* on this machine, in the setting of the newest answer */
    double peak_bytes;         /* most memory the provider's process held; NAN: not known */
    char stale[256];           /* why older answers do not count; "" when none are stale */
    double seconds;            /* of this run */
} measure_result;

/* out is written also when E_CANCELLED or E_PROVIDER ends the run early: it then tells what is there. The task's cases
 * are loaded. */
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
