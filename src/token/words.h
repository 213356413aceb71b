/* words.h: one word to ids, by the shortest way (private to token/).
 *
 * Most words of most texts are tokens, and what a token's own text is encoded to never changes: the vocab remembers
 * that (vocab.self). Other short words are remembered for the duration of one vocab_encode. The rest is merged. */
#ifndef TOKEN_WORDS_H
#define TOKEN_WORDS_H

#include "token/vocab_int.h"

/* A word is what a pre-tokeniser cut out, or a run of characters that merges cannot leave. */
status encode_word(encoder *e, const char *text, size_t n) MUST_CHECK;
void word_cache_free(struct word_cache **c);

#endif
