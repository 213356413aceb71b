/* schema_sample.h: random documents of a grammar, byte by byte through its masks. After `soft` bytes the walk turns to
 * what ends strings, lists and objects; one that has not ended after `hard` bytes is given up. */
#ifndef TESTS_GRAMMAR_SCHEMA_SAMPLE_H
#define TESTS_GRAMMAR_SCHEMA_SAMPLE_H

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "grammar/grammar.h"

enum { SAMPLE_END = 256, SAMPLE_SOFT = 400, SAMPLE_HARD = 20000 };

static inline uint64_t sample_random(uint64_t *seed)
{
    *seed += 0x9e3779b97f4a7c15u;
    uint64_t z = *seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* One token a byte, and one that ends. */
static inline status sample_vocab(grammar_vocab **out, error *err)
{
    static char bytes[SAMPLE_END];
    span pieces[SAMPLE_END + 1];
    int32_t end = SAMPLE_END;
    for (int i = 0; i < SAMPLE_END; i++) {
        bytes[i] = (char)i;
        pieces[i] = (span){ bytes + i, 1 };
    }
    pieces[SAMPLE_END] = (span){ "", 0 };
    return grammar_vocab_from(out, pieces, SAMPLE_END + 1, &end, 1, err);
}

static inline uint64_t sample_weight(int token, size_t len)
{
    bool late = len > SAMPLE_SOFT;
    if (token == SAMPLE_END)
        return late ? 100000 : 60;
    if (strchr("\"}]", token) && token)
        return late ? 20000 : 12;
    if (token >= 0x80 || token < 0x20 || token == '\\')
        return 1; /* each a whole class of bytes that are all rare */
    if (token == ',' || token == '[' || token == '{')
        return late ? 1 : 8;
    return late ? 20 : 4;
}

static inline int sample_token(const uint64_t *mask, size_t len, uint64_t *seed)
{
    uint64_t sum = 0;
    for (int t = 0; t <= SAMPLE_END; t++)
        sum += mask[t / 64] >> t % 64 & 1 ? sample_weight(t, len) : 0;
    if (!sum)
        return -1;
    uint64_t at = sample_random(seed) % sum;
    for (int t = 0;; t++) {
        uint64_t w = mask[t / 64] >> t % 64 & 1 ? sample_weight(t, len) : 0;
        if (at < w)
            return t;
        at -= w;
    }
}

/* Appends one document; *ended is false when it was given up. A mask without tokens is an error: nothing was promised
 * that cannot be ended. */
static inline status sample_document(grammar_state *s, uint64_t *seed, buf *out, bool *ended, error *err)
{
    grammar_state_reset(s);
    *ended = false;
    while (out->len < SAMPLE_HARD) {
        const uint64_t *mask;
        status st = grammar_state_mask(s, &mask, err);
        int t = st ? -1 : sample_token(mask, out->len, seed);
        if (st)
            return st;
        if (t < 0)
            return fail(err, E_FORMAT, "no byte may follow '%s'", buf_text(out));
        if (t == SAMPLE_END) {
            *ended = true;
            return OK;
        }
        buf_char(out, (char)t);
        st = grammar_state_accept(s, t, err);
        if (st)
            return st;
    }
    return OK;
}

#endif
