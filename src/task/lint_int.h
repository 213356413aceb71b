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
/* Of `length` words each, 1 to 5; grams_of: 5. */
status grams_of_words(gram_set *out, const char *text, size_t n, size_t length, error *err);
/* Both from grams_of, or both from the same grams_pairs. */
double grams_similarity(const gram_set *a, const gram_set *b);
/* Calls visit for pairs of sets that are near (> 0.5), by `later`, unless skip says that the pair does not matter; a
 * set that is near very many others (GRAMS_LOOKS_MAX) is not compared with all of them. Sorts the sets. */
enum { GRAMS_LOOKS_MAX = 4096 };
typedef bool grams_skip(void *at, size_t earlier, size_t later);
typedef status grams_visit(void *at, size_t earlier, size_t later, double similarity);
status grams_pairs(gram_set *sets, size_t n, grams_skip *skip, grams_visit *visit, void *at, error *err);

#endif
