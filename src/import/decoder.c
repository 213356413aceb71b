/* decoder.c: config.json of decoders → decoder_config, and the keys that it becomes.
 *
 * One row an architecture. What config.json asks for and neither the row nor a key can say is an error: an activation,
 * a bias, a cap, another scale of queries. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "import/family_int.h"

enum { HEADS_MAX = 1024, CONTEXT_MAX = 1 << 30 };

struct decoder_family {
    const char *architecture; /* in config.json */
    const char *name;         /* general.architecture */
    const char *windowed;     /* that of a model with windows, where it has another */
    const char *act;
    uint32_t traits;
    uint32_t window_period; /* without a word of config.json every window_period-th layer sees everything */
    uint32_t wide_layers;   /* the size with so many layers scales queries by n_embd / n_heads, not head_dim */
    uint32_t n_context;     /* where config.json says none; 0: it must */
    double rope_base, eps;  /* eps 0: it must */
};

#define GEMMA (DECODER_PLUS_ONE | DECODER_POST_NORM | DECODER_TIED | DECODER_WINDOW | DECODER_QUERY_SCALAR)

static const decoder_family families[] = {
    { .architecture = "LlamaForCausalLM", .name = "llama", .act = "silu",
      .traits = DECODER_INTERLEAVED | DECODER_MAY_BIAS, .rope_base = 10000 },
    { .architecture = "MistralForCausalLM", .name = "llama", .windowed = "mistral", .act = "silu",
      .traits = DECODER_INTERLEAVED | DECODER_WINDOW, .rope_base = 10000 },
    { .architecture = "Qwen2ForCausalLM", .name = "qwen2", .act = "silu",
      .traits = DECODER_QKV_BIAS | DECODER_WINDOW_SWITCH, .rope_base = 10000 },
    { .architecture = "Qwen3ForCausalLM", .name = "qwen3", .act = "silu",
      .traits = DECODER_QK_NORM | DECODER_WINDOW_SWITCH, .rope_base = 10000 },
    { .architecture = "Gemma2ForCausalLM", .name = "gemma2", .act = "gelu_pytorch_tanh",
      .traits = GEMMA | DECODER_SOFTCAP, .window_period = 2, .wide_layers = 46, .n_context = 8192, .rope_base = 10000,
      .eps = 1e-6 },
    { .architecture = "Gemma3ForCausalLM", .name = "gemma3", .act = "gelu_pytorch_tanh",
      .traits = GEMMA | DECODER_QK_NORM | DECODER_LOCAL_ROPE | DECODER_FINAL_CAP, .window_period = 6,
      .wide_layers = 62, .n_context = 131072, .rope_base = 1000000, .eps = 1e-6 },
    { .architecture = "Phi3ForCausalLM", .name = "phi3", .act = "silu",
      .traits = DECODER_FUSED | DECODER_WINDOW_IS_ALL | DECODER_PARTIAL_ROPE, .rope_base = 10000 },
};

/* ---- which ---- */

static const decoder_family *find_family(const js *config)
{
    const char *name = js_text(js_at(js_get(config, "architectures"), 0));
    for (size_t i = 0; name && i < ARRAY_LEN(families); i++)
        if (strcmp(name, families[i].architecture) == 0)
            return &families[i];
    return NULL;
}

static status unknown_family(const js *config, error *err)
{
    const char *name = js_text(js_at(js_get(config, "architectures"), 0));
    const char *type = js_text(js_get(config, "model_type"));
    buf list = BUF_INIT(1024);
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        buf_printf(&list, ", %s", families[i].architecture);
    status s = fail(err, E_UNSUPPORTED, "config.json: architecture '%.60s' (model_type '%.40s'); imported are "
                    "model_type bert%s", name ? name : "(none)", type ? type : "(none)", buf_text(&list));
    buf_clear(&list);
    return s;
}

/* ---- what is refused ---- */

static status refuse(error *err, const char *key, const char *why)
{
    return fail(err, E_UNSUPPORTED, "config.json: %s: %s", key, why);
}

/* The runtime has no way to do these. */
static status check_wishes(const decoder_config *c, const js *config, error *err)
{
    static const struct {
        const char *key;
        bool value; /* true: anything but null; false: true */
        uint32_t unless;
        const char *why;
    } wishes[] = {
        { "quantization_config", true, 0, "weights that are quantised in a folder are not read" },
        { "num_local_experts", true, 0, "mixtures of experts are not imported" },
        { "num_experts", true, 0, "mixtures of experts are not imported" },
        { "n_routed_experts", true, 0, "mixtures of experts are not imported" },
        { "use_bidirectional_attention", false, 0, "a decoder sees what came before" },
        { "attention_bias", false, DECODER_MAY_BIAS, "this architecture has no such biases" },
        { "mlp_bias", false, DECODER_MAY_BIAS, "this architecture has no such biases" },
        { "rope_interleaved", false, 0, "not known" },
        { "attn_logit_softcapping", true, DECODER_SOFTCAP, "this architecture has no such cap" },
        { "final_logit_softcapping", true, DECODER_SOFTCAP | DECODER_FINAL_CAP, "this architecture has no such cap" },
    };
    for (size_t i = 0; i < ARRAY_LEN(wishes); i++) {
        const js *v = import_get(config, wishes[i].key);
        if ((wishes[i].value ? v != NULL : js_bool(v, false)) && !(wishes[i].unless & c->traits))
            return refuse(err, wishes[i].key, wishes[i].why);
    }
    if (!js_bool(import_get(config, "is_causal"), true))
        return refuse(err, "is_causal", "a decoder sees what came before");
    const char *act_key = import_get(config, "hidden_activation") ? "hidden_activation" : "hidden_act";
    if (!import_is_text(config, act_key, c->family->act, false))
        return fail(err, E_UNSUPPORTED, "config.json: %s must be %s for %s", act_key, c->family->act,
                    c->family->architecture);
    return OK;
}

/* Queries are scaled by what the runtime scales them by. */
static status check_query_scale(const decoder_config *c, const js *config, error *err)
{
    double scalar, known = c->n_layers == c->family->wide_layers ? c->n_embd / c->n_heads : c->head_dim;
    if (!(c->traits & DECODER_QUERY_SCALAR) || !import_get(config, "query_pre_attn_scalar"))
        return OK;
    status s = import_real(config, "query_pre_attn_scalar", 1e-3, 1e6, &scalar, err);
    if (!s && fabs(scalar - known) > 1e-6)
        s = fail(err, E_UNSUPPORTED, "config.json: query_pre_attn_scalar is %g; a %s model of %u layers is run with %g",
                 scalar, c->arch, c->n_layers, known);
    return s;
}

/* ---- windows ---- */

/* layer_types names the layers' kinds one by one. */
static status read_layer_types(decoder_config *c, const js *config, bool *any, error *err)
{
    const js *types = import_get(config, "layer_types");
    if (types && js_len(types) != c->n_layers)
        return fail(err, E_FORMAT, "config.json: layer_types names %zu layers of %u", js_len(types), c->n_layers);
    for (uint32_t i = 0; types && i < c->n_layers; i++) {
        const char *type = js_text(js_at(types, i));
        c->is_window[i] = type && strcmp(type, "sliding_attention") == 0;
        *any |= c->is_window[i];
        if (!type || (!c->is_window[i] && strcmp(type, "full_attention") != 0))
            return fail(err, E_UNSUPPORTED, "config.json: layer_types[%u] is '%.40s'", i, type ? type : "");
    }
    return OK;
}

static status read_windows(decoder_config *c, const js *config, error *err)
{
    bool listed = import_get(config, "layer_types") != NULL, any = !listed, own = false;
    uint32_t period = c->family->window_period;
    status s = read_layer_types(c, config, &any, err);
    if (!s)
        s = import_number_or(config, "sliding_window", CONTEXT_MAX, 0, &c->window, err);
    if (!s && c->family->window_period && import_get(config, "sliding_window_pattern"))
        s = import_number(config, "sliding_window_pattern", IMPORT_MAX_LAYERS, &period, err);
    if (s)
        return s;
    if ((c->traits & DECODER_WINDOW_SWITCH) && !js_bool(js_get(config, "use_sliding_window"), false))
        any = false;
    if (!any)
        c->window = 0;
    if (!c->window || c->window >= c->n_context) {
        c->window = c->family->window_period ? c->window : 0;
    } else if (c->traits & DECODER_WINDOW_IS_ALL) {
        c->n_context = c->window; /* up to there it makes no difference */
        c->window = 0;
    } else if (!(c->traits & DECODER_WINDOW)) {
        return refuse(err, "sliding_window", "this architecture is run without windows");
    }
    for (uint32_t i = 0; i < c->n_layers; i++) {
        bool usual = c->family->window_period == 0 || i % c->family->window_period < c->family->window_period - 1;
        c->is_window[i] = listed ? c->is_window[i] : period == 0 || i % period < period - 1;
        own |= c->is_window[i] != usual;
    }
    c->own_pattern = c->window && own;
    if (c->window && c->family->windowed)
        c->arch = c->family->windowed;
    if (c->own_pattern && !c->family->window_period)
        return refuse(err, "layer_types", "windows in some layers only");
    return OK;
}

/* ---- numbers ---- */

static status read_dims(decoder_config *c, const js *config, error *err)
{
    const struct {
        const char *key;
        uint32_t most, *to;
    } needed[] = { { "vocab_size", IMPORT_MAX_DIM, &c->n_vocab },
                   { "hidden_size", IMPORT_MAX_DIM, &c->n_embd },
                   { "num_hidden_layers", IMPORT_MAX_LAYERS, &c->n_layers },
                   { "num_attention_heads", HEADS_MAX, &c->n_heads },
                   { "intermediate_size", IMPORT_MAX_DIM, &c->n_ff } };
    status s = OK;
    for (size_t i = 0; !s && i < ARRAY_LEN(needed); i++)
        s = import_number(config, needed[i].key, needed[i].most, needed[i].to, err);
    if (!s)
        s = import_number_or(config, "num_key_value_heads", HEADS_MAX, c->n_heads, &c->n_kv_heads, err);
    if (!s && c->family->n_context)
        s = import_number_or(config, "max_position_embeddings", CONTEXT_MAX, c->family->n_context, &c->n_context, err);
    else if (!s)
        s = import_number(config, "max_position_embeddings", CONTEXT_MAX, &c->n_context, err);
    if (!s && !import_get(config, "head_dim") && c->n_embd % c->n_heads)
        s = fail(err, E_FORMAT, "config.json: hidden_size %u does not divide into %u heads", c->n_embd, c->n_heads);
    if (!s)
        s = import_number_or(config, "head_dim", DECODER_HEAD_MAX, c->n_embd / c->n_heads, &c->head_dim, err);
    if (!s && (c->head_dim % 2 || c->head_dim > DECODER_HEAD_MAX || c->n_heads % c->n_kv_heads))
        s = fail(err, E_FORMAT, "config.json: %u heads of %u values, %u for keys: heads are even, up to %d, and divide",
                 c->n_heads, c->head_dim, c->n_kv_heads, DECODER_HEAD_MAX);
    if (!s && c->family->eps > 0)
        s = import_real_or(config, "rms_norm_eps", 0, 1, c->family->eps, &c->eps, err);
    else if (!s)
        s = import_real(config, "rms_norm_eps", 0, 1, &c->eps, err);
    return s;
}

static status read_caps(decoder_config *c, const js *config, error *err)
{
    bool caps = (c->traits & DECODER_SOFTCAP) != 0;
    status s = import_real_or(config, "attn_logit_softcapping", 0, 1e6, caps ? 50 : 0, &c->attn_cap, err);
    return s ? s : import_real_or(config, "final_logit_softcapping", 0, 1e6, caps ? 30 : 0, &c->final_cap, err);
}

/* Of a decoder that makes vectors. */
static status read_pooling(decoder_config *c, const js *pooling, error *err)
{
    static const struct {
        const char *key;
        uint32_t type;
    } modes[] = { { "pooling_mode_mean_tokens", 1 },
                  { "pooling_mode_cls_token", 2 },
                  { "pooling_mode_lasttoken", 3 },
                  { "pooling_mode_max_tokens", 0 },
                  { "pooling_mode_mean_sqrt_len_tokens", 0 },
                  { "pooling_mode_weightedmean_tokens", 0 } };
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (js_bool(js_get(pooling, modes[i].key), false)) {
            c->pooling = modes[i].type;
            n++;
        }
    if (pooling && (n != 1 || !c->pooling))
        return fail(err, E_UNSUPPORTED, "1_Pooling/config.json: of a decoder one of mean, cls and lasttoken is known");
    return OK;
}

static void read_traits(decoder_config *c, const js *config)
{
    const js *tied = import_get(config, "tie_word_embeddings");
    c->traits = c->family->traits;
    if (tied)
        c->traits = js_bool(tied, false) ? c->traits | DECODER_TIED : c->traits & ~(uint32_t)DECODER_TIED;
    if ((c->traits & DECODER_MAY_BIAS) && js_bool(js_get(config, "attention_bias"), false))
        c->traits |= DECODER_QKV_BIAS | DECODER_O_BIAS;
    if ((c->traits & DECODER_MAY_BIAS) && js_bool(js_get(config, "mlp_bias"), false))
        c->traits |= DECODER_MLP_BIAS;
}

status decoder_config_read(decoder_config *out, const js *config, const js *pooling, error *err)
{
    *out = (decoder_config){ .family = find_family(config) };
    if (!out->family)
        return unknown_family(config, err);
    out->arch = out->family->name;
    read_traits(out, config);
    status s = check_wishes(out, config, err);
    if (!s)
        s = read_dims(out, config, err);
    if (!s)
        s = check_query_scale(out, config, err);
    if (!s)
        s = read_windows(out, config, err);
    if (!s)
        s = read_caps(out, config, err);
    if (!s)
        s = read_pooling(out, pooling, err);
    out->rope.base = out->family->rope_base;
    return s ? s : decoder_rope_read(out, config, err);
}
