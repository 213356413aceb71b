/* ollama_show.c: POST /api/show: what a model says of itself once it is open. The license and the other keys of its
 * file stay in the worker: they are not told. */
#include <stdio.h>
#include <string.h>

#include "api/ollama_int.h"
#include "base/str.h"
#include "plat/clock.h"
#include "store/store.h"

bool ollama_open(api *a, http_request *r, const char *model, const double *keep_s, ollama_visit *fn, void *user,
                 api_fault *f)
{
    target to = { 0 };
    api_lease lease = { .p = NULL };
    if (str_starts(model, "task:"))
        return api_refuse(f, FAULT_INVALID, "model", "'%s' is a task, not a model: ask it", model);
    bool ok = api_target(a, r, model, NULL, NULL, 0, &to, f);
    ok = ok && api_take(a, to.spec, to.scope, 1, r, &lease, f);
    if (ok && fn)
        fn(user, provider_get_info(lease.provider));
    if (ok && keep_s)
        api_keep(a, to.spec, *keep_s);
    api_give(a, &lease);
    api_target_clear(&to);
    return ok;
}

/* "134.5M", as Ollama writes it. */
static void write_count(uint64_t n, char out[24])
{
    out[0] = '\0';
    if (n >= 1000000000)
        snprintf(out, 24, "%.1fB", (double)n / 1e9);
    else if (n >= 1000000)
        snprintf(out, 24, "%.1fM", (double)n / 1e6);
    else if (n)
        snprintf(out, 24, "%.1fK", (double)n / 1e3);
}

js *ollama_details(const provider_info *info)
{
    char size[24];
    js *o = js_object(), *families = js_array();
    write_count(info->n_params, size);
    if (info->arch[0])
        js_push(families, js_new_string(info->arch));
    js_set(o, "parent_model", js_new_string(""));
    js_set(o, "format", js_new_string(info->kind == PROVIDER_LOCAL ? "gguf" : ""));
    js_set(o, "family", js_new_string(info->arch));
    js_set(o, "families", families);
    js_set(o, "parameter_size", js_new_string(size));
    js_set(o, "quantization_level", js_new_string(info->file_type));
    return o;
}

static js *model_info_js(const provider_info *info)
{
    char key[96];
    js *o = js_object();
    if (info->arch[0])
        js_set(o, "general.architecture", js_new_string(info->arch));
    if (info->n_params)
        js_set(o, "general.parameter_count", js_new_int((int64_t)info->n_params));
    snprintf(key, sizeof key, "%.64s.context_length", info->arch);
    if (info->arch[0] && info->context_train)
        js_set(o, key, js_new_int(info->context_train));
    return o;
}

/* A model with a template converses, and calls tools in its own words or in ours; one without it continues texts; an
 * encoder makes vectors. (All local models can be asked for vectors; only an encoder is there for them.) Thinking is
 * what can be asked for and against (`think`). */
static js *capabilities_js(const provider_info *info)
{
    bool converses = info->has_template || info->kind != PROVIDER_LOCAL;
    js *list = js_array();
    js_push(list, js_new_string(info->is_encoder ? "embedding" : "completion"));
    if (converses && !info->is_encoder)
        js_push(list, js_new_string("tools"));
    if (strstr(info->chat_template, "enable_thinking") || strstr(info->chat_template, "reasoning_effort"))
        js_push(list, js_new_string("thinking"));
    return list;
}

static void describe(void *user, const provider_info *info)
{
    js *o = user;
    js_set(o, "details", ollama_details(info));
    js_set(o, "model_info", model_info_js(info));
    js_set(o, "capabilities", capabilities_js(info));
    if (info->chat_template[0])
        js_set(o, "template", js_new_string(info->chat_template));
}

static void set_date(const api *a, js *o, const char *model)
{
    store_model *files = NULL;
    size_t n = 0;
    char when[CLOCK_TEXT];
    error e = { 0 };
    if (api_models(a, &files, &n, &e))
        return;
    for (size_t i = 0; i < n; i++)
        if (strcmp(files[i].name, model) == 0)
            js_set(o, "modified_at", js_new_string(clock_utc_text(files[i].modified_s * 1000000, when)));
    store_free(files, n);
}

void api_ollama_show(api *a, http_request *r)
{
    static const field fields[] = { { "model", FIELD_READ, NULL }, { "name", FIELD_READ, NULL },
                                    { "verbose", FIELD_IGNORED, NULL } };
    js *body = NULL, *o = js_object();
    const char *said;
    char model[ROUTE_NAME_BYTES];
    api_fault f;
    if (api_read_body(http_body(r), fields, ARRAY_LEN(fields), &body, &f) &&
        ollama_read_model(body, &said, model, &f) && ollama_open(a, r, model, NULL, describe, o, &f)) {
        set_date(a, o, model);
        api_reply_js(r, 200, o);
    } else {
        api_reply_fault_as(r, &f, api_ollama_fault_js(&f));
        js_free(o);
    }
    js_free(body);
}
