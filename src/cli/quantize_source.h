/* quantize_source.h: what `hearth quantize` reads: a GGUF file by name or path, or one that is made first of a folder
 * as Hugging Face keeps it (or of the weights file in it), as `hearth import` does. Main thread. */
#ifndef CLI_QUANTIZE_SOURCE_H
#define CLI_QUANTIZE_SOURCE_H

#include <stdbool.h>

#include "base/status.h"

typedef struct quantize_source {
    char *path;                /* of a GGUF file */
    char *made, *part, *guard; /* OUT.import, OUT.import.part, OUT.import.lock; NULL: the file was there */
    int lock;                  /* of guard; -1: none */
} quantize_source;

/* A folder is told from a model's name by a slash or by the config.json in it. What is made is removed by
 * quantize_source_close, and when SIGINT, SIGTERM or SIGHUP end the process meanwhile; a caller that catches them does
 * so itself. Errors are those of import_model and store_find; E_EXISTS: another process makes the same file, or OUT is
 * there (where there is something to make, and unless `replace`). s is closed when this fails. */
status quantize_source_open(quantize_source *s, const char *model, const char *out, bool replace, error *err)
    MUST_CHECK;
/* Accepts one that is all zero. */
void quantize_source_close(quantize_source *s);

#endif
