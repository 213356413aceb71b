/* new.c: a task.yaml that explains itself, and cases to replace. */
#include "task/new.h"

#include <stdio.h>
#include <string.h>

#include "task/task_int.h"
#include "task/write.h"

enum { LISTED_MAX = 256, EXAMPLES = 3 };

const char *task_new_grader(task_output kind)
{
    static const char *const types[] = { "contains", "label", "json-fields", "number" };
    return types[(unsigned)kind < ARRAY_LEN(types) ? kind : 0];
}

char *task_new_prompt(task_output kind, const char *labels, const char *fields)
{
    buf b = BUF_INIT(1 << 16);
    if (kind == TASK_LABEL)
        buf_printf(&b, "Answer with exactly one of these labels and nothing else: %s.", labels ? labels : "");
    else if (kind == TASK_JSON)
        buf_printf(&b, "Answer with one JSON object and nothing else. Its fields: %s.", fields ? fields : "");
    else
        buf_str(&b, kind == TASK_NUMBER ? "Answer with the number and nothing else." : "Answer in one sentence.");
    buf_str(&b, "\n\n{{input}}");
    char *out = buf_take(&b);
    buf_clear(&b);
    return out;
}

/* "a, b,c" to a list of texts; NULL: one is empty, or there is no memory. */
static js *listed(const char *text)
{
    js *list = js_array();
    bool ok = list != NULL;
    for (const char *p = text; ok && p;) {
        size_t n = strcspn(p, ",");
        span one = span_trim((span){ p, n });
        ok = one.n && js_len(list) < LISTED_MAX && js_push(list, js_new_stringn(one.p, one.n));
        p = p[n] ? p + n + 1 : NULL;
    }
    if (ok)
        return list;
    js_free(list);
    return NULL;
}

/* ---- fields: name or name:type ---- */

typedef struct field {
    char name[65];
    const char *type;
} field;

static status field_of(const char *text, field *out, error *err)
{
    static const char *const types[] = { "string", "number", "integer", "boolean" };
    const char *colon = strchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    out->type = colon ? NULL : types[0];
    for (size_t i = 0; colon && i < ARRAY_LEN(types); i++)
        out->type = strcmp(types[i], colon + 1) ? out->type : types[i];
    if (!out->type)
        return fail(err, E_FORMAT, "fields: '%.60s': the types are string, number, integer and boolean", text);
    if (!n || n > 64)
        return fail(err, E_FORMAT, "fields: '%.60s': a name has 1 to 64 bytes", text);
    memcpy(out->name, text, n);
    out->name[n] = 0;
    return OK;
}

static js *example_of(const char *type, int i)
{
    if (!strcmp(type, "boolean"))
        return js_new_bool(i % 2 == 1);
    if (!strcmp(type, "string")) {
        char text[40];
        snprintf(text, sizeof text, "value %d", i);
        return js_new_string(text);
    }
    return js_new_int(i);
}

static bool add_property(js *properties, js *required, const field *f)
{
    js *p = js_object();
    if (!p || !js_set(p, "type", js_new_string(f->type))) {
        js_free(p);
        return false;
    }
    return js_set(properties, f->name, p) && js_push(required, js_new_string(f->name));
}

static status write_schema(const js *fields, buf *out, error *err)
{
    js *properties = js_object(), *required = js_array();
    status s = properties && required ? OK : task_no_memory(err);
    for (size_t i = 0; i < js_len(fields) && !s; i++) {
        field f;
        s = field_of(js_text(js_at(fields, i)), &f, err);
        if (!s && js_get(properties, f.name))
            s = fail(err, E_FORMAT, "fields: '%s' is there twice", f.name);
        if (!s && !add_property(properties, required, &f))
            s = task_no_memory(err);
    }
    if (!s) {
        buf_str(out, "  schema: # what an answer must be; local models cannot answer otherwise\n    type: object\n"
                     "    properties: ");
        write_yaml_flow(out, properties);
        buf_str(out, "\n    required: ");
        write_yaml_flow(out, required);
        buf_str(out, "\n    additionalProperties: false\n");
    }
    js_free(properties);
    js_free(required);
    return s;
}

/* ---- task.yaml ---- */

static void write_text(buf *out, const char *key, const char *text, int indent)
{
    buf_printf(out, "%s: ", key);
    write_yaml_text(out, text, indent);
}

static void write_asking(const task_new *n, buf *out)
{
    buf_str(out, "\n# {{name}} is replaced by input.name of a case; a text as input is {{input}}\n");
    if (!n->system) {
        write_text(out, "prompt", n->prompt, 2);
        return;
    }
    buf_str(out, "messages:\n  - role: system\n    ");
    write_text(out, "content", n->system, 6);
    buf_str(out, "  - role: user\n    ");
    write_text(out, "content", n->prompt, 6);
}

static status write_output(const task_new *n, const js *labels, const js *fields, buf *out, error *err)
{
    buf_printf(out, "\noutput:\n  kind: %s\n", task_output_name(n->output));
    if (n->output == TASK_LABEL) {
        buf_str(out, "  labels: ");
        write_yaml_flow(out, labels);
        buf_char(out, '\n');
    }
    status s = n->output == TASK_JSON ? write_schema(fields, out, err) : OK;
    buf_str(out, "\n# how an answer is judged; docs/TASKS.md lists all graders and their settings\ngraders:\n");
    buf_printf(out, "  - type: %s\n", n->grader ? n->grader : task_new_grader(n->output));
    return s;
}

static status write_yaml(const task_new *n, const js *labels, const js *fields, buf *out, error *err)
{
    static const char *const classes[] = { "any place may answer", "local or on-premises", "local only",
                                           "local only, and its texts are kept nowhere" };
    buf_printf(out, "hearth: 1\nid: %s\n", n->id);
    if (n->description && *n->description)
        write_text(out, "description", n->description, 2);
    buf_printf(out, "privacy: %s # %s\n", privacy_class_name(n->privacy), classes[n->privacy]);
    if (n->synthetic)
        buf_str(out, "cases: synthetic # no case holds real data: a remote provider may be measured too\n");
    write_asking(n, out);
    status s = write_output(n, labels, fields, out, err);
    buf_str(out, "\n# Set before the first run. Local may answer when one of them is proved:\n");
    if (n->bar >= 0)
        buf_printf(out, "bar: %g     # the share of good answers is at least this (lower 95 %% bound)\n", n->bar);
    if (n->margin >= 0)
        buf_printf(out, "margin: %g  # or it is at most this much below the cloud's\n", n->margin);
    buf_printf(out, "\nsampling: {temperature: 0, max_tokens: %d}\n", n->output == TASK_LABEL ? 16 : 256);
    return s ? s : buf_ok(out, "task.yaml", err);
}

/* ---- examples ---- */

typedef struct variables {
    js *input; /* owned */
    int example;
    bool failed;
} variables;

static bool add_variable(void *at, const char *name, size_t n)
{
    variables *v = at;
    char key[65], text[40];
    snprintf(key, sizeof key, "%.*s", (int)n, name);
    snprintf(text, sizeof text, "example %d", v->example);
    v->failed = v->failed || !js_set(v->input, key, js_new_string(text));
    return !v->failed;
}

static js *example_input(const task *t, int i)
{
    variables v = { js_object(), i, false };
    if (!v.input)
        return NULL;
    prompt_variables(&t->prompt, add_variable, &v);
    if (v.failed) {
        js_free(v.input);
        return NULL;
    }
    const js *only = js_len(v.input) == 1 ? js_get(v.input, "input") : NULL;
    if (!only)
        return v.input;
    js *text = js_copy(only);
    js_free(v.input);
    return text;
}

static js *example_expected(const task *t, const char *grader, const js *labels, const js *fields, int i)
{
    static const char *const lists[] = { "contains-all", "contains-any", "not-contains", "key-facts" };
    if (t->output == TASK_LABEL)
        return js_copy(js_at(labels, (size_t)i - 1));
    if (t->output == TASK_NUMBER || !strcmp(grader, "number"))
        return js_new_int(i);
    js *out = t->output == TASK_JSON ? js_object() : js_array();
    bool list = false, ok = out != NULL;
    for (size_t k = 0; k < js_len(fields) && ok; k++) {
        field f;
        ok = field_of(js_text(js_at(fields, k)), &f, NULL) == OK && js_set(out, f.name, example_of(f.type, i));
    }
    for (size_t k = 0; k < ARRAY_LEN(lists); k++)
        list = list || !strcmp(lists[k], grader);
    if (t->output != TASK_JSON) {
        char text[40];
        snprintf(text, sizeof text, "answer %d", i);
        if (!list) {
            js_free(out);
            return js_new_string(text);
        }
        ok = ok && js_push(out, js_new_string(text));
    }
    if (ok)
        return out;
    js_free(out);
    return NULL;
}

static status write_examples(const task *t, const char *grader, const js *labels, const js *fields, buf *out,
                             error *err)
{
    size_t n = t->output == TASK_LABEL ? js_len(labels) : EXAMPLES;
    for (size_t i = 1; i <= n; i++) {
        js *input = example_input(t, (int)i), *expected = example_expected(t, grader, labels, fields, (int)i);
        bool ok = input && expected;
        if (ok) {
            buf_printf(out, "{\"id\": \"example-%zu\", \"input\": ", i);
            js_write(input, JS_COMPACT, out);
            buf_str(out, ", \"expected\": ");
            js_write(expected, JS_COMPACT, out);
            buf_str(out, "}\n");
        }
        js_free(input);
        js_free(expected);
        if (!ok)
            return task_no_memory(err);
    }
    return buf_ok(out, "cases.jsonl", err);
}

static status check(const task_new *n, const js *labels, const js *fields, error *err)
{
    error why;
    if (n->output == TASK_LABEL && js_len(labels) < 2)
        return fail(err, E_FORMAT, "labels: at least two are needed, separated by commas");
    if (n->output == TASK_JSON && js_len(fields) < 1)
        return fail(err, E_FORMAT, "fields: at least one is needed, separated by commas");
    if (!n->prompt || !strstr(n->prompt, "{{"))
        return fail(err, E_FORMAT, "prompt: it must hold a variable, such as {{input}}, or all cases are the same");
    if (prompt_check(n->prompt, &why))
        return fail(err, E_FORMAT, "prompt: %s", why.text);
    return OK;
}

/* The cases as given, or made; and both files read back. */
static status finish(const task_new *n, const js *labels, const js *fields, const char *given, size_t n_given,
                     const buf *file, buf *cases, error *err)
{
    task *t = NULL;
    status s = task_parse(&t, buf_text(file), file->len, n->id, err);
    if (!s && !given)
        s = write_examples(t, n->grader ? n->grader : task_new_grader(n->output), labels, fields, cases, err);
    if (!s && given) {
        buf_add(cases, given, n_given);
        s = buf_ok(cases, "the cases", err);
    }
    if (!s)
        s = task_parse_cases(t, buf_text(cases), cases->len, err);
    for (size_t i = 0; !s && !given && i < t->n_cases; i++) { /* a path such as {{a.b}}: an example cannot be made up */
        task_messages m = { 0 };
        if (task_render(t, &t->prompt, t->cases[i].input, NULL, &m, err))
            s = fail(err, E_FORMAT, "the prompt has variables of which no example can be made; give the cases");
        task_messages_clear(&m);
    }
    task_close(&t);
    return s;
}

status task_new_files(const task_new *n, const char *given, size_t n_given, buf *file, buf *cases, error *err)
{
    js *labels = n->output == TASK_LABEL && n->labels ? listed(n->labels) : js_array();
    js *fields = n->output == TASK_JSON && n->fields ? listed(n->fields) : js_array();
    status s = OK;
    if (!labels || !fields)
        s = fail(err, E_FORMAT, "%s: a list of words, separated by commas", labels ? "fields" : "labels");
    if (!s)
        s = check(n, labels, fields, err);
    if (!s)
        s = write_yaml(n, labels, fields, file, err);
    if (!s)
        s = finish(n, labels, fields, given, n_given, file, cases, err);
    js_free(labels);
    js_free(fields);
    return s;
}
