/* spec.c: keys -> model_spec. Every number is checked here once, so that no later code meets a zero divisor, an odd
 * rope or a size that overflows: all dimensions are at most 2^24, their products fit in 64 bits. */
#include "model/spec.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "kernels/kernels.h"

enum { DIM_MAX = 1 << 24, KEY_BYTES = 128, CLASSES_MAX = 1 << 16 };

/* One reader for all keys: remembers the first error, so that the list below reads as a list. */
typedef struct reader {
    const gguf *g;
    const char *prefix;
    status s;
    error *err;
    char key[KEY_BYTES];
} reader;

static const char *key_of(reader *r, const char *name)
{
    snprintf(r->key, sizeof r->key, "%s.%s", r->prefix, name);
    return r->key;
}

/* An integer, or an array of n_layers equal integers (some converters write one a layer). */
static uint32_t read_dim(reader *r, const char *name, uint32_t n_layers, uint32_t fallback)
{
    if (r->s)
        return 0;
    const char *key = key_of(r, name);
    const char *file = gguf_file_name(r->g);
    const gguf_value *v = gguf_find(r->g, key);
    if (!v && fallback)
        return fallback;
    uint32_t value = 0;
    if (v && v->is_array && n_layers && v->type != GGUF_STR && v->n == n_layers) {
        uint64_t first = gguf_get_u64(v, 0);
        for (uint64_t i = 1; i < v->n; i++)
            if (gguf_get_u64(v, i) != first) {
                r->s = fail(r->err, E_UNSUPPORTED, "%s: %s differs from layer to layer, which hearth does not do", file,
                            key);
                return 0;
            }
        value = first > DIM_MAX ? 0 : (uint32_t)first;
    } else {
        r->s = gguf_u32(r->g, key, &value, r->err);
    }
    if (!r->s && (value == 0 || value > DIM_MAX))
        r->s = fail(r->err, E_RANGE, "%s: %s is %s, it must be 1 to %d", file, key, value ? "too large" : "0", DIM_MAX);
    return value;
}

/* A float within [low, high]. */
static float read_float(reader *r, const char *name, double fallback, double low, double high)
{
    if (r->s)
        return 0;
    const char *key = key_of(r, name);
    float value = 0;
    r->s = gguf_f32_or(r->g, key, (float)fallback, &value, r->err);
    if (!r->s && !(value >= low && value <= high))
        r->s = fail(r->err, E_RANGE, "%s: %s is %g, it must be %g to %g", gguf_file_name(r->g), key, (double)value, low,
                    high);
    return value;
}

static bool has(reader *r, const char *name)
{
    return gguf_find(r->g, key_of(r, name)) != NULL;
}

static status find_arch(model_spec *m, const gguf *g, error *err)
{
    span name;
    status s = gguf_str(g, "general.architecture", &name, err);
    if (s)
        return s;
    m->arch = arch_find(name);
    if (m->arch)
        return OK;
    buf list = BUF_INIT(512);
    for (size_t i = 0; arch_at(i); i++)
        buf_printf(&list, "%s%s", i ? ", " : "", arch_at(i)->name);
    s = fail(err, E_UNSUPPORTED, "%s: architecture '%.*s' is not one that hearth runs (%s)", gguf_file_name(g),
             (int)(name.n < 40 ? name.n : 40), name.p, buf_text(&list));
    buf_clear(&list);
    return s;
}

static void read_dims(model_spec *m, reader *r)
{
    m->n_layers = read_dim(r, "block_count", 0, 0);
    if (!r->s && m->n_layers > MODEL_MAX_LAYERS)
        r->s = fail(r->err, E_RANGE, "%s: %u layers, hearth's limit is %d", gguf_file_name(r->g), m->n_layers,
                    MODEL_MAX_LAYERS);
    m->n_embd = read_dim(r, "embedding_length", 0, 0);
    m->n_ff = read_dim(r, "feed_forward_length", m->n_layers, 0);
    m->n_heads = read_dim(r, "attention.head_count", m->n_layers, 0);
    m->n_kv_heads = read_dim(r, "attention.head_count_kv", m->n_layers, m->n_heads);
    m->context_train = read_dim(r, "context_length", 0, 0);
    if (r->s)
        return;
    const char *file = gguf_file_name(r->g);
    if (!has(r, "attention.key_length") && m->n_embd % m->n_heads) {
        r->s = fail(r->err, E_FORMAT, "%s: %u values do not divide into %u heads", file, m->n_embd, m->n_heads);
        return;
    }
    m->head_dim = read_dim(r, "attention.key_length", 0, m->n_embd / m->n_heads ? m->n_embd / m->n_heads : 1);
    uint32_t value_dim = read_dim(r, "attention.value_length", 0, m->head_dim);
    m->rope_dim = m->arch->traits & ARCH_POSITIONS ? 0 : read_dim(r, "rope.dimension_count", 0, m->head_dim);
    if (r->s)
        return;
    if (value_dim != m->head_dim)
        r->s = fail(r->err, E_UNSUPPORTED, "%s: values of %u and keys of %u per head: hearth wants them equal", file,
                    value_dim, m->head_dim);
    else if (m->n_heads % m->n_kv_heads)
        r->s = fail(r->err, E_FORMAT, "%s: %u heads do not divide by %u key-value heads", file, m->n_heads,
                    m->n_kv_heads);
    else if (m->head_dim > KERNELS_MAX_HEAD_DIM || m->head_dim % 8 || m->n_heads > 1024)
        r->s = fail(r->err, E_UNSUPPORTED, "%s: %u heads of %u values; hearth runs up to 1024 heads of 8, 16 ... %d",
                    file, m->n_heads, m->head_dim, KERNELS_MAX_HEAD_DIM);
    else if (m->rope_dim % 2 || m->rope_dim > m->head_dim)
        r->s = fail(r->err, E_FORMAT, "%s: rope turns %u of %u values: it must be even and no more than all", file,
                    m->rope_dim, m->head_dim);
    else if ((m->arch->traits & ARCH_ROPE_FULL) && m->rope_dim != m->head_dim)
        r->s = fail(r->err, E_FORMAT, "%s: rope turns %u of %u values; this architecture turns all", file, m->rope_dim,
                    m->head_dim);
    else if (has(r, "expert_count") && gguf_get_u64(gguf_find(r->g, r->key), 0) > 0)
        r->s = fail(r->err, E_UNSUPPORTED, "%s: mixture-of-experts models are not supported yet", file);
}

static void read_rope(model_spec *m, reader *r)
{
    static const struct {
        const char *name;
        rope_scaling kind;
    } kinds[] = {
        { "none", ROPE_NONE }, { "linear", ROPE_LINEAR }, { "yarn", ROPE_YARN }, { "longrope", ROPE_LONGROPE }
    };
    m->rope_base = read_float(r, "rope.freq_base", 10000.0, 1.5, 1e12);
    m->window_rope_base = m->rope_base;
    if (m->arch->traits & ARCH_WINDOW_ROPE)
        m->window_rope_base = read_float(r, "rope.freq_base_swa", (double)m->arch->window_rope_base, 1.5, 1e12);
    if (r->s)
        return;
    span kind;
    r->s = gguf_str_or(r->g, key_of(r, "rope.scaling.type"), "linear", &kind, r->err);
    if (r->s)
        return;
    size_t k = 0;
    while (k < ARRAY_LEN(kinds) && !span_is(kind, kinds[k].name))
        k++;
    if (k == ARRAY_LEN(kinds)) {
        r->s = fail(r->err, E_UNSUPPORTED, "%s: %s '%.*s' is not none, linear, yarn or longrope", gguf_file_name(r->g),
                    r->key, (int)(kind.n < 40 ? kind.n : 40), kind.p);
        return;
    }
    m->scaling = kinds[k].kind;
    const char *factor = has(r, "rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear";
    float f = read_float(r, factor, 1.0, 0.0, 1e6);
    /* 0 is how some converters write "none"; longrope's stretching is in its factor tensors alone. */
    m->rope_factor = f == 0.0f || m->scaling == ROPE_NONE ? 1.0 : (double)f;
    m->rope_context = read_dim(r, "rope.scaling.original_context_length", 0, m->context_train);
    m->rope_attn_factor = read_float(r, "rope.scaling.attn_factor", 1.0, 1e-3, 1e3);
    m->yarn_fast = read_float(r, "rope.scaling.yarn_beta_fast", 32.0, 1e-3, 1e6);
    m->yarn_slow = read_float(r, "rope.scaling.yarn_beta_slow", 1.0, 1e-3, 1e6);
    m->yarn_log_mul = read_float(r, "rope.scaling.yarn_log_multiplier", 0.0, 0.0, 1e3);
}

static void read_windows(model_spec *m, reader *r)
{
    if (r->s || !(m->arch->traits & ARCH_WINDOW))
        return;
    if (has(r, "attention.sliding_window") || m->arch->window) {
        uint32_t width = m->arch->window;
        r->s = gguf_u32_or(r->g, key_of(r, "attention.sliding_window"), width, &width, r->err);
        m->window = width;
    }
    if (r->s || !m->window)
        return;
    const gguf_value *v = gguf_find(r->g, key_of(r, "attention.sliding_window_pattern"));
    uint32_t period = m->arch->window_period;
    if (v && v->is_array && (v->type == GGUF_STR || v->n < m->n_layers)) {
        r->s = fail(r->err, E_FORMAT, "%s: %s has %llu entries for %u layers", gguf_file_name(r->g), r->key,
                    (unsigned long long)v->n, m->n_layers);
        return;
    }
    if (v && !v->is_array)
        r->s = gguf_u32(r->g, r->key, &period, r->err);
    for (uint32_t i = 0; !r->s && i < m->n_layers; i++)
        m->is_window[i] = v && v->is_array ? gguf_get_u64(v, i) != 0 : period == 0 || i % period < period - 1;
}

/* The keys and values of an encoder's layer are read in the pass that wrote them and never again: one place serves all
 * layers. */
static void count_kinds(model_spec *m)
{
    memset(m->n_of_kind, 0, sizeof m->n_of_kind);
    if (m->is_encoder)
        m->n_of_kind[MODEL_GLOBAL] = 1;
    for (uint32_t i = 0; !m->is_encoder && i < m->n_layers; i++)
        m->place[i] = (uint16_t)m->n_of_kind[m->is_window[i]]++;
}

void model_spec_cut(model_spec *m, uint32_t from, uint32_t to)
{
    m->n_layers = to - from;
    memmove(m->is_window, m->is_window + from, m->n_layers * sizeof *m->is_window);
    count_kinds(m);
}

static void read_encoder(model_spec *m, reader *r)
{
    bool causal = !m->is_encoder;
    uint32_t pooling = m->is_encoder ? MODEL_POOL_MEAN : MODEL_POOL_LAST;
    if (!r->s)
        r->s = gguf_bool_or(r->g, key_of(r, "attention.causal"), causal, &causal, r->err);
    if (!r->s && causal == m->is_encoder)
        r->s = fail(r->err, E_UNSUPPORTED, "%s: %s is %s; this architecture %s", gguf_file_name(r->g), r->key,
                    causal ? "true" : "false", causal ? "sees the whole text" : "sees what came before");
    if (!r->s)
        r->s = gguf_u32_or(r->g, key_of(r, "pooling_type"), pooling, &pooling, r->err);
    if (!r->s && pooling >= MODEL_POOLINGS)
        r->s = fail(r->err, E_UNSUPPORTED, "%s: %s is %u, which is none of the poolings 0 to %d", gguf_file_name(r->g),
                    r->key, pooling, MODEL_POOLINGS - 1);
    m->pooling = (model_pooling)pooling;
}

static void read_scales(model_spec *m, reader *r)
{
    const arch *a = m->arch;
    const char *eps = a->traits & ARCH_NORM_AFTER ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";
    if (!r->s && !has(r, eps))
        r->s = fail(r->err, E_NOTFOUND, "%s: key %s is missing", gguf_file_name(r->g), r->key);
    m->norm_eps = read_float(r, eps, 0.0, 0.0, 1.0);
    if (r->s)
        return;
    m->embed_scale = a->traits & ARCH_EMBED_SQRT ? sqrtf((float)m->n_embd) : 1.0f;
    bool wide = a->wide_query_layers && m->n_layers == a->wide_query_layers;
    m->q_scale = 1.0f / sqrtf((float)(wide ? m->n_embd / m->n_heads : m->head_dim));
    if (a->traits & ARCH_SOFTCAP) {
        m->attn_cap = read_float(r, "attn_logit_softcapping", (double)a->attn_cap, 0.0, 1e6);
        m->final_cap = read_float(r, "final_logit_softcapping", (double)a->final_cap, 0.0, 1e6);
    }
    if (a->traits & ARCH_Q_TEMPERATURE)
        m->temperature = read_float(r, "attention.temperature_scale", 0.0, 0.0, 1e3);
    if (!r->s && !(a->traits & ARCH_SOFTCAP) && (has(r, "attn_logit_softcapping") || has(r, "final_logit_softcapping")))
        m->final_cap = read_float(r, "final_logit_softcapping", 0.0, 0.0, 1e6);
}

static void read_vocab(model_spec *m, reader *r)
{
    const gguf_tensor *t = gguf_tensor_find(r->g, "token_embd.weight");
    const gguf_value *tokens = gguf_find(r->g, "tokenizer.ggml.tokens");
    const char *file = gguf_file_name(r->g);
    if (r->s)
        return;
    if (!t)
        r->s = fail(r->err, E_FORMAT, "%s: tensor 'token_embd.weight' is missing: this file holds no weights", file);
    else if (t->ne[1] > DIM_MAX)
        r->s = fail(r->err, E_RANGE, "%s: a vocabulary of %llu tokens is too large", file,
                    (unsigned long long)t->ne[1]);
    else if (tokens && tokens->n != t->ne[1])
        r->s = fail(r->err, E_FORMAT, "%s: %llu tokens, but token_embd.weight has %llu rows", file,
                    (unsigned long long)tokens->n, (unsigned long long)t->ne[1]);
    else
        m->n_logits = m->n_vocab = (uint32_t)t->ne[1];
}

static void read_types(model_spec *m, const reader *r)
{
    const gguf_tensor *t = gguf_tensor_find(r->g, "token_types.weight");
    m->n_types = m->is_encoder && t ? (uint32_t)(t->ne[1] < UINT32_MAX ? t->ne[1] : UINT32_MAX) : 0;
    m->has_dense = m->is_encoder && gguf_tensor_find(r->g, "cls.weight");
}

static void read_classes(model_spec *m, reader *r)
{
    const gguf_tensor *t = gguf_tensor_find(r->g, "cls.output.weight");
    const gguf_value *labels = gguf_find(r->g, key_of(r, "classifier.output_labels"));
    if (r->s || !m->is_encoder)
        return;
    m->n_logits = 0;
    if (t && t->ne[1] > CLASSES_MAX)
        r->s = fail(r->err, E_RANGE, "%s: a classifier of %llu classes; the limit is %d", gguf_file_name(r->g),
                    (unsigned long long)t->ne[1], CLASSES_MAX);
    else if (t && labels && (!labels->is_array || labels->type != GGUF_STR || labels->n != t->ne[1]))
        r->s = fail(r->err, E_FORMAT, "%s: %s does not name the %llu classes of cls.output.weight",
                    gguf_file_name(r->g), r->key, (unsigned long long)t->ne[1]);
    else if (t)
        m->n_logits = (uint32_t)t->ne[1];
}

status model_spec_read(model_spec *out, const gguf *g, error *err)
{
    model_spec m = { 0 };
    status s = find_arch(&m, g, err);
    if (s)
        return s;
    reader r = { .g = g, .prefix = m.arch->name, .s = OK, .err = err };
    m.is_encoder = (m.arch->traits & ARCH_ENCODER) != 0;
    read_dims(&m, &r);
    read_rope(&m, &r);
    read_windows(&m, &r);
    read_scales(&m, &r);
    read_vocab(&m, &r);
    read_encoder(&m, &r);
    read_classes(&m, &r);
    read_types(&m, &r);
    if (r.s)
        return r.s;
    count_kinds(&m);
    *out = m;
    return OK;
}
