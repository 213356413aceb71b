/* decoder_write.c: decoders' weights by their Hugging Face names → tensors by llama.cpp's, and the keys. */
#include <stdio.h>
#include <string.h>

#include "import/family_int.h"
#include "import/write_int.h"

#define NORM(name, gguf)                                                                                               \
    .from = name, .to = gguf, .cols = DIM_EMBD, .change = CHANGE_PLUS_ONE, .change_with = DECODER_PLUS_ONE
#define LAYER "layers.%u."

static const import_place model_places[] = {
    { .from = "embed_tokens", .to = "token_embd", .rows = DIM_VOCAB, .cols = DIM_EMBD },
    { NORM("norm", "output_norm") },
    { .from = "lm_head", .to = "output", .rows = DIM_VOCAB, .cols = DIM_EMBD, .without = DECODER_TIED },
};

static const import_place layer_places[] = {
    { NORM(LAYER "input_layernorm", "blk.%u.attn_norm") },
    { .from = LAYER "self_attn.q_proj", .to = "blk.%u.attn_q", .rows = DIM_Q, .cols = DIM_EMBD,
      .without = DECODER_FUSED, .bias = DECODER_QKV_BIAS, .change = CHANGE_INTERLEAVE,
      .change_with = DECODER_INTERLEAVED },
    { .from = LAYER "self_attn.k_proj", .to = "blk.%u.attn_k", .rows = DIM_KV, .cols = DIM_EMBD,
      .without = DECODER_FUSED, .bias = DECODER_QKV_BIAS, .change = CHANGE_INTERLEAVE,
      .change_with = DECODER_INTERLEAVED },
    { .from = LAYER "self_attn.v_proj", .to = "blk.%u.attn_v", .rows = DIM_KV, .cols = DIM_EMBD,
      .without = DECODER_FUSED, .bias = DECODER_QKV_BIAS },
    { .from = LAYER "self_attn.qkv_proj", .to = "blk.%u.attn_qkv", .rows = DIM_QKV, .cols = DIM_EMBD,
      .with = DECODER_FUSED },
    { .from = LAYER "self_attn.q_norm", .to = "blk.%u.attn_q_norm", .cols = DIM_HEAD, .with = DECODER_QK_NORM,
      .change = CHANGE_PLUS_ONE, .change_with = DECODER_PLUS_ONE },
    { .from = LAYER "self_attn.k_norm", .to = "blk.%u.attn_k_norm", .cols = DIM_HEAD, .with = DECODER_QK_NORM,
      .change = CHANGE_PLUS_ONE, .change_with = DECODER_PLUS_ONE },
    { .from = LAYER "self_attn.o_proj", .to = "blk.%u.attn_output", .rows = DIM_EMBD, .cols = DIM_Q,
      .bias = DECODER_O_BIAS },
    { NORM(LAYER "post_attention_layernorm", "blk.%u.ffn_norm"), .without = DECODER_POST_NORM },
    { NORM(LAYER "post_attention_layernorm", "blk.%u.post_attention_norm"), .with = DECODER_POST_NORM },
    { NORM(LAYER "pre_feedforward_layernorm", "blk.%u.ffn_norm"), .with = DECODER_POST_NORM },
    { NORM(LAYER "post_feedforward_layernorm", "blk.%u.post_ffw_norm"), .with = DECODER_POST_NORM },
    { .from = LAYER "mlp.gate_proj", .to = "blk.%u.ffn_gate", .rows = DIM_FF, .cols = DIM_EMBD,
      .without = DECODER_FUSED, .bias = DECODER_MLP_BIAS },
    { .from = LAYER "mlp.up_proj", .to = "blk.%u.ffn_up", .rows = DIM_FF, .cols = DIM_EMBD, .without = DECODER_FUSED,
      .bias = DECODER_MLP_BIAS },
    { .from = LAYER "mlp.gate_up_proj", .to = "blk.%u.ffn_up", .rows = DIM_FF2, .cols = DIM_EMBD,
      .with = DECODER_FUSED },
    { .from = LAYER "mlp.down_proj", .to = "blk.%u.ffn_down", .rows = DIM_EMBD, .cols = DIM_FF,
      .bias = DECODER_MLP_BIAS },
};

/* What a file may hold beside: frequencies that follow from config.json; a head that is the embeddings once more. */
static const char *const left_out[] = { "*.rotary_emb.inv_freq", "lm_head.weight" };

/* ---- keys ---- */

typedef struct keys {
    gguf_writer *w;
    const char *arch;
    char key[96];
} keys;

static const char *key_of(keys *k, const char *name)
{
    snprintf(k->key, sizeof k->key, "%s.%s", k->arch, name);
    return k->key;
}

static void write_rope(keys *k, const decoder_config *c)
{
    static const char *const names[] = { [SCALING_LINEAR] = "linear", [SCALING_YARN] = "yarn",
                                         [SCALING_LONGROPE] = "longrope" };
    const decoder_rope *r = &c->rope;
    const struct {
        const char *key;
        double value, otherwise; /* is not written */
    } numbers[] = { { "rope.freq_base_swa", r->window_base, 0 },
                    { "rope.scaling.factor", r->scaling == SCALING_LLAMA3 ? 0 : r->factor, 0 },
                    { "rope.scaling.attn_factor", r->attn_factor, 1 },
                    { "rope.scaling.yarn_beta_fast", r->fast, 0 },
                    { "rope.scaling.yarn_beta_slow", r->slow, 0 } };
    gguf_writer_u32(k->w, key_of(k, "rope.dimension_count"), c->rope_dim);
    gguf_writer_f32(k->w, key_of(k, "rope.freq_base"), (float)r->base);
    if (r->scaling != SCALING_NONE && r->scaling != SCALING_LLAMA3)
        gguf_writer_str(k->w, key_of(k, "rope.scaling.type"), names[r->scaling]);
    if (r->original && r->scaling != SCALING_LLAMA3)
        gguf_writer_u32(k->w, key_of(k, "rope.scaling.original_context_length"), r->original);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (numbers[i].value < numbers[i].otherwise || numbers[i].value > numbers[i].otherwise)
            gguf_writer_f32(k->w, key_of(k, numbers[i].key), (float)numbers[i].value);
}

static void write_keys(keys *k, const decoder_config *c)
{
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = { { "block_count", c->n_layers },
                    { "context_length", c->n_context },
                    { "embedding_length", c->n_embd },
                    { "feed_forward_length", c->n_ff },
                    { "attention.head_count", c->n_heads },
                    { "attention.head_count_kv", c->n_kv_heads },
                    { "attention.key_length", c->head_dim },
                    { "attention.value_length", c->head_dim },
                    { "vocab_size", c->n_vocab } };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        gguf_writer_u32(k->w, key_of(k, numbers[i].key), numbers[i].value);
    gguf_writer_f32(k->w, key_of(k, "attention.layer_norm_rms_epsilon"), (float)c->eps);
    if (c->window)
        gguf_writer_u32(k->w, key_of(k, "attention.sliding_window"), c->window);
    if (c->own_pattern)
        gguf_writer_array(k->w, key_of(k, "attention.sliding_window_pattern"), GGUF_BOOL, c->is_window, c->n_layers);
    if (c->traits & DECODER_WINDOW_IS_ALL) /* llama.cpp tells by it that this is no older file */
        gguf_writer_u32(k->w, key_of(k, "attention.sliding_window"), 0);
    if (c->pooling)
        gguf_writer_u32(k->w, key_of(k, "pooling_type"), c->pooling);
    if (c->attn_cap > 0)
        gguf_writer_f32(k->w, key_of(k, "attn_logit_softcapping"), (float)c->attn_cap);
    if (c->final_cap > 0)
        gguf_writer_f32(k->w, key_of(k, "final_logit_softcapping"), (float)c->final_cap);
    write_rope(k, c);
}

/* ---- tensors ---- */

static status declare_all(import_writing *x, const decoder_config *c, error *err)
{
    const decoder_rope *r = &c->rope;
    status s = import_declare(x, model_places, ARRAY_LEN(model_places), 0, err);
    if (!s && r->scaling == SCALING_LLAMA3)
        import_declare_values(x, "rope_freqs.weight", r->divisors, r->n);
    if (!s && r->scaling == SCALING_LONGROPE) {
        import_declare_values(x, "rope_factors_long.weight", r->longer, r->n);
        import_declare_values(x, "rope_factors_short.weight", r->divisors, r->n);
    }
    for (uint32_t l = 0; !s && l < c->n_layers; l++)
        s = import_declare(x, layer_places, ARRAY_LEN(layer_places), l, err);
    return s ? s : import_check_left_over(x, left_out, ARRAY_LEN(left_out), err);
}

static void set_dims(import_writing *x, const decoder_config *c)
{
    uint64_t q = (uint64_t)c->n_heads * c->head_dim, kv = (uint64_t)c->n_kv_heads * c->head_dim;
    const uint64_t dims[N_DIMS] = { [DIM_ONE] = 1, [DIM_EMBD] = c->n_embd, [DIM_VOCAB] = c->n_vocab,
                                    [DIM_FF] = c->n_ff, [DIM_FF2] = 2 * (uint64_t)c->n_ff, [DIM_HEAD] = c->head_dim,
                                    [DIM_Q] = q, [DIM_KV] = kv, [DIM_QKV] = q + 2 * kv };
    memcpy(x->dims, dims, sizeof dims);
}

status decoder_write(gguf_writer *w, const decoder_config *c, import_weights *weights, const import_vocab *v,
                     const import_options *o, const char *name, import_report *report, error *err)
{
    import_writing x = { .w = w, .weights = weights, .report = report, .family = c->arch, .traits = c->traits };
    keys k = { .w = w, .arch = c->arch };
    set_dims(&x, c);
    size_t most = ARRAY_LEN(model_places) + c->n_layers * ARRAY_LEN(layer_places);
    status s = import_writing_open(&x, o->type, 2 * most + 2, err);
    if (!s) {
        import_write_general(&x, c->arch, name);
        write_keys(&k, c);
        import_vocab_write(w, v);
        s = declare_all(&x, c, err);
    }
    if (!s)
        s = import_write_data(&x, err);
    report->n_layers = c->n_layers;
    report->n_embd = c->n_embd;
    report->n_vocab = c->n_vocab;
    report->n_context = c->n_context;
    import_writing_close(&x);
    return s;
}
