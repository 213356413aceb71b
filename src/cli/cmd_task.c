/* cmd_task.c: hearth task VERB: the table of verbs. */
#include "cli/cmd_task.h"

#include <stdio.h>
#include <string.h>

#include "plat/machine.h"

static const task_verb verbs[] = {
    { { "grade", "judges answers that came from elsewhere" }, cmd_task_grade },
    { { "import", "makes tasks of promptfoo, OpenAI evals, lm-eval and request logs" }, cmd_task_import },
    { { "lint", "what is wrong with it before it is measured; exit code 1 when there are errors" }, cmd_task_lint },
    { { "list", "the tasks that are found by name" }, cmd_task_list },
    { { "new", "asks what a task needs and writes its folder" }, cmd_task_new },
    { { "review", "people accept, reject, fix or compare its answers; what that adds up to" }, cmd_task_review },
    { { "show", "what one task asks, grades and demands, and its baselines" }, cmd_task_show },
    { { "split", "holds cases back for measuring; the others may be shown in prompts" }, cmd_task_split },
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

static const verb_table all_verbs = VERB_TABLE("task", verbs);
static const verb_help page = {
    "hearth task VERB [OPTION]… TASK…",
    "A task is a folder with task.yaml and cases.jsonl (docs/TASKS.md). TASK is its path, or its name below ./tasks,\n"
    "$HEARTH_HOME/tasks or the installed tasks. Every verb has --json; `hearth task VERB --help` says more.\n",
    "examples:\n  hearth task lint tasks/*\n  hearth task show ticket-class\n", 8
};

int cmd_task(int argc, char **argv)
{
    char directory[4096], name[64];
    const char *bin_dir = machine_program_dir(directory, sizeof directory, NULL) == OK ? directory : NULL;
    size_t i = argc > 1 ? verbs_find(&all_verbs, argv[1]) : all_verbs.n;
    if (i == all_verbs.n)
        return verbs_help(&all_verbs, &page, argc, argv);
    snprintf(name, sizeof name, "task %s", verbs[i].words.name);
    argv[1] = name;
    return verbs[i].run(argc - 1, argv + 1, bin_dir);
}
