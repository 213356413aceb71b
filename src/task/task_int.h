/* task_int.h: what the files of src/task share. */
#ifndef TASK_TASK_INT_H
#define TASK_TASK_INT_H

#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"
#include "grammar/schema.h"
#include "task/grade.h"
#include "task/task.h"
#include "task/text_int.h"

enum { TASK_YAML_ARENA_MAX = 64 << 20, TASK_CASES_ARENA_MAX = 1 << 30, TASK_SETTINGS_MAX = 12 };

/* Owns everything that a task points to. */
struct task_memory {
    task whole; /* what the outside sees; first, so that the two pointers are one */
    arena texts, case_memory;
    yaml_file *file; /* many texts point into it */
    js *schema, *graders, *output, *tools;
    struct schema *checked; /* the same schema, compiled */
    js **roots; /* one object a case */
    size_t n_roots;
    bool cases_loaded;
    grade_model models[GRADE_MODELS_MAX];
    size_t n_models;
    const char *bound;            /* grade_bind_models; NULL */
    char files[DIGEST_HEX];       /* of what `command` graders run; "" */
};

/* Reading task.yaml: what every reader of a part needs. */
typedef struct task_reader {
    task *t;
    arena *a;
    const yaml_file *f;
    error *err;
} task_reader;

status task_no_memory(error *err);
/* A scalar without zero bytes. */
status task_read_text(task_reader *r, const yaml *node, const char **out);
status task_read_bool(task_reader *r, const yaml *map, const char *key, bool *out);
/* Optional number in [low, high]; *out is left alone when the key is not there. */
status task_read_number(task_reader *r, const yaml *map, const char *key, double low, double high, double *out);
status task_read_int(task_reader *r, const yaml *map, const char *key, int64_t low, int64_t high, int64_t *out);
/* One of n words. */
status task_read_word(task_reader *r, const yaml *node, const char *const *words, size_t n, size_t *out);
/* A text or a list of texts. */
status task_read_texts(task_reader *r, const yaml *node, size_t max, const char *const **out, size_t *n);

status prompt_read(task_reader *r, const yaml *node, task_prompt *out);
/* E_FORMAT for braces that are no variable. */
status prompt_check(const char *text, error *err);
/* Calls visit(at, name, n) for every variable, in order, until it says no. */
typedef bool prompt_visit(void *at, const char *name, size_t n);
void prompt_variables(const task_prompt *p, prompt_visit *visit, void *at);

status grade_read(task_reader *r, const yaml *list);
void grade_clear(task *t);
status baseline_read(task_reader *r, const yaml *node);
void baseline_clear(task *t);

/* Finds the folder: *dir is mem_free'd by the caller. */
status task_find(char **dir, const char *path_or_name, const char *bin_dir, error *err);

/* ---- graders ---- */
typedef enum field_type {
    FIELD_ANY,
    FIELD_TEXT,
    FIELD_NUMBER,
    FIELD_DATE,
    FIELD_BOOL,
    FIELD_SET,
    FIELD_LIST,
} field_type;

typedef struct grade_field {
    const char *name;
    field_type type;
    unsigned fold; /* text_fold flags */
    text_number_rule number;
    bool month_first;
} grade_field;

typedef status grade_run(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n,
                         grade *out, error *err);

/* What grade_answer_with was given. Never NULL, nor is facts; tools may be. */
typedef struct grade_with {
    const grade_facts *facts;
    const grade_tools *tools;
} grade_with;
typedef status grade_run_with(const task *t, const task_grader *g, const task_case *c, span answer,
                              const grade_with *with, grade *out, error *err);

typedef struct grade_type {
    const char *name;
    const char *settings[TASK_SETTINGS_MAX]; /* besides type, weight, threshold, key */
    status (*read)(task_reader *r, const yaml *map, task_grader *g);
    grade_run *run;
    status (*ideal)(const task *t, const task_grader *g, const task_case *c, buf *out, error *err); /* may be NULL */
} grade_type;
extern const grade_type grade_table[];
extern const size_t grade_table_rows;

struct task_grader {
    const grade_type *type;
    double weight, threshold;
    const char *key;
    unsigned fold;
    size_t n_values;
    const char *const *values;
    regex *pattern;
    bool full;
    text_number_rule number;
    int take; /* 0 only, 1 first, 2 last */
    int64_t limit;
    size_t n_fields;
    const grade_field *fields;
    bool ignore_extra;
    const void *own; /* what only this type has; in the task's arena */
    grade_run_with *run_with; /* set by `read` of what needs more than the text; the type's run is then run_bare */
};

struct task_rule {
    regex *pattern;
    const char *answer; /* NULL: fields */
    size_t n_fields;
    const char *const *names;
    const char *const *values;
};

/* What this grader compares with; E_FORMAT naming the case when it is not there. */
status grade_expected(const task *t, const task_grader *g, const task_case *c, const js **out, error *err);
status grade_bad_expected(const task *t, const task_grader *g, const task_case *c, const char *wanted, error *err);
/* Sets score and outcome by the threshold; the reason is left to the caller. */
void grade_score(const task_grader *g, double score, grade *out);
/* E_FORMAT never: out->outcome is GRADE_MALFORMED when the answer is not as output.schema demands. */
status grade_by_schema(const task *t, const char *answer, size_t n, grade *out, error *err);
status grade_malformed(grade *out, const char *reason); /* always OK */

/* Runs one grader, whichever of its two functions it has. out begins as {0}. */
status grade_dispatch(const task *t, const task_grader *g, const task_case *c, span answer, const grade_with *with,
                      grade *out, error *err);
/* E_UNSUPPORTED: "the grader 'latency' needs …, which is not known here". */
status grade_missing(const task *t, const task_grader *g, const char *what, error *err);
/* The JSON of an answer: all of it, or what its first fenced block holds. */
span grade_object_text(span answer);
/* A value of the case against one of the answer, by the rules of json-fields. */
status grade_same_value(const grade_field *f, const js *want, const js *got, bool *out, error *err);

/* grade_facts.c, grade_similarity.c, grade_calls.c, grade_command.c, grade_judge.c */
status read_latency(task_reader *r, const yaml *map, task_grader *g);
status read_cost(task_reader *r, const yaml *map, task_grader *g);
status read_perplexity(task_reader *r, const yaml *map, task_grader *g);
status read_tokens(task_reader *r, const yaml *map, task_grader *g);
status read_finish(task_reader *r, const yaml *map, task_grader *g);
status read_embedding(task_reader *r, const yaml *map, task_grader *g);
status read_calls(task_reader *r, const yaml *map, task_grader *g);
status read_command(task_reader *r, const yaml *map, task_grader *g);
status read_judge(task_reader *r, const yaml *map, task_grader *g);
grade_run run_bare, run_tool_call;
status ideal_calls(const task *t, const task_grader *g, const task_case *c, buf *out, error *err);
/* What a `command` runs; NULL of other graders. */
const char *command_program(const task_grader *g);
/* `model`: a PROVIDER; noted among the task's models. */
status read_model(task_reader *r, const yaml *map, bool judge, const char **out);

/* tools.c */
status tools_read(task_reader *r, const yaml *root);
bool tools_have(const task *t, const char *name);

/* grade_text.c, grade_number.c, grade_json.c */
status read_exact(task_reader *r, const yaml *map, task_grader *g);
status read_label(task_reader *r, const yaml *map, task_grader *g);
status read_contains(task_reader *r, const yaml *map, task_grader *g);
status read_regex(task_reader *r, const yaml *map, task_grader *g);
status read_number(task_reader *r, const yaml *map, task_grader *g);
status read_fields(task_reader *r, const yaml *map, task_grader *g);
status read_limit(task_reader *r, const yaml *map, task_grader *g);
status read_number_rule(task_reader *r, const yaml *map, text_number_rule *out);
status read_fold(task_reader *r, const yaml *map, unsigned *fold);
grade_run run_exact, run_label, run_contains, run_not_contains, run_regex, run_number, run_json_fields, run_key_facts,
    run_max_words, run_min_words, run_numbers_in_input;
status ideal_text(const task *t, const task_grader *g, const task_case *c, buf *out, error *err);
status ideal_number(const task *t, const task_grader *g, const task_case *c, buf *out, error *err);
status ideal_json(const task *t, const task_grader *g, const task_case *c, buf *out, error *err);
status ideal_list(const task *t, const task_grader *g, const task_case *c, buf *out, error *err);
status ideal_regex(const task *t, const task_grader *g, const task_case *c, buf *out, error *err);

/* All strings of a value, in order, each followed by a line feed (numbers as written). */
void task_all_text(const js *v, buf *out);

#endif
