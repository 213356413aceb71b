/* quantize_tasks.h: what the user asks of models, as calibration text: prompts of tasks with their inputs. Main thread.
 *
 * Only what is asked, never what is expected; and where a task has a split, only cases of its train side: what a model
 * will be measured by has no part in how it was made. */
#ifndef CLI_QUANTIZE_TASKS_H
#define CLI_QUANTIZE_TASKS_H

#include <stddef.h>

#include "base/status.h"
#include "base/str.h"
#include "cli/cli.h"

enum { QUANTIZE_PROMPTS = 64 }; /* of all tasks together */

/* All zero: none. quantize_tasks_clear frees. */
typedef struct quantize_tasks {
    char *texts[QUANTIZE_PROMPTS];
    span spans[QUANTIZE_PROMPTS]; /* the same */
    size_t n;
} quantize_tasks;

/* Prompts of these tasks (folders or names), as many of each; of all that are found by name where `wanted` is empty.
 * Then a task that cannot be read is named on standard error and left out; otherwise it is an error, those of task_open
 * and task_load_cases. */
status quantize_tasks_read(quantize_tasks *out, const option_list *wanted, error *err) MUST_CHECK;
void quantize_tasks_clear(quantize_tasks *t);

#endif
