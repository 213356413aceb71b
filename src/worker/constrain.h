/* constrain.h: from a request to the grammar of its answers. The worker's thread: schemas and grammars are strangers'.
 *
 * The whole answer is one language, so that nothing needs to be switched on in the middle of it:
 *     [reasoning] text that holds no beginning of a call [calls]      tool_choice auto
 *     [reasoning] calls                                               required, named
 *     [reasoning] JSON, a choice, a match                             response_format and the like
 * Text stays free until it reaches a call's first mark; from there the call's syntax and the tool's schema hold. After
 * the calls the answer ends. What the reader of answers (output.h) would take for a call is in none of the texts that
 * are free.
 *
 * Arguments obey the tool's schema. In formats that do not write JSON, strings are any text without the mark that ends
 * them (and their enum), nested values of Gemma's are only well formed: the rest is noted as not enforced. Tools are
 * strict when they say so; otherwise what cannot be enforced is noted. */
#ifndef WORKER_CONSTRAIN_H
#define WORKER_CONSTRAIN_H

#include "chat/tool_format.h"
#include "grammar/grammar.h"
#include "grammar/schema.h"

enum { CALLS_TOGETHER_MAX = 16 }; /* calls of one answer, where several may be */

/* The model's tokens for grammars, with the control tokens that stand in the format's own texts: a call begins with the
 * token that it was trained to begin with. NULL when there are none: then the engine's own vocabulary will do. */
status constrain_vocab(grammar_vocab **out, const struct vocab *v, const output_format *format, error *err) MUST_CHECK;

/* *out NULL: nothing is constrained. thinking: the prompt has opened a reasoning block; addressed: it ends in the start
 * of an addressed format. notes: what is not enforced.
 * E_UNSUPPORTED, E_FORMAT: the sentence names field and schema path; E_RANGE, E_NOMEM. */
status constrain(grammar **out, const output_format *format, const js *in, bool thinking, bool addressed,
                 schema_notes *notes, error *err) MUST_CHECK;

#endif
