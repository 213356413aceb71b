/* ollama_models.c: GET /api/tags and DELETE /api/delete: the files of the models directory. What stands in a file is
 * not looked at in this process, so that /api/tags knows sizes, dates and digests; /api/show knows the rest. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "api/ollama_int.h"
#include "base/log.h"
#include "plat/clock.h"
#include "store/store.h"

/* ---- the list ---- */

static js *unknown_details(void)
{
    static const char *const empty[] = { "parent_model", "family", "parameter_size", "quantization_level" };
    js *o = js_object();
    for (size_t i = 0; i < ARRAY_LEN(empty); i++)
        js_set(o, empty[i], js_new_string(""));
    js_set(o, "format", js_new_string("gguf"));
    js_set(o, "families", js_array());
    return o;
}

/* Of a model in one file that another program keeps under its digest: it need not be read to be listed. */
static bool known_digest(const store_model *m, char sum[65])
{
    const store_note none = { 0 };
    store_expected known;
    char second[PATH_MAX];
    if (m->place == STORE_MODELS || store_part(m->path, 1, second, sizeof second, NULL) == OK ||
        store_expect(&known, m, &none, 0, NULL) != OK || !known.sha256[0])
        return false;
    memcpy(sum, known.sha256, sizeof known.sha256);
    return true;
}

/* A file that cannot be read has no digest: it is listed all the same. */
static js *file_js(const store_model *m)
{
    char name[ROUTE_NAME_BYTES + 16], when[CLOCK_TEXT], sum[65] = "";
    error e = { 0 };
    snprintf(name, sizeof name, "%.*s%s", ROUTE_NAME_BYTES, m->name, m->place == STORE_OLLAMA ? "" : ":latest");
    if (!known_digest(m, sum) && store_digest_file(m->path, sum, &e))
        log_line(LOG_LEVEL_WARN, "/api/tags: no digest: %s", e.text);
    js *o = js_object();
    js_set(o, "name", js_new_string(name));
    js_set(o, "model", js_new_string(name));
    js_set(o, "modified_at", js_new_string(clock_utc_text(m->modified_s * 1000000, when)));
    js_set(o, "size", js_new_int((int64_t)m->bytes));
    js_set(o, "digest", js_new_string(sum));
    js_set(o, "details", unknown_details());
    return o;
}

void api_ollama_tags(api *a, http_request *r)
{
    store_model *files = NULL;
    size_t n = 0;
    error e = { 0 };
    if (api_models(a, &files, &n, &e)) {
        api_fault f;
        api_refuse_status(&f, "", &e);
        api_reply_fault_as(r, &f, api_ollama_fault_js(&f));
        return;
    }
    js *body = js_object(), *list = js_array();
    for (size_t i = 0; i < n; i++)
        js_push(list, file_js(&files[i]));
    store_free(files, n);
    js_set(body, "models", list);
    api_reply_js(r, 200, body);
}

/* ---- deleting ---- */

/* Only a whole name of the models directory: what begins so, or stands elsewhere, is not meant. */
static bool delete_named(api *a, const char *name, api_fault *f)
{
    store_model *files = NULL;
    size_t n = 0, i = 0;
    unsigned n_open;
    error e = { 0 };
    if (store_list(&files, &n, &e))
        return api_refuse_status(f, "model", &e);
    while (i < n && strcmp(files[i].name, name) != 0)
        i++;
    bool ok = i < n || api_refuse(f, FAULT_NOTFOUND, "model", "model '%s' not found", name);
    if (ok && !api_close_model(a, store_label(&files[i]), false, &n_open)) {
        ok = api_refuse(f, FAULT_DENIED, "model", "model '%s' is answering: it cannot be deleted now", name);
        f->http = 409;
    }
    if (ok && store_delete(&files[i], &e))
        ok = api_refuse_status(f, "model", &e);
    store_free(files, n);
    return ok;
}

/* Whoever has a key may; without keys the server listens on the loopback only. */
void api_ollama_delete(api *a, http_request *r)
{
    static const field fields[] = { { "model", FIELD_READ, NULL }, { "name", FIELD_READ, NULL } };
    js *body = NULL;
    const char *said;
    char name[ROUTE_NAME_BYTES];
    api_fault f;
    if (api_read_body(http_body(r), fields, ARRAY_LEN(fields), &body, &f) &&
        ollama_read_model(body, &said, name, &f) && delete_named(a, name, &f))
        http_reply(r, 200, "application/json", "", 0);
    else
        api_reply_fault_as(r, &f, api_ollama_fault_js(&f));
    js_free(body);
}
