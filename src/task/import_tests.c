/* import_tests.c: promptfoo's prompts × tests to tasks: tests whose graders are the same become one task under each
 * prompt. */
#include <string.h>

#include "task/import_int.h"

void pf_clear(pf_tests *tests)
{
    for (size_t i = 0; i < tests->n; i++) {
        js_free(tests->items[i].vars);
        js_free(tests->items[i].assertions);
    }
    mem_free(tests->items);
    *tests = (pf_tests){ 0 };
}

status pf_add(importer *im, pf_tests *tests, js *vars, js *assertions, int line)
{
    status s = vars && assertions ? OK : import_no_memory(im);
    bool full = tests->n == TASK_CASES_MAX;
    if (!s && full)
        s = import_note(im, line, 1, "more than %d tests", TASK_CASES_MAX);
    if (!s && !full && tests->n == tests->size) {
        size_t size = tests->size ? 2 * tests->size : 64;
        pf_test *more = mem_resize(tests->items, size * sizeof *more);
        tests->items = more ? more : tests->items;
        tests->size = more ? size : tests->size;
        s = more ? OK : import_no_memory(im);
    }
    if (s || full) {
        js_free(vars);
        js_free(assertions);
        return s;
    }
    tests->items[tests->n++] = (pf_test){ vars, assertions, line };
    return OK;
}

/* What one set of graders has become. */
typedef struct shape {
    char key[DIGEST_HEX];
    js *graders, *schema; /* owned */
    draft d;
} shape;

typedef struct shapes {
    size_t n;
    shape items[IMPORT_TASKS_MAX];
} shapes;

static void shapes_clear(shapes *all)
{
    for (size_t i = 0; i < all->n; i++) {
        js_free(all->items[i].graders);
        js_free(all->items[i].schema);
        draft_clear(&all->items[i].d);
    }
    mem_free(all);
}

/* The shape with these graders; takes both. */
static status shape_of(importer *im, shapes *all, js *graders, js *wanted, shape **out)
{
    buf b = BUF_INIT(4 * TASK_LINE_BYTES_MAX);
    char key[DIGEST_HEX];
    js_write(graders, JS_CANONICAL, &b);
    js_write(wanted, JS_CANONICAL, &b);
    digest_of(buf_text(&b), b.len, key);
    bool failed = b.failed;
    buf_clear(&b);
    size_t i = 0;
    while (i < all->n && strcmp(all->items[i].key, key))
        i++;
    if (failed || i < all->n || i == IMPORT_TASKS_MAX) {
        js_free(graders);
        js_free(wanted);
    }
    if (failed)
        return import_no_memory(im);
    if (i == IMPORT_TASKS_MAX)
        return fail(im->err, E_RANGE, "%s: more than %d different sets of assertions", im->name, IMPORT_TASKS_MAX);
    if (i == all->n) {
        all->items[all->n++] = (shape){ .graders = graders, .schema = wanted };
        memcpy(all->items[i].key, key, sizeof key);
    }
    *out = &all->items[i];
    return OK;
}

static status add_test(importer *im, shapes *all, const pf_test *t)
{
    js *graders = NULL, *expected = NULL, *wanted = NULL;
    shape *to = NULL;
    status s = pf_map(im, t->assertions, t->vars, t->line, &graders, &expected, &wanted);
    if (!s && !graders)
        s = import_note(im, t->line, 1, js_len(t->assertions) ? "a test without an assertion that could be taken over"
                                                              : "a test without an assertion");
    else if (!s)
        s = shape_of(im, all, graders, wanted, &to);
    if (s || !to) {
        if (!graders)
            js_free(wanted);
        js_free(expected);
        return s;
    }
    js *input = js_copy(t->vars);
    if (!input) {
        js_free(expected);
        return import_no_memory(im);
    }
    return draft_add(im, &to->d, input, expected, NULL, t->line);
}

static status set_output(importer *im, draft *d, const shape *s)
{
    const js *first = js_get(js_at(s->graders, 0), "type");
    bool json = s->schema || !strcmp(js_text(first), "json-fields");
    js *output = json ? js_object() : NULL;
    if (!json)
        return OK;
    bool ok = output && js_set(output, "kind", js_new_string("json"));
    if (ok && js_len(s->schema))
        ok = js_set(output, "schema", js_copy(s->schema));
    if (!ok) {
        js_free(output);
        return import_no_memory(im);
    }
    return draft_set(im, d, "output", output);
}

/* The same cases under one prompt. */
static status finish_shape(importer *im, const shape *s, const js *prompt)
{
    draft d = { 0 };
    js *asked = js_copy(prompt);
    const char *key = js_is(prompt, JS_STRING) ? "prompt" : "messages";
    status st = asked ? draft_set(im, &d, key, asked) : import_no_memory(im);
    if (!st)
        st = set_output(im, &d, s);
    if (!st) {
        js *graders = js_copy(s->graders);
        st = graders ? draft_set(im, &d, "graders", graders) : import_no_memory(im);
    }
    for (size_t i = 0; i < s->d.n && !st; i++) {
        const draft_case *c = &s->d.cases[i];
        js *input = js_copy(c->input), *expected = c->expected ? js_copy(c->expected) : NULL;
        if (input && (expected || !c->expected)) {
            st = draft_add(im, &d, input, expected, NULL, c->line);
        } else {
            js_free(input);
            js_free(expected);
            st = import_no_memory(im);
        }
    }
    if (!st)
        st = draft_finish(im, &d);
    draft_clear(&d);
    return st;
}

status pf_finish(importer *im, const js *prompts, pf_tests *tests)
{
    shapes *all = mem_zero(sizeof *all);
    status s = all ? OK : import_no_memory(im);
    im->out->n_read = tests->n;
    for (size_t i = 0; i < tests->n && !s; i++)
        s = add_test(im, all, &tests->items[i]);
    for (size_t p = 0; p < js_len(prompts) && !s; p++)
        for (size_t i = 0; i < all->n && !s; i++)
            s = finish_shape(im, &all->items[i], js_at(prompts, p));
    if (all)
        shapes_clear(all);
    return s;
}
