/* bert.c: the BERT family: config.json → keys, weights by their Hugging Face names → tensors by llama.cpp's.
 *
 * One table says which weight becomes which tensor. It is walked in order: what is missing or misshapen is named, and
 * so is what is left over at the end. */
#include <stdio.h>
#include <string.h>

#include "import/family_int.h"
#include "import/write_int.h"

enum { POOL_NONE, POOL_MEAN, POOL_CLS, POOL_RANK = 4, POOLINGS };
enum { CONTEXT_MAX = 1 << 20, CLASSES_MAX = 1 << 16 };

static const char *const poolings[POOLINGS] = { [POOL_NONE] = "none", [POOL_MEAN] = "mean", [POOL_CLS] = "cls",
                                           [POOL_RANK] = "rank" };

/* ---- config ---- */

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

bool bert_is(const js *config)
{
    return import_is_text(config, "model_type", "bert", false);
}

status bert_config_read(bert_config *out, const js *config, const js *pooling, error *err)
{
    bert_config c = { 0 };
    if (!import_is_text(config, "hidden_act", "gelu", false) ||
        !import_is_text(config, "position_embedding_type", "absolute", true))
        return fail(err, E_UNSUPPORTED, "config.json: hidden_act must be gelu, position_embedding_type absolute");
    status s = import_number(config, "vocab_size", IMPORT_MAX_DIM, &c.n_vocab, err);
    if (!s)
        s = import_number(config, "hidden_size", IMPORT_MAX_DIM, &c.n_embd, err);
    if (!s)
        s = import_number(config, "num_hidden_layers", IMPORT_MAX_LAYERS, &c.n_layers, err);
    if (!s)
        s = import_number(config, "num_attention_heads", 1024, &c.n_heads, err);
    if (!s)
        s = import_number(config, "intermediate_size", IMPORT_MAX_DIM, &c.n_ff, err);
    if (!s)
        s = import_number(config, "max_position_embeddings", CONTEXT_MAX, &c.n_positions, err);
    if (!s)
        s = import_number(config, "type_vocab_size", 1 << 16, &c.n_types, err);
    if (!s)
        s = import_real(config, "layer_norm_eps", 0, 1, &c.eps, err);
    if (!s)
        s = read_pooling(&c, pooling, err);
    if (!s)
        s = read_head(&c, config, err);
    if (!s)
        *out = c;
    return s;
}

/* ---- tensors ---- */

enum { ALWAYS = 1, POOLER = 2, CLASSES = 4 };

static const import_place model_places[] = {
    { .from = "embeddings.word_embeddings", .to = "token_embd", .rows = DIM_VOCAB, .cols = DIM_EMBD },
    { .from = "embeddings.position_embeddings", .to = "position_embd", .rows = DIM_POSITIONS, .cols = DIM_EMBD,
      .always_f32 = true },
    { .from = "embeddings.token_type_embeddings", .to = "token_types", .rows = DIM_TYPES, .cols = DIM_EMBD,
      .always_f32 = true },
    { .from = "embeddings.LayerNorm", .to = "token_embd_norm", .cols = DIM_EMBD, .bias = ALWAYS },
};
static const import_place layer_places[] = {
    { .from = "encoder.layer.%u.attention.self.query", .to = "blk.%u.attn_q", .rows = DIM_EMBD, .cols = DIM_EMBD,
      .bias = ALWAYS },
    { .from = "encoder.layer.%u.attention.self.key", .to = "blk.%u.attn_k", .rows = DIM_EMBD, .cols = DIM_EMBD,
      .bias = ALWAYS },
    { .from = "encoder.layer.%u.attention.self.value", .to = "blk.%u.attn_v", .rows = DIM_EMBD, .cols = DIM_EMBD,
      .bias = ALWAYS },
    { .from = "encoder.layer.%u.attention.output.dense", .to = "blk.%u.attn_output", .rows = DIM_EMBD,
      .cols = DIM_EMBD, .bias = ALWAYS },
    { .from = "encoder.layer.%u.attention.output.LayerNorm", .to = "blk.%u.attn_output_norm", .cols = DIM_EMBD,
      .bias = ALWAYS },
    { .from = "encoder.layer.%u.intermediate.dense", .to = "blk.%u.ffn_up", .rows = DIM_FF, .cols = DIM_EMBD,
      .bias = ALWAYS },
    { .from = "encoder.layer.%u.output.dense", .to = "blk.%u.ffn_down", .rows = DIM_EMBD, .cols = DIM_FF,
      .bias = ALWAYS },
    { .from = "encoder.layer.%u.output.LayerNorm", .to = "blk.%u.layer_output_norm", .cols = DIM_EMBD,
      .bias = ALWAYS },
};
static const import_place head_places[] = {
    { .from = "pooler.dense", .to = "cls", .rows = DIM_EMBD, .cols = DIM_EMBD, .with = POOLER, .bias = ALWAYS },
    { .from = "classifier", .to = "cls.output", .rows = DIM_CLASSES, .cols = DIM_EMBD, .always_f32 = true,
      .with = CLASSES, .bias = ALWAYS },
};

/* What a file may hold beside: heads of training, a buffer of position numbers. */
static const char *const left_out[] = { "embeddings.position_ids", "pooler.", "cls.predictions.",
                                        "cls.seq_relationship." };

static status declare_all(import_writing *x, const bert_config *c, error *err)
{
    status s = import_declare(x, model_places, ARRAY_LEN(model_places), 0, err);
    for (uint32_t l = 0; !s && l < c->n_layers; l++)
        s = import_declare(x, layer_places, ARRAY_LEN(layer_places), l, err);
    if (!s)
        s = import_declare(x, head_places, ARRAY_LEN(head_places), 0, err);
    return s ? s : import_check_left_over(x, left_out, ARRAY_LEN(left_out), err);
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

static void write_keys(gguf_writer *w, const bert_config *c)
{
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

status bert_write(gguf_writer *w, const bert_config *c, import_weights *weights, const import_vocab *v,
                  const import_options *o, const char *name, import_report *report, error *err)
{
    import_writing x = { .w = w, .weights = weights, .report = report, .family = "BERT", .traits = ALWAYS };
    const uint64_t dims[N_DIMS] = { [DIM_ONE] = 1, [DIM_EMBD] = c->n_embd, [DIM_VOCAB] = c->n_vocab,
                                    [DIM_FF] = c->n_ff, [DIM_POSITIONS] = c->n_positions, [DIM_TYPES] = c->n_types,
                                    [DIM_CLASSES] = c->n_classes };
    memcpy(x.dims, dims, sizeof dims);
    x.traits |= (c->pooling == POOL_RANK ? POOLER : 0) | (c->n_classes ? CLASSES : 0);
    size_t most = ARRAY_LEN(model_places) + ARRAY_LEN(head_places) + c->n_layers * ARRAY_LEN(layer_places);
    status s = import_writing_open(&x, o->type, 2 * most, err);
    if (!s) {
        import_write_general(&x, "bert", name);
        write_keys(w, c);
        import_vocab_write(w, v);
        s = c->labels ? write_labels(w, c, err) : OK;
    }
    if (!s)
        s = declare_all(&x, c, err);
    if (!s)
        s = import_write_data(&x, err);
    report->n_layers = c->n_layers;
    report->n_embd = c->n_embd;
    report->n_vocab = c->n_vocab;
    report->n_context = c->n_positions;
    report->n_classes = c->n_classes;
    report->pooling = poolings[c->pooling];
    import_writing_close(&x);
    return s;
}
