#include "chat/template.h"

#include <string.h>

#include "base/utf8.h"
#include "chat/parse.h"
#include "chat/scope.h"

enum {
    COMPILE_MEMORY = 64 << 20,
    COMPILE_STEPS = 8 << 20,
    RENDER_MEMORY = 48 << 20,     /* and MEMORY_PER_BYTE more for each byte of the request */
    MEMORY_PER_BYTE = 24,
    RENDER_STEPS = 2 << 20,       /* 10 to 30 ns each; and STEPS_PER_NODE more for each value of the request, */
    STEPS_PER_NODE = 512,         /* and one for each byte */
};

status template_compile(template **out, const char *source, size_t n, error *err)
{
    if (n > TEMPLATE_MAX_BYTES)
        return fail(err, E_RANGE, "the chat template is longer than %d bytes", TEMPLATE_MAX_BYTES);
    if (!utf8_valid(source, n))
        return fail(err, E_FORMAT, "the chat template is not UTF-8");
    template *t = mem_zero(sizeof *t);
    run *r = mem_zero(sizeof *r);
    volatile status s = t && r ? OK : fail(err, E_NOMEM, "no memory for the chat template");
    if (!s) {
        r->err = err;
        r->mem = (arena)ARENA_INIT(COMPILE_MEMORY);
        r->steps_max = COMPILE_STEPS;
        if (setjmp(r->leave))
            s = r->code;
        else
            parse_template(r, (span){ source, n }, t);
        t->mem = r->mem;
    }
    mem_free(r);
    if (s)
        template_free(&t);
    else
        *out = t;
    return s;
}

void template_free(template **t)
{
    if (!*t)
        return;
    arena_clear(&(*t)->mem);
    mem_free(*t);
    *t = NULL;
}

bool template_reads(const template *t, const char *name)
{
    return template_symbol(t, name) != SIZE_MAX;
}

/* ---- variables --------------------------------------------------------------------------------------------------- */

/* Values and bytes of texts: what the bounds grow with. */
static void measure(const js *j, uint64_t *nodes, uint64_t *bytes)
{
    (*nodes)++;
    if (js_is(j, JS_STRING)) {
        *bytes += js_len(j);
    } else if (js_is(j, JS_ARRAY)) {
        for (size_t i = 0; i < js_len(j); i++)
            measure(js_at(j, i), nodes, bytes);
    } else if (js_is(j, JS_OBJECT)) {
        for (js_member m = { 0 }; js_next(j, &m);) {
            *bytes += strlen(m.key);
            measure(m.value, nodes, bytes);
        }
    }
}

static value messages_value(run *r, const js *j)
{
    value v = value_list(r, js_len(j));
    v.from = ORIGIN_DATA;
    for (size_t i = 0; i < js_len(j); i++)
        list_add(r, v.l, value_js(r, js_at(j, i), 1 + (uint32_t)i));
    return v;
}

static value variable_value(run *r, const template_variable *v)
{
    if (v->text)
        return value_text(text_new(r, v->text, v->text_bytes, v->from));
    if (v->from == TEMPLATE_MESSAGES && js_is(v->j, JS_ARRAY))
        return messages_value(r, v->j);
    return v->j ? value_js(r, v->j, v->from) : VALUE_NONE;
}

static void set_variables(run *r, const template_variable *variables, size_t n)
{
    r->globals = scope_new(r, NULL);
    for (size_t i = 0; i < n; i++) {
        size_t symbol = template_symbol(r->t, variables[i].name);
        if (symbol != SIZE_MAX)
            scope_set(r, r->globals, (uint32_t)symbol, variable_value(r, &variables[i]));
    }
}

/* ---- output ------------------------------------------------------------------------------------------------------ */

void template_output_clear(template_output *out)
{
    mem_free(out->bytes);
    mem_free(out->parts);
    mem_free(out->from);
    *out = (template_output){ 0 };
}

static status copy_output(const text *s, template_output *out, error *err)
{
    size_t n = s->n ? s->n_runs ? s->n_runs : 1 : 0, begin = 0;
    *out = (template_output){ .bytes = mem_strndup(s->p, s->n), .parts = mem_array(n + 1, sizeof *out->parts),
                              .from = mem_array(n + 1, sizeof *out->from), .n = s->n, .n_parts = n };
    if (!out->bytes || !out->parts || !out->from) {
        template_output_clear(out);
        return fail(err, E_NOMEM, "no memory for a conversation of %u bytes", s->n);
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t end = s->n_runs ? s->runs[i].end : s->n, from = s->n_runs ? s->runs[i].from : s->from;
        out->parts[i] = (vocab_part){ out->bytes + begin, end - begin, from == ORIGIN_TEMPLATE };
        out->from[i] = from;
        begin = end;
    }
    return OK;
}

static const text *render(run *r, const template_variable *variables, size_t n)
{
    sink out = { 0 };
    set_variables(r, variables, n);
    r->out = &out;
    r->top = scope_new(r, r->globals);
    (void)exec(r, r->t->body, r->top);
    return sink_text(r, &out);
}

status template_render(const template *t, const template_variable *variables, size_t n, int64_t now,
                       template_output *out, error *err)
{
    uint64_t nodes = 0, bytes = 0;
    run *r = mem_zero(sizeof *r);
    if (!r)
        return fail(err, E_NOMEM, "no memory to render a conversation");
    for (size_t i = 0; i < n; i++)
        measure(variables[i].j, &nodes, &bytes);
    r->err = err;
    r->mem = (arena)ARENA_INIT(RENDER_MEMORY + (size_t)(bytes + 16 * nodes) * MEMORY_PER_BYTE);
    r->steps_max = RENDER_STEPS + nodes * STEPS_PER_NODE + bytes;
    r->t = t;
    r->now = now;
    volatile status s;
    if (setjmp(r->leave))
        s = r->code;
    else
        s = copy_output(render(r, variables, n), out, err);
    arena_clear(&r->mem);
    mem_free(r);
    return s;
}
