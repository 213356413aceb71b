/* cmd_task_list.c: hearth task list */
#include "cli/cmd_task.h"

#include <stdio.h>

#include "task/task.h"

static const usage usage_text = {
    "hearth task list [--json]",
    "The tasks that are found by name: below ./tasks, $HEARTH_HOME/tasks and beside the program.\n"
    "example:\n"
    "  hearth task list\n",
};

int cmd_task_list(int argc, char **argv, const char *bin_dir)
{
    bool json = false;
    const option table[] = { { "json", 0, OPTION_FLAG, &json, NULL, "one JSON document on standard output" } };
    task_names names;
    error e;
    size_t n = 0;
    int code = EXIT_OK;
    if (!options_read(argc, argv, &usage_text, table, ARRAY_LEN(table), &n, &code))
        return code;
    if (n)
        return usage_error(argv[0], "it takes no further words");
    if (task_list(&names, bin_dir, &e))
        return report(argv[0], &e);
    js *all = json ? js_array() : NULL;
    for (size_t i = 0; i < names.n; i++) {
        task *t = NULL;
        status s = task_open(&t, names.dirs[i], NULL, &e);
        if (json) {
            js *one = js_object();
            js_set(one, "name", js_new_string(names.names[i]));
            js_set(one, "dir", js_new_string(names.dirs[i]));
            js_set(one, "privacy", s ? js_null() : js_new_string(privacy_class_name(t->privacy)));
            js_set(one, "description", s ? js_null() : js_new_string(t->description));
            js_set(one, "error", s ? js_new_string(e.text) : js_null());
            js_push(all, one);
        } else {
            printf("%-24s %-9s %s\n", names.names[i], s ? "?" : privacy_class_name(t->privacy),
                   s ? e.text : t->description);
        }
        task_close(&t);
    }
    if (!json && names.n == 0)
        fprintf(stderr, "hearth task: no tasks here: ./tasks holds none\n");
    task_names_clear(&names);
    return json ? cli_print_json(all, argv[0]) : EXIT_OK;
}
