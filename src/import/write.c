/* write.c: declaring and writing tensors by a family's table. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "import/write_int.h"
#include "quant/quant.h"

enum { FILE_TYPE_F32 = 0, FILE_TYPE_F16 = 1, FILE_TYPE_Q8_0 = 7, FILE_TYPE_BF16 = 32, NAME_BYTES = 128 };
enum { RELEASE_STEP = 4 << 20 };

/* ---- types ---- */

static uint32_t stored_type(const import_tensor *t)
{
    return t->kind == IMPORT_F16 ? QUANT_F16 : t->kind == IMPORT_BF16 ? QUANT_BF16 : QUANT_F32;
}

/* The type of the largest part: what stands for the file. */
static uint32_t largest_type(const import_weights *w)
{
    uint64_t bytes[3] = { 0 };
    static const uint32_t of[] = { QUANT_F32, QUANT_F16, QUANT_BF16 };
    for (size_t i = 0; i < w->n; i++) {
        const import_tensor *t = &w->list[i];
        bytes[t->kind == IMPORT_F16 ? 1 : t->kind == IMPORT_BF16 ? 2 : 0] += t->n_dims == 2 ? t->rows * t->cols : 0;
    }
    return of[bytes[1] > bytes[0] ? 1 : bytes[2] > bytes[0] ? 2 : 0];
}

static status find_type(const char *name, uint32_t *out, error *err)
{
    static const char *const known[] = { "f32", "f16", "bf16", "q8_0" };
    *out = UINT32_MAX;
    for (size_t i = 0; name && i < ARRAY_LEN(known); i++)
        if (strcmp(known[i], name) == 0)
            *out = quant_find_name(name)->id;
    if (name && *out == UINT32_MAX)
        return fail(err, E_UNSUPPORTED, "type '%.20s' is none of f32, f16, bf16, q8_0", name);
    return OK;
}

static uint32_t type_of(const import_writing *x, const import_place *p, const import_tensor *t)
{
    if (p->always_f32 || t->n_dims == 1)
        return QUANT_F32;
    if (x->type != UINT32_MAX && t->cols % quant_find(x->type)->block == 0)
        return x->type;
    return x->type != UINT32_MAX ? QUANT_F16 : stored_type(t);
}

/* ---- declaring ---- */

status import_writing_open(import_writing *x, const char *type, size_t most, error *err)
{
    status s = find_type(type, &x->type, err);
    if (s)
        return s;
    x->main_type = x->type == UINT32_MAX ? largest_type(x->weights) : x->type;
    x->max = most;
    x->list = mem_array(most + 1, sizeof *x->list);
    return x->list ? OK : fail(err, E_NOMEM, "no memory for the list of tensors");
}

void import_writing_close(import_writing *x)
{
    mem_free(x->list);
    x->list = NULL;
}

void import_write_general(import_writing *x, const char *arch, const char *name)
{
    static const struct {
        uint32_t type, file_type;
    } file_types[] = { { QUANT_F32, FILE_TYPE_F32 }, { QUANT_F16, FILE_TYPE_F16 }, { QUANT_Q8_0, FILE_TYPE_Q8_0 },
                       { QUANT_BF16, FILE_TYPE_BF16 } };
    x->report->arch = arch;
    x->report->type = quant_name(x->main_type);
    gguf_writer_str(x->w, "general.architecture", arch);
    gguf_writer_str(x->w, "general.type", "model");
    gguf_writer_str(x->w, "general.name", name);
    for (size_t i = 0; i < ARRAY_LEN(file_types); i++)
        if (file_types[i].type == x->main_type)
            gguf_writer_u32(x->w, "general.file_type", file_types[i].file_type);
    gguf_writer_u32(x->w, "general.quantization_version", 2);
}

static void name_of(char out[NAME_BYTES], const char *stem, uint32_t layer, const char *end)
{
    const char *mark = strstr(stem, "%u");
    if (mark)
        snprintf(out, NAME_BYTES, "%.*s%u%s%s", (int)(mark - stem), stem, layer, mark + 2, end);
    else
        snprintf(out, NAME_BYTES, "%s%s", stem, end);
}

static void plan(import_writing *x, const char *name, const import_planned *p, int n_dims, uint64_t cols, uint64_t rows)
{
    gguf_writer_tensor(x->w, name, p->type, n_dims, (uint64_t[2]){ cols, rows });
    x->report->bytes += rows * quant_row_bytes(p->type, cols);
    x->report->n_tensors++;
    x->list[x->n++] = *p;
}

/* One tensor is found, checked and declared. */
static status declare(import_writing *x, const import_place *p, uint32_t layer, const char *end, error *err)
{
    char from[NAME_BYTES], to[NAME_BYTES];
    name_of(from, p->from, layer, end);
    name_of(to, p->to, layer, end);
    bool bias = strcmp(end, ".bias") == 0, vector = bias || p->rows == DIM_ONE;
    uint64_t rows = vector ? 1 : x->dims[p->rows], cols = x->dims[bias && p->rows != DIM_ONE ? p->rows : p->cols];
    import_tensor *t = import_weights_find(x->weights, from);
    if (!t)
        return fail(err, E_FORMAT, "%s: tensor '%s' is missing", x->weights->file, from);
    if (t->kind == IMPORT_OTHER)
        return fail(err, E_UNSUPPORTED, "%s: tensor '%s' is of none of the types of weights", t->file, from);
    if (t->n_dims != (vector ? 1 : 2) || t->rows != rows || t->cols != cols)
        return fail(err, E_FORMAT, "%s: tensor '%s' is %llu x %llu, config.json says %llu x %llu", t->file, from,
                    (unsigned long long)t->rows, (unsigned long long)t->cols, (unsigned long long)rows,
                    (unsigned long long)cols);
    if (x->n >= x->max)
        return fail(err, E_RANGE, "over %zu tensors", x->max);
    t->used = true;
    import_planned made = { .tensor = t, .type = type_of(x, p, t) };
    if (p->change_with & x->traits)
        made.change = p->change;
    plan(x, to, &made, t->n_dims, cols, rows);
    x->report->n_params += rows * cols;
    return OK;
}

status import_declare(import_writing *x, const import_place *places, size_t n, uint32_t layer, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < n; i++) {
        const import_place *p = &places[i];
        if ((p->with & x->traits) != p->with || (p->without & x->traits))
            continue;
        s = declare(x, p, layer, ".weight", err);
        if (!s && (p->bias & x->traits))
            s = declare(x, p, layer, ".bias", err);
    }
    return s;
}

void import_declare_values(import_writing *x, const char *name, const float *values, uint32_t n)
{
    import_planned made = { .values = values, .n_values = n, .type = QUANT_F32 };
    plan(x, name, &made, 1, n, 1);
}

static bool is_left_out(const char *name, const char *const *left_out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (*left_out[i] == '*' ? str_ends(name, left_out[i] + 1) : str_starts(name, left_out[i]))
            return true;
    return false;
}

status import_check_left_over(const import_writing *x, const char *const *left_out, size_t n, error *err)
{
    for (size_t i = 0; i < x->weights->n; i++) {
        const import_tensor *t = &x->weights->list[i];
        if (!t->used && !is_left_out(t->name.p, left_out, n))
            return fail(err, E_UNSUPPORTED, "%s: tensor '%s' has no place in a %s model as hearth knows it", t->file,
                        t->name.p, x->family);
    }
    return OK;
}

/* ---- data ---- */

/* Which row of the file becomes row r. Of a head's rows i and half + i rope turns together: they become 2i, 2i + 1. */
static uint64_t source_row(const import_writing *x, const import_planned *p, uint64_t r)
{
    if (p->change != CHANGE_INTERLEAVE)
        return r;
    uint64_t head = x->dims[DIM_HEAD], i = r % head;
    return r - i + i / 2 + (i & 1) * (head / 2);
}

/* A bias is one row: its values are what its matrix's rows are. */
static void interleave_values(const import_writing *x, const import_planned *p, float *values, float *scratch)
{
    const import_tensor *t = p->tensor;
    memcpy(scratch, values, t->cols * sizeof *values);
    for (uint64_t i = 0; i < t->cols; i++)
        values[i] = scratch[source_row(x, p, i)];
}

static status write_row(const import_writing *x, const import_planned *p, uint64_t r, float *values, float *coded,
                        error *err)
{
    const import_tensor *t = p->tensor;
    size_t n;
    bool bias = p->change == CHANGE_INTERLEAVE && t->n_dims == 1;
    uint64_t from = bias ? r : source_row(x, p, r);
    const unsigned char *stored = import_row_bytes(t, from, &n);
    import_row(t, from, values);
    for (uint64_t k = 0; k < t->cols; k++)
        if (!isfinite(values[k]))
            return fail(err, E_FORMAT, "%s: tensor '%s': row %llu has a value that is not finite", t->file, t->name.p,
                        (unsigned long long)from);
    if (bias)
        interleave_values(x, p, values, coded);
    for (uint64_t k = 0; p->change == CHANGE_PLUS_ONE && k < t->cols; k++)
        values[k] += 1.0f;
    if (stored && !bias && p->change != CHANGE_PLUS_ONE && stored_type(t) == p->type) {
        gguf_writer_data(x->w, stored, n);
        return OK;
    }
    quant_find(p->type)->encode(values, coded, t->cols, NULL);
    gguf_writer_data(x->w, coded, (size_t)quant_row_bytes(p->type, t->cols));
    return OK;
}

/* The file's pages are given back as they are done with, so that a large model does not fill the memory. */
static status write_tensor(const import_writing *x, const import_planned *p, float *values, float *coded, error *err)
{
    const import_tensor *t = p->tensor;
    uint64_t done = 0;
    size_t n = 0;
    status s = OK;
    for (uint64_t r = 0; !s && r < t->rows; r++) {
        s = write_row(x, p, r, values, coded, err);
        if (t->map && import_row_bytes(t, 0, &n) && ((r + 1 - done) * n >= RELEASE_STEP || r + 1 == t->rows)) {
            file_map_release(t->map, t->data + done * n, (size_t)(r + 1 - done) * n);
            done = r + 1;
        }
    }
    return s;
}

status import_write_data(const import_writing *x, error *err)
{
    uint64_t most = 0;
    for (size_t i = 0; i < x->n; i++)
        if (x->list[i].tensor)
            most = x->list[i].tensor->cols > most ? x->list[i].tensor->cols : most;
    float *values = mem_array(most, sizeof *values), *coded = mem_array(most, sizeof *coded);
    status s = gguf_writer_room(x->w, err);
    if (!s && (!values || !coded))
        s = fail(err, E_NOMEM, "no memory for a row of %llu values", (unsigned long long)most);
    for (size_t i = 0; !s && i < x->n; i++) {
        const import_planned *p = &x->list[i];
        if (p->tensor)
            s = write_tensor(x, p, values, coded, err);
        else
            gguf_writer_data(x->w, p->values, p->n_values * sizeof *p->values);
    }
    mem_free(values);
    mem_free(coded);
    return s;
}
