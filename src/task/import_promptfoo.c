/* import_promptfoo.c: promptfooconfig.yaml and CSV files of tests. Other files that they name (file://…) are not
 * opened: an import reads one file. */
#include <stdio.h>
#include <string.h>

#include "task/csv.h"
#include "task/import_int.h"

enum { EXPANSIONS_MAX = 1000 };

/* What the whole file says. */
typedef struct config {
    importer *im;
    const yaml_file *f;
    js *prompts;                        /* texts and lists of messages; owned */
    js *default_vars, *default_asserts; /* owned */
    pf_tests tests;
} config;

/* ---- prompts ---- */

/* A text, or a JSON list of messages as a text. *out NULL with OK: a problem. */
static status prompt_of(importer *im, const char *text, int line, js **out)
{
    js *list = NULL;
    error why;
    size_t blanks = strspn(text, " \t\r\n");
    *out = NULL;
    if (str_starts(text, "file://") || str_starts(text, "exec:") || str_starts(text, "python:"))
        return import_note(im, line, 0, "the prompt is in another file (%.80s): write its text here", text);
    status s = text[blanks] == '[' ? js_parse(&list, text, strlen(text), im->name, line, NULL) : OK;
    if (s == E_NOMEM)
        return import_no_memory(im);
    if (list) {
        s = talk_messages(im, list, line, out);
        js_free(list);
        for (size_t i = 0; !s && *out && i < js_len(*out); i++)
            if (prompt_check(js_text(js_get(js_at(*out, i), "content")), &why)) {
                js_free(*out);
                *out = NULL;
                return import_note(im, line, 0, "the prompt: %s", why.text);
            }
        return s;
    }
    if (!*text || prompt_check(text, &why))
        return import_note(im, line, 0, "the prompt: %s", *text ? why.text : "it is empty");
    *out = js_new_string(text);
    return *out ? OK : import_no_memory(im);
}

static status add_prompt(config *c, const yaml *node)
{
    const yaml *raw = node->kind == YAML_MAP ? yaml_get(node, "raw") : node;
    js *prompt = NULL;
    if (!raw || raw->kind != YAML_SCALAR)
        return import_note(c->im, node->line, 0, "a prompt must be a text (or have one as 'raw')");
    status s = prompt_of(c->im, raw->text, raw->line, &prompt);
    if (s || !prompt)
        return s;
    return js_push(c->prompts, prompt) ? OK : import_no_memory(c->im);
}

static status read_prompts(config *c, const yaml *node)
{
    status s = OK;
    if (!node)
        return import_note(c->im, 0, 0, "there are no 'prompts' in it");
    if (node->kind == YAML_SCALAR)
        return add_prompt(c, node);
    for (const yaml *one = node->child; one && !s; one = one->next)
        s = add_prompt(c, one);
    return s;
}

/* ---- tests ---- */

static js *to_js(const yaml *node, bool list)
{
    return node ? yaml_to_js(node) : list ? js_array() : js_object();
}

/* Both lists, or both objects with the second's members winning; takes neither. */
static js *merged(const js *a, const js *b, bool list)
{
    js *out = list ? js_array() : js_object();
    bool ok = out != NULL;
    for (int which = 0; which < 2; which++) {
        const js *from = which ? b : a;
        for (size_t i = 0; ok && list && i < js_len(from); i++)
            ok = js_push(out, js_copy(js_at(from, i)));
        for (js_member m = { 0 }; ok && !list && js_next(from, &m);)
            ok = js_set(out, m.key, js_copy(m.value));
    }
    if (ok)
        return out;
    js_free(out);
    return NULL;
}

/* A variable that is a list stands for one test for each of its values. */
static const char *list_in(const js *vars)
{
    for (js_member m = { 0 }; js_next(vars, &m);)
        if (js_is(m.value, JS_ARRAY))
            return m.key;
    return NULL;
}

/* Takes vars. */
static status add_expanded(config *c, js *vars, const js *asserts, int line, size_t *budget)
{
    const char *key = list_in(vars);
    if (!key) {
        if (*budget == 0) {
            js_free(vars);
            return import_note(c->im, line, 1, "its lists of variables make more than %d tests", EXPANSIONS_MAX);
        }
        --*budget;
        return pf_add(c->im, &c->tests, vars, js_copy(asserts), line);
    }
    js *values = js_copy(js_get(vars, key));
    status s = values ? OK : import_no_memory(c->im);
    for (size_t i = 0; i < js_len(values) && !s && *budget; i++) {
        js *one = js_copy(vars);
        if (one && js_set(one, key, js_copy(js_at(values, i)))) {
            s = add_expanded(c, one, asserts, line, budget);
        } else {
            js_free(one);
            s = import_no_memory(c->im);
        }
    }
    js_free(values);
    js_free(vars);
    return s;
}

static bool names_file(const js *vars)
{
    for (js_member m = { 0 }; js_next(vars, &m);)
        if (js_is(m.value, JS_STRING) && str_starts(js_text(m.value), "file://"))
            return true;
    return false;
}

/* What would change how a test is judged, and is not known here. */
static status check_test(config *c, const yaml *node)
{
    static const char *const known[] = { "description", "vars", "assert", "metadata", "provider", "providers",
                                         "options", "prompts" };
    for (const yaml *m = node->child; m; m = m->next) {
        bool ok = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            ok = ok || !strcmp(known[i], m->key);
        bool set = !strcmp(m->key, "options") && yaml_count(m) > 0;
        status s = ok && !set ? OK : import_note(c->im, m->line, 0, "'%.40s' of a test cannot be taken over", m->key);
        if (s)
            return s;
    }
    return OK;
}

static status read_test(config *c, const yaml *node)
{
    const yaml *vars = yaml_get(node, "vars"), *asserts = yaml_get(node, "assert");
    size_t budget = EXPANSIONS_MAX;
    if (node->kind != YAML_MAP || (vars && vars->kind != YAML_MAP) || (asserts && asserts->kind != YAML_SEQ))
        return import_note(c->im, node->line, 1, "a test must be a map with vars (a map) and assert (a list)");
    status s = check_test(c, node);
    js *own_vars = to_js(vars, false), *own_asserts = to_js(asserts, true);
    js *all_vars = own_vars ? merged(c->default_vars, own_vars, false) : NULL;
    js *all_asserts = own_asserts ? merged(c->default_asserts, own_asserts, true) : NULL;
    if (!s && (!all_vars || !all_asserts))
        s = import_no_memory(c->im);
    if (!s && names_file(all_vars)) {
        s = import_note(c->im, node->line, 1, "a variable is in another file (file://…)");
    } else if (!s) {
        s = add_expanded(c, all_vars, all_asserts, node->line, &budget);
        all_vars = NULL;
    }
    js_free(own_vars);
    js_free(own_asserts);
    js_free(all_vars);
    js_free(all_asserts);
    return s;
}

static status read_tests(config *c, const yaml *root)
{
    const yaml *tests = yaml_get(root, "tests"), *shared = yaml_get(root, "defaultTest");
    status s = shared ? shared->kind == YAML_MAP ? check_test(c, shared)
                                                 : import_note(c->im, shared->line, 0, "'defaultTest' must be a map")
                      : OK;
    c->default_vars = to_js(yaml_get(shared, "vars"), false);
    c->default_asserts = to_js(yaml_get(shared, "assert"), true);
    if (!s && (!c->default_vars || !c->default_asserts))
        s = import_no_memory(c->im);
    if (!s && (!tests || tests->kind != YAML_SEQ))
        s = import_note(c->im, tests ? tests->line : 0, 0, "'tests' must be a list in this file (a CSV of tests is "
                        "imported by itself)");
    for (const yaml *t = tests && tests->kind == YAML_SEQ ? tests->child : NULL; t && !s; t = t->next)
        s = read_test(c, t);
    return s;
}

static status check_root(config *c, const yaml *root)
{
    static const char *const known[] = { "description", "providers", "targets", "prompts", "tests", "defaultTest",
                                         "outputPath", "sharing", "evaluateOptions", "tags", "metadata", "env",
                                         "commandLineOptions", "writeLatestResults", "$schema" };
    for (const yaml *m = root->child; m; m = m->next) {
        bool ok = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            ok = ok || !strcmp(known[i], m->key);
        status s = ok ? OK : import_note(c->im, m->line, 0, "'%.40s' cannot be taken over", m->key);
        if (s)
            return s;
    }
    return OK;
}

status import_promptfoo(importer *im, const char *text, size_t n)
{
    yaml_file *f = NULL;
    status s = yaml_parse(&f, text, n, im->name, im->err);
    if (s)
        return s;
    config c = { .im = im, .f = f, .prompts = js_array() };
    if (!c.prompts)
        s = import_no_memory(im);
    else if (!f->root || f->root->kind != YAML_MAP)
        s = fail(im->err, E_FORMAT, "%s:1: a promptfoo configuration is a map with prompts and tests", im->name);
    if (!s)
        s = check_root(&c, f->root);
    if (!s)
        s = read_prompts(&c, yaml_get(f->root, "prompts"));
    if (!s)
        s = read_tests(&c, f->root);
    if (!s)
        s = pf_finish(im, c.prompts, &c.tests);
    pf_clear(&c.tests);
    js_free(c.prompts);
    js_free(c.default_vars);
    js_free(c.default_asserts);
    yaml_close(&f);
    return s;
}

/* ---- CSV: a column a variable; __expected, __expected1 … are assertions ---- */

/* "contains: x", "not-icontains:x", "is-json", "similar(0.8): x"; anything else is what the answer must equal. */
static js *assertion_of(const char *text)
{
    static const char *const types[] = {
        "equals", "contains", "icontains", "contains-all", "icontains-all", "contains-any", "icontains-any", "regex",
        "starts-with", "is-json", "contains-json", "word-count", "similar", "levenshtein", "llm-rubric", "grade", "fn",
        "eval", "javascript", "python", "webhook", "file", "rouge-n", "bleu", "factuality", "answer-relevance", "cost",
        "latency", "model-graded-closedqa", "perplexity", "is-sql", "contains-sql", "is-xml", "contains-xml",
        "moderation",
    };
    size_t n = strcspn(text, ":("), skip = str_starts(text, "not-") ? 4 : 0;
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        known = known || (n > skip && strlen(types[i]) == n - skip && !memcmp(types[i], text + skip, n - skip));
    bool bare = !text[n]; /* "is-json" alone; "contains" alone is a text */
    known = known && (!bare || !strcmp(text + skip, "is-json") || !strcmp(text + skip, "contains-json"));
    const char *colon = known ? strchr(text + n, ':') : NULL, *value = colon ? colon + 1 : known ? "" : text;
    value += known ? strspn(value, " ") : 0;
    js *a = js_object();
    bool ok = a && js_set(a, "type", known ? js_new_stringn(text, n) : js_new_string("equals"));
    if (ok && *value)
        ok = js_set(a, "value", js_new_string(value));
    if (ok && known && text[n] == '(')
        ok = js_set(a, "threshold", js_new_string("set"));
    if (ok)
        return a;
    js_free(a);
    return NULL;
}

static status csv_field(importer *im, const char *name, const char *value, int line, js *vars, js *asserts)
{
    static const char *const ignored[] = { "__description", "__metric", "__metadata", "__provider" };
    if (str_starts(name, "__expected"))
        return !*value || js_push(asserts, assertion_of(value)) ? OK : import_no_memory(im);
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        if (str_starts(name, ignored[i]))
            return OK;
    if (str_starts(name, "__"))
        return *value ? import_note(im, line, 0, "the column '%.40s' cannot be taken over", name) : OK;
    return js_set(vars, name, js_new_string(value)) ? OK : import_no_memory(im);
}

static status csv_test(importer *im, const js *header, const csv_row *row, pf_tests *tests)
{
    if (row->n != js_len(header))
        return import_note(im, row->line, 1, "%zu fields; the header has %zu", row->n, js_len(header));
    js *vars = js_object(), *asserts = js_array();
    status s = vars && asserts ? OK : import_no_memory(im);
    for (size_t i = 0; i < row->n && !s; i++)
        s = csv_field(im, js_text(js_at(header, i)), row->fields[i], row->line, vars, asserts);
    if (!s)
        return pf_add(im, tests, vars, asserts, row->line);
    js_free(vars);
    js_free(asserts);
    return s;
}

/* The prompt that was given; else the only variable as it is. */
static status csv_prompts(importer *im, const js *header, js *prompts)
{
    const char *only = NULL;
    char text[160];
    size_t n = 0;
    js *prompt = NULL;
    for (size_t i = 0; i < js_len(header); i++) {
        const char *name = js_text(js_at(header, i));
        n += !str_starts(name, "__");
        only = str_starts(name, "__") ? only : name;
    }
    if (!im->o->prompt && n != 1)
        return fail(im->err, E_FORMAT, "%s: it holds %zu variables and no prompt: give one with --prompt, with its "
                    "variables as {{name}}", im->name, n);
    snprintf(text, sizeof text, "{{%.100s}}", only ? only : "");
    status s = prompt_of(im, im->o->prompt ? im->o->prompt : text, 1, &prompt);
    return s || !prompt ? s : js_push(prompts, prompt) ? OK : import_no_memory(im);
}

static status read_header(importer *im, const csv_row *row, js *header)
{
    for (size_t i = 0; i < row->n; i++) {
        for (size_t k = 0; k < i; k++)
            if (!strcmp(row->fields[k], row->fields[i]))
                return fail(im->err, E_FORMAT, "%s:%d: the column '%.40s' is there twice", im->name, row->line,
                            row->fields[i]);
        if (!js_push(header, js_new_string(row->fields[i])))
            return import_no_memory(im);
    }
    return OK;
}

status import_promptfoo_csv(importer *im, const char *text, size_t n)
{
    csv *reader = NULL;
    csv_row row;
    bool more = false;
    pf_tests tests = { 0 };
    js *header = js_array(), *prompts = js_array();
    status s = header && prompts ? csv_open(&reader, text, n, im->name, im->err) : import_no_memory(im);
    if (!s)
        s = csv_next(reader, &row, &more, im->err);
    if (!s)
        s = more ? read_header(im, &row, header) : fail(im->err, E_FORMAT, "%s: it is empty", im->name);
    if (!s)
        s = csv_prompts(im, header, prompts);
    while (!s && (s = csv_next(reader, &row, &more, im->err)) == OK && more)
        s = csv_test(im, header, &row, &tests);
    if (!s)
        s = pf_finish(im, prompts, &tests);
    csv_close(&reader);
    pf_clear(&tests);
    js_free(header);
    js_free(prompts);
    return s;
}
