/* llama_state.c: GET /props and /slots: what llama-server's clients ask before they begin. A slot is a place among
 * those whom a model answers at once; what stands in it is not told. */
#include <string.h>

#include "api/llama_completion.h"
#include "api/ollama_int.h"

/* ---- /props ---- */

/* What a request that says nothing is asked with. NULL without memory. */
static js *defaults_js(void)
{
    static const char body[] = "{\"prompt\":\"\"}";
    llama_call c;
    api_fault unused;
    js *o = llama_read_call((span){ body, sizeof body - 1 }, &c, &unused) ? llama_settings_js(&c) : NULL;
    llama_call_clear(&c);
    return o;
}

static void describe(void *user, const provider_info *info)
{
    js *o = user, *settings = js_object(), *modalities = js_object();
    js_set(settings, "n_ctx", js_new_int(info->context));
    js_set(settings, "params", defaults_js());
    js_set(modalities, "vision", js_new_bool(false));
    js_set(modalities, "audio", js_new_bool(false));
    js_set(o, "default_generation_settings", settings);
    js_set(o, "total_slots", js_new_int(info->parallel));
    js_set(o, "model_alias", js_new_string(info->name));
    js_set(o, "model_path", js_new_string(info->model));
    js_set(o, "model_ftype", js_new_string(info->file_type));
    js_set(o, "modalities", modalities);
    js_set(o, "endpoint_slots", js_new_bool(true));
    js_set(o, "endpoint_props", js_new_bool(false)); /* they cannot be changed */
    js_set(o, "endpoint_metrics", js_new_bool(true));
    js_set(o, "build_info", js_new_string(OPENAI_FINGERPRINT));
    js_set(o, "is_sleeping", js_new_bool(false));
}

void api_llama_props(api *a, http_request *r)
{
    const char *model = http_query(r, "model");
    js *o = js_object();
    api_fault f;
    if (ollama_open(a, r, model ? model : "", NULL, describe, o, &f)) {
        api_reply_js(r, 200, o);
    } else {
        llama_reply_fault(r, &f);
        js_free(o);
    }
}

/* ---- /slots ---- */

typedef struct slot_list {
    js *list;
    bool any_idle;
} slot_list;

static void add_slots(void *user, const api_loaded *l)
{
    slot_list *s = user;
    for (uint32_t i = 0; l->info && i < l->info->parallel; i++) {
        js *o = js_object();
        bool busy = i < l->answering;
        js_set(o, "id", js_new_int((int64_t)js_len(s->list)));
        js_set(o, "id_task", js_new_int(-1));
        js_set(o, "model", js_new_string(l->info->name));
        js_set(o, "n_ctx", js_new_int(l->info->context));
        js_set(o, "speculative", js_new_bool(false));
        js_set(o, "is_processing", js_new_bool(busy));
        js_push(s->list, o);
        s->any_idle = s->any_idle || !busy;
    }
}

/* With ?fail_on_no_slot a server that is open with all places taken is a 503. */
void api_llama_slots(api *a, http_request *r)
{
    slot_list s = { js_array(), false };
    api_fault f;
    api_list_loaded(a, add_slots, &s);
    if (http_query(r, "fail_on_no_slot") && js_len(s.list) && !s.any_idle) {
        js_free(s.list);
        api_refuse(&f, FAULT_BUSY, "", "no slot is idle");
        llama_reply_fault(r, &f);
        return;
    }
    api_reply_js(r, 200, s.list);
}
