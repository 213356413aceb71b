/* yaml.c: the only file that knows libyaml. Events become nodes; a stack of open containers is the whole state. */
#include "base/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/mem.h"
#include "base/str.h"

enum { ARENA_BYTES_MAX = 64 << 20 };

typedef struct level {
    yaml *node;
    yaml *last;      /* its newest member */
    const char *key; /* in a map: the key that waits for its value */
    int key_line;
} level;

typedef struct builder {
    yaml_file *file;
    level levels[YAML_DEPTH_MAX];
    int depth;
    int documents;
    error *err;
} builder;

static status bad(builder *b, size_t line0, const char *what)
{
    return fail(b->err, E_FORMAT, "%s:%zu: %s", b->file->path, line0 + 1, what);
}

static bool has_key(const yaml *map, const char *key)
{
    for (const yaml *m = map->child; m; m = m->next) {
        if (strcmp(m->key, key) == 0)
            return true;
    }
    return false;
}

/* Puts node where it belongs: as the root, the next member of a sequence, or the value of the waiting key. */
static status attach(builder *b, yaml *node)
{
    if (b->depth == 0) {
        b->file->root = node;
        return OK;
    }
    level *top = &b->levels[b->depth - 1];
    if (top->node->kind == YAML_MAP) {
        if (!top->key)
            return bad(b, (size_t)node->line - 1, "a key must be plain text");
        node->key = top->key;
        top->key = NULL;
    }
    if (top->last)
        top->last->next = node;
    else
        top->node->child = node;
    top->last = node;
    return OK;
}

static yaml *new_node(builder *b, yaml_kind kind, size_t line0)
{
    yaml *node = arena_alloc(b->file->memory, sizeof *node);
    if (!node) {
        fail(b->err, E_NOMEM, "%s: no memory", b->file->path);
        return NULL;
    }
    node->kind = kind;
    node->line = (int)line0 + 1;
    return node;
}

static status add_scalar(builder *b, const yaml_event_t *e)
{
    size_t line = e->start_mark.line;
    const char *text = (const char *)e->data.scalar.value;
    size_t len = e->data.scalar.length;
    if (e->data.scalar.anchor || e->data.scalar.tag)
        return bad(b, line, "anchors and tags are not allowed");
    if (memchr(text, 0, len))
        return bad(b, line, "a zero byte is not allowed");
    char *copy = arena_strndup(b->file->memory, text, len);
    if (!copy)
        return fail(b->err, E_NOMEM, "%s: no memory", b->file->path);
    level *top = b->depth ? &b->levels[b->depth - 1] : NULL;
    if (top && top->node->kind == YAML_MAP && !top->key) {
        if (has_key(top->node, copy))
            return fail(b->err, E_FORMAT, "%s:%zu: the key '%s' is there twice", b->file->path, line + 1, copy);
        top->key = copy;
        return OK;
    }
    yaml *node = new_node(b, YAML_SCALAR, line);
    if (!node)
        return E_NOMEM;
    node->text = copy;
    node->len = len;
    node->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return attach(b, node);
}

static status open_container(builder *b, yaml_kind kind, const yaml_event_t *e, bool decorated)
{
    if (decorated)
        return bad(b, e->start_mark.line, "anchors and tags are not allowed");
    if (b->depth == YAML_DEPTH_MAX)
        return bad(b, e->start_mark.line, "nested deeper than 32");
    yaml *node = new_node(b, kind, e->start_mark.line);
    if (!node)
        return E_NOMEM;
    status s = attach(b, node);
    if (!s)
        b->levels[b->depth++] = (level){ .node = node };
    return s;
}

static status on_event(builder *b, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT: return add_scalar(b, e);
    case YAML_SEQUENCE_START_EVENT:
        return open_container(b, YAML_SEQ, e, e->data.sequence_start.anchor || e->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return open_container(b, YAML_MAP, e, e->data.mapping_start.anchor || e->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: b->depth--; return OK;
    case YAML_ALIAS_EVENT: return bad(b, e->start_mark.line, "aliases (*name) are not allowed");
    case YAML_DOCUMENT_START_EVENT:
        return b->documents++ ? bad(b, e->start_mark.line, "one document a file: a second begins here") : OK;
    default: return OK;
    }
}

static status build(builder *b, const char *text, size_t n)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return fail(b->err, E_NOMEM, "%s: no memory", b->file->path);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    status s = OK;
    for (bool done = false; !done && !s;) {
        yaml_event_t e;
        if (!yaml_parser_parse(&parser, &e)) {
            const char *problem = parser.problem ? parser.problem : "no memory";
            size_t line = parser.problem_mark.line + 1;
            s = fail(b->err, E_FORMAT, "%s:%zu: not valid YAML: %s", b->file->path, line, problem);
            break;
        }
        done = e.type == YAML_STREAM_END_EVENT;
        s = on_event(b, &e);
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&parser);
    return s;
}

status yaml_parse(yaml_file **out, const char *text, size_t n, const char *name, error *err)
{
    if (n > YAML_BYTES_MAX)
        return fail(err, E_RANGE, "%s: %zu bytes, the limit for a YAML file is %d", name, n, YAML_BYTES_MAX);
    yaml_file *f = mem_zero(sizeof *f);
    if (!f)
        return fail(err, E_NOMEM, "%s: no memory", name);
    f->path = mem_strdup(name);
    f->memory = mem_zero(sizeof *f->memory);
    if (!f->path || !f->memory) {
        yaml_close(&f);
        return fail(err, E_NOMEM, "%s: no memory", name);
    }
    *f->memory = (arena)ARENA_INIT(ARENA_BYTES_MAX);
    builder b = { .file = f, .err = err };
    status s = build(&b, text, n);
    if (s) {
        yaml_close(&f);
        return s;
    }
    *out = f;
    return OK;
}

status yaml_load(yaml_file **out, const char *path, error *err)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", path, strerror(errno));
    buf text = BUF_INIT(YAML_BYTES_MAX + 1);
    status s = OK;
    char step[16384];
    for (size_t n; !text.failed && (n = fread(step, 1, sizeof step, file)) > 0;)
        buf_add(&text, step, n);
    if (ferror(file))
        s = fail(err, E_IO, "%s: %s", path, strerror(errno));
    else if (text.failed)
        s = fail(err, E_RANGE, "%s: over %d bytes, the limit for a YAML file", path, YAML_BYTES_MAX);
    else
        s = yaml_parse(out, buf_text(&text), text.len, path, err);
    fclose(file);
    buf_clear(&text);
    return s;
}

void yaml_close(yaml_file **f)
{
    if (!*f)
        return;
    if ((*f)->memory)
        arena_clear((*f)->memory);
    mem_free((*f)->memory);
    mem_free((*f)->path);
    mem_free(*f);
    *f = NULL;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

const yaml *yaml_get(const yaml *map, const char *key)
{
    if (!map || map->kind != YAML_MAP)
        return NULL;
    for (const yaml *m = map->child; m; m = m->next) {
        if (strcmp(m->key, key) == 0)
            return m;
    }
    return NULL;
}

size_t yaml_count(const yaml *node)
{
    size_t n = 0;
    for (const yaml *m = node ? node->child : NULL; m; m = m->next)
        n++;
    return n;
}

status yaml_error(const yaml_file *f, const yaml *at, error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_v(err, E_FORMAT, format, args);
    va_end(args);
    return fail_prefix(err, E_FORMAT, "%s:%d: ", f->path, at ? at->line : 1);
}

status yaml_known_keys(const yaml_file *f, const yaml *map, const char *const *names, size_t n, error *err)
{
    for (const yaml *m = map ? map->child : NULL; m; m = m->next) {
        size_t i = 0;
        while (i < n && strcmp(names[i], m->key) != 0)
            i++;
        if (i < n)
            continue;
        const char *near = str_nearest(m->key, names, n, sizeof *names);
        return near ? yaml_error(f, m, err, "unknown key '%s' (did you mean '%s'?)", m->key, near)
                    : yaml_error(f, m, err, "unknown key '%s'", m->key);
    }
    return OK;
}

static const char *name_of(const yaml *node)
{
    return node && node->key ? node->key : "value";
}

status yaml_str(const yaml_file *f, const yaml *node, const char **out, error *err)
{
    if (!node || node->kind != YAML_SCALAR)
        return yaml_error(f, node, err, "'%s' must be a text", name_of(node));
    *out = node->text;
    return OK;
}

/* A plain scalar that is a JSON number, or NULL. */
static js *number_of(const yaml *node)
{
    return node && node->kind == YAML_SCALAR && node->plain ? js_new_number(node->text) : NULL;
}

status yaml_f64(const yaml_file *f, const yaml *node, double *out, error *err)
{
    js *number = number_of(node);
    bool ok = js_double(number, out);
    js_free(number);
    return ok ? OK : yaml_error(f, node, err, "'%s' must be a number", name_of(node));
}

status yaml_i64(const yaml_file *f, const yaml *node, int64_t *out, error *err)
{
    js *number = number_of(node);
    bool ok = js_int(number, out);
    js_free(number);
    return ok ? OK : yaml_error(f, node, err, "'%s' must be a whole number", name_of(node));
}

status yaml_bool(const yaml_file *f, const yaml *node, bool *out, error *err)
{
    bool yes = node && node->kind == YAML_SCALAR && node->plain && strcmp(node->text, "true") == 0;
    bool no = node && node->kind == YAML_SCALAR && node->plain && strcmp(node->text, "false") == 0;
    if (!yes && !no)
        return yaml_error(f, node, err, "'%s' must be true or false", name_of(node));
    *out = yes;
    return OK;
}

static js *scalar_to_js(const yaml *node)
{
    if (node->plain && strcmp(node->text, "null") == 0)
        return js_null();
    if (node->plain && (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0))
        return js_new_bool(node->text[0] == 't');
    js *number = number_of(node);
    return number ? number : js_new_stringn(node->text, node->len);
}

js *yaml_to_js(const yaml *node)
{
    if (!node)
        return js_null();
    if (node->kind == YAML_SCALAR)
        return scalar_to_js(node);
    js *v = node->kind == YAML_SEQ ? js_array() : js_object();
    for (const yaml *m = node->child; m && v; m = m->next) {
        js *member = yaml_to_js(m);
        if (node->kind == YAML_SEQ ? !js_push(v, member) : !js_set(v, m->key, member)) {
            js_free(v);
            return NULL;
        }
    }
    return v;
}
