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
    task_prompt *variants;  /* the task's own, while it is read */
    struct shot_pool *pool; /* what few_shot draws from; NULL: nothing does */
    js **roots; /* one object a case */
    size_t n_roots;
    bool cases_loaded;
    grade_model models[GRADE_MODELS_MAX];
    size_t n_models;
    const char *bound;            /* grade_bind_models; NULL */
    char files[DIGEST_HEX];       /* of what `command` graders run; "" */
    struct task_path {            /* these files by path, also those that were not there; newest first */
        struct task_path *next;
        const char *path;
    } *paths;
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

status cascade_read(task_reader *r, const yaml *node); /* NULL: none */
status prompt_read(task_reader *r, const yaml *node, task_prompt *out);
/* E_FORMAT for braces that are no variable. */
status prompt_check(const char *text, error *err);
/* `few_shot` of the task (out->messages are read) or of a variant; node NULL: none. */
status shots_read(task_reader *r, const yaml *node, task_prompt *out);
/* Reads `split`; then, with the cases in place, says which part each is in. */
status split_read(task_reader *r, const yaml *root);
void split_cases(const task *t, task_case *cases, size_t n);
/* Gathers the train cases that can be examples, when a prompt wants some. */
status shots_prepare(task *t, error *err);
void shots_clear(task *t);
/* The examples for one input. taken: indices into t->cases, in the order in which they are shown. */
typedef struct shots_chosen {
    size_t n;
    const task_case *cases[TASK_SHOTS_MAX];
    const char *answers[TASK_SHOTS_MAX];
} shots_chosen;
status shots_choose(const task *t, const task_prompt *p, const js *input, const char *case_id, shots_chosen *out,
                    error *err);
/* Appends text with its variables filled in. extra (NULL: none) is the value of the variable extra_name. */
typedef struct prompt_extra {
    const char *name, *value;
} prompt_extra;
status prompt_fill(buf *out, const char *text, const js *input, const char *case_id, const prompt_extra *extra,
                   error *err);

/* The first image (or other part that is not text) in a value: an image_url or input_image part, a data: URL of an
 * image. where: its path ("input.messages[0].content[1]"), starting with `name`. */
bool media_find(const js *v, const char *name, char *where, size_t size);
/* Calls visit(at, name, n) with the first name of every variable's path, in order, until it says no. */
typedef bool prompt_visit(void *at, const char *name, size_t n);
void prompt_variables(const task_prompt *p, prompt_visit *visit, void *at);

status grade_read(task_reader *r, const yaml *list);
void grade_clear(task *t);
status baseline_read(task_reader *r, const yaml *node);
void baseline_clear(task *t);

/* Finds the folder: *dir is mem_free'd by the caller. */
status task_find(char **dir, const char *path_or_name, const char *bin_dir, error *err);
/* The folders that hold tasks, in order; entries may be NULL. Free each. */
enum { TASK_PLACES = 3 };
void task_places(char *out[TASK_PLACES], const char *bin_dir);
/* "a/b"; NULL without memory. Free with mem_free. */
char *task_joined(const char *a, const char *b);

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

/* How one field of an answer is; nothing is said of fields that are empty on both sides. */
typedef enum field_result { FIELD_RIGHT, FIELD_WRONG, FIELD_MISSING, FIELD_EXTRA } field_result;
typedef status field_visit(void *at, const char *path, field_result result);

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

    bool negate;        /* `not` */
    bool own_threshold; /* `threshold` was set */
    bool unicode, ordered, month_first;
    int word;           /* the setting that is one of a row's own words: measure, unit, kind, expect */
    int64_t least, most;
    double beta;
    const char *separator;
    schema *schema;
    int depth;          /* of graders within graders */
    size_t n_parts;
    task_grader *parts;
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
/* One grader on an answer that was looked at; with `not`, and with a reason for what does not pass. */
grade_run_with grade_by;
/* Reads one grader; depth 0 is the task's own list. */
status grade_read_one(task_reader *r, const yaml *node, int depth, task_grader *g);
/* What no grader has to look at: empty, not UTF-8, too long. NULL: usable. */
const char *grade_unusable(const char *answer, size_t n);
/* The text of a JSON answer: all of it, or what its first fenced block holds. */
enum { GRADE_JSON_BYTES_MAX = 4 << 20 };
span grade_json_text(span answer);
/* Which of the task's labels the answer is; n_labels: none. */
status grade_label(const task *t, const task_grader *g, const char *answer, size_t n, size_t *got, error *err);
status grade_expected_label(const task *t, const task_grader *g, const task_case *c, size_t *out, error *err);
/* Every field of expected and answer, in order; an answer that is no object misses them all and *malformed is set. */
status grade_fields(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n,
                    field_visit *visit, void *at, bool *malformed, error *err);
/* Precision, recall or F1 (2 PR / (P + R)) by g->word. */
double grade_measured(const task_grader *g, size_t common, size_t in_answer, size_t in_expected);
status read_measure(task_reader *r, const yaml *map, task_grader *g);

/* E_UNSUPPORTED: "the grader 'latency' needs …, which is not known here". */
status grade_missing(const task *t, const task_grader *g, const char *what, error *err);
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

/* grade_overlap.c, grade_list.c, grade_form.c, grade_refusal.c, grade_sets.c */
status read_date(task_reader *r, const yaml *map, task_grader *g);
status read_rouge(task_reader *r, const yaml *map, task_grader *g);
status read_chrf(task_reader *r, const yaml *map, task_grader *g);
status read_levenshtein(task_reader *r, const yaml *map, task_grader *g);
status read_list(task_reader *r, const yaml *map, task_grader *g);
status read_length(task_reader *r, const yaml *map, task_grader *g);
status read_is_json(task_reader *r, const yaml *map, task_grader *g);
status read_json_schema(task_reader *r, const yaml *map, task_grader *g);
status read_refusal(task_reader *r, const yaml *map, task_grader *g);
status read_set_of(task_reader *r, const yaml *map, task_grader *g);
grade_run run_date, run_rouge, run_chrf, run_levenshtein, run_list, run_length, run_ends, run_is_json, run_json_schema,
    run_refusal;
status ideal_items(const task *t, const task_grader *g, const task_case *c, buf *out, error *err);
status ideal_ends(const task *t, const task_grader *g, const task_case *c, buf *out, error *err);
status ideal_any_of(const task *t, const task_grader *g, const task_case *c, buf *out, error *err);

/* All strings of a value, in order, each followed by a line feed (numbers as written). */
void task_all_text(const js *v, buf *out);

#endif
