/* cli.h: what every command shares. A command is one file, cmd_NAME.c, and one row of the table in main.c.
 *
 * Exit codes: 0 ok, 1 no (a negative answer), 2 usage, 3 bad input, 4 does not fit, 5 provider failed.
 * Facts go to stdout (plain text, or one JSON document with --json), everything else to stderr. Colours and bars only
 * on a terminal. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { EXIT_OK = 0, EXIT_NO = 1, EXIT_USAGE = 2, EXIT_INPUT = 3, EXIT_NOFIT = 4, EXIT_PROVIDER = 5 };

typedef struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit code */
    const char *summary;               /* one line */
} command;

int cmd_audit(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_choose(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_fit(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_ledger(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_measure(int argc, char **argv);
int cmd_perplexity(int argc, char **argv);
int cmd_policy(int argc, char **argv);
int cmd_privacy(int argc, char **argv);
int cmd_pull(int argc, char **argv);
int cmd_purge(int argc, char **argv);
int cmd_quantize(int argc, char **argv);
int cmd_reassess(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_route(int argc, char **argv);
int cmd_route_explain(int argc, char **argv); /* argv[0] is "explain" */
int cmd_ps(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_task(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);
int cmd_verify(int argc, char **argv);

/* ---- options: a table a command ---- */
typedef enum option_kind {
    OPTION_FLAG,   /* bool * */
    OPTION_TEXT,   /* const char ** */
    OPTION_LIST,   /* option_list *: may be given again */
    OPTION_INT,    /* int64_t * */
    OPTION_FLOAT,  /* double * */
    OPTION_BYTES,  /* uint64_t *: 512M, 2GiB */
} option_kind;

enum { OPTION_LIST_MAX = 64 };
typedef struct option_list {
    const char *values[OPTION_LIST_MAX];
    size_t n;
} option_list;

typedef struct option {
    const char *name;  /* without the dashes */
    char letter;       /* 0: none */
    option_kind kind;
    void *value;
    const char *argument; /* "N", "FILE"; NULL for flags */
    const char *help;
} option;

typedef struct usage {
    const char *synopsis; /* "hearth run [OPTION]… MODEL [PROMPT]" */
    const char *text;     /* what it does; ends with an example */
} usage;

/* Reads options (also --name=value, and -- ends them); other words stay, in order, in argv[1..*n_words]. --help prints
 * usage and options. Returns true to go on; false: return *exit_code at once. */
bool options_read(int argc, char **argv, const usage *u, const option *options, size_t n, size_t *n_words,
                  int *exit_code);
/* Prints "hearth COMMAND: sentence" and the hint to --help; returns EXIT_USAGE. */
int usage_error(const char *command_name, const char *format, ...) PRINTF_LIKE(2, 3);

/* Prints "hearth COMMAND: err->text" to stderr; returns the exit code that belongs to the status. */
int report(const char *command_name, const error *err);

struct js; /* base/js.h */
/* Prints one document on standard output and frees it. NULL, or one that found no memory: the sentence, as report.
 * Returns the exit code. */
int cli_print_json(struct js *document, const char *command_name);

/* ---- terminal ---- */
bool cli_is_terminal(int fd);
/* How wide the terminal on fd is; 80 where it does not say. */
int cli_columns(int fd);
/* "\033[1m" and the like when fd is a terminal and NO_COLOR is not set, else "". */
const char *cli_style(int fd, const char *code);
/* Text of a model or of a stranger for a terminal: control characters (all but line breaks and tabs), marks that turn
 * the direction of writing, and bytes that are no UTF-8 become U+FFFD; `indent` begins each line but the first. */
void cli_print_text(const char *text, const char *indent);
/* Writes what standard output still holds. 0, or the errno of the first thing that could not be written. */
int cli_flush(void);

#endif
