/* options.c: one reader for every command's table of options. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"

static const option *by_name(const option *options, size_t n, const char *name, size_t len)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0)
            return &options[i];
    }
    return NULL;
}

static const option *by_letter(const option *options, size_t n, char letter)
{
    for (size_t i = 0; i < n; i++) {
        if (options[i].letter == letter)
            return &options[i];
    }
    return NULL;
}

static void print_usage(const usage *u, const option *options, size_t n)
{
    printf("usage: %s\n\n%s\n", u->synopsis, u->text);
    printf("options:\n");
    for (size_t i = 0; i < n; i++) {
        char left[64], letter[8] = "    ";
        if (options[i].letter)
            snprintf(letter, sizeof letter, "-%c, ", options[i].letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, options[i].name, options[i].argument ? " " : "",
                 options[i].argument ? options[i].argument : "");
        printf("  %-30s %s\n", left, options[i].help);
    }
    printf("  %-30s %s\n", "-h, --help", "this page");
}

static bool add_to_list(option_list *list, const char *value)
{
    if (list->n == OPTION_LIST_MAX)
        return false;
    list->values[list->n++] = value;
    return true;
}

/* NULL, or what the value should have been. */
static const char *store(const option *o, const char *value)
{
    switch (o->kind) {
    case OPTION_FLAG: *(bool *)o->value = true; return NULL;
    case OPTION_TEXT: *(const char **)o->value = value; return NULL;
    case OPTION_LIST: return add_to_list(o->value, value) ? NULL : "given at most 64 times";
    case OPTION_INT: return str_i64(value, o->value) ? NULL : "a whole number";
    case OPTION_FLOAT: return str_f64(value, o->value) ? NULL : "a number";
    case OPTION_BYTES: return str_bytes(value, o->value) ? NULL : "a size such as 512M or 2GiB";
    }
    return "something else";
}

typedef struct reader {
    int argc, at;
    char **argv;
    const char *command;
    const option *options;
    size_t n;
} reader;

static int unknown_option(const reader *r, const char *name)
{
    const char *near = str_nearest(name, r->options, r->n, sizeof *r->options);
    return near ? usage_error(r->command, "unknown option '--%s' (did you mean '--%s'?)", name, near)
                : usage_error(r->command, "unknown option '--%s'", name);
}

/* Reads one option at argv[at], with its value. EXIT_OK, or the exit code of the error. */
static int read_option(reader *r)
{
    const char *word = r->argv[r->at++], *value = NULL;
    const option *o;
    if (word[1] == '-') {
        const char *equals = strchr(word, '=');
        size_t len = equals ? (size_t)(equals - word) - 2 : strlen(word) - 2;
        o = by_name(r->options, r->n, word + 2, len);
        value = equals ? equals + 1 : NULL;
        if (!o)
            return unknown_option(r, word + 2);
    } else {
        o = by_letter(r->options, r->n, word[1]);
        value = word[2] ? word + 2 : NULL;
        if (!o)
            return usage_error(r->command, "unknown option '%s'", word);
    }
    if (o->kind == OPTION_FLAG && value)
        return usage_error(r->command, "--%s takes no value", o->name);
    if (o->kind != OPTION_FLAG && !value) {
        if (r->at == r->argc)
            return usage_error(r->command, "--%s needs %s", o->name, o->argument);
        value = r->argv[r->at++];
    }
    const char *wanted = store(o, value);
    return wanted ? usage_error(r->command, "--%s %s: must be %s", o->name, value, wanted) : EXIT_OK;
}

bool options_read(int argc, char **argv, const usage *u, const option *options, size_t n, size_t *n_words,
                  int *exit_code)
{
    reader r = { .argc = argc, .at = 1, .argv = argv, .command = argv[0], .options = options, .n = n };
    bool only_words = false;
    *n_words = 0;
    while (r.at < argc) {
        char *word = argv[r.at];
        if (!only_words && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            print_usage(u, options, n);
            *exit_code = EXIT_OK;
            return false;
        }
        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
            r.at++;
        } else if (only_words || word[0] != '-' || !word[1]) {
            argv[++*n_words] = word;
            r.at++;
        } else if ((*exit_code = read_option(&r)) != EXIT_OK) {
            return false;
        }
    }
    return true;
}

int usage_error(const char *command_name, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "hearth %s: ", command_name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "; see: hearth %s --help\n", command_name);
    va_end(args);
    return EXIT_USAGE;
}

int report(const char *command_name, const error *err)
{
    fprintf(stderr, "hearth %s: %s\n", command_name, err->text);
    switch (err->code) {
    case OK: return EXIT_OK;
    case E_NOFIT:
    case E_NOMEM: return EXIT_NOFIT;
    case E_PROVIDER: return EXIT_PROVIDER;
    case E_DENIED:
    case E_CANCELLED: return EXIT_NO;
    default: return EXIT_INPUT;
    }
}
