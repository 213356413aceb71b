/* routes.c: the table of paths, with and without /v1. A new endpoint is a row. */
#include <string.h>

#include "api/api_int.h"
#include "base/str.h"
#include "hearth.h"

typedef struct route {
    const char *method, *path; /* a path that ends in '/' matches what begins with it */
    void (*handle)(api *a, http_request *r);
    bool open; /* needs no key */
} route;

static const route routes[] = {
    { "POST", "/v1/chat/completions", api_openai_chat, false },
    { "POST", "/v1/completions", api_openai_completions, false },
    { "POST", "/v1/embeddings", api_openai_embeddings, false },
    { "GET", "/v1/models", api_openai_models, false },
    { "GET", "/v1/models/", api_openai_model, false },
    { "GET", "/health", api_health, true },
    { "GET", "/v1/health", api_health, true },
};

static bool matches(const route *t, const char *path)
{
    size_t n = strlen(t->path);
    return t->path[n - 1] == '/' ? strncmp(path, t->path, n) == 0 && path[n] : strcmp(path, t->path) == 0;
}

void api_health(api *a, http_request *r)
{
    (void)a;
    js *body = js_object();
    js_set(body, "status", js_new_string("ok"));
    js_set(body, "version", js_new_string(HEARTH_VERSION));
    api_reply_js(r, 200, body);
}

void api_handle(void *user, http_request *r)
{
    api *a = user;
    api_fault f;
    const route *other_method = NULL;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (!matches(&routes[i], http_path(r)))
            continue;
        other_method = &routes[i];
        if (strcmp(routes[i].method, http_method(r)) != 0)
            continue;
        asker unused;
        if (routes[i].open || api_authorised(a, r, &unused)) {
            routes[i].handle(a, r);
            return;
        }
        api_refuse(&f, FAULT_DENIED, "", "a key is required: Authorization: Bearer KEY, or x-api-key");
        f.http = 401;
        api_reply_fault(r, &f);
        return;
    }
    if (other_method) {
        http_set(r, "Allow", other_method->method);
        api_refuse(&f, FAULT_INVALID, "", "%s is asked with %s, not %s", http_path(r), other_method->method,
                   http_method(r));
        f.http = 405;
    } else {
        api_refuse(&f, FAULT_NOTFOUND, "", "there is nothing at %s", http_path(r));
    }
    api_reply_fault(r, &f);
}
