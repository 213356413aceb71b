/* grade.h: how an answer is judged. Any thread, on a const task.
 *
 * Every row of a task's `graders` gives a score in [0, 1] and an outcome. The task's score is their mean weighted
 * by `weight`; the answer passes when every grader's score reaches that grader's `threshold` (default 1), so with one
 * grader: pass = score >= threshold. An answer that cannot be used at all (no JSON, none of the labels, no number,
 * empty, not as output.schema demands) is malformed: score 0, whatever the other graders say. docs/TASKS.md lists all
 * graders with examples. */
#ifndef TASK_GRADE_H
#define TASK_GRADE_H

#include "task/task.h"

typedef enum grade_outcome { GRADE_PASS, GRADE_WRONG, GRADE_MALFORMED } grade_outcome;
const char *grade_outcome_name(grade_outcome o); /* "pass", "wrong", "malformed" */
bool grade_outcome_parse(const char *name, grade_outcome *out);

typedef struct grade {
    double score;
    grade_outcome outcome;
    char reason[160]; /* why not pass, in words; never holds text of the answer or the case, only names of fields */
} grade;

/* Judges answer[0..n). Bytes that are not UTF-8 are malformed. An error is never the answer's fault: the case has no
 * (or a wrong kind of) `expected`, or there is no memory. */
status grade_answer(const task *t, const task_case *c, const char *answer, size_t n, grade *out, error *err) MUST_CHECK;

/* The same in one pass with what each of the task's graders says: parts[0 … t->n_graders), NULL: not wanted. Graders
 * within any-of and all-of are told in the reason of theirs. */
status grade_all(const task *t, const task_case *c, const char *answer, size_t n, grade *whole, grade *parts,
                 error *err) MUST_CHECK;

/* The same with one grader of the task only (for drill-down); weight plays no part. */
status grade_one(const task *t, size_t grader, const task_case *c, const char *answer, size_t n, grade *out,
                 error *err) MUST_CHECK;

/* What an ideal answer to the case looks like, as text (mem_free): used by lint and as candidates for the constant
 * baseline. *out = NULL with OK when no grader can say (a regex alone). */
status grade_ideal(const task *t, const task_case *c, char **out, error *err) MUST_CHECK;

/* Names of a task's graders, and of all there are (for help and errors). */
const char *grade_name(const task *t, size_t grader);
size_t grade_types(const char *const **names);

/* A change in what any grader gives for the same settings raises this; it is part of task_grader_digest. */
enum { GRADE_VERSION = 2 };

#endif
