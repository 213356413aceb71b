/* request_js.c: the form in which a request travels. src/worker/README.md documents it. */
#include <string.h>

#include "base/digest.h"
#include "provider/embed.h"
#include "provider/request.h"

static const char *const kind_names[] = { "chat", "text", "tokens", "embed", "tag" };

static js *sampling_to_js(const request_sampling *o)
{
    js *j = js_object(), *stops = js_array();
    bool ok = true;
    for (size_t i = 0; i < o->n_stops; i++)
        ok = js_push(stops, js_new_string(o->stops[i])) && ok;
    ok = js_set(j, "temperature", js_new_double(o->temperature)) && ok;
    ok = js_set(j, "top_k", js_new_int(o->top_k)) && ok;
    ok = js_set(j, "top_p", js_new_double(o->top_p)) && ok;
    ok = js_set(j, "min_p", js_new_double(o->min_p)) && ok;
    ok = js_set(j, "repeat_penalty", js_new_double(o->repeat_penalty)) && ok;
    ok = js_set(j, "repeat_last_n", js_new_int(o->repeat_last_n)) && ok;
    ok = js_set(j, "presence_penalty", js_new_double(o->presence_penalty)) && ok;
    ok = js_set(j, "frequency_penalty", js_new_double(o->frequency_penalty)) && ok;
    /* two halves: a JSON reader elsewhere may hold numbers as signed 64-bit */
    ok = js_set(j, "seed_low", js_new_int((int64_t)(o->seed & 0xffffffffu))) && ok;
    ok = js_set(j, "seed_high", js_new_int((int64_t)(o->seed >> 32))) && ok;
    ok = js_set(j, "max_tokens", js_new_int(o->max_tokens)) && ok;
    ok = js_set(j, "ignore_eos", js_new_bool(o->ignore_eos)) && ok;
    ok = js_set(j, "stop", stops) && ok;
    if (js_len(o->bias))
        ok = js_set(j, "logit_bias", js_copy(o->bias)) && ok;
    if (ok)
        return j;
    js_free(j);
    return NULL;
}

/* Adds kind and messages, text or tokens. */
static bool add_prompt(js *j, const request *r)
{
    bool ok = js_set(j, "kind", js_new_string(kind_names[r->kind]));
    if (r->kind == REQUEST_EMBED)
        return request_embed_add(j, r->embed) && ok;
    if (r->kind == REQUEST_TAG)
        ok = js_set(j, "threshold", js_new_double(r->tag_threshold)) && ok;
    if (r->kind == REQUEST_TEXT || r->kind == REQUEST_TAG)
        return js_set(j, "text", js_new_string(r->text)) && ok;
    js *list = r->kind == REQUEST_CHAT && r->conversation ? js_copy(r->conversation) : js_array();
    for (size_t i = 0; r->kind == REQUEST_TOKENS && i < r->n_tokens; i++)
        ok = js_push(list, js_new_int(r->tokens[i])) && ok;
    for (size_t i = 0; r->kind == REQUEST_CHAT && !r->conversation && i < r->n_messages; i++) {
        js *m = js_object();
        ok = js_set(m, "role", js_new_string(r->messages[i].role)) && ok;
        ok = js_set(m, "content", js_new_string(r->messages[i].content)) && ok;
        ok = js_push(list, m) && ok;
    }
    if (r->kind == REQUEST_CHAT && js_len(r->tools) && r->tool_choice != TOOLS_NONE)
        ok = js_set(j, "tools", js_copy(r->tools)) && ok;
    if (r->kind == REQUEST_CHAT && js_len(r->template_kwargs))
        ok = js_set(j, "template_kwargs", js_copy(r->template_kwargs)) && ok;
    return js_set(j, r->kind == REQUEST_TOKENS ? "tokens" : "messages", list) && ok;
}

/* What the answer must be, apart from its prompt. */
static bool add_shape(js *j, const request *r)
{
    bool ok = true;
    if (r->tool_choice == TOOLS_NAMED) {
        js *named = js_object();
        ok = js_set(named, "name", js_new_string(r->tool_name));
        ok = js_set(j, "tool_choice", named) && ok;
    } else if (js_len(r->tools)) {
        ok = js_set(j, "tool_choice", js_new_string(r->tool_choice == TOOLS_REQUIRED ? "required" : "auto"));
    }
    if (r->one_call)
        ok = js_set(j, "one_call", js_new_bool(true)) && ok;
    if (r->relaxed)
        ok = js_set(j, "relaxed", js_new_bool(true)) && ok;
    if (r->shape == SHAPE_FREE)
        return ok;
    ok = js_set(j, "shape", js_new_string(request_shape_name(r->shape))) && ok;
    if (r->shape == SHAPE_SCHEMA)
        return js_set(j, "schema", js_copy(r->schema)) && ok;
    if (r->shape == SHAPE_CHOICE)
        return js_set(j, "choices", js_copy(r->choices)) && ok;
    return r->shape == SHAPE_JSON || (js_set(j, "shape_text", js_new_string(r->shape_text)) && ok);
}

js *request_to_js(const request *r)
{
    js *j = js_object();
    bool ok = add_prompt(j, r);
    ok = add_shape(j, r) && ok;
    if (r->id)
        ok = js_set(j, "id", js_new_string(r->id)) && ok;
    if (r->scope)
        ok = js_set(j, "scope", js_new_string(r->scope)) && ok;
    ok = js_set(j, "privacy", js_new_string(privacy_class_name(r->privacy))) && ok;
    ok = js_set(j, "sampling", sampling_to_js(&r->sampling)) && ok;
    if (r->priority != 1)
        ok = js_set(j, "priority", js_new_int(1 - (int64_t)r->priority)) && ok; /* the batch's: more is earlier */
    if (r->context)
        ok = js_set(j, "context", js_new_int(r->context)) && ok;
    ok = js_set(j, "logprobs", js_new_bool(r->logprobs)) && ok;
    ok = js_set(j, "n_logprobs", js_new_int(r->n_logprobs)) && ok;
    ok = js_set(j, "echo", js_new_bool(r->echo)) && ok;
    const struct {
        const char *name;
        bool value;
    } flags[] = { { "prompt_only", r->prompt_only }, { "decoded", r->decoded }, { "bare", r->bare },
                  { "control", r->control } };
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (flags[i].value)
            ok = js_set(j, flags[i].name, js_new_bool(true)) && ok;
    ok = js_set(j, "score_only", js_new_bool(r->score_only)) && ok;
    if (ok)
        return j;
    js_free(j);
    return NULL;
}

status request_prompt_digest(const request *r, char out[65], error *err)
{
    status s = OK;
    buf text = BUF_INIT(4 * (size_t)REQUEST_BYTES_MAX + 16 * (size_t)REQUEST_TOKENS_MAX);
    js *j = js_object();
    if (!add_prompt(j, r))
        s = fail(err, E_NOMEM, "no memory for a prompt's digest");
    if (!s) {
        js_write(j, JS_CANONICAL, &text);
        s = buf_ok(&text, "a prompt", err);
    }
    if (!s)
        digest_of(text.data, text.len, out);
    buf_clear(&text);
    js_free(j);
    return s;
}
