/* openai_models.c: GET /v1/models and /v1/models/{id}: files by name, configured providers, tasks as task:NAME. */
#include <stdio.h>
#include <string.h>

#include "api/api_int.h"
#include "base/str.h"
#include "store/store.h"

/* only NULL: everything; else the entry of that id alone. */
static void add(js *list, const char *only, const char *id, const char *owner, int64_t created)
{
    if (only && strcmp(only, id) != 0)
        return;
    js *o = js_object();
    js_set(o, "id", js_new_string(id));
    js_set(o, "object", js_new_string("model"));
    js_set(o, "created", js_new_int(created));
    js_set(o, "owned_by", js_new_string(owner));
    js_push(list, o);
}

status api_models(const api *a, store_model **out, size_t *n, error *err)
{
    if (!a->options.config->found_models)
        return store_list(out, n, err);
    status s = store_list_places(out, n, NULL, NULL, err);
    for (size_t i = 0; !s && i < *n;)
        if ((*out)[i].unusable) { /* the order stays */
            store_model_clear(&(*out)[i]);
            memmove(*out + i, *out + i + 1, (--*n - i) * sizeof **out);
        } else {
            i++;
        }
    return s;
}

static status add_files(const api *a, js *list, const char *only, error *err)
{
    store_model *files = NULL;
    size_t n = 0;
    status s = api_models(a, &files, &n, err);
    for (size_t i = 0; !s && i < n; i++)
        add(list, only, files[i].name, "local", files[i].modified_s);
    store_free(files, n);
    return s;
}

static status add_tasks(const api *a, js *list, const char *only, error *err)
{
    task_names names = { 0 };
    status s = task_list(&names, a->options.bin_dir, err);
    for (size_t i = 0; !s && i < names.n; i++) {
        char id[80];
        snprintf(id, sizeof id, "task:%s", names.names[i]);
        add(list, only, id, "task", 0);
    }
    task_names_clear(&names);
    return s;
}

static status list_models(const api *a, js *list, const char *only, error *err)
{
    const config *c = a->options.config;
    if (a->options.model)
        add(list, only, a->options.model, "local", 0);
    for (size_t i = 0; i < c->n_providers; i++)
        add(list, only, c->providers[i].name, provider_place_name(c->providers[i].place), 0);
    status s = add_files(a, list, only, err);
    return s ? s : add_tasks(a, list, only, err);
}

void api_openai_models(api *a, http_request *r)
{
    js *body = js_object(), *list = js_array();
    error e = { 0 };
    if (list_models(a, list, NULL, &e)) {
        api_fault f;
        api_refuse_status(&f, "", &e);
        api_reply_fault(r, &f);
        js_free(list);
        js_free(body);
        return;
    }
    js_set(body, "object", js_new_string("list"));
    js_set(body, "data", list);
    api_reply_js(r, 200, body);
}

void api_openai_model(api *a, http_request *r)
{
    const char *id = http_path(r) + strlen("/v1/models/");
    js *list = js_array();
    error e = { 0 };
    api_fault f;
    if (list_models(a, list, id, &e)) {
        api_refuse_status(&f, "", &e);
        api_reply_fault(r, &f);
    } else if (js_len(list) == 0) {
        api_refuse(&f, FAULT_NOTFOUND, "model", "there is no model '%s' here; GET /v1/models lists them", id);
        api_reply_fault(r, &f);
    } else {
        api_reply_js(r, 200, js_copy(js_at(list, 0)));
    }
    js_free(list);
}
