/* weights.c: names and values of weights, whatever file they came from. */
#include <stdlib.h>
#include <string.h>

#include "import/import_int.h"
#include "quant/quant.h"

void import_clean_name(char out[IMPORT_MAX_NAME + 16], span name)
{
    static const struct {
        const char *old, *new;
    } ends[] = { { ".gamma", ".weight" }, { ".beta", ".bias" } };
    static const char *const begins[] = { "bert.", "model." };
    size_t skip = 0;
    for (size_t i = 0; !skip && i < ARRAY_LEN(begins); i++)
        if (span_starts(name, begins[i]))
            skip = strlen(begins[i]);
    size_t n = name.n - skip;
    n = n < IMPORT_MAX_NAME ? n : IMPORT_MAX_NAME;
    memcpy(out, name.p + skip, n);
    out[n] = 0;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (str_ends(out, ends[i].old))
            memcpy(out + n - strlen(ends[i].old), ends[i].new, strlen(ends[i].new) + 1);
}

status import_weights_add(import_weights *w, const import_tensor *t, span name, error *err)
{
    char text[IMPORT_MAX_NAME + 16];
    if (name.n > IMPORT_MAX_NAME)
        return fail(err, E_RANGE, "%s: a tensor's name has %zu bytes; the limit is %d", w->file, name.n,
                    IMPORT_MAX_NAME);
    if (w->n >= IMPORT_MAX_TENSORS)
        return fail(err, E_RANGE, "%s: over %d tensors", w->file, IMPORT_MAX_TENSORS);
    if (w->n == w->max) {
        size_t max = w->max ? 2 * w->max : 256;
        import_tensor *list = mem_resize(w->list, max * sizeof *list);
        if (!list)
            return fail(err, E_NOMEM, "%s: no memory for its tensors", w->file);
        w->list = list;
        w->max = max;
    }
    import_clean_name(text, name);
    import_tensor *to = &w->list[w->n];
    *to = *t;
    to->file = w->file;
    to->map = w->map;
    to->name = (span){ arena_strndup(&w->memory, text, strlen(text)), strlen(text) };
    if (!to->name.p)
        return fail(err, E_NOMEM, "%s: no memory for the names of tensors", w->file);
    w->n++;
    return OK;
}

static int by_name(const void *name, const void *tensor)
{
    return strcmp(name, ((const import_tensor *)tensor)->name.p);
}

import_tensor *import_weights_find(const import_weights *w, const char *name)
{
    return w->n ? bsearch(name, w->list, w->n, sizeof *w->list, by_name) : NULL;
}

/* ---- values ---- */

static uint32_t little(const unsigned char *p, size_t bytes)
{
    uint32_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}

static float f32_at(const unsigned char *p)
{
    uint32_t u = little(p, 4);
    float x;
    memcpy(&x, &u, 4);
    return x;
}

static size_t value_bytes(import_kind k)
{
    return k == IMPORT_F32 ? 4 : 2;
}

static void nbits4_row(const import_tensor *t, uint64_t row, float *out)
{
    uint64_t blocks = (t->cols + t->block - 1) / t->block;
    const unsigned char *codes = t->data + row * blocks * (t->block / 2), *scales = t->scales + row * blocks * 4;
    for (uint64_t i = 0; i < t->cols; i++) {
        unsigned code = codes[i / 2] >> (4 * (i & 1)) & 15;
        out[i] = (float)((int)code - 8) * f32_at(scales + i / t->block * 4);
    }
}

static void affine_row(const import_tensor *t, uint64_t row, float *out)
{
    for (uint64_t i = 0; i < t->cols; i++) {
        unsigned char c = t->data[row * t->cols + i];
        int32_t code = t->kind == IMPORT_U8 ? c : c < 128 ? c : c - 256;
        out[i] = (float)(code - t->zero) * t->scale;
    }
}

static uint32_t quant_of(import_kind k)
{
    return k == IMPORT_F32 ? QUANT_F32 : k == IMPORT_F16 ? QUANT_F16 : QUANT_BF16;
}

const unsigned char *import_row_bytes(const import_tensor *t, uint64_t row, size_t *n)
{
    bool floats = t->kind == IMPORT_F32 || t->kind == IMPORT_F16 || t->kind == IMPORT_BF16;
    if (!floats || t->transposed)
        return NULL;
    *n = (size_t)t->cols * value_bytes(t->kind);
    return t->data + row * *n;
}

void import_row(const import_tensor *t, uint64_t row, float *out)
{
    size_t n;
    const unsigned char *whole = import_row_bytes(t, row, &n);
    if (whole) {
        quant_find(quant_of(t->kind))->decode(whole, out, t->cols);
        return;
    }
    if (t->kind == IMPORT_NBITS4) {
        nbits4_row(t, row, out);
        return;
    }
    if (t->kind == IMPORT_U8 || t->kind == IMPORT_I8) {
        affine_row(t, row, out);
        return;
    }
    size_t bytes = value_bytes(t->kind);
    for (uint64_t i = 0; i < t->cols; i++)
        quant_find(quant_of(t->kind))->decode(t->data + (i * t->rows + row) * bytes, out + i, 1);
}
