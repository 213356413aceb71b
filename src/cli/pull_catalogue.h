/* pull_catalogue.h: a SOURCE that is a name of the catalogue (fit/catalogue.h): NAME or NAME:QUANT, such as
 * "qwen3-0.6b:Q8_0". Main thread. */
#ifndef CLI_PULL_CATALOGUE_H
#define CLI_PULL_CATALOGUE_H

#include <stdbool.h>

#include "base/status.h"

typedef struct pull_named {
    char source[512]; /* as src/pull takes it: hf:OWNER/REPO:QUANT, pypi:PACKAGE */
    char licence[64]; /* as the catalogue has it */
} pull_named;

/* *found false: the text is no such name but something else (a path, an address, hf:..., pypi:...).
 * E_NOTFOUND: a word that is neither a file nor in the catalogue (the nearest name is said), or a model for which the
 * catalogue knows no files; the maker's page is said. */
status pull_catalogue(pull_named *out, bool *found, const char *source, error *err) MUST_CHECK;

#endif
