/* lang_text.c: languages of characters: classes of code points as bytes of UTF-8, and texts as JSON strings. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "grammar/lang_int.h"

/* ---- classes ----
 * A character of n bytes is a tree of n levels, 64 ways below the first: code points are put in by ranges, equal
 * subtrees are equal langs, so leads and middle bytes that lead to the same are joined into one set. */

static int by_first(const void *a, const void *b)
{
    const lang_range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Sorted, without overlaps; in place. Returns how many are left. */
static size_t join_ranges(lang_range *r, size_t n)
{
    size_t kept = 0;
    qsort(r, n, sizeof *r, by_first);
    for (size_t i = 0; i < n; i++) {
        if (r[i].first > r[i].last)
            continue;
        if (kept && r[i].first <= r[kept - 1].last + (r[kept - 1].last < UINT32_MAX))
            r[kept - 1].last = r[i].last > r[kept - 1].last ? r[i].last : r[kept - 1].last;
        else
            r[kept++] = r[i];
    }
    return kept;
}

typedef struct ranges {
    const lang_range *at; /* sorted, apart */
    size_t n;
} ranges;

/* Those that touch first .. last. */
static ranges within(ranges r, uint32_t first, uint32_t last)
{
    while (r.n && r.at->last < first)
        r.at++, r.n--;
    while (r.n && r.at[r.n - 1].first > last)
        r.n--;
    return r;
}

static bool covers(ranges r, uint32_t first, uint32_t last)
{
    return r.n == 1 && r.at->first <= first && r.at->last >= last;
}

typedef struct branch {
    lang rest;
    byte_set bytes;
} branch;

/* Joins bytes that lead to the same, as an ALT. At most 64 different ones. */
static void branch_add(branch *b, unsigned *n, lang rest, unsigned byte)
{
    if (rest == LANG_NONE)
        return;
    unsigned i = 0;
    while (i < *n && b[i].rest != rest)
        i++;
    if (i == *n)
        b[(*n)++] = (branch){ rest, { { 0 } } };
    b[i].bytes.w[byte / 64] |= (uint64_t)1 << byte % 64;
}

static lang branches_join(lang_set *s, const branch *b, unsigned n)
{
    lang parts[64];
    for (unsigned i = 0; i < n; i++)
        parts[i] = lang_seq(s, lang_set_node(s, &b[i].bytes), b[i].rest);
    return lang_alt_n(s, parts, n);
}

/* The continuation bytes, `levels` of them, of the code points in r from base on. */
static lang tail(lang_set *s, ranges r, uint32_t base, unsigned levels)
{
    uint32_t block = (uint32_t)1 << 6 * levels;
    r = within(r, base, base + block - 1);
    if (!r.n)
        return LANG_NONE;
    if (covers(r, base, base + block - 1)) {
        byte_set all = { { 0, 0, UINT64_MAX, 0 } };
        lang one = lang_set_node(s, &all), out = LANG_EMPTY;
        for (unsigned i = 0; i < levels; i++)
            out = lang_seq(s, one, out);
        return out;
    }
    branch b[64];
    unsigned n = 0;
    for (unsigned i = 0; i < 64; i++) {
        uint32_t first = base + i * (block / 64);
        lang rest = levels > 1 ? tail(s, r, first, levels - 1) : within(r, first, first).n ? LANG_EMPTY : LANG_NONE;
        branch_add(b, &n, rest, 0x80 + i);
    }
    return branches_join(s, b, n);
}

/* Code points whose UTF-8 has so many bytes: each length has leads of its own, else there were overlong forms. */
static const struct length {
    lang_range all;
    unsigned char lead_first, lead_last, mask, more;
} lengths[] = {
    { { 0x80, 0x7FF }, 0xC2, 0xDF, 0x1F, 1 },
    { { 0x800, 0xD7FF }, 0xE0, 0xED, 0x0F, 2 },
    { { 0xE000, 0xFFFF }, 0xEE, 0xEF, 0x0F, 2 },
    { { 0x10000, 0x10FFFF }, 0xF0, 0xF4, 0x07, 3 },
};

static lang class_of(lang_set *s, const struct length *k, ranges r)
{
    branch b[64];
    unsigned n = 0;
    for (unsigned lead = k->lead_first; lead <= k->lead_last; lead++)
        branch_add(b, &n, tail(s, r, (lead & k->mask) << 6 * k->more, k->more), lead);
    return branches_join(s, b, n);
}

/* The parts of n ranges that lie in `all`. */
static size_t cut_ranges(const lang_range *r, size_t n, lang_range all, lang_range *out)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t first = r[i].first > all.first ? r[i].first : all.first;
        uint32_t last = r[i].last < all.last ? r[i].last : all.last;
        if (first <= last)
            out[kept++] = (lang_range){ first, last };
    }
    return kept;
}

static lang class_by_length(lang_set *s, const lang_range *r, size_t n)
{
    lang_range *cut = mem_array(n + 1, sizeof *cut);
    if (!cut)
        return lang_fail(s, E_NOMEM, "no memory for a regular expression");
    lang parts[1 + ARRAY_LEN(lengths)];
    byte_set ascii = { { 0 } };
    for (size_t i = 0, kept = cut_ranges(r, n, (lang_range){ 0, 0x7F }, cut); i < kept; i++)
        for (uint32_t c = cut[i].first; c <= cut[i].last; c++)
            ascii.w[c / 64] |= (uint64_t)1 << c % 64;
    parts[0] = lang_set_node(s, &ascii);
    for (size_t k = 0; k < ARRAY_LEN(lengths); k++) {
        size_t kept = cut_ranges(r, n, lengths[k].all, cut);
        parts[1 + k] = kept ? class_of(s, &lengths[k], (ranges){ cut, kept }) : LANG_NONE;
    }
    mem_free(cut);
    return lang_alt_n(s, parts, ARRAY_LEN(parts));
}

lang lang_class(lang_set *set, const lang_range *list, size_t n, bool negated)
{
    lang_range *r = n < LANG_MAX_NODES ? mem_array(n * 2 + 2, sizeof *r) : NULL, *gaps;
    if (!r)
        return lang_fail(set, E_NOMEM, "no memory for a class of characters");
    if (n)
        memcpy(r, list, n * sizeof *r);
    n = join_ranges(r, n);
    gaps = r + n;
    if (negated) {
        uint32_t next = 0;
        size_t n_gaps = 0;
        for (size_t i = 0; i < n && next <= 0x10FFFF; i++) {
            if (r[i].first > next)
                gaps[n_gaps++] = (lang_range){ next, r[i].first - 1 };
            next = r[i].last < 0x10FFFF ? r[i].last + 1 : 0x110000;
        }
        if (next <= 0x10FFFF)
            gaps[n_gaps++] = (lang_range){ next, 0x10FFFF };
        n = n_gaps;
    }
    lang out = class_by_length(set, negated ? gaps : r, n);
    mem_free(r);
    if (out != LANG_NONE)
        set->nodes[out].flags |= L_TEXTUAL;
    return out;
}

lang lang_char(lang_set *set)
{
    if (!set->any_char)
        set->any_char = lang_class(set, NULL, 0, true);
    return set->any_char;
}

lang lang_any_text(lang_set *set)
{
    if (!set->any_text)
        set->any_text = lang_repeat(set, lang_char(set), 0, LANG_UNBOUNDED);
    return set->any_text;
}

/* ---- JSON strings ----
 * Every byte has its spellings, and no spelling is the beginning of another byte's: what was written can be read in one
 * way only. So the strings of l are found by putting spellings in the place of bytes, in boolean operations too. */

static bool has(const byte_set *b, unsigned c)
{
    return b->w[c / 64] >> c % 64 & 1;
}

static void put(byte_set *b, unsigned c)
{
    b->w[c / 64] |= (uint64_t)1 << c % 64;
}

/* \u00xx for the bytes of b, in one or both cases. */
static lang escapes_u(lang_set *s, const byte_set *b, bool both_cases)
{
    lang parts[8], out;
    size_t n = 0;
    for (unsigned high = 0; high < 8; high++) {
        byte_set low = { { 0 } }, digit = { { 0 } };
        for (unsigned i = 0; i < 16; i++) {
            if (!has(b, high * 16 + i))
                continue;
            put(&low, (unsigned char)"0123456789abcdef"[i]);
            if (both_cases)
                put(&low, (unsigned char)"0123456789ABCDEF"[i]);
        }
        put(&digit, '0' + high);
        parts[n++] = lang_seq(s, lang_set_node(s, &digit), lang_set_node(s, &low));
    }
    out = lang_alt_n(s, parts, n);
    return lang_seq(s, lang_text(s, "\\u00", 4), out);
}

static lang spell(lang_set *s, const byte_set *b, lang_json_form form)
{
    static const char from[] = "\"\\\b\f\n\r\t/", to[] = "\"\\bfnrt/";
    byte_set plain = *b, letters = { { 0 } }, coded = { { 0 } }, backslash = { { 0 } };
    put(&backslash, '\\');
    for (unsigned c = 0; c < 0x80; c++) {
        if (!has(b, c))
            continue;
        const char *at = c ? strchr(from, (int)c) : NULL;
        bool must = c < 0x20 || c == '"' || c == '\\';
        if (must)
            plain.w[c / 64] &= ~((uint64_t)1 << c % 64);
        if (at && (must || form == LANG_JSON_LOOSE))
            put(&letters, (unsigned char)to[at - from]);
        if ((must && !at) || form == LANG_JSON_LOOSE)
            put(&coded, c);
    }
    lang parts[3] = { lang_set_node(s, &plain), lang_seq(s, lang_set_node(s, &backslash), lang_set_node(s, &letters)),
                      escapes_u(s, &coded, form == LANG_JSON_LOOSE) };
    return lang_alt_n(s, parts, 3);
}

/* map[child] holds the spelling of every child of x. */
static lang spell_node(lang_set *s, lang l, const lang *map, lang all, lang_json_form form)
{
    lang_node x = *lang_at(s, l);
    byte_set bytes;
    switch (x.kind) {
    case L_SET:
        bytes = s->sets[x.a];
        return spell(s, &bytes, form);
    case L_SEQ:
        return lang_seq(s, map[x.a], map[x.b]);
    case L_NOT:
        return lang_and(s, lang_complement(s, map[x.a]), all);
    case L_REPEAT:
        return lang_repeat(s, map[x.a], x.lo, x.hi);
    case L_ALT:
    case L_AND: {
        lang *parts = mem_array(x.b, sizeof *parts);
        if (!parts)
            return lang_fail(s, E_NOMEM, "no memory for a regular expression");
        for (uint32_t i = 0; i < x.b; i++)
            parts[i] = map[s->lists[x.a + i]];
        lang out = x.kind == L_ALT ? lang_alt_n(s, parts, x.b) : lang_and_n(s, parts, x.b);
        mem_free(parts);
        return out;
    }
    default:
        return l;
    }
}

/* Marks what l is made of: children have smaller ids. */
static void mark_below(const lang_set *s, lang l, bool *used)
{
    used[l] = true;
    for (lang i = l + 1; i-- > 0;) {
        const lang_node *x = lang_at(s, i);
        if (!used[i])
            continue;
        if (x->kind == L_SEQ)
            used[x->b] = true;
        if (x->kind == L_SEQ || x->kind == L_NOT || x->kind == L_REPEAT)
            used[x->a] = true;
        for (uint32_t k = 0; (x->kind == L_ALT || x->kind == L_AND) && k < x->b; k++)
            used[s->lists[x->a + k]] = true;
    }
}

lang lang_json_string(lang_set *set, lang l, lang_json_form form)
{
    if (set->failed.code)
        return LANG_NONE;
    bool *used = mem_array((size_t)l + 1, sizeof *used);
    lang *map = mem_array((size_t)l + 1, sizeof *map);
    lang out = LANG_NONE;
    if (!used || !map) {
        lang_fail(set, E_NOMEM, "no memory for a regular expression");
    } else {
        byte_set every = { { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX } };
        lang all = lang_repeat(set, spell(set, &every, form), 0, LANG_UNBOUNDED);
        mark_below(set, l, used);
        for (lang i = 0; i <= l && !set->failed.code; i++)
            if (used[i])
                map[i] = spell_node(set, i, map, all, form);
        bool textual = lang_flag(set, l, L_TEXTUAL) && !set->failed.code;
        if (textual)
            set->nodes[map[l]].flags |= L_TEXTUAL;
        lang quote = lang_text(set, "\"", 1);
        out = lang_seq(set, quote, lang_seq(set, map[l], quote));
    }
    mem_free(used);
    mem_free(map);
    return set->failed.code ? LANG_NONE : out;
}
