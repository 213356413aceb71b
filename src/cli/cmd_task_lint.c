/* cmd_task_lint.c: hearth task lint TASK… */
#include "cli/cmd_task.h"

#include <stdio.h>

#include "task/lint.h"

static const usage usage_text = {
    "hearth task lint [--json] TASK…",
    "What is wrong with a task before it is measured (docs/TASKS.md). Exit code 1 when there are errors.\n"
    "example:\n"
    "  hearth task lint tasks/*\n",
};

static js *lint_json(const char *name, const lint_report *r)
{
    js *o = js_object(), *list = js_array();
    for (size_t i = 0; i < r->n; i++) {
        js *f = js_object();
        js_set(f, "level", js_new_string(r->findings[i].level == LINT_ERROR ? "error" : "warning"));
        js_set(f, "code", js_new_string(r->findings[i].code));
        js_set(f, "text", js_new_string(r->findings[i].text));
        js_push(list, f);
    }
    js_set(o, "task", js_new_string(name));
    js_set(o, "cases", js_new_int((int64_t)r->n_cases));
    js_set(o, "hard", js_new_int((int64_t)r->n_hard));
    js_set(o, "errors", js_new_int((int64_t)r->n_errors));
    js_set(o, "warnings", js_new_int((int64_t)r->n_warnings));
    js_set(o, "findings", list);
    return o;
}

static void print_lint(const char *name, const lint_report *r)
{
    for (size_t i = 0; i < r->n; i++) {
        bool is_error = r->findings[i].level == LINT_ERROR;
        printf("%s%s%s: %s [%s]\n", cli_style(1, is_error ? "\033[31m" : "\033[33m"), is_error ? "error" : "warning",
               cli_style(1, "\033[0m"), r->findings[i].text, r->findings[i].code);
    }
    if (r->n < r->n_errors + r->n_warnings)
        printf("… and %zu more\n", r->n_errors + r->n_warnings - r->n);
    printf("%s: %zu cases (%zu hard): %zu error%s, %zu warning%s\n", name, r->n_cases, r->n_hard, r->n_errors,
           r->n_errors == 1 ? "" : "s", r->n_warnings, r->n_warnings == 1 ? "" : "s");
}

int cmd_task_lint(int argc, char **argv, const char *bin_dir)
{
    bool json = false;
    const option table[] = { { "json", 0, OPTION_FLAG, &json, NULL, "one JSON document on standard output" } };
    size_t n = 0, errors = 0;
    int code = EXIT_OK;
    if (!options_read(argc, argv, &usage_text, table, ARRAY_LEN(table), &n, &code))
        return code;
    if (n == 0)
        return usage_error(argv[0], "which task?");
    js *all = json ? js_array() : NULL;
    for (size_t i = 1; i <= n; i++) {
        lint_report r;
        error e;
        if (lint_task(argv[i], bin_dir, &r, NULL, &e)) {
            js_free(all);
            return report(argv[0], &e);
        }
        errors += r.n_errors;
        if (json)
            js_push(all, lint_json(argv[i], &r));
        else
            print_lint(argv[i], &r);
        lint_report_clear(&r);
    }
    code = json ? cli_print_json(all, argv[0]) : EXIT_OK;
    return code ? code : errors ? EXIT_NO : EXIT_OK;
}
