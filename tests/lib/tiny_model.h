/* tiny_model.h: a model of random weights in a GGUF file, small enough to run hundreds of positions in a test. The same
 * options give the same bytes. */
#ifndef TESTS_TINY_MODEL_H
#define TESTS_TINY_MODEL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tiny_model {
    const char *arch;    /* "llama", "gemma3" ... without fused tensors */
    uint32_t n_embd, n_layers, n_ff, n_heads, n_kv_heads, head_dim, n_vocab, context;
    uint32_t window;     /* 0: none */
    bool post_norm, qk_norm, qkv_bias;
    bool encoder;        /* "bert": other norms, learned positions, no gate; qkv_bias is set too */
    uint32_t n_classes;  /* of its classifier; 0: none */
    const char *missing; /* a tensor to leave out, or NULL */
    const char *bent;    /* a tensor that gets 32 columns more, or NULL */
    const char *extra;   /* a tensor that nobody expects, or "output.weight", or NULL */
    const char *like;    /* a GGUF file whose tokenizer, chat template included, it takes over, or NULL: none */
} tiny_model;

/* n_embd 64, two layers, 4 heads of 16 over 2 KV heads, 96 tokens, context 1024; tied embedding. */
tiny_model tiny_model_default(void);

/* One that stands in for a real model where that would take too long: its architecture, tokenizer and context, so that
 * prompts and templates are the real ones; what it answers is nonsense. `like` must outlive it. */
tiny_model tiny_model_like(const char *like);

/* Where this process keeps its tiny model, below the build: a file of its own, since several runs may be under way in
 * one tree. It goes when the process ends. */
const char *tiny_model_path(void);

/* Matrices take turns in Q8_0, Q4_0, Q5_1, F16, Q4_1, Q5_0. Ends the test on failure. */
void tiny_model_write(const tiny_model *m, const char *path);

#endif
