/* ollama_ps.c: GET /api/ps: what is loaded. Beside Ollama's members each model has `hearth`: its process, who is
 * answered and who waits. */
#include <stdio.h>

#include "api/ollama_int.h"
#include "plat/clock.h"

/* A time far ahead stands for "for ever", as clients expect a date. */
static const double FOR_EVER_S = 100.0 * 365 * 86400;

static void add(void *user, const api_loaded *l)
{
    js *list = user, *o = js_object(), *own = js_object();
    char name[ROUTE_NAME_BYTES + 16], when[CLOCK_TEXT];
    double left_s = l->left_s >= 0 ? l->left_s : FOR_EVER_S;
    snprintf(name, sizeof name, "%.*s:latest", ROUTE_NAME_BYTES, l->spec);
    js_set(own, "process", js_new_int(l->process));
    js_set(own, "answering", js_new_int(l->answering));
    js_set(own, "waiting", js_new_int(l->waiting));
    js_set(own, "idle_seconds", js_new_double(l->idle_s));
    js_set(own, "state", js_new_string(!l->info ? "opening" : l->answering ? "answering" : "idle"));
    js_set(o, "name", js_new_string(name));
    js_set(o, "model", js_new_string(name));
    js_set(o, "size", js_new_int(l->info ? (int64_t)l->info->budget_bytes : 0));
    js_set(o, "size_vram", js_new_int(0));
    js_set(o, "digest", js_new_string(l->info ? l->info->model_digest : ""));
    js_set(o, "context_length", js_new_int(l->info ? l->info->context : 0));
    js_set(o, "expires_at", js_new_string(clock_utc_text(clock_utc_us() + (int64_t)(left_s * 1e6), when)));
    if (l->info)
        js_set(o, "details", ollama_details(l->info));
    js_set(o, "hearth", own);
    js_push(list, o);
}

void api_ollama_ps(api *a, http_request *r)
{
    js *body = js_object(), *list = js_array();
    api_list_loaded(a, add, list);
    js_set(body, "models", list);
    api_reply_js(r, 200, body);
}
