/* schema_negate.c: what can be taken away: kinds of values, texts, members.
 *
 * A member is taken away by a schema of our own, {"properties": {name: false}}: it gets a number behind the schema's
 * nodes and is an element of sets like any other. */
#include <string.h>

#include "grammar/schema_rules_int.h"

enum { EXTRA_MAX = 2000 };

const schema_node *gen_extra(const schema_gen *g, schema_id id)
{
    return g->extra[id - g->s->n_nodes];
}

static status add_extra(schema_gen *g, schema_node **out, schema_id *id)
{
    if (!g->extra && !(g->extra = gen_take(g, EXTRA_MAX, sizeof *g->extra)))
        return gen_no_memory(g);
    if (g->n_extra == EXTRA_MAX)
        return fail(g->err, E_RANGE, "schema: more than %d members to leave out", EXTRA_MAX);
    schema_node *n = gen_take(g, 1, sizeof *n);
    if (!n)
        return gen_no_memory(g);
    *n = (schema_node){ .path = "", .kinds = KIND_ALL,        .ref = SCHEMA_NONE,  .not_ = SCHEMA_NONE,
                        .if_ = SCHEMA_NONE, .then_ = SCHEMA_NONE, .else_ = SCHEMA_NONE };
    *id = (schema_id)(g->s->n_nodes + g->n_extra);
    g->extra[g->n_extra++] = *out = n;
    return OK;
}

status gen_forbid(schema_gen *g, const char *name, schema_id *out)
{
    for (size_t i = 1; i < g->n_extra; i++) {
        if (!strcmp(g->extra[i]->objects->properties->name, name)) {
            *out = (schema_id)(g->s->n_nodes + i);
            return OK;
        }
    }
    schema_node *n = NULL;
    schema_id never;
    status s = g->n_extra ? OK : add_extra(g, &n, &never); /* the first is `false` */
    if (!s && n)
        n->never = true;
    schema_objects *o = gen_take(g, 1, sizeof *o);
    schema_property *p = gen_take(g, 1, sizeof *p);
    uint32_t *order = gen_take(g, 1, sizeof *order);
    if (!s)
        s = o && p && order ? add_extra(g, &n, out) : gen_no_memory(g);
    if (s)
        return s;
    *p = (schema_property){ name, (schema_id)g->s->n_nodes };
    *o = (schema_objects){ .max = SCHEMA_NO_MAX, .n_properties = 1, .properties = p, .by_name = order,
                           .additional = SCHEMA_NONE, .names = SCHEMA_NONE, .unevaluated = SCHEMA_NONE };
    n->objects = o;
    return OK;
}

/* ---- not ---- */

typedef enum negation { NOT_NOTHING, NOT_ANYTHING, NOT_KINDS, NOT_TEXTS, NOT_REQUIRED, NOT_POSSIBLE } negation;

static bool only_texts(const js *list, const js *single)
{
    bool texts = !single || js_is(single, JS_STRING);
    for (size_t i = 0; i < js_len(list) && texts && js_is(list, JS_ARRAY); i++)
        texts = js_is(js_at(list, i), JS_STRING);
    return texts;
}

static bool only_required(const schema_objects *o)
{
    return o->n_required && !o->min && o->max == SCHEMA_NO_MAX && !o->n_properties && !o->n_patterns &&
           !o->n_dependencies && o->additional == SCHEMA_NONE && o->names == SCHEMA_NONE &&
           o->unevaluated == SCHEMA_NONE;
}

/* A format with more texts than its expression (leap seconds) cannot be taken away by it. */
static bool whole_format(const schema_texts *t)
{
    return !t->format || !schema_format_table[t->format - 1].also;
}

static status classify(schema_gen *g, schema_id not, gen_set *mere, negation *out)
{
    bool never = false;
    status s = gen_add(g, (gen_set){ 0, NULL }, &not, 1, mere, &never);
    *out = never ? NOT_NOTHING : mere->n == 0 ? NOT_ANYTHING : NOT_POSSIBLE;
    if (s || never || mere->n != 1)
        return s;
    const schema_node *n = gen_node(g, mere->at[0]);
    bool literal = n->enumeration || n->constant;
    if (n->any_of.n || n->one_of.n || n->not_ != SCHEMA_NONE || n->if_ != SCHEMA_NONE || n->arrays || n->numbers)
        return OK;
    if (literal && !n->texts && !n->objects && only_texts(n->enumeration, n->constant))
        *out = NOT_TEXTS;
    else if (!literal && !n->texts && !n->objects)
        *out = NOT_KINDS;
    else if (!literal && n->texts && !n->objects && whole_format(n->texts))
        *out = NOT_TEXTS;
    else if (!literal && !n->texts && only_required(n->objects))
        *out = NOT_REQUIRED;
    return OK;
}

/* Not all of the names: without the first one that is not required anyway. */
static status without_member(schema_gen *g, gen_set *set, const schema_objects *o, unsigned *kinds)
{
    for (size_t i = 0; i < o->n_required; i++) {
        schema_id forbidden;
        bool never;
        if (gen_requires(g, *set, o->required[i]))
            continue;
        status s = gen_forbid(g, o->required[i], &forbidden);
        return s ? s : gen_add(g, *set, &forbidden, 1, set, &never);
    }
    *kinds &= ~(unsigned)KIND_OBJECT;
    return OK;
}

status gen_negations(schema_gen *g, gen_set *set, unsigned *kinds)
{
    gen_set whole = *set;
    status s = OK;
    for (size_t i = 0; i < whole.n && !s; i++) {
        const schema_node *n = gen_node(g, whole.at[i]);
        gen_set mere;
        negation what = NOT_NOTHING;
        if (n->not_ == SCHEMA_NONE || (s = classify(g, n->not_, &mere, &what)))
            continue;
        unsigned valid = what == NOT_NOTHING || what == NOT_ANYTHING ? KIND_ALL : gen_kinds(g, mere);
        switch (what) {
        case NOT_NOTHING: break;
        case NOT_ANYTHING: *kinds = 0; break;
        case NOT_KINDS: *kinds &= ~valid; break;
        case NOT_TEXTS: /* the texts themselves: gen_without_texts */
            if (gen_node(g, mere.at[0])->texts)
                *kinds &= ~(valid & ~(unsigned)KIND_STRING);
            break;
        case NOT_REQUIRED:
            *kinds &= ~(valid & ~(unsigned)KIND_OBJECT);
            if (valid & KIND_OBJECT)
                s = without_member(g, set, gen_node(g, mere.at[0])->objects, kinds);
            break;
        case NOT_POSSIBLE: s = gen_refuse(g, n, "not", "only types, texts and required members can be left out"); break;
        }
    }
    return s;
}

status gen_without_texts(schema_gen *g, gen_set set, lang *l)
{
    status s = OK;
    for (size_t i = 0; i < set.n && !s; i++) {
        const schema_node *n = gen_node(g, set.at[i]);
        gen_set mere;
        negation what = NOT_NOTHING;
        lang texts = LANG_NONE;
        if (n->not_ == SCHEMA_NONE || (s = classify(g, n->not_, &mere, &what)) || what != NOT_TEXTS)
            continue;
        if (!(gen_kinds(g, mere) & KIND_STRING))
            continue;
        s = gen_node(g, mere.at[0])->texts ? gen_accepts(g, mere, &texts) : gen_names(g, mere, &texts);
        *l = lang_and(g->langs, *l, lang_not(g->langs, texts));
    }
    return s;
}
