/* schema_sets.c: sets of schemas that apply to one value. */
#include <stdlib.h>
#include <string.h>

#include "grammar/schema_rules_int.h"

status gen_no_memory(schema_gen *g)
{
    return fail(g->err, E_NOMEM, "no memory to make a grammar of a schema, or it needs more than %d MiB",
                GEN_BYTES_MAX >> 20);
}

status gen_count(schema_gen *g, size_t steps)
{
    g->steps += steps;
    return g->steps > GEN_STEPS_MAX
               ? fail(g->err, E_RANGE, "schema: takes more than %d steps to make a grammar of", GEN_STEPS_MAX)
               : OK;
}

void *gen_take(schema_gen *g, size_t n, size_t size)
{
    return n < GEN_BYTES_MAX / size ? arena_alloc(&g->memory, n * size + 1) : NULL;
}

/* ---- making ---- */

typedef struct pile { /* a set under construction */
    gen_element *at;
    size_t n, size;
} pile;

static bool put(pile *p, gen_element e)
{
    if (p->n == p->size) {
        size_t size = p->size ? p->size * 2 : 16;
        gen_element *at = mem_resize(p->at, size * sizeof *at);
        if (!at)
            return false;
        p->at = at;
        p->size = size;
    }
    p->at[p->n++] = e;
    return true;
}

/* A node that says nothing but where to go on. */
static bool is_signpost(const schema_node *n)
{
    return !n->never && n->kinds == KIND_ALL && !n->enumeration && !n->constant && !n->numbers && !n->texts &&
           !n->arrays && !n->objects && !n->any_of.n && !n->one_of.n && n->not_ == SCHEMA_NONE && n->if_ == SCHEMA_NONE;
}

static bool has(const pile *p, size_t n, gen_element e)
{
    for (size_t i = 0; i < n; i++)
        if (p->at[i] >> 2 == e >> 2)
            return true;
    return false;
}

static int ascending(const void *a, const void *b)
{
    gen_element x = *(const gen_element *)a, y = *(const gen_element *)b;
    return x < y ? -1 : x > y;
}

/* Chains have an end (node.chain), so following them has too; a node that is reached twice is looked at once. */
static status follow(schema_gen *g, pile *p, pile *todo)
{
    for (size_t i = 0; i < todo->n; i++) {
        gen_element e = todo->at[i];
        const schema_node *n = gen_node(g, e);
        if (has(todo, i, e))
            continue;
        status s = gen_count(g, 1 + i / 16);
        if (s)
            return s;
        bool ok = (n->ref == SCHEMA_NONE || put(todo, n->ref << 2)) && (is_signpost(n) || put(p, e));
        for (size_t k = 0; k < n->all_of.n && ok; k++)
            ok = put(todo, n->all_of.at[k] << 2);
        if (!ok)
            return gen_no_memory(g);
    }
    return OK;
}

/* Sorts, and keeps each node once with all its marks. */
static void settle(pile *p)
{
    size_t n = 0;
    if (p->n)
        qsort(p->at, p->n, sizeof *p->at, ascending);
    for (size_t i = 0; i < p->n; i++) {
        if (n && p->at[n - 1] >> 2 == p->at[i] >> 2)
            p->at[n - 1] |= p->at[i];
        else
            p->at[n++] = p->at[i];
    }
    p->n = n;
}

status gen_add(schema_gen *g, gen_set from, const schema_id *more, size_t n, gen_set *out, bool *never)
{
    pile p = { 0 }, todo = { 0 };
    bool ok = true;
    for (size_t i = 0; i < from.n && ok; i++)
        ok = put(&p, from.at[i]);
    for (size_t i = 0; i < n && ok; i++)
        ok = more[i] == SCHEMA_NONE || put(&todo, more[i] << 2);
    status s = ok ? follow(g, &p, &todo) : gen_no_memory(g);
    *never = false;
    if (!s) {
        settle(&p);
        for (size_t i = 0; i < p.n; i++)
            *never = *never || gen_node(g, p.at[i])->never;
        gen_element *at = gen_take(g, p.n, sizeof *at);
        if (at) {
            if (p.n)
                memcpy(at, p.at, p.n * sizeof *at);
            *out = (gen_set){ p.n, at };
        } else {
            s = gen_no_memory(g);
        }
    }
    mem_free(p.at);
    mem_free(todo.at);
    return s;
}

/* ---- choices ---- */

bool gen_choice(const schema_gen *g, gen_set set, size_t *element, schema_list *branches, bool *one)
{
    for (size_t i = 0; i < set.n; i++) {
        const schema_node *n = gen_node(g, set.at[i]);
        bool any = n->any_of.n && !(set.at[i] & CHOSEN_ANY), only = n->one_of.n && !(set.at[i] & CHOSEN_ONE);
        if (!any && !only)
            continue;
        *element = i;
        *one = !any;
        *branches = any ? n->any_of : n->one_of;
        return true;
    }
    return false;
}

status gen_choose(schema_gen *g, gen_set set, size_t element, bool one, schema_id branch, gen_set *out, bool *never)
{
    status s = gen_add(g, set, &branch, 1, out, never);
    for (size_t i = 0; i < (s ? 0 : out->n); i++)
        if (out->at[i] >> 2 == set.at[element] >> 2)
            out->at[i] |= one ? CHOSEN_ONE : CHOSEN_ANY;
    return s;
}

/* ---- questions ---- */

unsigned gen_kinds(const schema_gen *g, gen_set set)
{
    unsigned kinds = KIND_ALL;
    for (size_t i = 0; i < set.n; i++)
        kinds &= gen_node(g, set.at[i])->kinds;
    return kinds;
}

/* own: by the elements' own keywords. */
static status judge(schema_gen *g, gen_set set, const js *value, bool own, bool *valid)
{
    schema_place root = { .value = value };
    *valid = true;
    g->check.quiet = 1;
    g->check.limit = g->check.steps + SCHEMA_STEPS_MAX;
    size_t before = g->check.steps;
    for (size_t i = 0; i < set.n && *valid; i++) {
        schema_id id = set.at[i] >> 2;
        if (id < g->s->n_nodes)
            *valid = own ? schema_valid_alone(&g->check, id, &root) : schema_valid(&g->check, id, &root, NULL);
        else if (js_is(value, JS_OBJECT)) /* one of our own: a member that must not be there */
            *valid = !js_get(value, gen_extra(g, id)->objects->properties->name);
    }
    return g->check.fatal ? g->check.fatal : gen_count(g, (g->check.steps - before) / 8);
}

status gen_valid(schema_gen *g, gen_set set, const js *value, bool *valid)
{
    return judge(g, set, value, false, valid);
}

status gen_may_be_valid(schema_gen *g, gen_set set, const js *value, bool *valid)
{
    return judge(g, set, value, true, valid);
}

bool gen_literals(const schema_gen *g, gen_set set, const js **list, const js **single)
{
    *list = *single = NULL;
    for (size_t i = 0; i < set.n; i++) {
        const schema_node *n = gen_node(g, set.at[i]);
        *single = n->constant ? n->constant : *single;
        if (n->enumeration && (!*list || js_len(n->enumeration) < js_len(*list)))
            *list = n->enumeration;
    }
    return *list || *single;
}

bool gen_applies(schema_gen *g, schema_id from, schema_id to)
{
    if (from == to)
        return true;
    if (from == SCHEMA_NONE || gen_count(g, 1))
        return false;
    const schema_node *n = gen_node(g, from << 2);
    if (gen_applies(g, n->ref, to))
        return true;
    schema_list lists[] = { n->all_of, n->any_of, n->one_of };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (size_t k = 0; k < lists[i].n; k++)
            if (gen_applies(g, lists[i].at[k], to))
                return true;
    return false;
}
