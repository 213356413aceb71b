/* schema_check_parts.c: arrays and objects: the keywords that look at members and items. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "grammar/schema_check_int.h"

/* ---- arrays ---- */

typedef struct hashed {
    uint64_t hash;
    const js *value;
} hashed;

static int by_hash(const void *a, const void *b)
{
    uint64_t x = ((const hashed *)a)->hash, y = ((const hashed *)b)->hash;
    return x < y ? -1 : x > y;
}

/* Equal values have equal hashes: only neighbours in their order are compared. */
static bool all_different(schema_checker *c, const js *array)
{
    size_t n = js_len(array);
    hashed *list = mem_array(n + 1, sizeof *list);
    if (!list)
        return schema_stop(c, E_NOMEM, "no memory to check a list");
    for (size_t i = 0; i < n; i++)
        list[i] = (hashed){ schema_hash(js_at(array, i), &c->steps), js_at(array, i) };
    qsort(list, n, sizeof *list, by_hash);
    bool different = true;
    for (size_t i = 0; i < n && different; i++)
        for (size_t k = i + 1; k < n && list[k].hash == list[i].hash && different && c->steps < c->limit; k++)
            different = !schema_equal(list[i].value, list[k].value, &c->steps);
    mem_free(list);
    return different;
}

static bool valid_contains(schema_checker *c, const schema_node *n, const schema_place *at, schema_marks *marks)
{
    const schema_arrays *a = n->arrays;
    size_t found = 0;
    for (size_t i = 0; i < js_len(at->value) && !c->fatal; i++) {
        schema_place item = { at, NULL, i, js_at(at->value, i) };
        bool valid = schema_valid_branch(c, a->contains, &item, NULL);
        found += valid;
        if (valid && marks)
            marks[i] = 1;
    }
    if (found < a->min_contains)
        return schema_fails(c, n, at, "contains", "holds too few items of the kind demanded");
    return found <= a->max_contains || schema_fails(c, n, at, "maxContains", "holds too many items of a kind");
}

bool schema_valid_array(schema_checker *c, const schema_node *n, const schema_place *at, schema_marks *marks)
{
    const schema_arrays *a = n->arrays;
    size_t count = js_len(at->value);
    if (count < a->min)
        return schema_fails(c, n, at, "minItems", "has too few items");
    if (count > a->max)
        return schema_fails(c, n, at, "maxItems", "has too many items");
    for (size_t i = 0; i < count && (i < a->prefix.n || a->items != SCHEMA_NONE); i++) {
        schema_place item = { at, NULL, i, js_at(at->value, i) };
        if (!schema_valid_child(c, i < a->prefix.n ? a->prefix.at[i] : a->items, &item))
            return false;
        if (marks)
            marks[i] = 1;
    }
    if (a->unique && !all_different(c, at->value))
        return schema_fails(c, n, at, "uniqueItems", "holds the same item twice");
    return a->contains == SCHEMA_NONE || valid_contains(c, n, at, marks);
}

/* ---- objects ---- */

static bool valid_name(schema_checker *c, const schema_node *n, const schema_place *member)
{
    js *name = js_new_string(member->key);
    if (!name)
        return schema_stop(c, E_NOMEM, "no memory to check a name");
    schema_place place = { member->up, member->key, 0, name };
    c->quiet++;
    bool valid = schema_valid(c, n->objects->names, &place, NULL);
    c->quiet--;
    js_free(name);
    return valid || schema_fails(c, n, member, "propertyNames", "has a name that is not allowed");
}

/* A member against the schemas of its name: *evaluated when there is one. */
static bool valid_member(schema_checker *c, const schema_node *n, const schema_place *member, bool *evaluated)
{
    const schema_objects *o = n->objects;
    const schema_property *p = schema_property_named(o, member->key);
    *evaluated = p != NULL;
    if (p && !schema_valid_child(c, p->node, member))
        return false;
    for (size_t i = 0; i < o->n_patterns; i++) {
        if (!schema_matches(c, o->patterns[i].pattern, member->key, strlen(member->key)))
            continue;
        *evaluated = true;
        if (!schema_valid_child(c, o->patterns[i].node, member))
            return false;
    }
    if (*evaluated || o->additional == SCHEMA_NONE || c->fatal)
        return !c->fatal;
    *evaluated = true;
    if (c->s->nodes[o->additional].never)
        return schema_fails(c, n, member, "additionalProperties", "is not one of the members allowed");
    return schema_valid_child(c, o->additional, member);
}

static bool valid_members(schema_checker *c, const schema_node *n, const schema_place *at, schema_marks *marks)
{
    js_member m = { 0 };
    for (size_t i = 0; js_next(at->value, &m); i++) {
        schema_place member = { at, m.key, 0, m.value };
        bool evaluated = false;
        c->steps++;
        if (n->objects->names != SCHEMA_NONE && !valid_name(c, n, &member))
            return false;
        if (!valid_member(c, n, &member, &evaluated))
            return false;
        if (marks && evaluated)
            marks[i] = 1;
    }
    return true;
}

static bool valid_dependency(schema_checker *c, const schema_node *n, const schema_dependency *d,
                             const schema_place *at, schema_marks *marks)
{
    if (!js_get(at->value, d->name))
        return true;
    for (size_t i = 0; i < d->n; i++)
        if (!js_get(at->value, d->needs[i]))
            return schema_fails(c, n, at, "dependentRequired", "lacks a member that another one needs");
    return d->node == SCHEMA_NONE || schema_valid(c, d->node, at, marks);
}

bool schema_valid_object(schema_checker *c, const schema_node *n, const schema_place *at, schema_marks *marks)
{
    const schema_objects *o = n->objects;
    char what[SCHEMA_PATH_BYTES];
    if (js_len(at->value) < o->min)
        return schema_fails(c, n, at, "minProperties", "has too few members");
    if (js_len(at->value) > o->max)
        return schema_fails(c, n, at, "maxProperties", "has too many members");
    for (size_t i = 0; i < o->n_required; i++) {
        c->steps++;
        if (!js_get(at->value, o->required[i])) {
            const char *name = o->required[i];
            size_t shown = strlen(name) < 100 ? strlen(name) : utf8_complete(name, 100);
            snprintf(what, sizeof what, "lacks the member '%.*s'", (int)shown, name);
            return schema_fails(c, n, at, "required", what);
        }
    }
    bool any = o->n_properties || o->n_patterns || o->additional != SCHEMA_NONE || o->names != SCHEMA_NONE;
    if (any && !valid_members(c, n, at, marks))
        return false;
    for (size_t i = 0; i < o->n_dependencies; i++)
        if (!valid_dependency(c, n, &o->dependencies[i], at, marks))
            return false;
    return true;
}

/* ---- what nobody has evaluated ---- */

bool schema_valid_rest(schema_checker *c, const schema_node *n, const schema_place *at, schema_marks *marks)
{
    bool object = js_is(at->value, JS_OBJECT);
    schema_id rest = object ? n->objects->unevaluated : n->arrays->unevaluated;
    js_member m = { 0 };
    for (size_t i = 0; i < js_len(at->value); i++) {
        if (object)
            js_next(at->value, &m);
        if (marks[i])
            continue;
        schema_place child = { at, object ? m.key : NULL, i, object ? m.value : js_at(at->value, i) };
        if (!schema_valid_child(c, rest, &child))
            return false;
        marks[i] = 1;
    }
    return true;
}
