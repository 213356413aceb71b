/* import_int.h: what the files of import/ share: the files of a folder, weights by name whatever format they came in,
 * numbers of config.json. Private to import/. */
#ifndef IMPORT_IMPORT_INT_H
#define IMPORT_IMPORT_INT_H

#include <stdbool.h>

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "gguf/write.h"
#include "import/import.h"
#include "plat/file_map.h"

enum {
    IMPORT_MAX_TENSORS = 1 << 16,
    IMPORT_MAX_HEADER = 16 << 20, /* bytes of safetensors' JSON */
    IMPORT_MAX_TEXT = 64 << 20,   /* bytes of config.json, tokenizer.json ... */
    IMPORT_MAX_NAME = 512,
    IMPORT_MAX_DIM = 1 << 24,
    IMPORT_MAX_LAYERS = 512,
    IMPORT_MAX_FILES = 1024, /* of weights */
    IMPORT_ARENA = 256 << 20,
    IMPORT_PATH = 4096,
};

/* ---- files ---- */

/* What a folder holds beside its weights. Not there: NULL, or empty. */
typedef struct import_files {
    char folder[IMPORT_PATH], weights[IMPORT_PATH]; /* weights: the file, or the index of several */
    js *config;                                     /* never NULL */
    js *generation, *pooling, *tokenizer, *tokenizer_config;
    js *index;              /* of sharded weights */
    file_map lines;         /* vocab.txt */
    file_map sentencepiece; /* tokenizer.model */
    file_map chat_template; /* chat_template.jinja */
} import_files;

/* FOLDER/NAME; E_RANGE when it is too long. */
status import_path(char out[IMPORT_PATH], const char *folder, const char *name, error *err) MUST_CHECK;
/* from: a folder, or a weights file in it. Only what the weights are is found out: they are not opened. */
status import_files_open(import_files *out, const char *from, error *err) MUST_CHECK;
void import_files_close(import_files *f);

/* ---- weights ---- */

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
    span name; /* without "bert." and "model.", with .weight and .bias; zero-terminated */
    import_kind kind;
    bool transposed; /* lies as [cols][rows]; floats only */
    bool used;
    int n_dims; /* 1 or 2; 0: a shape that no weight has */
    uint64_t rows, cols;
    const unsigned char *data, *scales; /* scales: f32 [rows][ceil(cols / block)] */
    uint32_t block;
    float scale;
    int32_t zero;
    const char *file; /* its name, for errors */
    const file_map *map; /* what data lies in; NULL: memory of the caller */
} import_tensor;

typedef struct import_weights {
    import_tensor *list;
    size_t n, max;
    arena memory; /* names; ARENA_INIT(IMPORT_ARENA) */
    const char *file;    /* that is being read, or stands for all: its name, for errors */
    const file_map *map; /* of that file, or NULL */
    file_map *maps;      /* opened by import_weights_open */
    size_t n_maps;
} import_weights;

/* Opens the file or files; the weights come sorted by name, each once. */
status import_weights_open(import_weights *out, const import_files *f, error *err) MUST_CHECK;
void import_weights_close(import_weights *w);

/* Append what the bytes of a whole file hold, which must outlive the weights. */
status import_safetensors(import_weights *out, const unsigned char *p, size_t n, error *err) MUST_CHECK;
status import_onnx(import_weights *out, const unsigned char *p, size_t n, error *err) MUST_CHECK;
/* Appends t under a name as it is in the file. */
status import_weights_add(import_weights *w, const import_tensor *t, span name, error *err) MUST_CHECK;
/* The name that tensors of this one get. */
void import_clean_name(char out[IMPORT_MAX_NAME + 16], span name);
/* After the sorting; NULL: not there. */
import_tensor *import_weights_find(const import_weights *w, const char *name);
/* Row `row` in F32. */
void import_row(const import_tensor *t, uint64_t row, float *out);
/* Its bytes, of a kind and a layout that has them in one piece; else NULL. */
const unsigned char *import_row_bytes(const import_tensor *t, uint64_t row, size_t *n);

/* ---- config.json ---- */

/* NULL where it is null, or not there. */
const js *import_get(const js *config, const char *key);
/* A whole number from 1 to most. The second form: `otherwise` where there is none. */
status import_number(const js *config, const char *key, uint32_t most, uint32_t *out, error *err) MUST_CHECK;
status import_number_or(const js *config, const char *key, uint32_t most, uint32_t otherwise, uint32_t *out,
                        error *err) MUST_CHECK;
/* A number within [low, high]. */
status import_real(const js *config, const char *key, double low, double high, double *out, error *err) MUST_CHECK;
status import_real_or(const js *config, const char *key, double low, double high, double otherwise, double *out,
                      error *err) MUST_CHECK;
bool import_is_text(const js *config, const char *key, const char *text, bool otherwise);

#endif
