/* schema_keywords.c: what a schema's keywords say, a row for each: enforced, an annotation, or refused. */
#include <stdio.h>
#include <string.h>

#include "grammar/schema_read_int.h"

/* ---- parts of a node, made when the first keyword needs them ---- */

static schema_numbers *numbers(schema_reader *r, schema_node *n)
{
    if (!n->numbers)
        n->numbers = schema_take(r, 1, sizeof *n->numbers);
    return n->numbers;
}

static schema_texts *texts(schema_reader *r, schema_node *n)
{
    if (!n->texts && (n->texts = schema_take(r, 1, sizeof *n->texts)))
        n->texts->max = SCHEMA_NO_MAX;
    return n->texts;
}

static schema_arrays *arrays(schema_reader *r, schema_node *n)
{
    if (!n->arrays && (n->arrays = schema_take(r, 1, sizeof *n->arrays)))
        *n->arrays = (schema_arrays){ .max = SCHEMA_NO_MAX,
                                      .min_contains = 1,
                                      .max_contains = SCHEMA_NO_MAX,
                                      .items = SCHEMA_NONE,
                                      .contains = SCHEMA_NONE,
                                      .unevaluated = SCHEMA_NONE };
    return n->arrays;
}

static schema_objects *objects(schema_reader *r, schema_node *n)
{
    if (!n->objects && (n->objects = schema_take(r, 1, sizeof *n->objects)))
        *n->objects = (schema_objects){
            .max = SCHEMA_NO_MAX, .additional = SCHEMA_NONE, .names = SCHEMA_NONE, .unevaluated = SCHEMA_NONE
        };
    return n->objects;
}

/* ---- keywords: any value ---- */

static status kind_named(schema_reader *r, const js *v, uint8_t *kinds)
{
    static const struct { const char *name; uint8_t kinds; } names[] = {
        { "null", KIND_NULL },     { "boolean", KIND_BOOL }, { "integer", KIND_INTEGER }, { "number", KIND_NUMBER },
        { "string", KIND_STRING }, { "array", KIND_ARRAY },  { "object", KIND_OBJECT },
    };
    for (size_t i = 0; i < ARRAY_LEN(names) && js_is(v, JS_STRING); i++) {
        if (!strcmp(js_text(v), names[i].name)) {
            *kinds |= names[i].kinds;
            return OK;
        }
    }
    return schema_bad(r, "must be null, boolean, integer, number, string, array or object, or a list of these");
}

static status read_type(schema_reader *r, schema_node *n, const js *v)
{
    uint8_t kinds = 0;
    status s = js_is(v, JS_ARRAY) ? OK : kind_named(r, v, &kinds);
    for (size_t i = 0; i < (js_is(v, JS_ARRAY) ? js_len(v) : 0) && !s; i++)
        s = kind_named(r, js_at(v, i), &kinds);
    if (js_bool(js_get(r->object, "nullable"), false))
        kinds |= KIND_NULL;
    n->kinds = kinds;
    return s;
}

/* OpenAPI: only beside a type does it say anything. */
static status read_nullable(schema_reader *r, schema_node *n, const js *v)
{
    (void)n;
    return js_is(v, JS_BOOL) ? OK : schema_bad(r, "must be true or false");
}

static status read_enum(schema_reader *r, schema_node *n, const js *v)
{
    n->enumeration = v;
    return js_is(v, JS_ARRAY) ? OK : schema_bad(r, "must be a list of values");
}

static status read_const(schema_reader *r, schema_node *n, const js *v)
{
    (void)r;
    n->constant = v;
    return OK;
}

static status read_ref(schema_reader *r, schema_node *n, const js *v)
{
    return js_is(v, JS_STRING) ? schema_follow(r, (span){ js_text(v), js_len(v) }, &n->ref)
                               : schema_bad(r, "must be a text");
}

static status read_all_of(schema_reader *r, schema_node *n, const js *v)
{
    return schema_child_list(r, v, &n->all_of);
}

static status read_any_of(schema_reader *r, schema_node *n, const js *v)
{
    return schema_child_list(r, v, &n->any_of);
}

static status read_one_of(schema_reader *r, schema_node *n, const js *v)
{
    return schema_child_list(r, v, &n->one_of);
}

static status read_not(schema_reader *r, schema_node *n, const js *v)
{
    return schema_child(r, v, NULL, &n->not_);
}

static status read_if(schema_reader *r, schema_node *n, const js *v)
{
    return schema_child(r, v, NULL, &n->if_);
}

static status read_then(schema_reader *r, schema_node *n, const js *v)
{
    return schema_child(r, v, NULL, &n->then_);
}

static status read_else(schema_reader *r, schema_node *n, const js *v)
{
    return schema_child(r, v, NULL, &n->else_);
}

/* ---- keywords: numbers ---- */

static status read_decimal(schema_reader *r, schema_node *n, const js *v, const decimal **out)
{
    (void)n;
    if (!js_is(v, JS_NUMBER))
        return schema_bad(r, "must be a number");
    decimal *d = schema_take(r, 1, sizeof *d);
    if (!d)
        return schema_no_memory(r->err);
    *d = decimal_read(js_text(v));
    *out = d;
    return OK;
}

static status read_minimum(schema_reader *r, schema_node *n, const js *v)
{
    return numbers(r, n) ? read_decimal(r, n, v, &n->numbers->minimum) : schema_no_memory(r->err);
}

static status read_maximum(schema_reader *r, schema_node *n, const js *v)
{
    return numbers(r, n) ? read_decimal(r, n, v, &n->numbers->maximum) : schema_no_memory(r->err);
}

/* Draft 4: true, and the bound is that of minimum. */
static status read_exclusive(schema_reader *r, schema_node *n, const js *v, const char *beside, const decimal **out)
{
    if (js_is(v, JS_BOOL))
        v = js_bool(v, false) ? js_get(r->object, beside) : NULL;
    else if (!v || !js_is(v, JS_NUMBER))
        return schema_bad(r, "must be a number");
    return v ? read_decimal(r, n, v, out) : OK;
}

static status read_above(schema_reader *r, schema_node *n, const js *v)
{
    return numbers(r, n) ? read_exclusive(r, n, v, "minimum", &n->numbers->above) : schema_no_memory(r->err);
}

static status read_below(schema_reader *r, schema_node *n, const js *v)
{
    return numbers(r, n) ? read_exclusive(r, n, v, "maximum", &n->numbers->below) : schema_no_memory(r->err);
}

static status read_multiple(schema_reader *r, schema_node *n, const js *v)
{
    const decimal *d = NULL;
    status s = numbers(r, n) ? read_decimal(r, n, v, &d) : schema_no_memory(r->err);
    if (!s && d->sign <= 0)
        return schema_bad(r, "must be greater than 0");
    if (!s && d->n > DECIMAL_DIVISOR_DIGITS_MAX)
        return schema_refuse(r, "more than 18 digits are not supported");
    if (!s)
        n->numbers->multiple_of = d;
    return s;
}

/* ---- keywords: texts ---- */

/* A length or count: a whole number, also written 2.0. Beyond 2^53 it is as good as the greatest. */
static status read_count(schema_reader *r, const js *v, size_t *out)
{
    int64_t i = 0;
    decimal d = decimal_read(js_is(v, JS_NUMBER) ? js_text(v) : "-1");
    if (d.sign < 0 || !decimal_is_integer(&d))
        return schema_bad(r, "must be a whole number, 0 or more");
    *out = js_int(v, &i) ? (size_t)i : SCHEMA_NO_MAX - 1;
    return OK;
}

static status read_min_length(schema_reader *r, schema_node *n, const js *v)
{
    return texts(r, n) ? read_count(r, v, &n->texts->min) : schema_no_memory(r->err);
}

static status read_max_length(schema_reader *r, schema_node *n, const js *v)
{
    return texts(r, n) ? read_count(r, v, &n->texts->max) : schema_no_memory(r->err);
}

/* Both back ends compile a pattern again, in a set of their own; here it is only asked whether that will work. */
static status check_pattern(schema_reader *r, const char *text, size_t n)
{
    error why = { 0 };
    lang out;
    status s = r->langs ? OK : lang_set_open(&r->langs, r->err);
    if (s)
        return s;
    s = lang_regex(r->langs, text, n, LANG_SEARCH, &out, &why);
    return s ? fail(r->err, s, "schema: %s/%s: %s", r->at, r->key, why.text) : OK;
}

/* *out is the pattern's index + 1. */
static status pattern_for(schema_reader *r, const char *text, size_t n, uint32_t *out)
{
    schema *s = r->s;
    for (size_t i = 0; i < s->n_patterns; i++) {
        if (s->patterns[i].n == n && !memcmp(s->patterns[i].p, text, n)) {
            *out = (uint32_t)i + 1;
            return OK;
        }
    }
    status st = check_pattern(r, text, n);
    if (st)
        return st;
    if (s->n_patterns == SCHEMA_PATTERNS_MAX)
        return fail(r->err, E_RANGE, "schema: %s/%s: more than %d patterns", r->at, r->key, SCHEMA_PATTERNS_MAX);
    if (!schema_grow((void **)&s->patterns, &s->patterns_size, s->n_patterns, sizeof *s->patterns))
        return schema_no_memory(r->err);
    s->patterns[s->n_patterns++] = (span){ text, n };
    *out = (uint32_t)s->n_patterns;
    return OK;
}

static status read_pattern(schema_reader *r, schema_node *n, const js *v)
{
    if (!js_is(v, JS_STRING))
        return schema_bad(r, "must be a text");
    if (!texts(r, n))
        return schema_no_memory(r->err);
    error *err = r->err, why = { 0 };
    r->err = &why;
    status s = pattern_for(r, js_text(v), js_len(v), &n->texts->pattern);
    r->err = err;
    if (s == E_UNSUPPORTED && r->relaxed)
        return schema_note(r->notes, why.text, "not enforced", err);
    return s ? fail(err, s, "%s", why.text) : OK;
}

static status read_format(schema_reader *r, schema_node *n, const js *v)
{
    if (!js_is(v, JS_STRING))
        return schema_bad(r, "must be a text");
    uint32_t format = schema_format_find(js_text(v), js_len(v));
    if (!format)
        return schema_format_annotates(js_text(v), js_len(v)) ? OK : schema_refuse(r, "the format is not known");
    if (!texts(r, n))
        return schema_no_memory(r->err);
    n->texts->format = format;
    return OK;
}

/* ---- keywords: arrays ---- */

static status read_min_items(schema_reader *r, schema_node *n, const js *v)
{
    return arrays(r, n) ? read_count(r, v, &n->arrays->min) : schema_no_memory(r->err);
}

static status read_max_items(schema_reader *r, schema_node *n, const js *v)
{
    return arrays(r, n) ? read_count(r, v, &n->arrays->max) : schema_no_memory(r->err);
}

static status read_min_contains(schema_reader *r, schema_node *n, const js *v)
{
    return arrays(r, n) ? read_count(r, v, &n->arrays->min_contains) : schema_no_memory(r->err);
}

static status read_max_contains(schema_reader *r, schema_node *n, const js *v)
{
    return arrays(r, n) ? read_count(r, v, &n->arrays->max_contains) : schema_no_memory(r->err);
}

static status read_unique(schema_reader *r, schema_node *n, const js *v)
{
    if (!js_is(v, JS_BOOL))
        return schema_bad(r, "must be true or false");
    if (!arrays(r, n))
        return schema_no_memory(r->err);
    n->arrays->unique = js_bool(v, false);
    return OK;
}

static status read_prefix(schema_reader *r, schema_node *n, const js *v)
{
    return arrays(r, n) ? schema_child_list(r, v, &n->arrays->prefix) : schema_no_memory(r->err);
}

/* Up to draft 2019-09 a list was what prefixItems is now. */
static status read_items(schema_reader *r, schema_node *n, const js *v)
{
    if (!arrays(r, n))
        return schema_no_memory(r->err);
    if (js_is(v, JS_ARRAY))
        return js_len(v) && !js_get(r->object, "prefixItems") ? schema_child_list(r, v, &n->arrays->prefix) : OK;
    return schema_child(r, v, NULL, &n->arrays->items);
}

static status read_additional_items(schema_reader *r, schema_node *n, const js *v)
{
    if (!js_is(js_get(r->object, "items"), JS_ARRAY))
        return OK;
    return arrays(r, n) ? schema_child(r, v, NULL, &n->arrays->items) : schema_no_memory(r->err);
}

static status read_contains(schema_reader *r, schema_node *n, const js *v)
{
    return arrays(r, n) ? schema_child(r, v, NULL, &n->arrays->contains) : schema_no_memory(r->err);
}

static status read_unevaluated_items(schema_reader *r, schema_node *n, const js *v)
{
    r->s->unevaluated = true;
    return arrays(r, n) ? schema_child(r, v, NULL, &n->arrays->unevaluated) : schema_no_memory(r->err);
}

/* ---- keywords: objects ---- */

static status read_min_properties(schema_reader *r, schema_node *n, const js *v)
{
    return objects(r, n) ? read_count(r, v, &n->objects->min) : schema_no_memory(r->err);
}

static status read_max_properties(schema_reader *r, schema_node *n, const js *v)
{
    return objects(r, n) ? read_count(r, v, &n->objects->max) : schema_no_memory(r->err);
}

static status read_names(schema_reader *r, const js *v, size_t *n, const char ***out)
{
    bool texts_only = js_is(v, JS_ARRAY);
    for (size_t i = 0; i < js_len(v) && texts_only; i++)
        texts_only = js_is(js_at(v, i), JS_STRING);
    if (!texts_only)
        return schema_bad(r, "must be a list of names");
    const char **names = schema_take(r, js_len(v), sizeof *names);
    if (!names)
        return schema_no_memory(r->err);
    for (size_t i = 0; i < js_len(v); i++) {
        names[i] = js_text(js_at(v, i));
        if (strlen(names[i]) != js_len(js_at(v, i)))
            return schema_refuse(r, "a name that holds U+0000 is not supported");
    }
    *n = js_len(v);
    *out = names;
    return OK;
}

static status read_required(schema_reader *r, schema_node *n, const js *v)
{
    return objects(r, n) ? read_names(r, v, &n->objects->n_required, &n->objects->required) : schema_no_memory(r->err);
}

/* Sorts indices by name: heap sort, whatever a stranger's order is. */
static void sink(const schema_objects *o, size_t root, size_t n)
{
    for (size_t next = root * 2 + 1; next < n; next = root * 2 + 1) {
        uint32_t *i = o->by_name;
        if (next + 1 < n && strcmp(o->properties[i[next]].name, o->properties[i[next + 1]].name) < 0)
            next++;
        if (strcmp(o->properties[i[root]].name, o->properties[i[next]].name) >= 0)
            return;
        uint32_t swap = i[root];
        i[root] = i[next];
        i[next] = swap;
        root = next;
    }
}

static void sort_names(schema_objects *o)
{
    size_t n = o->n_properties;
    for (size_t i = 0; i < n; i++)
        o->by_name[i] = (uint32_t)i;
    for (size_t i = n / 2; i-- > 0;)
        sink(o, i, n);
    for (size_t end = n; end-- > 1;) {
        uint32_t swap = o->by_name[0];
        o->by_name[0] = o->by_name[end];
        o->by_name[end] = swap;
        sink(o, 0, end);
    }
}

const schema_property *schema_property_named(const schema_objects *o, const char *name)
{
    size_t low = 0, high = o->n_properties;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const schema_property *p = &o->properties[o->by_name[middle]];
        int order = strcmp(name, p->name);
        if (!order)
            return p;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static status read_properties(schema_reader *r, schema_node *n, const js *v)
{
    js_member m = { 0 };
    if (!js_is(v, JS_OBJECT))
        return schema_bad(r, "must be an object of schemas");
    schema_objects *o = objects(r, n);
    schema_property *list = o ? schema_take(r, js_len(v), sizeof *list) : NULL;
    if (!list || !(o->by_name = schema_take(r, js_len(v), sizeof *o->by_name)))
        return schema_no_memory(r->err);
    status s = OK;
    o->properties = list;
    while (!s && js_next(v, &m)) {
        list[o->n_properties].name = m.key;
        s = schema_child(r, m.value, m.key, &list[o->n_properties].node);
        o->n_properties += !s;
    }
    sort_names(o);
    return s;
}

static status read_patterns(schema_reader *r, schema_node *n, const js *v)
{
    js_member m = { 0 };
    if (!js_is(v, JS_OBJECT))
        return schema_bad(r, "must be an object of schemas");
    schema_objects *o = objects(r, n);
    if (!o || !(o->patterns = schema_take(r, js_len(v), sizeof *o->patterns)))
        return schema_no_memory(r->err);
    status s = OK;
    while (!s && js_next(v, &m)) {
        schema_pattern_property *p = &o->patterns[o->n_patterns];
        s = pattern_for(r, m.key, strlen(m.key), &p->pattern);
        if (!s)
            s = schema_child(r, m.value, m.key, &p->node);
        o->n_patterns += !s;
    }
    return s;
}

static status read_additional(schema_reader *r, schema_node *n, const js *v)
{
    return objects(r, n) ? schema_child(r, v, NULL, &n->objects->additional) : schema_no_memory(r->err);
}

static status read_property_names(schema_reader *r, schema_node *n, const js *v)
{
    return objects(r, n) ? schema_child(r, v, NULL, &n->objects->names) : schema_no_memory(r->err);
}

static status read_unevaluated_properties(schema_reader *r, schema_node *n, const js *v)
{
    r->s->unevaluated = true;
    return objects(r, n) ? schema_child(r, v, NULL, &n->objects->unevaluated) : schema_no_memory(r->err);
}

/* dependentRequired has lists of names, dependentSchemas schemas, dependencies (up to draft 7) either. */
static status read_dependencies(schema_reader *r, schema_node *n, const js *v)
{
    js_member m = { 0 };
    if (!js_is(v, JS_OBJECT))
        return schema_bad(r, "must be an object");
    schema_objects *o = objects(r, n);
    schema_dependency *list = o ? schema_take(r, o->n_dependencies + js_len(v), sizeof *list) : NULL;
    if (!list)
        return schema_no_memory(r->err);
    if (o->n_dependencies)
        memcpy(list, o->dependencies, o->n_dependencies * sizeof *list);
    o->dependencies = list;
    bool names = strcmp(r->key, "dependentSchemas") != 0, schemas = strcmp(r->key, "dependentRequired") != 0;
    status s = OK;
    while (!s && js_next(v, &m)) {
        schema_dependency *d = &list[o->n_dependencies++];
        *d = (schema_dependency){ .name = m.key, .node = SCHEMA_NONE };
        if (names && (!schemas || js_is(m.value, JS_ARRAY)))
            s = read_names(r, m.value, &d->n, &d->needs);
        else
            s = schema_child(r, m.value, m.key, &d->node);
    }
    return s;
}

/* ---- keywords: the schema itself ---- */

static status read_dialect(schema_reader *r, schema_node *n, const js *v)
{
    (void)n;
    const char *uri = js_is(v, JS_STRING) ? js_text(v) : "";
    uri += str_starts(uri, "https:") ? 6 : str_starts(uri, "http:") ? 5 : 0;
    return str_starts(uri, "//json-schema.org/") ? OK : schema_refuse(r, "the dialect is not known");
}

static status read_id(schema_reader *r, schema_node *n, const js *v)
{
    (void)n;
    return js_is(v, JS_STRING) ? OK : schema_bad(r, "must be a text");
}

static status read_defs(schema_reader *r, schema_node *n, const js *v)
{
    (void)n;
    return js_is(v, JS_OBJECT) ? OK : schema_bad(r, "must be an object of schemas");
}

static status read_dynamic(schema_reader *r, schema_node *n, const js *v)
{
    (void)n;
    (void)v;
    return schema_refuse(r, "references that depend on the way to them are not supported");
}

/* ---- the table ---- */

typedef struct keyword {
    const char *name;
    status (*read)(schema_reader *r, schema_node *n, const js *v); /* NULL: an annotation, known to enforce nothing */
    schema_children children;
} keyword;

static const keyword keywords[] = {
    { "type", read_type, CHILDREN_NONE },
    { "nullable", read_nullable, CHILDREN_NONE },
    { "enum", read_enum, CHILDREN_NONE },
    { "const", read_const, CHILDREN_NONE },
    { "$ref", read_ref, CHILDREN_NONE },
    { "allOf", read_all_of, CHILDREN_LIST },
    { "anyOf", read_any_of, CHILDREN_LIST },
    { "oneOf", read_one_of, CHILDREN_LIST },
    { "not", read_not, CHILDREN_ONE },
    { "if", read_if, CHILDREN_ONE },
    { "then", read_then, CHILDREN_ONE },
    { "else", read_else, CHILDREN_ONE },
    { "minimum", read_minimum, CHILDREN_NONE },
    { "maximum", read_maximum, CHILDREN_NONE },
    { "exclusiveMinimum", read_above, CHILDREN_NONE },
    { "exclusiveMaximum", read_below, CHILDREN_NONE },
    { "multipleOf", read_multiple, CHILDREN_NONE },
    { "minLength", read_min_length, CHILDREN_NONE },
    { "maxLength", read_max_length, CHILDREN_NONE },
    { "pattern", read_pattern, CHILDREN_NONE },
    { "format", read_format, CHILDREN_NONE },
    { "items", read_items, CHILDREN_ONE_OR_LIST },
    { "prefixItems", read_prefix, CHILDREN_LIST },
    { "additionalItems", read_additional_items, CHILDREN_ONE },
    { "unevaluatedItems", read_unevaluated_items, CHILDREN_ONE },
    { "contains", read_contains, CHILDREN_ONE },
    { "minContains", read_min_contains, CHILDREN_NONE },
    { "maxContains", read_max_contains, CHILDREN_NONE },
    { "minItems", read_min_items, CHILDREN_NONE },
    { "maxItems", read_max_items, CHILDREN_NONE },
    { "uniqueItems", read_unique, CHILDREN_NONE },
    { "properties", read_properties, CHILDREN_MAP },
    { "patternProperties", read_patterns, CHILDREN_MAP },
    { "additionalProperties", read_additional, CHILDREN_ONE },
    { "unevaluatedProperties", read_unevaluated_properties, CHILDREN_ONE },
    { "propertyNames", read_property_names, CHILDREN_ONE },
    { "required", read_required, CHILDREN_NONE },
    { "minProperties", read_min_properties, CHILDREN_NONE },
    { "maxProperties", read_max_properties, CHILDREN_NONE },
    { "dependentRequired", read_dependencies, CHILDREN_NONE },
    { "dependentSchemas", read_dependencies, CHILDREN_MAP },
    { "dependencies", read_dependencies, CHILDREN_MAP },
    { "$schema", read_dialect, CHILDREN_NONE },
    { "$id", read_id, CHILDREN_NONE },
    { "$anchor", read_id, CHILDREN_NONE },
    { "$dynamicAnchor", read_id, CHILDREN_NONE },
    { "$defs", read_defs, CHILDREN_MAP },
    { "definitions", read_defs, CHILDREN_MAP },
    { "$dynamicRef", read_dynamic, CHILDREN_NONE },
    { "$recursiveRef", read_dynamic, CHILDREN_NONE },
    { "title", NULL, CHILDREN_NONE },
    { "description", NULL, CHILDREN_NONE },
    { "default", NULL, CHILDREN_NONE },
    { "example", NULL, CHILDREN_NONE },
    { "examples", NULL, CHILDREN_NONE },
    { "$comment", NULL, CHILDREN_NONE },
    { "deprecated", NULL, CHILDREN_NONE },
    { "readOnly", NULL, CHILDREN_NONE },
    { "writeOnly", NULL, CHILDREN_NONE },
    { "contentEncoding", NULL, CHILDREN_NONE },
    { "contentMediaType", NULL, CHILDREN_NONE },
    { "contentSchema", NULL, CHILDREN_NONE },
    { "externalDocs", NULL, CHILDREN_NONE },   /* OpenAPI */
    { "discriminator", NULL, CHILDREN_NONE },  /* OpenAPI: says which branch of oneOf; oneOf itself is enforced */
    { "xml", NULL, CHILDREN_NONE },            /* OpenAPI */
    { "id", NULL, CHILDREN_NONE },             /* draft 4 */
    { "$vocabulary", NULL, CHILDREN_NONE },
    { "strict", NULL, CHILDREN_NONE },         /* of function definitions */
    { "components", NULL, CHILDREN_NONE },     /* OpenAPI: what $ref points into */
    /* of editors */
    { "markdownDescription", NULL, CHILDREN_NONE },
    { "enumDescriptions", NULL, CHILDREN_NONE },
    { "markdownEnumDescriptions", NULL, CHILDREN_NONE },
    { "enumNames", NULL, CHILDREN_NONE },
    { "deprecationMessage", NULL, CHILDREN_NONE },
    { "doNotSuggest", NULL, CHILDREN_NONE },
    { "defaultSnippets", NULL, CHILDREN_NONE },
    { "suggestSortText", NULL, CHILDREN_NONE },
    { "errorMessage", NULL, CHILDREN_NONE },
    { "patternErrorMessage", NULL, CHILDREN_NONE },
    { "allowComments", NULL, CHILDREN_NONE },
    { "allowTrailingCommas", NULL, CHILDREN_NONE },
    { "tsType", NULL, CHILDREN_NONE },
    { "tsAdditionalProperties", NULL, CHILDREN_NONE },
    /* of CloudFormation's resource types: how a resource lives, not which documents are valid */
    { "typeName", NULL, CHILDREN_NONE },
    { "sourceUrl", NULL, CHILDREN_NONE },
    { "documentationUrl", NULL, CHILDREN_NONE },
    { "handlers", NULL, CHILDREN_NONE },
    { "tagging", NULL, CHILDREN_NONE },
    { "lifecycle", NULL, CHILDREN_NONE },
    { "primaryIdentifier", NULL, CHILDREN_NONE },
    { "additionalIdentifiers", NULL, CHILDREN_NONE },
    { "createOnlyProperties", NULL, CHILDREN_NONE },
    { "conditionalCreateOnlyProperties", NULL, CHILDREN_NONE },
    { "readOnlyProperties", NULL, CHILDREN_NONE },
    { "writeOnlyProperties", NULL, CHILDREN_NONE },
    { "deprecatedProperties", NULL, CHILDREN_NONE },
    { "propertyTransform", NULL, CHILDREN_NONE },
    { "replacementStrategy", NULL, CHILDREN_NONE },
    { "relationshipRef", NULL, CHILDREN_NONE },
    { "insertionOrder", NULL, CHILDREN_NONE },
    { "typeConfiguration", NULL, CHILDREN_NONE },
};

static const keyword *keyword_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (!strcmp(keywords[i].name, name))
            return &keywords[i];
    return NULL;
}

schema_children schema_keyword_children(const char *key)
{
    const keyword *k = keyword_named(key);
    return k ? k->children : CHILDREN_NONE;
}

/* Names with a prefix ("x-order", "meta:enum") are somebody's own annotations, by custom. */
static status read_unknown(schema_reader *r)
{
    if (str_starts(r->key, "x-") || strchr(r->key, ':'))
        return OK;
    const char *near = str_nearest(r->key, keywords, ARRAY_LEN(keywords), sizeof *keywords);
    char why[120];
    if (near)
        snprintf(why, sizeof why, "the keyword is not known (did you mean '%s'?)", near);
    return schema_refuse(r, near ? why : "the keyword is not known");
}

status schema_read_keywords(schema_reader *r, schema_id id)
{
    schema_node n = r->s->nodes[id];
    js_member m = { 0 };
    status s = OK;
    r->object = r->sources[id].at;
    r->resource = r->sources[id].resource;
    r->at = n.path;
    while (!s && js_is(r->object, JS_OBJECT) && js_next(r->object, &m)) {
        const keyword *k = keyword_named(m.key);
        r->key = m.key;
        s = !k ? read_unknown(r) : k->read ? k->read(r, &n, m.value) : OK;
    }
    r->s->nodes[id] = n;
    return s;
}
