/* family_int.h: the kinds of models that are imported. Private to import/.
 *
 * A family reads config.json, says how many rows its vocabulary has, and writes keys and tensors. */
#ifndef IMPORT_FAMILY_INT_H
#define IMPORT_FAMILY_INT_H

#include "import/vocab_int.h"

/* ---- BERT ---- */

typedef struct bert_config {
    uint32_t n_vocab, n_embd, n_layers, n_heads, n_ff, n_positions, n_types, n_classes;
    double eps;
    uint32_t pooling; /* as in the file: 0 none, 1 mean, 2 cls, 4 rank */
    const js *labels; /* id2label, of a classifier */
} bert_config;

bool bert_is(const js *config);
/* pooling: config.json's neighbour 1_Pooling/config.json, or NULL. */
status bert_config_read(bert_config *out, const js *config, const js *pooling, error *err) MUST_CHECK;
status bert_write(gguf_writer *w, const bert_config *c, import_weights *weights, const import_vocab *v,
                  const import_options *o, const char *name, import_report *report, error *err) MUST_CHECK;

/* ---- decoders ---- */

typedef enum decoder_scaling {
    SCALING_NONE,
    SCALING_LINEAR,
    SCALING_LLAMA3,
    SCALING_YARN,
    SCALING_LONGROPE
} decoder_scaling;

enum { DECODER_HEAD_MAX = 1024 };

typedef struct decoder_rope {
    double base, window_base; /* window_base 0: none of its own */
    decoder_scaling scaling;
    double factor, attn_factor, fast, slow; /* attn_factor 1, fast and slow 0: not to be said */
    uint32_t original;                      /* context before the stretching; 0: not said */
    uint32_t n;                             /* pairs that are turned: half of decoder_config.rope_dim */
    float divisors[DECODER_HEAD_MAX / 2], longer[DECODER_HEAD_MAX / 2]; /* LLAMA3; LONGROPE: short ones, and long */
} decoder_rope;

typedef struct decoder_family decoder_family;

typedef struct decoder_config {
    const decoder_family *family;
    const char *arch; /* general.architecture */
    uint32_t traits;
    uint32_t n_vocab, n_embd, n_layers, n_heads, n_kv_heads, n_ff, n_context, head_dim, rope_dim;
    uint32_t window;        /* 0: none */
    uint32_t pooling;       /* as in the file: 1 mean, 2 cls, 3 last; 0: not said */
    bool own_pattern;       /* which layers have windows is not what the architecture says */
    bool is_window[IMPORT_MAX_LAYERS];
    double eps, attn_cap, final_cap; /* caps 0: none */
    decoder_rope rope;
} decoder_config;

enum {
    DECODER_INTERLEAVED = 1 << 0,  /* rope turns neighbours: q and k have their rows in another order */
    DECODER_QKV_BIAS = 1 << 1,
    DECODER_O_BIAS = 1 << 2,
    DECODER_MLP_BIAS = 1 << 3,
    DECODER_QK_NORM = 1 << 4,
    DECODER_POST_NORM = 1 << 5,    /* a second norm after attention and after the feed-forward */
    DECODER_PLUS_ONE = 1 << 6,     /* norms are kept less one */
    DECODER_FUSED = 1 << 7,        /* q, k, v in one matrix; gate and up in one */
    DECODER_TIED = 1 << 8,         /* the embeddings are the head; of a family: unless config.json says otherwise */
    DECODER_MAY_BIAS = 1 << 9,     /* config.json may ask for biases */
    DECODER_SOFTCAP = 1 << 10,
    DECODER_FINAL_CAP = 1 << 11,   /* the head alone may be capped */
    DECODER_WINDOW = 1 << 12,      /* is run with windows, where config.json has them */
    DECODER_WINDOW_SWITCH = 1 << 13, /* use_sliding_window says whether there are any */
    DECODER_WINDOW_IS_ALL = 1 << 14, /* the runtime knows no window: no context beyond it */
    DECODER_PARTIAL_ROPE = 1 << 15,
    DECODER_LOCAL_ROPE = 1 << 16,  /* layers with windows have a rope base of their own */
    DECODER_QUERY_SCALAR = 1 << 17, /* config.json says by what queries are scaled */
};

/* E_UNSUPPORTED, with a list of what there is, for an architecture that is not known. */
status decoder_config_read(decoder_config *out, const js *config, const js *pooling, error *err) MUST_CHECK;
/* Sets rope and rope_dim; rope.base is what stands where config.json is silent, all the rest is read already. */
status decoder_rope_read(decoder_config *out, const js *config, error *err) MUST_CHECK;
status decoder_write(gguf_writer *w, const decoder_config *c, import_weights *weights, const import_vocab *v,
                     const import_options *o, const char *name, import_report *report, error *err) MUST_CHECK;

#endif
