/* lint.h: what is wrong with a task before it is measured. Pure reading; any thread. */
#ifndef TASK_LINT_H
#define TASK_LINT_H

#include "task/task.h"

typedef enum lint_level { LINT_ERROR, LINT_WARNING } lint_level;

typedef struct lint_finding {
    lint_level level;
    const char *code; /* "near-duplicate", "no-expected", …: stable, for scripts */
    char *text;       /* "tasks/a/cases.jsonl:12: …" */
} lint_finding;

typedef struct lint_report {
    size_t n, size;
    size_t n_errors, n_warnings; /* all that were found; `findings` keeps at most LINT_FINDINGS_MAX */
    lint_finding *findings;
    /* facts the report is about */
    size_t n_cases, n_hard, n_labels_used;
} lint_report;
enum { LINT_FINDINGS_MAX = 1000 };

/* Reads the task at path_or_name and all its cases, and judges them. A file that cannot be read at all is a finding too
 * (code "unreadable"); the status is an error only for want of memory. *loaded (may be NULL) receives the task when it
 * could be opened (task_close). Free with lint_report_clear. */
status lint_task(const char *path_or_name, const char *bin_dir, lint_report *out, task **loaded, error *err) MUST_CHECK;
/* The same for a task with its cases in memory. */
status lint_loaded(const task *t, lint_report *out, error *err) MUST_CHECK;
/* Only what the inputs' texts say: "near-duplicate", "leak". Nothing is graded. */
status lint_inputs(const task *t, lint_report *out, error *err) MUST_CHECK;
void lint_report_clear(lint_report *r);

/* Near-duplicates: Jaccard similarity of the sets of word 5-grams of two texts. A word is a maximal run of letters and
 * digits (Unicode L*, N*, M*), case-folded; a text of fewer than 5 words is one gram of all its words. Two texts
 * without words are equal (1). */
double lint_similarity(const char *a, const char *b);

#endif
