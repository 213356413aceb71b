/* cmd_task.h: the verbs of `hearth task`. A verb is one file, cmd_task_VERB.c, and one row of the table in
 * cmd_task.c. */
#ifndef CLI_CMD_TASK_H
#define CLI_CMD_TASK_H

#include "base/js.h"
#include "cli/verbs.h"

typedef struct task_verb {
    verb_words words;
    /* argv[0] is "task VERB", for usage and errors; bin_dir (may be NULL) is for task_open. Returns the exit code. */
    int (*run)(int argc, char **argv, const char *bin_dir);
} task_verb;

int cmd_task_grade(int argc, char **argv, const char *bin_dir);
int cmd_task_import(int argc, char **argv, const char *bin_dir);
int cmd_task_lint(int argc, char **argv, const char *bin_dir);
int cmd_task_list(int argc, char **argv, const char *bin_dir);
int cmd_task_new(int argc, char **argv, const char *bin_dir);
int cmd_task_review(int argc, char **argv, const char *bin_dir);
int cmd_task_show(int argc, char **argv, const char *bin_dir);
int cmd_task_split(int argc, char **argv, const char *bin_dir);

/* "tasks/My Tickets/" -> "my-tickets", at most 60 characters; "imported" when nothing is left. */
void task_id_of_path(const char *path, char out[65]);

#endif
