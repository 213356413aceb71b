/* csv.h: comma-separated values by RFC 4180: quotes double inside quotes, line breaks inside quotes belong to the
 * field, LF ends a row as CRLF does, a byte order mark at the beginning is passed over. Owner thread. */
#ifndef TASK_CSV_H
#define TASK_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { CSV_FIELDS_MAX = 256, CSV_ROW_BYTES_MAX = 4 << 20 };

typedef struct csv csv;
typedef struct csv_row {
    int line; /* where it begins */
    size_t n;
    const char *fields[CSV_FIELDS_MAX]; /* zero-terminated, valid until the next row */
} csv_row;

/* text must outlive the reader; `name` begins errors. */
status csv_open(csv **out, const char *text, size_t n, const char *name, error *err) MUST_CHECK;
/* The next row that is not blank. *more false: there is none. E_FORMAT: a quote that is not closed, text after one, a
 * quote inside an unquoted field, bytes that are not UTF-8 or zero; E_RANGE: a ceiling. */
status csv_next(csv *r, csv_row *row, bool *more, error *err) MUST_CHECK;
void csv_close(csv **r);

#endif
