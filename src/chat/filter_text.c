/* filter_text.c: filters that make texts of texts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/chars.h"
#include "chat/filter.h"
#include "chat/text_ops.h"

static const text *soft(run *r, value v)
{
    return v.kind == V_TEXT ? v.s : value_print(r, v);
}

const text *text_or_fail(run *r, value v, const char *what)
{
    value_defined(r, v);
    if (v.kind != V_TEXT)
        run_fail(r, E_FORMAT, "%s must be str, not %s", what, value_type(v));
    return v.s;
}

static bool given_true(run *r, value v)
{
    return v.kind != V_ABSENT && value_true(r, v);
}

static value do_upper(run *r, value v, const value *a)
{
    (void)a;
    return value_text(case_upper(r, soft(r, v)));
}

static value do_lower(run *r, value v, const value *a)
{
    (void)a;
    return value_text(case_lower(r, soft(r, v)));
}

static value do_capitalize(run *r, value v, const value *a)
{
    (void)a;
    return value_text(case_capitalized(r, soft(r, v)));
}

/* Words begin behind blanks and - ( { [ <, unlike in str.title. */
static value do_title(run *r, value v, const value *a)
{
    (void)a;
    const text *t = soft(r, v);
    span s = text_bytes(r, t);
    builder b = builder_of(r);
    bool begin = true;
    for (size_t i = 0, len; i < s.n; i += len) {
        uint32_t c = text_code(s, i, &len);
        bool between = char_is_space(c) || (c < 128 && c && strchr("-({[<", (int)c));
        if (between)
            build_slice(&b, t, i, i + len);
        else
            build_case(&b, t, i, i + len, begin ? CASE_UPPER : CASE_LOWER);
        begin = between;
    }
    return value_text(build_done(&b));
}

static value do_trim(run *r, value v, const value *a)
{
    bool white = a[0].kind == V_ABSENT || a[0].kind == V_NONE;
    return value_text(text_strip(r, soft(r, v), white ? NULL : text_or_fail(r, a[0], "chars"), true, true));
}

static value do_replace(run *r, value v, const value *a)
{
    int64_t count = a[2].kind == V_ABSENT || a[2].kind == V_NONE ? -1 : value_index(r, a[2]);
    return value_text(text_replace(r, value_print(r, v), value_print(r, a[0]), value_print(r, a[1]), count));
}

static value do_center(run *r, value v, const value *a)
{
    int64_t width = a[0].kind == V_ABSENT ? 80 : value_index(r, a[0]);
    return value_text(text_pad(r, soft(r, v), width, text_of(r, " "), true, true));
}

static value do_string(run *r, value v, const value *a)
{
    (void)a;
    return value_text(soft(r, v));
}

static const text *indention_of(run *r, value width)
{
    if (width.kind == V_TEXT)
        return width.s;
    builder b = builder_of(r);
    int64_t n = width.kind == V_ABSENT ? 4 : value_index(r, width);
    build_fill(&b, text_of(r, " "), n > 0 ? (uint64_t)n : 0);
    return build_done(&b);
}

static value do_indent(run *r, value v, const value *a)
{
    const text *by = indention_of(r, a[0]), *newline = text_of(r, "\n");
    value_defined(r, v);
    if (v.kind != V_TEXT)
        run_fail(r, E_FORMAT, "unsupported operand type(s) for +=: '%s' and 'str'", value_type(v));
    bool first = given_true(r, a[1]), blank = given_true(r, a[2]);
    list *lines = split_lines(r, text_join2(r, v.s, newline), false);
    builder b = builder_of(r);
    for (size_t i = 0; i < lines->n; i++) {
        const text *line = lines->items[i].s;
        if (i)
            build_text(&b, newline);
        if (i ? blank || line->n : first)
            build_text(&b, by);
        build_text(&b, line);
    }
    return value_text(build_done(&b));
}

static value do_truncate(run *r, value v, const value *a)
{
    const text *end = text_of(r, "...");
    if (a[2].kind != V_ABSENT)
        end = text_or_fail(r, a[2], "end");
    int64_t length = a[0].kind == V_ABSENT ? 255 : value_index(r, a[0]);
    int64_t leeway = a[3].kind == V_ABSENT || a[3].kind == V_NONE ? 5 : value_index(r, a[3]);
    int64_t end_chars = (int64_t)text_chars(r, end);
    if (length < end_chars || leeway < 0)
        run_fail(r, E_FORMAT, "expected length >= %lld, got %lld", (long long)end_chars, (long long)length);
    if ((int64_t)value_length(r, v) - leeway <= length)
        return v;
    const text *s = text_or_fail(r, v, "what is truncated");
    size_t cut = text_byte_at(r, s, (size_t)(length - end_chars));
    if (!given_true(r, a[1])) {
        size_t blank = text_find_last(r, text_bytes(r, s), (span){ " ", 1 }, 0, cut);
        cut = blank == SIZE_MAX ? cut : blank;
    }
    return value_text(text_join2(r, text_slice(r, s, 0, cut), end));
}

static value do_wordcount(run *r, value v, const value *a)
{
    (void)a;
    span s = text_bytes(r, soft(r, v));
    int64_t n = 0;
    bool within = false;
    run_spend_bytes(r, 4 * s.n);
    for (size_t i = 0, len; i < s.n; i += len) {
        bool word = char_is_word(text_code(s, i, &len));
        n += word && !within;
        within = word;
    }
    return value_int(n);
}

value escape_text(run *r, value v)
{
    return v.kind == V_TEXT && v.s->markup ? v : value_text(text_escape(r, value_print(r, v)));
}

static value do_escape(run *r, value v, const value *a)
{
    (void)a;
    return escape_text(r, v);
}

static value do_force_escape(run *r, value v, const value *a)
{
    (void)a;
    return value_text(text_escape(r, value_print(r, v)));
}

static value do_safe(run *r, value v, const value *a)
{
    (void)a;
    text *s = run_alloc(r, sizeof *s);
    const text *from = value_print(r, v);
    (void)text_bytes(r, from);
    *s = *from;
    s->markup = true;
    return value_text(s);
}

static value do_format(run *r, value v, const arguments *a)
{
    if (a->n && a->n_names)
        run_fail(r, E_FORMAT, "can't handle positional and keyword arguments at the same time");
    value with = a->n_names ? value_dict(r) : value_tuple(r, a->n);
    for (size_t i = 0; i < a->n; i++)
        list_add(r, with.l, a->items[i]);
    for (size_t i = 0; i < a->n_names; i++)
        dict_set(r, with.m, value_text(a->names[i]), a->items[i]);
    return format_percent(r, soft(r, v), with);
}

static void quote(builder *b, const text *t, bool query)
{
    span s = text_bytes(b->r, t);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        uint32_t from = text_origin(b->r, t, i);
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr("_.-~", c)) || (c == '/' && !query);
        char code[4];
        snprintf(code, sizeof code, plain ? "%c" : "%%%02X", c);
        build_str(b, query && c == ' ' ? "+" : code, from);
        run_spend(b->r, 1);
    }
}

static value do_urlencode(run *r, value v, const value *a)
{
    (void)a;
    builder b = builder_of(r);
    if (v.kind == V_TEXT || !value_iterable(v)) {
        quote(&b, value_print(r, v), false);
        return value_text(build_done(&b));
    }
    view items = { v.m, VIEW_ITEMS };
    list *pairs = value_items(r, v.kind == V_DICT ? (value){ .kind = V_VIEW, .view = &items } : v);
    for (size_t i = 0; i < pairs->n; i++) {
        list *pair = value_items(r, pairs->items[i]);
        if (pair->n != 2)
            run_fail(r, E_FORMAT, "urlencode wants pairs");
        build_str(&b, i ? "&" : "", ORIGIN_TEMPLATE);
        quote(&b, value_print(r, pair->items[0]), true);
        build_str(&b, "=", ORIGIN_TEMPLATE);
        quote(&b, value_print(r, pair->items[1]), true);
    }
    return value_text(build_done(&b));
}

static value do_filesizeformat(run *r, value v, const value *a)
{
    static const char *const decimal[] = { "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB" },
                      *const binary[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB" };
    double bytes = 0, base = given_true(r, a[0]) ? 1024 : 1000;
    if (value_is_number(v))
        bytes = value_double(r, v);
    else if (v.kind != V_TEXT || !number_parse_float(r, text_bytes(r, v.s), &bytes))
        run_fail(r, E_FORMAT, "float() argument must be a string or a real number, not '%s'", value_type(v));
    char s[64];
    if (bytes == 1) {
        snprintf(s, sizeof s, "1 Byte");
    } else if (bytes < base) {
        snprintf(s, sizeof s, "%.0f Bytes", trunc(bytes) + 0.0 /* no -0 */);
    } else {
        int i = 0;
        double unit = base * base;
        for (; i < 7 && bytes >= unit; i++)
            unit *= base;
        snprintf(s, sizeof s, "%.1f %s", base * bytes / unit, base == 1024 ? binary[i] : decimal[i]);
    }
    text *out = text_copy(r, s, strlen(s), v.from);
    return value_text(out);
}

static value not_done(run *r, value v, const arguments *a)
{
    (void)v;
    (void)a;
    run_fail(r, E_UNSUPPORTED, "a filter that hearth does not have");
}

const filter_row text_filters[] = {
    { "upper", "", 0, do_upper, NULL },
    { "lower", "", 0, do_lower, NULL },
    { "capitalize", "", 0, do_capitalize, NULL },
    { "title", "", 0, do_title, NULL },
    { "trim", "chars", 0, do_trim, NULL },
    { "replace", "old new count", 2, do_replace, NULL },
    { "center", "width", 0, do_center, NULL },
    { "string", "", 0, do_string, NULL },
    { "indent", "width first blank", 0, do_indent, NULL },
    { "truncate", "length killwords end leeway", 0, do_truncate, NULL },
    { "wordcount", "", 0, do_wordcount, NULL },
    { "escape", "", 0, do_escape, NULL },
    { "e", "", 0, do_escape, NULL },
    { "forceescape", "", 0, do_force_escape, NULL },
    { "safe", "", 0, do_safe, NULL },
    { "format", NULL, 0, NULL, do_format },
    { "urlencode", "", 0, do_urlencode, NULL },
    { "filesizeformat", "binary", 0, do_filesizeformat, NULL },
    { "wordwrap", NULL, 0, NULL, not_done },
    { "striptags", NULL, 0, NULL, not_done },
    { "urlize", NULL, 0, NULL, not_done },
    { "xmlattr", NULL, 0, NULL, not_done },
    { "pprint", NULL, 0, NULL, not_done },
    { "random", NULL, 0, NULL, not_done },
};
const size_t n_text_filters = ARRAY_LEN(text_filters);
