/* import.h: other tools' files to task folders: promptfoo's YAML and CSV, OpenAI evals and lm-eval sample logs, logs of
 * OpenAI-style requests. Any thread; everything is a stranger's.
 *
 * Text in, text out: what import_read returns has been read back as a task, and nothing was written. What cannot be
 * taken over (an assertion that has no grader here, an image, a line that is no JSON) is a problem: whoever calls
 * decides whether the rest is wanted without it. docs/TASKS.md lists what becomes what. */
#ifndef TASK_IMPORT_H
#define TASK_IMPORT_H

#include "base/buf.h"
#include "base/privacy_class.h"
#include "task/task.h"

typedef enum import_format {
    IMPORT_GUESS,
    IMPORT_PROMPTFOO,
    IMPORT_OPENAI_EVALS,
    IMPORT_LM_EVAL,
    IMPORT_OPENAI_LOG,
} import_format;
const char *import_format_name(import_format f); /* "promptfoo", … */
bool import_format_parse(const char *name, import_format *out);

enum {
    IMPORT_BYTES_MAX = 512 << 20,
    IMPORT_LINE_BYTES_MAX = 8 << 20, /* of JSON lines */
    IMPORT_TASKS_MAX = 256,
    IMPORT_PROBLEMS_MAX = 100, /* that are kept with their text */
};

typedef struct import_options {
    import_format format;
    const char *id;        /* of the first task; others are id-2, id-3 … */
    privacy_class privacy; /* of all tasks */
    bool expected_from_response; /* logs: the logged answer is what is expected, tagged `unreviewed` */
    int64_t system;        /* logs and evals: only the task of this number (1: the most frequent prompt); 0: all */
    const char *prompt;    /* for a CSV of tests, which holds none; NULL: {{name}} when it has one variable */
} import_options;

typedef struct import_task {
    char *id;
    buf yaml, cases; /* the two files */
    size_t n_cases, n_expected, n_clustered, n_clusters;
} import_task;

typedef struct import_problem {
    int line; /* the first; 0: of the whole file */
    char *text;
    size_t times;
} import_problem;

typedef struct import_result {
    import_format format;
    size_t n_read;       /* lines, rows or tests */
    size_t n_duplicates; /* the same but for white space: kept once */
    size_t n_dropped;    /* for a problem */
    size_t n_tasks, n_problems; /* all different ones; the first IMPORT_PROBLEMS_MAX are kept */
    import_task tasks[IMPORT_TASKS_MAX];
    import_problem problems[IMPORT_PROBLEMS_MAX];
} import_result;

/* Reads text[0..n), a file called `name`. *out: free with import_close. */
status import_read(import_result **out, const char *text, size_t n, const char *name, const import_options *o,
                   error *err) MUST_CHECK;
void import_close(import_result **r);

#endif
