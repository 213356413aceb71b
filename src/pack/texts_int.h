/* texts_int.h: how pieces come about. Private to src/pack. */
#ifndef PACK_TEXTS_INT_H
#define PACK_TEXTS_INT_H

#include "pack/texts.h"
#include "token/vocab.h"

/* The tokens that the vocabulary wants before and after a text; -1: none. */
typedef struct text_frame {
    int32_t front, back;
} text_frame;
status texts_frame(text_frame *out, const struct vocab *v, error *err) MUST_CHECK;
/* E_RANGE: a limit of texts.h. */
status texts_check(uint32_t piece, uint64_t max_tokens, error *err) MUST_CHECK;

/* Empty, with room for max_tokens in any pieces. E_NOMEM. */
status texts_room(texts *out, uint64_t max_tokens, error *err) MUST_CHECK;
/* A piece of these tokens in their frame; there is room. */
void texts_put(texts *t, const text_frame *f, const int32_t *ids, size_t n);

/* Puts texts into pieces, whole and in order, until there are max_tokens; the last one may be cut. */
typedef struct packer {
    texts *out; /* has room for max_tokens */
    uint32_t piece;
    uint64_t max_tokens;
} packer;
/* A text of n <= piece tokens, frame included. True: there are enough. */
bool packer_add(packer *p, const int32_t *ids, size_t n);

enum { TEXTS_HELD_OUT = 2 }; /* of five neighbours, from 0 */

/* Finds out that a text repeats itself, or goes round with few words. Zero-initialise. */
enum {
    LOOP_PERIODS = 128, /* the longest that is seen */
    LOOP_LEAST = 32,    /* tokens of it, beside two periods */
    LOOP_WINDOW = 160, LOOP_VARIETY = 20, /* tokens that have so few different ones go round too: every so many */
    LOOP_STRIDE = 16,
};
typedef struct loop_watch {
    uint32_t run[LOOP_PERIODS + 1]; /* how many of the last tokens are those `period` before them */
} loop_watch;
/* ids[n - 1] is new, for n = 1, 2, ... How many tokens, from the front, are to stay: n, or less. What repeats itself
 * again and again stays twice, of what goes round half a window. */
size_t loop_watch_add(loop_watch *w, const int32_t *ids, size_t n);

#endif
