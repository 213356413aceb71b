/* constrain_value.c: arguments that are not written as JSON: between tags, or in Gemma's way. The object's own members
 * are enforced (which there are, which must be, their order); of their values what the header says. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "worker/constrain_int.h"

enum { MEMBERS_MAX = 512, WHERE = 256 };

typedef struct member {
    const char *name;
    const js *says;
    bool required;
    rule value;
} member;

typedef struct members {
    building *b;
    const js *root; /* the parameters: definitions are found there */
    const char *where;
    const char *quote; /* of Gemma's strings; NULL: values stand between tags */
    const char *end;   /* text that ends a value between tags */
    rule any;          /* any value of Gemma's */
    member *list;
    size_t n;
} members;

static bool is_required(const js *parameters, const char *name)
{
    const js *list = js_get(parameters, "required");
    for (size_t i = 0; i < js_len(list); i++)
        if (js_is(js_at(list, i), JS_STRING) && strcmp(js_text(js_at(list, i)), name) == 0)
            return true;
    return false;
}

static bool is_type(const js *says, const char *type)
{
    const js *t = js_get(says, "type");
    return js_is(t, JS_STRING) && strcmp(js_text(t), type) == 0;
}

/* ---- strings ---- */

static rule quoted(const members *m, rule text)
{
    rule quote = building_text(m->b, m->quote);
    return m->quote ? rules_seq(m->b->r, (const rule[]){ quote, text, quote }, 3) : text;
}

/* Text up to the mark that ends it. What else the schema says of it is noted. */
static status string_value(members *m, const js *says, const char *where, rule *out, error *err)
{
    static const char *const noted[] = { "pattern", "format", "minLength", "maxLength" };
    const js *choices = js_get(says, "enum");
    building *b = m->b;
    if (js_len(choices)) {
        rule alternatives = RULES_NONE;
        for (size_t i = 0; i < js_len(choices); i++)
            if (js_is(js_at(choices, i), JS_STRING))
                alternatives = rules_alt(b->r, (const rule[]){ alternatives, building_text(b, js_text(js_at(choices,
                                         i))) }, 2);
        *out = quoted(m, alternatives);
        return OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(noted); i++) {
        char place[WHERE + 16];
        snprintf(place, sizeof place, "%s/%s", where, noted[i]);
        if (js_get(says, noted[i]) && building_note(b, place, "not enforced in this model's format", err))
            return E_NOMEM;
    }
    const char *end = m->quote ? m->quote : m->end;
    *out = quoted(m, rules_token(b->r, building_without(b, &end, 1)));
    return OK;
}

/* ---- other values ---- */

/* JSON by the member's schema, with the definitions that it may refer to. */
static status json_value(members *m, const js *says, const char *where, rule *out, error *err)
{
    static const char *const kept[] = { "$defs", "definitions" };
    js *tree = js_copy(says);
    bool ok = tree != NULL;
    for (size_t i = 0; i < ARRAY_LEN(kept) && ok; i++)
        if (js_get(m->root, kept[i]) && js_is(tree, JS_OBJECT))
            ok = js_set(tree, kept[i], js_copy(js_get(m->root, kept[i])));
    status s = ok ? building_schema(m->b, tree, true, where, out, err) : fail(err, E_NOMEM, "no memory for a grammar");
    js_free(tree);
    return s;
}

/* Any value as Gemma writes it. */
static rule any_value(members *m)
{
    static const lang_range word[] = { { 'a', 'z' }, { 'A', 'Z' }, { '0', '9' }, { '_', '_' }, { '-', '-' } };
    building *b = m->b;
    if (m->any != RULES_NONE)
        return m->any;
    m->any = rules_declare(b->r, "value", 5);
    lang scalar;
    error ignored;
    static const char plain[] = "-?(0|[1-9][0-9]*)(\\.[0-9]+)?|true|false|null";
    if (lang_regex(b->set, plain, sizeof plain - 1, LANG_WHOLE, &scalar, &ignored))
        scalar = LANG_NONE;
    rule key = rules_token(b->r, lang_repeat(b->set, lang_class(b->set, word, ARRAY_LEN(word), false), 1, 64));
    rule comma = building_text(b, ","), open = building_text(b, "{"), close = building_text(b, "}");
    rule pair = rules_seq(b->r, (const rule[]){ key, building_text(b, ":"), m->any }, 3);
    rule pairs = rules_seq(b->r, (const rule[]){ pair, rules_repeat(b->r, rules_seq(b->r, (const rule[]){ comma, pair },
                           2), 0, RULES_UNBOUNDED) }, 2);
    rule items = rules_seq(b->r, (const rule[]){ m->any, rules_repeat(b->r, rules_seq(b->r, (const rule[]){ comma,
                           m->any }, 2), 0, RULES_UNBOUNDED) }, 2);
    const rule kinds[] = {
        quoted(m, rules_token(b->r, building_without(b, &m->quote, 1))), rules_token(b->r, scalar),
        rules_seq(b->r, (const rule[]){ open, rules_optional(b->r, pairs), close }, 3),
        rules_seq(b->r, (const rule[]){ building_text(b, "["), rules_optional(b->r, items), building_text(b, "]") }, 3),
    };
    rules_define(b->r, m->any, rules_alt(b->r, kinds, ARRAY_LEN(kinds)));
    return m->any;
}

static status value(members *m, member *x, error *err)
{
    char where[WHERE];
    snprintf(where, sizeof where, "%s/properties/%s", m->where, x->name);
    bool scalar = is_type(x->says, "integer") || is_type(x->says, "number") || is_type(x->says, "boolean") ||
                  is_type(x->says, "null");
    if (is_type(x->says, "string"))
        return string_value(m, x->says, where, &x->value, err);
    if (scalar || (!m->quote && js_len(x->says) && js_get(x->says, "type")))
        return json_value(m, x->says, where, &x->value, err);
    if (m->quote) {
        x->value = any_value(m);
        return js_len(x->says) ? building_note(m->b, where, "only well formed in this model's format", err) : OK;
    }
    x->value = rules_token(m->b->r, building_without(m->b, &m->end, 1));
    return js_len(x->says) ? building_note(m->b, where, "any text in this model's format", err) : OK;
}

/* ---- objects ---- */

static status read_members(members *m, const js *parameters, error *err)
{
    const js *properties = js_get(parameters, "properties");
    js_member p = { 0 };
    m->list = mem_array(MEMBERS_MAX, sizeof *m->list);
    status s = m->list ? OK : fail(err, E_NOMEM, "no memory for a grammar");
    if (!s && js_len(properties) > MEMBERS_MAX)
        s = fail(err, E_RANGE, "%s: more than %d properties", m->where, (int)MEMBERS_MAX);
    while (!s && js_is(properties, JS_OBJECT) && js_next(properties, &p)) {
        member *x = &m->list[m->n++];
        *x = (member){ p.key, p.value, is_required(parameters, p.key), RULES_NONE };
        s = value(m, x, err);
    }
    return s;
}

status building_parameters(building *b, const js *parameters, const char *where, rule *out, error *err)
{
    pattern p;
    rule parts[PATTERN_ITEMS];
    char end[128] = "";
    size_t v = 0;
    pattern_read(&p, b->format->tools->parameter);
    while (v < p.n && p.items[v].kind != PATTERN_VALUE)
        v++;
    for (size_t i = v + 1; i < p.n && !end[0]; i++) /* the reader ends a value there, whatever stands before it */
        if (p.items[i].kind == PATTERN_TEXT)
            snprintf(end, sizeof end, "%.*s", (int)p.items[i].n, p.items[i].text);
    members m = { .b = b, .root = parameters, .where = where, .end = end, .any = RULES_NONE };
    status s = read_members(&m, parameters, err);
    *out = RULES_EMPTY;
    for (size_t k = 0; k < m.n && !s; k++) {
        for (size_t i = 0; i < p.n; i++)
            parts[i] = p.items[i].kind == PATTERN_KEY     ? building_text(b, m.list[k].name)
                       : p.items[i].kind == PATTERN_VALUE ? m.list[k].value
                       : p.items[i].n                     ? rules_text(b->r, p.items[i].text, p.items[i].n)
                                                          : RULES_EMPTY;
        rule one = rules_seq(b->r, parts, p.n);
        *out = rules_seq(b->r, (const rule[]){ *out, m.list[k].required ? one : rules_optional(b->r, one) }, 2);
    }
    mem_free(m.list);
    return s;
}

/* {a:…,b:…}: from the last member to the first, with a comma where something stands before. */
status building_map(building *b, const js *parameters, const char *where, rule *out, error *err)
{
    members m = { .b = b, .root = parameters, .where = where, .quote = b->format->tools->quote, .any = RULES_NONE };
    status s = read_members(&m, parameters, err);
    rule first = RULES_EMPTY, later = RULES_EMPTY, comma = building_text(b, ","), colon = building_text(b, ":");
    for (size_t k = m.n; k > 0 && !s; k--) {
        const member *x = &m.list[k - 1];
        rule pair = rules_seq(b->r, (const rule[]){ building_text(b, x->name), colon, x->value }, 3);
        rule with = rules_seq(b->r, (const rule[]){ pair, later }, 2);
        rule with_comma = rules_seq(b->r, (const rule[]){ comma, pair, later }, 3);
        first = x->required ? with : rules_alt(b->r, (const rule[]){ with, first }, 2);
        later = x->required ? with_comma : rules_alt(b->r, (const rule[]){ with_comma, later }, 2);
    }
    *out = rules_seq(b->r, (const rule[]){ building_text(b, "{"), first, building_text(b, "}") }, 3);
    mem_free(m.list);
    return s;
}
