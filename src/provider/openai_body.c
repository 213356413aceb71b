/* openai_body.c: a request as OpenAI's chat completion. */
#include <string.h>

#include "provider/dialect.h"

enum { OPENAI_TOP_LOGPROBS = 20, OPENAI_STOPS = 4 };

/* api.openai.com has no chat template of ours to give variables to: an effort is a field of its own there, and thinking
 * itself is on or off with it. */
static status check_template(const js *kwargs, error *err)
{
    js_member m = { 0 };
    while (js_is(kwargs, JS_OBJECT) && js_next(kwargs, &m))
        if (strcmp(m.key, "reasoning_effort") != 0 && strcmp(m.key, "enable_thinking") != 0)
            return fail(err, E_UNSUPPORTED, "api.openai.com does not take chat_template_kwargs.%.60s (it takes "
                        "reasoning_effort)", m.key);
    return OK;
}

/* What would change the answer and cannot be said in this dialect is an error, never dropped. */
static status check_fields(const request *r, const dialect_options *d, error *err)
{
    const request_sampling *o = &r->sampling;
    const struct {
        bool bad;
        const char *what;
    } rules[] = {
        { r->kind != REQUEST_CHAT, "raw text, token ids or vectors (use messages)" },
        { o->top_k != 0, "top_k" },
        { o->min_p != 0, "min_p" },
        { o->repeat_penalty != 1, "repeat_penalty" },
        { o->ignore_eos, "ignore_eos" },
        { r->echo || r->score_only, "log-probabilities of the prompt" },
        { r->prompt_only, "the prompt's tokens" },
        { r->n_logprobs > OPENAI_TOP_LOGPROBS, "more than 20 alternatives with log-probabilities" },
        { o->n_stops > OPENAI_STOPS, "more than 4 stop strings" },
        { o->seed_set && o->seed > INT64_MAX, "a seed over 63 bits" },
        { r->shape == SHAPE_GRAMMAR || r->shape == SHAPE_REGEX || r->shape == SHAPE_CHOICE,
          "grammars, regular expressions or choices (use a JSON Schema)" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (rules[i].bad)
            return fail(err, E_UNSUPPORTED, "an openai provider does not take %s", rules[i].what);
    return d->vendor ? check_template(r->template_kwargs, err) : OK;
}

static bool add_sampling(js *j, const request *r, const dialect_options *d)
{
    const request_sampling *o = &r->sampling;
    uint32_t max_tokens = o->max_tokens ? o->max_tokens : d->max_tokens;
    bool ok = js_set(j, "temperature", js_new_double(o->temperature));
    if (o->top_p != 1)
        ok = js_set(j, "top_p", js_new_double(o->top_p)) && ok;
    if (o->presence_penalty != 0)
        ok = js_set(j, "presence_penalty", js_new_double(o->presence_penalty)) && ok;
    if (o->frequency_penalty != 0)
        ok = js_set(j, "frequency_penalty", js_new_double(o->frequency_penalty)) && ok;
    if (max_tokens)
        ok = js_set(j, d->vendor ? "max_completion_tokens" : "max_tokens", js_new_int(max_tokens)) && ok;
    if (o->seed_set)
        ok = js_set(j, "seed", js_new_int((int64_t)o->seed)) && ok;
    if (js_len(o->bias))
        ok = js_set(j, "logit_bias", js_copy(o->bias)) && ok;
    if (r->logprobs)
        ok = js_set(j, "logprobs", js_new_bool(true)) && ok;
    if (r->logprobs && r->n_logprobs)
        ok = js_set(j, "top_logprobs", js_new_int(r->n_logprobs)) && ok;
    if (o->n_stops) {
        js *stops = js_array();
        for (size_t i = 0; i < o->n_stops; i++)
            ok = js_push(stops, js_new_string(o->stops[i])) && ok;
        ok = js_set(j, "stop", stops) && ok;
    }
    return ok;
}

js *dialect_messages(const request *r)
{
    if (r->conversation)
        return js_copy(r->conversation);
    js *list = js_array();
    bool ok = true;
    for (size_t i = 0; i < r->n_messages; i++) {
        js *m = js_object();
        ok = js_set(m, "role", js_new_string(r->messages[i].role)) && ok;
        ok = js_set(m, "content", js_new_string(r->messages[i].content)) && ok;
        ok = js_push(list, m) && ok;
    }
    if (ok)
        return list;
    js_free(list);
    return NULL;
}

static bool add_tools(js *j, const request *r)
{
    static const char *const names[] = { "auto", "none", "required" };
    if (!js_len(r->tools))
        return true;
    bool ok = js_set(j, "tools", js_copy(r->tools));
    if (r->tool_choice == TOOLS_NAMED) {
        js *choice = js_object(), *function = js_object();
        ok = js_set(function, "name", js_new_string(r->tool_name)) && ok;
        ok = js_set(choice, "type", js_new_string("function")) && ok;
        ok = js_set(choice, "function", function) && ok;
        ok = js_set(j, "tool_choice", choice) && ok;
    } else if (r->tool_choice != TOOLS_AUTO) {
        ok = js_set(j, "tool_choice", js_new_string(names[r->tool_choice])) && ok;
    }
    return r->one_call ? js_set(j, "parallel_tool_calls", js_new_bool(false)) && ok : ok;
}

static bool add_shape(js *j, const request *r)
{
    if (r->shape == SHAPE_FREE)
        return true;
    js *format = js_object();
    bool ok = js_set(format, "type", js_new_string(r->shape == SHAPE_JSON ? "json_object" : "json_schema"));
    if (r->shape == SHAPE_SCHEMA) {
        js *body = js_object();
        ok = js_set(body, "name", js_new_string(r->shape_name ? r->shape_name : "answer")) && ok;
        ok = js_set(body, "schema", js_copy(r->schema)) && ok;
        ok = js_set(body, "strict", js_new_bool(!r->relaxed)) && ok;
        ok = js_set(format, "json_schema", body) && ok;
    }
    return js_set(j, "response_format", format) && ok;
}

/* An effort, or "none" where thinking is switched off without one. */
static bool add_effort(js *j, const js *kwargs)
{
    const js *effort = js_get(kwargs, "reasoning_effort");
    if (js_is(effort, JS_STRING))
        return js_set(j, "reasoning_effort", js_copy(effort));
    return js_bool(js_get(kwargs, "enable_thinking"), true) ||
           js_set(j, "reasoning_effort", js_new_string("none"));
}

static js *body_of(const request *r, const dialect_options *d)
{
    js *j = js_object(), *options = js_object();
    bool ok = js_set(j, "model", js_new_string(d->model));
    ok = js_set(j, "messages", dialect_messages(r)) && ok;
    ok = add_tools(j, r) && ok;
    ok = add_shape(j, r) && ok;
    if (d->vendor)
        ok = add_effort(j, r->template_kwargs) && ok;
    else if (js_len(r->template_kwargs))
        ok = js_set(j, "chat_template_kwargs", js_copy(r->template_kwargs)) && ok;
    ok = add_sampling(j, r, d) && ok;
    ok = js_set(j, "stream", js_new_bool(true)) && ok;
    ok = js_set(options, "include_usage", js_new_bool(true)) && ok;
    ok = js_set(j, "stream_options", options) && ok;
    if (ok)
        return j;
    js_free(j);
    return NULL;
}

const dialect dialect_openai = { "openai", "/chat/completions", check_fields, body_of };
