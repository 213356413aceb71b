/* new.h: the files of a new task from a few answers. Any thread. Errors name the answer that is wrong. */
#ifndef TASK_NEW_H
#define TASK_NEW_H

#include "base/buf.h"
#include "task/task.h"

typedef struct task_new {
    const char *id;
    const char *description; /* NULL: none */
    privacy_class privacy;
    task_output output;
    const char *labels; /* "a, b, c", for TASK_LABEL */
    const char *fields; /* "name, total:number, paid:boolean", for TASK_JSON; without a type: string */
    const char *prompt; /* with its variables */
    const char *system; /* NULL: none */
    const char *grader; /* NULL: task_new_grader */
    double bar, margin; /* negative: not set */
    bool synthetic;
} task_new;

/* The grader that goes with a kind of output. */
const char *task_new_grader(task_output kind);
/* A prompt to begin with, for that kind (mem_free; NULL without memory). */
char *task_new_prompt(task_output kind, const char *labels, const char *fields);
/* Appends task.yaml, with comments, and cases.jsonl: `given` (its text, n_given bytes), or examples to be replaced when
 * that is NULL. Both have been read back. */
status task_new_files(const task_new *n, const char *given, size_t n_given, buf *file, buf *cases,
                      error *err) MUST_CHECK;

#endif
