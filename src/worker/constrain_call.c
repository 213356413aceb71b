/* constrain_call.c: a family's pattern and a tool's schema as the language of that tool's calls. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "worker/constrain_int.h"

enum { TOOLS_MAX = 512, WHERE = 128 };

typedef struct tool {
    building *b;
    const char *name;
    const js *parameters; /* NULL: it has none */
    bool strict;
    char where[WHERE];    /* in sentences: "tools[2].function.parameters" */
} tool;

/* ---- holes ---- */

/* Arguments are an object, whether the schema says so or not. */
static status arguments(const tool *t, rule *out, error *err)
{
    building *b = t->b;
    if (!js_len(t->parameters)) {
        *out = building_text(b, "{}");
        return OK;
    }
    js *tree = js_copy(t->parameters);
    status s = tree ? OK : fail(err, E_NOMEM, "no memory for a grammar");
    if (!s && !js_get(tree, "type") && !js_get(tree, "$ref") && !js_set(tree, "type", js_new_string("object")))
        s = fail(err, E_NOMEM, "no memory for a grammar");
    if (!s)
        s = building_schema(b, tree, !t->strict, t->where, out, err);
    js_free(tree);
    return s;
}

/* {"name": "NAME", "arguments": {…}}, with or without the blanks. */
static status call_object(const tool *t, rule *out, error *err)
{
    building *b = t->b;
    rule blank = rules_optional(b->r, building_text(b, " ")), body;
    char name[TOOL_NAME_MAX + 4], key[64];
    snprintf(name, sizeof name, "\"%s\"", t->name);
    snprintf(key, sizeof key, "\"%s\":", b->format->tools->arguments_key);
    status s = arguments(t, &body, err);
    if (s)
        return s;
    const rule parts[] = { building_text(b, "{\"name\":"), blank, building_text(b, name), building_text(b, ","), blank,
                           building_text(b, key), blank, body, building_text(b, "}") };
    *out = rules_seq(b->r, parts, ARRAY_LEN(parts));
    return OK;
}

static rule letters(building *b, uint32_t min, uint32_t max, bool digits_only)
{
    static const lang_range known[] = { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } };
    return rules_token(b->r, lang_repeat(b->set, lang_class(b->set, known, digits_only ? 1 : 3, false), min, max));
}

static status hole(const tool *t, const pattern_item *item, rule *out, error *err)
{
    building *b = t->b;
    switch (item->kind) {
    case PATTERN_NAME: *out = building_text(b, t->name); return OK;
    case PATTERN_ID: *out = letters(b, 9, 9, false); return OK;
    case PATTERN_INDEX: *out = letters(b, 1, 2, true); return OK;
    case PATTERN_CALL: return call_object(t, out, err);
    case PATTERN_ARGUMENTS: return arguments(t, out, err);
    case PATTERN_PARAMETERS: return building_parameters(b, t->parameters, t->where, out, err);
    case PATTERN_MAP: return building_map(b, t->parameters, t->where, out, err);
    default: *out = item->n ? rules_text(b->r, item->text, item->n) : RULES_EMPTY; return OK;
    }
}

/* ---- calls ---- */

/* Where an addressed pattern begins with the mark that is written around it, and whether its last text may be left out
 * because the token ends the answer. */
static size_t first_item(const tool_format *f, const pattern *p)
{
    return f->start && !f->header && p->items[0].kind == PATTERN_TEXT;
}

static status call_of(const tool *t, rule *out, error *err)
{
    const tool_format *f = t->b->format->tools;
    rule parts[PATTERN_ITEMS];
    pattern p;
    size_t n = 0;
    pattern_read(&p, f->call);
    for (size_t i = first_item(f, &p); i < p.n; i++) {
        status s = hole(t, &p.items[i], &parts[n], err);
        if (s)
            return s;
        if (f->call_end && i + 1 == p.n)
            parts[n] = rules_optional(t->b->r, parts[n]);
        n++;
    }
    *out = rules_seq(t->b->r, parts, n);
    return OK;
}

status building_call(building *b, const char *only, rule *out, error *err)
{
    rule *all = mem_array(TOOLS_MAX, sizeof *all);
    size_t n = 0;
    status s = all ? OK : fail(err, E_NOMEM, "no memory for a grammar");
    for (size_t i = 0; i < js_len(b->tools) && i < TOOLS_MAX && !s; i++) {
        const js *function = js_get(js_at(b->tools, i), "function"), *parameters = js_get(function, "parameters");
        tool t = { .b = b, .name = js_text(js_get(function, "name")),
                   .parameters = js_is(parameters, JS_OBJECT) ? parameters : NULL,
                   .strict = js_bool(js_get(function, "strict"), false) };
        if (!t.name)
            s = fail(err, E_FORMAT, "tools[%zu].function.name is missing", i);
        else if (!only || strcmp(only, t.name) == 0) {
            snprintf(t.where, sizeof t.where, "tools[%zu].function.parameters", i);
            s = call_of(&t, &all[n], err);
            n++;
        }
    }
    if (!s && n == 0)
        s = fail(err, E_NOTFOUND, "tool_choice: there is no tool '%.128s'", only ? only : "");
    if (!s)
        *out = rules_alt(b->r, all, n);
    mem_free(all);
    return s;
}
