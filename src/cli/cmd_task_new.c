/* cmd_task_new.c: hearth task new NAME: asks what a task needs, or takes it from options, and writes its folder. */
#include "cli/cmd_task.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/privacy_class.h"
#include "base/str.h"
#include "cli/input.h"
#include "cli/line.h"
#include "task/grade.h"
#include "task/new.h"
#include "task/write.h"

static const usage usage_text = {
    "hearth task new [OPTION]… NAME",
    "Writes tasks/NAME (or NAME, when that is a path) with task.yaml and cases.jsonl. At a terminal it asks for what\n"
    "no option says; elsewhere --privacy, --output and --prompt are needed, and --labels or --fields where they\n"
    "apply. The cases are examples to replace, unless --cases gives them. Nothing is overwritten.\n"
    "example:\n"
    "  hearth task new tickets --privacy private --output label --labels billing,shipping,technical \\\n"
    "      --prompt 'Which team? {{input}}' --bar 0.85\n",
};

enum { CASES_BYTES_MAX = 256 << 20 };

typedef enum answer { PRIVACY, OUTPUT, LABELS, FIELDS, PROMPT, GRADER, BAR, MARGIN, ANSWERS } answer;

typedef struct job {
    const char *command, *name, *description, *system, *cases;
    const char *answers[ANSWERS];
    char *typed[ANSWERS]; /* what was typed, owned; answers may point there */
    bool synthetic, json;
    task_output output;
    privacy_class privacy;
    double bar, margin;
} job;

/* ---- questions ---- */

static bool is_label(const job *j)
{
    return j->output == TASK_LABEL;
}

static bool is_json(const job *j)
{
    return j->output == TASK_JSON;
}

static bool check_privacy(job *j, const char *text)
{
    return privacy_class_parse(text, &j->privacy);
}

static bool check_output(job *j, const char *text)
{
    for (task_output k = TASK_TEXT; k <= TASK_NUMBER; k++)
        if (!strcmp(task_output_name(k), text)) {
            j->output = k;
            return true;
        }
    return false;
}

static bool check_list(job *j, const char *text)
{
    return *text && (j->output != TASK_LABEL || strchr(text, ','));
}

static bool check_prompt(job *j, const char *text)
{
    (void)j;
    return strstr(text, "{{") != NULL;
}

static bool check_grader(job *j, const char *text)
{
    const char *const *names = NULL;
    size_t n = grade_types(&names);
    bool known = false;
    (void)j;
    for (size_t i = 0; i < n; i++)
        known = known || !strcmp(names[i], text);
    return known;
}

static bool check_share(double *out, const char *text)
{
    double v = 0;
    if (!strcmp(text, "none")) {
        *out = -1;
        return true;
    }
    if (!str_f64(text, &v) || !(v > 0 && v < 1))
        return false;
    *out = v;
    return true;
}

static bool check_bar(job *j, const char *text)
{
    return check_share(&j->bar, text);
}

static bool check_margin(job *j, const char *text)
{
    return check_share(&j->margin, text);
}

static const struct question {
    const char *option, *why, *otherwise, *wanted;
    bool (*check)(job *j, const char *text);
    bool (*applies)(const job *j); /* NULL: always */
    bool needed;                   /* without a terminal there must be an option */
} questions[ANSWERS] = {
    [PRIVACY] = { "privacy", "Who may see what is asked? A private task is answered on this machine or not at all.",
                  "private", "public, internal, private or secret", check_privacy, NULL, true },
    [OUTPUT] = { "output", "What is an answer? Labels, JSON and numbers can be judged without reading them.", "text",
                 "text, label, json or number", check_output, NULL, true },
    [LABELS] = { "labels", "The labels, separated by commas. Any other answer is malformed.", NULL,
                 "at least two words, separated by commas", check_list, is_label, true },
    [FIELDS] = { "fields", "The fields, separated by commas; name:number, name:integer or name:boolean if not a text.",
                 NULL, "words, separated by commas", check_list, is_json, true },
    [PROMPT] = { "prompt", "What is asked, {{input}} being the case. \\n is a line break. What you measure is what is "
                 "served.", NULL, "a text with a variable such as {{input}}", check_prompt, NULL, true },
    [GRADER] = { "grader", "How an answer is judged; docs/TASKS.md explains the types.", NULL, "a type of grader",
                 check_grader, NULL, false },
    [BAR] = { "bar", "The share of good answers that must be proved before this stays local, set before you know any "
              "result.", "0.8", "a number between 0 and 1, or none", check_bar, NULL, false },
    [MARGIN] = { "margin", "Or: how much worse than the cloud may it be? 0.1 is one answer in ten.", "0.1",
                 "a number between 0 and 1, or none", check_margin, NULL, false },
};

/* ---- asking ---- */

/* \n in what was typed becomes a line break. */
static char *with_breaks(const char *line)
{
    char *out = mem_strdup(line), *to = out;
    for (const char *p = line; out && *p; p++) {
        bool is_break = p[0] == '\\' && p[1] == 'n';
        *to++ = is_break ? '\n' : *p;
        p += is_break;
    }
    if (out)
        *to = 0;
    return out;
}

static char *default_of(const job *j, answer a)
{
    if (a == PROMPT)
        return task_new_prompt(j->output, j->answers[LABELS], j->answers[FIELDS]);
    if (a == GRADER)
        return mem_strdup(task_new_grader(j->output));
    return questions[a].otherwise ? mem_strdup(questions[a].otherwise) : NULL;
}

static void print_question(const struct question *q, const char *otherwise)
{
    printf("\n%s%s%s: %s\n", cli_style(1, "\033[1m"), q->option, cli_style(1, "\033[0m"), q->why);
    if (strcmp(q->wanted, "a type of grader"))
        printf("  %s", q->wanted);
    const char *const *names = NULL;
    size_t n = strcmp(q->wanted, "a type of grader") ? 0 : grade_types(&names);
    for (size_t i = 0; i < n; i++)
        printf("%s%s", i ? ", " : "  ", names[i]);
    if (otherwise)
        printf(" [");
    for (const char *p = otherwise; p && *p; p++)
        printf(*p == '\n' ? "\\n" : "%c", *p);
    printf("%s\n", otherwise ? "]" : "");
}

/* One line; E_CANCELLED at its end. */
static status read_answer(char **out, error *err)
{
    line_editor *editor = NULL;
    const char *line = NULL;
    status s = line_open(&editor, "> ", err);
    if (s)
        return s;
    s = line_read(editor, &line) == LINE_READ ? OK : fail(err, E_CANCELLED, "nothing was written");
    if (!s && !(*out = with_breaks(line)))
        s = fail(err, E_NOMEM, "no memory");
    line_close(&editor);
    return s;
}

static status ask(job *j, answer a, error *err)
{
    const struct question *q = &questions[a];
    char *otherwise = default_of(j, a);
    status s = OK;
    print_question(q, otherwise);
    while (!s && !j->answers[a]) {
        char *typed = NULL;
        s = read_answer(&typed, err);
        if (s)
            break;
        if (!*typed && otherwise) {
            mem_free(typed);
            typed = otherwise;
            otherwise = NULL;
        }
        if (q->check(j, typed)) {
            j->answers[a] = j->typed[a] = typed;
        } else {
            printf("  it must be %s\n", q->wanted);
            if (!otherwise)
                otherwise = default_of(j, a);
            mem_free(typed);
        }
    }
    mem_free(otherwise);
    return s;
}

/* ---- what was given ---- */

/* Checks the options that were given, in order: later questions depend on earlier answers. */
static int check_given(job *j)
{
    for (answer a = 0; a < ANSWERS; a++) {
        const struct question *q = &questions[a];
        if (j->answers[a] && q->applies && !q->applies(j) && j->answers[OUTPUT])
            return usage_error(j->command, "--%s belongs to --output %s", q->option, a == LABELS ? "label" : "json");
        if (j->answers[a] && !q->check(j, j->answers[a]))
            return usage_error(j->command, "--%s must be %s", q->option, q->wanted);
    }
    return EXIT_OK;
}

static int name_missing(const job *j)
{
    char list[200] = "";
    for (answer a = 0; a < ANSWERS; a++)
        if (questions[a].needed && !j->answers[a] && (!questions[a].applies || questions[a].applies(j)))
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s--%s", *list ? ", " : "", questions[a].option);
    return *list ? usage_error(j->command, "without a terminal to ask at, these are needed: %s", list) : EXIT_OK;
}

static int ask_missing(job *j)
{
    for (answer a = 0; a < ANSWERS; a++) {
        error e;
        if (j->answers[a] || (questions[a].applies && !questions[a].applies(j)))
            continue;
        if (ask(j, a, &e))
            return report(j->command, &e);
    }
    return EXIT_OK;
}

/* ---- writing ---- */

static int print_done(const job *j, const char *dir, const char *id, bool example)
{
    if (!j->json) {
        printf("%s is written%s\nnext: hearth task lint %s\n", dir,
               example ? "; its cases are examples: put your own into cases.jsonl" : "", dir);
        return EXIT_OK;
    }
    js *o = js_object();
    js_set(o, "id", js_new_string(id));
    js_set(o, "dir", js_new_string(dir));
    js_set(o, "examples", js_new_bool(example));
    return cli_print_json(o, j->command);
}

static int write_task(const job *j, const char *dir, const char *id)
{
    buf yaml = BUF_INIT(1 << 20), cases = BUF_INIT(CASES_BYTES_MAX), given = BUF_INIT(CASES_BYTES_MAX);
    error e;
    status s = OK;
    task_new n = { id, j->description, j->privacy, j->output, j->answers[LABELS], j->answers[FIELDS],
                   j->answers[PROMPT], j->system, j->answers[GRADER], j->bar, j->margin, j->synthetic };
    if (j->cases)
        s = input_read_file(j->cases, &given, &e);
    if (!s)
        s = task_new_files(&n, j->cases ? buf_text(&given) : NULL, given.len, &yaml, &cases, &e);
    if (!s)
        s = task_create(dir, &yaml, &cases, &e);
    buf_clear(&yaml);
    buf_clear(&cases);
    buf_clear(&given);
    return s ? report(j->command, &e) : print_done(j, dir, id, !j->cases);
}

static int run(job *j)
{
    char id[65], dir[4000], file[4096];
    const char *base = strrchr(j->name, '/');
    task_id_of_path(j->name, id);
    if (strcmp(base && base[1] ? base + 1 : j->name, id))
        return usage_error(j->command, "a task's name has up to 60 of a-z, 0-9 and - (such as '%s')", id);
    int n = snprintf(dir, sizeof dir, strchr(j->name, '/') ? "%s" : "tasks/%s", j->name);
    if (n < 0 || n >= (int)sizeof dir)
        return usage_error(j->command, "the name is too long");
    snprintf(file, sizeof file, "%s/task.yaml", dir);
    int code = check_given(j);
    if (!code && access(file, F_OK) == 0) { /* before a person answers eight questions */
        error e;
        (void)fail(&e, E_EXISTS, "%s: it is there already; nothing is overwritten", file);
        return report(j->command, &e);
    }
    if (!code)
        code = cli_is_terminal(0) && cli_is_terminal(1) ? ask_missing(j) : name_missing(j);
    if (!code && j->bar < 0 && j->margin < 0)
        code = usage_error(j->command, "one of --bar and --margin must be set, or nothing could be decided");
    return code ? code : write_task(j, dir, id);
}

int cmd_task_new(int argc, char **argv, const char *bin_dir)
{
    job j = { .command = argv[0], .bar = .8, .margin = .1 };
    const option table[] = {
        { "privacy", 0, OPTION_TEXT, &j.answers[PRIVACY], "CLASS", "public, internal, private or secret" },
        { "output", 0, OPTION_TEXT, &j.answers[OUTPUT], "KIND", "text, label, json or number" },
        { "labels", 0, OPTION_TEXT, &j.answers[LABELS], "LIST", "the labels, separated by commas" },
        { "fields", 0, OPTION_TEXT, &j.answers[FIELDS], "LIST", "the fields of the JSON: name or name:type" },
        { "prompt", 0, OPTION_TEXT, &j.answers[PROMPT], "TEXT", "what is asked, with {{input}}" },
        { "system", 0, OPTION_TEXT, &j.system, "TEXT", "a system message before it" },
        { "grader", 0, OPTION_TEXT, &j.answers[GRADER], "TYPE", "how an answer is judged (by the output's kind)" },
        { "bar", 0, OPTION_TEXT, &j.answers[BAR], "SHARE", "least share of good answers (0.8; none)" },
        { "margin", 0, OPTION_TEXT, &j.answers[MARGIN], "SHARE", "at most so much below the cloud (0.1; none)" },
        { "description", 0, OPTION_TEXT, &j.description, "TEXT", "a sentence about the task" },
        { "cases", 0, OPTION_TEXT, &j.cases, "FILE", "cases to copy, a JSON object a line" },
        { "synthetic", 0, OPTION_FLAG, &j.synthetic, NULL, "no case holds real data" },
        { "json", 0, OPTION_FLAG, &j.json, NULL, "one JSON document on standard output" },
    };
    size_t n = 0;
    int code = EXIT_OK;
    (void)bin_dir;
    if (!options_read(argc, argv, &usage_text, table, ARRAY_LEN(table), &n, &code))
        return code;
    if (n != 1)
        return usage_error(argv[0], "it takes one NAME");
    j.name = argv[1];
    code = run(&j);
    for (answer a = 0; a < ANSWERS; a++)
        mem_free(j.typed[a]);
    return code;
}
