/* cmd_task_import.c: hearth task import FILE --to DIR: other tools' files to task folders. */
#include "cli/cmd_task.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/input.h"
#include "task/import.h"
#include "task/write.h"

static const usage usage_text = {
    "hearth task import [OPTION]… FILE --to DIR",
    "Makes tasks of a promptfoo configuration or CSV, of OpenAI evals (JSONL), of lm-eval's --log_samples, or of a\n"
    "log of OpenAI-style requests (docs/TASKS.md says what becomes what). One task goes into DIR, several into DIR/ID\n"
    "each. Duplicates are dropped, near-duplicates get a common cluster. What cannot be taken over is listed, and\n"
    "then nothing is written unless --partial. Tasks are private unless you say otherwise. Nothing is overwritten.\n"
    "example:\n"
    "  hearth task import --from openai-log requests.jsonl --to tasks/tickets\n",
};

typedef struct job {
    const char *name, *from, *to, *privacy, *id, *prompt;
    bool partial, from_response, json, refused;
    int64_t system;
    import_options o;
    char made_id[65];
} job;

static int read_options(job *j, int argc, char **argv, bool *go_on)
{
    const option table[] = {
        { "from", 0, OPTION_TEXT, &j->from, "FORMAT", "promptfoo, openai-evals, lm-eval or openai-log (guessed)" },
        { "to", 0, OPTION_TEXT, &j->to, "DIR", "the task's folder; with several tasks the folder of their folders" },
        { "id", 0, OPTION_TEXT, &j->id, "ID", "the task's id (DIR's name)" },
        { "privacy", 0, OPTION_TEXT, &j->privacy, "CLASS", "public, internal, private (default) or secret" },
        { "prompt", 0, OPTION_TEXT, &j->prompt, "TEXT", "the prompt of a CSV of tests, with {{name}} for its columns" },
        { "system", 0, OPTION_INT, &j->system, "N", "only the N-th most frequent prompt of a log" },
        { "expected-from-response", 0, OPTION_FLAG, &j->from_response, NULL,
          "what a log's model answered is expected, tagged unreviewed" },
        { "partial", 0, OPTION_FLAG, &j->partial, NULL, "write what could be taken over although some could not" },
        { "json", 0, OPTION_FLAG, &j->json, NULL, "one JSON document on standard output" },
    };
    size_t n = 0;
    int code = EXIT_OK;
    *go_on = false;
    if (!options_read(argc, argv, &usage_text, table, ARRAY_LEN(table), &n, &code))
        return code;
    if (n != 1 || !j->to)
        return usage_error(argv[0], n != 1 ? "it takes one FILE" : "--to DIR is missing");
    j->o = (import_options){ .privacy = PRIVACY_PRIVATE, .expected_from_response = j->from_response,
                             .system = j->system, .prompt = j->prompt, .id = j->id };
    if (j->from && !import_format_parse(j->from, &j->o.format))
        return usage_error(argv[0], "--from %s: there are promptfoo, openai-evals, lm-eval and openai-log", j->from);
    if (j->privacy && !privacy_class_parse(j->privacy, &j->o.privacy))
        return usage_error(argv[0], "--privacy %s: there are public, internal, private and secret", j->privacy);
    if (j->system < 0)
        return usage_error(argv[0], "--system must be 1 or more");
    task_id_of_path(j->id ? j->id : j->to, j->made_id);
    if (j->id && strcmp(j->id, j->made_id))
        return usage_error(argv[0], "--id must be up to 60 of a-z, 0-9 and - (such as '%s')", j->made_id);
    j->o.id = j->made_id;
    *go_on = true;
    return EXIT_OK;
}

static bool folder_of(const job *j, const import_result *r, size_t i, char out[4096])
{
    int n = r->n_tasks == 1 ? snprintf(out, 4096, "%s", j->to) : snprintf(out, 4096, "%s/%s", j->to, r->tasks[i].id);
    return n > 0 && n < 4096;
}

static status write_tasks(const job *j, const import_result *r, error *err)
{
    char dir[4096];
    status s = OK;
    for (size_t i = 0; i < r->n_tasks && !s; i++)
        s = folder_of(j, r, i, dir) ? task_create(dir, &r->tasks[i].yaml, &r->tasks[i].cases, err)
                                    : fail(err, E_RANGE, "--to: the path is too long");
    return s;
}

static js *task_json(const job *j, const import_result *r, size_t i)
{
    const import_task *t = &r->tasks[i];
    js *o = js_object();
    char dir[4096];
    js_set(o, "id", js_new_string(t->id));
    js_set(o, "dir", folder_of(j, r, i, dir) ? js_new_string(dir) : js_null());
    js_set(o, "cases", js_new_int((int64_t)t->n_cases));
    js_set(o, "with_expected", js_new_int((int64_t)t->n_expected));
    js_set(o, "clustered", js_new_int((int64_t)t->n_clustered));
    js_set(o, "clusters", js_new_int((int64_t)t->n_clusters));
    return o;
}

static int print_json(const job *j, const import_result *r)
{
    js *o = js_object(), *tasks = js_array(), *problems = js_array();
    for (size_t i = 0; i < r->n_tasks; i++)
        js_push(tasks, task_json(j, r, i));
    for (size_t i = 0; i < r->n_problems && i < IMPORT_PROBLEMS_MAX; i++) {
        js *p = js_object();
        js_set(p, "line", js_new_int(r->problems[i].line));
        js_set(p, "text", js_new_string(r->problems[i].text));
        js_set(p, "times", js_new_int((int64_t)r->problems[i].times));
        js_push(problems, p);
    }
    js_set(o, "format", js_new_string(import_format_name(r->format)));
    js_set(o, "read", js_new_int((int64_t)r->n_read));
    js_set(o, "duplicates", js_new_int((int64_t)r->n_duplicates));
    js_set(o, "dropped", js_new_int((int64_t)r->n_dropped));
    js_set(o, "written", js_new_bool(!j->refused));
    js_set(o, "tasks", tasks);
    js_set(o, "problems", problems);
    return cli_print_json(o, j->name);
}

/* Problems go to standard error: they are what has to be looked at. When nothing is written, so does the rest. */
static void print_text(const job *j, const import_result *r, const char *file)
{
    char dir[4096];
    FILE *out = j->refused ? stderr : stdout;
    if (j->refused)
        fprintf(out, "hearth %s: %s: it could not all be taken over, and nothing was written (--partial writes "
                "what is left):\n", j->name, file);
    for (size_t i = 0; i < r->n_problems && i < IMPORT_PROBLEMS_MAX; i++) {
        const import_problem *p = &r->problems[i];
        bool placed = !strncmp(p->text, file, strlen(file)); /* it names the place itself */
        fprintf(stderr, "%s", placed ? "" : file);
        if (!placed && p->line)
            fprintf(stderr, ":%d", p->line);
        fprintf(stderr, "%s%s", placed ? "" : ": ", p->text);
        if (p->times > 1)
            fprintf(stderr, " (%zu times)", p->times);
        fprintf(stderr, "\n");
    }
    if (r->n_problems > IMPORT_PROBLEMS_MAX)
        fprintf(stderr, "… and %zu more\n", r->n_problems - IMPORT_PROBLEMS_MAX);
    fprintf(out, "%s: %s: %zu read, %zu duplicates, %zu dropped\n", file, import_format_name(r->format), r->n_read,
            r->n_duplicates, r->n_dropped);
    for (size_t i = 0; i < r->n_tasks; i++) {
        const import_task *t = &r->tasks[i];
        fprintf(out, "  %-24s %zu cases, %zu with an expected answer, %zu in %zu clusters of near-duplicates", t->id,
                t->n_cases, t->n_expected, t->n_clustered, t->n_clusters);
        bool written = !j->refused && folder_of(j, r, i, dir);
        fprintf(out, "%s%s\n", written ? ": " : "", written ? dir : "");
    }
    if (!j->refused)
        printf("next: look at task.yaml, then `hearth task lint`\n");
}

int cmd_task_import(int argc, char **argv, const char *bin_dir)
{
    job j = { .name = argv[0] };
    bool go_on = false;
    int code = read_options(&j, argc, argv, &go_on);
    (void)bin_dir;
    if (!go_on)
        return code;
    buf text = BUF_INIT(IMPORT_BYTES_MAX);
    import_result *r = NULL;
    error e;
    status s = input_read_file(argv[1], &text, &e);
    if (!s)
        s = import_read(&r, buf_text(&text), text.len, argv[1], &j.o, &e);
    buf_clear(&text);
    j.refused = !s && (r->n_tasks == 0 || (r->n_problems && !j.partial));
    if (!s && !j.refused)
        s = write_tasks(&j, r, &e);
    if (s) {
        code = report(argv[0], &e);
    } else {
        code = j.json ? print_json(&j, r) : EXIT_OK;
        if (!j.json)
            print_text(&j, r, argv[1]);
        code = code ? code : j.refused ? EXIT_INPUT : EXIT_OK;
    }
    import_close(&r);
    return code;
}
