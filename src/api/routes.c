/* routes.c: the table of paths, with and without /v1. A new endpoint is a row. */
#include <string.h>

#include "api/api_int.h"
#include "base/str.h"
#include "hearth.h"

typedef struct route {
    const char *method, *path; /* a path that ends in '/' matches what begins with it */
    void (*handle)(api *a, http_request *r);
    bool open;       /* needs no key */
    fault_form form; /* of what is refused before the handler */
} route;

static const route routes[] = {
    { "POST", "/v1/chat/completions", api_openai_chat, false, FORM_OPENAI },
    { "POST", "/v1/completions", api_openai_completions, false, FORM_OPENAI },
    { "POST", "/v1/embeddings", api_openai_embeddings, false, FORM_OPENAI },
    { "GET", "/v1/models", api_openai_models, false, FORM_OPENAI },
    { "GET", "/v1/models/", api_openai_model, false, FORM_OPENAI },
    { "GET", "/health", api_health, true, FORM_OPENAI },
    { "GET", "/v1/health", api_health, true, FORM_OPENAI },
    { "GET", "/", api_ollama_root, true, FORM_OLLAMA },
    { "HEAD", "/", api_ollama_root, true, FORM_OLLAMA },
    { "GET", "/api/version", api_ollama_version, true, FORM_OLLAMA },
    { "HEAD", "/api/version", api_ollama_version, true, FORM_OLLAMA },
    { "POST", "/api/chat", api_ollama_chat, false, FORM_OLLAMA },
    { "POST", "/api/generate", api_ollama_generate, false, FORM_OLLAMA },
    { "POST", "/api/embed", api_ollama_embed, false, FORM_OLLAMA },
    { "POST", "/api/embeddings", api_ollama_embeddings, false, FORM_OLLAMA },
    { "GET", "/api/tags", api_ollama_tags, false, FORM_OLLAMA },
    { "HEAD", "/api/tags", api_ollama_tags, false, FORM_OLLAMA },
    { "POST", "/api/show", api_ollama_show, false, FORM_OLLAMA },
    { "DELETE", "/api/delete", api_ollama_delete, false, FORM_OLLAMA },
};

/* "/" is only itself. */
static bool matches(const route *t, const char *path)
{
    size_t n = strlen(t->path);
    return n > 1 && t->path[n - 1] == '/' ? strncmp(path, t->path, n) == 0 && path[n] : strcmp(path, t->path) == 0;
}

/* Of a path that is in no row. */
static fault_form form_of(const char *path)
{
    return str_starts(path, "/api/") ? FORM_OLLAMA : FORM_OPENAI;
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
        api_reply_fault_as(r, &f, routes[i].form);
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
    api_reply_fault_as(r, &f, other_method ? other_method->form : form_of(http_path(r)));
}
