/* schema_read.c: a JSON Schema's tree into nodes, by one queue; schema_keywords.c reads each.
 *
 * A node is made for each place a schema stands and each place a $ref points to, once (booleans: each time), and read
 * when its turn comes; $defs that nothing refers to are never read. */
#include <stdio.h>
#include <string.h>

#include "grammar/schema_read_int.h"

status schema_no_memory(error *err)
{
    return fail(err, E_NOMEM, "no memory for a schema, or it needs more than %d MiB", SCHEMA_BYTES_MAX >> 20);
}

status schema_bad(schema_reader *r, const char *what)
{
    return fail(r->err, E_FORMAT, "schema: %s/%s: %s", r->at, r->key, what);
}

static status add_note(schema_notes *notes, const char *text)
{
    if (!notes || notes->n >= SCHEMA_NOTES_MAX)
        return OK;
    char **line = mem_resize(notes->line, (notes->n + 1) * sizeof *line), *copy = mem_strdup(text);
    if (line)
        notes->line = line;
    if (!line || !copy) {
        mem_free(copy);
        return E_NOMEM;
    }
    line[notes->n++] = copy;
    return OK;
}

status schema_note(schema_notes *notes, const char *path, const char *why, error *err)
{
    buf text = BUF_INIT(4096);
    buf_printf(&text, "%.2000s: %.1000s", path, why);
    status s = text.failed ? E_NOMEM : add_note(notes, buf_text(&text));
    buf_clear(&text);
    return s ? schema_no_memory(err) : OK;
}

status schema_refuse(schema_reader *r, const char *why)
{
    if (!r->relaxed)
        return fail(r->err, E_UNSUPPORTED, "schema: %s/%s: %s", r->at, r->key, why);
    buf path = BUF_INIT(1 << 20);
    buf_printf(&path, "%s/%s", r->at, r->key);
    status s = schema_note(r->notes, buf_text(&path), why, r->err);
    buf_clear(&path);
    return s;
}

/* ---- nodes ---- */

void *schema_take(schema_reader *r, size_t n, size_t size)
{
    return n < SIZE_MAX / 64 / size ? arena_alloc(&r->s->memory, n * size + 1) : NULL;
}

bool schema_grow(void **list, size_t *room, size_t n, size_t size)
{
    if (n < *room)
        return true;
    size_t more = *room ? *room * 2 : 32;
    void *bigger = mem_resize(*list, more * size);
    if (!bigger)
        return false;
    *list = bigger;
    *room = more;
    return true;
}

static size_t slot_of(const schema_reader *r, const js *v)
{
    size_t at = ((uintptr_t)v >> 4) * 0x9e3779b97f4a7c15u >> 20 & (r->known_size - 1);
    while (r->known[at] != SCHEMA_NONE && r->sources[r->known[at]].at != v)
        at = (at + 1) & (r->known_size - 1);
    return at;
}

static bool grow_known(schema_reader *r)
{
    if (r->known_size > r->s->n_nodes * 2)
        return true;
    size_t size = r->known_size ? r->known_size * 2 : 64;
    schema_id *table = mem_alloc(size * sizeof *table);
    if (!table)
        return false;
    memset(table, 0xFF, size * sizeof *table);
    mem_free(r->known);
    r->known = table;
    r->known_size = size;
    for (schema_id i = 0; i < r->s->n_nodes; i++)
        if (js_is(r->sources[i].at, JS_OBJECT))
            r->known[slot_of(r, r->sources[i].at)] = i;
    return true;
}

static schema_node empty_node(const char *path)
{
    return (schema_node){ .path = path,          .kinds = KIND_ALL,     .ref = SCHEMA_NONE,  .not_ = SCHEMA_NONE,
                          .if_ = SCHEMA_NONE,    .then_ = SCHEMA_NONE,  .else_ = SCHEMA_NONE };
}

status schema_node_for(schema_reader *r, const js *v, const char *path, size_t resource, schema_id *out)
{
    schema *s = r->s;
    bool object = js_is(v, JS_OBJECT);
    if (!object && !js_is(v, JS_BOOL))
        return fail(r->err, E_FORMAT, "schema: %s: is not a schema: neither an object nor true nor false", path);
    if (!grow_known(r))
        return schema_no_memory(r->err);
    size_t slot = object ? slot_of(r, v) : 0;
    if (object && r->known[slot] != SCHEMA_NONE) {
        *out = r->known[slot];
        return OK;
    }
    if (s->n_nodes == SCHEMA_NODES_MAX)
        return fail(r->err, E_RANGE, "schema: %s: more than %d schemas in one", path, SCHEMA_NODES_MAX);
    const char *kept = arena_strndup(&s->memory, path, strlen(path));
    if (!kept || !schema_grow((void **)&s->nodes, &s->nodes_size, s->n_nodes, sizeof *s->nodes) ||
        !schema_grow((void **)&r->sources, &r->sources_size, s->n_nodes, sizeof *r->sources))
        return schema_no_memory(r->err);
    s->nodes[s->n_nodes] = empty_node(kept);
    s->nodes[s->n_nodes].never = !object && !js_bool(v, true);
    r->sources[s->n_nodes] = (schema_source){ v, object ? schema_resource_of(r, v, resource) : resource };
    if (object)
        r->known[slot] = (schema_id)s->n_nodes;
    *out = (schema_id)s->n_nodes++;
    return OK;
}

/* The child at /key, /key/name or /key/index of the node that is being read. */
status schema_child(schema_reader *r, const js *v, const char *name, schema_id *out)
{
    buf path = BUF_INIT(1 << 20);
    buf_printf(&path, "%s/%s", r->at, r->key);
    if (name)
        buf_char(&path, '/');
    for (const char *p = name; p && *p; p++) {
        if (*p == '~' || *p == '/')
            buf_str(&path, *p == '~' ? "~0" : "~1");
        else
            buf_char(&path, *p);
    }
    status s = path.failed ? schema_no_memory(r->err) : schema_node_for(r, v, buf_text(&path), r->resource, out);
    buf_clear(&path);
    return s;
}

status schema_child_list(schema_reader *r, const js *v, schema_list *out)
{
    char index[24];
    if (!js_is(v, JS_ARRAY) || !js_len(v))
        return schema_bad(r, "must be a list of schemas that is not empty");
    out->at = schema_take(r, js_len(v), sizeof *out->at);
    if (!out->at)
        return schema_no_memory(r->err);
    status s = OK;
    for (size_t i = 0; i < js_len(v) && !s; i++) {
        snprintf(index, sizeof index, "%zu", i);
        s = schema_child(r, js_at(v, i), index, &out->at[i]);
    }
    out->n = js_len(v);
    return s;
}

/* ---- chains ---- */

static status measure_chain(schema *s, schema_id id, size_t depth, error *err);

static status measure_list(schema *s, schema_list list, size_t depth, uint16_t *longest, error *err)
{
    status st = OK;
    for (size_t i = 0; i < list.n && !st; i++) {
        if (list.at[i] == SCHEMA_NONE)
            continue;
        st = measure_chain(s, list.at[i], depth + 1, err);
        uint16_t chain = st ? 0 : s->nodes[list.at[i]].chain;
        *longest = chain > *longest ? chain : *longest;
    }
    return st;
}

/* node.chain: 0 unknown, UINT16_MAX while on the way, else 1 + the longest of those applied to the same value. */
static status measure_chain(schema *s, schema_id id, size_t depth, error *err)
{
    schema_node *n = &s->nodes[id];
    if (n->chain == UINT16_MAX)
        return fail(err, E_FORMAT, "schema: %s: refers to itself for the same value, without end", n->path);
    if (n->chain && depth + n->chain <= SCHEMA_CHAIN_MAX)
        return OK;
    if (depth >= SCHEMA_CHAIN_MAX || n->chain)
        return fail(err, E_RANGE, "schema: %s: more than %d schemas apply one through the other to one value", n->path,
                    SCHEMA_CHAIN_MAX);
    n->chain = UINT16_MAX;
    schema_id single[] = { n->ref, n->not_, n->if_, n->then_, n->else_ };
    schema_list lists[] = { { ARRAY_LEN(single), single }, n->all_of, n->any_of, n->one_of };
    uint16_t longest = 0;
    status st = OK;
    for (size_t i = 0; i < ARRAY_LEN(lists) && !st; i++)
        st = measure_list(s, lists[i], depth, &longest, err);
    for (size_t i = 0; n->objects && i < n->objects->n_dependencies && !st; i++)
        st = measure_list(s, (schema_list){ 1, &n->objects->dependencies[i].node }, depth, &longest, err);
    n->chain = (uint16_t)(longest + 1);
    return st;
}

/* ---- opening ---- */

static status read_all(schema_reader *r)
{
    schema_id root;
    status s = schema_index(r);
    if (!s)
        s = schema_node_for(r, r->s->tree, "", 0, &root);
    for (schema_id i = 0; i < r->s->n_nodes && !s; i++)
        s = schema_read_keywords(r, i);
    for (schema_id i = 0; i < r->s->n_nodes && !s; i++)
        s = measure_chain(r->s, i, 0, r->err);
    return s;
}

status schema_open(schema **out, const js *tree, const schema_options *options, schema_notes *notes, error *err)
{
    schema *s = mem_zero(sizeof *s);
    schema_reader *r = mem_zero(sizeof *r);
    status st = E_NOMEM;
    if (s && r) {
        s->memory = (arena)ARENA_INIT(SCHEMA_BYTES_MAX);
        s->tree = js_copy(tree);
        *r = (schema_reader){
            .s = s, .notes = notes, .relaxed = options && options->relaxed, .err = err, .path = BUF_INIT(1 << 20)
        };
        st = s->tree ? read_all(r) : schema_no_memory(err);
        buf_clear(&r->path);
        mem_free(r->sources);
        mem_free(r->known);
        lang_set_close(&r->langs);
    } else {
        st = schema_no_memory(err);
    }
    mem_free(r);
    if (st)
        schema_close(&s);
    else
        *out = s;
    return st;
}

void schema_close(schema **s)
{
    if (!*s)
        return;
    js_free((*s)->tree);
    arena_clear(&(*s)->memory);
    mem_free((*s)->nodes);
    mem_free((*s)->patterns);
    mem_free(*s);
    *s = NULL;
}

void schema_notes_clear(schema_notes *notes)
{
    for (size_t i = 0; i < notes->n; i++)
        mem_free(notes->line[i]);
    mem_free(notes->line);
    *notes = (schema_notes){ 0, NULL };
}
