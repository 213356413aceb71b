/* write.h: task folders that commands make (new, import, split). Any thread. Nothing is ever overwritten. */
#ifndef TASK_WRITE_H
#define TASK_WRITE_H

#include "base/buf.h"
#include "base/js.h"

/* Makes dir with its missing parents, dir/task.yaml and dir/cases.jsonl (mode 0600: cases may be private; cases NULL:
 * without). E_EXISTS when one of them is there; what was made before a failure is removed again. */
status task_create(const char *dir, const buf *yaml, const buf *cases, error *err) MUST_CHECK;
/* Replaces dir/task.yaml at once, with the mode it had. */
status task_replace_yaml(const char *dir, const buf *yaml, error *err) MUST_CHECK;

/* A value in YAML's flow style, as base/yaml.h reads it back: texts that could be something else are quoted. */
void write_yaml_flow(buf *out, const js *v);
/* A text after "key: ", with its line end: as it is, quoted, or as a block indented by so many blanks. */
void write_yaml_text(buf *out, const char *text, int indent);

#endif
