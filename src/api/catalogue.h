/* catalogue.h: the tasks that there are, as recognise.c needs them: the digest of each one's system prompt, and texts
 * that stand for what it is asked. Read again when a file changes: at every call the folders are listed and each task's
 * files are stamped (file_stamp), as in facts.h. A task that cannot be read is not recognised. Any thread. */
#ifndef API_CATALOGUE_H
#define API_CATALOGUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"

enum { CATALOGUE_TASKS_MAX = 256, CATALOGUE_EXAMPLES_MAX = 64, CATALOGUE_TEXT_MAX = 512 };

typedef struct catalogue catalogue;

status catalogue_open(catalogue **out, const char *bin_dir, error *err) MUST_CHECK;
void catalogue_close(catalogue **c);

/* How many tasks have this system prompt (task_system_digest); of one alone, its name. caller: whether it says
 * `prompt: caller`. */
status catalogue_find_system(catalogue *c, const char *system, size_t *n, char name[72], bool *caller,
                             error *err) MUST_CHECK;

/* Examples of one task: what its cases ask, at most CATALOGUE_EXAMPLES_MAX. Of a task with `split` those of the train
 * side, which may be learnt from; of another its cases, which are only foreign to the others. */
typedef struct catalogue_task {
    const char *name;
    bool recognised; /* may be learnt from, and is asked in its own prompt */
    size_t n;
    const char *const *texts;
} catalogue_task;
/* Calls fn with all tasks, if they are other ones than those of *version, and sets *version. With the lock held. */
typedef status catalogue_fn(void *user, const catalogue_task *tasks, size_t n, error *err);
status catalogue_examples(catalogue *c, uint64_t *version, catalogue_fn *fn, void *user, error *err) MUST_CHECK;

#endif
