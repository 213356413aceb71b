#include "lib/tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gguf/gguf.h"
#include "gguf/write.h"
#include "lib/check.h"
#include "quant/quant.h"

typedef struct maker {
    const tiny_model *m;
    gguf_writer *w;
    bool declare; /* first pass: names and shapes; second: bytes */
    uint64_t seed;
    unsigned turn;
} maker;

static char file[512];

static void remove_file(void)
{
    remove(file);
}

const char *tiny_model_path(void)
{
    const char *build = getenv("HEARTH_BUILD");
    if (!file[0]) {
        snprintf(file, sizeof file, "%s/tests/tiny-%ld.gguf", build ? build : "build", (long)getpid());
        atexit(remove_file);
    }
    return file;
}

tiny_model tiny_model_default(void)
{
    return (tiny_model){ .arch = "llama", .n_embd = 64, .n_layers = 2, .n_ff = 96, .n_heads = 4, .n_kv_heads = 2,
                         .head_dim = 16, .n_vocab = 96, .context = 1024 };
}

tiny_model tiny_model_like(const char *like)
{
    tiny_model m = tiny_model_default();
    gguf *g = NULL;
    span arch;
    const gguf_value *tokens;
    assert_ok(gguf_open(&g, like, err));
    assert_ok(gguf_str(g, "general.architecture", &arch, err));
    assert_ok(gguf_array(g, "tokenizer.ggml.tokens", GGUF_STR, 0, &tokens, err));
    m.n_vocab = (uint32_t)tokens->n;
    m.like = like;
    if (span_is(arch, "gemma3")) {
        m.arch = "gemma3";
        m.window = 512;
        m.post_norm = m.qk_norm = true;
        m.n_layers = 6; /* the last sees everything */
    } else {
        assert_true(span_is(arch, m.arch));
    }
    assert_ok(gguf_u32(g, m.window ? "gemma3.context_length" : "llama.context_length", &m.context, err));
    gguf_close(&g);
    return m;
}

static float noise(maker *k)
{
    k->seed = k->seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(k->seed >> 32) * 0x1p-31f;
}

static bool is(const char *name, const char *which)
{
    return which && !strcmp(name, which);
}

/* rows 0: a vector around 1 (norms) or 0 (biases) in F32. */
static void tensor(maker *k, const char *name, uint32_t cols, uint32_t rows, float around, float size)
{
    static const uint32_t types[] = { QUANT_Q8_0, QUANT_Q4_0, QUANT_Q5_1, QUANT_F16, QUANT_Q4_1, QUANT_Q5_0 };
    uint32_t type = rows ? types[k->turn++ % ARRAY_LEN(types)] : QUANT_F32;
    if (is(name, k->m->missing))
        return;
    cols += is(name, k->m->bent) ? 32 : 0;
    if (k->declare) {
        gguf_writer_tensor(k->w, name, type, rows ? 2 : 1, (uint64_t[]){ cols, rows ? rows : 1 });
        return;
    }
    size_t bytes = (size_t)quant_row_bytes(type, cols);
    float *x = mem_array(cols, sizeof *x);
    char *row = mem_array(bytes, 1);
    for (uint32_t r = 0; r < (rows ? rows : 1); r++) {
        for (uint32_t i = 0; i < cols; i++)
            x[i] = around + size * noise(k);
        quant_find(type)->encode(x, row, cols, NULL);
        gguf_writer_data(k->w, row, bytes);
    }
    mem_free(x);
    mem_free(row);
}

static void layer_tensor(maker *k, uint32_t layer, const char *name, uint32_t cols, uint32_t rows, float around,
                         float size)
{
    buf b = BUF_INIT(128);
    buf_printf(&b, "blk.%u.%s", layer, name);
    tensor(k, buf_text(&b), cols, rows, around, size);
    buf_clear(&b);
}

static void both(maker *k, int32_t layer, const char *name, uint32_t cols, float around)
{
    buf b = BUF_INIT(128);
    if (layer >= 0)
        buf_printf(&b, "blk.%d.", layer);
    buf_str(&b, name);
    size_t n = b.len;
    buf_str(&b, ".weight");
    tensor(k, buf_text(&b), cols, 0, around, 0.2f);
    b.len = n;
    buf_str(&b, ".bias");
    tensor(k, buf_text(&b), cols, 0, 0.0f, 0.2f);
    buf_clear(&b);
}

static void encoder_tensors(maker *k)
{
    const tiny_model *m = k->m;
    uint32_t e = m->n_embd, q = m->n_heads * m->head_dim;
    tensor(k, "token_embd.weight", e, m->n_vocab, 0.0f, 1.0f);
    tensor(k, "position_embd.weight", e, m->context, 0.0f, 0.5f);
    tensor(k, "token_types.weight", e, 2, 0.0f, 0.5f);
    both(k, -1, "token_embd_norm", e, 1.0f);
    if (m->extra)
        tensor(k, m->extra, e, e, 0.0f, 1.0f);
    for (uint32_t i = 0; i < m->n_layers; i++) {
        layer_tensor(k, i, "attn_q.weight", e, q, 0.0f, 0.4f);
        layer_tensor(k, i, "attn_k.weight", e, q, 0.0f, 0.4f);
        layer_tensor(k, i, "attn_v.weight", e, q, 0.0f, 0.3f);
        layer_tensor(k, i, "attn_q.bias", q, 0, 0.0f, 0.2f);
        layer_tensor(k, i, "attn_k.bias", q, 0, 0.0f, 0.2f);
        layer_tensor(k, i, "attn_v.bias", q, 0, 0.0f, 0.2f);
        layer_tensor(k, i, "attn_output.weight", q, e, 0.0f, 0.3f);
        layer_tensor(k, i, "attn_output.bias", e, 0, 0.0f, 0.2f);
        both(k, (int32_t)i, "attn_output_norm", e, 1.0f);
        layer_tensor(k, i, "ffn_up.weight", e, m->n_ff, 0.0f, 0.3f);
        layer_tensor(k, i, "ffn_up.bias", m->n_ff, 0, 0.0f, 0.2f);
        layer_tensor(k, i, "ffn_down.weight", m->n_ff, e, 0.0f, 0.3f);
        layer_tensor(k, i, "ffn_down.bias", e, 0, 0.0f, 0.2f);
        both(k, (int32_t)i, "layer_output_norm", e, 1.0f);
    }
    if (m->n_classes) {
        tensor(k, "cls.output.weight", e, m->n_classes, 0.0f, 0.3f);
        tensor(k, "cls.output.bias", m->n_classes, 0, 0.0f, 0.2f);
    }
}

static void all_tensors(maker *k)
{
    const tiny_model *m = k->m;
    uint32_t e = m->n_embd, q = m->n_heads * m->head_dim, kv = m->n_kv_heads * m->head_dim;
    if (m->encoder) {
        encoder_tensors(k);
        return;
    }
    tensor(k, "token_embd.weight", e, m->n_vocab, 0.0f, 1.0f);
    tensor(k, "output_norm.weight", e, 0, 1.0f, 0.2f);
    if (m->extra)
        tensor(k, m->extra, e, is(m->extra, "output.weight") ? m->n_vocab : e, 0.0f, 1.0f);
    for (uint32_t i = 0; i < m->n_layers; i++) {
        layer_tensor(k, i, "attn_norm.weight", e, 0, 1.0f, 0.2f);
        layer_tensor(k, i, "attn_q.weight", e, q, 0.0f, 0.4f);
        layer_tensor(k, i, "attn_k.weight", e, kv, 0.0f, 0.4f);
        layer_tensor(k, i, "attn_v.weight", e, kv, 0.0f, 0.3f);
        layer_tensor(k, i, "attn_output.weight", q, e, 0.0f, 0.3f);
        layer_tensor(k, i, "ffn_norm.weight", e, 0, 1.0f, 0.2f);
        layer_tensor(k, i, "ffn_gate.weight", e, m->n_ff, 0.0f, 0.3f);
        layer_tensor(k, i, "ffn_up.weight", e, m->n_ff, 0.0f, 0.3f);
        layer_tensor(k, i, "ffn_down.weight", m->n_ff, e, 0.0f, 0.3f);
        if (m->post_norm) {
            layer_tensor(k, i, "post_attention_norm.weight", e, 0, 1.0f, 0.2f);
            layer_tensor(k, i, "post_ffw_norm.weight", e, 0, 1.0f, 0.2f);
        }
        if (m->qk_norm) {
            layer_tensor(k, i, "attn_q_norm.weight", m->head_dim, 0, 1.0f, 0.2f);
            layer_tensor(k, i, "attn_k_norm.weight", m->head_dim, 0, 1.0f, 0.2f);
        }
        if (m->qkv_bias) {
            layer_tensor(k, i, "attn_q.bias", q, 0, 0.0f, 0.2f);
            layer_tensor(k, i, "attn_k.bias", kv, 0, 0.0f, 0.2f);
            layer_tensor(k, i, "attn_v.bias", kv, 0, 0.0f, 0.2f);
        }
    }
}

static void key(maker *k, const char *name, uint32_t value)
{
    buf b = BUF_INIT(128);
    buf_printf(&b, "%s.%s", k->m->arch, name);
    gguf_writer_u32(k->w, buf_text(&b), value);
    buf_clear(&b);
}

static void float_key(maker *k, const char *name, float value)
{
    buf b = BUF_INIT(128);
    buf_printf(&b, "%s.%s", k->m->arch, name);
    gguf_writer_f32(k->w, buf_text(&b), value);
    buf_clear(&b);
}

/* All of the tokenizer's keys, the template among them. */
static void tokenizer(maker *k)
{
    static const char prefix[] = "tokenizer.";
    gguf *g = NULL;
    assert_ok(gguf_open(&g, k->m->like, err));
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        const gguf_value *v = gguf_key_at(g, i);
        if (v->key.n > strlen(prefix) && !memcmp(v->key.p, prefix, strlen(prefix)))
            gguf_writer_copy(k->w, v);
    }
    gguf_close(&g);
}

void tiny_model_write(const tiny_model *m, const char *path)
{
    maker k = { .m = m, .declare = true };
    assert_ok(gguf_writer_open(&k.w, path, err));
    gguf_writer_str(k.w, "general.architecture", m->arch);
    gguf_writer_str(k.w, "general.name", "tiny");
    key(&k, "block_count", m->n_layers);
    key(&k, "context_length", m->context);
    key(&k, "embedding_length", m->n_embd);
    key(&k, "feed_forward_length", m->n_ff);
    key(&k, "attention.head_count", m->n_heads);
    key(&k, "attention.head_count_kv", m->n_kv_heads);
    key(&k, "attention.key_length", m->head_dim);
    key(&k, "attention.value_length", m->head_dim);
    float_key(&k, m->encoder ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 1e-5f);
    if (m->window)
        key(&k, "attention.sliding_window", m->window);
    if (m->like)
        tokenizer(&k);
    all_tensors(&k);
    k.declare = false;
    k.turn = 0;
    k.seed = 7;
    all_tensors(&k);
    assert_ok(gguf_writer_finish(&k.w, err));
}
