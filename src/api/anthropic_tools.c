/* anthropic_tools.c: what may be called, in OpenAI's shape. Tools that Anthropic's own servers run are refused. */
#include <stdio.h>
#include <string.h>

#include "api/anthropic_int.h"

static const field tool_fields[] = {
    { "type", FIELD_READ, NULL },                 { "name", FIELD_READ, NULL },
    { "description", FIELD_READ, NULL },          { "input_schema", FIELD_READ, NULL },
    { "strict", FIELD_READ, NULL },               { "cache_control", FIELD_IGNORED, NULL },
    { "eager_input_streaming", FIELD_IGNORED, NULL }, { "defer_loading", FIELD_NEUTRAL, NULL },
    { "allowed_callers", FIELD_NEUTRAL, NULL },   { "input_examples", FIELD_NEUTRAL, NULL },
};

static const js *find_tool(const js *tools, const js *name)
{
    for (size_t i = 0; i < js_len(tools); i++) {
        const js *function = js_get(js_at(tools, i), "function");
        if (js_equal(js_get(function, "name"), name))
            return function;
    }
    return NULL;
}

static bool check_tool(const js *tools, const js *tool, const char *where, api_fault *f)
{
    const js *type = api_value(tool, "type"), *name = js_get(tool, "name");
    const char *unused = NULL;
    char prefix[40];
    snprintf(prefix, sizeof prefix, "%s.", where);
    if (!js_is(tool, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, where, "%s must be an object", where);
    if (type && !api_is_text(type, "custom"))
        return api_refuse(f, FAULT_INVALID, where, "%s.type is '%.64s'; only tools that the caller runs (\"custom\") "
                          "can be offered here", where, js_is(type, JS_STRING) ? js_text(type) : "?");
    if (!api_check_fields(tool, tool_fields, ARRAY_LEN(tool_fields), prefix, f) ||
        !api_read_text(tool, "description", &unused, f))
        return false;
    if (!api_is_tool_name(name))
        return api_refuse(f, FAULT_INVALID, where, "%s.name must be 1 to %d letters, digits, _ - . or /", where,
                          (int)REQUEST_TOOL_NAME_MAX);
    if (!js_is(js_get(tool, "input_schema"), JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, where, "%s.input_schema must be a JSON Schema, an object", where);
    return !find_tool(tools, name) ||
           api_refuse(f, FAULT_INVALID, where, "%s.name: two tools are called '%s'", where, js_text(name));
}

static bool read_tool(js *tools, size_t i, const js *tool, api_fault *f)
{
    char where[32];
    bool strict = false;
    snprintf(where, sizeof where, "tools[%zu]", i);
    if (!check_tool(tools, tool, where, f) || !api_read_bool(tool, "strict", &strict, f))
        return false;
    js *out = js_object(), *function = js_object();
    bool ok = js_set(function, "name", js_copy(js_get(tool, "name")));
    if (api_value(tool, "description"))
        ok = js_set(function, "description", js_copy(js_get(tool, "description"))) && ok;
    ok = js_set(function, "parameters", js_copy(js_get(tool, "input_schema"))) && ok;
    if (strict)
        ok = js_set(function, "strict", js_new_bool(true)) && ok;
    ok = js_set(out, "type", js_new_string("function")) && ok;
    ok = js_set(out, "function", function) && ok;
    ok = js_push(tools, out) && ok;
    return ok || api_no_memory(f);
}

static bool set_choice(anthropic_call *c, const js *choice, api_fault *f)
{
    static const struct {
        const char *type;
        request_tool_choice choice;
    } types[] = { { "auto", TOOLS_AUTO }, { "any", TOOLS_REQUIRED }, { "tool", TOOLS_NAMED }, { "none", TOOLS_NONE } };
    const js *name = js_get(choice, "name"), *tool = find_tool(c->tools, name);
    size_t i = 0;
    while (i < ARRAY_LEN(types) && !api_is_text(js_get(choice, "type"), types[i].type))
        i++;
    if (i == ARRAY_LEN(types))
        return api_refuse(f, FAULT_INVALID, "tool_choice.type", "'tool_choice.type' must be \"auto\", \"any\", "
                          "\"tool\" or \"none\"");
    c->neutral.tool_choice = types[i].choice;
    if (types[i].choice == TOOLS_REQUIRED && !c->neutral.tools)
        return api_refuse(f, FAULT_INVALID, "tool_choice", "'tool_choice' requires a call, but there are no tools");
    if (types[i].choice != TOOLS_NAMED)
        return true;
    if (!js_is(name, JS_STRING) || !tool)
        return api_refuse(f, FAULT_INVALID, "tool_choice.name", "'tool_choice.name' is '%.128s', which is none of the "
                          "tools", js_is(name, JS_STRING) ? js_text(name) : "");
    c->neutral.tool_name = js_text(js_get(tool, "name"));
    return true;
}

bool anthropic_read_tools(anthropic_call *c, api_fault *f)
{
    static const field choice_fields[] = {
        { "type", FIELD_READ, NULL }, { "name", FIELD_READ, NULL }, { "disable_parallel_tool_use", FIELD_READ, NULL },
    };
    const js *tools = api_value(c->body, "tools"), *choice = api_value(c->body, "tool_choice");
    if (tools && (!js_is(tools, JS_ARRAY) || js_len(tools) > REQUEST_TOOLS_MAX))
        return api_refuse(f, FAULT_INVALID, "tools", "'tools' must be a list of at most %d", REQUEST_TOOLS_MAX);
    if (js_len(tools) && !(c->tools = js_array()))
        return api_no_memory(f);
    for (size_t i = 0; i < js_len(tools); i++)
        if (!read_tool(c->tools, i, js_at(tools, i), f))
            return false;
    c->neutral.tools = c->tools;
    if (!choice)
        return true;
    if (!js_is(choice, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, "tool_choice", "'tool_choice' must be an object with a type");
    return api_check_fields(choice, choice_fields, ARRAY_LEN(choice_fields), "tool_choice.", f) &&
           api_read_bool(choice, "disable_parallel_tool_use", &c->neutral.one_call, f) && set_choice(c, choice, f);
}
