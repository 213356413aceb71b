/* fit_find.h: what MODEL means on `hearth fit`'s command line. */
#ifndef CLI_FIT_FIND_H
#define CLI_FIT_FIND_H

#include "cli/fit_rows.h"

/* A file, or a model that is here; else NAME or NAME:TYPE of the catalogue, without a type the one that is best for
 * this machine. Close the subject. E_NOTFOUND names what is near; E_FORMAT: a type that does not exist. */
status fit_find(fit_subject *out, const char *word, const fit_rows_options *o, error *err) MUST_CHECK;

#endif
