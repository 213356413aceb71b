/* anthropic_body.c: a request as one of Anthropic's messages API. Two roles there, each message a list of blocks: what
 * the system says stands apart, results of tools are the user's. */
#include <string.h>

#include "provider/dialect.h"

enum { ANTHROPIC_MAX_TOKENS = 4096 };

static bool is_word(const js *v, const char *word)
{
    return js_is(v, JS_STRING) && strcmp(js_text(v), word) == 0;
}

static bool is_system(const js *message)
{
    return is_word(js_get(message, "role"), "system") || is_word(js_get(message, "role"), "developer");
}

/* ---- what can be said ---- */

static status check_content(const js *m, size_t at, error *err)
{
    const js *content = js_get(m, "content");
    for (size_t i = 0; js_is(content, JS_ARRAY) && i < js_len(content); i++)
        if (!is_word(js_get(js_at(content, i), "type"), "text") || !js_is(js_get(js_at(content, i), "text"), JS_STRING))
            return fail(err, E_UNSUPPORTED, "an anthropic provider is given texts only: message %zu has another part",
                        at + 1);
    return OK;
}

static status check_calls(const js *m, size_t at, error *err)
{
    const js *calls = js_get(m, "tool_calls");
    for (size_t i = 0; i < js_len(calls); i++) {
        const js *c = js_at(calls, i), *f = js_get(c, "function"), *text = js_get(f, "arguments");
        js *arguments = NULL;
        bool ok = js_is(js_get(c, "id"), JS_STRING) && js_is(js_get(f, "name"), JS_STRING) &&
                  (!js_len(text) || (js_is(text, JS_STRING) &&
                                     js_parse(&arguments, js_text(text), js_len(text), "arguments", 1, NULL) == OK &&
                                     js_is(arguments, JS_OBJECT)));
        js_free(arguments);
        if (!ok)
            return fail(err, E_FORMAT, "message %zu: tool call %zu needs an id, a name and an object of arguments",
                        at + 1, i + 1);
    }
    return OK;
}

static status check_messages(const js *list, error *err)
{
    bool began = false;
    for (size_t i = 0; i < js_len(list); i++) {
        const js *m = js_at(list, i), *role = js_get(m, "role");
        bool known = is_word(role, "user") || is_word(role, "assistant") || is_word(role, "tool") || is_system(m);
        if (!known)
            return fail(err, E_UNSUPPORTED, "an anthropic provider has no role '%.40s'", js_text(role));
        if (is_system(m) && began)
            return fail(err, E_UNSUPPORTED, "an anthropic provider takes a system message only at the beginning");
        if (is_word(role, "tool") && !js_is(js_get(m, "tool_call_id"), JS_STRING))
            return fail(err, E_FORMAT, "message %zu: a tool's result needs its tool_call_id", i + 1);
        began = began || !is_system(m);
        status s = check_content(m, i, err);
        if (!s && is_word(role, "assistant"))
            s = check_calls(m, i, err);
        if (s)
            return s;
    }
    return OK;
}

static status check_template(const js *kwargs, error *err)
{
    static const char *const efforts[] = { "low", "medium", "high", "max" };
    js_member m = { 0 };
    while (js_is(kwargs, JS_OBJECT) && js_next(kwargs, &m)) {
        bool known = strcmp(m.key, "enable_thinking") == 0;
        for (size_t i = 0; i < ARRAY_LEN(efforts) && strcmp(m.key, "reasoning_effort") == 0; i++)
            known = known || is_word(m.value, efforts[i]);
        if (!known)
            return fail(err, E_UNSUPPORTED, "an anthropic provider does not take this %.60s (reasoning_effort is low, "
                        "medium, high or max there)", m.key);
    }
    return OK;
}

static status check(const request *r, const dialect_options *d, error *err)
{
    const request_sampling *o = &r->sampling;
    const struct {
        bool bad;
        const char *what;
    } rules[] = {
        { r->kind != REQUEST_CHAT, "raw text, token ids or vectors (use messages)" },
        { o->temperature > 1, "a temperature over 1" },
        { o->min_p != 0, "min_p" },
        { o->repeat_penalty != 1, "repeat_penalty" },
        { o->presence_penalty != 0, "presence_penalty" },
        { o->frequency_penalty != 0, "frequency_penalty" },
        { js_len(o->bias) > 0, "logit_bias" },
        { o->seed_set, "a seed" },
        { o->ignore_eos, "ignore_eos" },
        { r->logprobs, "log-probabilities" },
        { r->echo || r->score_only, "log-probabilities of the prompt" },
        { r->prompt_only, "the prompt's tokens" },
        { r->shape != SHAPE_FREE && r->shape != SHAPE_SCHEMA,
          "JSON without a schema, grammars, regular expressions or choices (use a JSON Schema)" },
    };
    (void)d;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (rules[i].bad)
            return fail(err, E_UNSUPPORTED, "an anthropic provider does not take %s", rules[i].what);
    js *given = dialect_messages(r);
    status s = given ? check_template(r->template_kwargs, err) : fail(err, E_NOMEM, "no memory for a request");
    if (!s)
        s = check_messages(given, err);
    js_free(given);
    return s;
}

/* ---- blocks ---- */

static js *block(const char *type)
{
    js *b = js_object();
    js_set(b, "type", js_new_string(type));
    return b;
}

static void push_text(js *blocks, const js *text)
{
    if (!js_len(text)) /* the API refuses empty ones */
        return;
    js *b = block("text");
    js_set(b, "text", js_copy(text));
    js_push(blocks, b);
}

static void push_content(js *blocks, const js *content)
{
    if (js_is(content, JS_STRING))
        push_text(blocks, content);
    for (size_t i = 0; js_is(content, JS_ARRAY) && i < js_len(content); i++)
        push_text(blocks, js_get(js_at(content, i), "text"));
}

/* False: no memory. `check` has read the arguments before. */
static bool push_calls(js *blocks, const js *calls)
{
    bool ok = true;
    for (size_t i = 0; i < js_len(calls); i++) {
        const js *c = js_at(calls, i), *f = js_get(c, "function"), *text = js_get(f, "arguments");
        js *b = block("tool_use"), *input = NULL;
        if (!js_len(text))
            input = js_object();
        else
            ok = js_parse(&input, js_text(text), js_len(text), "arguments", 1, NULL) == OK && ok;
        js_set(b, "id", js_copy(js_get(c, "id")));
        js_set(b, "name", js_copy(js_get(f, "name")));
        js_set(b, "input", input);
        js_push(blocks, b);
    }
    return ok;
}

static void push_result(js *blocks, const js *m)
{
    js *b = block("tool_result"), *content = js_array();
    push_content(content, js_get(m, "content"));
    js_set(b, "tool_use_id", js_copy(js_get(m, "tool_call_id")));
    js_set(b, "content", content);
    js_push(blocks, b);
}

/* Messages that follow each other in one role are one message: results of several calls must be. */
static js *blocks_for(js *list, const char *role)
{
    js *last = js_len(list) ? js_at(list, js_len(list) - 1) : NULL;
    if (last && is_word(js_get(last, "role"), role))
        return js_get(last, "content");
    js *m = js_object();
    js_set(m, "role", js_new_string(role));
    js_set(m, "content", js_array());
    js_push(list, m);
    return js_get(js_at(list, js_len(list) - 1), "content");
}

static bool add_messages(js *body, const js *given)
{
    bool ok = true;
    js *system = js_array(), *list = js_array();
    for (size_t i = 0; i < js_len(given); i++) {
        const js *m = js_at(given, i), *content = js_get(m, "content");
        if (is_system(m)) {
            push_content(system, content);
        } else if (is_word(js_get(m, "role"), "tool")) {
            push_result(blocks_for(list, "user"), m);
        } else if (is_word(js_get(m, "role"), "assistant")) {
            push_content(blocks_for(list, "assistant"), content);
            ok = push_calls(blocks_for(list, "assistant"), js_get(m, "tool_calls")) && ok;
        } else {
            push_content(blocks_for(list, "user"), content);
        }
    }
    if (js_len(system))
        js_set(body, "system", system);
    else
        js_free(system);
    js_set(body, "messages", list);
    return ok;
}

/* ---- the rest ---- */

static js *tool_of(const js *given)
{
    const js *f = js_get(given, "function"), *schema = js_get(f, "parameters");
    js *t = js_object(), *any = NULL;
    if (!js_is(schema, JS_OBJECT)) {
        any = js_object();
        js_set(any, "type", js_new_string("object"));
    }
    js_set(t, "name", js_copy(js_get(f, "name")));
    if (js_is(js_get(f, "description"), JS_STRING))
        js_set(t, "description", js_copy(js_get(f, "description")));
    js_set(t, "input_schema", any ? any : js_copy(schema));
    if (js_bool(js_get(f, "strict"), false))
        js_set(t, "strict", js_new_bool(true));
    return t;
}

static void add_tools(js *body, const request *r)
{
    static const char *const names[] = { [TOOLS_AUTO] = "auto", [TOOLS_NONE] = "none", [TOOLS_REQUIRED] = "any",
                                         [TOOLS_NAMED] = "tool" };
    if (!js_len(r->tools))
        return;
    js *tools = js_array(), *choice = block(names[r->tool_choice]);
    for (size_t i = 0; i < js_len(r->tools); i++)
        js_push(tools, tool_of(js_at(r->tools, i)));
    if (r->tool_choice == TOOLS_NAMED)
        js_set(choice, "name", js_new_string(r->tool_name));
    if (r->one_call && r->tool_choice != TOOLS_NONE)
        js_set(choice, "disable_parallel_tool_use", js_new_bool(true));
    js_set(body, "tools", tools);
    js_set(body, "tool_choice", choice);
}

/* What is the API's own default is not said: newer models refuse some of these fields at all. */
static void add_sampling(js *body, const request_sampling *o)
{
    if (o->temperature != 1)
        js_set(body, "temperature", js_new_double(o->temperature));
    if (o->top_p != 1)
        js_set(body, "top_p", js_new_double(o->top_p));
    if (o->top_k)
        js_set(body, "top_k", js_new_int(o->top_k));
    if (!o->n_stops)
        return;
    js *stops = js_array();
    for (size_t i = 0; i < o->n_stops; i++)
        js_push(stops, js_new_string(o->stops[i]));
    js_set(body, "stop_sequences", stops);
}

static void add_output(js *body, const request *r)
{
    const js *effort = js_get(r->template_kwargs, "reasoning_effort");
    const js *thinks = js_get(r->template_kwargs, "enable_thinking");
    js *output = js_object();
    if (js_is(effort, JS_STRING))
        js_set(output, "effort", js_copy(effort));
    if (r->shape == SHAPE_SCHEMA) {
        js *format = block("json_schema");
        js_set(format, "schema", js_copy(r->schema));
        js_set(output, "format", format);
    }
    if (js_len(output))
        js_set(body, "output_config", output);
    else
        js_free(output);
    if (js_bool(thinks, false))
        js_set(body, "thinking", block("adaptive"));
}

static js *body_of(const request *r, const dialect_options *d)
{
    const request_sampling *o = &r->sampling;
    uint32_t max_tokens = o->max_tokens ? o->max_tokens : d->max_tokens ? d->max_tokens : ANTHROPIC_MAX_TOKENS;
    js_begin();
    js *body = js_object(), *given = dialect_messages(r);
    js_set(body, "model", js_new_string(d->model));
    js_set(body, "max_tokens", js_new_int(max_tokens));
    bool ok = add_messages(body, given);
    add_tools(body, r);
    add_sampling(body, o);
    add_output(body, r);
    js_set(body, "stream", js_new_bool(true));
    js_free(given);
    if (ok && !js_lost())
        return body;
    js_free(body);
    return NULL;
}

const dialect dialect_anthropic = { "anthropic", "/messages", check, body_of };
