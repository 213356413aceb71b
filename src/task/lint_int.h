/* lint_int.h: sets of word 5-grams, shared by lint.c and similar.c. */
#ifndef TASK_LINT_INT_H
#define TASK_LINT_INT_H

#include "task/lint.h"

typedef struct gram {
    uint64_t hash;
    uint32_t count; /* in how many sets; 0 until grams_pairs */
} gram;
typedef struct gram_set {
    size_t n;
    gram *grams; /* each once; mem_free */
} gram_set;

status grams_of(gram_set *out, const char *text, size_t n, error *err);
/* Both from grams_of, or both from the same grams_pairs. */
double grams_similarity(const gram_set *a, const gram_set *b);
/* Calls visit once for every later set that is near (> 0.5) an earlier one, with one of those. Sorts the sets. */
typedef status grams_visit(void *at, size_t earlier, size_t later, double similarity);
status grams_pairs(gram_set *sets, size_t n, grams_visit *visit, void *at, error *err);

#endif
