/* request.c: what arrived: the fields of one exchange, copied: the connection may end before its handler does. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "http/http_int.h"
#include "plat/clock.h"
#include "plat/wait.h"
#include "plat/random.h"

/* ---- the handler's side ---------------------------------------------------------------------------------------- */

const char *http_method(const http_request *r)
{
    return r->method;
}

const char *http_path(const http_request *r)
{
    return r->path;
}

static const char *field(const http_request *r, enum MHD_ValueKind kind, const char *name)
{
    for (const http_field *f = r->fields; f; f = f->next) {
        if (f->kind == kind && (kind == MHD_HEADER_KIND ? strcasecmp(f->name, name) : strcmp(f->name, name)) == 0)
            return f->value;
    }
    return NULL;
}

const char *http_header(const http_request *r, const char *name)
{
    return field(r, MHD_HEADER_KIND, name);
}

const char *http_header_like(const http_request *r, const char *prefix, size_t i, const char **name)
{
    size_t n = strlen(prefix);
    for (const http_field *f = r->fields; f; f = f->next) {
        if (f->kind == MHD_HEADER_KIND && strncasecmp(f->name, prefix, n) == 0 && i-- == 0) {
            *name = f->name;
            return f->value;
        }
    }
    return NULL;
}

bool http_names_ok(const http_request *r)
{
    static const char token[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~";
    for (const http_field *f = r->fields; f; f = f->next)
        if (f->kind == MHD_HEADER_KIND && f->name[strspn(f->name, token)])
            return false;
    return true;
}

const char *http_query(const http_request *r, const char *name)
{
    return field(r, MHD_GET_ARGUMENT_KIND, name);
}

span http_body(const http_request *r)
{
    return (span){ buf_text(&r->body), r->body.len };
}

bool http_gone(const http_request *r)
{
    http_request *mine = (http_request *)(uintptr_t)r;
    pthread_mutex_lock(&mine->lock);
    bool gone = r->gone;
    pthread_mutex_unlock(&mine->lock);
    return gone;
}

const char *http_id(const http_request *r)
{
    return r->id;
}

void http_set_context(http_request *r, void *context)
{
    r->context = context;
}

void *http_context(const http_request *r)
{
    return r->context;
}

/* ---- libmicrohttpd's side -------------------------------------------------------------------------------------- */

/* MHD_KeyValueIterator: copies one field, because the connection may end before the handler does. */
static enum MHD_Result copy_field(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    http_request *r = cls;
    http_field *f = arena_alloc(&r->memory, sizeof *f);
    if (!f)
        return MHD_NO;
    f->kind = kind;
    f->name = arena_strndup(&r->memory, name, strlen(name));
    f->value = arena_strndup(&r->memory, value ? value : "", value ? strlen(value) : 0);
    if (!f->name || !f->value)
        return MHD_NO;
    f->next = r->fields;
    r->fields = f;
    return MHD_YES;
}

/* An id without a random part would still be one: it is for people who read logs. */
static void name_request(http_request *r)
{
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
    const char *given = http_header(r, "X-Request-Id");
    size_t n = given ? strlen(given) : 0;
    char uuid[UUID_TEXT];
    if (n >= 1 && n < HTTP_ID_BYTES && strspn(given, good) == n)
        memcpy(r->id, given, n + 1);
    else if (uuid_v7(uuid, NULL) == OK)
        snprintf(r->id, sizeof r->id, "req_%s", uuid);
    else
        snprintf(r->id, sizeof r->id, "req_%llu", (unsigned long long)clock_mono_us());
}

http_request *http_request_new(http_server *s, struct MHD_Connection *c, const char *path, const char *method)
{
    http_connection *connection = http_connection_of(c);
    http_request *r = connection ? mem_zero(sizeof *r) : NULL;
    if (!r)
        return NULL;
    r->memory = (arena)ARENA_INIT(HTTP_FIELD_BYTES);
    r->path = arena_strndup(&r->memory, path, strlen(path));
    r->method = arena_strndup(&r->memory, method, strlen(method));
    int n = MHD_get_connection_values(c, MHD_HEADER_KIND | MHD_GET_ARGUMENT_KIND, NULL, NULL);
    if (!r->path || !r->method ||
        MHD_get_connection_values(c, MHD_HEADER_KIND | MHD_GET_ARGUMENT_KIND, copy_field, r) != n) {
        arena_clear(&r->memory);
        mem_free(r);
        return NULL;
    }
    name_request(r);
    r->started_us = clock_mono_us();
    r->server = s;
    r->connection = c;
    r->body = (buf)BUF_INIT(s->options.max_body);
    r->holders = 1;
    pthread_mutex_init(&r->lock, NULL);
    wait_init(&r->drained);
    pthread_mutex_lock(&s->lock);
    connection->request = r;
    pthread_mutex_unlock(&s->lock);
    return r;
}
