/* walk.h: what the random walks of sessions through small pools have in common (test_window, test_prefix). */
#ifndef TESTS_ENGINE_WALK_H
#define TESTS_ENGINE_WALK_H

#include <string.h>

#include "engine/engine_int.h"
#include "lib/tiny_model.h"

static inline uint32_t random_below(uint32_t *x, uint32_t n)
{
    *x = *x * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(*x >> 4) * n >> 28);
}

/* gemma3: every sixth layer sees everything; mistral: every layer sees a window; llama: none does. */
static inline void write_window_model(const char *kind, uint32_t window)
{
    tiny_model m = tiny_model_default();
    m.arch = kind;
    m.window = window;
    if (!strcmp(kind, "gemma3")) {
        m.post_norm = m.qk_norm = true;
        m.n_layers = 7;
    }
    tiny_model_write(&m, tiny_model_path());
}

/* Bytes that are no zero and, as F16 and as F32, no number. Pages never handed out must stay zero. */
static inline void poison_free_pages(engine *e)
{
    for (int k = 0; k < MODEL_KINDS; k++) {
        kv_pool *kv = &e->kv[k];
        for (uint32_t i = 0; i < kv->n_free; i++)
            if (kv->used[(size_t)(kv->free_list[i] - kv->base) / kv->page_bytes])
                memset(kv->free_list[i], 0xFF, kv->page_bytes);
    }
}

#endif
