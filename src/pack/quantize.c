/* quantize.c: plan the type of every tensor, declare them all, then encode slab by slab. */
#include "pack/quantize.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "gguf/gguf.h"
#include "gguf/write.h"
#include "hearth.h"
#include "plat/machine.h"
#include "plat/pool.h"
#include "quant/mix.h"
#include "quant/quant.h"

enum {
    SLAB_BYTES = 4 << 20, /* of encoded rows between two writes */
    NO_FILE_TYPE = -1,
    FORMAT_VERSION = 2,   /* general.quantization_version: of the block layouts, as llama.cpp counts them */
};

/* What general.file_type calls a file mostly of this type (llama.h, LLAMA_FTYPE_MOSTLY_*; K types as their "small"
 * mixtures, the ones without larger types in between). */
static const struct type_row {
    uint32_t type;
    int file_type;
} type_rows[] = {
    { QUANT_F32, 0 },   { QUANT_F16, 1 },   { QUANT_BF16, 32 },  { QUANT_Q4_0, 2 },
    { QUANT_Q4_1, 3 },  { QUANT_Q5_0, 8 },  { QUANT_Q5_1, 9 },   { QUANT_Q8_0, 7 },
    { QUANT_Q2_K, 21 }, { QUANT_Q3_K, 11 }, { QUANT_Q4_K, 14 },  { QUANT_Q5_K, 16 },
    { QUANT_Q6_K, 18 }, { QUANT_IQ4_NL, 25 }, { QUANT_IQ4_XS, 30 }, { QUANT_MXFP4, NO_FILE_TYPE },
};

/* Keys that would be wrong in the new file. */
static const char *const dropped_keys[] = { "general.file_type", "general.quantization_version", "general.alignment",
                                            "general.quantized_by", "split.", "quantize.imatrix.", "hearth.quantize." };

typedef struct slab_job {
    const quant_traits *from, *to;
    const unsigned char *in;
    unsigned char *out;
    uint64_t in_bytes, out_bytes, cols; /* of a row */
    size_t n_rows;
    float *floats;                      /* a row for each thread */
    size_t bad_row[POOL_MAX_THREADS];   /* the first of each thread's; SIZE_MAX: none */
    bool too_large[POOL_MAX_THREADS];   /* it was finite, and is not in the new type */
} slab_job;

typedef struct packing {
    const pack_options *o;
    const char *to;
    gguf *file;
    gguf_writer *w;
    pool *threads;
    const quant_traits **types; /* [n_tensors] in the new file */
    pack_report report;
    uint64_t of_type[64];       /* values that were encoded, by their old type */
    uint64_t done;
    slab_job job;
} packing;

static const struct type_row *find_row(uint32_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(type_rows); i++)
        if (type_rows[i].type == type)
            return &type_rows[i];
    return NULL;
}

static status find_type(const char *name, const quant_traits **out, error *err)
{
    const quant_traits *t = quant_find_name(name);
    char known[256] = "";
    for (size_t i = 0, n = 0; i < ARRAY_LEN(type_rows); i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", quant_name(type_rows[i].type));
    if (!t || !t->encode || !find_row(t->id))
        return fail(err, E_UNSUPPORTED, "type '%.20s' is none that can be written: %s", name, known);
    *out = t;
    return OK;
}

status pack_check_type(const char *name, error *err)
{
    const quant_traits *t;
    return find_type(name, &t, err);
}

/* ---- which type ---- */

static bool is_encoded(const gguf_tensor *t)
{
    return quant_role_of(t->name, gguf_tensor_rows(t)) != QUANT_KEPT;
}

static status plan_tensor(packing *p, size_t i, const quant_traits *wanted, error *err)
{
    const gguf_tensor *t = gguf_tensor_at(p->file, i);
    const quant_traits *from = quant_find(t->type);
    uint64_t values = t->ne[0] * gguf_tensor_rows(t);
    p->types[i] = is_encoded(t) ? quant_find(quant_type_fitting(wanted->id, t->ne[0])) : from;
    p->report.n_fallback += is_encoded(t) && p->types[i] != wanted;
    if (p->types[i] != from) {
        if (!from->decode)
            return fail(err, E_UNSUPPORTED, "%s: tensor '%.*s': the type %s %s", gguf_file_name(p->file),
                        (int)t->name.n, t->name.p, from->name, quant_advice(t->type));
        p->report.n_encoded++;
        p->report.requantized |= from->block > 1;
        if (t->type < ARRAY_LEN(p->of_type))
            p->of_type[t->type] += values;
    }
    p->report.bytes += quant_row_bytes(p->types[i]->id, t->ne[0]) * gguf_tensor_rows(t);
    p->report.n_params += values;
    return OK;
}

static status plan(packing *p, const quant_traits *type, const quant_traits *output, error *err)
{
    size_t n = gguf_n_tensors(p->file);
    const char *head = gguf_tensor_find(p->file, "output.weight") ? "output.weight" : "token_embd.weight";
    status s = OK;
    p->types = mem_array(n ? n : 1, sizeof *p->types);
    if (!p->types)
        return fail(err, E_NOMEM, "no memory for %zu tensors", n);
    for (size_t i = 0; !s && i < n; i++)
        s = plan_tensor(p, i, span_is(gguf_tensor_at(p->file, i)->name, head) ? output : type, err);
    p->report.n_tensors = (uint32_t)n;
    p->report.n_kept = p->report.n_tensors - p->report.n_encoded;
    p->report.source_bytes = gguf_data_bytes(p->file);
    uint32_t most = 0;
    for (uint32_t t = 1; t < ARRAY_LEN(p->of_type); t++)
        most = p->of_type[t] > p->of_type[most] ? t : most;
    p->report.type = type->name;
    p->report.source_type = p->report.n_encoded ? quant_name(most) : type->name;
    return s;
}

static bool is_dropped(span key)
{
    for (size_t i = 0; i < ARRAY_LEN(dropped_keys); i++) {
        size_t n = strlen(dropped_keys[i]);
        bool prefix = dropped_keys[i][n - 1] == '.';
        if (prefix ? key.n > n && memcmp(key.p, dropped_keys[i], n) == 0 : span_is(key, dropped_keys[i]))
            return true;
    }
    return false;
}

static void write_keys(packing *p, const quant_traits *type)
{
    int file_type = find_row(type->id)->file_type;
    for (size_t i = 0; i < gguf_n_keys(p->file); i++)
        if (!is_dropped(gguf_key_at(p->file, i)->key))
            gguf_writer_copy(p->w, gguf_key_at(p->file, i));
    if (file_type != NO_FILE_TYPE)
        gguf_writer_u32(p->w, "general.file_type", (uint32_t)file_type);
    gguf_writer_u32(p->w, "general.quantization_version", FORMAT_VERSION);
    gguf_writer_str(p->w, "general.quantized_by", "hearth " HEARTH_VERSION);
    gguf_writer_str(p->w, "hearth.quantize.type", type->name);
    gguf_writer_str(p->w, "hearth.quantize.source_type", p->report.source_type);
    gguf_writer_bool(p->w, "hearth.quantize.requantized", p->report.requantized);
}

static void declare(packing *p)
{
    for (size_t i = 0; i < gguf_n_tensors(p->file); i++) {
        const gguf_tensor *t = gguf_tensor_at(p->file, i);
        char name[GGUF_MAX_NAME + 1];
        snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.p);
        gguf_writer_tensor(p->w, name, p->types[i]->id, t->n_dims, t->ne);
    }
}

/* ---- encoding ---- */

static void encode_rows(void *arg, int index, int count)
{
    slab_job *j = arg;
    const quant_traits *f32 = quant_find(QUANT_F32);
    float *row = j->floats + (size_t)index * j->cols;
    size_t from, to;
    pool_part(j->n_rows, index, count, &from, &to);
    j->bad_row[index] = SIZE_MAX;
    for (size_t r = from; r < to; r++) {
        unsigned char *out = j->out + r * j->out_bytes;
        j->from->decode(j->in + r * j->in_bytes, row, (size_t)j->cols);
        bool finite = f32->check(row, (size_t)j->cols) == SIZE_MAX;
        if (finite)
            j->to->encode(row, out, (size_t)j->cols, NULL);
        if (finite && (!j->to->check || j->to->check(out, (size_t)j->cols) == SIZE_MAX))
            continue;
        j->bad_row[index] = r;
        j->too_large[index] = finite;
        return;
    }
}

static status check_slab(const packing *p, const gguf_tensor *t, uint64_t first_row, error *err)
{
    const slab_job *j = &p->job;
    for (int i = 0; i < pool_threads(p->threads); i++) {
        if (j->bad_row[i] == SIZE_MAX)
            continue;
        uint64_t row = first_row + j->bad_row[i];
        const char *file = gguf_file_name(p->file);
        int n = (int)t->name.n;
        if (j->too_large[i])
            return fail(err, E_RANGE, "%s: tensor '%.*s': row %" PRIu64 " holds a value that is too large for %s", file,
                        n, t->name.p, row, j->to->name);
        return fail(err, E_FORMAT, "%s: tensor '%.*s': row %" PRIu64 " holds a value that is not finite: the weights "
                    "are damaged", file, n, t->name.p, row);
    }
    return OK;
}

static status tell(packing *p, const unsigned char *read, uint64_t bytes, error *err)
{
    gguf_release(p->file, read, (size_t)bytes);
    p->done += bytes;
    if (p->o->progress && p->o->progress(p->o->user, p->done, p->report.source_bytes))
        return fail(err, E_CANCELLED, "stopped");
    return OK;
}

static status encode_tensor(packing *p, const gguf_tensor *t, const quant_traits *to, error *err)
{
    slab_job *j = &p->job;
    uint64_t rows = gguf_tensor_rows(t), out_bytes = quant_row_bytes(to->id, t->ne[0]);
    uint64_t most = SLAB_BYTES / out_bytes, threads = (uint64_t)pool_threads(p->threads);
    most = most < threads ? threads : most;
    most = most < rows ? most : rows;
    *j = (slab_job){ .from = quant_find(t->type), .to = to, .in_bytes = t->bytes / rows, .out_bytes = out_bytes,
                     .cols = t->ne[0] };
    j->out = mem_array((size_t)most, (size_t)out_bytes);
    j->floats = mem_array((size_t)(threads * t->ne[0]), sizeof *j->floats);
    status s = j->out && j->floats ? OK : fail(err, E_NOMEM, "no memory for %" PRIu64 " rows of %" PRIu64 " values",
                                               most, t->ne[0]);
    for (uint64_t r = 0; !s && r < rows; r += j->n_rows) {
        j->n_rows = (size_t)(most < rows - r ? most : rows - r);
        j->in = (const unsigned char *)t->data + r * j->in_bytes;
        pool_run(p->threads, encode_rows, j);
        s = check_slab(p, t, r, err);
        if (!s)
            gguf_writer_data(p->w, j->out, j->n_rows * (size_t)out_bytes);
        if (!s)
            s = tell(p, j->in, j->n_rows * j->in_bytes, err);
    }
    mem_free(j->out);
    mem_free(j->floats);
    return s;
}

static status copy_tensor(packing *p, const gguf_tensor *t, error *err)
{
    const unsigned char *data = t->data;
    status s = gguf_check_rows(p->file, t, err);
    for (uint64_t at = 0; !s && at < t->bytes; at += GGUF_RELEASE_STEP) {
        uint64_t n = t->bytes - at < GGUF_RELEASE_STEP ? t->bytes - at : GGUF_RELEASE_STEP;
        gguf_writer_data(p->w, data + at, (size_t)n);
        s = tell(p, data + at, n, err);
    }
    return s;
}

/* ---- the whole ---- */

static void folder_of(const char *path, char out[4096])
{
    snprintf(out, 4096, "%s", path);
    char *slash = strrchr(out, '/');
    if (slash)
        slash[slash == out] = 0;
    else
        snprintf(out, 4096, ".");
}

static status check_room(const packing *p, error *err)
{
    char folder[4096], need[24], have[24];
    struct statvfs disk;
    folder_of(p->to, folder);
    if (statvfs(folder, &disk))
        return OK; /* opening the file says what is wrong */
    uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (free_bytes >= p->report.bytes)
        return OK;
    return fail(err, E_NOFIT, "%s: %s are needed, and its disk has %s free", p->to,
                str_human_bytes(need, p->report.bytes), str_human_bytes(have, free_bytes));
}

static status write_file(packing *p, const quant_traits *type, error *err)
{
    status s = check_room(p, err);
    if (!s)
        s = gguf_writer_open(&p->w, p->to, err);
    if (s)
        return s;
    write_keys(p, type);
    declare(p);
    for (size_t i = 0; !s && i < gguf_n_tensors(p->file); i++) {
        const gguf_tensor *t = gguf_tensor_at(p->file, i);
        s = p->types[i]->id == t->type ? copy_tensor(p, t, err) : encode_tensor(p, t, p->types[i], err);
    }
    return s ? s : gguf_writer_finish(&p->w, err);
}

static int thread_count(const pack_options *o)
{
    machine_cpu cpu;
    if (o->n_threads > 0)
        return o->n_threads < POOL_MAX_THREADS ? o->n_threads : POOL_MAX_THREADS;
    machine_read_cpu(&cpu);
    return cpu.threads;
}

status pack_quantize(const char *from, const char *to, const pack_options *o, pack_report *out, error *err)
{
    packing *p = mem_zero(sizeof *p);
    const quant_traits *type = NULL, *output = NULL;
    if (!p)
        return fail(err, E_NOMEM, "no memory");
    p->o = o;
    p->to = to;
    status s = find_type(o->type, &type, err);
    if (!s)
        s = find_type(o->output_type ? o->output_type : o->type, &output, err);
    if (!s && !o->overwrite && access(to, F_OK) == 0)
        s = fail(err, E_EXISTS, "%s is there already (--force replaces it)", to);
    if (!s)
        s = gguf_open(&p->file, from, err);
    if (!s)
        s = plan(p, type, output, err);
    if (!s)
        s = pool_open(&p->threads, thread_count(o), err);
    if (!s)
        s = write_file(p, type, err);
    if (!s)
        *out = p->report;
    gguf_writer_close(&p->w);
    pool_close(&p->threads);
    gguf_close(&p->file);
    mem_free(p->types);
    mem_free(p);
    return s;
}
