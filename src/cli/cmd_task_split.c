/* cmd_task_split.c: hearth task split TASK: adds the key `split` to task.yaml and shows how the cases fall. */
#include "cli/cmd_task.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cli/input.h"
#include "task/task.h"
#include "task/write.h"

static const usage usage_text = {
    "hearth task split [OPTION]… TASK",
    "Holds cases back: the test cases are measured, the others (train) may be shown in prompts (few_shot). The side\n"
    "of a case is a hash of its cluster (or id) and a salt, so that nothing is written into cases.jsonl and new cases\n"
    "fall by themselves. Adds the key `split` to task.yaml; a task that has one is only shown.\n"
    "example:\n"
    "  hearth task split tickets --held-back 0.5\n",
};

enum { YAML_MAX = 2 << 20 };

typedef struct counts {
    size_t test, train, clusters;
} counts;

static counts count(const task *t)
{
    counts c = { 0 };
    c.test = task_measured(t);
    c.train = t->n_cases - c.test;
    for (size_t i = 0; i < t->n_cases; i++)
        c.clusters += t->cases[i].cluster != NULL;
    return c;
}

static int show(const task *t, bool added, bool json, const char *name)
{
    counts c = count(t);
    if (!json) {
        printf("%s: %zu test cases are measured, %zu train cases may be shown in prompts (held_back %g, salt '%s')%s\n",
               t->id, c.test, c.train, t->held_back, t->salt, added ? "" : "; nothing was written");
        return EXIT_OK;
    }
    js *o = js_object();
    js_set(o, "task", js_new_string(t->id));
    js_set(o, "held_back", js_new_double(t->held_back));
    js_set(o, "salt", js_new_string(t->salt));
    js_set(o, "test", js_new_int((int64_t)c.test));
    js_set(o, "train", js_new_int((int64_t)c.train));
    js_set(o, "in_clusters", js_new_int((int64_t)c.clusters));
    js_set(o, "written", js_new_bool(added));
    return cli_print_json(o, name);
}

/* task.yaml with the key added at its end. */
static status add_key(buf *out, const task *t, double held_back, const char *salt, error *err)
{
    js *value = js_object();
    status s = input_read_file(t->path, out, err);
    if (!s && out->len && out->data[out->len - 1] != '\n')
        buf_char(out, '\n');
    if (!value || !js_set(value, "held_back", js_new_double(held_back)) || !js_set(value, "salt", js_new_string(salt)))
        s = fail(err, E_NOMEM, "no memory");
    buf_str(out, "split: ");
    write_yaml_flow(out, value);
    buf_char(out, '\n');
    js_free(value);
    return s ? s : buf_ok(out, t->path, err);
}

static int split(const task *t, double held_back, const char *salt, bool dry, bool json, const char *name)
{
    buf yaml = BUF_INIT(YAML_MAX);
    task *with = NULL;
    error e;
    status s = add_key(&yaml, t, held_back, salt, &e);
    if (!s && task_parse(&with, yaml.data, yaml.len, t->dir, &e))
        s = fail(&e, E_FORMAT, "%s: the line 'split: {held_back: %g, salt: %s}' could not be added at its end; add it "
                 "by hand", t->path, held_back, salt);
    if (!s)
        s = task_load_cases(with, &e);
    if (!s && !dry)
        s = task_replace_yaml(t->dir, &yaml, &e);
    int code = s ? report(name, &e) : show(with, !dry, json, name);
    task_close(&with);
    buf_clear(&yaml);
    return code;
}

int cmd_task_split(int argc, char **argv, const char *bin_dir)
{
    bool json = false, dry = false;
    double held_back = -1;
    const char *seed = NULL;
    const option table[] = {
        { "held-back", 0, OPTION_FLOAT, &held_back, "SHARE", "share of the cases that is measured (0.5)" },
        { "seed", 0, OPTION_TEXT, &seed, "TEXT", "the salt: another one, another split (the task's id)" },
        { "dry-run", 0, OPTION_FLAG, &dry, NULL, "only say how the cases would fall" },
        { "json", 0, OPTION_FLAG, &json, NULL, "one JSON document on standard output" },
    };
    size_t n = 0;
    int code = EXIT_OK;
    task *t = NULL;
    error e;
    if (!options_read(argc, argv, &usage_text, table, ARRAY_LEN(table), &n, &code))
        return code;
    if (n != 1)
        return usage_error(argv[0], "it takes one task");
    if (held_back != -1 && !(held_back >= 0.01 && held_back <= 1))
        return usage_error(argv[0], "--held-back must be from 0.01 to 1");
    bool asked = held_back != -1 || seed;
    if (seed && strlen(seed) > 64)
        return usage_error(argv[0], "--seed must have at most 64 bytes");
    if (task_open(&t, argv[1], bin_dir, &e))
        return report(argv[0], &e);
    if (t->held_back >= 0 && asked && !dry) {
        (void)fail(&e, E_EXISTS, "%s: it has a split already; another one would measure cases that were shown in "
                   "prompts: to do so all the same, change it by hand", t->path);
        code = report(argv[0], &e);
    } else if (t->held_back >= 0) {
        code = task_load_cases(t, &e) ? report(argv[0], &e) : show(t, false, json, argv[0]);
    } else {
        code = split(t, held_back == -1 ? 0.5 : held_back, seed ? seed : t->id, dry, json, argv[0]);
    }
    task_close(&t);
    return code;
}
