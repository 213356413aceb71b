/* schema_rules_object.c: objects. Declared members in order, then free ones.
 *
 * Commas: pick(i, c) writes one more member, i or one behind it, after c others; rest(i, c) is what may follow then:
 * nothing, or a comma and pick. c counts up to what minProperties and maxProperties need, otherwise it is 0 or 1.
 *
 *     pick(i, c) = member(i) rest(i+1, c+1)  |  pick(i+1, c)  unless i is required
 *     rest(i, c) = ""  unless a required one comes, or c < least  |  "," pick(i, c)  unless c = most */
#include <stdlib.h>
#include <string.h>

#include "grammar/schema_rules_int.h"

typedef struct member {
    const char *name;
    bool required;
    rule made; /* "name": value */
} member;

typedef struct object_plan {
    member *members;
    size_t n, n_required;
    rule free_member; /* RULES_NONE: there are none */
    size_t min, max;
} object_plan;

/* ---- what is said ---- */

/* Adds the schemas of a member by this node's own keywords; false when there are none. */
static bool own_member(schema_gen *g, const schema_node *n, const char *name, schema_id *ids, size_t *count,
                       status *s)
{
    const schema_objects *o = n->objects;
    const schema_property *p = schema_property_named(o, name);
    size_t before = *count;
    if (p)
        ids[(*count)++] = p->node;
    for (size_t i = 0; i < o->n_patterns && !*s; i++) {
        lang l;
        *s = gen_pattern(g, o->patterns[i].pattern, &l);
        if (!*s && lang_matches(g->langs, l, name, strlen(name)))
            ids[(*count)++] = o->patterns[i].node;
    }
    if (*count == before && o->additional != SCHEMA_NONE)
        ids[(*count)++] = o->additional;
    return *count > before;
}

/* Whether some schema that node `from` applies evaluates the member. */
static bool member_evaluated(schema_gen *g, gen_set set, schema_id from, const char *name, status *s)
{
    for (size_t i = 0; i < set.n && !*s; i++) {
        const schema_node *n = gen_node(g, set.at[i]);
        size_t count = 0;
        schema_id *ids = n->objects ? gen_take(g, n->objects->n_patterns + 2, sizeof *ids) : NULL;
        if (n->objects && !ids)
            *s = gen_no_memory(g);
        if (ids && own_member(g, n, name, ids, &count, s) && gen_applies(g, from, set.at[i] >> 2))
            return true;
    }
    return false;
}

status gen_member_set(schema_gen *g, gen_set set, const char *name, gen_set *out, bool *never, bool *any)
{
    size_t room = 0, n = 0;
    status s = OK;
    for (size_t i = 0; i < set.n; i++) {
        const schema_objects *o = gen_node(g, set.at[i])->objects;
        room += o ? o->n_patterns + 3 : 0;
    }
    schema_id *ids = gen_take(g, room, sizeof *ids);
    if (!ids)
        return gen_no_memory(g);
    for (size_t i = 0; i < set.n && !s; i++) {
        const schema_node *node = gen_node(g, set.at[i]);
        if (!node->objects)
            continue;
        own_member(g, node, name, ids, &n, &s);
        if (!s && node->objects->unevaluated != SCHEMA_NONE && !member_evaluated(g, set, set.at[i] >> 2, name, &s))
            ids[n++] = node->objects->unevaluated;
    }
    if (!s)
        s = gen_count(g, room + 1);
    *any = n == 0;
    return s ? s : gen_add(g, (gen_set){ 0, NULL }, ids, n, out, never);
}

bool gen_requires(const schema_gen *g, gen_set set, const char *name)
{
    for (size_t i = 0; i < set.n; i++) {
        const schema_objects *o = gen_node(g, set.at[i])->objects;
        for (size_t k = 0; o && k < o->n_required; k++)
            if (!strcmp(o->required[k], name))
                return true;
    }
    return false;
}

/* propertyNames of all elements, for one name. */
static status name_allowed(schema_gen *g, gen_set set, const char *name, bool *allowed)
{
    js *text = NULL;
    status s = OK;
    *allowed = true;
    for (size_t i = 0; i < set.n && !s && *allowed; i++) {
        const schema_objects *o = gen_node(g, set.at[i])->objects;
        if (!o || o->names == SCHEMA_NONE)
            continue;
        if (!text && !(text = js_new_string(name)))
            return gen_no_memory(g);
        gen_element e = o->names << 2;
        s = gen_valid(g, (gen_set){ 1, &e }, text, allowed);
    }
    js_free(text);
    return s;
}

/* ---- members ---- */

/* name: the JSON string or strings. */
static status member_rule(schema_gen *g, lang name, gen_set values, rule *out)
{
    rule value;
    status s = gen_rule(g, values, &value);
    *out = RULES_NONE;
    if (s || value == RULES_NONE)
        return s;
    lang colon = lang_text(g->langs, ":", 1), space = lang_text(g->langs, " ", 1);
    lang after = lang_seq(g->langs, colon, lang_optional(g->langs, space));
    rule parts[] = { rules_token(g->r, lang_seq(g->langs, name, after)), value };
    *out = rules_seq(g->r, parts, 2);
    return OK;
}

static status declared_member(schema_gen *g, gen_set set, member *m)
{
    gen_set values;
    bool never = false, any = false, allowed = true;
    status s = name_allowed(g, set, m->name, &allowed);
    m->made = RULES_NONE;
    if (s || !allowed)
        return s;
    s = gen_member_set(g, set, m->name, &values, &never, &any);
    if (s || never)
        return s;
    buf name = BUF_INIT(1 << 20);
    js_write_string(&name, m->name, strlen(m->name));
    s = name.failed ? gen_no_memory(g) : member_rule(g, lang_text(g->langs, name.data, name.len), values, &m->made);
    buf_clear(&name);
    return s;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const member *const *)a)->name, (*(const member *const *)b)->name);
}

static int by_place(const void *a, const void *b)
{
    const member *x = *(const member *const *)a, *y = *(const member *const *)b;
    return x < y ? -1 : x > y;
}

/* Every name that is declared or required, once, in the order of first mention. */
static status collect(schema_gen *g, gen_set set, object_plan *plan)
{
    size_t room = 0, n = 0;
    for (size_t i = 0; i < set.n; i++) {
        const schema_objects *o = gen_node(g, set.at[i])->objects;
        room += o ? o->n_properties + o->n_required : 0;
    }
    member *all = gen_take(g, room, sizeof *all), **order = gen_take(g, room, sizeof *order);
    if (!all || !order || !(plan->members = gen_take(g, room, sizeof *plan->members)))
        return gen_no_memory(g);
    for (int required = 0; required < 2; required++)
        for (size_t i = 0; i < set.n; i++) {
            const schema_objects *o = gen_node(g, set.at[i])->objects;
            for (size_t k = 0; o && k < (required ? o->n_required : o->n_properties); k++, n++)
                all[n] = (member){ required ? o->required[k] : o->properties[k].name, required, RULES_NONE };
        }
    for (size_t i = 0; i < n; i++)
        order[i] = &all[i];
    if (n)
        qsort(order, n, sizeof *order, by_name);
    size_t kept = 0; /* neighbours of one name become the first mention */
    for (size_t i = 0; i < n; i++) {
        if (!kept || strcmp(order[kept - 1]->name, order[i]->name) != 0) {
            order[kept++] = order[i];
            continue;
        }
        bool either = order[kept - 1]->required || order[i]->required;
        order[kept - 1] = order[i] < order[kept - 1] ? order[i] : order[kept - 1];
        order[kept - 1]->required = either;
    }
    if (kept)
        qsort(order, kept, sizeof *order, by_place);
    for (size_t i = 0; i < kept; i++)
        plan->members[i] = *order[i];
    plan->n = kept;
    return gen_count(g, n);
}

/* Members that can be; *none when a required one cannot. */
static status make_members(schema_gen *g, gen_set set, object_plan *plan, bool *none)
{
    size_t kept = 0;
    status s = OK;
    *none = false;
    for (size_t i = 0; i < plan->n && !s && !*none; i++) {
        member m = plan->members[i];
        s = declared_member(g, set, &m);
        *none = m.made == RULES_NONE && m.required;
        plan->members[kept] = m;
        kept += m.made != RULES_NONE;
        plan->n_required += m.made != RULES_NONE && m.required;
    }
    plan->n = kept;
    return s;
}

/* ---- free members ---- */

typedef struct free_names {
    lang names; /* not declared, and propertyNames */
    size_t n_patterns;
    uint32_t pattern[GEN_PATTERNS_MAX];
    lang lang_of[GEN_PATTERNS_MAX];
    bool open;  /* some additionalProperties is written, or nothing is declared */
} free_names;

static status add_patterns(schema_gen *g, const schema_node *n, free_names *f)
{
    status s = OK;
    for (size_t i = 0; i < n->objects->n_patterns && !s; i++) {
        uint32_t p = n->objects->patterns[i].pattern;
        size_t k = 0;
        while (k < f->n_patterns && f->pattern[k] != p)
            k++;
        if (k < f->n_patterns)
            continue;
        if (k == GEN_PATTERNS_MAX)
            return gen_refuse(g, n, "patternProperties", "more than 6 patterns for one object cannot be generated");
        f->pattern[f->n_patterns] = p;
        s = gen_pattern(g, p, &f->lang_of[f->n_patterns++]);
    }
    return s;
}

static status plan_names(schema_gen *g, gen_set set, const object_plan *plan, free_names *f)
{
    bool says = false;
    status s = OK;
    static const lang_range zero = { 0, 0 }; /* no parser that ends texts with it could read such a name, ours cannot */
    lang character = lang_class(g->langs, &zero, 1, true);
    *f = (free_names){ .names = lang_repeat(g->langs, character, 0, LANG_UNBOUNDED) };
    for (size_t i = 0; i < set.n && !s; i++) {
        const schema_node *n = gen_node(g, set.at[i]);
        const schema_objects *o = n->objects;
        if (!o)
            continue;
        f->open = f->open || (o->additional != SCHEMA_NONE && !g->s->nodes[o->additional].never) ||
                  (o->unevaluated != SCHEMA_NONE && !g->s->nodes[o->unevaluated].never);
        says = says || o->n_patterns || o->n_properties;
        s = add_patterns(g, n, f);
        if (s || o->names == SCHEMA_NONE)
            continue;
        gen_set names;
        bool never = false;
        lang l = LANG_NONE;
        s = gen_add(g, (gen_set){ 0, NULL }, &o->names, 1, &names, &never);
        if (!s && !never)
            s = gen_names(g, names, &l);
        f->names = lang_and(g->langs, f->names, l);
    }
    f->open = f->open || (!says && !plan->n);
    lang *declared = gen_take(g, plan->n, sizeof *declared);
    if (!declared)
        return gen_no_memory(g);
    for (size_t i = 0; i < plan->n; i++)
        declared[i] = lang_text(g->langs, plan->members[i].name, strlen(plan->members[i].name));
    if (plan->n)
        f->names = lang_and(g->langs, f->names, lang_not(g->langs, lang_alt_n(g->langs, declared, plan->n)));
    return s;
}

/* The schemas of a name that matches exactly the patterns in `mask` and is not declared. unevaluatedProperties of a
 * node asks about it when nothing that the node applies has matched. */
static status free_values(schema_gen *g, gen_set set, const free_names *f, unsigned mask, gen_set *out, bool *never)
{
    size_t room = 0, n = 0;
    for (size_t i = 0; i < set.n; i++)
        room += gen_node(g, set.at[i])->objects ? gen_node(g, set.at[i])->objects->n_patterns + 2 : 0;
    schema_id *ids = gen_take(g, room, sizeof *ids);
    bool *evaluated = gen_take(g, set.n, sizeof *evaluated);
    if (!ids || !evaluated)
        return gen_no_memory(g);
    for (size_t i = 0; i < set.n; i++) {
        const schema_objects *o = gen_node(g, set.at[i])->objects;
        size_t before = n;
        for (size_t k = 0; o && k < o->n_patterns; k++)
            for (size_t b = 0; b < f->n_patterns; b++)
                if (mask >> b & 1 && f->pattern[b] == o->patterns[k].pattern)
                    ids[n++] = o->patterns[k].node;
        if (o && n == before && o->additional != SCHEMA_NONE)
            ids[n++] = o->additional;
        evaluated[i] = n > before;
    }
    for (size_t i = 0; i < set.n; i++) {
        const schema_objects *o = gen_node(g, set.at[i])->objects;
        bool asked = o && o->unevaluated != SCHEMA_NONE;
        for (size_t k = 0; k < set.n && asked; k++)
            asked = !(evaluated[k] && gen_applies(g, set.at[i] >> 2, set.at[k] >> 2));
        if (asked)
            ids[n++] = o->unevaluated;
    }
    status s = gen_count(g, room + set.n + 1);
    return s ? s : gen_add(g, (gen_set){ 0, NULL }, ids, n, out, never);
}

static status make_free(schema_gen *g, gen_set set, object_plan *plan)
{
    free_names f;
    rule parts[1 << GEN_PATTERNS_MAX];
    size_t n = 0;
    status s = plan_names(g, set, plan, &f);
    for (unsigned mask = f.open ? 0 : 1; mask < 1u << f.n_patterns && !s; mask++) {
        lang names = f.names;
        gen_set values;
        bool never = false;
        for (size_t b = 0; b < f.n_patterns; b++)
            names = lang_and(g->langs, names,
                             mask >> b & 1 ? f.lang_of[b] : lang_not(g->langs, f.lang_of[b]));
        if (lang_is_none(g->langs, names))
            continue;
        s = free_values(g, set, &f, mask, &values, &never);
        if (s || never)
            continue;
        s = member_rule(g, lang_json_string(g->langs, names, LANG_JSON_CANONICAL), values, &parts[n]);
        n += !s && parts[n] != RULES_NONE;
    }
    plan->free_member = s ? RULES_NONE : rules_alt(g->r, parts, n);
    return s;
}

/* ---- commas and counts ---- */

typedef struct grid { /* rules for (member, count), from the last member to the first */
    schema_gen *g;
    const object_plan *p;
    size_t counts;
    rule *pick, *rest; /* of the member behind */
} grid;

static rule named(schema_gen *g, rule body)
{
    if (body == RULES_NONE || body == RULES_EMPTY)
        return body;
    rule name = rules_declare(g->r, "members", 7);
    rules_define(g->r, name, body);
    return name;
}

static size_t next_count(const grid *w, size_t c)
{
    return c + 1 < w->counts ? c + 1 : w->counts - 1;
}

/* Free members only: at most `most` of them, at least what c lacks. */
static void last_column(const grid *w)
{
    schema_gen *g = w->g;
    const object_plan *p = w->p;
    rule with_comma[] = { g->comma, p->free_member }, more = RULES_NONE;
    if (p->free_member != RULES_NONE)
        more = rules_seq(g->r, with_comma, 2);
    for (size_t c = 0; c < w->counts; c++) {
        size_t least = p->min > c ? p->min - c : 0;
        bool open = p->max == SCHEMA_NO_MAX;
        size_t most = open ? 0 : p->max > c ? p->max - c : 0;
        w->rest[c] = w->pick[c] = least ? RULES_NONE : RULES_EMPTY;
        if (more == RULES_NONE || (!open && !most)) {
            w->pick[c] = RULES_NONE;
            continue;
        }
        uint32_t low = (uint32_t)least, high = open || most >= RULES_UNBOUNDED ? RULES_UNBOUNDED : (uint32_t)most;
        w->rest[c] = rules_repeat(g->r, more, low, high);
        rule tail = rules_repeat(g->r, more, low ? low - 1 : 0, high == RULES_UNBOUNDED ? high : high - 1);
        rule both[] = { p->free_member, tail };
        w->pick[c] = rules_seq(g->r, both, 2);
    }
}

static void column(const grid *w, size_t i, bool required_ahead)
{
    schema_gen *g = w->g;
    const object_plan *p = w->p;
    const member *m = &p->members[i];
    for (size_t c = 0; c < w->counts; c++) { /* rest of c + 1 is still the one of i + 1 */
        rule follow = w->rest[next_count(w, c)], alternatives[2];
        size_t n = 0;
        bool full = p->max != SCHEMA_NO_MAX && c >= p->max;
        rule taken[] = { m->made, follow };
        if (!full && follow != RULES_NONE)
            alternatives[n++] = rules_seq(g->r, taken, 2);
        if (!m->required && w->pick[c] != RULES_NONE)
            alternatives[n++] = w->pick[c];
        w->pick[c] = named(g, rules_alt(g->r, alternatives, n));
        rule more[] = { g->comma, w->pick[c] };
        n = 0;
        if (!required_ahead && !m->required && c >= p->min)
            alternatives[n++] = RULES_EMPTY;
        if (w->pick[c] != RULES_NONE)
            alternatives[n++] = rules_seq(g->r, more, 2);
        w->rest[c] = rules_alt(g->r, alternatives, n);
    }
}

static status members_rule(schema_gen *g, const object_plan *p, rule *out)
{
    size_t counts = p->max == SCHEMA_NO_MAX || p->max < p->min ? p->min : p->max;
    grid w = { g, p, (counts < p->n ? counts : p->n) + 1, NULL, NULL }; /* more than n come only at the end */
    bool ahead = false, empty = !p->n_required && !p->min;
    w.counts = w.counts < 2 ? 2 : w.counts;
    if (p->n + 1 > GEN_COUNTS_MAX / w.counts)
        return fail(g->err, E_RANGE, "schema: %zu members with up to %zu counted are too many", p->n, w.counts);
    w.pick = gen_take(g, w.counts, sizeof *w.pick);
    w.rest = gen_take(g, w.counts, sizeof *w.rest);
    if (!w.pick || !w.rest)
        return gen_no_memory(g);
    last_column(&w);
    for (size_t i = p->n; i-- > 0;) {
        column(&w, i, ahead);
        ahead = ahead || p->members[i].required;
    }
    rule alternatives[] = { w.pick[0], RULES_EMPTY };
    if (w.pick[0] == RULES_NONE)
        *out = empty ? RULES_EMPTY : RULES_NONE;
    else
        *out = rules_alt(g->r, alternatives, empty ? 2 : 1);
    return OK;
}

/* minProperties and maxProperties that the members cannot break are dropped; with free names, which may repeat, a
 * least number over 1 cannot be promised. */
static status plan_counts(schema_gen *g, gen_set set, object_plan *plan)
{
    size_t all = plan->n;
    bool open = plan->free_member != RULES_NONE;
    status s = OK;
    plan->max = SCHEMA_NO_MAX;
    for (size_t i = 0; i < set.n && !s; i++) {
        const schema_node *n = gen_node(g, set.at[i]);
        if (!n->objects)
            continue;
        size_t min = n->objects->min, max = n->objects->max;
        if (open && min > plan->n_required + 1)
            s = gen_refuse(g, n, "minProperties", "cannot be generated with names that are not declared");
        else if (min > plan->n_required && min > plan->min)
            plan->min = min;
        if ((open || max < all) && max < plan->max)
            plan->max = max;
    }
    return s;
}

status gen_may_have(schema_gen *g, gen_set set, const char *name, bool *out)
{
    gen_set values;
    bool never = false, any = false, declares = false;
    for (size_t i = 0; i < set.n; i++) {
        const schema_objects *o = gen_node(g, set.at[i])->objects;
        declares = declares || (o && (o->n_properties || o->n_patterns || o->n_required));
    }
    status s = gen_member_set(g, set, name, &values, &never, &any);
    if (!s)
        *out = !never && (!any || !declares || gen_requires(g, set, name));
    return s;
}

static status object_refusals(schema_gen *g, gen_set set)
{
    for (size_t i = 0; i < set.n; i++) {
        const schema_node *n = gen_node(g, set.at[i]);
        for (size_t k = 0; n->objects && k < n->objects->n_dependencies; k++) {
            const schema_dependency *d = &n->objects->dependencies[k];
            bool may = false, all = d->node == SCHEMA_NONE;
            status s = gen_may_have(g, set, d->name, &may);
            for (size_t j = 0; j < d->n && all; j++)
                all = gen_requires(g, set, d->needs[j]);
            if (!s && may && !all)
                s = gen_refuse(g, n, d->node == SCHEMA_NONE ? "dependentRequired" : "dependentSchemas",
                               "can be checked but not generated");
            if (s)
                return s;
        }
    }
    return OK;
}

status gen_object(schema_gen *g, gen_set set, rule *out)
{
    object_plan plan = { 0 };
    bool none = false;
    rule body = RULES_NONE;
    *out = RULES_NONE;
    status s = object_refusals(g, set);
    if (!s)
        s = collect(g, set, &plan);
    if (!s) /* first: a declared member that cannot be is no free one either */
        s = make_free(g, set, &plan);
    if (!s)
        s = make_members(g, set, &plan, &none);
    if (s || none)
        return s;
    s = plan_counts(g, set, &plan);
    if (!s)
        s = members_rule(g, &plan, &body);
    if (s || body == RULES_NONE)
        return s;
    rule parts[] = { rules_text(g->r, "{", 1), body, rules_text(g->r, "}", 1) };
    *out = rules_seq(g->r, parts, 3);
    return OK;
}
