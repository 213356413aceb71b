/* prompt.h: a line from a person at a terminal, with editing and history (libedit). One at a time. */
#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

#include "base/status.h"

typedef struct prompt prompt;
typedef enum prompt_result { PROMPT_LINE, PROMPT_END, PROMPT_INTERRUPTED } prompt_result;

status prompt_open(prompt **out, const char *text, error *err) MUST_CHECK;
/* *line: without its line break, valid until the next read. History lives in memory only: what people type to a
 * private model is not written anywhere. */
prompt_result prompt_read(prompt *p, const char **line);
void prompt_close(prompt **p);

#endif
