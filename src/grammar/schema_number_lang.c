/* schema_number_lang.c: numbers with bounds and divisors as regular languages of decimal digits.
 *
 * A bound's magnitude is digits I before and F behind the point. Of two canonical texts the greater has more digits
 * before the point, or the greater digit at the first difference: so "greater than I.F" is a choice over the position
 * of that difference. The expressions are written as text and compiled; bounded ones have no exponent. */
#include <stdio.h>
#include <string.h>

#include "grammar/schema_rules_int.h"

enum { PART_MAX = GEN_FRACTION_DIGITS };

typedef struct plain { /* a magnitude */
    char whole[GEN_DIGITS + 1]; /* "0", or without leading zeros */
    char part[GEN_FRACTION_DIGITS + 1]; /* without trailing zeros */
} plain;

/* false when the digits do not fit. */
static bool plain_of(const decimal *d, plain *out)
{
    int64_t before = (int64_t)d->n + d->exponent; /* digits before the point; negative: zeros behind it */
    size_t w = 0, p = 0;
    if (d->sign && (before > GEN_DIGITS || d->exponent < -PART_MAX))
        return false;
    for (int64_t i = 0; i < before && d->sign; i++)
        out->whole[w++] = i < (int64_t)d->n ? decimal_digit(d, (size_t)i) : '0';
    if (!w)
        out->whole[w++] = '0';
    for (int64_t i = before; i < (int64_t)d->n && d->sign; i++)
        out->part[p++] = i < 0 ? '0' : decimal_digit(d, (size_t)i);
    out->whole[w] = out->part[p] = 0;
    return true;
}

/* ---- expressions ---- */

static void add_digits(buf *b, size_t n)
{
    if (n)
        buf_printf(b, "[0-9]{%zu}", n);
}

/* Whole numbers greater (less) than the digits: an alternative each, begun with '|'. */
static void add_greater(buf *b, const char *digits)
{
    size_t n = strlen(digits);
    if (n < GEN_DIGITS)
        buf_printf(b, "|[1-9][0-9]{%zu,%d}", n, GEN_DIGITS - 1);
    for (size_t i = 0; i < n; i++) {
        if (digits[i] == '9')
            continue;
        buf_printf(b, "|%.*s[%c-9]", (int)i, digits, digits[i] + 1);
        add_digits(b, n - i - 1);
    }
}

static void add_less(buf *b, const char *digits)
{
    size_t n = strlen(digits);
    if (n > 1)
        buf_printf(b, "|0|[1-9][0-9]{0,%zu}", n - 2);
    for (size_t i = 0; i < n; i++) {
        char least = i || n == 1 ? '0' : '1';
        if (digits[i] <= least)
            continue;
        buf_printf(b, "|%.*s[%c-%c]", (int)i, digits, least, digits[i] - 1);
        add_digits(b, n - i - 1);
    }
}

/* Behind the digits of the point's left: a greater, an equal, a less part. All alternatives begin with '|'. */
static void add_part_greater(buf *b, const char *part)
{
    size_t n = strlen(part);
    for (size_t i = 0; i < n; i++)
        if (part[i] != '9')
            buf_printf(b, "|\\.%.*s[%c-9][0-9]*", (int)i, part, part[i] + 1);
    buf_printf(b, "|\\.%s[0-9]*[1-9][0-9]*", part);
}

static void add_part_equal(buf *b, const char *part)
{
    if (*part)
        buf_printf(b, "|\\.%s0*", part);
    else
        buf_str(b, "||\\.0+");
}

static void add_part_less(buf *b, const char *part)
{
    size_t n = strlen(part);
    if (n)
        buf_char(b, '|');
    for (size_t i = 0; i < n; i++) {
        buf_printf(b, "|\\.%.*s0*", (int)i, part);
        if (part[i] != '0')
            buf_printf(b, "|\\.%.*s[0-%c][0-9]*", (int)i, part, part[i] - 1);
    }
}

/* '|' stands before each alternative and also before the first, which must not mean the empty text: (a|b) of "|a|b". */
static void add_group(buf *b, const buf *alternatives)
{
    if (alternatives->len)
        buf_printf(b, "(%s)", buf_text(alternatives) + 1);
    else
        buf_str(b, "[]");
}

typedef struct side { /* of a bound: which magnitudes are on it */
    bool greater, equal;
} side;

static void add_side(buf *b, const plain *p, side want, bool integers)
{
    buf whole = BUF_INIT(1 << 16), part = BUF_INIT(1 << 16);
    (want.greater ? add_greater : add_less)(&whole, p->whole);
    add_group(b, &whole);
    if (integers) {
        /* I itself is less than I.F, and not greater */
        if (*p->part ? !want.greater : want.equal)
            buf_printf(b, "|%s", p->whole);
    } else {
        buf_str(b, "(\\.[0-9]+)?");
        (want.greater ? add_part_greater : add_part_less)(&part, p->part);
        if (want.equal)
            add_part_equal(&part, p->part);
        buf_printf(b, "|%s", p->whole);
        add_group(b, &part);
    }
    b->failed = b->failed || whole.failed || part.failed;
    buf_clear(&whole);
    buf_clear(&part);
}

static status compile(schema_gen *g, buf *b, lang *out)
{
    status s = b->failed ? gen_no_memory(g) : lang_regex(g->langs, buf_text(b), b->len, LANG_WHOLE, out, g->err);
    buf_clear(b);
    return s;
}

static status shape(schema_gen *g, bool integers, lang *out)
{
    buf b = BUF_INIT(256);
    buf_printf(&b, "(0|[1-9][0-9]{0,%d})", GEN_DIGITS - 1);
    if (!integers)
        buf_printf(&b, "(\\.[0-9]{1,%d})?", PART_MAX);
    return compile(g, &b, out);
}

/* Of the magnitudes in `from` those on that side of |bound|; `from` when there is no bound. */
static status cut(schema_gen *g, lang from, const decimal *bound, side want, bool integers, lang *out)
{
    static const decimal zero = { 0, "0", NULL, 0, 0 };
    plain p;
    lang l;
    buf b = BUF_INIT(1 << 17);
    if (!bound)
        bound = &zero;
    if (!plain_of(bound, &p)) { /* not in our digits: beyond all of them, or refused by gen_range_fits */
        *out = want.greater ? LANG_NONE : from;
        return OK;
    }
    add_side(&b, &p, want, integers);
    status s = compile(g, &b, &l);
    if (!s)
        *out = lang_and(g->langs, from, l);
    return s;
}

/* ---- ranges ---- */

void gen_range_of(const schema_gen *g, gen_set set, gen_range *out)
{
    *out = (gen_range){ NULL, NULL, false, false };
    for (size_t i = 0; i < set.n; i++) {
        const schema_numbers *n = gen_node(g, set.at[i])->numbers;
        const decimal *low[] = { n ? n->minimum : NULL, n ? n->above : NULL };
        const decimal *high[] = { n ? n->maximum : NULL, n ? n->below : NULL };
        for (int open = 0; open < 2; open++) {
            int order = low[open] && out->low ? decimal_compare(low[open], out->low) : 1;
            if (low[open] && (order > 0 || (!order && open))) {
                out->low = low[open];
                out->low_open = open;
            }
            order = high[open] && out->high ? decimal_compare(high[open], out->high) : -1;
            if (high[open] && (order < 0 || (!order && open))) {
                out->high = high[open];
                out->high_open = open;
            }
        }
    }
}

static status positive(schema_gen *g, const gen_range *r, bool integers, lang all, lang *out)
{
    status s = OK;
    *out = all;
    if (r->high && r->high->sign < 0)
        *out = LANG_NONE;
    else if (r->high)
        s = cut(g, *out, r->high, (side){ false, !r->high_open }, integers, out);
    if (!s && r->low && r->low->sign >= 0)
        s = cut(g, *out, r->low, (side){ true, !r->low_open }, integers, out);
    return s;
}

/* Magnitudes of the numbers below zero. */
static status negative(schema_gen *g, const gen_range *r, bool integers, lang all, lang *out)
{
    status s = cut(g, all, NULL, (side){ true, false }, integers, out);
    if (r->low && r->low->sign >= 0)
        *out = LANG_NONE;
    else if (r->low && !s)
        s = cut(g, *out, r->low, (side){ false, !r->low_open }, integers, out);
    if (!s && r->high && r->high->sign < 0)
        s = cut(g, *out, r->high, (side){ true, !r->high_open }, integers, out);
    return s;
}

status gen_range_lang(schema_gen *g, const gen_range *r, bool integers, lang *out)
{
    lang all, above, below;
    status s = shape(g, integers, &all);
    if (!s)
        s = positive(g, r, integers, all, &above);
    if (!s)
        s = negative(g, r, integers, all, &below);
    if (!s)
        *out = lang_alt(g->langs, above, lang_seq(g->langs, lang_text(g->langs, "-", 1), below));
    return s;
}

/* A bound with more digits behind the point than ours would be cut wrongly. */
static status range_fits(schema_gen *g, gen_set set, const gen_range *r)
{
    const decimal *bounds[] = { r->low, r->high };
    for (size_t i = 0; i < 2; i++)
        if (bounds[i] && bounds[i]->exponent < -PART_MAX)
            for (size_t k = 0; k < set.n; k++)
                if (gen_node(g, set.at[k])->numbers)
                    return gen_refuse(g, gen_node(g, set.at[k]), i ? "maximum" : "minimum",
                                      "a bound with so many digits behind the point cannot be generated");
    return OK;
}

/* ---- divisors ---- */

static int64_t power(int64_t base, int64_t n)
{
    int64_t p = 1;
    while (n-- > 0)
        p *= base;
    return p;
}

static int64_t common(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* How many last digits decide whether a number is a multiple of d: least n with d | 10^n; -1 when more than 4. */
static int deciding_digits(int64_t d)
{
    for (int n = 0; n <= 4; n++)
        if (power(10, n) % d == 0)
            return n;
    return -1;
}

/* Writes v with `places` digits behind the point and at least `before` in front of it. */
static void add_scaled(buf *b, int64_t v, int places, int before)
{
    char digits[48];
    int n = snprintf(digits, sizeof digits, "%0*lld", before + places, (long long)v);
    buf_printf(b, "%.*s%s%s", n - places, digits, places ? "\\." : "", digits + n - places);
}

/* All multiples of d below 10^n, or with `padded` as the ends of longer numbers. */
static void add_endings(buf *b, int64_t d, int n, int places, int before)
{
    for (int64_t v = 0; v < power(10, n); v += d) {
        buf_str(b, v ? "|" : "");
        add_scaled(b, v, places, before);
    }
}

/* Numbers with `places` digits behind the point that, read without the point, are multiples of d: the last n digits
 * decide. Where the point is among these, short numbers are written out. */
static status multiples_with_places(schema_gen *g, int64_t d, int places, lang *out)
{
    buf b = BUF_INIT(4 << 20);
    int n = deciding_digits(d);
    buf_str(&b, "-?(");
    if (n <= places) {
        buf_str(&b, "(0|[1-9][0-9]*)");
        if (places)
            buf_printf(&b, "\\.[0-9]{%d}", places - n);
        for (int64_t v = 0; n && v < power(10, n); v += d)
            buf_printf(&b, "%s%0*lld", v ? "|" : "(", n, (long long)v);
        buf_str(&b, n ? "))" : ")");
    } else {
        buf_str(&b, "[1-9][0-9]*(");
        add_endings(&b, d, n, places, n - places);
        buf_str(&b, ")|");
        add_endings(&b, d, n, places, 1);
        buf_str(&b, ")");
    }
    return compile(g, &b, out);
}

typedef struct divisor { /* digits * 10^exponent */
    int64_t digits, exponent;
} divisor;

/* The smallest decimal with that many places of which all multiples of `m` with so many places are multiples. */
static int64_t scaled_divisor(divisor m, int64_t places)
{
    int64_t d = m.digits;
    for (int64_t i = 0; i < m.exponent + places; i++)
        d *= 10;
    return m.exponent + places < 0 ? d / common(d, power(10, -m.exponent - places)) : d;
}

/* Every multiple by its ending; *done is false when no number of last digits decides. */
static status by_endings(schema_gen *g, divisor m, bool integers, lang *out, bool *done)
{
    int64_t most = integers || m.exponent >= 0 ? 0 : -m.exponent;
    *done = false;
    *out = LANG_NONE;
    if (most > 9 || m.exponent > 4 || m.digits > 10000)
        return OK;
    for (int64_t places = 0; places <= most; places++) {
        lang l;
        int64_t d = scaled_divisor(m, places);
        if (deciding_digits(d) < 0)
            return OK;
        status s = multiples_with_places(g, d, (int)places, &l);
        if (s)
            return s;
        *out = lang_alt(g->langs, *out, l);
    }
    *done = true;
    return OK;
}

/* d as a whole number of 10^-places, rounded down or up; false when it is too large. */
static bool scaled(const decimal *d, int64_t places, bool up, int64_t *out)
{
    int64_t v = 0, cut = d->exponent + places;
    if (!d->sign || (int64_t)d->n + cut <= 0) {
        *out = d->sign > 0 ? up : d->sign < 0 ? -(int64_t)!up : 0;
        return true;
    }
    if ((int64_t)d->n + cut > 15)
        return false;
    for (int64_t i = 0; i < (int64_t)d->n + cut; i++)
        v = v * 10 + (i < (int64_t)d->n ? decimal_digit(d, (size_t)i) - '0' : 0);
    bool rest = cut < 0; /* the last digit is not zero */
    *out = d->sign > 0 ? v + (rest && up) : -v - (rest && !up);
    return true;
}

static int64_t down_to(int64_t v, int64_t d)
{
    int64_t rest = v % d;
    return v - rest - (rest < 0 ? d : 0);
}

/* Every multiple in the range, when they are few. */
static status by_values(schema_gen *g, divisor m, const gen_range *r, bool integers, lang *out, bool *done)
{
    int64_t places = integers || m.exponent >= 0 ? 0 : -m.exponent, low, high;
    *done = false;
    if (!r->low || !r->high || places > 9 || m.exponent > 9 || m.digits > 1000000000 ||
        !scaled(r->low, places, true, &low) || !scaled(r->high, places, false, &high))
        return OK;
    int64_t d = scaled_divisor(m, places), first = -down_to(-low, d), last = down_to(high, d);
    if (last >= first && (last - first) / d > GEN_VALUES_MAX)
        return OK;
    buf b = BUF_INIT(1 << 20);
    buf_str(&b, "[]");
    for (int64_t v = first; v <= last; v += d) {
        int64_t shorter = v < 0 ? -v : v, all = places; /* with all zeros at the end, and with fewer */
        for (; all >= 0; all--, shorter /= 10) {
            buf_str(&b, v < 0 ? "|-" : "|");
            add_scaled(&b, shorter, (int)all, 1);
            if (shorter % 10)
                break;
        }
    }
    *done = true;
    return compile(g, &b, out);
}

static status multiples(schema_gen *g, const schema_node *n, const gen_range *r, bool integers, lang *out)
{
    const decimal *by = n->numbers->multiple_of;
    divisor m = { 0, by->exponent };
    bool done = false;
    for (size_t i = 0; i < by->n; i++)
        m.digits = m.digits * 10 + (decimal_digit(by, i) - '0');
    *out = LANG_NONE;
    status s = m.exponent < -18 || m.exponent > 18 ? OK : by_endings(g, m, integers, out, &done);
    if (!s && !done && m.exponent >= -18 && m.exponent <= 9)
        s = by_values(g, m, r, integers, out, &done);
    if (s || done)
        return s;
    s = gen_refuse(g, n, "multipleOf", "only divisors of powers of ten, or few multiples between two bounds");
    if (!s)
        s = gen_range_lang(g, &(gen_range){ NULL, NULL, false, false }, integers, out);
    return s;
}

/* ---- the whole ---- */

static status unbounded(schema_gen *g, lang *out)
{
    buf b = BUF_INIT(256);
    buf_printf(&b, "-?(0|[1-9][0-9]{0,%d})(\\.[0-9]{1,%d})?([eE][+-]?[0-9]{1,2})?", GEN_DIGITS - 1, PART_MAX);
    return compile(g, &b, out);
}

/* Decimals that are no integers. */
static status fractions(schema_gen *g, lang *out)
{
    buf b = BUF_INIT(64);
    buf_str(&b, "[^.]*\\.[0-9]*[1-9][0-9]*");
    return compile(g, &b, out);
}

status gen_number(schema_gen *g, gen_set set, unsigned kinds, lang *out)
{
    gen_range range;
    bool integers = kinds == KIND_INTEGER, divided = false;
    gen_range_of(g, set, &range);
    for (size_t i = 0; i < set.n; i++)
        divided = divided || (gen_node(g, set.at[i])->numbers && gen_node(g, set.at[i])->numbers->multiple_of);
    status s = range_fits(g, set, &range);
    if (!s && kinds == KIND_NUMBER && !range.low && !range.high && !divided)
        return unbounded(g, out);
    if (!s)
        s = gen_range_lang(g, &range, integers, out);
    for (size_t i = 0; i < set.n && !s && divided; i++) {
        const schema_node *n = gen_node(g, set.at[i]);
        lang l;
        if (!n->numbers || !n->numbers->multiple_of)
            continue;
        s = multiples(g, n, &range, integers, &l);
        *out = lang_and(g->langs, *out, s ? LANG_NONE : l);
    }
    lang l;
    if (!s && kinds == KIND_FRACTION && !(s = fractions(g, &l)))
        *out = lang_and(g->langs, *out, l);
    return s;
}
