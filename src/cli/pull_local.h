/* pull_local.h: a SOURCE that is a file of this machine: hearth-pull gets its full name and the right to read it, and a
 * second name of it in the models directory, so that nothing is copied where that can be. Any thread. */
#ifndef CLI_PULL_LOCAL_H
#define CLI_PULL_LOCAL_H

#include <limits.h>

#include "cli/pull_ask.h"

typedef struct pull_local {
    char path[PATH_MAX], read[PULL_ASK_READ][PATH_MAX];
} pull_local;

/* What to send as the source; o->read points into *l. A source of another kind, or a file that is not there: itself. */
const char *pull_local_source(pull_local *l, const char *source, pull_ask_options *o);

#endif
