/* schema_apart.c: are the branches of a oneOf disjoint? A proof or nothing: no document that is generated for one set
 * is valid for another. What is generated is less than what is valid (no members that nobody declared), which helps. */
#include "grammar/schema_rules_int.h"

enum { APART_DEPTH_MAX = 6 };

/* Each value of an enum of one set, against the other. Those of a are generated only when a is valid for all that is
 * said about them, the oneOf in question included. */
static status literals_apart(schema_gen *g, gen_set from, gen_set other, bool generated, bool *out)
{
    const js *list, *single;
    status s = OK;
    gen_literals(g, from, &list, &single);
    size_t n = single ? 1 : js_len(list);
    *out = true;
    for (size_t i = 0; i < n && !s && *out; i++) {
        const js *v = single ? single : js_at(list, i);
        bool here = false, there = false;
        s = (generated ? gen_valid : gen_may_be_valid)(g, from, v, &here);
        if (!s && here)
            s = gen_may_be_valid(g, other, v, &there);
        *out = !(here && there);
    }
    return s;
}

static status choice_apart(schema_gen *g, gen_set a, gen_set b, unsigned depth, bool in_a, bool *out)
{
    gen_set split = in_a ? a : b;
    size_t element;
    schema_list branches;
    bool one;
    status s = OK;
    *out = gen_choice(g, split, &element, &branches, &one);
    for (size_t i = 0; *out && i < branches.n && !s; i++) {
        gen_set with;
        bool never = false;
        s = gen_choose(g, split, element, one, branches.at[i], &with, &never);
        if (!s && !never)
            s = gen_apart(g, in_a ? with : a, in_a ? b : with, depth + 1, out);
    }
    return s;
}

/* ---- by kind ---- */

static bool ends_before(const gen_range *a, const gen_range *b)
{
    if (!a->high || !b->low)
        return false;
    int order = decimal_compare(a->high, b->low);
    return order < 0 || (!order && (a->high_open || b->low_open));
}

static status numbers_apart(schema_gen *g, gen_set a, gen_set b, bool *out)
{
    gen_range x, y;
    gen_range_of(g, a, &x);
    gen_range_of(g, b, &y);
    *out = ends_before(&x, &y) || ends_before(&y, &x);
    return OK;
}

static status texts_apart(schema_gen *g, gen_set a, gen_set b, bool *out)
{
    lang x, y;
    status s = gen_text(g, a, &x);
    if (!s)
        s = gen_accepts(g, b, &y);
    if (!s)
        *out = lang_disjoint(g->langs, x, y);
    return s;
}

static status arrays_apart(schema_gen *g, gen_set a, gen_set b, unsigned depth, bool *out)
{
    gen_array_shape x, y;
    gen_array_shape_of(g, a, &x);
    gen_array_shape_of(g, b, &y);
    *out = x.max < y.min || y.max < x.min;
    status s = OK;
    for (size_t i = 0; i < x.min && i < 8 && !*out && !s; i++) {
        gen_set p, q;
        bool no_p = false, no_q = false;
        s = gen_item_set(g, a, i, &p, &no_p);
        if (!s)
            s = gen_item_set(g, b, i, &q, &no_q);
        if (!s && (no_p || no_q))
            *out = true;
        else if (!s)
            s = gen_apart(g, p, q, depth + 1, out);
    }
    return s;
}

/* A member that a document for a always has, and that b wants otherwise. */
static status member_apart(schema_gen *g, gen_set a, gen_set b, const char *name, unsigned depth, bool *out)
{
    gen_set p, q;
    bool no_p = false, no_q = false, any;
    status s = gen_member_set(g, a, name, &p, &no_p, &any);
    if (!s)
        s = gen_member_set(g, b, name, &q, &no_q, &any);
    if (s)
        return s;
    *out = no_p || no_q;
    return *out || any ? OK : gen_apart(g, p, q, depth + 1, out);
}

static status objects_apart(schema_gen *g, gen_set a, gen_set b, unsigned depth, bool *out)
{
    status s = OK;
    *out = false;
    for (size_t i = 0; i < b.n && !s && !*out; i++) { /* b wants a member that a never writes */
        const schema_objects *o = gen_node(g, b.at[i])->objects;
        for (size_t k = 0; o && k < o->n_required && !s && !*out; k++) {
            bool may = true;
            s = gen_may_have(g, a, o->required[k], &may);
            *out = !s && !may;
        }
    }
    for (size_t i = 0; i < a.n && !s && !*out; i++) {
        const schema_objects *o = gen_node(g, a.at[i])->objects;
        for (size_t k = 0; o && k < o->n_required && !s && !*out; k++)
            s = member_apart(g, a, b, o->required[k], depth, out);
    }
    return s;
}

static status kinds_apart(schema_gen *g, gen_set a, gen_set b, unsigned depth, bool *out)
{
    unsigned both = gen_kinds(g, a) & gen_kinds(g, b);
    status s = OK;
    *out = !(both & (KIND_NULL | KIND_BOOL));
    if (*out && (both & KIND_NUMBER))
        s = numbers_apart(g, a, b, out);
    if (!s && *out && (both & KIND_STRING))
        s = texts_apart(g, a, b, out);
    if (!s && *out && (both & KIND_ARRAY))
        s = arrays_apart(g, a, b, depth, out);
    if (!s && *out && (both & KIND_OBJECT))
        s = objects_apart(g, a, b, depth, out);
    return s;
}

/* The keywords of both first, choices open or not: they only take away. Then branch by branch. */
status gen_apart(schema_gen *g, gen_set a, gen_set b, unsigned depth, bool *out)
{
    const js *list, *single;
    *out = false;
    status s = gen_count(g, 16 + a.n + b.n);
    if (s || depth > APART_DEPTH_MAX)
        return s;
    if (gen_literals(g, a, &list, &single))
        s = literals_apart(g, a, b, true, out);
    else if (gen_literals(g, b, &list, &single))
        s = literals_apart(g, b, a, false, out);
    else
        s = kinds_apart(g, a, b, depth, out);
    if (!s && !*out)
        s = choice_apart(g, a, b, depth, true, out);
    if (!s && !*out)
        s = choice_apart(g, a, b, depth, false, out);
    return s;
}
