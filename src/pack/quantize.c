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
#include "pack/job.h"
#include "pack/source.h"
#include "pack/walk.h"
#include "plat/cpu.h"
#include "plat/machine.h"
#include "plat/pool.h"
#include "quant/mix.h"
#include "quant/quant.h"
#include "token/vocab.h"

enum {
    SLAB_FLOATS = 4 << 20, /* between two writes */
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

static status plan_tensor(job *p, pack_tensor *pt, uint32_t wanted, error *err)
{
    const gguf_tensor *t = pt->t;
    uint64_t values = t->ne[0] * gguf_tensor_rows(t);
    pt->to = pt->role == QUANT_KEPT ? pt->from : quant_find(quant_type_fitting(wanted, t->ne[0]));
    p->report.n_fallback += pt->role != QUANT_KEPT && pt->to->id != wanted;
    if (pt->to != pt->from) {
        if (!pt->from->decode)
            return fail(err, E_UNSUPPORTED, "%s: tensor '%.*s': the type %s %s", gguf_file_name(p->file),
                        (int)t->name.n, t->name.p, pt->from->name, quant_advice(t->type));
        p->report.n_encoded++;
        p->report.requantized |= pt->from->block > 1;
        if (t->type < ARRAY_LEN(p->of_type))
            p->of_type[t->type] += values;
    }
    p->report.bytes += quant_row_bytes(pt->to->id, t->ne[0]) * gguf_tensor_rows(t);
    p->report.n_params += values;
    return OK;
}

static uint32_t wanted_type(const job *p, const pack_tensor *t, const quant_mix *mix,
                            const quant_mix_model *about, const quant_traits *type, const quant_traits *output)
{
    bool head = t->role == QUANT_HEAD || (about->tied && t->role == QUANT_EMBED);
    (void)p;
    if (mix)
        return quant_mix_type(mix, about, t->role, t->layer < 0 ? 0 : (uint32_t)t->layer, t->t->ne[0]);
    return head ? output->id : type->id;
}

static status plan(job *p, const quant_mix *mix, const quant_traits *type, const quant_traits *output, error *err)
{
    size_t n = gguf_n_tensors(p->file);
    quant_mix_model about = { .tied = !gguf_tensor_find(p->file, "output.weight"), .importances = true };
    status s = OK;
    p->n = n;
    p->tensors = mem_array(n ? n : 1, sizeof *p->tensors);
    if (!p->tensors)
        return fail(err, E_NOMEM, "no memory for %zu tensors", n);
    for (size_t i = 0; i < n; i++) {
        const gguf_tensor *t = gguf_tensor_at(p->file, i);
        p->tensors[i] = (pack_tensor){ .t = t, .role = quant_role_of(t->name, gguf_tensor_rows(t)),
                                       .layer = quant_layer_of(t->name), .kind = moments_kind_of(t, about.tied),
                                       .from = quant_find(t->type) };
        if (p->tensors[i].layer >= (int32_t)about.n_layers)
            about.n_layers = (uint32_t)p->tensors[i].layer + 1;
    }
    const gguf_tensor *k = gguf_tensor_find(p->file, "blk.0.attn_k.weight");
    const gguf_tensor *q = gguf_tensor_find(p->file, "blk.0.attn_q.weight");
    about.n_gqa = k && q && k->ne[1] ? (uint32_t)(q->ne[1] / k->ne[1]) : 1;
    for (size_t i = 0; !s && i < n; i++)
        s = plan_tensor(p, &p->tensors[i], wanted_type(p, &p->tensors[i], mix, &about, type, output), err);
    p->report.n_tensors = (uint32_t)n;
    p->report.n_kept = p->report.n_tensors - p->report.n_encoded;
    p->report.source_bytes = gguf_data_bytes(p->file);
    uint32_t most = 0;
    for (uint32_t t = 1; t < ARRAY_LEN(p->of_type); t++)
        most = p->of_type[t] > p->of_type[most] ? t : most;
    p->report.type = mix ? mix->name : type->name;
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

static void write_keys(job *p, const quant_mix *mix, const quant_traits *type)
{
    int file_type = mix ? (int)mix->file_type : find_row(type->id)->file_type;
    for (size_t i = 0; i < gguf_n_keys(p->file); i++)
        if (!is_dropped(gguf_key_at(p->file, i)->key))
            gguf_writer_copy(p->w, gguf_key_at(p->file, i));
    if (file_type != NO_FILE_TYPE)
        gguf_writer_u32(p->w, "general.file_type", (uint32_t)file_type);
    gguf_writer_u32(p->w, "general.quantization_version", FORMAT_VERSION);
    gguf_writer_str(p->w, "general.quantized_by", "hearth " HEARTH_VERSION);
    gguf_writer_str(p->w, "hearth.quantize.type", p->report.type);
    gguf_writer_str(p->w, "hearth.quantize.source_type", p->report.source_type);
    gguf_writer_bool(p->w, "hearth.quantize.requantized", p->report.requantized);
}

static void declare(job *p)
{
    for (size_t i = 0; i < p->n; i++) {
        const gguf_tensor *t = p->tensors[i].t;
        char name[GGUF_MAX_NAME + 1];
        snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.p);
        gguf_writer_tensor(p->w, name, p->tensors[i].to->id, t->n_dims, t->ne);
    }
}

/* ---- encoding ---- */

static status tell(job *p, const void *read, uint64_t bytes, error *err)
{
    gguf_release(p->file, read, (size_t)bytes);
    p->done += bytes;
    if (p->o->progress && p->o->progress(p->o->user, p->done, p->report.source_bytes))
        return fail(err, E_CANCELLED, "stopped");
    return OK;
}

static size_t slab_rows(const gguf_tensor *t)
{
    uint64_t most = SLAB_FLOATS / t->ne[0], rows = gguf_tensor_rows(t);
    most = most ? most : 1;
    return (size_t)(most < rows ? most : rows);
}

static status encode_tensor(job *p, pack_tensor *pt, const encoder *e, error *err)
{
    const gguf_tensor *t = pt->t;
    const uint64_t rows = gguf_tensor_rows(t), in_bytes = t->bytes / rows;
    const size_t out_bytes = (size_t)quant_row_bytes(pt->to->id, t->ne[0]), most = slab_rows(t);
    float *values = mem_array(most, (size_t)t->ne[0] * sizeof *values);
    unsigned char *out = mem_array(rows, out_bytes);
    status s = out && values ? OK : fail(err, E_NOMEM, "no memory for %zu rows of %" PRIu64 " values", most, t->ne[0]);
    for (uint64_t r = 0; !s && r < rows; r += most) {
        size_t n = most < rows - r ? most : (size_t)(rows - r);
        s = source_read(p->file, t, &p->tools, r, 1, n, values, err);
        if (!s)
            s = encoder_rows(e, pt->way, pt->to->id, values, n, out + r * out_bytes, err);
        if (!s)
            s = source_check(p->file, t, pt->to->id, out + r * out_bytes, r, n, err);
        if (!s)
            s = tell(p, (const unsigned char *)t->data + r * in_bytes, n * in_bytes, err);
    }
    mem_free(values);
    pt->encoded = out;
    return s;
}

static status encode_simply(job *p, pack_tensor *pt, error *err)
{
    encoder *e = NULL;
    status s = encoder_open_simple(&e, &p->tools, NULL, (size_t)pt->t->ne[0], err);
    if (!s)
        s = encode_tensor(p, pt, e, err);
    encoder_close(&e);
    return s;
}

/* All tensors of a layer (or of the ends: -1) that multiply inputs of this kind. */
static status walk_kind(job *p, int32_t layer, moments_kind kind, const moments *m, bool feeding, job_wanted *wanted,
                        job_each *each, error *err)
{
    encoder *e = NULL;
    status s = OK;
    for (size_t i = 0; !s && i < p->n; i++) {
        pack_tensor *t = &p->tensors[i];
        if (t->layer != layer || t->kind != kind || !wanted(t))
            continue;
        if (!e)
            s = encoder_open(&e, &p->tools, m, feeding, p->o->damping, err);
        if (!s)
            s = each(p, t, e, err);
    }
    encoder_close(&e);
    return s;
}

status job_walk(job *p, bool feeding, job_wanted *wanted, job_each *each, error *err)
{
    reference *r = NULL;
    walk *w = NULL;
    moments m[MOMENTS_OF_LAYER], head;
    status s = reference_open(&r, p->file, &p->tools, 0, err);
    if (!s)
        s = walk_open(&w, r, &p->tools, &p->seen, &p->held, err);
    for (uint32_t l = 0; !s && l < reference_spec(r)->n_layers; l++) {
        s = walk_layer(w, m, err);
        for (int k = 0; !s && k < MOMENTS_OF_LAYER; k++)
            s = walk_kind(p, (int32_t)l, (moments_kind)k, &m[k], feeding, wanted, each, err);
        for (int k = 0; k < MOMENTS_OF_LAYER; k++)
            moments_close(&m[k]);
    }
    if (!s && !reference_spec(r)->is_encoder) {
        s = walk_head(w, &head, err);
        if (!s)
            s = walk_kind(p, -1, MOMENTS_HEAD, &head, feeding, wanted, each, err);
        moments_close(&head);
    }
    walk_close(&w);
    reference_close(&r);
    for (size_t i = 0; !s && i < p->n; i++) {
        pack_tensor *t = &p->tensors[i];
        encoder *e = NULL;
        if (t->kind != MOMENTS_KINDS || !wanted(t))
            continue;
        s = encoder_open_simple(&e, &p->tools, NULL, (size_t)t->t->ne[0], err);
        if (!s)
            s = each(p, t, e, err);
        encoder_close(&e);
    }
    return s;
}

static bool to_encode(const pack_tensor *t)
{
    return t->to != t->from;
}

static status copy_tensor(job *p, const gguf_tensor *t, error *err)
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

static status check_room(const job *p, error *err)
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

static status take_text(job *p, error *err)
{
    vocab *v;
    token_list all = TOKEN_LIST_INIT(64 << 20);
    status s = vocab_open(&v, p->file, err);
    if (s)
        return s;
    s = vocab_encode(v, p->o->text, p->o->text_bytes, 0, &all, err);
    size_t n = all.n / 511, most = p->o->tokens / 512;
    n = most && n > most ? most : n;
    int32_t *ids = mem_array(n * 512, sizeof *ids);
    size_t *starts[2] = { mem_array(n + 1, sizeof(size_t)), mem_array(n + 1, sizeof(size_t)) };
    size_t at = 0, count[2] = { 0 };
    int32_t *where[2] = { ids, ids + 512 * (n - n / 5) };
    for (size_t i = 0; i < n; i++) {
        int set = i % 5 == 4;
        where[set][0] = vocab_bos(v) >= 0 ? vocab_bos(v) : all.ids[at];
        memcpy(where[set] + 1, all.ids + i * 511, 511 * sizeof *ids);
        where[set] += 512;
        count[set]++;
    }
    for (int set = 0; set < 2; set++)
        for (size_t i = 0; i <= count[set]; i++)
            starts[set][i] = i * 512;
    p->seen = (reference_text){ ids, starts[0], count[0] };
    p->held = (reference_text){ ids + 512 * (n - n / 5), starts[1], count[1] };
    vocab_close(&v);
    return OK;
}

static status write_file(job *p, const quant_mix *mix, const quant_traits *type, error *err)
{
    status s = check_room(p, err);
    if (!s)
        s = gguf_writer_open(&p->w, p->to, err);
    if (s)
        return s;
    write_keys(p, mix, type);
    declare(p);
    if (p->seen.n)
        s = job_walk(p, p->o->way == ENCODER_FEEDBACK, to_encode, encode_tensor, err);
    for (size_t i = 0; !s && i < p->n; i++) {
        pack_tensor *pt = &p->tensors[i];
        if (pt->to == pt->from) {
            s = copy_tensor(p, pt->t, err);
            continue;
        }
        if (!pt->encoded)
            s = encode_simply(p, pt, err);
        if (!s)
            gguf_writer_data(p->w, pt->encoded, quant_row_bytes(pt->to->id, pt->t->ne[0]) * gguf_tensor_rows(pt->t));
        mem_free(pt->encoded);
        pt->encoded = NULL;
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
    job *p = mem_zero(sizeof *p);
    const quant_traits *type = NULL, *output = NULL;
    const quant_mix *mix = quant_mix_find(o->type);
    if (!p)
        return fail(err, E_NOMEM, "no memory");
    p->o = o;
    p->to = to;
    unsigned features = 0;
    status s0 = cpu_choose(NULL, &features, err);
    if (s0)
        return s0;
    kernels_init(&p->k, features);
    p->tools.k = &p->k;
    status s = mix && strchr(o->type, '_') ? OK : find_type(o->type, &type, err);
    if (!s && !type)
        type = quant_find(mix->main);
    if (quant_find_name(o->type))
        mix = NULL;
    if (!s)
        s = find_type(o->output_type ? o->output_type : type->name, &output, err);
    if (!s && !o->overwrite && access(to, F_OK) == 0)
        s = fail(err, E_EXISTS, "%s is there already (--force replaces it)", to);
    if (!s)
        s = gguf_open(&p->file, from, err);
    if (!s)
        s = pool_open(&p->tools.p, thread_count(o), err);
    if (!s)
        s = plan(p, mix, type, output, err);
    if (!s && o->text_bytes)
        s = take_text(p, err);
    if (!s && p->seen.n && o->size) {
        s = job_survey(p, err);
        if (!s)
            s = job_gains(p, err);
        if (!s)
            s = job_choose(p, o->size, err);
    } else if (!s && p->seen.n) { for (size_t i = 0; i < p->n; i++) p->tensors[i].way = (encoder_way)o->way; }
    if (!s)
        s = write_file(p, mix, type, err);
    if (!s)
        *out = p->report;
    gguf_writer_close(&p->w);
    pool_close(&p->tools.p);
    gguf_close(&p->file);
    mem_free(p->tensors);
    mem_free(p);
    return s;
}
