/* verbs.h: commands of several verbs (`hearth task lint`): their table is walked here. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include <stddef.h>

#include "cli/cli.h"

/* The first member of each row of a command's table; the rest is the command's own. summary is only read by
 * verbs_help. */
typedef struct verb_words {
    const char *name, *summary;
} verb_words;

typedef struct verb_table {
    const char *command; /* "task" */
    const void *rows;
    size_t n, row_bytes;
} verb_table;
#define VERB_TABLE(command, rows) { command, rows, ARRAY_LEN(rows), sizeof *(rows) }

/* Where the verb stands in the table; n: there is none of that name. */
size_t verbs_find(const verb_table *t, const char *name);
/* What was said is no verb (NULL: nothing was said): the error, with the nearest. Returns the exit code. */
int verbs_unknown(const verb_table *t, const char *said);

/* --help of a command whose verbs read their options themselves: the synopsis, words before and after the list of
 * verbs. Any other argument is verbs_unknown. */
typedef struct verb_help {
    const char *synopsis, *before, *after;
    int width; /* columns of the names */
} verb_help;
int verbs_help(const verb_table *t, const verb_help *h, int argc, char **argv);

#endif
