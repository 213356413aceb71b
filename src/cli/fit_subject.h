/* fit_subject.h: what `hearth fit` judges: the header of a model, wherever it comes from. Owner thread.
 *
 *   a file, or a model present       its own header
 *   an entry of the catalogue        a header made of the entry's shape, in a type of weights
 *   a model that is not downloaded   the header's bytes, fetched: any part of a split model
 * What is judged is the same in all cases: tensors and keys, by the code that allocates. */
#ifndef CLI_FIT_SUBJECT_H
#define CLI_FIT_SUBJECT_H

#include "fit/catalogue.h"
#include "fit/fit.h"
#include "gguf/gguf.h"

typedef struct fit_subject {
    gguf *header;
    char name[256];
    char type[16];                 /* of weights, as asked of the catalogue or as the file says; "": it does not */
    const catalogue_model *entry;  /* NULL: not of the catalogue. Borrowed from it */
    bool present;                  /* its file is on this disk */
    char *path;                    /* present: of its (first) file */
} fit_subject;

/* The model whose (first) file is at path. */
status fit_subject_file(fit_subject *out, const char *path, error *err) MUST_CHECK;
status fit_subject_entry(fit_subject *out, const catalogue_model *m, const char *type, error *err) MUST_CHECK;
/* Of a model that is not here, from the first bytes of each of its files, in order; they must outlive the subject.
 * E_RANGE: the header of one goes on past its bytes. */
status fit_subject_parts(fit_subject *out, const char *name, const gguf_prefix *parts, int n, error *err) MUST_CHECK;
/* Zero is closed. */
void fit_subject_close(fit_subject *s);

status fit_subject_judge(const fit_subject *s, const engine_options *o, const fit_machine *m, fit_model *out,
                         error *err) MUST_CHECK;
/* The largest context, a multiple of 64 or all that it was trained for, with which it fits; 0: none. */
status fit_subject_largest(const fit_subject *s, const engine_options *o, const fit_machine *m, uint32_t *out,
                           error *err) MUST_CHECK;

#endif
