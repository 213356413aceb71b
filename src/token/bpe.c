/* bpe.c: byte-level BPE, and BPE over characters (SentencePiece, Gemma 4).
 *
 * Byte level: the pre-tokeniser cuts words, each is merged by itself.
 * Over characters: spaces become U+2581 and the whole text is one word. It is cut all the same wherever two neighbours
 * occur in no token: no merge can cross such a place, so the tokens are the same and the words are short. */
#include "token/unicode.h"
#include "token/vocab_int.h"
#include "token/words.h"

static status on_word(void *user, const char *text, size_t n)
{
    return encode_word(user, text, n);
}

status encode_bpe(encoder *e, const char *text, size_t n)
{
    return pretok_split(e->v->splitter, text, n, on_word, e);
}

static status cut_words(encoder *e, const char *text, size_t n)
{
    const uint64_t *adjacent = e->v->adjacent;
    size_t from = 0, at = 0;
    uint32_t before = 0, code;
    for (; at < n; before = code) {
        size_t len = unicode_read(text + at, &code);
        uint32_t bit = adjacent_bit(before, code);
        if (at && !(adjacent[bit / 64] >> (bit % 64) & 1)) {
            status st = encode_word(e, text + from, at - from);
            if (st)
                return st;
            from = at;
        }
        at += len;
    }
    return from < n ? encode_word(e, text + from, n - from) : OK;
}

/* Lines and runs of line ends; a run that is a token is that token. */
static status on_line(void *user, const char *text, size_t n)
{
    encoder *e = user;
    int32_t id = *text == '\n' ? vocab_word(e->v, text, n) : -1;
    return id >= 0 ? encode_add(e, id) : cut_words(e, text, n);
}

static void add_marked(buf *b, const char *text, size_t n)
{
    while (n) {
        const char *space = memchr(text, ' ', n);
        size_t k = space ? (size_t)(space - text) : n;
        buf_add(b, text, k);
        text += k;
        n -= k;
        if (space) {
            buf_add(b, SPACE_MARK, 3);
            text++;
            n--;
        }
    }
}

status encode_chars(encoder *e, const char *text, size_t n, bool at_start)
{
    buf *b = &e->scratch;
    buf_reset(b);
    if (e->v->kind == VOCAB_SPM && e->v->add_space && at_start)
        buf_add(b, SPACE_MARK, 3);
    add_marked(b, text, n);
    status st = buf_ok(b, "text", e->err);
    if (st)
        return st;
    if (e->v->splitter)
        return pretok_split(e->v->splitter, b->data, b->len, on_line, e);
    return cut_words(e, b->data, b->len);
}
