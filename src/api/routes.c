/* routes.c: the table of paths, with and without /v1. A new endpoint is a row. */
#include <string.h>

#include "api/visit.h"
#include "base/str.h"
#include "hearth.h"

typedef js *fault_form(const api_fault *f);

typedef struct route {
    const char *method, *path; /* a path that ends in '/' matches what begins with it */
    void (*handle)(api *a, http_request *r); /* NULL: nothing is there, and that is said in this form */
    bool open; /* needs no key */
    fault_form *fault; /* how what goes wrong before the handler is told; NULL: OpenAI's form */
} route;

static const route routes[] = {
    { "POST", "/v1/chat/completions", api_openai_chat, false, NULL },
    { "POST", "/v1/responses", api_openai_responses, false, NULL },
    { "POST", "/v1/completions", api_openai_completions, false, NULL },
    { "POST", "/v1/embeddings", api_openai_embeddings, false, NULL },
    { "POST", "/v1/messages", api_anthropic_messages, false, api_anthropic_fault_js },
    { "POST", "/v1/messages/count_tokens", api_anthropic_count, false, api_anthropic_fault_js },
    { "", "/v1/messages/", NULL, false, api_anthropic_fault_js },
    { "GET", "/v1/models", api_openai_models, false, NULL },
    { "GET", "/v1/models/", api_openai_model, false, NULL },
    { "GET", "/health", api_health, true, NULL },
    { "GET", "/v1/health", api_health, true, NULL },
    { "GET", "/", api_ollama_root, true, api_ollama_fault_js },
    { "HEAD", "/", api_ollama_root, true, api_ollama_fault_js },
    { "GET", "/api/version", api_ollama_version, true, api_ollama_fault_js },
    { "HEAD", "/api/version", api_ollama_version, true, api_ollama_fault_js },
    { "POST", "/api/chat", api_ollama_chat, false, api_ollama_fault_js },
    { "POST", "/api/generate", api_ollama_generate, false, api_ollama_fault_js },
    { "POST", "/api/embed", api_ollama_embed, false, api_ollama_fault_js },
    { "POST", "/api/embeddings", api_ollama_embeddings, false, api_ollama_fault_js },
    { "GET", "/api/tags", api_ollama_tags, false, api_ollama_fault_js },
    { "HEAD", "/api/tags", api_ollama_tags, false, api_ollama_fault_js },
    { "GET", "/api/ps", api_ollama_ps, false, api_ollama_fault_js },
    { "POST", "/api/show", api_ollama_show, false, api_ollama_fault_js },
    { "DELETE", "/api/delete", api_ollama_delete, false, api_ollama_fault_js },
    { "", "/api/", NULL, false, api_ollama_fault_js },
    { "POST", "/completion", api_llama_completion, false, api_llama_fault_js },
    { "POST", "/v1/rerank", api_rerank, false, api_llama_fault_js },
    { "POST", "/v1/reranking", api_rerank, false, api_llama_fault_js },
    { "POST", "/rerank", api_rerank, false, api_llama_fault_js },
    { "POST", "/reranking", api_rerank, false, api_llama_fault_js },
    { "GET", "/props", api_llama_props, false, api_llama_fault_js },
    { "GET", "/slots", api_llama_slots, false, api_llama_fault_js },
    { "GET", "/v1/privacy/proof", api_privacy_proof, false, NULL },
    { "GET", "/metrics", api_metrics, false, NULL },
    { "POST", "/tokenize", api_llama_tokenize, false, api_llama_fault_js },
    { "POST", "/detokenize", api_llama_detokenize, false, api_llama_fault_js },
    { "POST", "/apply-template", api_llama_template, false, api_llama_fault_js },
};

/* "/" is only itself. */
static bool matches(const route *t, const char *path)
{
    size_t n = strlen(t->path);
    return n > 1 && t->path[n - 1] == '/' ? strncmp(path, t->path, n) == 0 && path[n] : strcmp(path, t->path) == 0;
}

void api_health(api *a, http_request *r)
{
    (void)a;
    js *body = js_object();
    js_set(body, "status", js_new_string("ok"));
    js_set(body, "version", js_new_string(HEARTH_VERSION));
    api_reply_js(r, 200, body);
}

/* A handler whose asker is not let in (401, 429) is not run. */
static void run(api *a, http_request *r, const route *t)
{
    api_fault f;
    if (t->open) {
        t->handle(a, r);
    } else if (api_let_in(a, r, &f)) {
        t->handle(a, r);
        api_let_out(a, r);
    } else {
        api_reply_fault_as(r, &f, (t->fault ? t->fault : api_fault_js)(&f));
    }
}

void api_handle(void *user, http_request *r)
{
    api_fault f;
    fault_form *form = api_fault_js;
    const route *other_method = NULL;
    if (!api_visit_begin(user, r))
        return; /* http says that there was no answer */
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        const route *t = &routes[i];
        if (!matches(t, http_path(r)))
            continue;
        if (t->fault)
            form = t->fault;
        if (t->handle && strcmp(t->method, http_method(r)) == 0) {
            run(user, r, t);
            return;
        }
        if (t->handle)
            other_method = t;
    }
    if (other_method) {
        http_set(r, "Allow", other_method->method);
        api_refuse(&f, FAULT_INVALID, "", "%s is asked with %s, not %s", http_path(r), other_method->method,
                   http_method(r));
        f.http = 405;
    } else {
        api_refuse(&f, FAULT_NOTFOUND, "", "there is nothing at %s", http_path(r));
    }
    api_reply_fault_as(r, &f, form(&f));
}
