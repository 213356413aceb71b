/* weights.c: names and values of weights, whatever file they came from. */
#include <string.h>

#include "import/import_int.h"
#include "quant/quant.h"

status import_name(import_weights *w, import_tensor *t, span name, error *err)
{
    static const struct {
        const char *old, *new;
    } ends[] = { { ".gamma", ".weight" }, { ".beta", ".bias" } };
    if (name.n > IMPORT_MAX_NAME)
        return fail(err, E_RANGE, "%s: a tensor's name has %zu bytes; the limit is %d", w->file, name.n,
                    IMPORT_MAX_NAME);
    char text[IMPORT_MAX_NAME + 16];
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    const char *from = str_starts(text, "bert.") ? text + 5 : text;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (str_ends(text, ends[i].old))
            memcpy(text + name.n - strlen(ends[i].old), ends[i].new, strlen(ends[i].new) + 1);
    t->name = (span){ arena_strndup(&w->memory, from, strlen(from)), strlen(from) };
    return t->name.p ? OK : fail(err, E_NOMEM, "%s: no memory for the names of tensors", w->file);
}

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

void import_row(const import_tensor *t, uint64_t row, float *out)
{
    if (t->kind == IMPORT_NBITS4) {
        nbits4_row(t, row, out);
        return;
    }
    if (t->kind == IMPORT_U8 || t->kind == IMPORT_I8) {
        for (uint64_t i = 0; i < t->cols; i++) {
            unsigned char c = t->data[row * t->cols + i];
            int32_t code = t->kind == IMPORT_U8 ? c : c < 128 ? c : c - 256;
            out[i] = (float)(code - t->zero) * t->scale;
        }
        return;
    }
    size_t bytes = value_bytes(t->kind);
    for (uint64_t i = 0; i < t->cols; i++) {
        const unsigned char *p = t->data + (t->transposed ? i * t->rows + row : row * t->cols + i) * bytes;
        if (t->kind == IMPORT_F32)
            out[i] = f32_at(p);
        else
            quant_find(t->kind == IMPORT_F16 ? QUANT_F16 : QUANT_BF16)->decode(p, out + i, 1);
    }
}
