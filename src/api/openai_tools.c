/* openai_tools.c: what may be called, and what the answer must look like. */
#include <stdio.h>
#include <string.h>

#include "api/openai_int.h"

/* ---- tools ---- */

static const field function_fields[] = {
    { "name", FIELD_READ, NULL },   { "description", FIELD_READ, NULL }, { "parameters", FIELD_READ, NULL },
    { "strict", FIELD_READ, NULL }, { "response", FIELD_READ, NULL },
};

static bool read_tool(const js *tools, size_t i, api_fault *f)
{
    const js *tool = js_at(tools, i), *function = js_get(tool, "function");
    const js *parameters = api_value(function, "parameters");
    char where[48], prefix[52];
    bool strict = false;
    snprintf(where, sizeof where, "tools[%zu].function", i);
    snprintf(prefix, sizeof prefix, "%s.", where);
    if (!api_is_text(js_get(tool, "type"), "function") || !js_is(function, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, where, "tools[%zu] must be {\"type\": \"function\", \"function\": {…}}",
                          i);
    if (!api_check_fields(function, function_fields, ARRAY_LEN(function_fields), prefix, f) ||
        !api_read_bool(function, "strict", &strict, f))
        return false;
    if (!api_is_tool_name(js_get(function, "name")))
        return api_refuse(f, FAULT_INVALID, where, "%s.name must be 1 to %d letters, digits, _ - . or /", where,
                          (int)REQUEST_TOOL_NAME_MAX);
    if (parameters && !js_is(parameters, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, where, "%s.parameters must be a JSON Schema, an object", where);
    for (size_t k = 0; k < i; k++)
        if (js_equal(js_get(js_get(js_at(tools, k), "function"), "name"), js_get(function, "name")))
            return api_refuse(f, FAULT_INVALID, where, "%s.name: two tools are called '%s'", where,
                              js_text(js_get(function, "name")));
    return true;
}

static bool read_choice(chat_call *c, api_fault *f)
{
    static const char *const words[] = { "auto", "none", "required" };
    const js *choice = api_value(c->body, "tool_choice"), *name = js_get(js_get(choice, "function"), "name");
    if (!choice)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (api_is_text(choice, words[i])) {
            c->neutral.tool_choice = (request_tool_choice)i;
            return i != TOOLS_REQUIRED || c->neutral.tools ||
                   api_refuse(f, FAULT_INVALID, "tool_choice", "'tool_choice' requires a call, but there are no tools");
        }
    if (!api_is_text(js_get(choice, "type"), "function") || !js_is(name, JS_STRING))
        return api_refuse(f, FAULT_INVALID, "tool_choice", "'tool_choice' must be \"auto\", \"none\", \"required\" or "
                          "{\"type\": \"function\", \"function\": {\"name\": …}}");
    for (size_t i = 0; i < js_len(c->neutral.tools); i++)
        if (js_equal(js_get(js_get(js_at(c->neutral.tools, i), "function"), "name"), name)) {
            c->neutral.tool_choice = TOOLS_NAMED;
            c->neutral.tool_name = js_text(name);
            return true;
        }
    return api_refuse(f, FAULT_INVALID, "tool_choice", "'tool_choice' names '%.128s', which is none of the tools",
                      js_text(name));
}

bool openai_read_tools(chat_call *c, api_fault *f)
{
    const js *tools = api_value(c->body, "tools");
    bool parallel = true;
    if (tools && (!js_is(tools, JS_ARRAY) || js_len(tools) > REQUEST_TOOLS_MAX))
        return api_refuse(f, FAULT_INVALID, "tools", "'tools' must be a list of at most %d", REQUEST_TOOLS_MAX);
    for (size_t i = 0; i < js_len(tools); i++)
        if (!read_tool(tools, i, f))
            return false;
    c->neutral.tools = js_len(tools) ? tools : NULL;
    if (!read_choice(c, f) || !api_read_bool(c->body, "parallel_tool_calls", &parallel, f))
        return false;
    c->neutral.one_call = !parallel;
    return true;
}

/* ---- the answer's shape ---- */

static bool set_shape(chat_call *c, request_shape shape, const char *field_name, api_fault *f)
{
    if (c->neutral.shape != SHAPE_FREE)
        return api_refuse(f, FAULT_INVALID, field_name, "'%s': the answer's format is given twice", field_name);
    c->neutral.shape = shape;
    return true;
}

static bool read_schema(chat_call *c, const js *format, api_fault *f)
{
    static const field fields[] = {
        { "name", FIELD_READ, NULL }, { "schema", FIELD_READ, NULL }, { "strict", FIELD_READ, NULL },
        { "description", FIELD_IGNORED, NULL },
    };
    const js *body = js_get(format, "json_schema"), *schema = js_get(body, "schema");
    bool strict = true;
    if (!js_is(body, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, "response_format.json_schema",
                          "'response_format.json_schema' is missing");
    if (!api_check_fields(body, fields, ARRAY_LEN(fields), "response_format.json_schema.", f) ||
        !api_read_text(body, "name", &c->neutral.shape_name, f) || !api_read_bool(body, "strict", &strict, f))
        return false;
    if (!js_is(schema, JS_OBJECT) && !js_is(schema, JS_BOOL))
        return api_refuse(f, FAULT_INVALID, "response_format.json_schema.schema",
                          "'response_format.json_schema.schema' must be a JSON Schema");
    c->neutral.schema = schema;
    c->neutral.relaxed = !strict;
    return set_shape(c, SHAPE_SCHEMA, "response_format", f);
}

static bool read_format(chat_call *c, api_fault *f)
{
    static const field fields[] = { { "type", FIELD_READ, NULL }, { "json_schema", FIELD_READ, NULL } };
    const js *format = api_value(c->body, "response_format"), *type = js_get(format, "type");
    if (!format)
        return true;
    if (!js_is(format, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, "response_format", "'response_format' must be an object, not a %s",
                          js_type_name(js_typeof(format)));
    if (!api_check_fields(format, fields, ARRAY_LEN(fields), "response_format.", f))
        return false;
    if (!type || api_is_text(type, "text"))
        return true;
    if (api_is_text(type, "json_object"))
        return set_shape(c, SHAPE_JSON, "response_format", f);
    if (api_is_text(type, "json_schema"))
        return read_schema(c, format, f);
    return api_refuse(f, FAULT_INVALID, "response_format.type", "'response_format.type' must be text, json_object or "
                      "json_schema");
}

/* grammar, regex and choices, as fields of the body or of structured_outputs. */
static bool read_texts(chat_call *c, const js *from, const char *choices_name, api_fault *f)
{
    const js *choices = api_value(from, choices_name);
    const char *grammar = NULL, *regex = NULL;
    if (!api_read_text(from, "grammar", &grammar, f) || !api_read_text(from, "regex", &regex, f))
        return false;
    if (grammar && *grammar) {
        c->neutral.shape_text = grammar;
        if (!set_shape(c, SHAPE_GRAMMAR, "grammar", f))
            return false;
    }
    if (regex) {
        c->neutral.shape_text = regex;
        if (!set_shape(c, SHAPE_REGEX, "regex", f))
            return false;
    }
    if (!choices)
        return true;
    if (!js_is(choices, JS_ARRAY) || !js_len(choices))
        return api_refuse(f, FAULT_INVALID, choices_name, "'%s' must be a list of texts", choices_name);
    for (size_t i = 0; i < js_len(choices); i++)
        if (!js_is(js_at(choices, i), JS_STRING) || !js_len(js_at(choices, i)))
            return api_refuse(f, FAULT_INVALID, choices_name, "'%s' must be a list of texts", choices_name);
    c->neutral.choices = choices;
    return set_shape(c, SHAPE_CHOICE, choices_name, f);
}

static bool read_structured(chat_call *c, api_fault *f)
{
    static const field fields[] = {
        { "json", FIELD_READ, NULL },   { "regex", FIELD_READ, NULL },       { "choice", FIELD_READ, NULL },
        { "grammar", FIELD_READ, NULL }, { "json_object", FIELD_READ, NULL },
    };
    const js *o = api_value(c->body, "structured_outputs"), *schema = api_value(o, "json");
    bool any = false;
    if (!o)
        return true;
    if (!js_is(o, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, "structured_outputs", "'structured_outputs' must be an object");
    if (!api_check_fields(o, fields, ARRAY_LEN(fields), "structured_outputs.", f) ||
        !api_read_bool(o, "json_object", &any, f) || !read_texts(c, o, "choice", f))
        return false;
    if (any && !set_shape(c, SHAPE_JSON, "structured_outputs", f))
        return false;
    if (!schema)
        return true;
    if (!js_is(schema, JS_OBJECT) && !js_is(schema, JS_BOOL))
        return api_refuse(f, FAULT_INVALID, "structured_outputs.json",
                          "'structured_outputs.json' must be a JSON Schema");
    c->neutral.schema = schema;
    return set_shape(c, SHAPE_SCHEMA, "structured_outputs", f);
}

bool openai_read_shape(chat_call *c, api_fault *f)
{
    const js *more = api_value(c->body, "chat_template_kwargs");
    if (!read_format(c, f) || !read_texts(c, c->body, "choices", f) || !read_structured(c, f))
        return false;
    if (c->neutral.shape != SHAPE_FREE && c->neutral.tool_choice >= TOOLS_REQUIRED)
        return api_refuse(f, FAULT_INVALID, "tool_choice",
                          "'tool_choice' requires a call: there is no text that could have a format");
    if (more && !js_is(more, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, "chat_template_kwargs",
                          "'chat_template_kwargs' must be an object, not a %s", js_type_name(js_typeof(more)));
    c->neutral.template_kwargs = js_len(more) ? more : NULL;
    return true;
}
