/* lang.h: regular languages over bytes, by derivatives.
 *
 * A lang is a regular expression in a lang_set: equal expressions are one lang (they are interned), and their boolean
 * combinations are expressions like any other. A lang is also a state of a deterministic automaton: lang_step(l, b)
 * is the language of what may follow b in l, its derivative (Brzozowski, "Derivatives of regular expressions", J. ACM
 * 11, 1964; with sets of bytes as letters: Owens, Reppy, Turon, "Regular-expression derivatives re-examined", JFP 19,
 * 2009). States are made when they are first asked for, so an expression may count to a million.
 *
 * Text is UTF-8, a character is one or more bytes here; a lang of whole texts holds valid UTF-8 only, if its parts do.
 *
 * Errors are sticky: without memory, or past a ceiling, every constructor answers LANG_NONE from then on. Build freely
 * and ask lang_ok() before the result is used. Nothing here recurses deeper than LANG_MAX_DEPTH.
 *
 * Threads: a set with all its langs belongs to one thread at a time, questions included (they make states). */
#ifndef GRAMMAR_LANG_H
#define GRAMMAR_LANG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct lang_set lang_set;
typedef uint32_t lang; /* lives in one set, and as long as it */

enum {
    LANG_NONE = 0,  /* no text at all */
    LANG_EMPTY = 1, /* only the empty text */

    LANG_MAX_NODES = 1 << 20,  /* expressions in a set, states included */
    LANG_MAX_DEPTH = 2000,     /* of nested operators */
    LANG_MAX_SEARCH = 1 << 14, /* states looked at to answer one question about emptiness */
};
#define LANG_UNBOUNDED UINT32_MAX

status lang_set_open(lang_set **out, error *err) MUST_CHECK;
void lang_set_close(lang_set **set);
/* OK, or the first E_NOMEM or E_RANGE since the set was opened. */
status lang_ok(const lang_set *set, error *err) MUST_CHECK;
size_t lang_set_bytes(const lang_set *set); /* memory it holds */

/* ---- constructors ---- */

/* Exactly this text, any bytes. */
lang lang_text(lang_set *set, const char *bytes, size_t n);
/* One byte of a set: bit b of bits[b / 64]. */
lang lang_bytes(lang_set *set, const uint64_t bits[4]);

typedef struct lang_range {
    uint32_t first, last; /* code points, both included; surrogates in it are skipped */
} lang_range;
/* One character of the ranges (in any order, they may overlap), or with `negated` any other character. */
lang lang_class(lang_set *set, const lang_range *ranges, size_t n, bool negated);
lang lang_char(lang_set *set);     /* any character */
lang lang_any_text(lang_set *set); /* any characters, or none */

lang lang_seq(lang_set *set, lang a, lang b);
lang lang_alt(lang_set *set, lang a, lang b);
lang lang_alt_n(lang_set *set, const lang *parts, size_t n); /* of many at once: much cheaper than one by one */
lang lang_and(lang_set *set, lang a, lang b);
/* All texts (valid UTF-8) that are not in l. */
lang lang_not(lang_set *set, lang l);
/* min to max times l; max may be LANG_UNBOUNDED. min > max: LANG_NONE. */
lang lang_repeat(lang_set *set, lang l, uint32_t min, uint32_t max);
static inline lang lang_optional(lang_set *set, lang l)
{
    return lang_repeat(set, l, 0, 1);
}

/* The JSON strings, quotes included, whose value is in l (texts). Canonical: `"` and `\` behind a backslash, \b \f \n
 * \r \t, other characters below U+0020 as \u00xx in lower case, everything else as itself. Loose also takes for each
 * ASCII character \/ and \u00xx in either case; the others still only as themselves. */
typedef enum lang_json_form { LANG_JSON_CANONICAL, LANG_JSON_LOOSE } lang_json_form;
lang lang_json_string(lang_set *set, lang l, lang_json_form form);

/* The texts that a regular expression of ECMA-262 with the flag u accepts, as JSON Schema wants it: characters,
 * . [] [^] | () (?:) (?<name>) * + ? {m} {m,} {m,n} and their lazy forms (which accept the same), ^ and $ anywhere,
 * lookaheads (?=) (?!), \d \D \w \W \s \S, \t \n \v \f \r \0 \cX \xHH \uHHHH \u{H} (surrogate pairs are joined),
 * \p{..} and \P{..} of general categories. LANG_SEARCH: the expression matches somewhere in the text; LANG_WHOLE: it
 * matches the text.
 * E_FORMAT: not a regular expression; E_UNSUPPORTED: back references, lookbehinds, \b, other properties, a ^ or an
 * assertion where it would be repeated; both name the construct and its offset. E_RANGE, E_NOMEM: lang_ok's. */
typedef enum lang_anchoring { LANG_SEARCH, LANG_WHOLE } lang_anchoring;
status lang_regex(lang_set *set, const char *pattern, size_t n, lang_anchoring how, lang *out, error *err) MUST_CHECK;

/* ---- the automaton ---- */

/* What may follow byte b; LANG_NONE: nothing of l begins so (exactly: a state that cannot reach an end is
 * LANG_NONE). */
lang lang_step(lang_set *set, lang l, unsigned char b);
/* The 256 answers of lang_step at once: borrowed, lives as long as the set. NULL when the set is not ok. For states
 * that are asked often. */
const lang *lang_row(lang_set *set, lang l);
/* Is the empty text in l: is this state an accepting one. */
bool lang_has_empty(const lang_set *set, lang l);

/* ---- questions; the answer is worth something only if lang_ok() is still OK after it ---- */

bool lang_matches(lang_set *set, lang l, const char *text, size_t n);
bool lang_is_none(lang_set *set, lang l);              /* l has no text at all; exact */
bool lang_disjoint(lang_set *set, lang a, lang b);     /* no text is in both */
bool lang_includes(lang_set *set, lang whole, lang l); /* every text of l is in whole */

#endif
