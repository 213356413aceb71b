/* sequence.c: numbering the pieces of two texts, and counting their n-grams. An n-gram is numbered from the number of
 * its first n - 1 pieces and its last piece, so that one 64-bit key stands for it exactly. */
#include "task/sequence_int.h"

#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"

/* ---- pieces ---- */

static bool is_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f);
    utf8proc_category_t k = utf8proc_category((int32_t)c);
    return c == 0x85 || k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}

static size_t char_at(span text, size_t at, uint32_t *code)
{
    *code = 0xfffd;
    size_t n = utf8_decode(text.p + at, text.n - at, code);
    return n ? n : 1;
}

bool sequence_char(span text, size_t *at, span *piece)
{
    uint32_t code;
    if (*at >= text.n)
        return false;
    *piece = (span){ text.p + *at, char_at(text, *at, &code) };
    *at += piece->n;
    return true;
}

bool sequence_dark_char(span text, size_t *at, span *piece)
{
    while (sequence_char(text, at, piece)) {
        uint32_t code;
        char_at(*piece, 0, &code);
        if (!is_space(code))
            return true;
    }
    return false;
}

bool sequence_field(span text, size_t *at, span *piece)
{
    if (!sequence_dark_char(text, at, piece))
        return false;
    for (uint32_t code; *at < text.n; *at += char_at(text, *at, &code)) {
        char_at(text, *at, &code);
        if (is_space(code))
            break;
    }
    piece->n = (size_t)(text.p + *at - piece->p);
    return true;
}

/* ---- numbering ---- */

/* Open addressing; a slot holds number + 1 of a piece in `first`, or 0. */
typedef struct numbering {
    uint32_t *slots;
    size_t mask;
    span *first; /* one piece a number */
    size_t n_ids;
} numbering;

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15u;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    return x ^ x >> 32;
}

static uint32_t number_of(numbering *m, span piece)
{
    uint64_t h = piece.n;
    for (size_t i = 0; i < piece.n; i++)
        h = (h ^ (unsigned char)piece.p[i]) * 0x100000001b3u;
    for (size_t at = mix(h) & m->mask;; at = (at + 1) & m->mask) {
        uint32_t id = m->slots[at];
        if (!id) {
            m->first[m->n_ids] = piece;
            m->slots[at] = (uint32_t)++m->n_ids;
            return m->slots[at] - 1;
        }
        if (m->first[id - 1].n == piece.n && !memcmp(m->first[id - 1].p, piece.p, piece.n))
            return id - 1;
    }
}

static size_t slots_for(size_t n)
{
    size_t size = 16;
    while (size < 2 * n)
        size *= 2;
    return size;
}

static status no_memory(error *err)
{
    return fail(err, E_NOMEM, "no memory to compare two texts");
}

static bool count_pieces(span text, sequence_next *next, size_t *n)
{
    span piece;
    *n = 0;
    for (size_t at = 0; *n <= SEQUENCE_PIECES_MAX && next(text, &at, &piece);)
        ++*n;
    return *n <= SEQUENCE_PIECES_MAX;
}

static void number_all(numbering *m, span text, sequence_next *next, uint32_t *out)
{
    span piece;
    for (size_t at = 0; next(text, &at, &piece);)
        *out++ = number_of(m, piece);
}

status sequence_open(sequence_pair *out, span a, span b, sequence_next *next, error *err)
{
    sequence_pair p = { 0 };
    if (!count_pieces(a, next, &p.na) || !count_pieces(b, next, &p.nb))
        return fail(err, E_RANGE, "more than %d pieces to compare", SEQUENCE_PIECES_MAX);
    size_t size = slots_for(p.na + p.nb);
    numbering m = { mem_array(size, sizeof *m.slots), size - 1, mem_array(p.na + p.nb + 1, sizeof *m.first), 0 };
    p.a = mem_array(p.na + 1, sizeof *p.a);
    p.b = mem_array(p.nb + 1, sizeof *p.b);
    status s = m.slots && m.first && p.a && p.b ? OK : no_memory(err);
    if (!s) {
        number_all(&m, a, next, p.a);
        number_all(&m, b, next, p.b);
        p.n_ids = m.n_ids;
        *out = p;
    } else {
        sequence_clear(&p);
    }
    mem_free(m.first);
    mem_free(m.slots);
    return s;
}

void sequence_clear(sequence_pair *p)
{
    mem_free(p->a);
    mem_free(p->b);
    *p = (sequence_pair){ 0 };
}

/* ---- n-grams ---- */

typedef struct gram {
    uint64_t key;   /* number of the first n - 1 pieces, the last piece */
    uint32_t id;    /* of this n-gram, + 1; 0: free */
    uint32_t count; /* in a, less what b has taken */
} gram;

static gram *gram_slot(gram *table, size_t mask, uint64_t key)
{
    size_t at = mix(key) & mask;
    while (table[at].id && table[at].key != key)
        at = (at + 1) & mask;
    return &table[at];
}

static uint64_t gram_key(const uint32_t *before, const uint32_t *pieces, size_t i, size_t order)
{
    return (uint64_t)before[i] << 32 | pieces[i + order - 1];
}

/* before_a and before_b hold the numbers of the (order - 1)-grams that begin at each place, and then those of the
 * order. What b has and a has not gets no number: nothing longer can be common either. */
static sequence_overlap count_order(const sequence_pair *p, size_t order, uint32_t *before_a, uint32_t *before_b,
                                    gram *table, size_t mask)
{
    sequence_overlap o = { p->na >= order ? p->na - order + 1 : 0, p->nb >= order ? p->nb - order + 1 : 0, 0 };
    uint32_t ids = 0;
    memset(table, 0, (mask + 1) * sizeof *table);
    for (size_t i = 0; i < o.a; i++) {
        uint64_t key = gram_key(before_a, p->a, i, order);
        gram *slot = gram_slot(table, mask, key);
        if (!slot->id)
            *slot = (gram){ key, ++ids, 0 };
        slot->count++;
        before_a[i] = slot->id;
    }
    for (size_t i = 0; i < o.b; i++) {
        gram none = { 0 };
        bool lost = order > 1 && !before_b[i];
        gram *slot = lost ? &none : gram_slot(table, mask, gram_key(before_b, p->b, i, order));
        if (slot->count) {
            slot->count--;
            o.both++;
        }
        before_b[i] = slot->id;
    }
    return o;
}

status sequence_ngrams(const sequence_pair *p, size_t orders, sequence_overlap *out, error *err)
{
    size_t size = slots_for(p->na);
    gram *table = mem_array(size, sizeof *table);
    uint32_t *a = mem_array(p->na + 1, sizeof *a), *b = mem_array(p->nb + 1, sizeof *b);
    status s = table && a && b ? OK : no_memory(err);
    for (size_t n = 1; n <= orders && !s; n++)
        out[n - 1] = count_order(p, n, a, b, table, size - 1);
    mem_free(b);
    mem_free(a);
    mem_free(table);
    return s;
}
