/* wordpiece.c: BERT: normalise, cut at white space and punctuation, then the longest tokens from left to right.
 *
 * Tokens that begin a word carry U+2581 here (the file format's way), those that continue one carry nothing. A word
 * that cannot be covered, or of more than MAX_WORD characters, is one unknown token. */
#include <utf8proc.h>

#include "token/unicode.h"
#include "token/vocab_int.h"

enum { MAX_WORD = 100 };

static bool is_ideograph(uint32_t c)
{
    static const uint32_t ranges[][2] = { { 0x4e00, 0x9fff },   { 0x3400, 0x4dbf },   { 0x20000, 0x2a6df },
                                          { 0x2a700, 0x2b73f }, { 0x2b740, 0x2b81f }, { 0x2b920, 0x2ceaf },
                                          { 0xf900, 0xfaff },   { 0x2f800, 0x2fa1f } };
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
        if (c >= ranges[i][0] && c <= ranges[i][1])
            return true;
    return false;
}

static bool is_punctuation(uint32_t c, uint32_t class)
{
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126) ||
           (class & unicode_class_named("P"));
}

/* The word in b is complete: its tokens. b begins with the mark and is emptied to it. */
static status finish_word(encoder *e, buf *b, unsigned n_chars)
{
    const vocab *v = e->v;
    if (!n_chars)
        return OK;
    status st = buf_ok(b, "word", e->err);
    size_t before = e->out->n;
    bool known = n_chars <= MAX_WORD;
    for (size_t at = 0; at < b->len && known && !st;) {
        uint32_t node = 0;
        size_t len = 0;
        int32_t id = -1;
        for (size_t i = at; i < b->len && (node = trie_step(v->pieces, node, (unsigned char)b->data[i])) != 0; i++)
            if (v->pieces->nodes[node].id >= 0) {
                id = v->pieces->nodes[node].id;
                len = i + 1 - at;
            }
        known = id >= 0;
        if (known)
            st = encode_add(e, id);
        at += len;
    }
    if (!st && !known) {
        e->out->n = before;
        st = v->unk >= 0 ? encode_add(e, v->unk) : OK;
    }
    buf_reset(b);
    buf_add(b, SPACE_MARK, 3);
    return st;
}

static void add_lower(const vocab *v, buf *b, uint32_t code)
{
    if (code == 0x2581) { /* in a text it is no mark: a byte that is in no token */
        buf_char(b, (char)0xff);
        return;
    }
    utf8proc_uint8_t bytes[4];
    utf8proc_int32_t c = v->lowercase ? utf8proc_tolower((utf8proc_int32_t)code) : (utf8proc_int32_t)code;
    buf_add(b, bytes, (size_t)utf8proc_encode_char(c, bytes));
}

static status add_code(encoder *e, buf *b, uint32_t code, unsigned *n_chars)
{
    const vocab *v = e->v;
    uint32_t class = unicode_class(code);
    status st = OK;
    bool line = code == '\t' || code == '\n' || code == '\r';
    if (!line && (code == 0xfffd || (class & unicode_class_named("C")))) /* even those that are white space */
        return OK;
    if (class & UNICODE_SPACE) {
        st = finish_word(e, b, *n_chars);
        *n_chars = 0;
        return st;
    }
    if (v->strip_accents && (class & 1u << UTF8PROC_CATEGORY_MN))
        return OK;
    bool alone = is_punctuation(code, class) || is_ideograph(code);
    if (alone)
        st = finish_word(e, b, *n_chars);
    *n_chars = alone ? 1 : *n_chars + 1;
    if (!st && *n_chars <= MAX_WORD + 1) /* what follows does not matter any more, and must not pile up */
        add_lower(v, b, code);
    if (!st && alone) {
        st = finish_word(e, b, 1);
        *n_chars = 0;
    }
    return st;
}

status encode_wordpiece(encoder *e, const char *text, size_t n)
{
    buf *b = &e->scratch;
    buf_reset(b);
    buf_add(b, SPACE_MARK, 3);
    unsigned n_chars = 0;
    status st = OK;
    for (size_t i = 0; i < n && !st;) {
        uint32_t code;
        i += unicode_read(text + i, &code);
        utf8proc_int32_t parts[32] = { (utf8proc_int32_t)code };
        utf8proc_ssize_t k = 1;
        if (e->v->strip_accents) /* the order of marks, all that a whole text adds, is nothing: they are dropped */
            k = utf8proc_decompose_char((utf8proc_int32_t)code, parts, 32, UTF8PROC_DECOMPOSE, NULL);
        for (utf8proc_ssize_t p = 0; p < k && p < 32 && !st; p++)
            st = add_code(e, b, (uint32_t)parts[p], &n_chars);
    }
    return st ? st : finish_word(e, b, n_chars);
}
