/* pretok.h: pre-tokenisers: how byte-level BPE vocabularies cut a text into words before any merge (private to token/).
 *
 * A pre-tokeniser is data: a row of pretok_table.c names up to PRETOK_PASSES patterns in a small regular-expression
 * language; pretok_compile turns them into programs. Each pass cuts the pieces of the pass before: matches become
 * pieces, and so does the text between two matches. A piece is a text of its own for the next pass (its end is an end).
 *
 * The language (only what the rows need):
 *     pattern  alternatives separated by |, tried in order, greedy, with backtracking over repetitions
 *     [..] [^..]  class of characters, ranges, and the classes below; \u{XXXX} a code point
 *     \p{L} \p{Lu} ..  general categories (Unicode 15.0, from utf8proc)   \s \S white space   \d = \p{Nd}
 *     (?:..)   group, atomic: its first match stands       (?!..) the next character is not in the class
 *     ? * + {m} {m,n}                                      $  end of the piece (after a repetition only)
 *
 * Time is linear in the text for every row of the table: repetitions give back at most one run, and a run that has
 * been given up by all alternatives but one is consumed by that one. */
#ifndef TOKEN_PRETOK_H
#define TOKEN_PRETOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { PRETOK_PASSES = 6 };

/* What a tokenizer.ggml.pre name stands for. */
typedef struct pretok_row {
    const char *names; /* separated by spaces */
    const char *pass[PRETOK_PASSES];
    unsigned flags;
} pretok_row;

enum {
    PRETOK_IGNORE_MERGES = 1, /* a word that is a token is that token, whatever the merges say */
    PRETOK_ADD_BOS = 2,       /* default of tokenizer.ggml.add_bos_token */
    PRETOK_RAW = 4,           /* tokens are text with U+2581 for spaces, not bytes in GPT-2's alphabet */
    PRETOK_NO_BOS = 8,        /* there is no begin token, whatever the key says */
};

extern const pretok_row pretok_table[];
extern const size_t pretok_table_rows;
const pretok_row *pretok_find(const char *name, size_t n); /* NULL: not known */
const char *pretok_nearest(const char *name, char text[64]); /* a known name that is near, or NULL */

typedef struct pretok pretok;
status pretok_compile(pretok **out, const pretok_row *row, error *err) MUST_CHECK;
void pretok_close(pretok **p);
size_t pretok_bytes(const pretok *p);
size_t pretok_most_bytes(void); /* of any */

/* Calls word(user, bytes, n) for every piece of text[0..n), which is valid UTF-8, in order; stops at the first status
 * that is not OK and returns it. */
typedef status pretok_word(void *user, const char *bytes, size_t n);
status pretok_split(const pretok *p, const char *text, size_t n, pretok_word *word, void *user);

#endif
