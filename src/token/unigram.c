/* unigram.c: SentencePiece Unigram: normalise, then the most likely way to cut the text into tokens (Viterbi).
 *
 * Normalising: the precompiled map replaces the longest prefix it knows, character after character (NFKC and more);
 * user-defined tokens pass as they are; spaces become U+2581, runs of them one if the file says so.
 *
 * The map is a double array (Kanda, "Space- and Time-Efficient String Dictionaries", 2018): units of 32 bits; the child
 * of a node by byte c is at (index ^ base ^ c) and is one if its low 8 bits and bit 31 equal c; base is bits 10..30,
 * shifted left by 8 if bit 9 is set; bit 8 says that the node has a value, which lies at its base: bits 0..30, the
 * offset of the replacement. Every index is checked. */
#include <float.h>

#include "base/utf8.h"
#include "token/unicode.h"
#include "token/vocab_int.h"

/* ---- normalising ------------------------------------------------------------------------------------------------- */

static bool unit_at(const vocab *v, uint32_t i, uint32_t *unit)
{
    if (i >= v->charsmap_units)
        return false;
    const unsigned char *p = v->charsmap + 4 * (size_t)i;
    *unit = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return true;
}

static uint32_t unit_base(uint32_t unit)
{
    return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* The replacement of the longest known prefix of s; returns its length, 0 if none is known. */
static size_t map_prefix(const vocab *v, const char *s, size_t n, span *to)
{
    uint32_t unit, value;
    size_t found = 0;
    if (!v->charsmap || !unit_at(v, 0, &unit))
        return 0;
    uint32_t at = unit_base(unit);
    for (size_t i = 0; i < n && s[i]; i++) {
        unsigned char c = (unsigned char)s[i];
        at ^= c;
        if (!unit_at(v, at, &unit) || (unit & (1u << 31 | 0xff)) != c)
            break;
        at ^= unit_base(unit);
        if ((unit >> 8 & 1) && unit_at(v, at, &value)) {
            size_t offset = 4 * v->charsmap_units + (value & 0x7fffffff);
            if (offset < v->charsmap_bytes) { /* its last byte is 0, checked when it was loaded */
                *to = span_of((const char *)v->charsmap + offset);
                found = i + 1;
            }
        }
    }
    return found;
}

static size_t user_prefix(const vocab *v, const char *s, size_t n)
{
    size_t found = 0;
    uint32_t node = 0;
    for (size_t i = 0; i < n && (node = trie_step(v->user, node, (unsigned char)s[i])) != 0; i++)
        if (v->user->nodes[node].id >= 0)
            found = i + 1;
    return found;
}

static void normalise(const vocab *v, const char *s, size_t n, buf *out)
{
    bool in_word = false, prefixed = false;
    while (n) {
        span to = { s, 0 };
        size_t used = to.n = user_prefix(v, s, n);
        if (!used)
            used = map_prefix(v, s, n, &to);
        if (!used)
            used = to.n = utf8_length((unsigned char)*s);
        if (!used) /* the map has taken a part of a character: what comes out will be refused as not UTF-8 */
            used = to.n = 1;
        for (size_t i = 0; i < to.n; i++) {
            if (to.p[i] == ' ') {
                in_word = false;
                if (!v->merge_spaces)
                    buf_add(out, SPACE_MARK, 3);
                continue;
            }
            if (!in_word && ((v->add_space && !prefixed) || v->merge_spaces)) {
                buf_add(out, SPACE_MARK, 3);
                prefixed = true;
            }
            in_word = true;
            buf_char(out, to.p[i]);
        }
        s += used;
        n -= used;
    }
}

/* ---- the best cut ------------------------------------------------------------------------------------------------ */

typedef struct best {
    double score; /* of the best cut that ends here */
    uint32_t from;
    int32_t id;
} best;

static void offer(best *b, double score, size_t from, int32_t id)
{
    if (score > b->score)
        *b = (best){ score, (uint32_t)from, id };
}

static void find_best(const vocab *v, const char *s, size_t n, best *b)
{
    for (size_t i = 0; i <= n; i++)
        b[i] = (best){ i ? -DBL_MAX : 0, 0, -1 };
    for (size_t at = 0; at < n;) {
        uint32_t code, node = 0;
        size_t len = unicode_read(s + at, &code);
        bool single = false;
        for (size_t i = at; i < n && (node = trie_step(v->pieces, node, (unsigned char)s[i])) != 0; i++) {
            int32_t id = v->pieces->nodes[node].id;
            if (id < 0)
                continue;
            single = single || i + 1 - at == len;
            offer(&b[i + 1], b[at].score + (v->type[id] == VOCAB_USER_DEFINED ? 0.0 : (double)v->score[id]), at, id);
        }
        if (!single)
            offer(&b[at + len], b[at].score + v->unk_score, at, -1);
        at += len;
    }
}

status encode_unigram(encoder *e, const char *text, size_t n)
{
    const vocab *v = e->v;
    buf *s = &e->scratch;
    buf_reset(s);
    normalise(v, text, n, s);
    status st = buf_ok(s, "normalised text", e->err);
    if (st || !s->len)
        return st;
    if (!utf8_valid(s->data, s->len))
        return fail(e->err, E_FORMAT, "the vocabulary's normaliser makes text that is not UTF-8");
    best *b = mem_array(s->len + 1, sizeof *b);
    if (!b)
        return fail(e->err, E_NOMEM, "no memory for a text of %zu bytes", n);
    find_best(v, s->data, s->len, b);
    size_t before = e->out->n;
    bool after_unknown = false; /* runs of unknown characters are one unknown token */
    for (size_t at = s->len; at > 0 && !st; at = b[at].from) {
        bool unknown = b[at].id < 0;
        if (!(unknown && after_unknown) && (!unknown || v->unk >= 0))
            st = encode_add(e, unknown ? v->unk : b[at].id);
        after_unknown = unknown;
    }
    for (size_t i = before, k = e->out->n; !st && i + 1 < k; i++) {
        int32_t t = e->out->ids[i];
        e->out->ids[i] = e->out->ids[--k];
        e->out->ids[k] = t;
    }
    mem_free(b);
    return st;
}
