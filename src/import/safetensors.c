/* safetensors.c: u64 length of a JSON object, the object, the data.
 *
 *     {"NAME": {"dtype": "F32", "shape": [384], "data_offsets": [from, to]}, ..., "__metadata__": {...}}
 *
 * Offsets count from the end of the object. */
#include <string.h>

#include "import/import_int.h"

static const struct {
    const char *name;
    import_kind kind;
    uint32_t bytes;
} dtypes[] = {
    { "F32", IMPORT_F32, 4 }, { "F16", IMPORT_F16, 2 }, { "BF16", IMPORT_BF16, 2 }, { "F64", IMPORT_OTHER, 8 },
    { "I64", IMPORT_OTHER, 8 }, { "I32", IMPORT_OTHER, 4 }, { "I16", IMPORT_OTHER, 2 }, { "I8", IMPORT_OTHER, 1 },
    { "U8", IMPORT_OTHER, 1 }, { "BOOL", IMPORT_OTHER, 1 },
};

static bool read_shape(const js *shape, import_tensor *t, uint64_t *n_values)
{
    size_t n = js_len(shape);
    uint64_t dims[2] = { 1, 1 };
    *n_values = 1;
    if (!js_is(shape, JS_ARRAY) || n > 8)
        return false;
    for (size_t i = 0; i < n; i++) {
        int64_t d;
        if (!js_int(js_at(shape, i), &d) || d < 0 || d > IMPORT_MAX_DIM || *n_values > UINT64_MAX / IMPORT_MAX_DIM)
            return false;
        *n_values *= (uint64_t)d;
        if (i < 2)
            dims[i] = (uint64_t)d;
    }
    t->n_dims = n == 1 || n == 2 ? (int)n : 0;
    t->rows = n == 2 ? dims[0] : 1;
    t->cols = n == 2 ? dims[1] : dims[0];
    return true;
}

static status read_entry(import_weights *w, const char *name, const js *entry, const unsigned char *data, size_t n,
                         error *err)
{
    import_tensor made = { 0 }, *t = &made;
    const char *dtype = js_text(js_get(entry, "dtype"));
    const js *offsets = js_get(entry, "data_offsets");
    int64_t from, to;
    uint64_t n_values;
    size_t k = 0;
    while (dtype && k < ARRAY_LEN(dtypes) && strcmp(dtypes[k].name, dtype) != 0)
        k++;
    if (!dtype || k == ARRAY_LEN(dtypes))
        return fail(err, E_UNSUPPORTED, "%s: tensor '%.80s': dtype '%.20s' is not known", w->file, name,
                    dtype ? dtype : "");
    if (!read_shape(js_get(entry, "shape"), t, &n_values))
        return fail(err, E_FORMAT, "%s: tensor '%.80s': the shape is not a list of up to 8 whole numbers up to %d",
                    w->file, name, IMPORT_MAX_DIM);
    if (js_len(offsets) != 2 || !js_int(js_at(offsets, 0), &from) || !js_int(js_at(offsets, 1), &to) || from < 0 ||
        to < from || (uint64_t)to > n)
        return fail(err, E_FORMAT, "%s: tensor '%.80s': data_offsets are not within the %zu bytes of data", w->file,
                    name, n);
    if (n_values > UINT64_MAX / 8 || (uint64_t)(to - from) != n_values * dtypes[k].bytes)
        return fail(err, E_FORMAT, "%s: tensor '%.80s': %lld bytes, and its shape takes %llu", w->file, name,
                    (long long)(to - from), (unsigned long long)(n_values * dtypes[k].bytes));
    t->kind = dtypes[k].kind;
    t->data = data + from;
    return import_weights_add(w, t, span_of(name), err);
}

status import_safetensors(import_weights *out, const unsigned char *p, size_t n, error *err)
{
    uint64_t header = 0;
    for (size_t i = 0; i < 8 && i < n; i++)
        header |= (uint64_t)p[i] << (8 * i);
    if (n < 8 || header > n - 8)
        return fail(err, E_FORMAT, "%s: not a safetensors file, or cut off: the header ends past its %zu bytes",
                    out->file, n);
    if (header > IMPORT_MAX_HEADER)
        return fail(err, E_RANGE, "%s: a header of %llu bytes; the limit is %d", out->file,
                    (unsigned long long)header, IMPORT_MAX_HEADER);
    js *root = NULL;
    status s = js_parse(&root, (const char *)p + 8, (size_t)header, out->file, 1, err);
    if (!s && !js_is(root, JS_OBJECT))
        s = fail(err, E_FORMAT, "%s: the header is not an object", out->file);
    if (!s && js_len(root) > IMPORT_MAX_TENSORS)
        s = fail(err, E_RANGE, "%s: %zu tensors; the limit is %d", out->file, js_len(root), IMPORT_MAX_TENSORS);
    js_member m = { 0 };
    while (!s && js_next(root, &m))
        if (strcmp(m.key, "__metadata__") != 0)
            s = read_entry(out, m.key, m.value, p + 8 + header, n - 8 - (size_t)header, err);
    js_free(root);
    return s;
}
