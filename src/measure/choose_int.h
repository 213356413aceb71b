/* choose_int.h: between the files of choosing. */
#ifndef MEASURE_CHOOSE_INT_H
#define MEASURE_CHOOSE_INT_H

#include "measure/choose.h"

/* What the candidates' answers say, case by case in the order in which they are asked: [candidate * n_cases + place].
 * -1 (TALLY_OPEN) is a case without an answer. Pure data: no ledger, so that it can be simulated. */
typedef struct choose_table {
    size_t m, n_cases;
    const uint32_t *unit;  /* [place]: the cluster, ascending from 0 */
    signed char *outcome;  /* ledger_outcome */
    signed char *slow;     /* 1: this answer, given alone, took longer than the limit */
    double *usd, *joules;  /* of the answer; NAN: not known */
    double *scratch;       /* [n_cases] */
} choose_table;

typedef struct choose_rules {
    double alpha, bar, margin; /* bar outside (0, 1): none */
    double malformed;      /* greatest share; negative: no limit */
    bool limits_latency;
    size_t m;              /* what alpha is shared among */
} choose_rules;

/* ---- choose_judge.c: pure ---- */
/* After a round: the first `seen` places are in. Sets bar, and end, why, better of rows that are now dropped. */
void choose_judge(const choose_table *t, size_t seen, const choose_rules *r, choose_row *rows);
/* The rate and its interval of one row with what was seen of it. */
void choose_rate(const choose_table *t, size_t i, const choose_rules *r, choose_row *row);
/* Marks those that are tied with the best of the rows left. Returns their number. */
size_t choose_ties(const choose_table *t, size_t seen, const choose_rules *r, choose_row *rows);
/* i is proven to be at most the margin worse than every other row that is left. */
bool choose_is_enough(const choose_table *t, size_t seen, const choose_rules *r, const choose_row *rows, size_t i);
/* The row that the user prefers among those for which `among` is set; SIZE_MAX: none. */
size_t choose_preferred(const choose_row *rows, size_t n, const task_limits *limits, choose_prefer prefer,
                        const bool *among);
/* i is known to be the fastest (smallest, …) of those, whatever else put it first. */
bool choose_is_first(const choose_row *rows, size_t n, choose_prefer prefer, const bool *among, size_t i);
/* How many of the task's limits what was seen of a row is over, proven or not. */
int choose_exceeds(const choose_row *row, const task_limits *limits);

/* ---- choose_read.c: what the ledger holds of one candidate ---- */
/* asked: the task as this candidate is asked, its cases in order. Fills row i of the table and the row's facts.
 * E_UNSUPPORTED: it cannot be asked like this. */
status choose_read(ledger *l, const task *asked, const provider_info *who, const choose_options *o, choose_table *t,
                   size_t i, choose_row *row, error *err) MUST_CHECK;

#endif
