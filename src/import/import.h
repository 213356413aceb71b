/* import.h: models of other programs' formats → GGUF files, in the names and keys that llama.cpp uses.
 *
 * Read are the encoders of the BERT family: a folder as Hugging Face keeps it (config.json; tokenizer.json or
 * vocab.txt; weights in model.safetensors, or in an ONNX file, float or with weights of 8 or 4 bits), or the path of
 * the weights file in it. Sentence encoders keep their pooling; token classifiers keep their classes,
 * cross-encoders their score.
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
    uint32_t n_tensors, n_layers, n_embd, n_vocab, n_classes; /* n_classes 0: no classifier */
    uint64_t n_params, bytes;                                 /* of tensor data written */
    const char *type, *pooling;                               /* constants */
} import_report;

/* `from` is a folder or a weights file; `to` is written whole or not at all. o may be NULL. E_NOTFOUND a file that is
 * missing; E_FORMAT what contradicts itself; E_UNSUPPORTED what is not of the family; E_RANGE beyond a ceiling; E_NOFIT
 * no room on the disk. */
status import_model(const char *from, const char *to, const import_options *o, import_report *out, error *err)
    MUST_CHECK;

#endif
