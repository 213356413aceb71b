/* schema_rules.h: the second back end of a schema: the language of the documents that are generated.
 *
 * Objects have their members in declared order, those not declared behind them; which members there are beyond the
 * declared ones is decided by additionalProperties and patternProperties where they are written, otherwise there are
 * none (an object schema that declares nothing is free). Values are compact: one space may stand after ':' and ','.
 * Strings have canonical escapes, integers at most GEN_DIGITS digits and no exponent, literals stand as written.
 * What is generated is part of what is valid: every document is accepted by schema_check. One thing no grammar says:
 * names that are not declared may come twice in one object, which js_parse then refuses.
 *
 * E_UNSUPPORTED: a keyword that can be checked but not generated, by its path ("/properties/x/uniqueItems"); oneOf
 * whose branches are not provably disjoint. With `relaxed` these are noted and not enforced. E_FORMAT: no document
 * satisfies the schema. E_RANGE: the ceilings; a hostile schema ends there soon. */
#ifndef GRAMMAR_SCHEMA_RULES_H
#define GRAMMAR_SCHEMA_RULES_H

#include "grammar/grammar.h"
#include "grammar/rules.h"
#include "grammar/schema.h"

/* Adds the schema's language to r as one rule, which may be part of more (a tool call around its arguments). Owner
 * thread of r; s is only read. */
status schema_rules(const schema *s, rules *r, const schema_options *options, schema_notes *notes, rule *out,
                    error *err) MUST_CHECK;

/* The same as a grammar of its own. */
status schema_grammar(const schema *s, const schema_options *options, schema_notes *notes, grammar **out,
                      error *err) MUST_CHECK;

#endif
