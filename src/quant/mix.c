/* mix.c: roles by name, mixes by rules. The facts (which tensor gets which type) are llama.cpp's, src/llama-quant.cpp;
 * the form is a table of which the first row that applies counts. Adding a mix = a row in `mixes` and its rules. */
#include "quant/mix.h"

#include <string.h>
#include <strings.h>

#include "base/status.h"
#include "quant/quant.h"

/* ---- roles ---- */

/* Parts of names of matrices that stay as they are: small, and what they decide is not smooth. */
static const char *const kept_parts[] = { "_norm",       "ffn_gate_inp", "position_embd", "token_types",
                                          "rope_",       "ssm_conv1d",   "shortconv.conv" };

/* The first part that a name holds says its role. */
static const struct role_row {
    const char *part;
    quant_role role;
} role_rows[] = {
    { "attn_qkv.weight", QUANT_ATTN_V },
    { "attn_v.weight", QUANT_ATTN_V },
    { "attn_k.weight", QUANT_ATTN_K },
    { "attn_q.weight", QUANT_ATTN_Q },
    { "attn_output.weight", QUANT_ATTN_OUTPUT },
    { "ffn_up", QUANT_FFN_UP },
    { "ffn_gate", QUANT_FFN_GATE },
    { "ffn_down", QUANT_FFN_DOWN },
};

static bool holds(span name, const char *part)
{
    return memmem(name.p, name.n, part, strlen(part)) != NULL;
}

quant_role quant_role_of(span name, uint64_t rows)
{
    static const char end[] = ".weight";
    size_t n = sizeof end - 1;
    if (rows < 2 || name.n < n || memcmp(name.p + name.n - n, end, n) != 0)
        return QUANT_KEPT;
    for (size_t i = 0; i < ARRAY_LEN(kept_parts); i++)
        if (holds(name, kept_parts[i]))
            return QUANT_KEPT;
    if (span_is(name, "output.weight"))
        return QUANT_HEAD;
    if (span_is(name, "token_embd.weight"))
        return QUANT_EMBED;
    for (size_t i = 0; i < ARRAY_LEN(role_rows); i++)
        if (holds(name, role_rows[i].part))
            return role_rows[i].role;
    return QUANT_OTHER;
}

int32_t quant_layer_of(span name)
{
    static const char begin[] = "blk.";
    size_t i = sizeof begin - 1;
    int32_t layer = -1;
    if (name.n <= i || memcmp(name.p, begin, i) != 0)
        return -1;
    for (; i < name.n && name.p[i] >= '0' && name.p[i] <= '9' && layer < 100000; i++)
        layer = (layer < 0 ? 0 : layer * 10) + (name.p[i] - '0');
    return layer;
}

/* ---- mixes ---- */

enum {
    Q2_K_S, Q2_K, Q3_K_S, Q3_K_M, Q3_K_L, IQ4_XS, Q4_0, Q4_K_S, IQ4_NL, Q4_K_M, Q4_1, Q5_0, Q5_K_S, Q5_K_M, Q5_1, Q6_K,
    Q8_0, BF16, F16, F32, N_MIXES
};

static const quant_mix mixes[N_MIXES] = {
    [Q2_K_S] = { "Q2_K_S", QUANT_Q2_K, 21 },   [Q2_K] = { "Q2_K", QUANT_Q2_K, 10 },
    [Q3_K_S] = { "Q3_K_S", QUANT_Q3_K, 11 },   [Q3_K_M] = { "Q3_K_M", QUANT_Q3_K, 12 },
    [Q3_K_L] = { "Q3_K_L", QUANT_Q3_K, 13 },   [IQ4_XS] = { "IQ4_XS", QUANT_IQ4_XS, 30 },
    [Q4_0] = { "Q4_0", QUANT_Q4_0, 2 },        [Q4_K_S] = { "Q4_K_S", QUANT_Q4_K, 14 },
    [IQ4_NL] = { "IQ4_NL", QUANT_IQ4_NL, 25 }, [Q4_K_M] = { "Q4_K_M", QUANT_Q4_K, 15 },
    [Q4_1] = { "Q4_1", QUANT_Q4_1, 3 },        [Q5_0] = { "Q5_0", QUANT_Q5_0, 8 },
    [Q5_K_S] = { "Q5_K_S", QUANT_Q5_K, 16 },   [Q5_K_M] = { "Q5_K_M", QUANT_Q5_K, 17 },
    [Q5_1] = { "Q5_1", QUANT_Q5_1, 9 },        [Q6_K] = { "Q6_K", QUANT_Q6_K, 18 },
    [Q8_0] = { "Q8_0", QUANT_Q8_0, 7 },        [BF16] = { "BF16", QUANT_BF16, 32 },
    [F16] = { "F16", QUANT_F16, 1 },           [F32] = { "F32", QUANT_F32, 0 },
};

static const struct alias {
    const char *name;
    int mix;
} aliases[] = { { "Q3_K", Q3_K_M }, { "Q4_K", Q4_K_M }, { "Q5_K", Q5_K_M } };

/* Conditions of a rule; all that are set must hold. */
enum {
    FIRST_2 = 1 << 0, /* layers */
    FIRST_4 = 1 << 1,
    FIRST_8TH = 1 << 2,
    FIRST_16TH = 1 << 3,
    OUTER = 1 << 4, /* the first and the last eighth of the layers, and every third between them */
    GQA_4 = 1 << 5, /* four query heads or more share a key-value head: its values are small and count for more */
    LAYERS_80 = 1 << 6, /* the 70B sizes of Llama and Qwen2 */
    EXPERTS_8 = 1 << 7, /* Mixtral's eight, exactly */
    IMPORTANCES = 1 << 8,
    NO_IMPORTANCES = 1 << 9,
};

#define M(mix) (1u << (mix))
enum { MAIN = QUANT_F32 }; /* no rule gives F32: the mix's main type, and no later row is asked */

static const struct rule {
    uint32_t mixes;
    quant_role role;
    uint32_t when;
    uint32_t type;
} rules[] = {
    { M(Q8_0), QUANT_HEAD, 0, QUANT_Q8_0 },
    { ~0u, QUANT_HEAD, 0, QUANT_Q6_K },

    { ~0u, QUANT_ATTN_V, EXPERTS_8, QUANT_Q8_0 },
    { M(Q4_K_M) | M(Q5_K_M), QUANT_ATTN_V, OUTER, QUANT_Q6_K },
    { M(Q3_K_M), QUANT_ATTN_V, FIRST_2, QUANT_Q5_K },
    { M(Q4_K_S), QUANT_ATTN_V, FIRST_4, QUANT_Q5_K },
    { M(Q2_K_S) | M(Q2_K) | M(Q3_K_S) | M(Q3_K_M) | M(Q4_K_S) | M(Q4_K_M), QUANT_ATTN_V, LAYERS_80, QUANT_Q5_K },
    { M(Q2_K_S) | M(Q2_K), QUANT_ATTN_V, GQA_4, QUANT_Q4_K },
    { M(Q2_K), QUANT_ATTN_V, 0, QUANT_Q3_K },
    { M(Q3_K_M), QUANT_ATTN_V, 0, QUANT_Q4_K },
    { M(Q3_K_L), QUANT_ATTN_V, 0, QUANT_Q5_K },
    { M(IQ4_NL) | M(IQ4_XS), QUANT_ATTN_V, GQA_4, QUANT_Q5_K },

    { ~0u, QUANT_ATTN_K, EXPERTS_8, QUANT_Q8_0 },

    { M(Q2_K_S), QUANT_FFN_DOWN, FIRST_8TH, QUANT_Q4_K },
    { M(Q2_K), QUANT_FFN_DOWN, 0, QUANT_Q3_K },
    { M(Q3_K_M), QUANT_FFN_DOWN, FIRST_16TH, QUANT_Q5_K },
    { M(Q3_K_M), QUANT_FFN_DOWN, 0, QUANT_Q4_K },
    { M(Q3_K_L), QUANT_FFN_DOWN, 0, QUANT_Q5_K },
    { M(Q4_K_S), QUANT_FFN_DOWN, FIRST_8TH, QUANT_Q5_K },
    { M(Q4_K_M) | M(Q5_K_M), QUANT_FFN_DOWN, OUTER, QUANT_Q6_K },
    { M(IQ4_NL) | M(IQ4_XS), QUANT_FFN_DOWN, FIRST_8TH | NO_IMPORTANCES, QUANT_Q5_K },
    { M(Q4_0), QUANT_FFN_DOWN, FIRST_8TH | IMPORTANCES, QUANT_Q4_1 },
    { M(Q5_0), QUANT_FFN_DOWN, FIRST_8TH | IMPORTANCES, QUANT_Q5_1 },

    { M(Q2_K) | M(Q3_K_S) | M(Q3_K_M) | M(IQ4_NL) | M(IQ4_XS) | M(Q4_K_S) | M(Q4_K_M), QUANT_ATTN_OUTPUT, EXPERTS_8,
      QUANT_Q5_K },
    { ~0u, QUANT_ATTN_OUTPUT, EXPERTS_8, MAIN },
    { M(Q2_K), QUANT_ATTN_OUTPUT, 0, QUANT_Q3_K },
    { M(Q3_K_M), QUANT_ATTN_OUTPUT, 0, QUANT_Q4_K },
    { M(Q3_K_L), QUANT_ATTN_OUTPUT, 0, QUANT_Q5_K },
};

const quant_mix *quant_mix_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(mixes); i++)
        if (strcasecmp(mixes[i].name, name) == 0)
            return &mixes[i];
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (strcasecmp(aliases[i].name, name) == 0)
            return &mixes[aliases[i].mix];
    return NULL;
}

const quant_mix *quant_mix_at(size_t i)
{
    return i < ARRAY_LEN(mixes) ? &mixes[i] : NULL;
}

static uint32_t conditions(const quant_mix_model *m, uint32_t layer)
{
    uint32_t n = m->n_layers, eighth = n / 8;
    bool outer = layer < eighth || layer >= 7 * n / 8 || (layer - eighth) % 3 == 2;
    return (layer < 2 ? FIRST_2 : 0) | (layer < 4 ? FIRST_4 : 0) | (layer < eighth ? FIRST_8TH : 0) |
           (layer < n / 16 ? FIRST_16TH : 0) | (outer ? OUTER : 0) | (m->n_gqa >= 4 ? GQA_4 : 0) |
           (n == 80 && m->n_gqa > 1 ? LAYERS_80 : 0) | (m->n_experts == 8 ? EXPERTS_8 : 0) |
           (m->importances ? IMPORTANCES : NO_IMPORTANCES);
}

uint32_t quant_mix_type(const quant_mix *mix, const quant_mix_model *model, quant_role role, uint32_t layer,
                        uint64_t cols)
{
    uint32_t held = conditions(model, layer), type = mix->main;
    if (role == QUANT_KEPT)
        return QUANT_F32;
    if (quant_find(mix->main)->block == 1)
        return mix->main;
    if (role == QUANT_EMBED && model->tied)
        role = QUANT_HEAD;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        const struct rule *r = &rules[i];
        if (!(r->mixes & M(mix - mixes)) || r->role != role || (r->when & ~held))
            continue;
        type = r->type == MAIN ? mix->main : r->type;
        break;
    }
    return quant_type_fitting(type, cols);
}

uint32_t quant_type_fitting(uint32_t type, uint64_t cols)
{
    static const uint32_t shorter[][2] = {
        { QUANT_Q2_K, QUANT_Q4_0 }, { QUANT_Q3_K, QUANT_Q4_0 }, { QUANT_Q4_K, QUANT_Q5_0 },
        { QUANT_Q5_K, QUANT_Q5_1 }, { QUANT_Q6_K, QUANT_Q8_0 }, { QUANT_IQ4_XS, QUANT_IQ4_NL },
    };
    if (cols % quant_find(type)->block == 0)
        return type;
    for (size_t i = 0; i < ARRAY_LEN(shorter); i++)
        if (shorter[i][0] == type && cols % quant_find(shorter[i][1])->block == 0)
            return shorter[i][1];
    return QUANT_F16;
}
