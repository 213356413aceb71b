/* plan.c: what the tensors of a file are, and their types where a name says them. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "pack/job.h"
#include "pack/source.h"
#include "quant/grid.h"

enum { NO_FILE_TYPE = -1 };

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

static const struct type_row *find_row(uint32_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(type_rows); i++)
        if (type_rows[i].type == type)
            return &type_rows[i];
    return NULL;
}

bool plan_file_type(uint32_t type, uint32_t *out)
{
    const struct type_row *row = find_row(type);
    if (!row || row->file_type == NO_FILE_TYPE)
        return false;
    *out = (uint32_t)row->file_type;
    return true;
}

static status find_type(const char *name, const quant_traits **out, error *err)
{
    const quant_traits *t = quant_find_name(name);
    char known[256] = "", mixes[256] = "";
    if (t && t->encode && find_row(t->id)) {
        *out = t;
        return OK;
    }
    for (size_t i = 0, n = 0; i < ARRAY_LEN(type_rows); i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", quant_name(type_rows[i].type));
    for (size_t i = 0, n = 0; quant_mix_at(i); i++)
        if (!quant_find_name(quant_mix_at(i)->name))
            n += (size_t)snprintf(mixes + n, sizeof mixes - n, "%s%s", n ? ", " : "", quant_mix_at(i)->name);
    return fail(err, E_UNSUPPORTED, "'%.20s' is neither a type that can be written (%s) nor a mix (%s)", name, known,
                mixes);
}

status plan_find(const char *name, plan_target *out, error *err)
{
    *out = (plan_target){ 0 };
    if (!quant_find_name(name))
        out->mix = quant_mix_find(name);
    if (!out->mix)
        return find_type(name, &out->type, err);
    out->type = quant_find(out->mix->main);
    return OK;
}

status pack_check_type(const char *name, error *err)
{
    plan_target t;
    return plan_find(name, &t, err);
}

/* ---- the tensors ---- */

uint64_t plan_bytes(const pack_tensor *t, const quant_traits *type)
{
    return quant_row_bytes(type->id, t->t->ne[0]) * gguf_tensor_rows(t->t);
}

uint64_t plan_padded(uint64_t bytes)
{
    return (bytes + 31) / 32 * 32;
}

bool plan_may_take(const pack_tensor *t, const quant_traits *type)
{
    return t->role != QUANT_KEPT && !t->left && t->t->ne[0] % type->block == 0 &&
           type->bytes * t->from->block < t->from->bytes * type->block;
}

uint64_t plan_least(const pack_tensor *t)
{
    uint64_t least = t->t->bytes;
    for (size_t i = 0; i < PACK_TYPES; i++) {
        const quant_traits *type = quant_find(pack_types[i]);
        if (plan_may_take(t, type) && plan_bytes(t, type) < least)
            least = plan_bytes(t, type);
    }
    return least;
}

uint64_t plan_largest(const gguf *g)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        uint64_t values = gguf_tensor_at(g, i)->ne[0] * gguf_tensor_rows(gguf_tensor_at(g, i));
        largest = values > largest ? values : largest;
    }
    return largest * sizeof(float);
}

uint64_t plan_memory(const gguf *g)
{
    return plan_largest(g) / 10 * 13 + 1000000000;
}

static uint32_t queries_of_a_key(const gguf *g)
{
    const gguf_tensor *q = gguf_tensor_find(g, "blk.0.attn_q.weight"), *k = gguf_tensor_find(g, "blk.0.attn_k.weight");
    return q && k && k->ne[1] && q->ne[1] >= k->ne[1] ? (uint32_t)(q->ne[1] / k->ne[1]) : 1;
}

status plan_tensors(job *j, error *err)
{
    j->n = gguf_n_tensors(j->file);
    bool no_output = !gguf_tensor_find(j->file, "output.weight");
    j->tied = no_output && gguf_tensor_find(j->file, "output_norm.weight"); /* an encoder has neither */
    j->about = (quant_mix_model){ .tied = no_output, .importances = j->text.n > 0 || j->imatrix,
                                  .n_gqa = queries_of_a_key(j->file) };
    j->tensors = mem_array(j->n + 1, sizeof *j->tensors);
    if (!j->tensors)
        return fail(err, E_NOMEM, "no memory for %zu tensors", j->n);
    for (size_t i = 0; i < j->n; i++) {
        const gguf_tensor *t = gguf_tensor_at(j->file, i);
        pack_tensor *pt = &j->tensors[i];
        *pt = (pack_tensor){ .t = t, .index = i, .role = quant_role_of(t->name, gguf_tensor_rows(t)),
                             .layer = quant_layer_of(t->name), .kind = moments_kind_of(t, j->tied && !j->is_encoder),
                             .from = quant_find(t->type), .to = quant_find(t->type), .way = j->o->way };
        pt->left = j->o->rows_of && t->ne[0] % j->o->rows_of;
        if (pt->layer >= (int32_t)j->about.n_layers)
            j->about.n_layers = (uint32_t)pt->layer + 1;
    }
    return OK;
}

static bool is_head(const job *j, const pack_tensor *t)
{
    return t->role == QUANT_HEAD || (j->tied && t->role == QUANT_EMBED);
}

void plan_types(job *j, const plan_target *all, const plan_target *output)
{
    for (size_t i = 0; i < j->n; i++) {
        pack_tensor *t = &j->tensors[i];
        const plan_target *p = is_head(j, t) ? output : all;
        uint32_t wanted = p->type->id;
        if (t->role == QUANT_KEPT || t->left)
            continue;
        if (p->mix)
            wanted = quant_mix_type(p->mix, &j->about, t->role, t->layer < 0 ? 0 : (uint32_t)t->layer, t->t->ne[0]);
        t->to = quant_find(quant_type_fitting(wanted, t->t->ne[0]));
        if (t->grid && plan_bytes(t, t->grid) <= plan_bytes(t, t->to))
            t->to = t->grid;
        t->fallback = t->to->id != wanted || (p->mix && t->to != p->type && t->to->block < p->type->block);
    }
}

/* ---- grids ---- */

enum { FIRST_ROWS = 4, GRID_ROWS = 256 }; /* that are looked at to begin with, and together */

/* Rows in slabs until they say which type it is: at least GRID_ROWS, or all. */
static status find_grid(job *j, const pack_tensor *t, float *rows, uint32_t *type, bool *found, error *err)
{
    const uint64_t n_rows = gguf_tensor_rows(t->t);
    grid_search g;
    grid_begin(&g, t->from->id, (size_t)t->t->ne[0]);
    *found = false;
    for (uint64_t r = 0, n; r < n_rows && (r < GRID_ROWS || !g.decided); r += n) {
        n = r ? GRID_ROWS : FIRST_ROWS;
        n = n < n_rows - r ? n : n_rows - r;
        status s = source_read(j->file, t->t, &j->tools, r, 1, (size_t)n, rows, err);
        if (s || !grid_look(&g, rows, (size_t)n))
            return s;
    }
    *found = grid_found(&g, type);
    return OK;
}

/* rows, out: GRID_ROWS of them. */
static status look_at(job *j, pack_tensor *t, float *rows, unsigned char *out, error *err)
{
    uint64_t n_rows = gguf_tensor_rows(t->t);
    uint32_t type = 0;
    bool on_grid;
    status s = find_grid(j, t, rows, &type, &on_grid, err);
    for (uint64_t r = 0; !s && on_grid && r < n_rows; r += GRID_ROWS) {
        size_t n = n_rows - r < GRID_ROWS ? (size_t)(n_rows - r) : GRID_ROWS;
        s = source_read(j->file, t->t, &j->tools, r, 1, n, rows, err);
        on_grid = !s && source_on_grid(t->t, &j->tools, type, rows, n, out);
    }
    t->grid = !s && on_grid ? quant_find(type) : NULL;
    return s;
}

static bool is_float(const quant_traits *q)
{
    return q->id == QUANT_F32 || q->id == QUANT_F16 || q->id == QUANT_BF16;
}

status plan_grids(job *j, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < j->n; i++) {
        pack_tensor *t = &j->tensors[i];
        size_t cols = (size_t)t->t->ne[0];
        if (t->role == QUANT_KEPT || !is_float(t->from) || cols % 32)
            continue;
        float *rows = mem_array(GRID_ROWS, cols * sizeof *rows);
        unsigned char *out = mem_array(GRID_ROWS, cols * 2); /* no grid has more than 16 bits a value */
        s = rows && out ? look_at(j, t, rows, out, err) : fail(err, E_NOMEM, "no memory for rows");
        mem_free(rows);
        mem_free(out);
        j->report.n_grid += t->grid != NULL;
    }
    return s;
}

/* ---- what comes of it ---- */

status plan_report(job *j, error *err)
{
    pack_report *r = &j->report;
    uint64_t of_type[64] = { 0 };
    uint32_t most = 0;
    for (size_t i = 0; i < j->n; i++) {
        const pack_tensor *t = &j->tensors[i];
        uint64_t values = t->t->ne[0] * gguf_tensor_rows(t->t);
        r->bytes += plan_bytes(t, t->to);
        r->n_params += values;
        r->n_fallback += t->fallback;
        if (t->to == t->from)
            continue;
        if (!t->from->decode)
            return fail(err, E_UNSUPPORTED, "%s: tensor '%.*s': the type %s %s", gguf_file_name(j->file),
                        (int)t->t->name.n, t->t->name.p, t->from->name, quant_advice(t->t->type));
        r->n_encoded++;
        r->requantized |= t->from->block > 1;
        if (t->t->type < ARRAY_LEN(of_type))
            of_type[t->t->type] += values;
    }
    for (uint32_t t = 1; t < ARRAY_LEN(of_type); t++)
        most = of_type[t] > of_type[most] ? t : most;
    r->n_tensors = (uint32_t)j->n;
    r->n_kept = r->n_tensors - r->n_encoded;
    r->source_bytes = gguf_data_bytes(j->file);
    r->source_type = r->n_encoded ? quant_name(most) : r->type;
    return OK;
}
