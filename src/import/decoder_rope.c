/* decoder_rope.c: how positions turn queries and keys. config.json says it in one of three ways:
 *
 *     "rope_theta": 10000, "rope_scaling": {"rope_type" (or "type"): "llama3", "factor": 8, ...}
 *     "rope_parameters": {"rope_theta": 10000, "rope_type": "llama3", ...}
 *     "rope_parameters": {"full_attention": {...}, "sliding_attention": {...}}                      (Gemma 3) */
#include <math.h>
#include <string.h>

#include "import/family_int.h"

#define PI 3.14159265358979323846

static const struct {
    const char *name;
    decoder_scaling kind;
} kinds[] = { { "default", SCALING_NONE },   { "linear", SCALING_LINEAR },     { "llama3", SCALING_LLAMA3 },
              { "yarn", SCALING_YARN },      { "longrope", SCALING_LONGROPE }, { "su", SCALING_LONGROPE } };

/* Llama 3.1: pairs that turn seldom within the old context are slowed down by the factor, those that turn often stay,
 * with a ramp between. */
static status read_llama3(decoder_config *c, const js *rope, error *err)
{
    decoder_rope *r = &c->rope;
    double low, high;
    status s = import_real(rope, "factor", 1, 1e6, &r->factor, err);
    if (!s)
        s = import_real(rope, "low_freq_factor", 1e-3, 1e6, &low, err);
    if (!s)
        s = import_real(rope, "high_freq_factor", 1e-3, 1e6, &high, err);
    if (!s)
        s = import_number(rope, "original_max_position_embeddings", 1 << 30, &r->original, err);
    if (!s && !(high > low))
        s = fail(err, E_FORMAT, "config.json: rope: high_freq_factor is not above low_freq_factor");
    for (uint32_t i = 0; !s && i < r->n; i++) {
        double turns = r->original * pow(r->base, -2.0 * i / c->rope_dim) / (2 * PI);
        double keep = (turns - low) / (high - low);
        keep = keep < 0 ? 0 : keep > 1 ? 1 : keep;
        r->divisors[i] = (float)(1 / ((1 - keep) / r->factor + keep));
    }
    return s;
}

/* cos and sin grow by 0.1 ln(factor) + 1 unless config.json says by how much: the key is what that differs by. */
static status read_yarn(decoder_config *c, const js *rope, error *err)
{
    static const char *const unknown[] = { "mscale", "mscale_all_dim", "extrapolation_factor", "finetuned" };
    decoder_rope *r = &c->rope;
    double said;
    status s = import_real(rope, "factor", 1, 1e6, &r->factor, err);
    if (!s)
        s = import_number_or(rope, "original_max_position_embeddings", 1 << 30, c->n_context, &r->original, err);
    if (!s)
        s = import_real_or(rope, "beta_fast", 1e-3, 1e6, 32, &r->fast, err);
    if (!s)
        s = import_real_or(rope, "beta_slow", 1e-3, 1e6, 1, &r->slow, err);
    double usual = 0.1 * log(r->factor > 1 ? r->factor : 1) + 1;
    if (!s)
        s = import_real_or(rope, "attention_factor", 1e-3, 1e3, usual, &said, err);
    if (!s && fabs(said / usual - 1) > 1e-6)
        r->attn_factor = said / usual;
    for (size_t i = 0; !s && i < ARRAY_LEN(unknown); i++)
        if (import_get(rope, unknown[i]))
            s = fail(err, E_UNSUPPORTED, "config.json: rope: yarn with %s", unknown[i]);
    if (!s && !js_bool(import_get(rope, "truncate"), true))
        s = fail(err, E_UNSUPPORTED, "config.json: rope: yarn without truncate");
    return s;
}

static status read_factors(const decoder_rope *r, const js *rope, const char *key, float *out, error *err)
{
    const js *list = js_get(rope, key);
    if (js_len(list) != r->n || !js_is(list, JS_ARRAY))
        return fail(err, E_FORMAT, "config.json: rope: %s must be a list of %u numbers", key, r->n);
    for (uint32_t i = 0; i < r->n; i++) {
        double v;
        if (!js_double(js_at(list, i), &v) || !(v >= 1e-6 && v <= 1e9))
            return fail(err, E_RANGE, "config.json: rope: %s[%u] is no number from 1e-6 to 1e9", key, i);
        out[i] = (float)v;
    }
    return OK;
}

/* Phi 3: one list of divisors up to the old context, another beyond. */
static status read_longrope(decoder_config *c, const js *config, const js *rope, error *err)
{
    static const char *const unknown[] = { "short_mscale", "long_mscale" };
    decoder_rope *r = &c->rope;
    const js *from = import_get(rope, "original_max_position_embeddings") ? rope : config;
    status s = import_number(from, "original_max_position_embeddings", 1 << 30, &r->original, err);
    if (!s)
        s = read_factors(r, rope, "short_factor", r->divisors, err);
    if (!s)
        s = read_factors(r, rope, "long_factor", r->longer, err);
    for (size_t i = 0; !s && i < ARRAY_LEN(unknown); i++)
        if (import_get(rope, unknown[i]))
            s = fail(err, E_UNSUPPORTED, "config.json: rope: longrope with %s", unknown[i]);
    if (s)
        return s;
    double stretch = (double)c->n_context / r->original;
    double usual = stretch > 1 && r->original > 1 ? sqrt(1 + log(stretch) / log(r->original)) : 1;
    return import_real_or(rope, "attention_factor", 1e-3, 1e3, usual, &r->attn_factor, err);
}

static status read_scaling(decoder_config *c, const js *config, const js *rope, error *err)
{
    const char *type = js_text(import_get(rope, "rope_type"));
    type = type ? type : js_text(import_get(rope, "type"));
    size_t k = 0;
    while (type && k < ARRAY_LEN(kinds) && strcmp(type, kinds[k].name) != 0)
        k++;
    if (k == ARRAY_LEN(kinds))
        return fail(err, E_UNSUPPORTED, "config.json: rope_type '%.40s' is not default, linear, llama3, yarn or "
                    "longrope", type);
    c->rope.scaling = kinds[k].kind;
    if (c->rope.scaling == SCALING_LONGROPE && !(c->traits & DECODER_PARTIAL_ROPE))
        return fail(err, E_UNSUPPORTED, "config.json: rope_type '%s' for %s", type, c->arch);
    switch (c->rope.scaling) {
    case SCALING_NONE: return OK;
    case SCALING_LINEAR: return import_real(rope, "factor", 1e-3, 1e6, &c->rope.factor, err);
    case SCALING_LLAMA3: return read_llama3(c, rope, err);
    case SCALING_YARN: return read_yarn(c, rope, err);
    case SCALING_LONGROPE: return read_longrope(c, config, rope, err);
    }
    return OK;
}

status decoder_rope_read(decoder_config *c, const js *config, error *err)
{
    const js *all = import_get(config, "rope_parameters"), *rope = all ? all : import_get(config, "rope_scaling");
    const js *local = import_get(all, "sliding_attention");
    rope = import_get(rope, "full_attention") ? import_get(rope, "full_attention") : rope;
    const js *base = import_get(rope, "rope_theta") ? rope : config;
    const js *part = import_get(rope, "partial_rotary_factor") ? rope : config;
    double turned = 1;
    c->rope.attn_factor = 1;
    status s = import_real_or(base, "rope_theta", 1.5, 1e12, c->rope.base, &c->rope.base, err);
    if (!s)
        s = import_real_or(part, "partial_rotary_factor", 1e-3, 1, 1, &turned, err);
    c->rope_dim = (uint32_t)(c->head_dim * turned);
    c->rope.n = c->rope_dim / 2;
    if (!s && (turned < 1 || c->rope_dim % 2 || !c->rope_dim) && !(c->traits & DECODER_PARTIAL_ROPE))
        s = fail(err, E_UNSUPPORTED, "config.json: partial_rotary_factor %g: %s turns whole heads", turned, c->arch);
    if (!s && (c->rope_dim % 2 || !c->rope_dim))
        s = fail(err, E_FORMAT, "config.json: partial_rotary_factor %g turns %u values of a head", turned, c->rope_dim);
    if (!s && (c->traits & DECODER_LOCAL_ROPE)) {
        s = local ? import_real(local, "rope_theta", 1.5, 1e12, &c->rope.window_base, err)
                  : import_real_or(config, "rope_local_base_freq", 1.5, 1e12, 10000, &c->rope.window_base, err);
        if (!s && !import_is_text(local, "rope_type", "default", true))
            s = fail(err, E_UNSUPPORTED, "config.json: rope_parameters: sliding_attention is stretched");
    }
    return s ? s : read_scaling(c, config, rope, err);
}
