/* lang_int.h: the expressions of a lang_set. Private to lang*.c and regex.c.
 *
 * Invariants:
 * 1. Interned: two nodes never have the same kind and fields. Children have smaller ids than their parents.
 * 2. Normal form. SEQ leans right (a is no SEQ), neither side NONE or EMPTY. ALT and AND have at least two children,
 *    ascending, none of the same kind, at most one SET; no NONE. REPEAT's child is neither NONE nor EMPTY; of a child
 *    that has the empty text the least count is 0; never {1,1}. So without AND and NOT below it, only LANG_NONE is
 * empty.
 * 3. TEXTUAL says something about the language (all its texts are valid UTF-8), not about the expression: it is set
 *    when known, and a node without it may be textual nevertheless.
 * 4. depth bounds the recursion of row building: a SEQ counts b only if a may be empty. */
#ifndef GRAMMAR_LANG_INT_H
#define GRAMMAR_LANG_INT_H

#include "base/buf.h"
#include "grammar/lang.h"

typedef enum lang_kind { L_NONE, L_EMPTY, L_SET, L_SEQ, L_ALT, L_AND, L_NOT, L_REPEAT } lang_kind;

enum {
    L_NULLABLE = 1, /* has the empty text */
    L_BOOLEAN = 2,  /* AND or NOT in it: may be empty without being LANG_NONE */
    L_TEXTUAL = 4,
    L_LIVE = 8,     /* known to have a text */
    L_DEAD = 16,    /* known to have none */
    L_SEEN = 32,    /* scratch of one search */
};

typedef struct lang_node {
    uint8_t kind, flags;
    uint16_t depth;
    uint32_t a, b;   /* SET: a into sets; SEQ: both; ALT, AND: b ids at lists[a]; NOT, REPEAT: a */
    uint32_t lo, hi; /* REPEAT */
    uint32_t row;    /* where its derivatives begin in ranges; 0: not made yet */
    uint32_t dense;  /* its place in dense, from 1; 0: none */
} lang_node;

/* Bytes up to and including `upto`, after those of the range before, lead to target. The last range of a row has
 * 255. */
typedef struct lang_range_to {
    uint32_t target;
    uint32_t upto;
} lang_range_to;

typedef struct byte_set {
    uint64_t w[4];
} byte_set;


struct lang_set {
    lang_node *nodes;
    uint32_t n_nodes, nodes_size;
    byte_set *sets;
    uint32_t n_sets, sets_size;
    uint32_t *lists;
    uint32_t n_lists, lists_size;
    lang_range_to *ranges;
    uint32_t n_ranges, ranges_size;
    lang **dense;
    uint32_t n_dense, dense_size;
    uint32_t *table; /* node ids + 1 by hash; a power of two */
    uint32_t table_size;
    uint32_t *set_table;
    uint32_t set_table_size;
    lang any_char, any_text; /* 0: not made yet */
    size_t bytes;
    error failed; /* sticky; code OK: none */
};

enum { LANG_MAX_BYTES = 48 << 20 };

static inline const lang_node *lang_at(const lang_set *s, lang l)
{
    return &s->nodes[l];
}

static inline bool lang_flag(const lang_set *s, lang l, unsigned flag)
{
    return (s->nodes[l].flags & flag) != 0;
}

/* Sets the sticky error (the first counts) and returns LANG_NONE. */
lang lang_fail(lang_set *s, status code, const char *text);
/* Makes room for one more element and counts the bytes; false: sticky failure. */
bool lang_grow(lang_set *s, void **array, uint32_t n, uint32_t *size, size_t element, const char *what);

lang lang_set_node(lang_set *s, const byte_set *bytes);
lang lang_and_n(lang_set *s, const lang *parts, size_t n);
lang lang_complement(lang_set *s, lang l); /* among all byte strings */
/* Makes the row of l and returns where it begins in ranges; 0: sticky failure. */
uint32_t lang_make_row(lang_set *s, lang l);

/* An expression that is as l for the first n bytes: counts above n + 1 are cut down to it, so that many states of a
 * counter become one. Every state that l leads to by at most n bytes has the empty text, and is LANG_NONE, exactly if
 * that of the answer is. (Not so under AND and NOT, where far ends meet: these stay as they are.) */
lang lang_clip(lang_set *s, lang l, uint32_t n);

/* Forgets all nodes from n_nodes on and all rows: what is left is as it was when the set had n_nodes. */
typedef struct lang_mark {
    uint32_t n_nodes, n_sets, n_lists;
} lang_mark;
lang_mark lang_set_mark(const lang_set *s);
/* E_NOMEM: the set is unusable. Clears a sticky error. */
status lang_set_trim(lang_set *s, lang_mark to, error *err) MUST_CHECK;

#endif
