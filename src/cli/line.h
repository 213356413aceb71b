/* line.h: a line from a person at a terminal, with editing and history (libedit). One at a time. */
#ifndef CLI_LINE_H
#define CLI_LINE_H

#include "base/status.h"

typedef struct line_editor line_editor;
typedef enum line_result { LINE_READ, LINE_END, LINE_INTERRUPTED } line_result;

status line_open(line_editor **out, const char *text, error *err) MUST_CHECK;
/* *line: without its line break, valid until the next read. History lives in memory only: what people type to a
 * private model is not written anywhere. */
line_result line_read(line_editor *p, const char **line);
void line_close(line_editor **p);

#endif
