/* sequence_int.h: two texts as sequences of numbers, and what they have in common: n-grams, the longest common
 * subsequence, the edit distance. Any thread. Results do not depend on the machine. */
#ifndef TASK_SEQUENCE_INT_H
#define TASK_SEQUENCE_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

/* Pieces of one text. Alignment takes SEQUENCE_PIECES_MAX^2 / 64 steps at most, 2.7e8: 0.5 s for the subsequence and
 * 1.3 s for the distance on a core of a Xeon server; texts of 500 characters take 35 µs. */
enum { SEQUENCE_PIECES_MAX = 1 << 17, SEQUENCE_ORDERS_MAX = 16 };

/* The next piece (a character, a word) at or after *at; false at the end. */
typedef bool sequence_next(span text, size_t *at, span *piece);

/* Equal pieces of both texts have equal numbers, 0 … n_ids - 1. Zero-initialise; free with sequence_clear. */
typedef struct sequence_pair {
    uint32_t *a, *b;
    size_t na, nb, n_ids;
} sequence_pair;

/* E_RANGE when a text has more pieces than the ceiling. */
status sequence_open(sequence_pair *out, span a, span b, sequence_next *next, error *err) MUST_CHECK;
void sequence_clear(sequence_pair *p);

/* Every character (code point); every character that is no white space; maximal runs without white space. White space
 * is what Python's str.split() takes for it. */
bool sequence_char(span text, size_t *at, span *piece);
bool sequence_dark_char(span text, size_t *at, span *piece);
bool sequence_field(span text, size_t *at, span *piece);

/* n-grams of one order: how many each text has, and how many are in both (with repeats: sum of the smaller counts). */
typedef struct sequence_overlap {
    size_t a, b, both;
} sequence_overlap;
/* out[0 … orders): of the orders 1 … orders. O((na + nb) * orders). */
status sequence_ngrams(const sequence_pair *p, size_t orders, sequence_overlap *out, error *err) MUST_CHECK;

/* Length of the longest common subsequence, bit-parallel: H. Hyyrö, "Bit-parallel LCS-length computation revisited"
 * (2004). O(na * nb / 64). */
status sequence_lcs(const sequence_pair *p, size_t *out, error *err) MUST_CHECK;
/* Levenshtein distance (insert, delete, replace), bit-parallel in blocks: G. Myers, J. ACM 46 (1999); H. Hyyrö, "A
 * bit-vector algorithm for computing Levenshtein and Damerau edit distances" (2003). O(na * nb / 64). */
status sequence_distance(const sequence_pair *p, size_t *out, error *err) MUST_CHECK;

#endif
