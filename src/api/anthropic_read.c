/* anthropic_read.c: the body of a messages request. Every field is in a table; what is not done is refused by name,
 * because a field that is dropped changes the answer and nobody knows. */
#include <string.h>

#include "api/anthropic_int.h"
#include "base/mem.h"

static const field message_fields[] = {
    { "model", FIELD_READ, NULL },
    { "messages", FIELD_READ, NULL },
    { "system", FIELD_READ, NULL },
    { "max_tokens", FIELD_READ, NULL },
    { "stream", FIELD_READ, NULL },
    { "temperature", FIELD_READ, NULL },
    { "top_p", FIELD_READ, NULL },
    { "top_k", FIELD_READ, NULL },
    { "stop_sequences", FIELD_READ, NULL },
    { "tools", FIELD_READ, NULL },
    { "tool_choice", FIELD_READ, NULL },
    { "thinking", FIELD_READ, NULL },
    { "output_config", FIELD_READ, NULL },
    { "metadata", FIELD_IGNORED, NULL },
    { "service_tier", FIELD_IGNORED, NULL },
    { "cache_control", FIELD_IGNORED, NULL },
    { "inference_geo", FIELD_IGNORED, NULL },
    { "user_profile_id", FIELD_IGNORED, NULL },
    { "workspace_id", FIELD_IGNORED, NULL },
    { "diagnostics", FIELD_IGNORED, NULL },
    { "speed", FIELD_NEUTRAL, "standard" },
    { "container", FIELD_NEUTRAL, NULL },
    { "context_management", FIELD_NEUTRAL, NULL },
    { "mcp_servers", FIELD_NEUTRAL, NULL },
};

static bool read_sampling(anthropic_call *c, api_fault *f)
{
    request_sampling *s = &c->neutral.sampling;
    int64_t top_k = 0, max_tokens = 0;
    s->temperature = 1;
    if (!api_read_number(c->body, "temperature", 0, 1, &s->temperature, f) ||
        !api_read_number(c->body, "top_p", 0, 1, &s->top_p, f) ||
        !api_read_whole(c->body, "top_k", 0, 1 << 20, &top_k, f) ||
        !api_read_whole(c->body, "max_tokens", 1, REQUEST_TOKENS_MAX, &max_tokens, f) ||
        !api_read_stops(c->body, "stop_sequences", s, f))
        return false;
    if (!max_tokens && !c->count)
        return api_refuse(f, FAULT_INVALID, "max_tokens", "'max_tokens' is missing");
    s->top_k = (uint32_t)top_k;
    s->max_tokens = (uint32_t)max_tokens;
    return true;
}

/* Models that think do so as they like ("adaptive"); how long cannot be bounded here. */
static bool read_thinking(const anthropic_call *c, api_fault *f)
{
    static const field fields[] = {
        { "type", FIELD_READ, NULL }, { "budget_tokens", FIELD_READ, NULL }, { "display", FIELD_NEUTRAL, "summarized" },
    };
    const js *thinking = api_value(c->body, "thinking"), *type = js_get(thinking, "type");
    if (!thinking)
        return true;
    if (!js_is(thinking, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, "thinking", "'thinking' must be an object");
    if (!api_is_text(type, "disabled") && !api_is_text(type, "adaptive"))
        return api_refuse(f, FAULT_INVALID, "thinking.type", "'thinking.type' must be \"disabled\" or \"adaptive\": a "
                          "budget of thought cannot be kept here");
    return api_check_fields(thinking, fields, ARRAY_LEN(fields), "thinking.", f);
}

static bool read_format(anthropic_call *c, const js *format, api_fault *f)
{
    static const field fields[] = { { "type", FIELD_READ, NULL }, { "schema", FIELD_READ, NULL } };
    const js *schema = js_get(format, "schema");
    if (!api_is_text(js_get(format, "type"), "json_schema") || !js_is(schema, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, "output_config.format", "'output_config.format' must be {\"type\": "
                          "\"json_schema\", \"schema\": {…}}");
    if (c->neutral.tool_choice >= TOOLS_REQUIRED)
        return api_refuse(f, FAULT_INVALID, "tool_choice", "'tool_choice' requires a call: there is no text that could "
                          "have a format");
    c->neutral.shape = SHAPE_SCHEMA;
    c->neutral.schema = schema;
    return api_check_fields(format, fields, ARRAY_LEN(fields), "output_config.format.", f);
}

static bool read_output(anthropic_call *c, api_fault *f)
{
    static const field fields[] = { { "format", FIELD_READ, NULL }, { "effort", FIELD_NEUTRAL, NULL } };
    const js *output = api_value(c->body, "output_config"), *format = api_value(output, "format");
    if (!output)
        return true;
    if (!js_is(output, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, "output_config", "'output_config' must be an object");
    return api_check_fields(output, fields, ARRAY_LEN(fields), "output_config.", f) &&
           (!format || read_format(c, format, f));
}

/* A task is asked as it was measured: what would change that is refused. max_tokens, which every request of this
 * dialect must have, gives way to the task's own. */
static bool check_task_fields(const anthropic_call *c, api_fault *f)
{
    static const char *const fixed[] = { "temperature", "top_p", "top_k", "stop_sequences", "tools", "tool_choice",
                                         "output_config" };
    return strncmp(c->model, "task:", 5) != 0 || api_check_absent(c->body, fixed, ARRAY_LEN(fixed), f);
}

bool anthropic_read(span body, bool count, anthropic_call *c, api_fault *f)
{
    c->model = "";
    c->count = count;
    request_init(&c->neutral);
    c->neutral.kind = REQUEST_CHAT;
    c->neutral.score_only = count; /* without `echo`: the prompt is rendered and its tokens counted, no more */
    return api_read_body(body, message_fields, ARRAY_LEN(message_fields), &c->body, f) &&
           api_read_text(c->body, "model", &c->model, f) && api_read_bool(c->body, "stream", &c->stream, f) &&
           check_task_fields(c, f) && anthropic_read_messages(c, f) && read_sampling(c, f) && read_thinking(c, f) &&
           anthropic_read_tools(c, f) && read_output(c, f);
}

void anthropic_call_clear(anthropic_call *c)
{
    mem_free(c->messages);
    js_free(c->tools);
    js_free(c->conversation);
    js_free(c->body);
}
