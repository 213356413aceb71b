/* import.h: models of other programs' formats → GGUF files, in the names and keys that llama.cpp uses.
 *
 * Read are folders as Hugging Face keeps them, or the path of the weights file in one:
 *     encoders of the BERT family: config.json; tokenizer.json or vocab.txt; weights in model.safetensors, or in an
 *     ONNX file, float or with weights of 8 or 4 bits. Sentence encoders keep their pooling; token classifiers keep
 *     their classes, cross-encoders their score
 *     decoders (Llama, Mistral, Qwen 2 and 3, Gemma 2 and 3, Phi 3): config.json; tokenizer.json or tokenizer.model;
 *     weights in model.safetensors, or in several files that model.safetensors.index.json lists
 *
 * Every file is a stranger: it is bounded, every offset is checked, and what has no place in the result is an error
 * that names it. Owner thread. Values are kept exactly unless `type` asks for others. */
#ifndef IMPORT_IMPORT_H
#define IMPORT_IMPORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct import_options {
    const char *type; /* of matrices: "f32", "f16", "bf16", "q8_0"; NULL: as stored (quantised weights become f32) */
    const char *name; /* general.name; NULL: the folder's */
} import_options;

typedef struct import_report {
    const char *arch, *type, *pooling; /* constants; pooling NULL: not an encoder */
    uint32_t n_tensors, n_layers, n_embd, n_vocab, n_context;
    uint32_t n_classes;       /* 0: no classifier */
    uint64_t n_params, bytes; /* of tensor data written */
} import_report;

/* `from` is a folder or a weights file; `to` is written whole or not at all. o may be NULL. E_NOTFOUND a file that is
 * missing; E_FORMAT what contradicts itself; E_UNSUPPORTED what is of no such family, or asks for what the result would
 * not do; E_RANGE beyond a ceiling; E_NOFIT no room on the disk. */
status import_model(const char *from, const char *to, const import_options *o, import_report *out, error *err)
    MUST_CHECK;

#endif
