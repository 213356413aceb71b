/* measure_int.h: between the files of measure/. */
#ifndef MEASURE_MEASURE_INT_H
#define MEASURE_MEASURE_INT_H

#include <stdatomic.h>

#include "base/buf.h"
#include "measure/measure.h"
#include "task/evidence.h"
#include "measure/tools.h"
#include "task/grade.h"

enum { ANSWER_BYTES_MAX = 8 << 20 };

struct crew;

/* One arm of a run. Its owner's alone, but for what ask.c reads (what does not change) and writes (the two counts). */
typedef struct arm {
    ledger *l;
    const task *t;
    const provider_info *who;
    measure_ask *ask;
    void *user;
    const measure_options *o;
    const measure_foretold *foretold; /* NULL: nothing was */
    bool local;            /* computed here */
    bool over;             /* this arm asks no more: too many failures */
    char *sampling;        /* measure_evidence's */
    ledger_evidence evidence;
    task_case_key *by_task;
    tally_key *keys;
    size_t n_keys;
    size_t n_wanted;       /* the first so many are looked at in this run; the result is of all that is answered */
    uint32_t repeats;
    const task_prompt *prompt;
    ledger_rows rows;
    tally tally;
    char run[UUID_TEXT];
    uint32_t n_asked, n_kept, n_regraded, n_failed, failures_in_row, passed;
    uint32_t n_timeout, n_refused, n_ungraded, n_alone;
    uint32_t total;        /* to ask in this run */
    uint64_t began_us;
    double peak_bytes, cost_usd;
    double dearest_usd;    /* the crew's: what one answer cost at most so far */
    uint64_t throttled;    /* machine_throttles() at the beginning */
    double energy_j, energy_s; /* of the processor while this arm asked, and for how long; NAN: not known */
    char ended[96], ungraded_why[160];
    atomic_uint prefill_done, prefill_total; /* of the newest case in flight that said so */
} arm;

/* ask.c: one case, asked. The answer's text is in *text; what does not hold is made unknown (-1). */
typedef struct reply {
    buf text;
    ledger_answer row;     /* counts and times; the texts are not set */
    uint64_t peak_bytes;
    char kind[48];         /* of a failure: "timeout", "garbage", "wrong-model", … */
    bool denied;           /* policy said no: not the provider's fault */
} reply;
/* OK; E_CANCELLED: the run is given up; anything else is a failure of this case, kind says which. Any thread. */
status ask_case(arm *s, const struct crew *c, const task_case *what, uint32_t repeat, reply *out,
                char **prompt_text, error *err) MUST_CHECK;

/* ---- arm.c: one arm, before and after its cases are asked ---- */
status arm_open(arm *s, error *err) MUST_CHECK; /* what is there already is kept and graded again */
void arm_close(arm *s);
status arm_begin(arm *s, error *err) MUST_CHECK; /* the run's row */
/* What graders say of an answer. Any thread. grade.detail is of `detail`. */
typedef struct verdict {
    status graded;   /* OK; E_PROVIDER and E_UNSUPPORTED: not now, the answer stays ungraded; else the task's fault */
    error why;
    ledger_grade grade;
    char *detail;    /* JSON (mem_free) */
    bool refused;
} verdict;
void arm_judge(const arm *s, size_t key, const char *text, size_t n, const grade_facts *facts, verdict *out);
/* Appends an answer with its verdict, or a failure; E_PROVIDER when that was one too many, and what the ledger says.
 * The slot of the tally is filled in. */
status arm_keep_answer(arm *s, size_t key, uint32_t repeat, reply *r, const verdict *v, const char *prompt_text,
                       error *err) MUST_CHECK;
status arm_keep_failure(arm *s, size_t key, uint32_t repeat, const reply *r, const error *why,
                            error *err) MUST_CHECK;
/* This case was asked in this run and got no answer. */
bool arm_failed(const arm *s, size_t key);
/* US dollars at the provider's prices; NAN when not known. */
double arm_cost(const arm *s, const ledger_answer *a);

/* ---- decide.c: what the cases so far prove, whenever one looks ----
 * Cases count in `order` (NULL: by key) up to the first one that is still to come: which cases are fast must not decide
 * which ones count. Cases that got no answer are left out. */
/* The pairs of two arms: non-inferiority of local at the task's margin. */
void decide_pairs(const arm *local, const arm *reference, const uint32_t *order, double alpha,
                  measure_outcome *out);
/* One arm against the task's bar. */
void decide_bar(const arm *s, const uint32_t *order, double alpha, measure_result *out);
/* The keys (the cases that are measured, numbered in file order) in the order of the digests of their clusters: as good
 * as random, and the same every time. mem_free. */
status decide_order(const task *t, uint32_t **out, error *err) MUST_CHECK;

/* checks.c: what speaks against trusting the results. */
status checks_run(const arm *arms, size_t n_arms, const measure_result *results, measure_outcome *out,
                  error *err) MUST_CHECK;

/* summary.c: reads the ledger again and sums up; writes the run's facts. */
status measure_summary(arm *s, measure_result *out, error *err) MUST_CHECK;
/* Answers of this evidence into s->rows and s->tally, replacing what was there. */
status measure_read(arm *s, error *err) MUST_CHECK;

#endif
