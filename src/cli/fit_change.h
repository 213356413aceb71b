/* fit_change.h: the same question asked again with one thing changed, for `hearth fit --why`. Owner thread. */
#ifndef CLI_FIT_CHANGE_H
#define CLI_FIT_CHANGE_H

#include "cli/fit_rows.h"
#include "fit/why.h"

enum { FIT_CHANGES = 8 };

/* What the facts point to. */
typedef struct fit_changes {
    fit_why_facts facts;
    fit_model models[FIT_CHANGES];
    fit_machine more, threads;
    size_t n;
} fit_changes;

/* Free with fit_changes_free. */
status fit_changes_read(fit_changes **out, const fit_subject *s, const fit_rows_options *o, error *err) MUST_CHECK;
void fit_changes_free(fit_changes **c);

#endif
