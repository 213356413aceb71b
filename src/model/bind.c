/* bind.c: tensors of the file -> slots of the model: one table, one walk.
 *
 * The walk makes a list of bindings: which tensor goes to which slot, how many bytes it takes repacked, at which offset
 * of the arena. Planning adds the list up; opening allocates the sum and fills it: the estimate cannot drift. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/model_int.h"
#include "plat/machine.h"
#include "quant/quant.h"

/* ---- the slots ---- */

enum dim { ONE, EMBD, VOCAB, FF, FF2, HEAD, Q, KV, Q_KV, QKV, ROPE, CONTEXT, TYPES, CLASSES, N_DIMS };

enum { NEEDED, OPTIONAL };

typedef struct slot {
    const char *name; /* %u is the layer */
    enum dim cols, rows;   /* rows ONE: a vector, kept in F32 */
    enum dim whole, first; /* of a fused tensor: all its rows, and the first of ours; ONE, ONE: not fused */
    int presence;
    uint32_t with, without; /* only for rows of arch.c with, or without, these traits */
    size_t at;              /* offset of the model_matrix or const float * in model or model_layer */
    unsigned end;           /* of model_part.ends; 0: every part has it */
} slot;

#define LAYER(field) offsetof(model_layer, field)
#define MODEL(field) offsetof(model, field)

static const slot model_slots[] = {
    { "token_embd.weight", EMBD, VOCAB, ONE, ONE, NEEDED, 0, 0, MODEL(embed), MODEL_EMBEDDING },
    { "position_embd.weight", EMBD, CONTEXT, ONE, ONE, NEEDED, ARCH_POSITIONS, 0, MODEL(positions), MODEL_EMBEDDING },
    { "token_types.weight", EMBD, TYPES, ONE, ONE, OPTIONAL, ARCH_ENCODER, 0, MODEL(types), MODEL_EMBEDDING },
    { "token_embd_norm.weight", EMBD, ONE, ONE, ONE, NEEDED, ARCH_NORM_AFTER, 0, MODEL(embed_norm), MODEL_EMBEDDING },
    { "token_embd_norm.bias", EMBD, ONE, ONE, ONE, NEEDED, ARCH_NORM_AFTER, 0, MODEL(embed_shift), MODEL_EMBEDDING },
    { "output_norm.weight", EMBD, ONE, ONE, ONE, NEEDED, 0, ARCH_NORM_AFTER, MODEL(output_norm), MODEL_NORM },
    { "output.weight", EMBD, VOCAB, ONE, ONE, OPTIONAL, 0, ARCH_ENCODER, MODEL(head), MODEL_HEAD },
    { "output.bias", VOCAB, ONE, ONE, ONE, OPTIONAL, 0, ARCH_ENCODER, MODEL(head_bias), MODEL_HEAD },
    { "cls.weight", EMBD, EMBD, ONE, ONE, OPTIONAL, ARCH_ENCODER, 0, MODEL(dense), MODEL_HEAD },
    { "cls.bias", EMBD, ONE, ONE, ONE, OPTIONAL, ARCH_ENCODER, 0, MODEL(dense_bias), MODEL_HEAD },
    { "cls.output.weight", EMBD, CLASSES, ONE, ONE, OPTIONAL, ARCH_ENCODER, 0, MODEL(head), MODEL_HEAD },
    { "cls.output.bias", CLASSES, ONE, ONE, ONE, OPTIONAL, ARCH_ENCODER, 0, MODEL(head_bias), MODEL_HEAD },
    { "rope_freqs.weight", ROPE, ONE, ONE, ONE, OPTIONAL, 0, 0, MODEL(rope_divisors), 0 },
    { "rope_factors_long.weight", ROPE, ONE, ONE, ONE, OPTIONAL, 0, 0, MODEL(rope_long), 0 },
    { "rope_factors_short.weight", ROPE, ONE, ONE, ONE, OPTIONAL, 0, 0, MODEL(rope_short), 0 },
};

static const slot layer_slots[] = {
    { "blk.%u.attn_norm.weight", EMBD, ONE, ONE, ONE, NEEDED, 0, ARCH_NORM_AFTER, LAYER(attn_norm), 0 },
    { "blk.%u.attn_q.weight", EMBD, Q, ONE, ONE, NEEDED, 0, ARCH_FUSED_QKV, LAYER(q), 0 },
    { "blk.%u.attn_k.weight", EMBD, KV, ONE, ONE, NEEDED, 0, ARCH_FUSED_QKV, LAYER(k), 0 },
    { "blk.%u.attn_v.weight", EMBD, KV, ONE, ONE, NEEDED, 0, ARCH_FUSED_QKV, LAYER(v), 0 },
    { "blk.%u.attn_qkv.weight", EMBD, Q, QKV, ONE, NEEDED, ARCH_FUSED_QKV, 0, LAYER(q), 0 },
    { "blk.%u.attn_qkv.weight", EMBD, KV, QKV, Q, NEEDED, ARCH_FUSED_QKV, 0, LAYER(k), 0 },
    { "blk.%u.attn_qkv.weight", EMBD, KV, QKV, Q_KV, NEEDED, ARCH_FUSED_QKV, 0, LAYER(v), 0 },
    { "blk.%u.attn_q.bias", Q, ONE, ONE, ONE, NEEDED, ARCH_QKV_BIAS, 0, LAYER(q_bias), 0 },
    { "blk.%u.attn_k.bias", KV, ONE, ONE, ONE, NEEDED, ARCH_QKV_BIAS, 0, LAYER(k_bias), 0 },
    { "blk.%u.attn_v.bias", KV, ONE, ONE, ONE, NEEDED, ARCH_QKV_BIAS, 0, LAYER(v_bias), 0 },
    { "blk.%u.attn_q.bias", Q, ONE, ONE, ONE, OPTIONAL, 0, ARCH_QKV_BIAS, LAYER(q_bias), 0 },
    { "blk.%u.attn_k.bias", KV, ONE, ONE, ONE, OPTIONAL, 0, ARCH_QKV_BIAS, LAYER(k_bias), 0 },
    { "blk.%u.attn_v.bias", KV, ONE, ONE, ONE, OPTIONAL, 0, ARCH_QKV_BIAS, LAYER(v_bias), 0 },
    { "blk.%u.attn_q_norm.weight", HEAD, ONE, ONE, ONE, NEEDED, ARCH_QK_NORM, 0, LAYER(q_norm), 0 },
    { "blk.%u.attn_k_norm.weight", HEAD, ONE, ONE, ONE, NEEDED, ARCH_QK_NORM, 0, LAYER(k_norm), 0 },
    { "blk.%u.attn_output.weight", Q, EMBD, ONE, ONE, NEEDED, 0, 0, LAYER(o), 0 },
    { "blk.%u.attn_output.bias", EMBD, ONE, ONE, ONE, OPTIONAL, 0, 0, LAYER(o_bias), 0 },
    { "blk.%u.post_attention_norm.weight", EMBD, ONE, ONE, ONE, NEEDED, ARCH_POST_NORM, 0, LAYER(attn_post_norm), 0 },
    { "blk.%u.attn_output_norm.weight", EMBD, ONE, ONE, ONE, NEEDED, ARCH_NORM_AFTER, 0, LAYER(attn_post_norm), 0 },
    { "blk.%u.attn_output_norm.bias", EMBD, ONE, ONE, ONE, NEEDED, ARCH_NORM_AFTER, 0, LAYER(attn_post_shift), 0 },
    { "blk.%u.ffn_norm.weight", EMBD, ONE, ONE, ONE, NEEDED, 0, ARCH_NORM_AFTER, LAYER(ffn_norm), 0 },
    { "blk.%u.ffn_gate.weight", EMBD, FF, ONE, ONE, NEEDED, 0, ARCH_FUSED_GATE_UP | ARCH_NO_GATE, LAYER(gate), 0 },
    { "blk.%u.ffn_up.weight", EMBD, FF, ONE, ONE, NEEDED, 0, ARCH_FUSED_GATE_UP, LAYER(up), 0 },
    { "blk.%u.ffn_up.weight", EMBD, FF, FF2, ONE, NEEDED, ARCH_FUSED_GATE_UP, 0, LAYER(gate), 0 },
    { "blk.%u.ffn_up.weight", EMBD, FF, FF2, FF, NEEDED, ARCH_FUSED_GATE_UP, 0, LAYER(up), 0 },
    { "blk.%u.ffn_gate.bias", FF, ONE, ONE, ONE, OPTIONAL, 0, ARCH_FUSED_GATE_UP | ARCH_NO_GATE, LAYER(gate_bias), 0 },
    { "blk.%u.ffn_up.bias", FF, ONE, ONE, ONE, OPTIONAL, 0, ARCH_FUSED_GATE_UP, LAYER(up_bias), 0 },
    { "blk.%u.ffn_down.weight", FF, EMBD, ONE, ONE, NEEDED, 0, 0, LAYER(down), 0 },
    { "blk.%u.ffn_down.bias", EMBD, ONE, ONE, ONE, OPTIONAL, 0, 0, LAYER(down_bias), 0 },
    { "blk.%u.post_ffw_norm.weight", EMBD, ONE, ONE, ONE, NEEDED, ARCH_POST_NORM, 0, LAYER(ffn_post_norm), 0 },
    { "blk.%u.layer_output_norm.weight", EMBD, ONE, ONE, ONE, NEEDED, ARCH_NORM_AFTER, 0, LAYER(ffn_post_norm), 0 },
    { "blk.%u.layer_output_norm.bias", EMBD, ONE, ONE, ONE, NEEDED, ARCH_NORM_AFTER, 0, LAYER(ffn_post_shift), 0 },
};

/* ---- the walk ---- */

enum { ALIGN = 64, NAME_BYTES = 64, TYPES_MAX = 1 << 16 };

typedef struct binding {
    const slot *slot;
    const gguf_tensor *tensor;
    int32_t layer; /* -1: the model's own */
    int type;      /* as it will lie in the arena */
    uint32_t rows, cols, first_row;
    uint64_t offset, bytes;
} binding;

typedef struct bindings {
    const gguf *g;
    const model_spec *spec; /* of the whole model */
    model_part part;
    model_keeps keeps;
    bool tied; /* the embedding is the head */
    uint64_t dims[N_DIMS];
    binding *list;
    size_t n, max;
    bool *used; /* [tensors of the file] */
    uint64_t bytes;
    uint32_t act_formats;
} bindings;

static void dims_of(uint64_t d[N_DIMS], const gguf *g, const model_spec *m)
{
    const gguf_tensor *types = gguf_tensor_find(g, "token_types.weight");
    d[ONE] = 1;
    d[EMBD] = m->n_embd;
    d[VOCAB] = m->n_vocab;
    d[FF] = m->n_ff;
    d[FF2] = 2 * (uint64_t)m->n_ff;
    d[HEAD] = m->head_dim;
    d[Q] = (uint64_t)m->n_heads * m->head_dim;
    d[KV] = (uint64_t)m->n_kv_heads * m->head_dim;
    d[Q_KV] = d[Q] + d[KV];
    d[QKV] = d[Q] + 2 * d[KV];
    d[ROPE] = m->rope_dim / 2;
    d[CONTEXT] = m->context_train;
    d[TYPES] = types && types->ne[1] <= TYPES_MAX ? types->ne[1] : 2; /* there is a first, and how many are others */
    d[CLASSES] = m->n_logits;
}

static void slot_name(char name[NAME_BYTES], const slot *s, int32_t layer)
{
    const char *mark = strstr(s->name, "%u");
    if (mark)
        snprintf(name, NAME_BYTES, "%.*s%d%s", (int)(mark - s->name), s->name, layer, mark + 2);
    else
        snprintf(name, NAME_BYTES, "%s", s->name);
}

static bool has_slot(const model_spec *spec, const slot *s)
{
    uint32_t traits = spec->arch->traits;
    return (traits & s->with) == s->with && !(traits & s->without);
}

static size_t tensor_index(const gguf *g, const gguf_tensor *t)
{
    return (size_t)(t - gguf_tensor_at(g, 0));
}

static status check_shape(const bindings *b, const slot *s, const gguf_tensor *t, const char *name, error *err)
{
    enum dim rows = s->whole != ONE ? s->whole : s->rows;
    if (t->ne[0] == b->dims[s->cols] && t->ne[1] == b->dims[rows] && t->ne[2] == 1 && t->ne[3] == 1)
        return OK;
    char found[96], wanted[64];
    if (rows == ONE)
        snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)b->dims[s->cols]);
    else
        snprintf(wanted, sizeof wanted, "%llu x %llu", (unsigned long long)b->dims[s->cols],
                 (unsigned long long)b->dims[rows]);
    return fail(err, E_FORMAT, "%s: tensor '%s' is %s, its keys say %s", gguf_file_name(b->g), name,
                gguf_tensor_shape(t, found), wanted);
}

static status check_type(const bindings *b, const slot *s, const gguf_tensor *t, const char *name, error *err)
{
    const quant_traits *q = quant_find(t->type);
    bool vector = s->rows == ONE;
    if (q && q->decode && (vector || b->keeps != MODEL_AS_IS || kernels_supports((int)t->type)))
        return OK;
    return fail(err, E_UNSUPPORTED, "%s: tensor '%s' of type %s: %s", gguf_file_name(b->g), name, quant_name(t->type),
                q && q->decode ? "hearth has no kernel for this type yet" : quant_advice(t->type));
}

static status bind_slot(bindings *b, const slot *s, int32_t layer, error *err)
{
    if (!has_slot(b->spec, s))
        return OK;
    char name[NAME_BYTES];
    slot_name(name, s, layer);
    const gguf_tensor *t = gguf_tensor_find(b->g, name);
    if (!t && s->presence == OPTIONAL)
        return OK;
    if (!t)
        return fail(err, E_FORMAT, "%s: tensor '%s' is missing", gguf_file_name(b->g), name);
    status st = check_shape(b, s, t, name, err);
    if (!st)
        st = check_type(b, s, t, name, err);
    if (st)
        return st;
    bool vector = s->rows == ONE;
    binding n = { .slot = s, .tensor = t, .layer = layer };
    n.type = vector || b->keeps == MODEL_F32 ? QUANT_F32 : (int)t->type;
    if (b->keeps == MODEL_F16 && quant_find(t->type)->block > 1)
        n.type = QUANT_F16;
    n.rows = (uint32_t)b->dims[s->rows];
    n.cols = (uint32_t)b->dims[s->cols];
    n.first_row = s->first == ONE ? 0 : (uint32_t)b->dims[s->first];
    n.offset = b->bytes;
    n.bytes = vector ? (uint64_t)n.cols * sizeof(float) : kernels_matrix_bytes(n.type, n.rows, n.cols);
    if (!n.bytes)
        return fail(err, E_RANGE, "%s: tensor '%s' is too large", gguf_file_name(b->g), name);
    n.bytes = (n.bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (!vector)
        b->act_formats |= 1u << kernels_act_format(n.type);
    assert(b->n < b->max);
    b->list[b->n++] = n;
    b->bytes += n.bytes;
    b->used[tensor_index(b->g, t)] = true;
    return OK;
}

/* A tensor that no slot takes would change the answer if it were dropped: it is refused. */
static status check_unused(const bindings *b, error *err)
{
    for (size_t i = 0; i < gguf_n_tensors(b->g); i++) {
        const gguf_tensor *t = gguf_tensor_at(b->g, i);
        if (!b->used[i])
            return fail(err, E_UNSUPPORTED, "%s: tensor '%.*s' has no place in architecture '%s' as hearth knows it",
                        gguf_file_name(b->g), (int)t->name.n, t->name.p, b->spec->arch->name);
    }
    return OK;
}

static void bindings_clear(bindings *b)
{
    mem_free(b->list);
    mem_free(b->used);
    b->list = NULL;
    b->used = NULL;
}

static bool in_part(const bindings *b, const slot *s)
{
    bool is_head = b->tied && s->at == MODEL(embed);
    return !s->end || b->part.ends & (is_head ? s->end | MODEL_HEAD : s->end);
}

/* part NULL: the whole model. */
static status bindings_make(bindings *b, const gguf *g, const model_spec *spec, const model_part *part,
                            model_keeps keeps, error *err)
{
    *b = (bindings){ .g = g, .spec = spec, .keeps = keeps };
    b->part = part ? *part : (model_part){ 0, spec->n_layers, MODEL_ENDS };
    b->tied = !spec->is_encoder && !gguf_tensor_find(g, "output.weight");
    dims_of(b->dims, g, spec);
    b->max = ARRAY_LEN(model_slots) + ARRAY_LEN(layer_slots) * spec->n_layers;
    b->list = mem_array(b->max, sizeof *b->list);
    b->used = mem_array(gguf_n_tensors(g), sizeof *b->used);
    status s = b->list && b->used ? OK : fail(err, E_NOMEM, "no memory for the list of tensors");
    for (size_t i = 0; !s && i < ARRAY_LEN(model_slots); i++)
        if (in_part(b, &model_slots[i]))
            s = bind_slot(b, &model_slots[i], -1, err);
    for (uint32_t l = b->part.from; l < b->part.to; l++)
        for (size_t i = 0; !s && i < ARRAY_LEN(layer_slots); i++)
            s = bind_slot(b, &layer_slots[i], (int32_t)l, err);
    if (!s && !part)
        s = check_unused(b, err);
    if (s)
        bindings_clear(b);
    return s;
}

static uint64_t model_bytes(const bindings *b)
{
    return b->bytes + ALIGN + sizeof(model) + b->spec->n_layers * sizeof(model_layer);
}

static bool is_embed(const binding *n)
{
    return n->slot == &model_slots[0];
}

static void add_product(model_sizes *out, const model_product *p)
{
    model_product *at = out->products, *end = at + out->n_products;
    while (at < end && (at->type != p->type || at->rows != p->rows || at->cols != p->cols || at->of_head != p->of_head))
        at++;
    if (at < end) {
        at->n++;
    } else if (out->n_products < MODEL_PRODUCTS) {
        *at = *p;
        out->n_products++;
    } else {
        at[-1].n += (uint32_t)(kernels_matrix_bytes(p->type, p->rows, p->cols) /
                               kernels_matrix_bytes(at[-1].type, at[-1].rows, at[-1].cols));
    }
}

/* What the pass multiplies with: not the tables of which it takes rows, unless one is the head as well. */
static void add_products(const bindings *b, model_sizes *out, bool tied)
{
    for (size_t i = 0; i < b->n; i++) {
        const binding *n = &b->list[i];
        size_t at = n->slot->at;
        bool table = n->layer < 0 && (at == MODEL(positions) || at == MODEL(types) || (is_embed(n) && !tied));
        if (n->slot->rows != ONE && !table)
            add_product(out, &(model_product){ n->type, n->rows, n->cols, 1, n->layer < 0 });
    }
}

static void add_sizes(const bindings *b, model_sizes *out)
{
    uint64_t by_type[KERNELS_TYPES] = { 0 };
    bool tied = !b->spec->is_encoder;
    for (size_t i = 0; i < b->n; i++)
        tied = tied && b->list[i].slot->at != MODEL(head);
    *out = (model_sizes){ .weights_bytes = model_bytes(b) };
    for (size_t i = 0; i < b->n; i++) {
        const binding *n = &b->list[i];
        out->n_params += (uint64_t)n->rows * n->cols;
        out->token_bytes += is_embed(n) && !tied ? n->bytes / n->rows : n->bytes;
        out->type_bytes[n->type] += n->bytes;
        if (n->slot->rows != ONE && n->tensor->type < KERNELS_TYPES)
            by_type[n->tensor->type] += n->tensor->bytes;
    }
    for (uint32_t t = 0; t < KERNELS_TYPES; t++)
        if (by_type[t] > by_type[out->main_type])
            out->main_type = t;
    add_products(b, out, tied);
}

status model_plan(const gguf *g, bool exact, model_spec *spec, model_sizes *sizes, error *err)
{
    model_spec m;
    bindings b;
    status s = model_spec_read(&m, g, err);
    if (!s)
        s = bindings_make(&b, g, &m, NULL, exact ? MODEL_F32 : MODEL_AS_IS, err);
    if (s)
        return s;
    add_sizes(&b, sizes);
    *spec = m;
    spec->act_formats = b.act_formats;
    bindings_clear(&b);
    return OK;
}

/* ---- without a file ---- */

/* A fused tensor is listed once, by its first part. */
static status list_slot(const uint64_t dims[N_DIMS], const slot *s, int32_t layer, model_tensor_each *each, void *user,
                        error *err)
{
    char name[NAME_BYTES];
    if (s->whole != ONE && s->first != ONE)
        return OK;
    enum dim rows = s->whole != ONE ? s->whole : s->rows;
    slot_name(name, s, layer);
    model_tensor t = { name, s->presence == NEEDED, rows == ONE ? 1 : 2, { dims[s->cols], dims[rows] }, layer };
    return t.ne[0] && t.ne[1] ? each(user, &t, err) : OK;
}

status model_list(const gguf *keys, model_tensor_each *each, void *user, error *err)
{
    model_spec spec;
    uint64_t dims[N_DIMS];
    status s = model_spec_read(&spec, keys, err);
    if (s)
        return s;
    dims_of(dims, keys, &spec);
    for (size_t i = 0; !s && i < ARRAY_LEN(model_slots); i++)
        if (has_slot(&spec, &model_slots[i]))
            s = list_slot(dims, &model_slots[i], -1, each, user, err);
    for (uint32_t l = 0; l < spec.n_layers; l++)
        for (size_t i = 0; !s && i < ARRAY_LEN(layer_slots); i++)
            if (has_slot(&spec, &layer_slots[i]))
                s = list_slot(dims, &layer_slots[i], (int32_t)l, each, user, err);
    return s;
}

/* ---- repacking ---- */

typedef struct packing {
    const bindings *b;
    const binding *n;
    char *to;                 /* first panel of the matrix */
    unsigned char *encoded;   /* 16 rows for each thread, where they are kept in another type than the file's */
    float *row;               /* and one as floats, where that is not F32 */
    uint32_t panels_from, panels_to;
} packing;

static void pack_job(void *arg, int index, int count)
{
    const packing *p = arg;
    const binding *n = p->n;
    const quant_traits *q = quant_find(n->tensor->type), *as = quant_find((uint32_t)n->type);
    size_t row_bytes = (size_t)quant_row_bytes(n->tensor->type, n->cols);
    size_t as_bytes = (size_t)quant_row_bytes(as->id, n->cols), panel_bytes = kernels_panel_bytes(n->type, n->cols);
    float *row = p->row ? p->row + (size_t)index * n->cols : NULL;
    unsigned char *encoded = p->encoded ? p->encoded + (size_t)index * KERNELS_PANEL_ROWS * as_bytes : NULL;
    size_t begin, end;
    pool_part(p->panels_to - p->panels_from, index, count, &begin, &end);
    for (size_t i = p->panels_from + begin; i < p->panels_from + end; i++) {
        uint32_t left = n->rows - (uint32_t)i * KERNELS_PANEL_ROWS;
        int n_rows = left < KERNELS_PANEL_ROWS ? (int)left : KERNELS_PANEL_ROWS;
        const char *from = (const char *)n->tensor->data + (n->first_row + i * KERNELS_PANEL_ROWS) * row_bytes;
        for (int r = 0; encoded && r < n_rows; r++) {
            float *values = row ? row : (float *)(void *)(encoded + (size_t)r * as_bytes);
            q->decode(from + (size_t)r * row_bytes, values, n->cols);
            if (row)
                as->encode(row, encoded + (size_t)r * as_bytes, n->cols, NULL);
        }
        kernels_pack(n->type, encoded ? (const char *)encoded : from, encoded ? as_bytes : row_bytes, n_rows, n->cols,
                     p->to + i * panel_bytes);
    }
}

typedef struct loading {
    pool *pool;
    model_progress *progress;
    void *user;
    uint64_t done;
} loading;

static bool load_step(loading *l, const bindings *b, const void *from, size_t bytes)
{
    gguf_release(b->g, from, bytes);
    l->done += bytes;
    uint64_t total = gguf_data_bytes(b->g);
    return l->progress && l->progress(l->user, l->done < total ? l->done : total, total);
}

static status pack_matrix(loading *l, const bindings *b, const binding *n, char *to, error *err)
{
    packing p = { .b = b, .n = n, .to = to };
    size_t row_bytes = (size_t)quant_row_bytes(n->tensor->type, n->cols);
    size_t step = GGUF_RELEASE_STEP / (row_bytes * KERNELS_PANEL_ROWS);
    uint32_t n_panels = (n->rows + KERNELS_PANEL_ROWS - 1) / KERNELS_PANEL_ROWS;
    status s = OK;
    if (n->type != (int)n->tensor->type) {
        size_t threads = (size_t)pool_threads(l->pool);
        p.encoded = mem_array(threads * KERNELS_PANEL_ROWS, (size_t)quant_row_bytes((uint32_t)n->type, n->cols));
        if (n->type != QUANT_F32)
            p.row = mem_array(threads, n->cols * sizeof(float));
        s = p.encoded && (p.row || n->type == QUANT_F32) ? OK : fail(err, E_NOMEM, "no memory to expand weights");
    }
    step = step ? step : 1;
    for (size_t from = 0; !s && from < n_panels; from = p.panels_to) {
        p.panels_from = (uint32_t)from;
        p.panels_to = from + step < n_panels ? (uint32_t)(from + step) : n_panels;
        pool_run(l->pool, pack_job, &p);
        uint32_t to_row = p.panels_to * KERNELS_PANEL_ROWS < n->rows ? p.panels_to * KERNELS_PANEL_ROWS : n->rows;
        size_t at = (n->first_row + from * KERNELS_PANEL_ROWS) * row_bytes;
        size_t bytes = (to_row - from * KERNELS_PANEL_ROWS) * row_bytes;
        if (load_step(l, b, (const char *)n->tensor->data + at, bytes))
            s = fail(err, E_CANCELLED, "%s: loading was cancelled", gguf_file_name(b->g));
    }
    mem_free(p.row);
    mem_free(p.encoded);
    return s;
}

static status fill_slot(model *m, loading *l, const bindings *b, const binding *n, error *err)
{
    char *base = n->layer < 0 ? (char *)m : (char *)&m->layers[(uint32_t)n->layer - b->part.from];
    if (n->slot->rows == ONE) {
        float *v = (float *)(m->arena + n->offset);
        quant_find(n->tensor->type)->decode(n->tensor->data, v, n->cols);
        *(const float **)(base + n->slot->at) = v;
        return OK;
    }
    status s = pack_matrix(l, b, n, m->arena + n->offset, err);
    if (!s)
        *(model_matrix *)(base + n->slot->at) = (model_matrix){
            .panels = m->arena + n->offset,
            .panel_bytes = kernels_panel_bytes(n->type, n->cols),
            .type = n->type,
            .rows = n->rows,
            .cols = n->cols,
        };
    return s;
}

static status check_factors(const model *m, const gguf *g, error *err)
{
    const float *lists[] = { m->rope_divisors, m->rope_long, m->rope_short };
    for (size_t k = 0; k < ARRAY_LEN(lists); k++)
        for (uint32_t i = 0; lists[k] && i < m->spec.rope_dim / 2; i++)
            if (!(lists[k][i] >= 1e-6f && lists[k][i] <= 1e9f))
                return fail(err, E_FORMAT, "%s: rope factor %u is %g", gguf_file_name(g), i, (double)lists[k][i]);
    if (!m->rope_long != !m->rope_short)
        return fail(err, E_FORMAT, "%s: of rope_factors_long and rope_factors_short one is missing", gguf_file_name(g));
    return OK;
}

static status open_part(model **out, const gguf *g, const model_part *part, model_keeps keeps, loading l,
                        error *err)
{
    model_spec spec;
    bindings b;
    status s = model_spec_read(&spec, g, err);
    if (!s)
        s = bindings_make(&b, g, &spec, part, keeps, err);
    if (s)
        return s;
    model *m = mem_zero(sizeof *m);
    if (m) {
        m->spec = spec;
        m->spec.act_formats = b.act_formats;
        model_spec_cut(&m->spec, b.part.from, b.part.to);
        m->first_layer = b.part.from;
        m->layers = mem_array(spec.n_layers, sizeof *m->layers);
        m->block = mem_zero((size_t)b.bytes + ALIGN);
    }
    if (!m || !m->layers || !m->block) {
        s = fail(err, E_NOMEM, "%s: no memory for %llu bytes of weights", gguf_file_name(g),
                 (unsigned long long)b.bytes);
        goto out;
    }
    machine_huge_pages(m->block, (size_t)b.bytes + ALIGN);
    m->arena = (char *)(((uintptr_t)m->block + ALIGN - 1) / ALIGN * ALIGN);
    for (size_t i = 0; !s && i < b.n; i++)
        s = fill_slot(m, &l, &b, &b.list[i], err);
    if (!s)
        s = check_factors(m, g, err);
    if (!m->head.panels && !spec.is_encoder)
        m->head = m->embed;
out:
    bindings_clear(&b);
    if (s)
        model_close(&m);
    else
        *out = m;
    return s;
}

status model_open(model **out, const gguf *g, bool exact, pool *p, model_progress *progress, void *user, error *err)
{
    loading l = { .pool = p, .progress = progress, .user = user };
    return open_part(out, g, NULL, exact ? MODEL_F32 : MODEL_AS_IS, l, err);
}

status model_open_part(model **out, const gguf *g, const model_part *part, model_keeps keeps, pool *p, error *err)
{
    return open_part(out, g, part, keeps, (loading){ .pool = p }, err);
}

/* ---- other weights ---- */

typedef struct putting {
    const model_matrix *to;
    size_t first, n;        /* rows of it that `rows` are: whole panels, or the last */
    const float *rows;
    unsigned char *encoded; /* 16 rows a thread */
} putting;

static void put_panels(void *arg, int index, int count)
{
    const putting *p = arg;
    const model_matrix *m = p->to;
    const quant_traits *q = quant_find((uint32_t)m->type);
    size_t row_bytes = (size_t)quant_row_bytes((uint32_t)m->type, m->cols), from, to;
    unsigned char *encoded = p->encoded + (size_t)index * KERNELS_PANEL_ROWS * row_bytes;
    char *panels = (char *)m->panels + p->first / KERNELS_PANEL_ROWS * m->panel_bytes;
    pool_part((p->n + KERNELS_PANEL_ROWS - 1) / KERNELS_PANEL_ROWS, index, count, &from, &to);
    for (size_t i = from; i < to; i++) {
        size_t left = p->n - i * KERNELS_PANEL_ROWS, n = left < KERNELS_PANEL_ROWS ? left : KERNELS_PANEL_ROWS;
        const float *rows = p->rows + i * KERNELS_PANEL_ROWS * m->cols;
        for (size_t r = 0; r < n && m->type != QUANT_F32; r++)
            q->encode(rows + r * m->cols, encoded + r * row_bytes, m->cols, NULL);
        kernels_pack(m->type, m->type == QUANT_F32 ? (const void *)rows : encoded, row_bytes, (int)n, m->cols,
                     panels + i * m->panel_bytes);
    }
}

/* What a put is about. */
typedef struct exchange {
    model *m;
    const gguf_tensor *t;
    model_rows *give;
    void *user;
    pool *p;
    uint64_t dims[N_DIMS];
} exchange;

enum { PUT_FLOATS = 4 << 20 }; /* at a time, or a panel */

static status put_slot(const exchange *x, const slot *s, char *base, error *err)
{
    putting put = { .to = (const model_matrix *)(base + s->at) };
    const model_matrix *m = put.to;
    if (!m->panels)
        return OK;
    assert((char *)m->panels >= x->m->arena);
    size_t panel = (size_t)KERNELS_PANEL_ROWS * m->cols, most = PUT_FLOATS / panel ? PUT_FLOATS / panel : 1;
    uint64_t at = s->first == ONE ? 0 : x->dims[s->first];
    most = most * KERNELS_PANEL_ROWS < m->rows ? most * KERNELS_PANEL_ROWS : m->rows;
    float *rows = mem_array(most, m->cols * sizeof *rows);
    put.rows = rows;
    put.encoded = mem_array((size_t)pool_threads(x->p) * KERNELS_PANEL_ROWS,
                            (size_t)quant_row_bytes((uint32_t)m->type, m->cols));
    status st = rows && put.encoded ? OK : fail(err, E_NOMEM, "no memory to put weights");
    for (; !st && put.first < m->rows; put.first += put.n) {
        put.n = m->rows - put.first < most ? m->rows - put.first : most;
        st = x->give(x->user, x->t, at + put.first, put.n, rows, err);
        if (!st)
            pool_run(x->p, put_panels, &put);
    }
    mem_free(rows);
    mem_free(put.encoded);
    return st;
}

status model_put(model *m, const gguf *g, const gguf_tensor *t, model_rows *give, void *user, pool *p, error *err)
{
    exchange x = { .m = m, .t = t, .give = give, .user = user, .p = p };
    char name[NAME_BYTES];
    status st = OK;
    dims_of(x.dims, g, &m->spec);
    for (size_t i = 0; !st && i < ARRAY_LEN(model_slots); i++)
        if (has_slot(&m->spec, &model_slots[i]) && model_slots[i].rows != ONE && span_is(t->name, model_slots[i].name))
            st = put_slot(&x, &model_slots[i], (char *)m, err);
    for (uint32_t l = 0; l < m->spec.n_layers; l++)
        for (size_t i = 0; !st && i < ARRAY_LEN(layer_slots); i++) {
            const slot *s = &layer_slots[i];
            slot_name(name, s, (int32_t)(m->first_layer + l));
            if (has_slot(&m->spec, s) && s->rows != ONE && span_is(t->name, name))
                st = put_slot(&x, s, (char *)&m->layers[l], err);
        }
    return st;
}

void model_close(model **m)
{
    if (!m || !*m)
        return;
    mem_free((*m)->layers);
    mem_free((*m)->block);
    mem_free(*m);
    *m = NULL;
}

const model_spec *model_get_spec(const model *m)
{
    return &m->spec;
}

uint64_t model_page_bytes(const model_spec *spec, enum kernels_kv kv, int kind)
{
    return (uint64_t)spec->n_of_kind[kind] * spec->n_kv_heads * kernels_page_bytes(kv, spec->head_dim);
}
