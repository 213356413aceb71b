/* measure_int.h: between the files of measure/. */
#ifndef MEASURE_MEASURE_INT_H
#define MEASURE_MEASURE_INT_H

#include "base/buf.h"
#include "measure/measure.h"
#include "task/evidence.h"
#include "task/grade.h"

enum { ANSWER_BYTES_MAX = 8 << 20 };

/* One measure_task. */
typedef struct session {
    ledger *l;
    const task *t;
    const provider_info *who;
    measure_ask *ask;
    void *user;
    const measure_options *o;
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
    uint32_t total;        /* to ask in this run */
    uint64_t began_us, told_us;
    double peak_bytes;
} session;

/* ask.c: one case, asked. The answer's text is in *text; what does not hold is made unknown (-1). */
typedef struct reply {
    buf text;
    ledger_answer row;     /* counts and times; the texts are not set */
    uint64_t peak_bytes;
    char kind[48];         /* of a failure: "timeout", "garbage", "wrong-model", … */
    bool denied;           /* policy said no: not the provider's fault */
} reply;
/* OK; E_CANCELLED: the caller asked to stop; anything else is a failure of this case, kind says which. */
status ask_case(session *s, const task_case *c, uint32_t repeat, reply *out, char **prompt_text,
                error *err) MUST_CHECK;

/* Tells the caller how far it is: at once when `now`, else a few times a second. */
void measure_tell(session *s, bool now, uint32_t prefill_done, uint32_t prefill_total);

/* summary.c: reads the ledger again and sums up; writes the run's facts. */
status measure_summary(session *s, measure_result *out, error *err) MUST_CHECK;
/* Answers of this evidence into s->rows and s->tally, replacing what was there. */
status measure_read(session *s, error *err) MUST_CHECK;

#endif
