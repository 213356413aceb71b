/* tally.h: a task's result: which of the ledger's answers match what is asked and judged today, and what they add up
 * to. What does not match is counted by its reason and never pooled. Owner thread.
 *
 * The unit is the case. A case counts when all its repeats are answered and graded; it passes when more than half of
 * them pass, is malformed when more than half are, and is wrong otherwise; its score is their mean. Of several answers
 * to the same case and repeat the newest counts. */
#ifndef LEDGER_TALLY_H
#define LEDGER_TALLY_H

#include "ledger/ledger.h"

/* What one case is asked and judged by today; borrowed. */
typedef struct tally_key {
    const char *case_id, *prompt, *grader;
} tally_key;

typedef struct tally_slot { /* of one case and repeat */
    const ledger_row *row;  /* NULL: not answered */
    bool graded;
    ledger_grade grade;
} tally_slot;

enum { TALLY_OPEN = -1 }; /* the outcome of a case that does not count yet */

typedef struct tally {
    size_t n_keys;
    uint32_t repeats;
    tally_slot *slots;    /* [key * repeats + repeat] */
    signed char *outcome; /* [key]: TALLY_OPEN or a ledger_outcome */
    double *score;        /* [key] */
    uint32_t n, n_pass, n_wrong, n_malformed; /* cases */
    uint32_t ungraded;    /* answers that only want grading: the graders or what is expected changed */
    uint32_t stale_prompt, stale_case; /* answers to another prompt; to a case that is not there any more */
} tally;

/* rows (of one evidence) must outlive the tally. */
status tally_make(ledger *l, const ledger_rows *rows, const tally_key *keys, size_t n_keys, uint32_t repeats,
                  tally *out, error *err) MUST_CHECK;
void tally_clear(tally *t);
/* Sums the cases up again after slots were changed (a new answer, a new grade). */
void tally_sum(tally *t);
/* One slot anew, and the sums with it. grade NULL: answered, or given up, without a grade. row must outlive the tally.
 * */
void tally_put(tally *t, size_t key, uint32_t repeat, const ledger_row *row, const ledger_grade *grade);

/* Speed over the answers of one setting: those whose machine, threads, ISA, power source and concurrency are the newest
 * answer's among those of the least concurrency (1: asked alone). machine NULL: that answer's machine. NAN where
 * nothing says. */
typedef struct tally_speed {
    uint32_t n, concurrency;
    double prefill_per_s, decode_per_s;       /* tokens per second, over all tokens */
    double ttft_p50_ms, ttft_p95_ms;          /* nearest rank */
    double answer_p50_ms, answer_p95_ms;
} tally_speed;
status tally_measure_speed(const tally *t, const char *machine, tally_speed *out, error *err) MUST_CHECK;

/* Tokens of an answer, prompt and output, on average over those that say both; NAN of none. */
void tally_mean_tokens(const tally *t, double *prompt, double *output);

/* "the prompt changed (60 answers), 2 cases are gone": why answers do not count; "" when all do. Returns text. */
char *tally_stale_text(const tally *t, char *text, size_t bytes);

#endif
