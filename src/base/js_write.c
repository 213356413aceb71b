/* js_write.c: trees to text. Knows nothing of how a js is kept. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/js.h"
#include "base/mem.h"

void js_write_string(buf *out, const char *s, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    buf_char(out, '"');
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        buf_add(out, s + from, i - from);
        from = i + 1;
        static const char short_from[] = "\"\\\b\f\n\r\t", short_to[] = "\"\\bfnrt";
        const char *at = c ? strchr(short_from, c) : NULL;
        if (at) {
            buf_char(out, '\\');
            buf_char(out, short_to[at - short_from]);
        } else {
            buf_str(out, "\\u00");
            buf_char(out, hex[c >> 4]);
            buf_char(out, hex[c & 15]);
        }
    }
    buf_add(out, s + from, n - from);
    buf_char(out, '"');
}

void js_write_double(buf *out, double d)
{
    js *v = js_new_double(d);
    js_write(v, JS_COMPACT, out);
    js_free(v);
}

/* Equal values, equal bytes: whole numbers in decimal digits, everything else as the shortest double. A number that a
 * double cannot hold keeps its text. */
static void write_canonical_number(const js *v, buf *out)
{
    int64_t i;
    double d;
    if (js_int(v, &i)) {
        buf_printf(out, "%lld", (long long)i);
    } else if (js_double(v, &d) && fabs(d) < 1e300) {
        js *number = js_new_double(d);
        buf_str(out, number ? js_text(number) : "");
        js_free(number);
    } else {
        buf_str(out, js_text(v));
    }
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void new_line(int depth, enum js_style style, buf *out)
{
    if (style == JS_PRETTY)
        buf_printf(out, "\n%*s", depth * 2, "");
}

static void write_value(const js *v, int depth, enum js_style style, buf *out);

static void write_member(const char *key, const js *value, int depth, enum js_style style, buf *out)
{
    new_line(depth + 1, style, out);
    js_write_string(out, key, strlen(key));
    buf_str(out, style == JS_PRETTY ? ": " : ":");
    write_value(value, depth + 1, style, out);
}

static void write_object(const js *v, int depth, enum js_style style, buf *out)
{
    size_t n = js_len(v);
    const char **keys = mem_array(n, sizeof *keys);
    if (!keys) {
        out->failed = true;
        return;
    }
    js_member m = { 0 };
    for (size_t i = 0; js_next(v, &m); i++)
        keys[i] = m.key;
    if (style == JS_CANONICAL)
        qsort(keys, n, sizeof *keys, by_bytes);
    buf_char(out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_char(out, ',');
        write_member(keys[i], js_get(v, keys[i]), depth, style, out);
    }
    if (n)
        new_line(depth, style, out);
    buf_char(out, '}');
    mem_free(keys);
}

static void write_array(const js *v, int depth, enum js_style style, buf *out)
{
    buf_char(out, '[');
    for (size_t i = 0; i < js_len(v); i++) {
        if (i)
            buf_char(out, ',');
        new_line(depth + 1, style, out);
        write_value(js_at(v, i), depth + 1, style, out);
    }
    if (js_len(v))
        new_line(depth, style, out);
    buf_char(out, ']');
}

static void write_value(const js *v, int depth, enum js_style style, buf *out)
{
    switch (js_typeof(v)) {
    case JS_NULL: buf_str(out, "null"); break;
    case JS_BOOL: buf_str(out, js_bool(v, false) ? "true" : "false"); break;
    case JS_STRING: js_write_string(out, js_text(v), js_len(v)); break;
    case JS_ARRAY: write_array(v, depth, style, out); break;
    case JS_OBJECT: write_object(v, depth, style, out); break;
    case JS_NUMBER:
        if (style == JS_CANONICAL)
            write_canonical_number(v, out);
        else
            buf_str(out, js_text(v));
        break;
    }
}

void js_write(const js *v, enum js_style style, buf *out)
{
    write_value(v, 0, style, out);
}
