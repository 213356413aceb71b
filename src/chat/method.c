/* method.c: methods of str, dict, list, tuple, float, and of jinja2's loop and cycler. What changes a list or a dict is
 * there to be refused: the sandbox is that of immutable things. */
#include <math.h>
#include <string.h>

#include "chat/chars.h"
#include "chat/filter.h"
#include "chat/text_ops.h"

static bool given(value v)
{
    return v.kind != V_ABSENT && v.kind != V_NONE;
}

/* ---- str: cutting ------------------------------------------------------------------------------------------------ */

static value strip(run *r, value v, const value *a, bool left, bool right)
{
    return value_text(text_strip(r, v.s, given(a[0]) ? text_or_fail(r, a[0], "strip arg") : NULL, left, right));
}

static value m_strip(run *r, value v, const value *a) { return strip(r, v, a, true, true); }
static value m_lstrip(run *r, value v, const value *a) { return strip(r, v, a, true, false); }
static value m_rstrip(run *r, value v, const value *a) { return strip(r, v, a, false, true); }

static value list_of(list *l)
{
    return (value){ .kind = V_LIST, .l = l };
}

static value m_split(run *r, value v, const value *a)
{
    int64_t most = a[1].kind == V_ABSENT ? -1 : value_index(r, a[1]);
    return list_of(split_text(r, v.s, given(a[0]) ? text_or_fail(r, a[0], "the separator") : NULL, most));
}

static value m_rsplit(run *r, value v, const value *a)
{
    int64_t most = a[1].kind == V_ABSENT ? -1 : value_index(r, a[1]);
    return list_of(split_text_right(r, v.s, given(a[0]) ? text_or_fail(r, a[0], "the separator") : NULL, most));
}

static value m_splitlines(run *r, value v, const value *a)
{
    return list_of(split_lines(r, v.s, a[0].kind != V_ABSENT && value_true(r, a[0])));
}

static value partition(run *r, value v, const value *a, bool right)
{
    const text *sep = text_or_fail(r, a[0], "the separator");
    span s = text_bytes(r, v.s), needle = text_bytes(r, sep);
    if (!needle.n)
        run_fail(r, E_FORMAT, "empty separator");
    size_t at = right ? text_find_last(r, s, needle, 0, s.n) : text_find(r, s, needle, 0, s.n);
    value out = value_tuple(r, 3), empty = value_str(r, "");
    if (at == SIZE_MAX) {
        list_add(r, out.l, right ? empty : v);
        list_add(r, out.l, empty);
        list_add(r, out.l, right ? v : empty);
        return out;
    }
    list_add(r, out.l, value_text(text_slice(r, v.s, 0, at)));
    list_add(r, out.l, value_text(sep));
    list_add(r, out.l, value_text(text_slice(r, v.s, at + needle.n, s.n)));
    return out;
}

static value m_partition(run *r, value v, const value *a) { return partition(r, v, a, false); }
static value m_rpartition(run *r, value v, const value *a) { return partition(r, v, a, true); }

static bool begins(span s, span with)
{
    return s.n >= with.n && !memcmp(s.p, with.p, with.n);
}

static bool ends(span s, span with)
{
    return s.n >= with.n && !memcmp(s.p + s.n - with.n, with.p, with.n);
}

static value m_removeprefix(run *r, value v, const value *a)
{
    span s = text_bytes(r, v.s), with = text_bytes(r, text_or_fail(r, a[0], "the prefix"));
    return begins(s, with) ? value_text(text_slice(r, v.s, with.n, s.n)) : v;
}

static value m_removesuffix(run *r, value v, const value *a)
{
    span s = text_bytes(r, v.s), with = text_bytes(r, text_or_fail(r, a[0], "the suffix"));
    return ends(s, with) ? value_text(text_slice(r, v.s, 0, s.n - with.n)) : v;
}

/* ---- str: looking ------------------------------------------------------------------------------------------------ */

/* The bytes between two positions in characters, as slices count them; false: start lies behind the end. */
static bool window(run *r, const text *s, value start, value stop, size_t *from, size_t *to)
{
    int64_t n = (int64_t)text_chars(r, s), a = given(start) ? value_bound(r, start) : 0;
    int64_t b = given(stop) ? value_bound(r, stop) : n;
    a = a < 0 ? (a < -n ? 0 : a + n) : a;
    b = b < 0 ? (b < -n ? 0 : b + n) : b > n ? n : b;
    if (a > b || a > n)
        return false;
    *from = text_byte_at(r, s, (size_t)a);
    *to = text_byte_at(r, s, (size_t)b);
    return true;
}

static value find(run *r, value v, const value *a, bool last, bool must)
{
    span s = text_bytes(r, v.s), needle = text_bytes(r, text_or_fail(r, a[0], "what is looked for"));
    size_t from, to, at = SIZE_MAX;
    if (window(r, v.s, a[1], a[2], &from, &to))
        at = last ? text_find_last(r, s, needle, from, to) : text_find(r, s, needle, from, to);
    if (at == SIZE_MAX && must)
        run_fail(r, E_FORMAT, "substring not found");
    return value_int(at == SIZE_MAX ? -1 : (int64_t)text_char_at(r, v.s, at));
}

static value m_find(run *r, value v, const value *a) { return find(r, v, a, false, false); }
static value m_rfind(run *r, value v, const value *a) { return find(r, v, a, true, false); }
static value m_index(run *r, value v, const value *a) { return find(r, v, a, false, true); }
static value m_rindex(run *r, value v, const value *a) { return find(r, v, a, true, true); }

static value m_count(run *r, value v, const value *a)
{
    span s = text_bytes(r, v.s), needle = text_bytes(r, text_or_fail(r, a[0], "what is counted"));
    size_t from, to;
    int64_t n = 0;
    if (!window(r, v.s, a[1], a[2], &from, &to))
        return value_int(0);
    if (!needle.n)
        return value_int((int64_t)text_chars(r, text_slice(r, v.s, from, to)) + 1);
    while ((from = text_find(r, s, needle, from, to)) != SIZE_MAX) {
        n++;
        from += needle.n;
    }
    return value_int(n);
}

static value affix(run *r, value v, const value *a, bool (*has)(span, span), const char *name)
{
    size_t from, to;
    bool in = window(r, v.s, a[1], a[2], &from, &to), found = false;
    span s = in ? (span){ text_bytes(r, v.s).p + from, to - from } : (span){ "", 0 };
    value_defined(r, a[0]);
    if (a[0].kind != V_TEXT && a[0].kind != V_TUPLE)
        run_fail(r, E_FORMAT, "%s first arg must be str or a tuple of str, not %s", name, value_type(a[0]));
    list one = { .items = (value *)(uintptr_t)&a[0], .n = 1 }, *all = a[0].kind == V_TUPLE ? a[0].l : &one;
    for (size_t i = 0; i < all->n && !found; i++)
        found = in && has(s, text_bytes(r, text_or_fail(r, all->items[i], "an affix")));
    return value_bool(found);
}

static value m_startswith(run *r, value v, const value *a) { return affix(r, v, a, begins, "startswith"); }
static value m_endswith(run *r, value v, const value *a) { return affix(r, v, a, ends, "endswith"); }

/* ---- str: changing ----------------------------------------------------------------------------------------------- */

static value m_upper(run *r, value v, const value *a) { (void)a; return value_text(case_upper(r, v.s)); }
static value m_lower(run *r, value v, const value *a) { (void)a; return value_text(case_lower(r, v.s)); }
static value m_casefold(run *r, value v, const value *a) { (void)a; return value_text(case_folded(r, v.s)); }
static value m_title(run *r, value v, const value *a) { (void)a; return value_text(case_titled(r, v.s)); }
static value m_swapcase(run *r, value v, const value *a) { (void)a; return value_text(case_swapped(r, v.s)); }
static value m_capitalize(run *r, value v, const value *a) { (void)a; return value_text(case_capitalized(r, v.s)); }

static value m_replace(run *r, value v, const value *a)
{
    return value_text(text_replace(r, v.s, text_or_fail(r, a[0], "replace() argument 1"),
                                   text_or_fail(r, a[1], "replace() argument 2"),
                                   a[2].kind == V_ABSENT ? -1 : value_index(r, a[2])));
}

static value m_join(run *r, value v, const value *a)
{
    return value_text(text_join(r, v.s, a[0], true));
}

static value pad(run *r, value v, const value *a, bool left, bool right)
{
    const text *fill = a[1].kind == V_ABSENT ? text_of(r, " ") : text_or_fail(r, a[1], "the fill character");
    return value_text(text_pad(r, v.s, value_index(r, a[0]), fill, left, right));
}

static value m_center(run *r, value v, const value *a) { return pad(r, v, a, true, true); }
static value m_ljust(run *r, value v, const value *a) { return pad(r, v, a, false, true); }
static value m_rjust(run *r, value v, const value *a) { return pad(r, v, a, true, false); }

static value m_zfill(run *r, value v, const value *a)
{
    int64_t missing = value_index(r, a[0]) - (int64_t)text_chars(r, v.s);
    span s = text_bytes(r, v.s);
    size_t sign = s.n && (s.p[0] == '-' || s.p[0] == '+');
    builder b = builder_of(r);
    build_slice(&b, v.s, 0, sign);
    build_fill(&b, text_of(r, "0"), missing > 0 ? (uint64_t)missing : 0);
    build_slice(&b, v.s, sign, s.n);
    return value_text(build_done(&b));
}

static value m_expandtabs(run *r, value v, const value *a)
{
    int64_t size = a[0].kind == V_ABSENT ? 8 : value_index(r, a[0]), column = 0;
    span s = text_bytes(r, v.s);
    builder b = builder_of(r);
    for (size_t i = 0, len; i < s.n; i += len) {
        uint32_t c = text_code(s, i, &len);
        int64_t n = c == '\t' && size > 0 ? size - column % size : 0;
        if (c == '\t')
            build_fill(&b, text_of(r, " "), (uint64_t)n);
        else
            build_slice(&b, v.s, i, i + len);
        column = c == '\n' || c == '\r' ? 0 : column + (c == '\t' ? n : 1);
    }
    return value_text(build_done(&b));
}

static value m_format(run *r, value v, const arguments *a)
{
    return format_braces(r, v, a);
}

/* ---- str: what it consists of ------------------------------------------------------------------------------------ */

static bool is_ascii(uint32_t c) { return c < 128; }

/* Every character is one of them, and there is one. */
static value all_are(run *r, value v, bool (*is)(uint32_t), bool when_empty)
{
    span s = text_bytes(r, v.s);
    run_spend_bytes(r, 16 * s.n);
    for (size_t i = 0, len; i < s.n; i += len)
        if (!is(text_code(s, i, &len)))
            return value_bool(false);
    return value_bool(s.n > 0 || when_empty);
}

static value m_isalpha(run *r, value v, const value *a) { (void)a; return all_are(r, v, char_is_alpha, false); }
static value m_isalnum(run *r, value v, const value *a) { (void)a; return all_are(r, v, char_is_alnum, false); }
static value m_isdecimal(run *r, value v, const value *a) { (void)a; return all_are(r, v, char_is_decimal, false); }
static value m_isdigit(run *r, value v, const value *a) { (void)a; return all_are(r, v, char_is_digit, false); }
static value m_isnumeric(run *r, value v, const value *a) { (void)a; return all_are(r, v, char_is_numeric, false); }
static value m_isspace(run *r, value v, const value *a) { (void)a; return all_are(r, v, char_is_space, false); }
static value m_isascii(run *r, value v, const value *a) { (void)a; return all_are(r, v, is_ascii, true); }
static value m_isprintable(run *r, value v, const value *a) { (void)a; return all_are(r, v, char_is_printable, true); }
static value m_islower(run *r, value v, const value *a)
{
    (void)a;
    return value_bool(test_call(r, test_named(span_of("lower")), v, &(arguments){ 0 }));
}
static value m_isupper(run *r, value v, const value *a)
{
    (void)a;
    return value_bool(test_call(r, test_named(span_of("upper")), v, &(arguments){ 0 }));
}

static value m_istitle(run *r, value v, const value *a)
{
    (void)a;
    span s = text_bytes(r, v.s);
    bool within = false, any = false;
    run_spend_bytes(r, 16 * s.n);
    for (size_t i = 0, len; i < s.n; i += len) {
        uint32_t c = text_code(s, i, &len);
        bool head = char_is_upper(c) || char_is_title(c), tail = char_is_lower(c);
        if ((head && within) || (tail && !within))
            return value_bool(false);
        within = head || tail;
        any |= within;
    }
    return value_bool(any);
}

/* ---- dict, list, others ------------------------------------------------------------------------------------------ */

static value view_of(run *r, value v, enum view_of of)
{
    view *w = run_alloc(r, sizeof *w);
    *w = (view){ v.m, of };
    return (value){ .kind = V_VIEW, .view = w, .from = v.from };
}

static value m_items(run *r, value v, const value *a) { (void)a; return view_of(r, v, VIEW_ITEMS); }
static value m_keys(run *r, value v, const value *a) { (void)a; return view_of(r, v, VIEW_KEYS); }
static value m_values(run *r, value v, const value *a) { (void)a; return view_of(r, v, VIEW_VALUES); }

static value m_get(run *r, value v, const value *a)
{
    value out;
    if (dict_get(r, v.m, a[0], &out))
        return out;
    return a[1].kind == V_ABSENT ? VALUE_NONE : a[1];
}

static value m_copy(run *r, value v, const value *a)
{
    (void)r, (void)a;
    return v; /* nothing can change it */
}

static value m_list_index(run *r, value v, const value *a)
{
    int64_t n = (int64_t)v.l->n, from = a[1].kind == V_ABSENT ? 0 : value_bound(r, a[1]);
    int64_t to = a[2].kind == V_ABSENT ? n : value_bound(r, a[2]);
    from = from < 0 ? (from < -n ? 0 : from + n) : from;
    to = to < 0 ? to + n : to > n ? n : to;
    for (int64_t i = from; i < to; i++)
        if (value_equal(r, v.l->items[i], a[0]))
            return value_int(i);
    run_fail(r, E_FORMAT, "%s.index(x): x not in %s", value_type(v), value_type(v));
}

static value m_list_count(run *r, value v, const value *a)
{
    int64_t n = 0;
    for (size_t i = 0; i < v.l->n; i++)
        n += value_equal(r, v.l->items[i], a[0]);
    return value_int(n);
}

static value m_range_index(run *r, value v, const value *a)
{
    return m_list_index(r, (value){ .kind = V_LIST, .l = value_items(r, v) }, a);
}

static value m_range_count(run *r, value v, const value *a)
{
    return m_list_count(r, (value){ .kind = V_LIST, .l = value_items(r, v) }, a);
}

static value m_is_integer(run *r, value v, const value *a)
{
    (void)r, (void)a;
    return value_bool(isfinite(v.d) && v.d == trunc(v.d));
}

static value m_cycle(run *r, value v, const arguments *a)
{
    if (!a->n)
        run_fail(r, E_FORMAT, "no items for cycling given");
    return a->items[(size_t)v.loop->index0 % a->n];
}

static value m_changed(run *r, value v, const arguments *a)
{
    value now = value_tuple(r, a->n);
    for (size_t i = 0; i < a->n; i++)
        list_add(r, now.l, a->items[i]);
    if (v.loop->changed.kind != V_ABSENT && value_equal(r, v.loop->changed, now))
        return value_bool(false);
    v.loop->changed = now;
    return value_bool(true);
}

static value m_next(run *r, value v, const value *a)
{
    (void)r, (void)a;
    cycler *c = v.cycler;
    value out = c->items.items[c->at];
    c->at = (c->at + 1) % c->items.n;
    return out;
}

static value m_reset(run *r, value v, const value *a)
{
    (void)r, (void)a;
    v.cycler->at = 0;
    return VALUE_NONE;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

#define REFUSED(kind, name) { kind, name, NULL, 0, NULL, NULL, true }

static const method_row methods[] = {
    { V_TEXT, "strip", "chars", 0, m_strip, NULL, false },
    { V_TEXT, "lstrip", "chars", 0, m_lstrip, NULL, false },
    { V_TEXT, "rstrip", "chars", 0, m_rstrip, NULL, false },
    { V_TEXT, "split", "sep maxsplit", 0, m_split, NULL, false },
    { V_TEXT, "rsplit", "sep maxsplit", 0, m_rsplit, NULL, false },
    { V_TEXT, "splitlines", "keepends", 0, m_splitlines, NULL, false },
    { V_TEXT, "partition", "sep", 1, m_partition, NULL, false },
    { V_TEXT, "rpartition", "sep", 1, m_rpartition, NULL, false },
    { V_TEXT, "removeprefix", "prefix", 1, m_removeprefix, NULL, false },
    { V_TEXT, "removesuffix", "suffix", 1, m_removesuffix, NULL, false },
    { V_TEXT, "find", "sub start end", 1, m_find, NULL, false },
    { V_TEXT, "rfind", "sub start end", 1, m_rfind, NULL, false },
    { V_TEXT, "index", "sub start end", 1, m_index, NULL, false },
    { V_TEXT, "rindex", "sub start end", 1, m_rindex, NULL, false },
    { V_TEXT, "count", "sub start end", 1, m_count, NULL, false },
    { V_TEXT, "startswith", "prefix start end", 1, m_startswith, NULL, false },
    { V_TEXT, "endswith", "suffix start end", 1, m_endswith, NULL, false },
    { V_TEXT, "upper", "", 0, m_upper, NULL, false },
    { V_TEXT, "lower", "", 0, m_lower, NULL, false },
    { V_TEXT, "casefold", "", 0, m_casefold, NULL, false },
    { V_TEXT, "title", "", 0, m_title, NULL, false },
    { V_TEXT, "swapcase", "", 0, m_swapcase, NULL, false },
    { V_TEXT, "capitalize", "", 0, m_capitalize, NULL, false },
    { V_TEXT, "replace", "old new count", 2, m_replace, NULL, false },
    { V_TEXT, "join", "iterable", 1, m_join, NULL, false },
    { V_TEXT, "center", "width fillchar", 1, m_center, NULL, false },
    { V_TEXT, "ljust", "width fillchar", 1, m_ljust, NULL, false },
    { V_TEXT, "rjust", "width fillchar", 1, m_rjust, NULL, false },
    { V_TEXT, "zfill", "width", 1, m_zfill, NULL, false },
    { V_TEXT, "expandtabs", "tabsize", 0, m_expandtabs, NULL, false },
    { V_TEXT, "format", NULL, 0, NULL, m_format, false },
    { V_TEXT, "isalpha", "", 0, m_isalpha, NULL, false },
    { V_TEXT, "isalnum", "", 0, m_isalnum, NULL, false },
    { V_TEXT, "isdecimal", "", 0, m_isdecimal, NULL, false },
    { V_TEXT, "isdigit", "", 0, m_isdigit, NULL, false },
    { V_TEXT, "isnumeric", "", 0, m_isnumeric, NULL, false },
    { V_TEXT, "isspace", "", 0, m_isspace, NULL, false },
    { V_TEXT, "isascii", "", 0, m_isascii, NULL, false },
    { V_TEXT, "isprintable", "", 0, m_isprintable, NULL, false },
    { V_TEXT, "islower", "", 0, m_islower, NULL, false },
    { V_TEXT, "isupper", "", 0, m_isupper, NULL, false },
    { V_TEXT, "istitle", "", 0, m_istitle, NULL, false },
    { V_DICT, "items", "", 0, m_items, NULL, false },
    { V_DICT, "keys", "", 0, m_keys, NULL, false },
    { V_DICT, "values", "", 0, m_values, NULL, false },
    { V_DICT, "get", "key default", 1, m_get, NULL, false },
    { V_DICT, "copy", "", 0, m_copy, NULL, false },
    REFUSED(V_DICT, "clear"), REFUSED(V_DICT, "pop"), REFUSED(V_DICT, "popitem"), REFUSED(V_DICT, "setdefault"),
    REFUSED(V_DICT, "update"), REFUSED(V_DICT, "fromkeys"),
    { V_LIST, "index", "value start stop", 1, m_list_index, NULL, false },
    { V_LIST, "count", "value", 1, m_list_count, NULL, false },
    { V_LIST, "copy", "", 0, m_copy, NULL, false },
    REFUSED(V_LIST, "append"), REFUSED(V_LIST, "clear"), REFUSED(V_LIST, "pop"), REFUSED(V_LIST, "reverse"),
    REFUSED(V_LIST, "insert"), REFUSED(V_LIST, "sort"), REFUSED(V_LIST, "extend"), REFUSED(V_LIST, "remove"),
    { V_TUPLE, "index", "value start stop", 1, m_list_index, NULL, false },
    { V_TUPLE, "count", "value", 1, m_list_count, NULL, false },
    { V_RANGE, "index", "value", 1, m_range_index, NULL, false },
    { V_RANGE, "count", "value", 1, m_range_count, NULL, false },
    { V_FLOAT, "is_integer", "", 0, m_is_integer, NULL, false },
    { V_LOOP, "cycle", NULL, 0, NULL, m_cycle, false },
    { V_LOOP, "changed", NULL, 0, NULL, m_changed, false },
    { V_CYCLER, "next", "", 0, m_next, NULL, false },
    { V_CYCLER, "reset", "", 0, m_reset, NULL, false },
};

const method_row *method_named(run *r, value of, const text *name)
{
    span s = text_bytes(r, name);
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (methods[i].kind == of.kind && methods[i].name[0] == (s.n ? s.p[0] : 0) && span_is(s, methods[i].name))
            return &methods[i];
    return NULL;
}
