/* schema_value.c: kinds, equality and hashes of JSON values as JSON Schema sees them. */
#include <string.h>

#include "grammar/schema_int.h"

unsigned schema_kind(const js *v)
{
    decimal d;
    switch (js_typeof(v)) {
    case JS_NULL: return KIND_NULL;
    case JS_BOOL: return KIND_BOOL;
    case JS_STRING: return KIND_STRING;
    case JS_ARRAY: return KIND_ARRAY;
    case JS_OBJECT: return KIND_OBJECT;
    case JS_NUMBER:
        d = decimal_read(js_text(v));
        return decimal_is_integer(&d) ? KIND_INTEGER : KIND_FRACTION;
    }
    return 0;
}

static bool arrays_equal(const js *a, const js *b, size_t *steps)
{
    for (size_t i = 0; i < js_len(a); i++)
        if (!schema_equal(js_at(a, i), js_at(b, i), steps))
            return false;
    return true;
}

static bool objects_equal(const js *a, const js *b, size_t *steps)
{
    js_member m = { 0 };
    while (js_next(a, &m)) {
        const js *other = js_get(b, m.key);
        if (!other || !schema_equal(m.value, other, steps))
            return false;
    }
    return true;
}

bool schema_equal(const js *a, const js *b, size_t *steps)
{
    js_type type = js_typeof(a);
    ++*steps;
    if (type != js_typeof(b) || (type != JS_NUMBER && js_len(a) != js_len(b)))
        return false;
    switch (type) {
    case JS_NULL: return true;
    case JS_BOOL: return js_bool(a, false) == js_bool(b, false);
    case JS_STRING: return memcmp(js_text(a), js_text(b), js_len(a)) == 0;
    case JS_ARRAY: return arrays_equal(a, b, steps);
    case JS_OBJECT: return objects_equal(a, b, steps);
    case JS_NUMBER: {
        decimal x = decimal_read(js_text(a)), y = decimal_read(js_text(b));
        return decimal_compare(&x, &y) == 0;
    }
    }
    return false;
}

static uint64_t hash_bytes(uint64_t h, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
    return h;
}

/* The members' hashes are added up: their order does not count. */
uint64_t schema_hash(const js *v, size_t *steps)
{
    uint64_t h = 0xcbf29ce484222325u * ((uint64_t)js_typeof(v) + 1);
    js_member m = { 0 };
    decimal d;
    ++*steps;
    switch (js_typeof(v)) {
    case JS_NULL: break;
    case JS_BOOL: return h + js_bool(v, false);
    case JS_STRING: return hash_bytes(h, js_text(v), js_len(v));
    case JS_NUMBER: d = decimal_read(js_text(v)); return h ^ decimal_hash(&d);
    case JS_ARRAY:
        for (size_t i = 0; i < js_len(v); i++)
            h = h * 31 + schema_hash(js_at(v, i), steps);
        break;
    case JS_OBJECT:
        while (js_next(v, &m))
            h += hash_bytes(schema_hash(m.value, steps), m.key, strlen(m.key)) * 0x9e3779b97f4a7c15u;
        break;
    }
    return h;
}
