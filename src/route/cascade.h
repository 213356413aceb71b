/* cascade.h: within a task that may go to a cloud, the local answers that are sure enough are taken and the others are
 * asked of the cloud. Pure; any thread. docs/STATISTICS.md says it in plain words.
 *
 * The measure of sureness is the mean log-probability of an answer's tokens (natural logarithm, the model's own
 * probabilities; a token that a grammar forced counts as certain): the ledger keeps it, and a served answer has it.
 *
 * The calibration: thresholds from strict to lax on a grid that is fixed before any answer is looked at,
 *   tau_j = -10^(-5 + j / 16), j = 0 … 96
 * walked by stat_choose_threshold (stat/confidence.h): at each the share of wrong answers among the accepted ones is
 * bounded (Clopper and Pearson, one-sided), and the last threshold before the first whose bound exceeds the risk is
 * taken. Of n cases the walk begins where max(N0, min(n / 4, N2)) are accepted, N0 and N2 being what no and two wrong
 * answers need to pass: earlier one mistake would end it for want of data. That looks at the log-probabilities only,
 * never at what was right, and so does not disturb the promise: the true risk of what is accepted exceeds `risk` in at
 * most 1 - confidence of all calibrations.
 *
 * The decision is an overlay: a cascade changes a decision only where the cloud alone would be too dear (refuse becomes
 * cloud) and where a task is below its requirements by itself (state cloud stays candidate). Whoever does not know of
 * cascades does with `choice` what they would have done without one. */
#ifndef ROUTE_CASCADE_H
#define ROUTE_CASCADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/js.h"
#include "privacy/privacy.h"

struct route_input;
struct route_decision;

enum { CASCADE_NAME_BYTES = 256, CASCADE_WHY_BYTES = 256 };

/* What the evidence of the local side says: a part of the facts. */
typedef struct route_calibration {
    bool asked;              /* the task has `cascade`; what follows is only set then */
    double risk, confidence; /* as the task says */
    bool found;
    double tau;              /* accepted from this mean log-probability on */
    uint32_t n;              /* answers that it rests on, one a case */
    uint32_t n_accepted, n_wrong, n_malformed; /* accepted, and of them not right, and of these malformed */
    uint32_t n_needed;       /* accepted answers without a mistake that could prove the risk at all */
    double coverage, coverage_lower, coverage_upper; /* accepted / n, 95 % (Clopper-Pearson) */
    double risk_upper;       /* bound of the share of wrong answers among accepted ones, at `confidence` */
    double auroc;            /* chance that a right answer is surer than a wrong one; NAN: not known */
    char why[CASCADE_WHY_BYTES]; /* not found: why not */
} route_calibration;

/* What is done. */
typedef struct route_cascade {
    bool on;
    char local[CASCADE_NAME_BYTES], cloud[CASCADE_NAME_BYTES]; /* who answers first, and who answers what is not sure */
    privacy_place cloud_place;
    char local_evidence[DIGEST_HEX], cloud_evidence[DIGEST_HEX]; /* "" never measured */
    double tau, coverage, risk_upper;
    uint32_t n;
    double cost_usd;       /* expected: what is escalated times the cloud's; NAN: not known */
    double latency_p95_ms; /* the local one, and the cloud's times the share that is escalated; NAN: not known */
    char why[CASCADE_WHY_BYTES]; /* asked for, and not on: why not */
} route_cascade;

/* Answers of one model to n cases, independent of each other. Sets found and everything after it (why too); asked, risk
 * and confidence are set, and sensible. */
void route_calibrate(const double *mean_logprob, const bool *right, const bool *malformed, size_t n,
                     route_calibration *c);
/* No calibration, and the reason. */
void route_calibrate_not(route_calibration *c, const char *format, ...) PRINTF_LIKE(2, 3);

/* What decide.c found out about the local side without a cascade. */
typedef struct cascade_plain {
    bool usable, complete; /* it may be asked; its whole suite is answered */
    bool proven;           /* it meets the task's requirements by itself */
    bool compared;         /* with a measured cloud */
    bool met_margin;
    bool cloud_allowed;    /* there is a cloud that the class allows */
    bool pinned, held;     /* a policy says where it goes; it only proposes that this task may be local */
} cascade_plain;
/* The last step of route_decide: `out` is decided as without a cascade. Adds to the reason's words. */
void route_decide_cascade(const struct route_input *in, const cascade_plain *plain, struct route_decision *out,
                          buf *words);

/* Lines of route_explain; nothing when the task has no cascade. */
void route_explain_cascade(const struct route_input *in, const struct route_decision *d, buf *out);
/* As data: null when the task has none. NULL without memory. */
js *route_cascade_js(const struct route_input *in, const struct route_decision *d);

#endif
