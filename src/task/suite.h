/* suite.h: figures over many answers that no single grade shows: F1 by label with the confusion matrix, precision and
 * recall by field. Owner thread; the task must outlive the suite.
 *
 * One table stands for each of the task's own graders `label`, `json-fields` (not for those within any-of and all-of).
 * Precision = tp / (tp + fp), recall = tp / (tp + fn), F1 = 2 tp / (2 tp + fp + fn); what would divide by zero is not
 * defined: -1 here, null in JSON.
 *
 * Labels. tp: expected and answered; fp: answered, another was expected; fn: expected, and something else was answered,
 * or a malformed answer was given: that is a class of its own, which has a column in the matrix and no F1.
 * macro_f1 is the mean F1 over the labels that were expected or answered at all, micro_f1 is computed from the sums:
 * scikit-learn's f1_score(labels=the task's labels, average="macro" or "micro", zero_division=nan).
 * Fields. tp: right; fp: wrong or invented; fn: wrong or missing, also where the answer was malformed. A field that is
 * empty on both sides does not count. Invented fields that neither the grader
 * names nor a case of the task (or a case added before) expects count together, as SUITE_OTHER: their names are the
 * answers' own text. They count in the micro figures, not in the macro mean. */
#ifndef TASK_SUITE_H
#define TASK_SUITE_H

#include <stdbool.h>
#include <stddef.h>

#include "task/task.h"

#define SUITE_OTHER "(other)"
enum { SUITE_FIELDS_MAX = 1024 }; /* further ones count as SUITE_OTHER */

typedef struct suite suite;

typedef struct suite_class {
    const char *name; /* a label or the path of a field; the suite's or the task's memory */
    size_t tp, fp, fn;
    double precision, recall, f1; /* -1: not defined */
} suite_class;

typedef struct suite_table {
    size_t grader; /* its place in the task's list */
    bool labels;   /* else fields */
    size_t answers, malformed;
    size_t n_classes; /* the labels in the task's order; the fields in the order of their first occurrence */
    const suite_class *classes;
    double macro_f1, micro_f1, micro_precision, micro_recall; /* -1: not defined */
    const size_t *confusion; /* labels: n_classes rows (expected) of n_classes + 1 (answered, then malformed) */
} suite_table;

status suite_open(suite **out, const task *t, error *err) MUST_CHECK;
/* Any case, also one that is not among the task's. An error is the case's fault, never the answer's. */
status suite_add(suite *s, const task_case *c, const char *answer, size_t n, error *err) MUST_CHECK;
/* The figures of what was added so far; borrowed until the next suite_add or suite_close. */
size_t suite_tables(suite *s, const suite_table **out);
/* The same as a list of objects; of the confusion matrix only what is not zero. NULL without memory. */
js *suite_json(suite *s);
void suite_close(suite **s);

#endif
