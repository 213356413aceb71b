/* openai_responses_read.c: the body of /v1/responses to the neutral request. What it calls differently is put in the
 * words of chat completions, whose readers go on with it; what a client hears of it names its own fields. */
#include <stdio.h>
#include <string.h>

#include "api/openai_responses_int.h"
#include "base/str.h"

static const field body_fields[] = {
    { "model", FIELD_READ, NULL },
    { "input", FIELD_READ, NULL },
    { "instructions", FIELD_READ, NULL },
    { "stream", FIELD_READ, NULL },
    { "stream_options", FIELD_READ, NULL },
    { "max_output_tokens", FIELD_READ, NULL },
    { "temperature", FIELD_READ, NULL },
    { "top_p", FIELD_READ, NULL },
    { "top_k", FIELD_READ, NULL },
    { "min_p", FIELD_READ, NULL },
    { "repeat_penalty", FIELD_READ, NULL },
    { "repeat_last_n", FIELD_READ, NULL },
    { "presence_penalty", FIELD_READ, NULL },
    { "frequency_penalty", FIELD_READ, NULL },
    { "seed", FIELD_READ, NULL },
    { "stop", FIELD_READ, NULL },
    { "logit_bias", FIELD_READ, NULL },
    { "top_logprobs", FIELD_READ, NULL },
    { "include", FIELD_READ, NULL },
    { "tools", FIELD_READ, NULL },
    { "tool_choice", FIELD_READ, NULL },
    { "parallel_tool_calls", FIELD_READ, NULL },
    { "text", FIELD_READ, NULL },
    { "reasoning", FIELD_READ, NULL },
    { "metadata", FIELD_READ, NULL },
    { "previous_response_id", FIELD_READ, NULL }, /* refused, with the reason */
    { "conversation", FIELD_READ, NULL },
    { "store", FIELD_READ, NULL },
    { "truncation", FIELD_NEUTRAL, "disabled" }, /* a prompt that is too long is a 400 with the counts */
    { "background", FIELD_NEUTRAL, NULL },
    { "background_options", FIELD_NEUTRAL, NULL },
    { "context_management", FIELD_NEUTRAL, NULL },
    { "image", FIELD_NEUTRAL, NULL },
    { "moderation", FIELD_NEUTRAL, NULL },
    { "prompt", FIELD_NEUTRAL, NULL },
    { "access_programs", FIELD_NEUTRAL, NULL },
    { "max_tool_calls", FIELD_IGNORED, NULL }, /* of tools that OpenAI's servers run: those are refused */
    { "prompt_cache_key", FIELD_IGNORED, NULL },
    { "prompt_cache_options", FIELD_IGNORED, NULL },
    { "prompt_cache_retention", FIELD_IGNORED, NULL },
    { "safety_identifier", FIELD_IGNORED, NULL },
    { "service_tier", FIELD_IGNORED, NULL },
    { "client_metadata", FIELD_IGNORED, NULL },
    { "user", FIELD_IGNORED, NULL },
};

/* The member, which must be an object. *out NULL: it is not there. */
static bool read_object(const js *from, const char *name, const char *path, const js **out, api_fault *f)
{
    *out = api_value(from, name);
    return !*out || js_is(*out, JS_OBJECT) ||
           api_refuse(f, FAULT_INVALID, path, "'%s' must be an object, not a %s", path,
                      js_type_name(js_typeof(*out)));
}

/* ---- what would be kept ---- */

static bool check_stateless(const js *body, api_fault *f)
{
    static const char *const names[] = { "previous_response_id", "conversation" };
    bool store = false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (api_value(body, names[i]))
            return api_refuse(f, FAULT_INVALID, names[i], "'%s' refers to earlier answers, but none are kept here: "
                              "send the whole conversation in 'input'", names[i]);
    if (!api_read_bool(body, "store", &store, f))
        return false;
    return !store || api_refuse(f, FAULT_INVALID, "store", "'store' is true, but answers are not kept here");
}

/* What it labels an answer with comes back with it. */
static bool check_metadata(const js *body, api_fault *f)
{
    const js *metadata;
    js_member m = { 0 };
    if (!read_object(body, "metadata", "metadata", &metadata, f))
        return false;
    if (js_len(metadata) > 16)
        return api_refuse(f, FAULT_INVALID, "metadata", "'metadata' must have at most 16 members");
    while (js_next(metadata, &m))
        if (!js_is(m.value, JS_STRING) || js_len(m.value) > 512)
            return api_refuse(f, FAULT_INVALID, "metadata", "'metadata.%.64s' must be a string of at most 512 bytes",
                              m.key);
    return true;
}

/* ---- the answer's form ---- */

static bool read_schema(const js *format, request *q, api_fault *f)
{
    const js *schema = js_get(format, "schema");
    bool strict = true;
    if (!api_read_text(format, "name", &q->shape_name, f) || !api_read_bool(format, "strict", &strict, f))
        return false;
    if (!js_is(schema, JS_OBJECT) && !js_is(schema, JS_BOOL))
        return api_refuse(f, FAULT_INVALID, "text.format.schema", "'text.format.schema' must be a JSON Schema");
    q->schema = schema;
    q->relaxed = !strict;
    q->shape = SHAPE_SCHEMA;
    return true;
}

static bool read_text(const js *body, request *q, api_fault *f)
{
    static const field fields[] = { { "format", FIELD_READ, NULL }, { "verbosity", FIELD_NEUTRAL, "medium" } };
    static const field format_fields[] = {
        { "type", FIELD_READ, NULL },   { "name", FIELD_READ, NULL },           { "schema", FIELD_READ, NULL },
        { "strict", FIELD_READ, NULL }, { "description", FIELD_IGNORED, NULL },
    };
    const js *text, *format;
    if (!read_object(body, "text", "text", &text, f) ||
        !api_check_fields(text, fields, ARRAY_LEN(fields), "text.", f) ||
        !read_object(text, "format", "text.format", &format, f) ||
        !api_check_fields(format, format_fields, ARRAY_LEN(format_fields), "text.format.", f))
        return false;
    const js *type = js_get(format, "type");
    if (!format || api_is_text(type, "text"))
        return true;
    if (api_is_text(type, "json_schema"))
        return read_schema(format, q, f);
    if (!api_is_text(type, "json_object"))
        return api_refuse(f, FAULT_INVALID, "text.format.type", "'text.format.type' must be text, json_object or "
                          "json_schema");
    q->shape = SHAPE_JSON;
    return true;
}

/* ---- tools ---- */

static const field tool_fields[] = {
    { "type", FIELD_READ, NULL },           { "name", FIELD_READ, NULL },
    { "description", FIELD_READ, NULL },    { "parameters", FIELD_READ, NULL },
    { "strict", FIELD_READ, NULL },         { "output_schema", FIELD_IGNORED, NULL },
    { "defer_loading", FIELD_NEUTRAL, NULL }, { "allowed_callers", FIELD_NEUTRAL, NULL },
    { "async", FIELD_NEUTRAL, NULL },
};

/* Theirs stands flat; chat's has its own object for the function. */
static bool take_tool(js *list, const js *tools, size_t i, api_fault *f)
{
    static const char *const members[] = { "name", "description", "parameters", "strict" };
    const js *tool = js_at(tools, i), *type = js_get(tool, "type");
    char where[40], prefix[48];
    snprintf(where, sizeof where, "tools[%zu]", i);
    snprintf(prefix, sizeof prefix, "%s.", where);
    if (!api_is_text(type, "function"))
        return api_refuse(f, FAULT_INVALID, where, "%s is of type '%.64s'; only function can be called here", where,
                          js_is(type, JS_STRING) ? js_text(type) : "?");
    if (!api_check_fields(tool, tool_fields, ARRAY_LEN(tool_fields), prefix, f))
        return false;
    if (!api_is_tool_name(js_get(tool, "name")))
        return api_refuse(f, FAULT_INVALID, where, "%s.name must be 1 to %d letters, digits, _ - . or /", where,
                          (int)REQUEST_TOOL_NAME_MAX);
    for (size_t k = 0; k < i; k++)
        if (js_equal(js_get(js_at(tools, k), "name"), js_get(tool, "name")))
            return api_refuse(f, FAULT_INVALID, where, "%s.name: two tools are called '%s'", where,
                              js_text(js_get(tool, "name")));
    if (api_value(tool, "parameters") && !js_is(js_get(tool, "parameters"), JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, where, "%s.parameters must be a JSON Schema, an object", where);
    js *function = js_object(), *out = js_object();
    for (size_t m = 0; m < ARRAY_LEN(members); m++)
        if (api_value(tool, members[m]))
            js_set(function, members[m], js_copy(js_get(tool, members[m])));
    js_set(out, "type", js_new_string("function"));
    js_set(out, "function", function);
    return js_push(list, out) || api_no_memory(f);
}

static js *choice_of(const js *theirs)
{
    if (!api_is_text(js_get(theirs, "type"), "function"))
        return js_copy(theirs);
    js *choice = js_object(), *function = js_object();
    js_set(choice, "type", js_new_string("function"));
    js_set(function, "name", js_get(theirs, "name") ? js_copy(js_get(theirs, "name")) : js_null());
    js_set(choice, "function", function);
    return choice;
}

static bool read_tools(responses_call *c, api_fault *f)
{
    const js *tools = api_value(c->body, "tools"), *choice = api_value(c->body, "tool_choice");
    const js *parallel = api_value(c->body, "parallel_tool_calls");
    if (tools && (!js_is(tools, JS_ARRAY) || js_len(tools) > REQUEST_TOOLS_MAX))
        return api_refuse(f, FAULT_INVALID, "tools", "'tools' must be a list of at most %d", REQUEST_TOOLS_MAX);
    js *list = js_array();
    bool ok = js_set(c->chat.body, "tools", list) || api_no_memory(f);
    for (size_t i = 0; ok && i < js_len(tools); i++)
        ok = take_tool(list, tools, i, f);
    if (ok && choice)
        ok = js_set(c->chat.body, "tool_choice", choice_of(choice)) || api_no_memory(f);
    if (ok && parallel)
        ok = js_set(c->chat.body, "parallel_tool_calls", js_copy(parallel)) || api_no_memory(f);
    if (!ok || !openai_read_tools(&c->chat, f))
        return false;
    return c->chat.neutral.shape == SHAPE_FREE || c->chat.neutral.tool_choice < TOOLS_REQUIRED ||
           api_refuse(f, FAULT_INVALID, "tool_choice",
                      "'tool_choice' requires a call: there is no text that could have a format");
}

/* ---- sampling and reasoning ---- */

static bool read_include(const js *body, request *q, api_fault *f)
{
    static const char *const known[] = {
        "message.output_text.logprobs", "reasoning.encrypted_content", "web_search_call.action.sources",
        "web_search_call.results", "file_search_call.results", "message.input_image.image_url",
        "computer_call_output.output.image_url", "code_interpreter_call.outputs",
    };
    const js *list = api_value(body, "include");
    int64_t top = 0;
    if (list && !js_is(list, JS_ARRAY))
        return api_refuse(f, FAULT_INVALID, "include", "'include' must be a list of texts");
    for (size_t i = 0; i < js_len(list); i++) {
        size_t k = 0;
        while (k < ARRAY_LEN(known) && !api_is_text(js_at(list, i), known[k]))
            k++;
        if (k == ARRAY_LEN(known))
            return api_refuse(f, FAULT_INVALID, "include", "'include[%zu]' is nothing that is known here", i);
        q->logprobs = q->logprobs || k == 0;
    }
    if (!api_read_whole(body, "top_logprobs", 0, 20, &top, f))
        return false;
    q->logprobs = q->logprobs || top > 0;
    q->n_logprobs = (uint32_t)top;
    return true;
}

static bool read_reasoning(responses_call *c, api_fault *f)
{
    static const field fields[] = {
        { "effort", FIELD_READ, NULL },
        { "summary", FIELD_IGNORED, NULL }, /* thoughts are said whole */
        { "generate_summary", FIELD_IGNORED, NULL },
        { "context", FIELD_NEUTRAL, "auto" },
        { "mode", FIELD_NEUTRAL, "standard" },
    };
    const js *reasoning;
    return read_object(c->body, "reasoning", "reasoning", &reasoning, f) &&
           api_check_fields(reasoning, fields, ARRAY_LEN(fields), "reasoning.", f) &&
           openai_read_effort(&c->chat, js_get(reasoning, "effort"), "reasoning.effort", f);
}

static bool read_limits(responses_call *c, api_fault *f)
{
    int64_t most = 0;
    if (!api_read_whole(c->body, "max_output_tokens", 1, REQUEST_TOKENS_MAX, &most, f))
        return false;
    c->chat.neutral.sampling.max_tokens = (uint32_t)most;
    return true;
}

/* ---- all ---- */

/* A task is asked as it was measured: with one text, or an object of its variables. */
static bool check_task(const responses_call *c, api_fault *f)
{
    static const char *const fixed[] = {
        "instructions", "temperature", "top_p", "top_k", "min_p", "repeat_penalty", "repeat_last_n",
        "presence_penalty", "frequency_penalty", "seed", "stop", "logit_bias", "max_output_tokens", "tools",
        "tool_choice", "text", "reasoning",
    };
    return !str_starts(c->chat.model, "task:") || api_check_absent(c->body, fixed, ARRAY_LEN(fixed), f);
}

static bool read_input(responses_call *c, api_fault *f)
{
    const js *input = api_value(c->body, "input");
    const char *instructions = NULL;
    if (!api_read_text(c->body, "instructions", &instructions, f))
        return false;
    if (!input)
        return api_refuse(f, FAULT_INVALID, "input", "'input' is missing");
    if (js_is(input, JS_OBJECT)) {
        c->chat.input = input;
        return true;
    }
    js *messages = responses_messages(instructions, input, f);
    if (!messages)
        return false;
    if (!js_set(c->chat.body, "messages", messages))
        return api_no_memory(f);
    return openai_read_messages(&c->chat, f);
}

static bool read_stream(responses_call *c, api_fault *f)
{
    static const field fields[] = { { "include_obfuscation", FIELD_IGNORED, NULL } };
    const js *options;
    return api_read_bool(c->body, "stream", &c->chat.stream, f) &&
           read_object(c->body, "stream_options", "stream_options", &options, f) &&
           api_check_fields(options, fields, ARRAY_LEN(fields), "stream_options.", f);
}

bool responses_read(span body, responses_call *c, api_fault *f)
{
    request *q = &c->chat.neutral;
    c->chat.memory = (arena)ARENA_INIT(2 * REQUEST_BYTES_MAX);
    c->chat.model = "";
    request_init(q);
    q->kind = REQUEST_CHAT;
    c->chat.body = js_object();
    if (!c->chat.body)
        return api_no_memory(f);
    return api_read_body(body, body_fields, ARRAY_LEN(body_fields), &c->body, f) &&
           api_read_text(c->body, "model", &c->chat.model, f) && check_stateless(c->body, f) &&
           check_metadata(c->body, f) && read_stream(c, f) && read_input(c, f) && check_task(c, f) &&
           openai_read_sampling(c->body, &q->sampling, f) && read_limits(c, f) && read_include(c->body, q, f) &&
           read_text(c->body, q, f) && read_tools(c, f) && read_reasoning(c, f);
}

void responses_clear(responses_call *c)
{
    openai_chat_clear(&c->chat);
    js_free(c->body);
}
