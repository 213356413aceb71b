/* fit_table.h: the rows of `hearth fit` as a table for a terminal. */
#ifndef CLI_FIT_TABLE_H
#define CLI_FIT_TABLE_H

#include "cli/fit_rows.h"

enum { FIT_TABLE_ROWS = 20 };

typedef struct fit_table_options {
    bool wide;        /* more columns than 80 characters take */
    bool all;         /* every type of every model, however many rows */
    const char *task; /* NULL: none was named */
} fit_table_options;

/* rows: sorted. */
void fit_table_print(const fit_rows *rows, const fit_table_options *o);

#endif
