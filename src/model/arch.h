/* arch.h: what one architecture is, as data. Private to src/model. Any thread: constants only.
 *
 * Numbers (widths, heads, bases) come from the file; a row says the shape: which norms there are, how rope pairs its
 * values, which activation, and what a file of this kind leaves unsaid. A new architecture that differs only along
 * these axes is a row in arch.c, a test, and nothing else. What a row cannot say is a new mixer. */
#ifndef MODEL_ARCH_H
#define MODEL_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Which two values of a head rope turns together. */
typedef enum arch_rope {
    ARCH_ROPE_ADJACENT, /* 2i and 2i + 1; converters have permuted q and k to suit: never permute at load */
    ARCH_ROPE_HALVES,   /* i and i + rope_dim / 2 */
} arch_rope;

typedef enum arch_act { ARCH_SILU, ARCH_GELU_TANH, ARCH_GELU_ERF } arch_act;

enum {
    ARCH_QKV_BIAS = 1 << 0,      /* q, k, v have biases (elsewhere they are used if the file has them) */
    ARCH_QK_NORM = 1 << 1,       /* RMS norm of each head of q and k, before rope */
    ARCH_POST_NORM = 1 << 2,     /* a second norm after attention and after the feed-forward, before the residual sum */
    ARCH_EMBED_SQRT = 1 << 3,    /* embeddings are multiplied by sqrt(n_embd) */
    ARCH_FUSED_QKV = 1 << 4,     /* one tensor holds the rows of q, then k, then v */
    ARCH_FUSED_GATE_UP = 1 << 5, /* one tensor holds the rows of gate, then up */
    ARCH_WINDOW = 1 << 6,        /* sliding windows where the file (or the row) gives their width */
    ARCH_WINDOW_ROPE = 1 << 7,   /* window layers have a rope base of their own, and no scaling */
    ARCH_SOFTCAP = 1 << 8,       /* logits of attention and of the head are capped: c * tanh(x / c) */
    ARCH_Q_TEMPERATURE = 1 << 9, /* queries grow with the logarithm of the position */
    ARCH_ROPE_FULL = 1 << 10,    /* rope must turn the whole head */
    ARCH_ENCODER = 1 << 11,      /* every position sees the whole text; no next token, a classifier at most */
    ARCH_NORM_AFTER = 1 << 12,   /* layer norms with biases, of the embeddings and after each residual sum */
    ARCH_POSITIONS = 1 << 13,    /* a learned vector a position, no rope */
    ARCH_NO_GATE = 1 << 14,      /* the feed-forward is down(act(up)): the only place for ARCH_GELU_ERF */
};

typedef struct arch {
    const char *name; /* general.architecture, and the prefix of its keys */
    arch_rope rope;
    arch_act act;
    uint32_t traits;
    uint32_t window_period;     /* every window_period-th layer sees everything; 0: as the file says, else all do */
    uint32_t window;            /* width when the file is silent; 0: then no windows */
    float window_rope_base;     /* ARCH_WINDOW_ROPE: base of window layers when the file is silent; 0: the common one */
    float attn_cap, final_cap;  /* ARCH_SOFTCAP: when the file is silent */
    uint32_t wide_query_layers; /* the size with this many layers scales queries by n_embd / n_heads, not head_dim */
} arch;

/* NULL: not known. */
const arch *arch_find(span name);
/* The i-th row, for listing; NULL past the last. */
const arch *arch_at(size_t i);

#endif
