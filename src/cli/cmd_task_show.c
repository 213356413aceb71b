/* cmd_task_show.c: hearth task show TASK */
#include "cli/cmd_task.h"

#include <stdio.h>

#include "stat/stat.h"
#include "task/grade.h"

static const usage usage_text = {
    "hearth task show [--json] TASK",
    "What one task asks, grades and demands, and its baselines.\n"
    "example:\n"
    "  hearth task show ticket-class\n",
};

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
    js_set(o, "measured", js_new_int((int64_t)task_measured(t)));
    js_set(o, "resolution", js_new_double(stat_resolution(task_measured(t), .19, .05, .8)));
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
    printf("  %s: %zu message%s%s", p->provider ? p->provider : "default", p->n_messages,
           p->n_messages == 1 ? "" : "s", p->plain ? ", plain text" : "");
    if (p->shots.n)
        printf(", %zu examples from the train cases", p->shots.n);
    printf("\n");
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
           "no less\n", task_margin(t), t->n_cases, f->n_hard, 100 * stat_resolution(task_measured(t), .19, .05, .8));
    if (t->held_back >= 0)
        printf("  split      %zu test cases are measured, %zu train cases may be shown in prompts\n", task_measured(t),
               t->n_cases - task_measured(t));
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

int cmd_task_show(int argc, char **argv, const char *bin_dir)
{
    bool json = false;
    const option table[] = { { "json", 0, OPTION_FLAG, &json, NULL, "one JSON document on standard output" } };
    task *t = NULL;
    facts f = { .n_hard = 0 };
    error e;
    size_t n = 0;
    int code = EXIT_OK;
    if (!options_read(argc, argv, &usage_text, table, ARRAY_LEN(table), &n, &code))
        return code;
    if (n != 1)
        return usage_error(argv[0], "it takes one task");
    status s = task_open(&t, argv[1], bin_dir, &e);
    if (!s)
        s = task_load_cases(t, &e);
    if (!s)
        s = gather(t, &f, &e);
    if (s)
        code = report(argv[0], &e);
    else if (json)
        code = cli_print_json(show_json(t, &f), argv[0]);
    else
        print_show(t, &f);
    task_baselines_clear(&f.b);
    task_close(&t);
    return code;
}
