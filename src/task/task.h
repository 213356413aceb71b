/* task.h: a task is a folder: task.yaml (what is asked, how answers are graded, what is demanded) and cases.jsonl.
 * docs/TASKS.md describes both files for their authors; this header is for code.
 *
 * A task is read once and then never changes: after task_open (and task_load_cases, where cases are wanted) all
 * functions here and in grade.h take a const task and may be called from any thread. Everything reachable from a task
 * belongs to it and lives until task_close. Errors read "tasks/invoice/task.yaml:12: …". Text from tasks and cases is
 * hostile input: sizes are bounded by the ceilings below. */
#ifndef TASK_TASK_H
#define TASK_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/js.h"
#include "base/privacy_class.h"
#include "base/status.h"

enum {
    TASK_CASES_MAX = 100000,
    TASK_LINE_BYTES_MAX = 1 << 20,     /* one line of cases.jsonl */
    TASK_CASES_BYTES_MAX = 256 << 20,  /* the whole file */
    TASK_PROMPT_BYTES_MAX = 8 << 20,   /* one rendered conversation */
    TASK_MESSAGES_MAX = 256,
    TASK_VARIANTS_MAX = 64,
    TASK_GRADERS_MAX = 32,
    TASK_LABELS_MAX = 1024,
    TASK_RULES_MAX = 256,
    TASK_STOPS_MAX = 16,
    TASK_TAGS_MAX = 32,
    TASK_SHOTS_MAX = 64,
};

typedef enum task_output { TASK_TEXT, TASK_LABEL, TASK_JSON, TASK_NUMBER } task_output;
const char *task_output_name(task_output kind);

/* As in requests (request.h), in the same order. */
typedef enum task_tool_choice {
    TASK_TOOLS_AUTO, TASK_TOOLS_NONE, TASK_TOOLS_REQUIRED, TASK_TOOLS_NAMED
} task_tool_choice;

typedef struct task_message {
    const char *role;    /* "system", "user" or "assistant" */
    const char *content; /* may hold {{name}} in a task; never in what task_render gives */
} task_message;

/* Which side of `split` a case falls on: a pure function of the task's salt and the case's cluster (else its id). */
typedef enum task_part { TASK_TEST, TASK_TRAIN } task_part;

typedef enum task_shots_by { SHOTS_FIXED, SHOTS_RANDOM, SHOTS_SIMILAR } task_shots_by;
/* `few_shot`: examples from the train split, put into a prompt; shots.c. */
typedef struct task_shots {
    size_t n; /* 0: none */
    task_shots_by by;
    int64_t seed;
    const char *example;      /* how one is written at {{examples}}; NULL: user and assistant messages instead */
    char examples[DIGEST_HEX]; /* digest of what they are taken from; "" until the cases are loaded */
} task_shots;

/* One way to ask. In the task: the default one, and one for each entry of `variants`. */
typedef struct task_prompt {
    const char *provider; /* the key in `variants`; NULL for the default */
    bool plain;           /* written as `prompt:` text. A chat model gets it as one user message; a model without a chat
                             template gets the text itself to continue (messages[0].content) */
    size_t n_messages;
    const task_message *messages;
    task_shots shots;
} task_prompt;

typedef struct task_limits { /* negative: no limit was set */
    double latency_p95_ms;
    double cost_usd;  /* per answer */
    double malformed; /* greatest share of malformed answers, 0 … 1 */
} task_limits;

typedef struct task_cascade { /* `cascade`: local answers that are sure are taken, the others asked of the cloud */
    bool asked;
    double risk;       /* greatest share of wrong answers among those taken; default .05 */
    double confidence; /* of that; default .95 */
} task_cascade;

typedef struct task_sampling {
    double temperature; /* default 0 */
    int64_t max_tokens; /* default 256 */
    int64_t seed;       /* default 1 */
    int64_t repeats;    /* default 1; the answers of one case are one cluster */
    size_t n_stop;      /* texts at which generation ends; default none */
    const char *const *stop;
} task_sampling;

typedef struct task_case {
    const char *id; /* given, or the first 16 hex digits of SHA-256 of the canonical JSON of input */
    int line;       /* in cases.jsonl */
    const js *input;    /* an object, or a string (which is the variable `input`) */
    const js *expected; /* NULL when the case has none */
    const char *cluster; /* NULL: a cluster of its own. Cases of one source document share one */
    task_part part;      /* TASK_TEST in a task without `split` */
    size_t n_tags;
    const char *const *tags;
} task_case;

typedef struct task_rule task_rule;     /* a baseline rule; baseline.c */
typedef struct task_grader task_grader; /* a row of `graders`, compiled; grade.h */
typedef struct task_memory task_memory;

typedef struct task {
    const char *dir;  /* the folder, as found */
    const char *path; /* dir/task.yaml */
    const char *id;
    const char *description; /* "" when there is none */
    privacy_class privacy;
    bool caller_prompt; /* `prompt: caller`: the caller's own messages are answered; the task's messages are what was
                           measured, and task_system_digest is what evidence binds to */
    task_prompt prompt;
    size_t n_variants;
    const task_prompt *variants;

    task_output output;
    const js *schema; /* NULL: none; what schema.h cannot check was refused when the task was read */
    const js *tools;  /* OpenAI's list of functions; NULL: none. An answer that calls is the text of a JSON
                         list [{"name": …, "arguments": {…}}] */
    task_tool_choice tool_choice;
    const char *tool_name; /* TASK_TOOLS_NAMED */
    bool one_call;         /* `parallel_tool_calls: false` */
    size_t n_labels;
    const char *const *labels;

    size_t n_graders;
    const task_grader *graders;
    double bar;    /* least lower bound of the pass rate for local; negative: not set */
    double margin; /* non-inferiority delta to the cloud; negative: not set, see task_margin */
    bool flag_below_bar; /* `below_bar: flag`: where nobody else may answer, answers below the bar are given, flagged */
    task_limits limits;
    task_cascade cascade;
    task_sampling sampling;
    bool synthetic; /* `cases: synthetic`: no case holds real data */

    double held_back; /* `split`: the share of cases that are measured; negative: no split */
    const char *salt;

    size_t n_rules; /* `baseline: {rules}` */
    const task_rule *rules;

    size_t n_cases; /* 0 until task_load_cases */
    const task_case *cases;

    task_memory *memory;
} task;

/* Opens the task at path_or_name: a folder that holds task.yaml, or that file, or (a word without '/') the first of
 *   ./tasks/NAME · HOME/tasks/NAME · BIN_DIR/../share/hearth/tasks/NAME
 * where HOME is $HEARTH_HOME, else $XDG_DATA_HOME/hearth, else ~/.local/share/hearth, and bin_dir is the folder of the
 * running program (NULL: not searched). E_NOTFOUND names the nearest task. Reads task.yaml only. */
status task_open(task **out, const char *path_or_name, const char *bin_dir, error *err) MUST_CHECK;
/* As task_open, from memory: `dir` stands for the folder in errors (and is where task_load_cases would look). */
status task_parse(task **out, const char *yaml_text, size_t n, const char *dir, error *err) MUST_CHECK;
/* Reads dir/cases.jsonl, in order; call at most once, before the task is shared. A folder without the file, an empty
 * file, a duplicate id, a line that is too long or is not a case: an error with file:line. */
status task_load_cases(task *t, error *err) MUST_CHECK;
/* As task_load_cases, from memory. */
status task_parse_cases(task *t, const char *text, size_t n, error *err) MUST_CHECK;
void task_close(task **t);
/* Calls fn with the path of every file that decided what task_open(name) and task_load_cases gave, also of those that
 * were looked for and not there: as long as none of them changes, the same call gives the same task. Not the files of
 * models that graders name. Stops with the first error of fn. */
typedef status task_file_fn(void *user, const char *path, error *err);
status task_files(const task *t, const char *name, const char *bin_dir, task_file_fn *fn, void *user,
                  error *err) MUST_CHECK;
/* The same for every place where a `.hearth-class` may lie that labels the task's folder: in it and in all above it,
 * along the path as it is written and along the real one. */
status task_labels(const task *t, task_file_fn *fn, void *user, error *err) MUST_CHECK;

/* The tasks that task_open would find by name, sorted, each once. Free with task_names_clear. */
typedef struct task_names {
    size_t n;
    char **names; /* ids to give to task_open */
    char **dirs;  /* where each was found */
} task_names;
status task_list(task_names *out, const char *bin_dir, error *err) MUST_CHECK;
void task_names_clear(task_names *names);

const task_case *task_find_case(const task *t, const char *id); /* NULL: not there */
bool task_case_has_tag(const task_case *c, const char *tag);
/* Only test cases are measured, only train cases are ever shown in prompts. Without `split` all are measured. */
task_part task_case_split(const task *t, const task_case *c);
bool task_is_measured(const task *t, const task_case *c);
/* Two measured cases share a cluster: they are one observation, not two. True also when there is no memory to see. */
bool task_is_clustered(const task *t);
size_t task_measured(const task *t); /* how many cases are */
/* The margin that applies: the task's own; else .10 for suites under 200 cases and .05 from there on. */
double task_margin(const task *t);

/* ---- asking ---- */
/* The prompt for a provider ("local:models/gemma-3-270m.gguf", a name from config): the variant whose key is that name;
 * else the one with the longest key that ends in '*' and fits its beginning ("local:gemma*"); for KIND:PATH the name
 * KIND:FILE (without folders) is tried as well; else the default. provider NULL: the default. */
const task_prompt *task_prompt_for(const task *t, const char *provider);

typedef struct task_messages {
    bool plain; /* as in task_prompt */
    size_t n;
    task_message *items; /* one block with their texts, NULL when empty */
} task_messages;
/* Fills {{name}} and {{name.member.0}} from input: strings as they are, numbers as they were written, booleans, lists
 * and objects as compact JSON. What is filled in is not looked at again. A variable that is missing or null: E_FORMAT
 * naming it, case_id (the case's id; NULL in a served request). With few_shot the cases must be loaded; no example is
 * the case itself, one of its cluster, or one with the same input. Free with task_messages_clear. */
status task_render(const task *t, const task_prompt *prompt, const js *input, const char *case_id, task_messages *out,
                   error *err) MUST_CHECK;
void task_messages_clear(task_messages *m);

/* ---- evidence keys (SHA-256, hex) ---- */
/* What is asked: the messages before filling in, with roles, whether plain, and (few_shot) how many examples are chosen
 * how and from which. */
void task_prompt_digest(const task_prompt *prompt, char out[DIGEST_HEX]);
/* How it is graded: graders with their settings, output kind, labels, schema, and the graders' own version. */
status task_grader_digest(const task *t, char out[DIGEST_HEX], error *err) MUST_CHECK;
/* What is asked about: every measured case's id, input, expected and cluster, in the order of ids. Not tags, not
 * file order. */
status task_suite_digest(const task *t, char out[DIGEST_HEX], error *err) MUST_CHECK;
/* A rendered conversation's digest, when the task's tools go with it. Unchanged without tools. */
status task_tools_digest(const task *t, char inout[DIGEST_HEX], error *err) MUST_CHECK;
/* One case: its input and expected (and not its id). */
status task_case_digest(const task_case *c, char out[DIGEST_HEX], error *err) MUST_CHECK;
/* A rendered conversation: key of an answer. */
status task_messages_digest(const task_messages *m, char out[DIGEST_HEX], error *err) MUST_CHECK;
/* The fingerprint of the system messages of a conversation (of a request, or of a prompt's own messages). */
status task_system_digest(const task_message *messages, size_t n, char out[DIGEST_HEX], error *err) MUST_CHECK;

/* ---- baselines: what needs no model ---- */
typedef struct task_score {
    size_t n, pass, wrong, malformed;
    double mean; /* of the scores */
} task_score;
typedef struct task_baselines {
    char *constant;      /* the best constant answer: the majority label, or what graded best; NULL: none */
    task_score majority; /* of that answer on all cases */
    bool has_rules;
    task_score rules; /* of the task's `baseline: {rules}` */
} task_baselines;
/* Grades both on every case (those without expected are left out). Needs the cases. Free with task_baselines_clear. */
status task_baseline(const task *t, task_baselines *out, error *err) MUST_CHECK;
void task_baselines_clear(task_baselines *b);
/* Only the two pass rates, 0 … 1; NAN: there is none, or no case it could be graded on. */
status task_baseline_rates(const task *t, double *constant, double *rules, error *err) MUST_CHECK;
/* The rules' answer to one input (mem_free). "" when no rule matches. E_NOTFOUND when the task has no rules. */
status task_rules_answer(const task *t, const js *input, char **out, error *err) MUST_CHECK;

#endif
