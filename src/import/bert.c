/* bert.c: the BERT family: config.json → keys, weights by their Hugging Face names → tensors by llama.cpp's.
 *
 * One table says which weight becomes which tensor. It is walked in order: what is missing or misshapen is named, and
 * so is what is left over at the end. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "import/import_int.h"
#include "quant/quant.h"

enum { FILE_TYPE_F32 = 0, FILE_TYPE_F16 = 1, FILE_TYPE_Q8_0 = 7, FILE_TYPE_BF16 = 32, CLASSES_MAX = 1 << 16 };
enum { POOL_NONE, POOL_MEAN, POOL_CLS, POOL_RANK = 4, POOLINGS };
enum { LAYERS_MAX = 512, CONTEXT_MAX = 1 << 20, NAME_BYTES = 128 };

static const char *const poolings[POOLINGS] = { [POOL_NONE] = "none", [POOL_MEAN] = "mean", [POOL_CLS] = "cls",
                                           [POOL_RANK] = "rank" };

/* ---- config ---- */

static status read_number(const js *config, const char *key, uint32_t most, uint32_t *out, error *err)
{
    int64_t v;
    const js *j = js_get(config, key);
    if (!js_int(j, &v) || v < 1 || v > most)
        return fail(err, j ? E_RANGE : E_NOTFOUND, "config.json: %s must be a whole number from 1 to %u", key, most);
    *out = (uint32_t)v;
    return OK;
}

static bool is_text(const js *config, const char *key, const char *text, bool otherwise)
{
    const char *t = js_text(js_get(config, key));
    return t ? strcmp(t, text) == 0 : otherwise;
}

static status read_pooling(bert_config *c, const js *pooling, error *err)
{
    static const char *const others[] = { "pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens",
                                          "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken" };
    bool cls = js_bool(js_get(pooling, "pooling_mode_cls_token"), false);
    bool mean = js_bool(js_get(pooling, "pooling_mode_mean_tokens"), !pooling);
    c->pooling = cls ? POOL_CLS : POOL_MEAN;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (js_bool(js_get(pooling, others[i]), false))
            return fail(err, E_UNSUPPORTED, "1_Pooling/config.json: %s; mean or cls pooling is supported", others[i]);
    if (cls == mean)
        return fail(err, E_UNSUPPORTED, "1_Pooling/config.json: neither or both of mean and cls pooling");
    return OK;
}

/* A cross-encoder: one score of a pair of texts. Of more classes nothing here would make use. */
static status read_pair_head(bert_config *c, const js *config, error *err)
{
    const js *labels = js_get(config, "id2label");
    int64_t n = (int64_t)js_len(labels);
    (void)js_int(js_get(config, "num_labels"), &n);
    if (n != 1)
        return fail(err, E_UNSUPPORTED, "config.json: BertForSequenceClassification of %lld classes; one, the score of "
                    "a pair of texts, is imported", (long long)n);
    c->n_classes = 1;
    c->pooling = POOL_RANK;
    return OK;
}

/* BertForTokenClassification has classes; a BertModel, whatever head it was trained with, has none. */
static status read_head(bert_config *c, const js *config, error *err)
{
    const char *head = js_text(js_at(js_get(config, "architectures"), 0));
    if (!head || strcmp(head, "BertModel") == 0 || strcmp(head, "BertForMaskedLM") == 0)
        return OK;
    if (strcmp(head, "BertForSequenceClassification") == 0)
        return read_pair_head(c, config, err);
    if (strcmp(head, "BertForTokenClassification") != 0)
        return fail(err, E_UNSUPPORTED, "config.json: architecture '%.60s'; BertModel, BertForMaskedLM, "
                    "BertForSequenceClassification and BertForTokenClassification are imported", head);
    c->labels = js_get(config, "id2label");
    size_t n = js_len(c->labels);
    if (!js_is(c->labels, JS_OBJECT) || n == 0 || n > CLASSES_MAX)
        return fail(err, E_FORMAT, "config.json: id2label must name 1 to %d classes", CLASSES_MAX);
    c->n_classes = (uint32_t)n;
    c->pooling = POOL_NONE;
    return OK;
}

status bert_config_read(bert_config *out, const js *config, const js *pooling, error *err)
{
    bert_config c = { 0 };
    if (!is_text(config, "model_type", "bert", false))
        return fail(err, E_UNSUPPORTED, "config.json: model_type '%.40s'; only bert is imported today",
                    js_text(js_get(config, "model_type")) ? js_text(js_get(config, "model_type")) : "(none)");
    if (!is_text(config, "hidden_act", "gelu", false) || !is_text(config, "position_embedding_type", "absolute", true))
        return fail(err, E_UNSUPPORTED, "config.json: hidden_act must be gelu, position_embedding_type absolute");
    status s = read_number(config, "vocab_size", IMPORT_MAX_DIM, &c.n_vocab, err);
    if (!s)
        s = read_number(config, "hidden_size", IMPORT_MAX_DIM, &c.n_embd, err);
    if (!s)
        s = read_number(config, "num_hidden_layers", LAYERS_MAX, &c.n_layers, err);
    if (!s)
        s = read_number(config, "num_attention_heads", 1024, &c.n_heads, err);
    if (!s)
        s = read_number(config, "intermediate_size", IMPORT_MAX_DIM, &c.n_ff, err);
    if (!s)
        s = read_number(config, "max_position_embeddings", CONTEXT_MAX, &c.n_positions, err);
    if (!s)
        s = read_number(config, "type_vocab_size", 1 << 16, &c.n_types, err);
    if (!s && (!js_double(js_get(config, "layer_norm_eps"), &c.eps) || !(c.eps >= 0 && c.eps <= 1)))
        s = fail(err, E_RANGE, "config.json: layer_norm_eps must be a number from 0 to 1");
    if (!s)
        s = read_pooling(&c, pooling, err);
    if (!s)
        s = read_head(&c, config, err);
    if (!s)
        *out = c;
    return s;
}

/* ---- tensors ---- */

enum dim { ONE, EMBD, VOCAB, FF, POSITIONS, TYPES, CLASSES, N_DIMS };

typedef struct row {
    const char *from, *to; /* %u is the layer; both end in .weight, and .bias where there is one */
    enum dim rows, cols;   /* of the weight; rows ONE: a vector. The bias has as many values as the weight has rows */
    bool bias, always_f32;
} row;

static const row model_rows[] = {
    { "embeddings.word_embeddings", "token_embd", VOCAB, EMBD, false, false },
    { "embeddings.position_embeddings", "position_embd", POSITIONS, EMBD, false, true },
    { "embeddings.token_type_embeddings", "token_types", TYPES, EMBD, false, true },
    { "embeddings.LayerNorm", "token_embd_norm", ONE, EMBD, true, true },
};
static const row layer_rows[] = {
    { "encoder.layer.%u.attention.self.query", "blk.%u.attn_q", EMBD, EMBD, true, false },
    { "encoder.layer.%u.attention.self.key", "blk.%u.attn_k", EMBD, EMBD, true, false },
    { "encoder.layer.%u.attention.self.value", "blk.%u.attn_v", EMBD, EMBD, true, false },
    { "encoder.layer.%u.attention.output.dense", "blk.%u.attn_output", EMBD, EMBD, true, false },
    { "encoder.layer.%u.attention.output.LayerNorm", "blk.%u.attn_output_norm", ONE, EMBD, true, true },
    { "encoder.layer.%u.intermediate.dense", "blk.%u.ffn_up", FF, EMBD, true, false },
    { "encoder.layer.%u.output.dense", "blk.%u.ffn_down", EMBD, FF, true, false },
    { "encoder.layer.%u.output.LayerNorm", "blk.%u.layer_output_norm", ONE, EMBD, true, true },
};
static const row dense_row = { "pooler.dense", "cls", EMBD, EMBD, true, false };
static const row class_row = { "classifier", "cls.output", CLASSES, EMBD, true, true };

/* What a file may hold beside: heads of training, a buffer of position numbers. */
static const char *const left_out[] = { "embeddings.position_ids", "pooler.", "cls.predictions.",
                                        "cls.seq_relationship." };

typedef struct writing {
    gguf_writer *w;
    import_weights *weights;
    const import_options *o;
    import_report *report;
    uint64_t dims[N_DIMS];
    uint32_t type; /* QUANT_*; UINT32_MAX: as stored */
    import_tensor **order;
    uint32_t *types; /* of each in order */
    size_t n, max;
} writing;

static uint32_t type_of(const writing *x, const row *r, const import_tensor *t)
{
    if (r->always_f32 || t->n_dims == 1)
        return QUANT_F32;
    if (x->type != UINT32_MAX && t->cols % quant_find(x->type)->block == 0)
        return x->type;
    return x->type != UINT32_MAX ? QUANT_F16 : t->kind == IMPORT_F16 ? QUANT_F16
           : t->kind == IMPORT_BF16 ? QUANT_BF16 : QUANT_F32;
}

static void name_of(char out[NAME_BYTES], const char *stem, uint32_t layer, const char *end)
{
    const char *mark = strstr(stem, "%u");
    if (mark)
        snprintf(out, NAME_BYTES, "%.*s%u%s%s", (int)(mark - stem), stem, layer, mark + 2, end);
    else
        snprintf(out, NAME_BYTES, "%s%s", stem, end);
}

static import_tensor *find(const writing *x, const char *name)
{
    for (size_t i = 0; i < x->weights->n; i++)
        if (span_is(x->weights->list[i].name, name))
            return &x->weights->list[i];
    return NULL;
}

/* One tensor is found, checked and declared. */
static status declare(writing *x, const row *r, uint32_t layer, const char *end, error *err)
{
    char from[NAME_BYTES], to[NAME_BYTES];
    name_of(from, r->from, layer, end);
    name_of(to, r->to, layer, end);
    bool bias = strcmp(end, ".bias") == 0, vector = bias || r->rows == ONE;
    uint64_t rows = vector ? 1 : x->dims[r->rows], cols = x->dims[bias && r->rows != ONE ? r->rows : r->cols];
    import_tensor *t = find(x, from);
    if (!t)
        return fail(err, E_FORMAT, "%s: tensor '%s' is missing", x->weights->file, from);
    if (t->kind == IMPORT_OTHER)
        return fail(err, E_UNSUPPORTED, "%s: tensor '%s' is of none of the types of weights", x->weights->file, from);
    if (t->n_dims != (vector ? 1 : 2) || t->rows != rows || t->cols != cols)
        return fail(err, E_FORMAT, "%s: tensor '%s' is %llu x %llu, config.json says %llu x %llu", x->weights->file,
                    from, (unsigned long long)t->rows, (unsigned long long)t->cols, (unsigned long long)rows,
                    (unsigned long long)cols);
    t->used = true;
    x->types[x->n] = type_of(x, r, t);
    gguf_writer_tensor(x->w, to, x->types[x->n], t->n_dims, (uint64_t[2]){ cols, rows });
    x->report->n_params += rows * cols;
    x->report->bytes += rows * quant_row_bytes(x->types[x->n], cols);
    x->order[x->n++] = t;
    return OK;
}

static status declare_row(writing *x, const row *r, uint32_t layer, error *err)
{
    status s = declare(x, r, layer, ".weight", err);
    return s || !r->bias ? s : declare(x, r, layer, ".bias", err);
}

static status check_left_over(const writing *x, error *err)
{
    for (size_t i = 0; i < x->weights->n; i++) {
        const import_tensor *t = &x->weights->list[i];
        bool known = t->used;
        for (size_t k = 0; !known && k < ARRAY_LEN(left_out); k++)
            known = str_starts(t->name.p, left_out[k]);
        if (!known)
            return fail(err, E_UNSUPPORTED, "%s: tensor '%s' has no place in a BERT model as hearth knows it",
                        x->weights->file, t->name.p);
    }
    return OK;
}

static status declare_all(writing *x, const bert_config *c, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < ARRAY_LEN(model_rows); i++)
        s = declare_row(x, &model_rows[i], 0, err);
    for (uint32_t l = 0; !s && l < c->n_layers; l++)
        for (size_t i = 0; !s && i < ARRAY_LEN(layer_rows); i++)
            s = declare_row(x, &layer_rows[i], l, err);
    if (!s && c->pooling == POOL_RANK)
        s = declare_row(x, &dense_row, 0, err);
    if (!s && c->n_classes)
        s = declare_row(x, &class_row, 0, err);
    return s ? s : check_left_over(x, err);
}

static status write_data(const writing *x, error *err)
{
    uint64_t most = 0;
    for (size_t i = 0; i < x->n; i++)
        most = x->order[i]->cols > most ? x->order[i]->cols : most;
    float *values = mem_array(most, sizeof *values);
    char *coded = mem_array(most, sizeof *values);
    status s = OK;
    if (!values || !coded)
        s = fail(err, E_NOMEM, "no memory for a row of %llu values", (unsigned long long)most);
    for (size_t i = 0; !s && i < x->n; i++) {
        const import_tensor *t = x->order[i];
        for (uint64_t r = 0; !s && r < t->rows; r++) {
            import_row(t, r, values);
            for (uint64_t k = 0; !s && k < t->cols; k++)
                if (!isfinite(values[k]))
                    s = fail(err, E_FORMAT, "%s: tensor '%s': row %llu has a value that is not finite",
                             x->weights->file, t->name.p, (unsigned long long)r);
            quant_find(x->types[i])->encode(values, coded, t->cols, NULL);
            gguf_writer_data(x->w, coded, (size_t)quant_row_bytes(x->types[i], t->cols));
        }
    }
    mem_free(values);
    mem_free(coded);
    return s;
}

/* ---- keys ---- */

static status write_labels(gguf_writer *w, const bert_config *c, error *err)
{
    span *names = mem_array(c->n_classes, sizeof *names);
    status s = names ? OK : fail(err, E_NOMEM, "no memory for %u classes", c->n_classes);
    for (uint32_t i = 0; !s && i < c->n_classes; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", i);
        const char *text = js_text(js_get(c->labels, key));
        if (!text)
            s = fail(err, E_FORMAT, "config.json: id2label does not name class %u", i);
        else
            names[i] = span_of(text);
    }
    if (!s)
        gguf_writer_strings(w, "bert.classifier.output_labels", names, c->n_classes);
    mem_free(names);
    return s;
}

static void write_vocab(gguf_writer *w, const import_vocab *v)
{
    const struct {
        const char *key;
        int32_t id;
    } ids[] = { { "bos", v->cls }, { "unknown", v->unk }, { "seperator", v->sep }, { "padding", v->pad },
                { "cls", v->cls }, { "mask", v->mask } };
    gguf_writer_str(w, "tokenizer.ggml.model", "bert");
    gguf_writer_str(w, "tokenizer.ggml.pre", "default");
    gguf_writer_strings(w, "tokenizer.ggml.tokens", v->texts, v->n);
    gguf_writer_array(w, "tokenizer.ggml.token_type", GGUF_I32, v->types, v->n);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        char key[64];
        snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", ids[i].key);
        if (ids[i].id >= 0)
            gguf_writer_u32(w, key, (uint32_t)ids[i].id);
    }
    gguf_writer_bool(w, "tokenizer.ggml.normalizer.lowercase", v->lowercase);
    gguf_writer_bool(w, "tokenizer.ggml.normalizer.strip_accents", v->strip_accents);
}

static void write_keys(gguf_writer *w, const bert_config *c, const char *name, uint32_t type)
{
    static const struct {
        uint32_t type, file_type;
    } file_types[] = { { QUANT_F32, FILE_TYPE_F32 }, { QUANT_F16, FILE_TYPE_F16 }, { QUANT_Q8_0, FILE_TYPE_Q8_0 },
                       { QUANT_BF16, FILE_TYPE_BF16 } };
    gguf_writer_str(w, "general.architecture", "bert");
    gguf_writer_str(w, "general.type", "model");
    gguf_writer_str(w, "general.name", name);
    for (size_t i = 0; i < ARRAY_LEN(file_types); i++)
        if (file_types[i].type == type)
            gguf_writer_u32(w, "general.file_type", file_types[i].file_type);
    gguf_writer_u32(w, "general.quantization_version", 2);
    gguf_writer_u32(w, "bert.block_count", c->n_layers);
    gguf_writer_u32(w, "bert.context_length", c->n_positions);
    gguf_writer_u32(w, "bert.embedding_length", c->n_embd);
    gguf_writer_u32(w, "bert.feed_forward_length", c->n_ff);
    gguf_writer_u32(w, "bert.attention.head_count", c->n_heads);
    gguf_writer_f32(w, "bert.attention.layer_norm_epsilon", (float)c->eps);
    gguf_writer_bool(w, "bert.attention.causal", false);
    gguf_writer_u32(w, "bert.pooling_type", c->pooling);
    gguf_writer_u32(w, "tokenizer.ggml.token_type_count", c->n_types);
}

/* The type of the largest part: what stands for the file. */
static uint32_t main_type(const import_weights *w)
{
    uint64_t bytes[3] = { 0 };
    static const uint32_t of[] = { QUANT_F32, QUANT_F16, QUANT_BF16 };
    for (size_t i = 0; i < w->n; i++) {
        const import_tensor *t = &w->list[i];
        bytes[t->kind == IMPORT_F16 ? 1 : t->kind == IMPORT_BF16 ? 2 : 0] += t->n_dims == 2 ? t->rows * t->cols : 0;
    }
    return of[bytes[1] > bytes[0] ? 1 : bytes[2] > bytes[0] ? 2 : 0];
}

static status find_type(const import_options *o, uint32_t *out, error *err)
{
    static const char *const known[] = { "f32", "f16", "bf16", "q8_0" };
    *out = UINT32_MAX;
    for (size_t i = 0; o->type && i < ARRAY_LEN(known); i++)
        if (strcmp(known[i], o->type) == 0)
            *out = quant_find_name(o->type)->id;
    if (o->type && *out == UINT32_MAX)
        return fail(err, E_UNSUPPORTED, "type '%.20s' is none of f32, f16, bf16, q8_0", o->type);
    return OK;
}

status bert_write(gguf_writer *w, const bert_config *c, import_weights *weights, const import_vocab *v,
                  const import_options *o, const char *name, import_report *report, error *err)
{
    writing x = { .w = w, .weights = weights, .o = o, .report = report,
                  .dims = { 1, c->n_embd, c->n_vocab, c->n_ff, c->n_positions, c->n_types, c->n_classes } };
    status s = find_type(o, &x.type, err);
    if (s)
        return s;
    uint32_t type = x.type == UINT32_MAX ? main_type(weights) : x.type;
    x.max = 2 * (ARRAY_LEN(model_rows) + 2 + c->n_layers * ARRAY_LEN(layer_rows));
    x.order = mem_array(x.max, sizeof *x.order);
    x.types = mem_array(x.max, sizeof *x.types);
    s = x.order && x.types ? OK : fail(err, E_NOMEM, "no memory for the list of tensors");
    if (!s) {
        write_keys(w, c, name, type);
        write_vocab(w, v);
        s = c->labels ? write_labels(w, c, err) : OK;
    }
    if (!s)
        s = declare_all(&x, c, err);
    if (!s)
        s = gguf_writer_room(w, err);
    if (!s)
        s = write_data(&x, err);
    *report = (import_report){ .n_tensors = (uint32_t)x.n, .n_layers = c->n_layers, .n_embd = c->n_embd,
                               .n_vocab = c->n_vocab, .n_classes = c->n_classes, .n_params = report->n_params,
                               .bytes = report->bytes, .type = quant_name(type), .pooling = poolings[c->pooling] };
    mem_free(x.order);
    mem_free(x.types);
    return s;
}
