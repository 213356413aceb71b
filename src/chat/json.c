/* json.c: the filter tojson, which is Python's json.dumps with ensure_ascii=False, as the models' makers set it up. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "chat/filter.h"

typedef struct dump {
    builder b;
    bool ascii, sort;
    const text *indent;          /* NULL: on one line */
    const text *between, *colon; /* "," and ":" with what stands around them */
} dump;

static void dump_value(dump *d, value v, size_t depth);

static void dump_escaped(dump *d, uint32_t code, uint32_t from)
{
    char s[16];
    static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    const char *at = code && code < 128 ? strchr(plain, (int)code) : NULL;
    if (at)
        snprintf(s, sizeof s, "\\%c", letter[at - plain]);
    else if (code < 0x10000)
        snprintf(s, sizeof s, "\\u%04x", code);
    else
        snprintf(s, sizeof s, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10), 0xdc00 + ((code - 0x10000) & 0x3ff));
    build_str(&d->b, s, from);
}

static void dump_text(dump *d, const text *t)
{
    run *r = d->b.r;
    span s = text_bytes(r, t);
    size_t begin = 0;
    build_str(&d->b, "\"", s.n ? text_origin(r, t, 0) : t->from);
    run_spend_bytes(r, 4 * s.n);
    for (size_t i = 0, len; i < s.n; i += len) {
        uint32_t code = text_code(s, i, &len);
        if (code >= 0x20 && code != '"' && code != '\\' && (code < 0x7f || !d->ascii || code == 0x7f))
            continue;
        build_slice(&d->b, t, begin, i);
        dump_escaped(d, code, text_origin(r, t, i));
        begin = i + len;
    }
    build_slice(&d->b, t, begin, s.n);
    build_str(&d->b, "\"", s.n ? text_origin(r, t, s.n - 1) : t->from);
}

static void dump_number(dump *d, value v)
{
    if (v.kind == V_BOOL)
        build_str(&d->b, v.b ? "true" : "false", v.from);
    else if (v.kind == V_FLOAT && !isfinite(v.d))
        build_str(&d->b, isnan(v.d) ? "NaN" : v.d > 0 ? "Infinity" : "-Infinity", v.from);
    else
        build_repr(&d->b, v);
}

static void line_of(dump *d, size_t depth, uint32_t from)
{
    if (!d->indent)
        return;
    build_str(&d->b, "\n", from);
    build_fill(&d->b, d->indent, depth);
}

static void dump_list(dump *d, value v, size_t depth)
{
    build_str(&d->b, "[", v.from);
    for (size_t i = 0; i < v.l->n; i++) {
        if (i)
            build_text(&d->b, d->between);
        line_of(d, depth + 1, v.from);
        dump_value(d, v.l->items[i], depth + 1);
    }
    if (v.l->n)
        line_of(d, depth, v.from);
    build_str(&d->b, "]", v.from);
}

static void dump_key(dump *d, value key)
{
    if (key.kind == V_TEXT) {
        dump_text(d, key.s);
        return;
    }
    if (!value_is_number(key) && key.kind != V_NONE)
        run_fail(d->b.r, E_FORMAT, "keys must be str, int, float, bool or None, not %s", value_type(key));
    build_str(&d->b, "\"", key.from);
    dump_value(d, key, 0);
    build_str(&d->b, "\"", key.from);
}

static void dump_dict(dump *d, value v, size_t depth)
{
    run *r = d->b.r;
    list *keys = value_items(r, (value){ .kind = V_DICT, .m = v.m });
    if (d->sort)
        keys = sort_values(r, keys, keys, false).l;
    build_str(&d->b, "{", v.from);
    for (size_t i = 0; i < keys->n; i++) {
        value item = VALUE_NONE;
        (void)dict_get(r, v.m, keys->items[i], &item);
        if (i)
            build_text(&d->b, d->between);
        line_of(d, depth + 1, v.from);
        dump_key(d, keys->items[i]);
        build_text(&d->b, d->colon);
        dump_value(d, item, depth + 1);
    }
    if (keys->n)
        line_of(d, depth, v.from);
    build_str(&d->b, "}", v.from);
}

static void dump_value(dump *d, value v, size_t depth)
{
    run *r = d->b.r;
    run_enter(r);
    run_spend(r, 2); /* an item is text, separator and line */
    switch (v.kind) {
    case V_NONE: build_str(&d->b, "null", v.from); break;
    case V_BOOL:
    case V_INT:
    case V_BIG:
    case V_FLOAT: dump_number(d, v); break;
    case V_TEXT: dump_text(d, v.s); break;
    case V_LIST:
    case V_TUPLE: dump_list(d, v, depth); break;
    case V_DICT: dump_dict(d, v, depth); break;
    default: run_fail(r, E_FORMAT, "Object of type %s is not JSON serializable", value_type(v));
    }
    run_leave(r);
}

static void read_separators(dump *d, value v, uint32_t from)
{
    run *r = d->b.r;
    d->between = text_new(r, d->indent ? "," : ", ", d->indent ? 1 : 2, from);
    d->colon = text_new(r, ": ", 2, from);
    if (v.kind == V_ABSENT || v.kind == V_NONE)
        return;
    list *two = value_items(r, v);
    if (two->n != 2 || two->items[0].kind != V_TEXT || two->items[1].kind != V_TEXT)
        run_fail(r, E_FORMAT, "separators are two strings");
    d->between = two->items[0].s;
    d->colon = two->items[1].s;
}

value tojson(run *r, value v, const value *a)
{
    dump d = { .b = builder_of(r) };
    d.ascii = a[0].kind != V_ABSENT && value_true(r, a[0]);
    d.sort = a[3].kind != V_ABSENT && value_true(r, a[3]);
    if (a[1].kind == V_TEXT) {
        d.indent = a[1].s;
    } else if (a[1].kind != V_ABSENT && a[1].kind != V_NONE) {
        int64_t n = value_index(r, a[1]);
        builder blanks = builder_of(r);
        build_fill(&blanks, text_new(r, " ", 1, v.from), n > 0 ? (uint64_t)n : 0);
        d.indent = build_done(&blanks);
    }
    read_separators(&d, a[2], v.from);
    dump_value(&d, v, 0);
    return value_text(build_done(&d.b));
}
