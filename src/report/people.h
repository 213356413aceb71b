/* people.h: what labels of people add up to, over the answers that count today. Owner thread.
 *
 * The unit is the answer (or the pair of answers to one case); of several labels of one the newest counts, whoever gave
 * it. Labels of answers that do not count today (another prompt, an older evidence) are counted apart. */
#ifndef REPORT_PEOPLE_H
#define REPORT_PEOPLE_H

#include "ledger/tally.h"
#include "stat/stat.h"

/* Two that say yes or no of the same answers: [people's word][the other's word], yes first. A matrix of confusion.h. */
typedef struct people_table {
    uint64_t counts[4]; /* both yes; only people; only the other; both no */
} people_table;
uint64_t people_table_n(const people_table *t);
uint64_t people_table_same(const people_table *t);
/* Cohen's kappa (confusion.h) and its 95 % interval; NAN where chance alone would agree. interval may be NULL. */
double people_kappa(const people_table *t, stat_interval *interval);

typedef struct people_rate { /* of one side's answers */
    uint64_t n, accepted, fixed;
    people_table graders;    /* of those that are graded */
} people_rate;

typedef struct people people;

/* Tallies and labels must outlive it. Labels come oldest first. */
status people_open(const tally *const *sides, size_t n_sides, const ledger_labels *labels, people **out,
                   error *err) MUST_CHECK;
void people_close(people **p);
size_t people_count(const people *p); /* who labelled */
size_t people_stale(const people *p); /* labels of answers that do not count today */
const people_rate *people_rate_of(const people *p, size_t side);
/* Comparisons of two sides: w: a was better. */
stat_pairs people_pairs(const people *p, size_t a, size_t b);
/* Every answer that carries a label of its own, with the newest one. */
typedef status people_each_answer(void *user, size_t side, const tally_slot *slot, const ledger_label *label,
                                  error *err);
status people_each(const people *p, people_each_answer *each, void *user, error *err) MUST_CHECK;

#endif
