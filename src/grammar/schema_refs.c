/* schema_refs.c: $id, $anchor and $ref. Before anything is read, one walk over the places where keywords have schemas
 * finds the identifiers; a reference is then a resource and a JSON pointer or an anchor within it. */
#include <string.h>

#include "grammar/schema_read_int.h"

enum { URI_BYTES_MAX = 8192 };

/* Appends "/key" to r->path with the escapes of RFC 6901; the length before is what to cut back to. */
static size_t push(schema_reader *r, const char *key)
{
    size_t before = r->path.len;
    buf_char(&r->path, '/');
    for (const char *p = key; *p; p++) {
        if (*p == '~' || *p == '/')
            buf_str(&r->path, *p == '~' ? "~0" : "~1");
        else
            buf_char(&r->path, *p);
    }
    return before;
}

static void pop(schema_reader *r, size_t before)
{
    r->path.len = before;
    if (r->path.data)
        r->path.data[before] = 0;
}

/* ---- finding ---- */

static char *keep(schema_reader *r, const char *text, size_t n)
{
    return arena_strndup(&r->s->memory, text, n);
}

static status add_resource(schema_reader *r, const js *v, span id, size_t base, size_t *out)
{
    span base_uri = r->n_resources ? span_of(r->resources[base].uri) : span_of("");
    if (r->n_resources == SCHEMA_RESOURCES_MAX || id.n > URI_BYTES_MAX)
        return fail(r->err, E_RANGE, "%s: more than %d schemas with an $id, or a long one", buf_text(&r->path),
                    SCHEMA_RESOURCES_MAX);
    buf uri = BUF_INIT(4 * URI_BYTES_MAX);
    schema_uri_resolve(base_uri, id, &uri);
    schema_resource made = { v, keep(r, buf_text(&r->path), r->path.len), keep(r, buf_text(&uri), uri.len) };
    bool failed = uri.failed || !made.path || !made.uri;
    buf_clear(&uri);
    if (failed)
        return schema_no_memory(r->err);
    *out = r->n_resources;
    r->resources[r->n_resources++] = made;
    return OK;
}

static status add_anchor(schema_reader *r, const js *v, const js *name, size_t skip, size_t resource)
{
    if (!js_is(name, JS_STRING))
        return OK;
    if (r->n_anchors == SCHEMA_RESOURCES_MAX)
        return fail(r->err, E_RANGE, "%s: more than %d anchors", buf_text(&r->path), SCHEMA_RESOURCES_MAX);
    schema_anchor made = { v, keep(r, buf_text(&r->path), r->path.len), js_text(name) + skip, resource };
    if (!made.path)
        return schema_no_memory(r->err);
    r->anchors[r->n_anchors++] = made;
    return OK;
}

static status find_in(schema_reader *r, const js *v, size_t resource);

static status find_in_members(schema_reader *r, const js *v, size_t resource)
{
    js_member m = { 0 };
    status s = OK;
    while (!s && js_next(v, &m)) {
        size_t before = push(r, m.key);
        s = find_in(r, m.value, resource);
        pop(r, before);
    }
    return s;
}

static status find_in_list(schema_reader *r, const js *v, size_t resource)
{
    status s = OK;
    for (size_t i = 0; i < js_len(v) && !s; i++) {
        size_t before = r->path.len;
        buf_printf(&r->path, "/%zu", i);
        s = find_in(r, js_at(v, i), resource);
        pop(r, before);
    }
    return s;
}

static status find_in_keyword(schema_reader *r, const js_member *m, size_t resource)
{
    schema_children children = schema_keyword_children(m->key);
    if (children == CHILDREN_MAP && js_is(m->value, JS_OBJECT))
        return find_in_members(r, m->value, resource);
    if ((children == CHILDREN_LIST || children == CHILDREN_ONE_OR_LIST) && js_is(m->value, JS_ARRAY))
        return find_in_list(r, m->value, resource);
    if (children == CHILDREN_ONE || children == CHILDREN_ONE_OR_LIST)
        return find_in(r, m->value, resource);
    return OK;
}

/* Depth is bounded by the tree's. Draft 7 wrote anchors as "$id": "#name". */
static status find_in(schema_reader *r, const js *v, size_t resource)
{
    if (!js_is(v, JS_OBJECT))
        return OK;
    const js *id = js_get(v, "$id");
    bool named = js_is(id, JS_STRING) && js_len(id), hash = named && *js_text(id) == '#';
    status s = OK;
    if (named && !hash && v != r->resources[0].at)
        s = add_resource(r, v, (span){ js_text(id), js_len(id) }, resource, &resource);
    if (!s && hash)
        s = add_anchor(r, v, id, 1, resource);
    if (!s)
        s = add_anchor(r, v, js_get(v, "$anchor"), 0, resource);
    if (!s)
        s = add_anchor(r, v, js_get(v, "$dynamicAnchor"), 0, resource);
    js_member m = { 0 };
    while (!s && js_next(v, &m)) {
        size_t before = push(r, m.key);
        s = find_in_keyword(r, &m, resource);
        pop(r, before);
    }
    return s;
}

status schema_index(schema_reader *r)
{
    const js *root = r->s->tree, *id = js_get(root, "$id");
    bool named = js_is(id, JS_STRING) && *js_text(id) != '#';
    size_t first = 0;
    status s = add_resource(r, root, named ? (span){ js_text(id), js_len(id) } : span_of(""), 0, &first);
    if (!s)
        s = find_in(r, root, 0);
    if (!s && r->path.failed)
        s = schema_no_memory(r->err);
    return s;
}

size_t schema_resource_of(const schema_reader *r, const js *v, size_t resource)
{
    for (size_t i = 0; js_get(v, "$id") && i < r->n_resources; i++)
        if (r->resources[i].at == v)
            return i;
    return resource;
}

/* ---- following ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

static void unescape_percent(span text, buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        bool escape = text.p[i] == '%' && i + 2 < text.n && hex(text.p[i + 1]) >= 0 && hex(text.p[i + 2]) >= 0;
        buf_char(out, escape ? (char)(hex(text.p[i + 1]) * 16 + hex(text.p[i + 2])) : text.p[i]);
        i += escape ? 2 : 0;
    }
}

/* The member or item that one token of a pointer names, or NULL; *failed: there was no memory to look. */
static const js *step(const js *v, const char *token, size_t n, bool *failed)
{
    buf key = BUF_INIT(URI_BYTES_MAX);
    uint64_t index = 0;
    const js *to = NULL;
    for (size_t i = 0; i < n; i++) {
        bool escape = token[i] == '~' && i + 1 < n && (token[i + 1] == '0' || token[i + 1] == '1');
        buf_char(&key, !escape ? token[i] : token[i + 1] == '0' ? '~' : '/');
        i += escape;
    }
    if (js_is(v, JS_OBJECT))
        to = js_get(v, buf_text(&key));
    else if (js_is(v, JS_ARRAY) && str_u64(buf_text(&key), &index))
        to = index < js_len(v) ? js_at(v, index) : NULL;
    *failed = key.failed;
    buf_clear(&key);
    return *failed ? NULL : to;
}

/* Walks the pointer from a resource; identifiers on the way change the base. */
static const js *walk(const schema_reader *r, size_t *resource, const char *pointer, bool *failed)
{
    const js *v = r->resources[*resource].at;
    while (v && *pointer == '/') {
        const char *token = pointer + 1;
        size_t n = strcspn(token, "/");
        v = step(v, token, n, failed);
        if (js_is(v, JS_OBJECT))
            *resource = schema_resource_of(r, v, *resource);
        pointer = token + n;
    }
    return v;
}

static const schema_anchor *anchor_named(const schema_reader *r, size_t resource, const char *name)
{
    for (size_t i = 0; i < r->n_anchors; i++)
        if (r->anchors[i].resource == resource && !strcmp(r->anchors[i].name, name))
            return &r->anchors[i];
    return NULL;
}

static status follow_fragment(schema_reader *r, size_t resource, const char *fragment, schema_id *out)
{
    const char *base = r->resources[resource].path;
    if (*fragment && *fragment != '/') {
        const schema_anchor *a = anchor_named(r, resource, fragment);
        return a ? schema_node_for(r, a->at, a->path, resource, out) : schema_bad(r, "names no anchor of the schema");
    }
    bool failed = false;
    const js *target = walk(r, &resource, fragment, &failed);
    if (!target)
        return failed ? schema_no_memory(r->err) : schema_bad(r, "points to nothing");
    buf path = BUF_INIT(1 << 20);
    buf_str(&path, base);
    buf_str(&path, fragment);
    status s = path.failed ? schema_no_memory(r->err) : schema_node_for(r, target, buf_text(&path), resource, out);
    buf_clear(&path);
    return s;
}

status schema_follow(schema_reader *r, span reference, schema_id *out)
{
    if (reference.n > URI_BYTES_MAX)
        return schema_bad(r, "is too long");
    buf uri = BUF_INIT(4 * URI_BYTES_MAX), fragment = BUF_INIT(URI_BYTES_MAX);
    span raw = { "", 0 };
    schema_uri_resolve(span_of(r->resources[r->resource].uri), reference, &uri);
    if (schema_uri_fragment(reference, &raw))
        unescape_percent(raw, &fragment);
    size_t i = 0;
    while (i < r->n_resources && strcmp(r->resources[i].uri, buf_text(&uri)) != 0)
        i++;
    status s = uri.failed || fragment.failed ? schema_no_memory(r->err)
               : i < r->n_resources          ? follow_fragment(r, i, buf_text(&fragment), out)
                                             : schema_refuse(r, "refers to another document");
    buf_clear(&uri);
    buf_clear(&fragment);
    return s;
}
