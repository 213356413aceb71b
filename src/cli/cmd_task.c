/* cmd_task.c: hearth task VERB: the table of verbs. */
#include "cli/cmd_task.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "plat/machine.h"

static const task_verb verbs[] = {
    { "grade", cmd_task_grade, "judges answers that came from elsewhere" },
    { "import", cmd_task_import, "makes tasks of promptfoo, OpenAI evals, lm-eval and request logs" },
    { "lint", cmd_task_lint, "what is wrong with it before it is measured; exit code 1 when there are errors" },
    { "list", cmd_task_list, "the tasks that are found by name" },
    { "new", cmd_task_new, "asks what a task needs and writes its folder" },
    { "review", cmd_task_review, "people accept, reject, fix or compare its answers; what that adds up to" },
    { "show", cmd_task_show, "what one task asks, grades and demands, and its baselines" },
    { "split", cmd_task_split, "holds cases back for measuring; the others may be shown in prompts" },
};

void task_id_of_path(const char *path, char out[65])
{
    size_t end = strlen(path), n = 0;
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t from = end;
    while (from && path[from - 1] != '/')
        from--;
    for (size_t i = from; i < end && n < 60; i++) {
        char c = path[i] >= 'A' && path[i] <= 'Z' ? (char)(path[i] - 'A' + 'a') : path[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (good || (n && out[n - 1] != '-'))
            out[n++] = good ? c : '-';
    }
    while (n && out[n - 1] == '-')
        n--;
    out[n] = 0;
    if (!n)
        snprintf(out, 65, "imported");
}

static int help(int argc, char **argv)
{
    buf text = BUF_INIT(1 << 16);
    buf_str(&text, "A task is a folder with task.yaml and cases.jsonl (docs/TASKS.md). TASK is its path, or its name "
                   "below ./tasks,\n$HEARTH_HOME/tasks or the installed tasks. Every verb has --json; `hearth task "
                   "VERB --help` says more.\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        buf_printf(&text, "  %-8s %s\n", verbs[i].name, verbs[i].summary);
    buf_str(&text, "examples:\n  hearth task lint tasks/*\n  hearth task show ticket-class\n");
    const usage u = { "hearth task VERB [OPTION]… TASK…", buf_text(&text) };
    size_t n = 0;
    int code = EXIT_OK;
    if (options_read(argc, argv, &u, NULL, 0, &n, &code)) {
        buf_reset(&text);
        for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
            buf_printf(&text, "%s%s", i ? ", " : "", verbs[i].name);
        const char *near = n ? str_nearest(argv[1], verbs, ARRAY_LEN(verbs), sizeof *verbs) : NULL;
        code = n ? usage_error("task", "'%s' is none of %s%s%s%s", argv[1], buf_text(&text),
                               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "")
                 : usage_error("task", "which verb? There are: %s", buf_text(&text));
    }
    buf_clear(&text);
    return code;
}

int cmd_task(int argc, char **argv)
{
    char directory[4096], name[64];
    const char *bin_dir = machine_program_dir(directory, sizeof directory, NULL) == OK ? directory : NULL;
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(verbs); i++)
        if (!strcmp(verbs[i].name, argv[1])) {
            snprintf(name, sizeof name, "task %s", verbs[i].name);
            argv[1] = name;
            return verbs[i].run(argc - 1, argv + 1, bin_dir);
        }
    return help(argc, argv);
}
