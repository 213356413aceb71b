/* Keys by name and by type, strings, and the sorted index of names. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gguf/gguf_int.h"

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
    [GGUF_U8] = { "u8", 1 },   [GGUF_I8] = { "i8", 1 },   [GGUF_U16] = { "u16", 2 }, [GGUF_I16] = { "i16", 2 },
    [GGUF_U32] = { "u32", 4 }, [GGUF_I32] = { "i32", 4 }, [GGUF_F32] = { "f32", 4 }, [GGUF_BOOL] = { "bool", 1 },
    [GGUF_STR] = { "string", 0 }, [GGUF_ARRAY] = { "array", 0 }, [GGUF_U64] = { "u64", 8 }, [GGUF_I64] = { "i64", 8 },
    [GGUF_F64] = { "f64", 8 },
};

size_t gguf_type_bytes(uint32_t type)
{
    return type < ARRAY_LEN(types) ? types[type].bytes : 0;
}

const char *gguf_type_name(gguf_type type)
{
    return (size_t)type < ARRAY_LEN(types) ? types[type].name : "unknown";
}

char *gguf_quote(char text[GGUF_QUOTE_BYTES], span name)
{
    size_t n = name.n > 64 ? 61 : name.n;
    char *p = text;
    *p++ = '\'';
    for (size_t i = 0; i < n; i++) {
        unsigned char b = (unsigned char)name.p[i];
        if (b >= 0x20 && b < 0x7F && b != '\\' && b != '\'')
            *p++ = (char)b;
        else
            p += snprintf(p, 5, "\\x%02x", b);
    }
    snprintf(p, 5, "%s'", n < name.n ? "..." : "");
    return text;
}

/* ---- index ------------------------------------------------------------------------------------------------------- */

static int compare(span a, span b)
{
    int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static int compare_entries(const void *a, const void *b)
{
    return compare(((const gguf_entry *)a)->name, ((const gguf_entry *)b)->name);
}

status gguf_index(gguf_entry **out, const void *items, size_t stride, size_t n, const char *file, const char *what,
                  error *err)
{
    gguf_entry *entries = mem_array(n, sizeof *entries);
    if (!entries)
        return fail(err, E_NOMEM, "%s: no memory for an index of %zu names", file, n);
    for (size_t i = 0; i < n; i++) {
        memcpy(&entries[i].name, (const char *)items + i * stride, sizeof(span));
        entries[i].i = i;
    }
    qsort(entries, n, sizeof *entries, compare_entries);
    for (size_t i = 1; i < n; i++)
        if (compare(entries[i - 1].name, entries[i].name) == 0) {
            char quoted[GGUF_QUOTE_BYTES];
            gguf_quote(quoted, entries[i].name);
            mem_free(entries);
            return fail(err, E_FORMAT, "%s: %s %s occurs twice: the file is damaged or malicious", file, what, quoted);
        }
    *out = entries;
    return OK;
}

size_t gguf_index_find(const gguf_entry *entries, size_t n, span name)
{
    size_t from = 0, to = n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int c = compare(entries[middle].name, name);
        if (c == 0)
            return entries[middle].i;
        if (c < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return SIZE_MAX;
}

/* ---- look-up ----------------------------------------------------------------------------------------------------- */

size_t gguf_n_keys(const gguf *g)
{
    return g->parts[0].n_keys;
}

const gguf_value *gguf_key_at(const gguf *g, size_t i)
{
    return i < g->parts[0].n_keys ? &g->parts[0].keys[i] : NULL;
}

const gguf_value *gguf_find(const gguf *g, const char *key)
{
    size_t i = gguf_index_find(g->key_index, g->parts[0].n_keys, span_of(key));
    return i == SIZE_MAX ? NULL : &g->parts[0].keys[i];
}

static bool is_integer(gguf_type t)
{
    return t != GGUF_F32 && t != GGUF_F64 && t != GGUF_BOOL && t != GGUF_STR && t != GGUF_ARRAY;
}

static status missing(const gguf *g, const char *key, error *err)
{
    return fail(err, E_NOTFOUND, "%s: the key '%s' is missing", g->name, key);
}

static status wrong_type(const gguf *g, const gguf_value *v, const char *wanted, error *err)
{
    char quoted[GGUF_QUOTE_BYTES];
    return fail(err, E_FORMAT, "%s: the key %s should be %s, but is %s%s", g->name, gguf_quote(quoted, v->key), wanted,
                v->is_array ? "an array of " : "a ", gguf_type_name(v->type));
}

static status find_scalar(const gguf *g, const char *key, const gguf_value **out, error *err)
{
    *out = gguf_find(g, key);
    if (!*out)
        return missing(g, key, err);
    return (*out)->is_array ? wrong_type(g, *out, "a single value", err) : OK;
}

/* An integer in [min, max]; max may exceed INT64_MAX only for u64. */
static status find_integer(const gguf *g, const char *key, int64_t min, uint64_t max, uint64_t *out, error *err)
{
    const gguf_value *v;
    status s = find_scalar(g, key, &v, err);
    if (s)
        return s;
    if (!is_integer(v->type))
        return wrong_type(g, v, "an integer", err);
    uint64_t u = gguf_get_u64(v, 0);
    bool negative = v->type != GGUF_U64 && (int64_t)u < 0;
    if (negative ? (int64_t)u < min : u > max)
        return negative ? fail(err, E_RANGE, "%s: the key '%s' is %" PRId64 ", allowed is %" PRId64 " to %" PRIu64,
                               g->name, key, (int64_t)u, min, max)
                        : fail(err, E_RANGE, "%s: the key '%s' is %" PRIu64 ", allowed is %" PRId64 " to %" PRIu64,
                               g->name, key, u, min, max);
    *out = u;
    return OK;
}

status gguf_u32(const gguf *g, const char *key, uint32_t *out, error *err)
{
    uint64_t u;
    status s = find_integer(g, key, 0, UINT32_MAX, &u, err);
    if (!s)
        *out = (uint32_t)u;
    return s;
}

status gguf_i32(const gguf *g, const char *key, int32_t *out, error *err)
{
    uint64_t u;
    status s = find_integer(g, key, INT32_MIN, INT32_MAX, &u, err);
    if (!s)
        *out = (int32_t)(int64_t)u;
    return s;
}

status gguf_u64(const gguf *g, const char *key, uint64_t *out, error *err)
{
    return find_integer(g, key, 0, UINT64_MAX, out, err);
}

status gguf_f32(const gguf *g, const char *key, float *out, error *err)
{
    const gguf_value *v;
    status s = find_scalar(g, key, &v, err);
    if (s)
        return s;
    if (v->type != GGUF_F32 && v->type != GGUF_F64)
        return wrong_type(g, v, "a float", err);
    *out = (float)gguf_get_f64(v, 0);
    return OK;
}

status gguf_bool(const gguf *g, const char *key, bool *out, error *err)
{
    const gguf_value *v;
    status s = find_scalar(g, key, &v, err);
    if (s)
        return s;
    if (v->type != GGUF_BOOL)
        return wrong_type(g, v, "a bool", err);
    *out = v->data[0] != 0;
    return OK;
}

status gguf_str(const gguf *g, const char *key, span *out, error *err)
{
    const gguf_value *v;
    status s = find_scalar(g, key, &v, err);
    if (s)
        return s;
    if (v->type != GGUF_STR)
        return wrong_type(g, v, "a string", err);
    gguf_strings it = gguf_strings_of(v);
    gguf_strings_next(&it, out);
    return OK;
}

status gguf_array(const gguf *g, const char *key, gguf_type type, uint64_t n_want, const gguf_value **out, error *err)
{
    const gguf_value *v = gguf_find(g, key);
    if (!v)
        return missing(g, key, err);
    char wanted[48];
    snprintf(wanted, sizeof wanted, "an array of %s", type == GGUF_I64 ? "integers" : gguf_type_name(type));
    if (!v->is_array || (type == GGUF_I64 ? !is_integer(v->type) : v->type != type))
        return wrong_type(g, v, wanted, err);
    if (n_want && v->n != n_want)
        return fail(err, E_FORMAT, "%s: the key '%s' has %" PRIu64 " elements, expected are %" PRIu64, g->name, key,
            v->n,
                    n_want);
    *out = v;
    return OK;
}

/* ---- optional keys ----------------------------------------------------------------------------------------------- */

status gguf_u32_or(const gguf *g, const char *key, uint32_t fallback, uint32_t *out, error *err)
{
    if (gguf_find(g, key))
        return gguf_u32(g, key, out, err);
    *out = fallback;
    return OK;
}

status gguf_f32_or(const gguf *g, const char *key, float fallback, float *out, error *err)
{
    if (gguf_find(g, key))
        return gguf_f32(g, key, out, err);
    *out = fallback;
    return OK;
}

status gguf_bool_or(const gguf *g, const char *key, bool fallback, bool *out, error *err)
{
    if (gguf_find(g, key))
        return gguf_bool(g, key, out, err);
    *out = fallback;
    return OK;
}

status gguf_str_or(const gguf *g, const char *key, const char *fallback, span *out, error *err)
{
    if (gguf_find(g, key))
        return gguf_str(g, key, out, err);
    *out = span_of(fallback);
    return OK;
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

uint64_t gguf_get_u64(const gguf_value *v, uint64_t i)
{
    const unsigned char *p = v->data + i * gguf_type_bytes(v->type);
    switch (v->type) {
    case GGUF_U8:
    case GGUF_BOOL:
        return p[0];
    case GGUF_I8:
        return (uint64_t)(int64_t)(int8_t)p[0];
    case GGUF_U16:
        return (uint64_t)(p[0] | p[1] << 8);
    case GGUF_I16:
        return (uint64_t)(int64_t)(int16_t)(p[0] | p[1] << 8);
    case GGUF_U32:
        return gguf_load_u32(p);
    case GGUF_I32:
        return (uint64_t)(int64_t)(int32_t)gguf_load_u32(p);
    case GGUF_U64:
    case GGUF_I64:
        return gguf_load_u64(p);
    case GGUF_F32:
    case GGUF_F64: {
        double d = gguf_get_f64(v, i);
        if (!(d > -0x1p63))
            return d != d ? 0 : (uint64_t)INT64_MIN;
        return d < 0x1p63 ? (uint64_t)(int64_t)d : (uint64_t)INT64_MAX;
    }
    case GGUF_STR:
    case GGUF_ARRAY:
        break;
    }
    return 0;
}

int64_t gguf_get_i64(const gguf_value *v, uint64_t i)
{
    return (int64_t)gguf_get_u64(v, i);
}

double gguf_get_f64(const gguf_value *v, uint64_t i)
{
    const unsigned char *p = v->data + i * gguf_type_bytes(v->type);
    if (v->type == GGUF_F32) {
        uint32_t u = gguf_load_u32(p);
        float x;
        memcpy(&x, &u, 4);
        return (double)x;
    }
    if (v->type == GGUF_F64) {
        uint64_t u = gguf_load_u64(p);
        double x;
        memcpy(&x, &u, 8);
        return x;
    }
    return v->type == GGUF_U64 ? (double)gguf_get_u64(v, i) : (double)gguf_get_i64(v, i);
}

gguf_strings gguf_strings_of(const gguf_value *v)
{
    return (gguf_strings){ v->data, v->type == GGUF_STR ? v->n : 0 };
}

bool gguf_strings_next(gguf_strings *it, span *out)
{
    if (it->left == 0)
        return false;
    size_t n = (size_t)gguf_load_u64(it->p);
    *out = (span){ (const char *)it->p + 8, n };
    it->p += 8 + n;
    it->left--;
    return true;
}
