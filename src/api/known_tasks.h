/* known_tasks.h: the tasks that there are, as recognise.c needs them: the digest of each one's system prompt, and texts
 * that stand for what it is asked. Read again when a file changes: at every call the folders are listed and each task's
 * files are stamped (file_stamp), as in facts.h. A task that cannot be read is not recognised. Any thread. */
#ifndef API_KNOWN_TASKS_H
#define API_KNOWN_TASKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"

enum { KNOWN_TASKS_MAX = 256, KNOWN_EXAMPLES_MAX = 64, KNOWN_TEXT_MAX = 512 };

typedef struct known_tasks known_tasks;

status known_tasks_open(known_tasks **out, const char *bin_dir, error *err) MUST_CHECK;
void known_tasks_close(known_tasks **c);

/* How many tasks have this system prompt (task_system_digest); of one alone, its name. caller: whether it says
 * `prompt: caller`. */
status known_tasks_find_system(known_tasks *c, const char *system, size_t *n, char name[72], bool *caller,
                             error *err) MUST_CHECK;

/* Examples of one task: what its cases ask, at most KNOWN_EXAMPLES_MAX. Of a task with `split` those of the train
 * side, which may be learnt from; of another its cases, which are only foreign to the others. */
typedef struct known_task {
    const char *name;
    bool recognised; /* may be learnt from, and is asked in its own prompt */
    size_t n;
    const char *const *texts;
} known_task;
/* Calls fn with all tasks, if they are other ones than those of *version, and sets *version. With the lock held. */
typedef status known_tasks_fn(void *user, const known_task *tasks, size_t n, error *err);
status known_tasks_examples(known_tasks *c, uint64_t *version, known_tasks_fn *fn, void *user, error *err) MUST_CHECK;

#endif
