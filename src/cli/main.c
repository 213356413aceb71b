/* main.c: the table of commands. A command is one file and one row here. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"
#include "hearth.h"

static int cmd_help(int argc, char **argv);
static int cmd_version(int argc, char **argv);

static const command commands[] = {
    { "fit", cmd_fit, "this machine, and what of the models fits it" },
    { "pull", cmd_pull, "fetch a model: whole, checked, and resumed where it was interrupted" },
    { "bench", cmd_bench, "how fast a model is on this machine" },
    { "task", cmd_task, "list, show and check task folders" },
    { "run", cmd_run, "talk to a model, or answer one prompt" },
    { "serve", cmd_serve, "answer OpenAI clients on this machine" },
    { "ps", cmd_ps, "what a running server has loaded" },
    { "stop", cmd_stop, "unload a model of a running server" },
    { "purge", cmd_purge, "remove the prompts' beginnings that a server keeps on disk" },
    { "list", cmd_list, "the models on this disk, also those of other programs" },
    { "show", cmd_show, "what a model file says of itself" },
    { "rm", cmd_rm, "remove models" },
    { "verify", cmd_verify, "whether models on the disk are what they were" },
    { "embed", cmd_embed, "vectors of texts, by an encoder or any model" },
    { "import", cmd_import, "make a GGUF file of a Hugging Face folder" },
    { "tokenize", cmd_tokenize, "what a model sees of a text" },
    { "perplexity", cmd_perplexity, "how well a model foretells a text" },
    { "compare", cmd_compare, "how far another file of a model is from it, token by token" },
    { "quantize", cmd_quantize, "write a smaller file of a model: in a type, of a size, or what fits" },
    { "measure", cmd_measure, "run a task's cases on a provider and keep what came out" },
    { "choose", cmd_choose, "which model and prompt does a task best here" },
    { "route", cmd_route, "which task can stay on this machine, and why" },
    { "policy", cmd_policy, "what the router is told, in versions" },
    { "privacy", cmd_privacy, "what in a text makes it private" },
    { "ledger", cmd_ledger, "list, show, export, import, check and purge what was measured" },
    { "reassess", cmd_reassess, "what is due to be measured again, and which tasks changed sides" },
    { "report", cmd_report, "what was measured of each task: in the terminal, as a page, as data" },
    { "audit", cmd_audit, "what has left this machine, and whether that record is whole" },
    { "help", cmd_help, "this list, or the page of one command" },
    { "version", cmd_version, "version of the program" },
};

static const command *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static void print_overview(FILE *to)
{
    fprintf(to, "hearth tells you which of your AI tasks can stay on your own machine, proves it by measurement,\n"
                "and runs them there.\n\nusage: hearth COMMAND [OPTION]… [ARGUMENT]…\n\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(to, "  %-11s %s\n", commands[i].name, commands[i].summary);
    fprintf(to, "\n`hearth COMMAND --help` shows its options and an example.\n");
}

static int unknown_command(const char *name)
{
    const char *near = str_nearest(name, commands, ARRAY_LEN(commands), sizeof *commands);
    fprintf(stderr, "hearth: '%s' is not a command", name);
    fprintf(stderr, near ? "; did you mean '%s'?\n" : "; see: hearth help\n", near);
    return EXIT_USAGE;
}

static int cmd_help(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stdout);
        return EXIT_OK;
    }
    const command *c = find(argv[1]);
    if (!c)
        return unknown_command(argv[1]);
    if (c->run == cmd_help || c->run == cmd_version) {
        printf("hearth %s: %s\n", c->name, c->summary);
        return EXIT_OK;
    }
    char *ask[] = { argv[1], (char[]){ "--help" }, NULL };
    return c->run(2, ask);
}

static int cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("hearth %s\n", HEARTH_VERSION);
    return EXIT_OK;
}

/* Facts that could not be written are not facts: a full disk behind `hearth show > file` is an error. */
static int flushed(int code)
{
    int lost = cli_flush();
    if (!lost)
        return code;
    fprintf(stderr, "hearth: standard output: %s\n", strerror(lost));
    return code ? code : EXIT_INPUT;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    const command *c = find(name);
    return c ? flushed(c->run(argc - 1, argv + 1)) : unknown_command(name);
}
