/* llama_prompt.c: what all of llama-server's paths read: prompts, models; and how faults are told. */
#include <string.h>

#include "api/llama_int.h"
#include "base/str.h"

js *api_llama_fault_js(const api_fault *f)
{
    js *body = api_fault_js(f);
    js_set(js_get(body, "error"), "code", js_new_int(f->http ? f->http : fault_http(f->kind)));
    return body;
}

void llama_reply_fault(http_request *r, const api_fault *f)
{
    api_reply_fault_as(r, f, api_llama_fault_js(f));
}

bool llama_read_model(const js *body, const char **out, api_fault *f)
{
    *out = "";
    if (!api_read_text(body, "model", out, f))
        return false;
    return !str_starts(*out, "task:") || api_refuse(f, FAULT_INVALID, "model", "a task is asked in a conversation "
                                                    "(/v1/chat/completions): name a model, or none");
}

/* ---- prompts ---- */

static bool refuse_form(const char *name, api_fault *f)
{
    return api_refuse(f, FAULT_INVALID, name, "'%s' must be a text, a list of token ids, or a list of texts and ids "
                      "(and hold no zero byte)", name);
}

static bool is_plain_text(const js *v)
{
    return js_is(v, JS_STRING) && strlen(js_text(v)) == js_len(v);
}

static size_t run_of_numbers(const js *list, size_t from)
{
    size_t n = 0;
    while (from + n < js_len(list) && js_is(js_at(list, from + n), JS_NUMBER))
        n++;
    return n;
}

static bool read_run(const js *list, size_t from, size_t n, const char *name, request_input *out, api_fault *f)
{
    int32_t *ids = mem_array(n, sizeof *ids);
    if (!ids)
        return api_no_memory(f);
    out->tokens = ids;
    out->n_tokens = n;
    for (size_t i = 0; i < n; i++) {
        int64_t id;
        if (!js_int(js_at(list, from + i), &id) || id < 0 || id > INT32_MAX)
            return api_refuse(f, FAULT_INVALID, name, "item %zu of '%s' is no token id", from + i, name);
        ids[i] = (int32_t)id;
    }
    return true;
}

static bool read_list(const js *list, const char *name, llama_prompt *out, api_fault *f)
{
    for (size_t at = 0, n; at < js_len(list); at += n) {
        if (out->n == LLAMA_PARTS_MAX)
            return api_refuse(f, FAULT_INVALID, name, "'%s' has more than %d texts and runs of ids", name,
                              (int)LLAMA_PARTS_MAX);
        request_input *part = &out->parts[out->n++];
        size_t run = run_of_numbers(list, at);
        n = run ? run : 1;
        if (run && !read_run(list, at, run, name, part, f))
            return false;
        if (!run && !is_plain_text(js_at(list, at)))
            return refuse_form(name, f);
        if (!run)
            part->text = js_text(js_at(list, at));
    }
    return true;
}

bool llama_read_prompt(const js *in, const char *name, llama_prompt *out, api_fault *f)
{
    bool list = js_is(in, JS_ARRAY);
    *out = (llama_prompt){ .parts = NULL };
    if (list ? js_len(in) == 0 : !is_plain_text(in))
        return refuse_form(name, f);
    size_t most = !list ? 1 : js_len(in) < LLAMA_PARTS_MAX ? js_len(in) : LLAMA_PARTS_MAX;
    out->parts = mem_array(most, sizeof *out->parts);
    if (!out->parts)
        return api_no_memory(f);
    if (list)
        return read_list(in, name, out, f);
    out->parts[out->n++].text = js_text(in);
    return true;
}

void llama_prompt_clear(llama_prompt *p)
{
    openai_inputs_free(p->parts, p->n);
    *p = (llama_prompt){ .parts = NULL };
}

void llama_set_part(const llama_prompt *p, size_t part, request *q)
{
    const request_input *in = &p->parts[part];
    q->kind = in->text ? REQUEST_TEXT : REQUEST_TOKENS;
    q->text = in->text;
    q->tokens = in->tokens;
    q->n_tokens = in->n_tokens;
}
