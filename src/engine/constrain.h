/* constrain.h: an answer under a grammar (grammar/grammar.h): masks for sampling, and text that is forced. Private to
 * src/engine; generate.c says what is drawn when.
 *
 * Jump-forward: where every completion of the text so far begins with the same bytes, these are not drawn but taken,
 * and fed in one step. The rule (part of the answer, so never a matter of speed):
 *
 *   1. F = the forced bytes, at most 1023, without the beginning of a character at their end. Its tokens are those of
 *      vocab_encode, if their pieces are F (else, where a vocabulary puts a space before texts: the longest piece that
 * F goes on with, again and again).
 *   2. All but the last are taken: the last could be the beginning of a longer token that holds what follows F. Where
 *      nothing follows, it is taken too.
 *   3. If there was an F, and the grammar allows exactly one token now, that is taken; then again from 1, until nothing
 *      is taken or CONSTRAIN_TOKENS are.
 *
 * After a token is taken the grammar has accepted it. The rule looks at the grammar, the text and the vocabulary
 * only. */
#ifndef ENGINE_CONSTRAIN_H
#define ENGINE_CONSTRAIN_H

#include "engine/engine_int.h"
#include "grammar/grammar.h"
#include "token/vocab.h"

enum { CONSTRAIN_BYTES = 1024, CONSTRAIN_TOKENS = 512 }; /* most taken at once */

typedef struct constraint {
    grammar_state *state; /* NULL: no grammar */
    const grammar_vocab *tokens;
    unsigned encoding;    /* flags of vocab_encode for forced text */
    const vocab *v;
    buf text;             /* forced bytes */
    token_list encoded;   /* of them */
} constraint;

/* tokens: NULL for the engine's own; in others control tokens may have texts. E_UNSUPPORTED: the model has no
 * vocabulary. Close it in any case. */
status constraint_open(constraint *c, engine *e, grammar *g, const grammar_vocab *tokens, error *err) MUST_CHECK;
void constraint_close(constraint *c);

/* The mask of what may be drawn. E_UNSUPPORTED: the vocabulary has no token for what must follow. */
status constraint_mask(constraint *c, token_mask *out, error *err) MUST_CHECK;
/* Takes what is forced here by the rule above: up to CONSTRAIN_TOKENS tokens into `taken`. */
status constraint_jump(constraint *c, int32_t *taken, uint32_t *n, error *err) MUST_CHECK;
/* How many of n tokens in a row the grammar takes. The state stays as it is. */
uint32_t constraint_fits(constraint *c, const int32_t *tokens, uint32_t n);

#endif
