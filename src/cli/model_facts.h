/* model_facts.h: what list and show say of a model on the disk: its header, its note, whether its digest is known. */
#ifndef CLI_MODEL_FACTS_H
#define CLI_MODEL_FACTS_H

#include "base/js.h"
#include "gguf/gguf.h"
#include "store/store.h"

typedef struct model_facts {
    char arch[64], licence[128]; /* "" when the file does not say; the note's licence goes before the file's */
    const char *type;            /* that of most bytes of its matrices: "Q4_K"; "" */
    uint64_t n_params;
    char why[ERROR_TEXT_BYTES];  /* why hearth cannot run it; "": nothing is known against it */
    store_note note;
    store_expected known;        /* of its first file */
} model_facts;

/* Never fails: what is wrong is in `why`. Reads the header: load_offline() comes first. Clear it. */
void model_facts_read(model_facts *out, const store_model *m);
void model_facts_clear(model_facts *f);

/* The tensors' type by bytes, and how many values they have. */
void model_facts_sizes(const gguf *g, const char **type, uint64_t *n_params);

/* Digests, as show and list --json give them: [{file, sha256, bytes, from}], of the parts whose digest is known. */
js *model_facts_digests(const store_model *m, const store_note *n);

#endif
