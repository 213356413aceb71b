#include "engine/constrain.h"

#include <string.h>

#include "base/utf8.h"
#include "engine/engine_int.h"

status constraint_open(constraint *c, engine *e, grammar *g, const grammar_vocab *tokens, error *err)
{
    *c = (constraint){ .v = e->vocab, .text = BUF_INIT(CONSTRAIN_BYTES), .encoded = TOKEN_LIST_INIT(CONSTRAIN_BYTES) };
    c->tokens = tokens;
    c->encoding = tokens ? VOCAB_SPECIAL : 0;
    status st = tokens ? OK : engine_grammar_vocab(e, &c->tokens, err);
    return st ? st : grammar_state_open(&c->state, g, c->tokens, err);
}

void constraint_close(constraint *c)
{
    grammar_state_close(&c->state);
    buf_clear(&c->text);
    token_list_clear(&c->encoded);
}

/* Counts the tokens of a mask, up to two; *first: the lowest. */
static int count_tokens(token_mask mask, int32_t *first)
{
    int n = 0;
    for (size_t i = 0; i < mask.n && n < 2; i++) {
        if (mask.words[i] && n == 0)
            *first = (int32_t)(i * 64) + __builtin_ctzll(mask.words[i]);
        n += __builtin_popcountll(mask.words[i]);
    }
    return n;
}

static status read_mask(constraint *c, token_mask *out, error *err)
{
    out->n = grammar_vocab_words(c->tokens);
    return grammar_state_mask(c->state, &out->words, err);
}

status constraint_mask(constraint *c, token_mask *out, error *err)
{
    int32_t first;
    status st = read_mask(c, out, err);
    if (!st && count_tokens(*out, &first) == 0)
        st = fail(err, E_UNSUPPORTED, "the model's vocabulary has no token for what the grammar wants next");
    return st;
}

/* ---- forced text ---- */

/* The tokens of c->text, if they say it exactly. */
static bool encode_exactly(constraint *c)
{
    size_t at = 0;
    c->encoded.n = 0;
    if (vocab_encode(c->v, c->text.data, c->text.len, c->encoding, &c->encoded, NULL))
        return false;
    for (size_t i = 0; i < c->encoded.n; i++) {
        span s = vocab_piece(c->v, c->encoded.ids[i]);
        if (s.n > c->text.len - at || memcmp(c->text.data + at, s.p, s.n) != 0)
            return false;
        at += s.n;
    }
    return at == c->text.len;
}

/* Takes the tokens that the text's encoding begins with. */
static status take_encoded(constraint *c, int32_t *taken, uint32_t *n, bool *any, error *err)
{
    size_t at = 0;
    for (size_t i = 0; i < c->encoded.n && *n < CONSTRAIN_TOKENS; i++) {
        at += vocab_piece(c->v, c->encoded.ids[i]).n;
        if (i + 1 == c->encoded.n) { /* taken only where nothing follows */
            status st = grammar_state_accept(c->state, c->encoded.ids[i], err);
            if (st || !grammar_state_must_end(c->state)) {
                if (!st)
                    grammar_state_rewind(c->state, 1);
                return st == E_FORMAT ? OK : st;
            }
        } else if (grammar_state_accept(c->state, c->encoded.ids[i], NULL)) {
            return OK; /* a token that is no text: the mask is asked */
        }
        taken[(*n)++] = c->encoded.ids[i];
        *any = true;
    }
    return OK;
}

/* The longest piece that the text goes on with at `at`, or -1. */
static int32_t longest_piece(const constraint *c, size_t at)
{
    size_t most = vocab_max_piece(c->v), left = c->text.len - at;
    for (size_t n = left < most ? left : most; n > 0; n--) {
        int32_t t = grammar_vocab_find(c->tokens, c->text.data + at, n);
        if (t >= 0)
            return t;
    }
    return -1;
}

static status encode_greedily(constraint *c, error *err)
{
    c->encoded.n = 0;
    for (size_t at = 0; at < c->text.len;) {
        int32_t t = longest_piece(c, at);
        if (t < 0)
            return OK;
        status st = token_list_add(&c->encoded, t, err);
        if (st)
            return st;
        at += vocab_piece(c->v, t).n;
    }
    return OK;
}

status constraint_jump(constraint *c, int32_t *taken, uint32_t *n, error *err)
{
    status st = OK;
    *n = 0;
    for (bool any = true; any && !st && *n < CONSTRAIN_TOKENS;) {
        token_mask mask;
        int32_t only = -1;
        any = false;
        c->text.len = 0;
        c->encoded.n = 0;
        st = grammar_state_forced(c->state, CONSTRAIN_BYTES - 1, &c->text, err);
        c->text.len = st ? 0 : utf8_complete(buf_text(&c->text), c->text.len);
        if (!st && c->text.len && !encode_exactly(c))
            st = encode_greedily(c, err);
        if (!st && c->text.len)
            st = take_encoded(c, taken, n, &any, err);
        if (st || !c->text.len || *n == CONSTRAIN_TOKENS || grammar_state_may_end(c->state))
            break;
        st = read_mask(c, &mask, err);
        if (!st && count_tokens(mask, &only) == 1) {
            st = grammar_state_accept(c->state, only, err);
            taken[(*n)++] = only;
            any = true;
        }
    }
    return st;
}

uint32_t constraint_fits(constraint *c, const int32_t *tokens, uint32_t n)
{
    uint32_t fits = 0;
    while (fits < n && !grammar_state_accept(c->state, tokens[fits], NULL))
        fits++;
    grammar_state_rewind(c->state, fits);
    return fits;
}
