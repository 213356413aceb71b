/* arch.c: the architectures. The only place in the program that knows their names. */
#include "model/arch.h"

#include "base/status.h"

static const arch rows[] = {
    /* SmolLM2, Llama 1 to 3.x, Mistral 7B, Yi, TinyLlama ... Llama 3.1 stretches rope by rope_freqs.weight. */
    { .name = "llama", .rope = ARCH_ROPE_ADJACENT, .act = ARCH_SILU, .traits = ARCH_ROPE_FULL },
    /* As above under its own name; a sliding window in every layer where the file has one. */
    { .name = "mistral", .rope = ARCH_ROPE_ADJACENT, .act = ARCH_SILU, .traits = ARCH_ROPE_FULL | ARCH_WINDOW },
    /* Ministral 3: yarn, and queries scaled by position. */
    { .name = "mistral3",
      .rope = ARCH_ROPE_ADJACENT,
      .act = ARCH_SILU,
      .traits = ARCH_ROPE_FULL | ARCH_Q_TEMPERATURE },
    { .name = "qwen2", .rope = ARCH_ROPE_HALVES, .act = ARCH_SILU, .traits = ARCH_QKV_BIAS },
    { .name = "qwen3", .rope = ARCH_ROPE_HALVES, .act = ARCH_SILU, .traits = ARCH_QK_NORM },
    { .name = "gemma2",
      .rope = ARCH_ROPE_HALVES,
      .act = ARCH_GELU_TANH,
      .traits = ARCH_POST_NORM | ARCH_EMBED_SQRT | ARCH_WINDOW | ARCH_SOFTCAP,
      .window_period = 2,
      .window = 4096,
      .attn_cap = 50.0f,
      .final_cap = 30.0f,
      .wide_query_layers = 46 },
    /* Files of the 270M size have a window but neither its period, nor the local rope base, nor the embedding scale. */
    { .name = "gemma3",
      .rope = ARCH_ROPE_HALVES,
      .act = ARCH_GELU_TANH,
      .traits = ARCH_POST_NORM | ARCH_EMBED_SQRT | ARCH_QK_NORM | ARCH_WINDOW | ARCH_WINDOW_ROPE,
      .window_period = 6,
      .window_rope_base = 10000.0f,
      .wide_query_layers = 62 },
    /* Phi 3, 3.5, 4-mini. The window in its files is not used: converters fill it in for models that have none. */
    { .name = "phi3", .rope = ARCH_ROPE_HALVES, .act = ARCH_SILU, .traits = ARCH_FUSED_QKV | ARCH_FUSED_GATE_UP },
    /* BERT, MiniLM, BGE, E5, GTE ... */
    { .name = "bert",
      .act = ARCH_GELU_ERF,
      .traits = ARCH_ENCODER | ARCH_NORM_AFTER | ARCH_POSITIONS | ARCH_NO_GATE | ARCH_QKV_BIAS },
    { .name = "nomic-bert",
      .rope = ARCH_ROPE_HALVES,
      .act = ARCH_SILU,
      .traits = ARCH_ENCODER | ARCH_NORM_AFTER | ARCH_FUSED_QKV },
};

const arch *arch_find(span name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (span_is(name, rows[i].name))
            return &rows[i];
    return NULL;
}

const arch *arch_at(size_t i)
{
    return i < ARRAY_LEN(rows) ? &rows[i] : NULL;
}
