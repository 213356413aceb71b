/* schema_rules_parts.c: what a set of schemas says about texts, arrays and objects, as rules. */
#include <string.h>

#include "grammar/schema_rules_int.h"

/* ---- texts ---- */

status gen_pattern(schema_gen *g, uint32_t pattern, lang *out)
{
    lang *known = &g->patterns[pattern - 1];
    span p = g->s->patterns[pattern - 1];
    status s = *known ? OK : lang_regex(g->langs, p.p, p.n, LANG_SEARCH, known, g->err);
    *out = *known;
    return s;
}

/* What is generated for a format, or all that is valid (but leap seconds, which two formats share only with
 * themselves). */
static status format_lang(schema_gen *g, uint32_t format, bool narrow, lang *out)
{
    const schema_format *f = &schema_format_table[format - 1];
    bool all = !narrow || !f->narrow;
    lang *known = &g->formats[(format - 1) * 2 + all];
    span p = span_of(all ? f->pattern : f->narrow);
    status s = *known ? OK : lang_regex(g->langs, p.p, p.n, LANG_WHOLE, known, g->err);
    *out = *known;
    return s;
}

static uint32_t bound(size_t n)
{
    return n >= LANG_UNBOUNDED ? LANG_UNBOUNDED : (uint32_t)n;
}

static status text_lang(schema_gen *g, gen_set set, bool narrow, lang *out)
{
    size_t min = 0, max = SCHEMA_NO_MAX;
    bool shaped = false;
    lang l = lang_any_text(g->langs), part;
    status s = OK;
    for (size_t i = 0; i < set.n && !s; i++) {
        const schema_texts *t = gen_node(g, set.at[i])->texts;
        if (!t)
            continue;
        min = t->min > min ? t->min : min;
        max = t->max < max ? t->max : max;
        shaped = shaped || t->pattern || t->format;
        if (t->pattern && !(s = gen_pattern(g, t->pattern, &part)))
            l = lang_and(g->langs, l, part);
        if (!s && t->format && !(s = format_lang(g, t->format, narrow, &part)))
            l = lang_and(g->langs, l, part);
    }
    if (!s && narrow)
        s = gen_without_texts(g, set, &l);
    if (narrow && shaped && max != SCHEMA_NO_MAX && max > GEN_SHAPED_MAX && min <= GEN_SHAPED_MAX)
        max = GEN_SHAPED_MAX;
    if (min > max || min >= LANG_UNBOUNDED)
        l = LANG_NONE;
    else if (min || max < LANG_UNBOUNDED)
        l = lang_and(g->langs, lang_repeat(g->langs, lang_char(g->langs), bound(min), bound(max)), l);
    *out = l;
    return s;
}

status gen_text(schema_gen *g, gen_set set, lang *out)
{
    return text_lang(g, set, true, out);
}

status gen_accepts(schema_gen *g, gen_set set, lang *out)
{
    return text_lang(g, set, false, out);
}

status gen_names(schema_gen *g, gen_set set, lang *out)
{
    const js *list, *single;
    size_t element, n = 0;
    schema_list branches;
    bool one, never = false, valid;
    status s = OK;
    *out = LANG_NONE;
    if (gen_literals(g, set, &list, &single)) {
        for (size_t i = 0; i < (single ? 1 : js_len(list)) && !s; i++) {
            const js *v = single ? single : js_at(list, i);
            s = gen_valid(g, set, v, &valid);
            if (!s && valid && js_is(v, JS_STRING))
                *out = lang_alt(g->langs, *out, lang_text(g->langs, js_text(v), js_len(v)));
        }
        return s;
    }
    for (; n < set.n && !s; n++)
        if (gen_node(g, set.at[n])->not_ != SCHEMA_NONE || gen_node(g, set.at[n])->if_ != SCHEMA_NONE)
            s = gen_refuse(g, gen_node(g, set.at[n]), "not", "cannot be generated in names");
    if (s || !gen_choice(g, set, &element, &branches, &one))
        return s || !(gen_kinds(g, set) & KIND_STRING) ? s : gen_text(g, set, out);
    if (one)
        return gen_refuse(g, gen_node(g, set.at[element]), "oneOf", "cannot be generated in names");
    for (size_t i = 0; i < branches.n && !s; i++) {
        gen_set with;
        lang l = LANG_NONE;
        s = gen_choose(g, set, element, one, branches.at[i], &with, &never);
        if (!s && !never)
            s = gen_names(g, with, &l);
        *out = lang_alt(g->langs, *out, l);
    }
    return s;
}

/* ---- arrays ---- */

void gen_array_shape_of(const schema_gen *g, gen_set set, gen_array_shape *out)
{
    *out = (gen_array_shape){ 0, SCHEMA_NO_MAX, 0 };
    for (size_t i = 0; i < set.n; i++) {
        const schema_arrays *a = gen_node(g, set.at[i])->arrays;
        if (!a)
            continue;
        out->min = a->min > out->min ? a->min : out->min;
        out->max = a->max < out->max ? a->max : out->max;
        out->n_prefix = a->prefix.n > out->n_prefix ? a->prefix.n : out->n_prefix;
    }
}

/* The schema of item `index` by this node's own keywords, or SCHEMA_NONE. */
static schema_id own_item(const schema_node *n, size_t index)
{
    return !n->arrays ? SCHEMA_NONE : index < n->arrays->prefix.n ? n->arrays->prefix.at[index] : n->arrays->items;
}

/* unevaluatedItems of `n` does not ask about items that a schema has which n applies. */
static bool item_evaluated(schema_gen *g, gen_set set, schema_id n, size_t index)
{
    for (size_t i = 0; i < set.n; i++)
        if (own_item(gen_node(g, set.at[i]), index) != SCHEMA_NONE && gen_applies(g, n, set.at[i] >> 2))
            return true;
    return false;
}

status gen_item_set(schema_gen *g, gen_set set, size_t index, gen_set *out, bool *never)
{
    schema_id *ids = gen_take(g, set.n * 2, sizeof *ids);
    size_t n = 0;
    if (!ids)
        return gen_no_memory(g);
    for (size_t i = 0; i < set.n; i++) {
        const schema_node *node = gen_node(g, set.at[i]);
        if (!node->arrays)
            continue;
        ids[n++] = own_item(node, index);
        if (node->arrays->unevaluated != SCHEMA_NONE && !item_evaluated(g, set, set.at[i] >> 2, index))
            ids[n++] = node->arrays->unevaluated;
    }
    status s = gen_count(g, set.n);
    return s ? s : gen_add(g, (gen_set){ 0, NULL }, ids, n, out, never);
}

static status item_rule(schema_gen *g, gen_set set, size_t index, rule *out)
{
    gen_set items;
    bool never = false;
    status s = gen_item_set(g, set, index, &items, &never);
    *out = RULES_NONE;
    return s || never ? s : gen_rule(g, items, out);
}

/* What is said about the items behind the prefix: anything? Then an array with a prefix ends with it. */
static bool says_items(const schema_gen *g, gen_set set)
{
    for (size_t i = 0; i < set.n; i++) {
        const schema_arrays *a = gen_node(g, set.at[i])->arrays;
        if (a && (a->items != SCHEMA_NONE || a->unevaluated != SCHEMA_NONE))
            return true;
    }
    return false;
}

static status array_refusals(schema_gen *g, gen_set set, size_t max)
{
    status s = OK;
    for (size_t i = 0; i < set.n && !s; i++) {
        const schema_node *n = gen_node(g, set.at[i]);
        if (n->arrays && n->arrays->unique && max > 1)
            s = gen_refuse(g, n, "uniqueItems", "can be checked but not generated");
        bool asks = n->arrays && n->arrays->contains != SCHEMA_NONE &&
                    (n->arrays->min_contains || n->arrays->max_contains != SCHEMA_NO_MAX);
        if (!s && asks)
            s = gen_refuse(g, n, "contains", "can be checked but not generated");
    }
    return s;
}

/* From the last item of the prefix to the first: rest = what may follow item i - 1. */
static status prefix_rules(schema_gen *g, gen_set set, const gen_array_shape *a, rule rest, rule *out)
{
    rule r = rest;
    status s = OK;
    for (size_t i = a->n_prefix; i-- > 0 && !s;) {
        rule item;
        s = item_rule(g, set, i, &item);
        if (s)
            break;
        rule with[] = { i ? g->comma : RULES_EMPTY, item, r };
        rule next = item == RULES_NONE ? RULES_NONE : rules_seq(g->r, with, 3);
        rule alternatives[] = { RULES_EMPTY, next };
        r = i >= a->min ? rules_alt(g->r, alternatives, 1 + (next != RULES_NONE)) : next;
    }
    *out = r;
    return s;
}

/* Between the brackets. Items behind the prefix are alike: one comma and one item, counted. */
static status array_body(schema_gen *g, gen_set set, gen_array_shape a, rule *out)
{
    rule item = RULES_NONE, rest = RULES_EMPTY;
    status s = OK;
    if (a.n_prefix > a.max)
        a.n_prefix = a.max;
    bool open = a.max > a.n_prefix && (!a.n_prefix || a.min > a.n_prefix || says_items(g, set));
    if (open)
        s = item_rule(g, set, a.n_prefix, &item);
    if (s)
        return s;
    size_t least = a.min > a.n_prefix ? a.min - a.n_prefix : 0;
    uint32_t most = a.max == SCHEMA_NO_MAX ? RULES_UNBOUNDED : bound(a.max - a.n_prefix);
    if (item == RULES_NONE) {
        rest = least ? RULES_NONE : RULES_EMPTY;
    } else if (a.n_prefix) {
        rule more[] = { g->comma, item };
        rest = rules_repeat(g->r, rules_seq(g->r, more, 2), bound(least), most);
    } else {
        rule more[] = { g->comma, item };
        rule tail = rules_repeat(g->r, rules_seq(g->r, more, 2), bound(least ? least - 1 : 0),
                                 most == RULES_UNBOUNDED ? most : most - 1);
        rule some[] = { item, tail };
        rest = rules_seq(g->r, some, 2);
        if (!least)
            rest = rules_optional(g->r, rest);
    }
    return prefix_rules(g, set, &a, rest, out);
}

status gen_array(schema_gen *g, gen_set set, rule *out)
{
    gen_array_shape a;
    rule body;
    gen_array_shape_of(g, set, &a);
    *out = RULES_NONE;
    if (a.min > a.max || a.min >= LANG_UNBOUNDED)
        return OK;
    status s = array_refusals(g, set, a.max);
    if (!s)
        s = array_body(g, set, a, &body);
    if (s || body == RULES_NONE)
        return s;
    rule parts[] = { rules_text(g->r, "[", 1), body, rules_text(g->r, "]", 1) };
    *out = rules_seq(g->r, parts, 3);
    return OK;
}
