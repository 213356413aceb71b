/* align.c: the longest common subsequence and the edit distance of two sequences, 64 cells of a column at a time. A
 * column is a: its rows are bits. Where a piece stands in a is a row of bits too: kept for the pieces that are frequent
 * in a (at most 64 have more occurrences than there are words in a row), made on the way from their places for others,
 * so that memory stays linear. */
#include <string.h>

#include "base/mem.h"
#include "task/sequence_int.h"

typedef struct columns {
    const uint32_t *a, *b; /* without what both begin and end with */
    size_t na, nb, words;
    uint32_t *begin;  /* n_ids + 1: where the places of a piece begin in `places` */
    uint32_t *places;
    uint64_t **kept;  /* n_ids: a row, or NULL */
    uint64_t *rows;   /* the memory of those kept */
    uint64_t *scratch;
    uint32_t last;    /* the piece in scratch; UINT32_MAX: none */
} columns;

static void columns_clear(columns *c)
{
    mem_free(c->begin);
    mem_free(c->places);
    mem_free(c->kept);
    mem_free(c->rows);
    mem_free(c->scratch);
}

/* Takes off equal ends; returns how much. */
static size_t strip(const sequence_pair *p, columns *c)
{
    size_t head = 0, tail = 0, least = p->na < p->nb ? p->na : p->nb;
    while (head < least && p->a[head] == p->b[head])
        head++;
    while (tail < least - head && p->a[p->na - 1 - tail] == p->b[p->nb - 1 - tail])
        tail++;
    c->a = p->a + head;
    c->b = p->b + head;
    c->na = p->na - head - tail;
    c->nb = p->nb - head - tail;
    return head + tail;
}

static void set_bits(const columns *c, uint32_t piece, uint64_t *row)
{
    for (uint32_t i = c->begin[piece]; i < c->begin[piece + 1]; i++)
        row[c->places[i] / 64] |= (uint64_t)1 << c->places[i] % 64;
}

static void fill_places(columns *c, size_t n_ids)
{
    for (size_t i = 0; i < c->na; i++)
        c->begin[c->a[i] + 1]++;
    for (size_t k = 0; k < n_ids; k++)
        c->begin[k + 1] += c->begin[k];
    for (size_t i = 0; i < c->na; i++) /* begin[] moves on to the next piece's beginning, and is then moved back */
        c->places[c->begin[c->a[i]]++] = (uint32_t)i;
    memmove(c->begin + 1, c->begin, n_ids * sizeof *c->begin);
    c->begin[0] = 0;
}

static status columns_open(columns *c, const sequence_pair *p, error *err)
{
    size_t n_kept = 0;
    c->words = (c->na + 63) / 64;
    c->last = UINT32_MAX;
    c->begin = mem_array(p->n_ids + 2, sizeof *c->begin);
    c->places = mem_array(c->na + 1, sizeof *c->places);
    c->kept = mem_array(p->n_ids + 1, sizeof *c->kept);
    c->scratch = mem_array(c->words + 1, sizeof *c->scratch);
    if (!c->begin || !c->places || !c->kept || !c->scratch)
        return fail(err, E_NOMEM, "no memory to align two texts");
    fill_places(c, p->n_ids);
    for (size_t k = 0; k < p->n_ids; k++)
        n_kept += c->begin[k + 1] - c->begin[k] > c->words;
    c->rows = mem_array(n_kept * c->words + 1, sizeof *c->rows);
    if (!c->rows)
        return fail(err, E_NOMEM, "no memory to align two texts");
    uint64_t *row = c->rows;
    for (size_t k = 0; k < p->n_ids; k++)
        if (c->begin[k + 1] - c->begin[k] > c->words) {
            c->kept[k] = row;
            set_bits(c, (uint32_t)k, row);
            row += c->words;
        }
    return OK;
}

/* The bits of a piece; valid until the next call. */
static const uint64_t *bits_of(columns *c, uint32_t piece)
{
    if (c->kept[piece])
        return c->kept[piece];
    if (c->last != UINT32_MAX)
        for (uint32_t i = c->begin[c->last]; i < c->begin[c->last + 1]; i++)
            c->scratch[c->places[i] / 64] = 0;
    c->last = piece;
    set_bits(c, piece, c->scratch);
    return c->scratch;
}

status sequence_lcs(const sequence_pair *p, size_t *out, error *err)
{
    columns c = { 0 };
    size_t common = strip(p, &c);
    status s = columns_open(&c, p, err);
    uint64_t *v = s ? NULL : mem_array(c.words + 1, sizeof *v);
    if (!s && !v)
        s = fail(err, E_NOMEM, "no memory to align two texts");
    if (!s)
        memset(v, 0xff, c.words * sizeof *v);
    for (size_t j = 0; j < c.nb && !s; j++) {
        const uint64_t *match = bits_of(&c, c.b[j]);
        uint64_t carry = 0;
        for (size_t k = 0; k < c.words; k++) {
            uint64_t u = v[k] & match[k], sum = v[k] + u, more = sum + carry;
            carry = (sum < u) | (more < sum);
            v[k] = more | (v[k] & ~match[k]);
        }
    }
    for (size_t i = 0; i < c.na && !s; i++) /* a zero is a row where the subsequence grew */
        common += !(v[i / 64] >> i % 64 & 1);
    mem_free(v);
    columns_clear(&c);
    if (!s)
        *out = common;
    return s;
}

/* Vertical differences of a column: +1 where up has a bit, -1 where down has one. */
typedef struct block {
    uint64_t up, down;
} block;

/* One block of one column. `in` is the horizontal difference above it; returns the one at row `last`. */
static int step(block *v, uint64_t match, int in, unsigned last)
{
    uint64_t xv = match | v->down, m = match | (in < 0);
    uint64_t xh = (((m & v->up) + v->up) ^ v->up) | m;
    uint64_t up = v->down | ~(xh | v->up), down = v->up & xh;
    int h = (int)(up >> last & 1) - (int)(down >> last & 1);
    up = up << 1 | (in > 0);
    down = down << 1 | (in < 0);
    v->up = down | ~(xv | up);
    v->down = up & xv;
    return h;
}

status sequence_distance(const sequence_pair *p, size_t *out, error *err)
{
    columns c = { 0 };
    strip(p, &c);
    status s = columns_open(&c, p, err);
    block *v = s ? NULL : mem_array(c.words + 1, sizeof *v);
    if (!s && !v)
        s = fail(err, E_NOMEM, "no memory to align two texts");
    for (size_t k = 0; k < c.words && !s; k++)
        v[k].up = ~(uint64_t)0;
    size_t distance = c.na ? c.na : c.nb;
    for (size_t j = 0; j < c.nb && c.na && !s; j++) {
        const uint64_t *match = bits_of(&c, c.b[j]);
        int h = 1; /* the row above all: D[0][j] = j */
        for (size_t k = 0; k < c.words; k++)
            h = step(&v[k], match[k], h, k + 1 < c.words ? 63 : (unsigned)((c.na - 1) % 64));
        distance = h > 0 ? distance + 1 : distance - (h < 0);
    }
    mem_free(v);
    columns_clear(&c);
    if (!s)
        *out = distance;
    return s;
}
