/* reading_task.h: a task's cases as passages: the prompt as the model would be asked, and behind it the answer that the
 * case expects, whose tokens are judged. */
#ifndef CLI_READING_TASK_H
#define CLI_READING_TASK_H

#include "quality/passages.h"

struct gguf;

/* Appends one passage for each case that has an answer to judge (grade_ideal); *n_skipped grows by the others. The
 * prompt is the one for local:FILE (the path's last part), rendered with the file's chat template, or, for a model
 * without one, its plain text. Cases of one cluster are one cluster; clusters of different tasks are different. */
status reading_add_task(passages *p, const char *name, const char *path, const struct gguf *file, const vocab *v,
                        size_t *n_skipped, error *err) MUST_CHECK;

#endif
