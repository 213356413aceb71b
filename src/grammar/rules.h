/* rules.h: building a context-free grammar whose terminals are regular languages (lang.h).
 *
 * An expression is a rule: a terminal, a sequence, a choice, a repetition, or a name that is defined now or later; each
 * can be used in any number of places. The language is exactly what the rules say: nothing is tokenised first, no
 * alternative wins over another, and terminals that stand side by side may divide the text between them in any way.
 *
 * What is cheap: repetitions of anything with any bounds (they are counted, not unrolled), right recursion, and choices
 * that the next bytes decide. Terminals in which most tokens may occur (strings) should be whole in one lang, with what
 * ends them ("..." with both quotes), and the same lang wherever they are the same: their masks are shared.
 *
 * Errors are sticky as in lang.h: build freely, rules_compile tells. Owner thread. */
#ifndef GRAMMAR_RULES_H
#define GRAMMAR_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "grammar/lang.h"

struct grammar;
typedef struct rules rules;
typedef uint32_t rule; /* an expression of one builder */

enum {
    RULES_NONE = 0,  /* matches nothing */
    RULES_EMPTY = 1, /* matches the empty text */

    RULES_MAX = 1 << 20,      /* expressions of one grammar, the parts of sequences and choices counted each */
    RULES_NAME_BYTES = 256,   /* longest name that is kept for messages; the rest is cut off */
    RULES_MAX_DEPTH = 2000,   /* of expressions in expressions, between names */
};
#define RULES_UNBOUNDED UINT32_MAX

status rules_open(rules **out, error *err) MUST_CHECK;
void rules_close(rules **r);
/* OK, or the first E_NOMEM or E_RANGE of the builder or its set: then a RULES_NONE means nothing. */
status rules_ok(const rules *r, error *err) MUST_CHECK;
/* The set that all terminals of this builder come from; the builder owns it, then the grammar. */
lang_set *rules_langs(rules *r);

rule rules_token(rules *r, lang terminal);
rule rules_text(rules *r, const char *bytes, size_t n); /* the terminal of exactly this text */
rule rules_seq(rules *r, const rule *parts, size_t n);  /* n may be 0: RULES_EMPTY */
rule rules_alt(rules *r, const rule *parts, size_t n);  /* n may be 0: RULES_NONE */
/* min to max times body; max may be RULES_UNBOUNDED. min > max: RULES_NONE. */
rule rules_repeat(rules *r, rule body, uint32_t min, uint32_t max);
static inline rule rules_optional(rules *r, rule body)
{
    return rules_repeat(r, body, 0, 1);
}

/* A rule that is used before it is defined: recursion. The name is for messages, it need not be unique. */
rule rules_declare(rules *r, const char *name, size_t n);
/* Once for every declared rule that is used. */
void rules_define(rules *r, rule declared, rule body);

/* Makes the grammar of the texts that `root` derives; *r is closed and NULL afterwards, also on failure. Rules that
 * root does not use do no harm; alternatives that derive no text are dropped.
 * E_FORMAT: a rule in use is declared and never defined, or defined twice, or root derives no text at all;
 * E_UNSUPPORTED: left recursion, also behind rules that may be empty (the cycle's names are in the sentence);
 * E_RANGE, E_NOMEM. */
status rules_compile(rules **r, rule root, struct grammar **out, error *err) MUST_CHECK;

#endif
