/* lang.c: a set of expressions: interning, normal form (see lang_int.h), the constructors over bytes. */
#include "grammar/lang.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "grammar/lang_int.h"

enum { SMALL_LIST = 32 }; /* children that need no memory while a list is put in order */

lang lang_fail(lang_set *s, status code, const char *text)
{
    if (!s->failed.code)
        (void)fail(&s->failed, code, "%s", text);
    return LANG_NONE;
}

bool lang_grow(lang_set *s, void **array, uint32_t n, uint32_t *size, size_t element, const char *what)
{
    if (n < *size)
        return true;
    uint32_t bigger = *size ? *size * 2 : 512;
    size_t more = (size_t)(bigger - *size) * element;
    if (s->bytes + more > LANG_MAX_BYTES) {
        if (!s->failed.code)
            (void)fail(&s->failed, E_RANGE, "the expression is too large: %s need more than %d MiB", what,
                       LANG_MAX_BYTES >> 20);
        return false;
    }
    void *grown = mem_resize(*array, (size_t)bigger * element);
    if (!grown) {
        lang_fail(s, E_NOMEM, "no memory for a regular expression");
        return false;
    }
    *array = grown;
    *size = bigger;
    s->bytes += more;
    return true;
}

/* ---- hashing ---- */

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

static bool is_list(unsigned kind)
{
    return kind == L_ALT || kind == L_AND;
}

/* list: the children of an ALT or AND that is not in the set yet, else where they are. */
static uint32_t hash_node(const lang_node *x, const uint32_t *list)
{
    uint64_t h = mix(0x51ED270B, x->kind);
    if (is_list(x->kind)) {
        for (uint32_t i = 0; i < x->b; i++)
            h = mix(h, list[i]);
    } else {
        h = mix(h, (uint64_t)x->a << 32 | x->b);
        h = mix(h, (uint64_t)x->lo << 32 | x->hi);
    }
    return (uint32_t)(h >> 32);
}

static bool same_node(const lang_set *s, const lang_node *have, const lang_node *x, const uint32_t *list)
{
    if (have->kind != x->kind || have->b != x->b)
        return false;
    if (is_list(x->kind))
        return memcmp(s->lists + have->a, list, x->b * sizeof *list) == 0;
    return have->a == x->a && have->lo == x->lo && have->hi == x->hi;
}

static void table_put(uint32_t *table, uint32_t size, uint32_t hash, uint32_t value)
{
    uint32_t i = hash & (size - 1);
    while (table[i])
        i = (i + 1) & (size - 1);
    table[i] = value + 1;
}

static uint32_t hash_stored(const lang_set *s, lang l)
{
    const lang_node *x = lang_at(s, l);
    return hash_node(x, is_list(x->kind) ? s->lists + x->a : NULL);
}

static uint32_t hash_bytes(const byte_set *b)
{
    uint64_t h = 0x7F4A7C15;
    for (int i = 0; i < 4; i++)
        h = mix(h, b->w[i]);
    return (uint32_t)(h >> 32);
}

/* A table of at least `need` places, holding the first n nodes (sets: n sets). */
static uint32_t *new_table(lang_set *s, uint32_t need, uint32_t n, bool of_sets, uint32_t *size)
{
    uint32_t places = 256;
    while (places < need)
        places *= 2;
    uint32_t *table = mem_array(places, sizeof *table);
    if (!table) {
        lang_fail(s, E_NOMEM, "no memory for a regular expression");
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++)
        table_put(table, places, of_sets ? hash_bytes(&s->sets[i]) : hash_stored(s, i), i);
    *size = places;
    return table;
}

/* Room for one more than the n that are in it: a table is never more than half full. */
static bool room_in_table(lang_set *s, uint32_t **table, uint32_t *size, uint32_t n, bool of_sets)
{
    if ((uint64_t)(n + 1) * 2 < *size)
        return true;
    uint32_t old_size = *size;
    uint32_t *bigger = new_table(s, old_size * 2, n, of_sets, size);
    if (!bigger)
        return false;
    mem_free(*table);
    *table = bigger;
    s->bytes += (size_t)(*size - old_size) * sizeof **table;
    return true;
}

/* The node with the fields of x (and list); made if it is not there. */
static lang intern(lang_set *s, const lang_node *x, const uint32_t *list)
{
    if (s->failed.code)
        return LANG_NONE;
    uint32_t hash = hash_node(x, list), mask = s->table_size - 1;
    for (uint32_t i = hash & mask; s->table[i]; i = (i + 1) & mask)
        if (same_node(s, lang_at(s, s->table[i] - 1), x, list))
            return s->table[i] - 1;
    if (s->n_nodes >= LANG_MAX_NODES)
        return lang_fail(s, E_RANGE, "the expression is too large: it has more than 1048576 states");
    if (x->depth > LANG_MAX_DEPTH)
        return lang_fail(s, E_RANGE, "the expression is nested more than 2000 deep");
    if (!lang_grow(s, (void **)&s->nodes, s->n_nodes, &s->nodes_size, sizeof *s->nodes, "its states"))
        return LANG_NONE;
    lang_node made = *x;
    if (list) {
        made.a = s->n_lists;
        for (uint32_t i = 0; i < x->b; i++) {
            if (!lang_grow(s, (void **)&s->lists, s->n_lists, &s->lists_size, sizeof *s->lists, "its states"))
                return LANG_NONE;
            s->lists[s->n_lists++] = list[i];
        }
    }
    if (!room_in_table(s, &s->table, &s->table_size, s->n_nodes, false))
        return LANG_NONE;
    table_put(s->table, s->table_size, hash, s->n_nodes);
    s->nodes[s->n_nodes] = made;
    return s->n_nodes++;
}

/* ---- opening ---- */

status lang_set_open(lang_set **out, error *err)
{
    lang_set *s = mem_zero(sizeof *s);
    if (!s)
        return fail(err, E_NOMEM, "no memory for a set of regular expressions");
    s->bytes = sizeof *s;
    s->table = new_table(s, 256, 0, false, &s->table_size);
    s->set_table = new_table(s, 256, 0, true, &s->set_table_size);
    if (!s->failed.code) {
        lang none = intern(s, &(lang_node){ .kind = L_NONE }, NULL);
        lang empty = intern(s, &(lang_node){ .kind = L_EMPTY, .flags = L_NULLABLE | L_TEXTUAL }, NULL);
        assert(s->failed.code || (none == LANG_NONE && empty == LANG_EMPTY));
        (void)none;
        (void)empty;
    }
    status st = lang_ok(s, err);
    if (st)
        lang_set_close(&s);
    else
        *out = s;
    return st;
}

static void free_dense(lang_set *s)
{
    for (uint32_t i = 0; i < s->n_dense; i++)
        mem_free(s->dense[i]);
    s->n_dense = 0;
}

void lang_set_close(lang_set **set)
{
    lang_set *s = *set;
    if (!s)
        return;
    free_dense(s);
    mem_free(s->nodes);
    mem_free(s->sets);
    mem_free(s->lists);
    mem_free(s->ranges);
    mem_free(s->dense);
    mem_free(s->table);
    mem_free(s->set_table);
    mem_free(s);
    *set = NULL;
}

status lang_ok(const lang_set *set, error *err)
{
    return set->failed.code ? fail(err, set->failed.code, "%s", set->failed.text) : OK;
}

size_t lang_set_bytes(const lang_set *set)
{
    return set->bytes;
}

lang_mark lang_set_mark(const lang_set *s)
{
    return (lang_mark){ s->n_nodes, s->n_sets, s->n_lists };
}

status lang_set_trim(lang_set *s, lang_mark to, error *err)
{
    s->failed = (error){ OK, "" };
    s->bytes -= (size_t)s->n_dense * 256 * sizeof **s->dense;
    free_dense(s);
    s->n_nodes = to.n_nodes;
    s->n_sets = to.n_sets;
    s->n_lists = to.n_lists;
    s->n_ranges = 0;
    for (uint32_t i = 0; i < s->n_nodes; i++) {
        s->nodes[i].row = s->nodes[i].dense = 0;
        s->nodes[i].flags &= (uint8_t)~L_SEEN;
    }
    uint32_t size = 0, set_size = 0;
    uint32_t *table = new_table(s, s->n_nodes * 2 + 2, s->n_nodes, false, &size);
    uint32_t *set_table = new_table(s, s->n_sets * 2 + 2, s->n_sets, true, &set_size);
    if (table && set_table) {
        s->bytes = s->bytes + ((size_t)size + set_size) * sizeof *table -
                   ((size_t)s->table_size + s->set_table_size) * sizeof *table;
        mem_free(s->table);
        mem_free(s->set_table);
        s->table = table;
        s->table_size = size;
        s->set_table = set_table;
        s->set_table_size = set_size;
    } else {
        mem_free(table);
        mem_free(set_table);
    }
    return lang_ok(s, err);
}

/* ---- leaves ---- */

static bool no_bytes(const byte_set *b)
{
    return !(b->w[0] | b->w[1] | b->w[2] | b->w[3]);
}

lang lang_set_node(lang_set *s, const byte_set *bytes)
{
    if (no_bytes(bytes) || s->failed.code)
        return LANG_NONE;
    uint32_t hash = hash_bytes(bytes), mask = s->set_table_size - 1, index = UINT32_MAX;
    for (uint32_t i = hash & mask; s->set_table[i] && index == UINT32_MAX; i = (i + 1) & mask)
        if (memcmp(&s->sets[s->set_table[i] - 1], bytes, sizeof *bytes) == 0)
            index = s->set_table[i] - 1;
    if (index == UINT32_MAX) {
        if (!lang_grow(s, (void **)&s->sets, s->n_sets, &s->sets_size, sizeof *s->sets, "its classes") ||
            !room_in_table(s, &s->set_table, &s->set_table_size, s->n_sets, true))
            return LANG_NONE;
        index = s->n_sets++;
        s->sets[index] = *bytes;
        table_put(s->set_table, s->set_table_size, hash, index);
    }
    uint8_t flags = bytes->w[2] | bytes->w[3] ? 0 : L_TEXTUAL;
    return intern(s, &(lang_node){ .kind = L_SET, .flags = flags, .depth = 1, .a = index }, NULL);
}

lang lang_bytes(lang_set *set, const uint64_t bits[4])
{
    return lang_set_node(set, &(byte_set){ { bits[0], bits[1], bits[2], bits[3] } });
}

lang lang_text(lang_set *set, const char *bytes, size_t n)
{
    lang rest = LANG_EMPTY;
    bool textual = utf8_valid(bytes, n);
    while (n-- > 0) {
        unsigned char c = (unsigned char)bytes[n];
        byte_set one = { { 0 } };
        one.w[c / 64] = (uint64_t)1 << c % 64;
        rest = lang_seq(set, lang_set_node(set, &one), rest);
    }
    if (textual && !set->failed.code)
        set->nodes[rest].flags |= L_TEXTUAL;
    return set->failed.code ? LANG_NONE : rest;
}

/* ---- operators ---- */

static uint16_t deeper(unsigned depth)
{
    return (uint16_t)(depth >= UINT16_MAX ? UINT16_MAX : depth + 1);
}

/* One SEQ node; a is no SEQ. Before any text only what a needs at least counts: this keeps the automata of searches
 * and lookaheads small. */
static lang pair(lang_set *s, lang a, lang b)
{
    const lang_node *x = lang_at(s, a), *y = lang_at(s, b);
    if (b == s->any_text && b && x->flags & L_TEXTUAL) {
        if (x->flags & L_NULLABLE)
            return b;
        if (x->kind == L_REPEAT && x->hi > x->lo)
            return lang_seq(s, lang_repeat(s, x->a, x->lo, x->lo), b);
    }
    bool empty_a = x->flags & L_NULLABLE;
    unsigned depth = empty_a && y->depth > x->depth ? y->depth : x->depth;
    uint8_t flags = (x->flags & y->flags & (L_NULLABLE | L_TEXTUAL)) | ((x->flags | y->flags) & L_BOOLEAN);
    return intern(s, &(lang_node){ .kind = L_SEQ, .flags = flags, .depth = deeper(depth), .a = a, .b = b }, NULL);
}

lang lang_seq(lang_set *s, lang a, lang b)
{
    if (a == LANG_NONE || b == LANG_NONE || s->failed.code)
        return LANG_NONE;
    if (a == LANG_EMPTY || b == LANG_EMPTY)
        return a == LANG_EMPTY ? b : a;
    if (lang_at(s, a)->kind != L_SEQ)
        return pair(s, a, b);
    bool textual = lang_flag(s, a, L_TEXTUAL) && lang_flag(s, b, L_TEXTUAL);
    uint32_t n = 1;
    for (lang x = a; lang_at(s, x)->kind == L_SEQ; x = lang_at(s, x)->b)
        n++;
    lang small[SMALL_LIST], *parts = n <= SMALL_LIST ? small : mem_array(n, sizeof *parts);
    if (!parts)
        return lang_fail(s, E_NOMEM, "no memory for a regular expression");
    uint32_t at = 0;
    for (; lang_at(s, a)->kind == L_SEQ; a = lang_at(s, a)->b)
        parts[at++] = lang_at(s, a)->a;
    parts[at] = a;
    lang out = b;
    for (uint32_t i = n; i-- > 0 && !s->failed.code;)
        out = pair(s, parts[i], out);
    if (parts != small)
        mem_free(parts);
    if (s->failed.code)
        return LANG_NONE;
    if (textual)
        s->nodes[out].flags |= L_TEXTUAL;
    return out;
}

lang lang_complement(lang_set *s, lang l)
{
    if (s->failed.code)
        return LANG_NONE;
    const lang_node *x = lang_at(s, l);
    if (x->kind == L_NOT)
        return x->a;
    uint8_t flags = (uint8_t)((x->flags & L_NULLABLE ? 0 : L_NULLABLE) | L_BOOLEAN);
    return intern(s, &(lang_node){ .kind = L_NOT, .flags = flags, .depth = deeper(x->depth), .a = l }, NULL);
}

lang lang_not(lang_set *set, lang l)
{
    return lang_and(set, lang_complement(set, l), lang_any_text(set));
}

lang lang_repeat(lang_set *s, lang l, uint32_t min, uint32_t max)
{
    if (s->failed.code || min > max)
        return LANG_NONE;
    if (max == 0 || l == LANG_EMPTY)
        return LANG_EMPTY;
    if (l == LANG_NONE)
        return min ? LANG_NONE : LANG_EMPTY;
    const lang_node *x = lang_at(s, l);
    if (x->flags & L_NULLABLE)
        min = 0;
    if (max == 1)
        return min == 1 ? l : lang_alt(s, l, LANG_EMPTY);
    if (x->kind == L_REPEAT && x->lo == 0 && x->hi == LANG_UNBOUNDED)
        return l;
    uint8_t flags = (x->flags & (L_TEXTUAL | L_BOOLEAN)) | (min ? 0 : L_NULLABLE);
    return intern(s, &(lang_node){ .kind = L_REPEAT, .flags = flags, .depth = deeper(x->depth), .a = l, .lo = min,
                                   .hi = max }, NULL);
}

/* ---- ALT and AND: sets of expressions ---- */

static int by_id(const void *a, const void *b)
{
    lang x = *(const lang *)a, y = *(const lang *)b;
    return x < y ? -1 : x > y;
}

/* Children of one list, flattened, in a block that the caller frees. What is left out: NONE of an ALT. */
static lang *flatten(lang_set *s, lang_kind kind, const lang *parts, size_t n, lang *small, uint32_t *n_out)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += lang_at(s, parts[i])->kind == kind ? lang_at(s, parts[i])->b : 1;
    lang *list = total <= SMALL_LIST ? small : total < LANG_MAX_NODES ? mem_array(total, sizeof *list) : NULL;
    if (!list) {
        lang_fail(s, E_NOMEM, "no memory for a regular expression");
        return NULL;
    }
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const lang_node *x = lang_at(s, parts[i]);
        if (x->kind == kind) {
            memcpy(list + at, s->lists + x->a, x->b * sizeof *list);
            at += x->b;
        } else if (kind != L_ALT || parts[i] != LANG_NONE) {
            list[at++] = parts[i];
        }
    }
    *n_out = at;
    return list;
}

static uint32_t sort_unique(lang *list, uint32_t n)
{
    if (n <= 8) { /* nearly all: insertion beats a call of a comparison */
        for (uint32_t i = 1; i < n; i++) {
            lang x = list[i];
            uint32_t at = i;
            for (; at > 0 && list[at - 1] > x; at--)
                list[at] = list[at - 1];
            list[at] = x;
        }
    } else {
        qsort(list, n, sizeof *list, by_id);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!kept || list[kept - 1] != list[i])
            list[kept++] = list[i];
    return kept;
}

/* All SET children become one: their union or intersection. May add LANG_NONE (of an AND). The order is lost. */
static uint32_t join_sets(lang_set *s, lang_kind kind, lang *list, uint32_t n)
{
    uint32_t kept = 0, n_sets = 0;
    byte_set joined = { { 0 } };
    lang only = LANG_NONE;
    for (uint32_t i = 0; i < n; i++) {
        if (lang_at(s, list[i])->kind != L_SET) {
            list[kept++] = list[i];
            continue;
        }
        const byte_set *b = &s->sets[lang_at(s, list[i])->a];
        for (int w = 0; w < 4; w++)
            joined.w[w] = !n_sets ? b->w[w] : kind == L_ALT ? joined.w[w] | b->w[w] : joined.w[w] & b->w[w];
        only = list[i];
        n_sets++;
    }
    if (n_sets)
        list[kept++] = n_sets == 1 ? only : lang_set_node(s, &joined);
    return kept;
}

/* Drops children that another one makes superfluous, all_or_nothing if one decides alone. */
static uint32_t absorb(const lang_set *s, lang_kind kind, lang *list, uint32_t n, lang *decides)
{
    bool others_nullable = false, all_nullable = true, has_any_text = false;
    *decides = UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        const lang_node *x = lang_at(s, list[i]);
        bool everything = x->kind == L_NOT && x->a == LANG_NONE;
        if ((kind == L_ALT && everything) || (kind == L_AND && list[i] == LANG_NONE))
            *decides = list[i];
        if (list[i] != LANG_EMPTY && x->flags & L_NULLABLE)
            others_nullable = true;
        all_nullable = all_nullable && x->flags & L_NULLABLE;
        has_any_text = has_any_text || (list[i] == s->any_text && s->any_text);
    }
    bool has_textual = false;
    for (uint32_t i = 0; i < n; i++)
        has_textual = has_textual || (list[i] != s->any_text && lang_flag(s, list[i], L_TEXTUAL));
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        const lang_node *x = lang_at(s, list[i]);
        bool drop = kind == L_ALT ? (list[i] == LANG_EMPTY && others_nullable) ||
                                        (has_any_text && list[i] != s->any_text && x->flags & L_TEXTUAL)
                                  : (x->kind == L_NOT && x->a == LANG_NONE && n > 1) ||
                                        (has_any_text && list[i] == s->any_text && has_textual);
        if (kind == L_AND && list[i] == LANG_EMPTY)
            *decides = all_nullable ? LANG_EMPTY : LANG_NONE;
        if (!drop)
            list[kept++] = list[i];
    }
    return kept;
}

static lang make_list(lang_set *s, lang_kind kind, const lang *list, uint32_t n)
{
    lang_node x = { .kind = (uint8_t)kind, .b = n };
    uint8_t any = 0, all = 0xFF;
    unsigned depth = 0;
    for (uint32_t i = 0; i < n; i++) {
        const lang_node *c = lang_at(s, list[i]);
        any |= c->flags;
        all &= c->flags;
        depth = c->depth > depth ? c->depth : depth;
    }
    x.depth = deeper(depth);
    x.flags = kind == L_ALT ? (any & (L_NULLABLE | L_BOOLEAN)) | (all & L_TEXTUAL)
                            : (all & L_NULLABLE) | (any & L_TEXTUAL) | L_BOOLEAN;
    return intern(s, &x, list);
}

static lang combine(lang_set *s, lang_kind kind, const lang *parts, size_t n)
{
    lang small[SMALL_LIST];
    uint32_t kept = 0;
    if (s->failed.code)
        return LANG_NONE;
    lang *list = flatten(s, kind, parts, n, small, &kept);
    if (!list)
        return LANG_NONE;
    lang decides = UINT32_MAX, out;
    kept = join_sets(s, kind, list, sort_unique(list, kept));
    kept = absorb(s, kind, list, sort_unique(list, kept), &decides);
    if (s->failed.code)
        out = LANG_NONE;
    else if (decides != UINT32_MAX)
        out = decides;
    else if (kept <= 1)
        out = kept ? list[0] : LANG_NONE;
    else
        out = make_list(s, kind, list, kept);
    if (list != small)
        mem_free(list);
    return out;
}

lang lang_alt_n(lang_set *set, const lang *parts, size_t n)
{
    return combine(set, L_ALT, parts, n);
}

lang lang_and_n(lang_set *s, const lang *parts, size_t n)
{
    return combine(s, L_AND, parts, n);
}

lang lang_alt(lang_set *set, lang a, lang b)
{
    if (a == b || b == LANG_NONE)
        return set->failed.code ? LANG_NONE : a;
    return lang_alt_n(set, (const lang[]){ a, b }, 2);
}

lang lang_and(lang_set *set, lang a, lang b)
{
    if (a == LANG_NONE || b == LANG_NONE)
        return LANG_NONE;
    return lang_and_n(set, (const lang[]){ a, b }, 2);
}

lang lang_clip(lang_set *s, lang l, uint32_t n)
{
    lang_node x = *lang_at(s, l);
    if (x.flags & L_BOOLEAN || s->failed.code)
        return l;
    switch (x.kind) {
    case L_SEQ: {
        lang a = lang_clip(s, x.a, n);
        return lang_seq(s, a, lang_flag(s, x.a, L_NULLABLE) ? lang_clip(s, x.b, n) : x.b);
    }
    case L_REPEAT:
        x.lo = x.lo > n ? n + 1 : x.lo;
        x.hi = x.hi > n && x.hi != LANG_UNBOUNDED ? n + 1 : x.hi;
        return lang_repeat(s, lang_clip(s, x.a, n), x.lo, x.hi);
    case L_ALT: {
        lang *parts = mem_array(x.b, sizeof *parts);
        if (!parts)
            return lang_fail(s, E_NOMEM, "no memory for a regular expression");
        for (uint32_t i = 0; i < x.b; i++)
            parts[i] = lang_clip(s, s->lists[x.a + i], n);
        l = lang_alt_n(s, parts, x.b);
        mem_free(parts);
        return l;
    }
    default:
        return l;
    }
}

bool lang_has_empty(const lang_set *set, lang l)
{
    return lang_flag(set, l, L_NULLABLE);
}
