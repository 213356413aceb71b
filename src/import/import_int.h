/* import_int.h: what the files of import/ share: weights by name, whatever format they came in. Private to import/. */
#ifndef IMPORT_IMPORT_INT_H
#define IMPORT_IMPORT_INT_H

#include <stdbool.h>

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "gguf/write.h"
#include "import/import.h"

enum {
    IMPORT_MAX_TENSORS = 1 << 16,
    IMPORT_MAX_HEADER = 16 << 20, /* bytes of safetensors' JSON */
    IMPORT_MAX_TEXT = 64 << 20,   /* bytes of config.json, tokenizer.json ... */
    IMPORT_MAX_NAME = 512,
    IMPORT_MAX_DIM = 1 << 24,
    IMPORT_ARENA = 256 << 20,
};

/* How values lie in the file. */
typedef enum import_kind {
    IMPORT_OTHER, /* a type that no weight has; such a tensor may be there, but not be used */
    IMPORT_F32,
    IMPORT_F16,
    IMPORT_BF16,
    IMPORT_U8, /* (code - zero) * scale, one scale for all */
    IMPORT_I8,
    IMPORT_NBITS4, /* blocks along a row: (code - 8) * scale of the block; two codes a byte, the first is the low */
} import_kind;

/* A matrix [rows][cols] (a vector: rows 1), little endian, unaligned; checked to lie in the file as a whole. */
typedef struct import_tensor {
    span name; /* without "bert.", with .weight and .bias */
    import_kind kind;
    bool transposed; /* lies as [cols][rows]; floats only */
    bool used;
    int n_dims; /* 1 or 2; 0: a shape that no weight has */
    uint64_t rows, cols;
    const unsigned char *data, *scales; /* scales: f32 [rows][ceil(cols / block)] */
    uint32_t block;
    float scale;
    int32_t zero;
} import_tensor;

typedef struct import_weights {
    import_tensor *list;
    size_t n;
    arena memory; /* the list and its names; ARENA_INIT(IMPORT_ARENA) */
    const char *file; /* its name, for errors */
} import_weights;

/* Over the bytes of a whole file, which must outlive the weights. */
status import_safetensors(import_weights *out, const unsigned char *p, size_t n, error *err) MUST_CHECK;
status import_onnx(import_weights *out, const unsigned char *p, size_t n, error *err) MUST_CHECK;
/* Fills t->name from a name as it is in the file. */
status import_name(import_weights *w, import_tensor *t, span name, error *err) MUST_CHECK;
/* Row `row` in F32. */
void import_row(const import_tensor *t, uint64_t row, float *out);

/* ---- tokens ---- */

typedef struct import_vocab {
    span *texts;     /* [n], in GGUF's spelling: U+2581 begins a word */
    int32_t *types;  /* [n] */
    uint32_t n;
    int32_t unk, cls, sep, pad, mask; /* -1: none (of pad and mask) */
    bool lowercase, strip_accents;
    arena memory;
} import_vocab;

/* From tokenizer.json (json) or vocab.txt (lines) with tokenizer_config.json (config); what is not there is NULL or
 * empty. n: how many the model has rows for. */
status import_vocab_read(import_vocab *out, const js *json, span lines, const js *config, uint32_t n, error *err)
    MUST_CHECK;

/* ---- BERT ---- */

typedef struct bert_config {
    uint32_t n_vocab, n_embd, n_layers, n_heads, n_ff, n_positions, n_types, n_classes;
    double eps;
    uint32_t pooling; /* as in the file: 0 none, 1 mean, 2 cls, 4 rank */
    const js *labels; /* id2label, of a classifier */
} bert_config;

/* modules: of config.json's neighbour 1_Pooling/config.json, or NULL. */
status bert_config_read(bert_config *out, const js *config, const js *pooling, error *err) MUST_CHECK;
/* Writes the keys, then the tensors. */
status bert_write(gguf_writer *w, const bert_config *c, import_weights *weights, const import_vocab *v,
                  const import_options *o, const char *name, import_report *report, error *err) MUST_CHECK;

#endif
