/* js.c: the only file that knows jansson.
 *
 * jansson parses numbers into double or int64 and loses their text. So js_parse first rewrites the text: every number
 * literal outside strings becomes a string that begins with NUMBER_MARK, and every string stays a string. A string from
 * outside that itself begins with a mark gets STRING_MARK in front, so that nobody can smuggle a number in. The
 * marks are U+0001 and U+0002 as escapes; raw control characters in a JSON string are errors anyway. Our number syntax
 * is checked here; everything else is checked by jansson. Line breaks are kept, so its line numbers stay right.
 *
 * In memory a js is a json_t: numbers are strings with the mark. */
#include "base/js.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

static const char NUMBER_MARK = '\x01', STRING_MARK = '\x02';

/* jansson does not look at every allocation: without memory a string may lose characters in its middle, and the error,
 * if there is one, is of any kind. So it is remembered here. What a string loses may be its end, and then jansson
 * copies on beyond it: so js_parse asks first whether there is memory (can_have). */
static _Thread_local bool starved, lost;

static void *watched_alloc(size_t bytes)
{
    void *p = mem_alloc(bytes);
    starved = starved || !p;
    lost = lost || !p;
    return p;
}

__attribute__((constructor)) static void use_our_allocator(void)
{
    json_set_alloc_funcs(watched_alloc, mem_free);
}

static json_t *in(const js *v)
{
    return (json_t *)(uintptr_t)v;
}

static js *out_of(json_t *v)
{
    return (js *)v;
}

/* ---- parsing ---------------------------------------------------------------------------------------------------- */

/* Length of the JSON number at p, 0 if there is none. */
static size_t number_length(const char *p, size_t n)
{
    size_t i = 0;
#define DIGIT(at) ((at) < n && p[at] >= '0' && p[at] <= '9')
    if (i < n && p[i] == '-')
        i++;
    if (!DIGIT(i))
        return 0;
    if (p[i] == '0')
        i++;
    else
        while (DIGIT(i))
            i++;
    if (i < n && p[i] == '.') {
        if (!DIGIT(i + 1))
            return 0;
        i++;
        while (DIGIT(i))
            i++;
    }
    if (i < n && (p[i] == 'e' || p[i] == 'E')) {
        i++;
        if (i < n && (p[i] == '+' || p[i] == '-'))
            i++;
        if (!DIGIT(i))
            return 0;
        while (DIGIT(i))
            i++;
    }
    return i;
#undef DIGIT
}

/* A string whose first character is one of the marks, written as the escape \u0001 or \u0002. */
static bool begins_with_mark(const char *p, size_t n)
{
    return n >= 6 && memcmp(p, "\\u000", 5) == 0 && (p[5] == '1' || p[5] == '2');
}

/* After a string literal: it was the name of a member. Names are never numbers and stay as they are. */
static bool after_name(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && (p[i] == ' ' || (p[i] >= '\t' && p[i] <= '\r')))
        i++;
    return i < n && p[i] == ':';
}

/* Copies the string literal at p (p[0] is the quote) into b and returns its length. */
static size_t copy_string(const char *p, size_t n, buf *b)
{
    size_t i = 1;
    while (i < n && p[i] != '"')
        i += p[i] == '\\' && i + 1 < n ? 2 : 1;
    size_t len = i < n ? i + 1 : n;
    buf_char(b, '"');
    if (begins_with_mark(p + 1, len - 1) && !after_name(p + len, n - len))
        buf_str(b, "\\u0002");
    buf_add(b, p + 1, len - 1);
    return len;
}

/* The rewritten text; jansson reports what is wrong with everything that is not a number. */
static void mark_numbers(const char *text, size_t n, buf *b)
{
    for (size_t i = 0; i < n && !b->failed;) {
        if (text[i] == '"') {
            i += copy_string(text + i, n - i, b);
            continue;
        }
        size_t len = number_length(text + i, n - i);
        char after = i + len < n ? text[i + len] : ' ';
        bool ends = after == ',' || after == ']' || after == '}' || after == ' ' || (after >= '\t' && after <= '\r');
        if (len && ends) {
            buf_str(b, "\"\\u0001");
            buf_add(b, text + i, len);
            buf_char(b, '"');
            i += len;
        } else if (len) { /* 01, 1.2.3: left as it is, but never to be read as a number by jansson */
            buf_add(b, "?", 1);
            i += len;
        } else {
            buf_char(b, text[i++]);
        }
    }
}

/* How deep it is, and at least how many values and names it has: what separates or opens them, outside of strings. */
static int depth_of(const char *text, size_t n, size_t *values)
{
    int depth = 0, deepest = 0;
    *values = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"') {
            for (i++; i < n && text[i] != '"'; i++)
                i += text[i] == '\\';
        } else if (text[i] == '[' || text[i] == '{') {
            ++*values;
            if (++depth > deepest)
                deepest = depth;
        } else if (text[i] == ']' || text[i] == '}') {
            depth--;
        } else {
            *values += text[i] == ',' || text[i] == ':';
        }
    }
    return deepest;
}

/* jansson quotes what it could not read, which may be any bytes; a sentence of ours is always UTF-8. */
static void make_presentable(char *text)
{
    for (size_t i = 0, n = strlen(text); i < n;) {
        uint32_t code;
        size_t len = utf8_decode(text + i, n - i, &code);
        if (!len || code < 0x20)
            text[i] = '?';
        i += len ? len : 1;
    }
}

void js_begin(void)
{
    lost = false;
}

bool js_lost(void)
{
    return lost;
}

/* What jansson takes at most for n bytes of JSON with so many values and names: a string grows by doubling and is
 * copied once, each of the others is a few small blocks. */
static size_t memory_for(size_t n, size_t values)
{
    enum { OF_A_VALUE = 160, AT_LEAST = 64 << 10 };
    return n <= SIZE_MAX / 256 ? 4 * n + values * OF_A_VALUE + AT_LEAST : SIZE_MAX;
}

/* Whether so much can be had now. It is given back at once: a thread that takes it in between would have to be a large
 * part of it. */
static bool can_have(size_t bytes)
{
    void *p = mem_alloc(bytes);
    mem_free(p);
    return p;
}

status js_parse(js **out, const char *text, size_t n, const char *where, int first_line, error *err)
{
    size_t values;
    if (depth_of(text, n, &values) > JS_DEPTH_MAX)
        return fail(err, E_RANGE, "%s:%d: JSON nested deeper than %d", where, first_line, JS_DEPTH_MAX);
    buf marked = BUF_INIT(n > SIZE_MAX / 16 ? n : n * 10 + 64);
    mark_numbers(text, n, &marked);
    if (marked.failed || !can_have(memory_for(marked.len, values))) {
        buf_clear(&marked);
        return fail(err, E_NOMEM, "%s: no memory to read %zu bytes of JSON", where, n);
    }
    json_error_t e;
    size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    starved = false;
    json_t *v = json_loadb(buf_text(&marked), marked.len, flags, &e);
    buf_clear(&marked);
    if (starved) {
        json_decref(v);
        return fail(err, E_NOMEM, "%s: no memory to read %zu bytes of JSON", where, n);
    }
    if (!v) {
        make_presentable(e.text);
        return fail(err, E_FORMAT, "%s:%d: not valid JSON: %s", where, first_line + (e.line > 1 ? e.line - 1 : 0),
                    e.text);
    }
    *out = out_of(v);
    return OK;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static bool is_number(const json_t *v)
{
    return json_is_string(v) && json_string_length(v) > 0 && json_string_value(v)[0] == NUMBER_MARK;
}

js_type js_typeof(const js *v)
{
    const json_t *j = in(v);
    if (!j)
        return JS_NULL;
    switch (json_typeof(j)) {
    case JSON_OBJECT: return JS_OBJECT;
    case JSON_ARRAY: return JS_ARRAY;
    case JSON_STRING: return is_number(j) ? JS_NUMBER : JS_STRING;
    case JSON_TRUE:
    case JSON_FALSE: return JS_BOOL;
    default: return JS_NULL;
    }
}

const char *js_type_name(js_type type)
{
    static const char *const names[] = { "null", "boolean", "number", "string", "array", "object" };
    return names[type];
}

bool js_is(const js *v, js_type type)
{
    return v && js_typeof(v) == type;
}

/* Where a string's own bytes begin: behind a mark, if it has one. */
static size_t mark_length(const json_t *v)
{
    const char *s = json_string_value(v);
    return json_string_length(v) > 0 && (s[0] == NUMBER_MARK || s[0] == STRING_MARK);
}

size_t js_len(const js *v)
{
    const json_t *j = in(v);
    if (json_is_array(j))
        return json_array_size(j);
    if (json_is_object(j))
        return json_object_size(j);
    return json_is_string(j) ? json_string_length(j) - mark_length(j) : 0;
}

js *js_at(const js *array, size_t i)
{
    return out_of(json_array_get(in(array), i));
}

js *js_get(const js *object, const char *key)
{
    return out_of(json_object_get(in(object), key));
}

bool js_next(const js *object, js_member *m)
{
    json_t *o = in(object);
    m->at = m->at ? json_object_iter_next(o, m->at) : json_object_iter(o);
    if (!m->at)
        return false;
    m->key = json_object_iter_key(m->at);
    m->value = out_of(json_object_iter_value(m->at));
    return true;
}

const char *js_text(const js *v)
{
    const json_t *j = in(v);
    return json_is_string(j) ? json_string_value(j) + mark_length(j) : NULL;
}

bool js_bool(const js *v, bool otherwise)
{
    return js_is(v, JS_BOOL) ? json_is_true(in(v)) : otherwise;
}

bool js_double(const js *v, double *out)
{
    if (!js_is(v, JS_NUMBER))
        return false;
    double d = strtod(js_text(v), NULL);
    if (!isfinite(d))
        return false;
    *out = d;
    return true;
}

bool js_int(const js *v, int64_t *out)
{
    if (!js_is(v, JS_NUMBER))
        return false;
    if (str_i64(js_text(v), out))
        return true;
    double d = strtod(js_text(v), NULL);
    if (!isfinite(d) || d < -9007199254740992.0 || d > 9007199254740992.0 || d != floor(d))
        return false;
    *out = (int64_t)d;
    return true;
}

static bool members_equal(const js *a, const js *b)
{
    js_member m = { 0 };
    while (js_next(a, &m)) {
        const js *other = js_get(b, m.key);
        if (!other || !js_equal(m.value, other))
            return false;
    }
    return true;
}

bool js_equal(const js *a, const js *b)
{
    js_type type = js_typeof(a);
    if (type != js_typeof(b) || (type != JS_NUMBER && js_len(a) != js_len(b)))
        return false;
    double x, y;
    switch (type) {
    case JS_NULL: return true;
    case JS_BOOL: return js_bool(a, false) == js_bool(b, false);
    case JS_STRING: return memcmp(js_text(a), js_text(b), js_len(a)) == 0;
    case JS_OBJECT: return members_equal(a, b);
    case JS_NUMBER:
        if (strcmp(js_text(a), js_text(b)) == 0)
            return true;
        return js_double(a, &x) && js_double(b, &y) && x == y;
    case JS_ARRAY:
        for (size_t i = 0; i < js_len(a); i++) {
            if (!js_equal(js_at(a, i), js_at(b, i)))
                return false;
        }
        return true;
    }
    return false;
}

/* ---- building --------------------------------------------------------------------------------------------------- */

js *js_null(void)
{
    return out_of(json_null());
}

js *js_new_bool(bool b)
{
    return out_of(json_boolean(b));
}

/* A string of jansson's from a mark (0: none) and bytes. */
static js *marked_string(char mark, const char *s, size_t n)
{
    char small[64], *text = n + 1 < sizeof small ? small : mem_alloc(n + 1);
    if (!text)
        return NULL;
    size_t m = 0;
    if (mark)
        text[m++] = mark;
    memcpy(text + m, s, n);
    json_t *v = json_stringn_nocheck(text, m + n);
    if (text != small)
        mem_free(text);
    return out_of(v);
}

js *js_new_number(const char *text)
{
    size_t n = strlen(text);
    return n && number_length(text, n) == n ? marked_string(NUMBER_MARK, text, n) : NULL;
}

js *js_new_int(int64_t i)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)i);
    return js_new_number(text);
}

/* Whole numbers in digits; else the fewest digits that read back as d. 1e+300 and 1e-07 as printf writes them are JSON
 * numbers already. */
static void shortest(double d, char text[40])
{
    if (d == floor(d) && fabs(d) < 1e15) {
        snprintf(text, 40, "%.0f", d);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, 40, "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            return;
    }
}

js *js_new_double(double d)
{
    if (!isfinite(d))
        return js_null();
    char text[40];
    shortest(d, text);
    return js_new_number(text);
}

static js *string_of_utf8(const char *s, size_t n)
{
    bool marked = n && (s[0] == NUMBER_MARK || s[0] == STRING_MARK);
    return marked ? marked_string(STRING_MARK, s, n) : out_of(json_stringn_nocheck(s, n));
}

js *js_new_stringn(const char *s, size_t n)
{
    if (utf8_valid(s, n))
        return string_of_utf8(s, n);
    buf b = BUF_INIT(n * 3);
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t len = utf8_decode(s + i, n - i, &code);
        buf_add(&b, len ? s + i : "\xEF\xBF\xBD", len ? len : 3);
        i += len ? len : 1;
    }
    js *v = b.failed ? NULL : string_of_utf8(buf_text(&b), b.len);
    buf_clear(&b);
    return v;
}

js *js_new_string(const char *s)
{
    return js_new_stringn(s, strlen(s));
}

js *js_array(void)
{
    return out_of(json_array());
}

js *js_object(void)
{
    return out_of(json_object());
}

bool js_push(js *array, js *v)
{
    return json_array_append_new(in(array), in(v)) == 0;
}

bool js_set(js *object, const char *key, js *v)
{
    return json_object_set_new(in(object), key, in(v)) == 0;
}

bool js_remove(js *object, const char *key)
{
    return json_object_del(in(object), key) == 0;
}

js *js_copy(const js *v)
{
    return out_of(json_deep_copy(in(v)));
}

void js_free(js *v)
{
    json_decref(in(v));
}

/* ---- checking --------------------------------------------------------------------------------------------------- */

status js_known_keys(const js *object, const char *const *names, size_t n, const char *where, error *err)
{
    js_member m = { 0 };
    while (js_next(object, &m)) {
        size_t i = 0;
        while (i < n && strcmp(names[i], m.key) != 0)
            i++;
        if (i < n)
            continue;
        const char *near = str_nearest(m.key, names, n, sizeof *names);
        return near ? fail(err, E_FORMAT, "%s: unknown key '%s' (did you mean '%s'?)", where, m.key, near)
                    : fail(err, E_FORMAT, "%s: unknown key '%s'", where, m.key);
    }
    return OK;
}
