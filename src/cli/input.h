/* input.h: text from files and from standard input, with a ceiling; dates. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* Appends everything that fd gives; `name` names it in errors. */
status input_read(int fd, const char *name, buf *out, error *err) MUST_CHECK;
/* The same for a file; "-" is standard input. */
status input_read_file(const char *path, buf *out, error *err) MUST_CHECK;
/* "2026-11-23": its first moment (UTC, microseconds). False: it is no such date. */
bool input_date(const char *text, int64_t *us);

#endif
