/* input.h: text from files and from standard input, with a ceiling. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "base/buf.h"

/* Appends everything that fd gives; `name` names it in errors. */
status input_read(int fd, const char *name, buf *out, error *err) MUST_CHECK;
/* The same for a file; "-" is standard input. */
status input_read_file(const char *path, buf *out, error *err) MUST_CHECK;

#endif
