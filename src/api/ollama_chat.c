/* ollama_chat.c: POST /api/chat and /api/generate, GET|HEAD / and /api/version. */
#include <string.h>

#include "api/ollama_int.h"
#include "api/visit.h"
#include "store/store.h"

/* Nothing is asked, and the model is not to stay: what is open of it is closed, when its answers are over. */
static bool unload(api *ap, ollama_answer *a, const ollama_call *c)
{
    store_model m = { 0 };
    unsigned n;
    error e = { 0 };
    if (store_look(&m, c->model, &e))
        return api_refuse_status(&a->fault, "model", &e);
    (void)api_close_model(ap, store_label(&m), true, &n);
    store_model_clear(&m);
    ollama_reply_loaded(a, "unload");
    return true;
}

static bool answer(api *ap, ollama_answer *a, ollama_call *c)
{
    api_ask ask = { .r = a->r, .model = c->model, .neutral = &c->chat.neutral, .fn = ollama_event, .user = a,
                    .keep_set = c->keep_set, .keep_s = c->keep_seconds };
    char id[API_ID_BYTES];
    if (c->load && api_visit_of(a->r)->dry)
        return api_refuse(&a->fault, FAULT_INVALID, "messages", "nothing is asked: the model is loaded or unloaded");
    if (c->load && c->keep_set && c->keep_seconds == 0)
        return unload(ap, a, c);
    if (!c->load)
        return api_new_id("ollama-", id, &a->fault) && api_ask_provider(ap, &ask, id, &a->fault);
    if (!ollama_open(ap, a->r, c->model, c->keep_set ? &c->keep_seconds : NULL, NULL, NULL, &a->fault))
        return false;
    ollama_reply_loaded(a, "load");
    return true;
}

static void handle(api *ap, http_request *r, bool (*read)(span, ollama_call *, api_fault *))
{
    ollama_call call = { 0 };
    ollama_answer a;
    ollama_answer_init(&a, r, &call);
    if (!read(http_body(r), &call, &a.fault) || !answer(ap, &a, &call))
        ollama_say_fault(&a);
    ollama_answer_clear(&a);
    ollama_call_clear(&call);
}

void api_ollama_chat(api *a, http_request *r)
{
    handle(a, r, ollama_read_chat);
}

void api_ollama_generate(api *a, http_request *r)
{
    handle(a, r, ollama_read_generate);
}

void api_ollama_root(api *a, http_request *r)
{
    static const char text[] = "hearth is running\n";
    (void)a;
    http_reply(r, 200, "text/plain; charset=utf-8", text, strlen(text));
}

void api_ollama_version(api *a, http_request *r)
{
    (void)a;
    js *o = js_object();
    js_set(o, "version", js_new_string(HEARTH_VERSION));
    api_reply_js(r, 200, o);
}
