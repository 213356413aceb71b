#include "chat/text_ops.h"

#include <string.h>

const text *text_replace(run *r, const text *s, const text *old, const text *new_text, int64_t count)
{
    span in = text_bytes(r, s), needle = text_bytes(r, old);
    builder b = builder_of(r);
    size_t at = 0;
    for (int64_t n = 0; n != count; n++) {
        size_t found = text_find(r, in, needle, at, in.n);
        if (found == SIZE_MAX)
            break;
        build_slice(&b, s, at, found);
        build_text(&b, new_text);
        at = found + needle.n;
        if (!needle.n) { /* between all characters */
            if (at >= in.n)
                break;
            size_t len = text_char_bytes(in.p + at, in.n - at);
            build_slice(&b, s, at, at + len);
            at += len;
        }
    }
    if (!at && !b.n)
        return s;
    build_slice(&b, s, at, in.n);
    return build_done(&b);
}

/* ---- splitting --------------------------------------------------------------------------------------------------- */

static void add_slice(run *r, list *l, const text *s, size_t from, size_t to)
{
    list_add(r, l, value_text(text_slice(r, s, from, to)));
}

static bool is_line_end(uint32_t c)
{
    return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

list *split_lines(run *r, const text *s, bool keep_ends)
{
    span in = text_bytes(r, s);
    list *l = value_list(r, 0).l;
    size_t begin = 0;
    run_spend_bytes(r, 4 * in.n);
    for (size_t i = 0, len; i < in.n; i += len) {
        if (!is_line_end(text_code(in, i, &len)))
            continue;
        if (in.p[i] == '\r' && i + 1 < in.n && in.p[i + 1] == '\n')
            len = 2;
        add_slice(r, l, s, begin, keep_ends ? i + len : i);
        begin = i + len;
    }
    if (begin < in.n)
        add_slice(r, l, s, begin, in.n);
    return l;
}

static bool space_at(span s, size_t at, size_t *len)
{
    return char_is_space(text_code(s, at, len));
}

static list *split_white(run *r, const text *s, int64_t most)
{
    span in = text_bytes(r, s);
    list *l = value_list(r, 0).l;
    size_t i = 0, len = 0;
    run_spend_bytes(r, 4 * in.n);
    for (;;) {
        while (i < in.n && space_at(in, i, &len))
            i += len;
        if (i >= in.n)
            return l;
        size_t begin = i;
        if (most >= 0 && (int64_t)l->n >= most) {
            add_slice(r, l, s, begin, in.n);
            return l;
        }
        while (i < in.n && !space_at(in, i, &len))
            i += len;
        add_slice(r, l, s, begin, i);
    }
}

list *split_text(run *r, const text *s, const text *separator, int64_t most)
{
    if (!separator)
        return split_white(r, s, most);
    span in = text_bytes(r, s), sep = text_bytes(r, separator);
    if (!sep.n)
        run_fail(r, E_FORMAT, "empty separator");
    list *l = value_list(r, 0).l;
    size_t at = 0;
    while (most < 0 || (int64_t)l->n < most) {
        size_t found = text_find(r, in, sep, at, in.n);
        if (found == SIZE_MAX)
            break;
        add_slice(r, l, s, at, found);
        at = found + sep.n;
    }
    add_slice(r, l, s, at, in.n);
    return l;
}

static void reverse(list *l)
{
    for (size_t i = 0; i < l->n / 2; i++) {
        value v = l->items[i];
        l->items[i] = l->items[l->n - 1 - i];
        l->items[l->n - 1 - i] = v;
    }
}

static size_t char_before(span s, size_t at)
{
    size_t i = at - 1;
    while (i > 0 && at - i < 4 && ((unsigned char)s.p[i] & 0xc0) == 0x80)
        i--;
    return i;
}

static list *split_white_right(run *r, const text *s, int64_t most)
{
    span in = text_bytes(r, s);
    list *l = value_list(r, 0).l;
    size_t end = in.n, len;
    run_spend_bytes(r, 4 * in.n);
    for (;;) {
        while (end > 0 && space_at(in, char_before(in, end), &len))
            end = char_before(in, end);
        if (!end)
            break;
        if ((int64_t)l->n >= most) {
            add_slice(r, l, s, 0, end);
            break;
        }
        size_t begin = end;
        while (begin > 0 && !space_at(in, char_before(in, begin), &len))
            begin = char_before(in, begin);
        add_slice(r, l, s, begin, end);
        end = begin;
    }
    reverse(l);
    return l;
}

list *split_text_right(run *r, const text *s, const text *separator, int64_t most)
{
    if (most < 0)
        return split_text(r, s, separator, most);
    if (!separator)
        return split_white_right(r, s, most);
    span in = text_bytes(r, s), sep = text_bytes(r, separator);
    if (!sep.n)
        run_fail(r, E_FORMAT, "empty separator");
    list *l = value_list(r, 0).l;
    size_t end = in.n;
    while ((int64_t)l->n < most) {
        size_t found = text_find_last(r, in, sep, 0, end);
        if (found == SIZE_MAX)
            break;
        add_slice(r, l, s, found + sep.n, end);
        end = found;
    }
    add_slice(r, l, s, 0, end);
    reverse(l);
    return l;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

const text *text_pad(run *r, const text *s, int64_t width, const text *fill, bool left, bool right)
{
    int64_t chars = (int64_t)text_chars(r, s), missing = width - chars;
    if (text_chars(r, fill) != 1)
        run_fail(r, E_FORMAT, "The fill character must be exactly one character long");
    if (missing <= 0)
        return s;
    int64_t before = left && right ? missing / 2 + (missing & width & 1) : left ? missing : 0;
    builder b = builder_of(r);
    build_fill(&b, fill, (uint64_t)before);
    build_text(&b, s);
    build_fill(&b, fill, (uint64_t)(missing - before));
    return build_done(&b);
}

const text *text_escape(run *r, const text *s)
{
    static const char *const entities[] = { "&&amp;", "<&lt;", ">&gt;", "\"&#34;", "'&#39;" };
    span in = text_bytes(r, s);
    builder b = builder_of(r);
    size_t begin = 0;
    for (size_t i = 0; i < in.n; i++) {
        for (size_t k = 0; k < ARRAY_LEN(entities); k++) {
            if (in.p[i] != entities[k][0])
                continue;
            build_slice(&b, s, begin, i);
            build_str(&b, entities[k] + 1, text_origin(r, s, i));
            begin = i + 1;
        }
    }
    run_spend_bytes(r, 4 * in.n);
    build_slice(&b, s, begin, in.n);
    text *out = build_done(&b);
    out->markup = true;
    return out;
}

const text *text_join(run *r, const text *separator, value items, bool strict)
{
    builder b = builder_of(r);
    iter it;
    value v;
    bool first = true;
    iter_open(r, &it, items);
    for (size_t i = 0; iter_next(r, &it, &v); i++) {
        if (strict && v.kind != V_TEXT)
            run_fail(r, E_FORMAT, "sequence item %zu: expected str instance, %s found", i, value_type(v));
        if (!first)
            build_text(&b, separator);
        first = false;
        build_text(&b, value_print(r, v));
    }
    return build_done(&b);
}
