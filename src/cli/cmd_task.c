/* cmd_task.c: hearth task lint | list | show. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "plat/machine.h"
#include "stat/stat.h"
#include "task/grade.h"
#include "task/lint.h"

static const usage usage_text = {
    "hearth task lint [--json] TASK…\n       hearth task list [--json]\n       hearth task show [--json] TASK\n"
    "       hearth task review TASK …",
    "A task is a folder with task.yaml and cases.jsonl (docs/TASKS.md). TASK is its path, or its name below ./tasks,\n"
    "$HEARTH_HOME/tasks or the installed tasks.\n"
    "  lint   what is wrong with it before it is measured; exit code 1 when there are errors\n"
    "  list   the tasks that are found by name\n"
    "  show   what one task asks, grades and demands, and its baselines\n"
    "  review people judge its answers: hearth task review --help\n"
    "examples:\n"
    "  hearth task lint tasks/*\n"
    "  hearth task show ticket-class\n",
};

typedef struct options {
    bool json;
    const char *bin_dir;
} options;

static int out_of_memory(void)
{
    error e;
    (void)fail(&e, E_NOMEM, "no memory");
    return report("task", &e);
}

/* Prints one document and frees it. */
static int print_json(js *document)
{
    buf b = BUF_INIT(64u << 20);
    js_write(document, JS_PRETTY, &b);
    bool ok = document && buf_ok(&b, "the report", NULL) == OK;
    if (ok)
        puts(buf_text(&b));
    buf_clear(&b);
    js_free(document);
    return ok ? EXIT_OK : out_of_memory();
}

/* ---- lint ---- */

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

static int task_lint(const options *o, int n, char **words)
{
    if (n == 0)
        return usage_error("task", "lint: which task?");
    js *all = o->json ? js_array() : NULL;
    size_t errors = 0;
    for (int i = 0; i < n; i++) {
        lint_report r;
        error e;
        if (lint_task(words[i], o->bin_dir, &r, NULL, &e)) {
            js_free(all);
            return report("task", &e);
        }
        errors += r.n_errors;
        if (o->json)
            js_push(all, lint_json(words[i], &r));
        else
            print_lint(words[i], &r);
        lint_report_clear(&r);
    }
    int code = o->json ? print_json(all) : EXIT_OK;
    return code ? code : errors ? EXIT_NO : EXIT_OK;
}

/* ---- list ---- */

static int task_list_all(const options *o, int n, char **words)
{
    task_names names;
    error e;
    (void)words;
    if (n)
        return usage_error("task", "list takes no further words");
    if (task_list(&names, o->bin_dir, &e))
        return report("task", &e);
    js *all = o->json ? js_array() : NULL;
    for (size_t i = 0; i < names.n; i++) {
        task *t = NULL;
        status s = task_open(&t, names.dirs[i], NULL, &e);
        if (o->json) {
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
    if (!o->json && names.n == 0)
        fprintf(stderr, "hearth task: no tasks here: ./tasks holds none\n");
    task_names_clear(&names);
    return o->json ? print_json(all) : EXIT_OK;
}

/* ---- show ---- */

static js *score_json(const task_score *s)
{
    js *o = js_object();
    js_set(o, "cases", js_new_int((int64_t)s->n));
    js_set(o, "pass", js_new_int((int64_t)s->pass));
    js_set(o, "wrong", js_new_int((int64_t)s->wrong));
    js_set(o, "malformed", js_new_int((int64_t)s->malformed));
    js_set(o, "score", js_new_double(s->mean));
    return o;
}

static js *number_or_null(double v)
{
    return v < 0 ? js_null() : js_new_double(v);
}

typedef struct facts {
    char prompt[DIGEST_HEX], graders[DIGEST_HEX], suite[DIGEST_HEX];
    task_baselines b;
    size_t n_hard;
} facts;

static status gather(const task *t, facts *f, error *err)
{
    *f = (facts){ .n_hard = 0 };
    task_prompt_digest(&t->prompt, f->prompt);
    status s = task_grader_digest(t, f->graders, err);
    if (!s)
        s = task_suite_digest(t, f->suite, err);
    for (size_t i = 0; i < t->n_cases; i++)
        f->n_hard += task_case_has_tag(&t->cases[i], "hard");
    return s ? s : task_baseline(t, &f->b, err);
}

static js *show_json(const task *t, const facts *f)
{
    js *o = js_object(), *graders = js_array(), *digests = js_object(), *baselines = js_object();
    for (size_t i = 0; i < t->n_graders; i++)
        js_push(graders, js_new_string(grade_name(t, i)));
    js_set(digests, "prompt", js_new_string(f->prompt));
    js_set(digests, "graders", js_new_string(f->graders));
    js_set(digests, "suite", js_new_string(f->suite));
    js_set(baselines, "constant", f->b.constant ? score_json(&f->b.majority) : js_null());
    js_set(baselines, "constant_answer", f->b.constant ? js_new_string(f->b.constant) : js_null());
    js_set(baselines, "rules", f->b.has_rules ? score_json(&f->b.rules) : js_null());
    js_set(o, "id", js_new_string(t->id));
    js_set(o, "dir", js_new_string(t->dir));
    js_set(o, "description", js_new_string(t->description));
    js_set(o, "privacy", js_new_string(privacy_class_name(t->privacy)));
    js_set(o, "synthetic", js_new_bool(t->synthetic));
    js_set(o, "output", js_new_string(task_output_name(t->output)));
    js_set(o, "graders", graders);
    js_set(o, "bar", number_or_null(t->bar));
    js_set(o, "margin", js_new_double(task_margin(t)));
    js_set(o, "cases", js_new_int((int64_t)t->n_cases));
    js_set(o, "hard", js_new_int((int64_t)f->n_hard));
    js_set(o, "resolution", js_new_double(stat_resolution(t->n_cases, .19, .05, .8)));
    js_set(o, "baselines", baselines);
    js_set(o, "digests", digests);
    return o;
}

static void print_score(const char *name, const task_score *s)
{
    double n = s->n ? (double)s->n : 1;
    stat_interval v = stat_clopper_pearson(s->pass, s->n, .95);
    printf("  %-10s passes %zu of %zu: %.1f %% [%.1f, %.1f], score %.3f, malformed %zu\n", name, s->pass, s->n,
           100 * (double)s->pass / n, 100 * v.low, 100 * v.high, s->mean, s->malformed);
}

static void print_prompt(const task_prompt *p)
{
    printf("  %s: %zu message%s%s\n", p->provider ? p->provider : "default", p->n_messages,
           p->n_messages == 1 ? "" : "s", p->plain ? ", plain text" : "");
}

static void print_show(const task *t, const facts *f)
{
    printf("%s%s%s: %s\n", cli_style(1, "\033[1m"), t->id, cli_style(1, "\033[0m"), t->description);
    printf("  folder     %s\n  privacy    %s%s\n", t->dir, privacy_class_name(t->privacy),
           t->synthetic ? " (its cases are synthetic)" : "");
    printf("  output     %s", task_output_name(t->output));
    for (size_t i = 0; i < t->n_labels && i < 12; i++)
        printf("%s%s", i ? ", " : ": ", t->labels[i]);
    printf("%s\n  graders    ", t->n_labels > 12 ? ", …" : "");
    for (size_t i = 0; i < t->n_graders; i++)
        printf("%s%s", i ? ", " : "", grade_name(t, i));
    if (t->bar >= 0)
        printf("\n  bar        %g", t->bar);
    printf("\n  margin     %g\n  cases      %zu, %zu of them hard; paired with a cloud they can prove +-%.0f points, "
           "no less\n", task_margin(t), t->n_cases, f->n_hard, 100 * stat_resolution(t->n_cases, .19, .05, .8));
    printf("prompts\n");
    print_prompt(&t->prompt);
    for (size_t i = 0; i < t->n_variants; i++)
        print_prompt(&t->variants[i]);
    printf("baselines\n");
    if (f->b.constant)
        print_score("constant", &f->b.majority);
    if (f->b.has_rules)
        print_score("rules", &f->b.rules);
    printf("digests\n  prompt     %.16s\n  graders    %.16s\n  suite      %.16s\n", f->prompt, f->graders, f->suite);
}

static int task_show(const options *o, int n, char **words)
{
    task *t = NULL;
    facts f = { .n_hard = 0 };
    error e;
    if (n != 1)
        return usage_error("task", "show takes one task");
    status s = task_open(&t, words[0], o->bin_dir, &e);
    if (!s)
        s = task_load_cases(t, &e);
    if (!s)
        s = gather(t, &f, &e);
    int code = EXIT_OK;
    if (s)
        code = report("task", &e);
    else if (o->json)
        code = print_json(show_json(t, &f));
    else
        print_show(t, &f);
    task_baselines_clear(&f.b);
    task_close(&t);
    return code;
}

int cmd_task(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const options *o, int n, char **words);
    } verbs[] = { { "lint", task_lint }, { "list", task_list_all }, { "show", task_show } };
    options o = { false, NULL };
    const option table[] = { { "json", 0, OPTION_FLAG, &o.json, NULL, "one JSON document on standard output" } };
    char directory[4096];
    size_t n = 0;
    int code = EXIT_OK;
    if (argc > 1 && strcmp(argv[1], "review") == 0)
        return task_review(argc - 1, argv + 1);
    if (!options_read(argc, argv, &usage_text, table, ARRAY_LEN(table), &n, &code))
        return code;
    if (n == 0)
        return usage_error("task", "lint, list, show or review?");
    if (machine_program_dir(directory, sizeof directory, NULL) == OK)
        o.bin_dir = directory;
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (!strcmp(verbs[i].name, argv[1]))
            return verbs[i].run(&o, (int)n - 1, argv + 2);
    const char *near = str_nearest(argv[1], verbs, ARRAY_LEN(verbs), sizeof *verbs);
    return usage_error("task", "'%s' is none of lint, list, show, review%s%s%s", argv[1],
                       near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}
