/* grammar.h: text that cannot be malformed: which tokens may come next.
 *
 *     grammar         what texts there are: from GBNF, a regular expression, a list, rules.h (and so a JSON Schema)
 *     grammar_vocab   the tokens of one model, sorted once for this purpose
 *     grammar_state   one text under way: its mask, what is forced, accept, rewind
 *
 * The automaton reads bytes, so it is exact for every tokenizer: a token is allowed exactly if its bytes continue the
 * text so that it can still be completed. Tokens may hold parts of characters or several elements of the syntax.
 *
 * How a mask is made: a state is a set of (state of a terminal, what follows it). For each state of a terminal it is
 * computed once which tokens lie wholly inside it, and which leave it on the way; only the latter are tried against
 * what follows. Whole masks are kept by state, and states that will behave alike are one: the hundredth element of an
 * array is the first one again.
 *
 * Threads: a grammar, the states on it and what they learn (all kept in the grammar) belong to one thread at a time;
 * compile in any thread and hand over. A grammar_vocab is const and for any thread.
 *
 * Memory: everything that is learnt is kept below GRAMMAR_MAX_BYTES of a grammar; when it is full, what no state
 * uses is forgotten. Ambiguity has a ceiling too (GRAMMAR_MAX_ITEMS): E_RANGE then, never a wrong mask. */
#ifndef GRAMMAR_GRAMMAR_H
#define GRAMMAR_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

struct vocab;
typedef struct grammar grammar;
typedef struct grammar_vocab grammar_vocab;
typedef struct grammar_state grammar_state;

enum {
    GRAMMAR_MAX_TEXT = 1 << 20,   /* bytes of a GBNF file, of all choices together */
    GRAMMAR_MAX_BYTES = 96 << 20, /* what a grammar may hold, rules, states and masks together */
    GRAMMAR_MAX_ITEMS = 4096,     /* readings of the text so far that differ in what may follow */
};

/* ---- grammars. Close with grammar_close, after the states on it. ---- */

/* GBNF as llama.cpp reads it: rules `name ::= ...`, "literals", [classes] and [^negated] ones, `.`, ( ), |, * + ?
 * {m} {m,} {m,n}, # comments, escapes \n \r \t \\ \" \[ \] \xHH \uHHHH \UHHHHHHHH; the text starts at `root`.
 * E_FORMAT with line and column; E_UNSUPPORTED: left recursion; and terminals that are tokens (<name>, <[id]>). */
status grammar_gbnf(grammar **out, const char *text, size_t n, error *err) MUST_CHECK;
/* The whole text matches the expression (lang_regex). */
status grammar_regex(grammar **out, const char *pattern, size_t n, error *err) MUST_CHECK;
/* One of n texts (n >= 1). */
status grammar_choice(grammar **out, const span *choices, size_t n, error *err) MUST_CHECK;
/* Any JSON object; whitespace as in bounded pretty printing: at most one newline and GRAMMAR_JSON_INDENT spaces or tabs
 * where JSON allows it. */
enum { GRAMMAR_JSON_INDENT = 20 };
status grammar_json_object(grammar **out, error *err) MUST_CHECK;
void grammar_close(grammar **g);
size_t grammar_bytes(const grammar *g); /* memory it holds now */

/* ---- vocabularies ---- */

/* Reads all pieces of v, which must outlive it. Control, unknown and unused tokens are never part of a text; tokens
 * that end a generation are allowed where the text may end. E_NOMEM. */
status grammar_vocab_open(grammar_vocab **out, const struct vocab *v, error *err) MUST_CHECK;
/* The same from a plain list: piece i belongs to token i, an empty one to none; eog: n_eog tokens that end. For tests
 * and tools. The pieces are copied. */
status grammar_vocab_from(grammar_vocab **out, const span *pieces, size_t n, const int32_t *eog, size_t n_eog,
                          error *err) MUST_CHECK;
void grammar_vocab_close(grammar_vocab **v);
size_t grammar_vocab_bytes(const grammar_vocab *v);
/* What opening one takes at its peak, n tokens with so many bytes of text together. Not less for any vocabulary whose
 * tokens share five eighths of their bytes with the beginnings of others; those of models share seven tenths and more
 * (tests/fit/test_memory.c). */
size_t grammar_vocab_bound(size_t n_tokens, size_t text_bytes);
int32_t grammar_vocab_n_tokens(const grammar_vocab *v);
/* The lowest token of exactly these bytes that is text, or -1. */
int32_t grammar_vocab_find(const grammar_vocab *v, const char *bytes, size_t n);
/* 64-bit words of a mask: token t is bit t % 64 of word t / 64. */
size_t grammar_vocab_words(const grammar_vocab *v);

/* ---- a text under way. All states of a grammar at one time share one vocabulary: E_EXISTS otherwise. ---- */

/* At the beginning of the text. */
status grammar_state_open(grammar_state **out, grammar *g, const grammar_vocab *v, error *err) MUST_CHECK;
/* The same text, at the same place. */
status grammar_state_copy(grammar_state **out, const grammar_state *from, error *err) MUST_CHECK;
void grammar_state_close(grammar_state **s);
void grammar_state_reset(grammar_state *s); /* back to the beginning */

/* The tokens that may come next, grammar_vocab_words() words: borrowed until the next call with a state of this
 * grammar. Tokens that end a generation are in it exactly when the text may end here. Empty after such a token, and
 * where the vocabulary has no token for what must follow. E_RANGE, E_NOMEM: the ceilings. */
status grammar_state_mask(grammar_state *s, const uint64_t **mask, error *err) MUST_CHECK;
/* Is one token in the mask? Does not make the mask. Sticky failures answer false. */
bool grammar_state_allows(grammar_state *s, int32_t token);

/* Takes one token. E_FORMAT: it is not in the mask, and the state is as it was. */
status grammar_state_accept(grammar_state *s, int32_t token, error *err) MUST_CHECK;
/* Takes bytes, as one step of rewind. E_FORMAT, with how many could be taken, when they do not fit: as it was. */
status grammar_state_accept_bytes(grammar_state *s, const char *bytes, size_t n, error *err) MUST_CHECK;
/* Undoes the last n steps (at most grammar_state_steps()). */
void grammar_state_rewind(grammar_state *s, size_t n);
size_t grammar_state_steps(const grammar_state *s); /* tokens (or runs of bytes) taken so far */

/* The text may end here / nothing can follow: it must end here (also after an end token). */
bool grammar_state_may_end(grammar_state *s);
bool grammar_state_must_end(grammar_state *s);

/* Appends to out the bytes with which every completion begins (at most max of them; none if the text may end here).
 * Takes nothing. */
status grammar_state_forced(grammar_state *s, size_t max, buf *out, error *err) MUST_CHECK;

#endif
