/* agree.h: how two answers to one live request are compared, for which nobody has written down the right answer. Any
 * thread, on a const task whose cases are loaded.
 *
 *   graded     the task's graders need nothing that only a case has (`expected`): both answers are judged by them;
 *              value = pass of local - pass of cloud
 *   agreement  they need it: then the cloud's answer stands for `expected`, as a label, number, JSON or text, whichever
 *              the graders take so that the cloud's own answer passes; value = 1 where local passes, else 0
 * The comparison's base is the same value on the suite's cases that both sides answered. */
#ifndef ROUTE_AGREE_H
#define ROUTE_AGREE_H

#include "ledger/ledger.h"
#include "route/route.h"

struct task;

enum { AGREE_PAIRS_MIN = 20 };

typedef struct agree_base {
    bool graded;
    uint32_t n;        /* pairs of answers that were compared */
    double rate, low;  /* agreement: the share of them that agree, and its one-sided 95 % lower bound (Clopper-Pearson);
                          graded: 0, 0 */
} agree_base;

/* From the suite's answers of the two sides, as the ledger has them. E_UNSUPPORTED, with the reason: live answers of
 * this task cannot be compared (its graders need a tool or a value that no answer gives, tools or `prompt: caller`;
 * fewer than AGREE_PAIRS_MIN pairs; texts that were purged). */
status agree_measure(ledger *l, const struct task *t, const route_side *local, const route_side *cloud,
                     agree_base *out, error *err) MUST_CHECK;

typedef struct agree_result {
    double value;      /* NAN: nothing to compare: the cloud's answer is malformed */
    bool local_malformed;
} agree_result;
/* Two answers to one input. Errors as agree_measure's, and E_NOMEM. */
status agree_compare(const struct task *t, bool graded, const js *input, const char *local, const char *cloud,
                     agree_result *out, error *err) MUST_CHECK;

/* Whether an answer is malformed, without knowing the right one. E_UNSUPPORTED: it cannot be said. */
status agree_malformed(const struct task *t, const js *input, const char *answer, bool *out, error *err) MUST_CHECK;

#endif
