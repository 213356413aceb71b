/* small.h: small models, pieces of text and tools for tests of what pack measures. One test program each. */
#ifndef TESTS_PACK_SMALL_H
#define TESTS_PACK_SMALL_H

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "lib/check.h"
#include "lib/random.h"
#include "lib/tiny_model.h"
#include "pack/matrix.h"
#include "pack/reference.h"
#include "plat/cpu.h"

enum { SMALL_VOCAB = 64, SMALL_PIECES = 4, SMALL_TOKENS = 200 + 1 + 70 + 20 };

/* ---- tools ---- */

typedef struct small_tools {
    kernels k;
    pool *pool;
    matrix_tools t;
} small_tools;

static inline bool small_tools_open(small_tools *s, int n_threads)
{
    unsigned features;
    error e;
    if (cpu_choose(NULL, &features, &e) || pool_open(&s->pool, n_threads, &e))
        return false;
    kernels_init(&s->k, features);
    s->t = (matrix_tools){ &s->k, s->pool };
    return true;
}

/* ---- models ---- */

enum { SMALL_LLAMA, SMALL_UNTIED, SMALL_GEMMA, SMALL_MISTRAL, SMALL_ENCODER, SMALL_KINDS };

/* gemma3: windows in all layers but the sixth; mistral: in all of them. Windows are shorter than pieces.
 * 64 tokens. */
static inline void small_write(int kind)
{
    tiny_model m = tiny_model_default();
    m.n_vocab = SMALL_VOCAB;
    if (kind == SMALL_UNTIED) {
        m.extra = "output.weight";
    } else if (kind == SMALL_GEMMA) {
        m.arch = "gemma3";
        m.window = 48;
        m.post_norm = m.qk_norm = true;
        m.n_layers = 7;
    } else if (kind == SMALL_MISTRAL) {
        m.arch = "mistral";
        m.window = 48;
    } else if (kind == SMALL_ENCODER) {
        m.arch = "bert";
        m.encoder = m.qkv_bias = true;
        m.n_kv_heads = m.n_heads;
    }
    tiny_model_write(&m, tiny_model_path());
}

static inline gguf *small_file(void)
{
    gguf *g = NULL;
    assert_ok(gguf_open(&g, tiny_model_path(), err));
    return g;
}

/* ---- text ---- */

typedef struct small_text {
    int32_t ids[SMALL_TOKENS];
    size_t starts[SMALL_PIECES + 1];
} small_text;

/* Pieces of 200, 1, 70 and 20 tokens. */
static inline reference_text small_pieces(small_text *s)
{
    static const size_t starts[SMALL_PIECES + 1] = { 0, 200, 201, 271, 291 };
    memcpy(s->starts, starts, sizeof starts);
    for (size_t i = 0; i < SMALL_TOKENS; i++)
        s->ids[i] = (int32_t)rnd(SMALL_VOCAB);
    return (reference_text){ s->ids, s->starts, SMALL_PIECES };
}

/* ---- numbers ---- */

/* For reference_put: user is all rows of the tensor. */
static inline status small_give(void *user, const gguf_tensor *t, uint64_t first, size_t n, float *rows, error *err)
{
    (void)err;
    memcpy(rows, (const float *)user + first * t->ne[0], n * (size_t)t->ne[0] * sizeof *rows);
    return OK;
}

static inline float small_normal(void)
{
    float sum = -6;
    for (int i = 0; i < 12; i++)
        sum += (float)rnd(1 << 20) / (float)(1 << 20);
    return sum;
}

static inline float *small_noise(size_t n)
{
    float *x = mem_array(n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = small_normal();
    return x;
}

/* Rows whose values lean on their neighbours', as activations do. */
static inline float *small_leaning(size_t rows, size_t n)
{
    float *x = small_noise(rows * n);
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 1; j < n; j++)
            x[r * n + j] = 0.9f * x[r * n + j - 1] + 0.4f * x[r * n + j] * (j % 7 ? 1 : 4);
    return x;
}

#endif
