/* tools.c: `tools` and `tool_choice` of a task, by the rules of a request (src/api/openai_tools.c, request_check). */
#include <stdio.h>
#include <string.h>

#include "task/task_int.h"

enum { TOOLS_MAX = 512, TOOL_NAME_MAX = 128 }; /* REQUEST_TOOLS_MAX, REQUEST_TOOL_NAME_MAX */

static const js *function_at(const js *tools, size_t i)
{
    return js_get(js_at(tools, i), "function");
}

static bool good_name(const js *name)
{
    size_t n = js_is(name, JS_STRING) ? js_len(name) : 0;
    return n > 0 && n <= TOOL_NAME_MAX &&
           strspn(js_text(name), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./") == n;
}

bool tools_have(const task *t, const char *name)
{
    for (size_t i = 0; i < js_len(t->tools); i++)
        if (!strcmp(js_text(js_get(function_at(t->tools, i), "name")), name))
            return true;
    return false;
}

static status read_parameters(task_reader *r, const yaml *at, const char *name, const js *parameters)
{
    struct schema *checked = NULL;
    error why = { 0 };
    if (!parameters || js_typeof(parameters) == JS_NULL)
        return OK;
    if (!js_is(parameters, JS_OBJECT))
        return yaml_error(r->f, at, r->err, "the tool '%s': 'parameters' is a JSON Schema, a map", name);
    status s = schema_open(&checked, parameters, NULL, NULL, &why);
    schema_close(&checked);
    if (s == E_NOMEM)
        return task_no_memory(r->err);
    return s ? yaml_error(r->f, at, r->err, "the tool '%s': parameters: %s", name, why.text) : OK;
}

static status read_tool(task_reader *r, const yaml *at, const js *tools, size_t i)
{
    static const char *const outer[] = { "type", "function" };
    static const char *const inner[] = { "name", "description", "parameters", "strict" };
    const yaml *function = yaml_get(at, "function");
    const js *tool = js_at(tools, i), *f = function_at(tools, i), *name = js_get(f, "name"), *strict;
    const js *type = js_get(tool, "type"), *about = js_get(f, "description");
    if (!js_is(type, JS_STRING) || strcmp(js_text(type), "function") != 0 || !js_is(f, JS_OBJECT))
        return yaml_error(r->f, at, r->err, "a tool is {type: function, function: {name, description, parameters}}");
    status s = yaml_known_keys(r->f, at, outer, ARRAY_LEN(outer), r->err);
    if (!s)
        s = yaml_known_keys(r->f, function, inner, ARRAY_LEN(inner), r->err);
    if (s)
        return s;
    if (!good_name(name))
        return yaml_error(r->f, function, r->err, "a tool's name is 1 to %d letters, digits, _ - . or /",
                          TOOL_NAME_MAX);
    strict = js_get(f, "strict");
    if ((about && !js_is(about, JS_STRING)) || (strict && !js_is(strict, JS_BOOL)))
        return yaml_error(r->f, function, r->err, "the tool '%s': 'description' is a text, 'strict' true or false",
                          js_text(name));
    for (size_t k = 0; k < i; k++)
        if (js_equal(js_get(function_at(tools, k), "name"), name))
            return yaml_error(r->f, function, r->err, "two tools are called '%s'", js_text(name));
    return read_parameters(r, function, js_text(name), js_get(f, "parameters"));
}

/* A word, or {name: TOOL}. */
static status read_choice(task_reader *r, const yaml *choice)
{
    static const char *const words[] = { "auto", "none", "required" }, *const keys[] = { "name" };
    size_t word = 0;
    status s;
    if (choice->kind == YAML_SCALAR) {
        s = task_read_word(r, choice, words, ARRAY_LEN(words), &word);
        r->t->tool_choice = (task_tool_choice)word;
        return s;
    }
    s = choice->kind == YAML_MAP ? yaml_known_keys(r->f, choice, keys, ARRAY_LEN(keys), r->err) : E_FORMAT;
    if (!s && yaml_get(choice, "name"))
        s = task_read_text(r, yaml_get(choice, "name"), &r->t->tool_name);
    r->t->tool_choice = TASK_TOOLS_NAMED;
    if (!s && (!r->t->tool_name || !tools_have(r->t, r->t->tool_name)))
        s = E_FORMAT;
    if (s)
        return yaml_error(r->f, choice, r->err, "'tool_choice' is auto, none, required or {name: one of the tools}");
    return OK;
}

status tools_read(task_reader *r, const yaml *root)
{
    const yaml *tools = yaml_get(root, "tools"), *choice = yaml_get(root, "tool_choice");
    size_t n = yaml_count(tools), i = 0;
    status s = OK;
    const yaml *other = choice ? choice : yaml_get(root, "parallel_tool_calls");
    bool parallel = true;
    if (!tools)
        return other ? yaml_error(r->f, other, r->err, "'%s' without 'tools'", other->key) : OK;
    if (tools->kind != YAML_SEQ || n == 0 || n > TOOLS_MAX)
        return yaml_error(r->f, tools, r->err, "'tools' is a list of 1 to %d functions", TOOLS_MAX);
    if (r->t->schema)
        return yaml_error(r->f, tools, r->err, "'tools' and 'output.schema': a call would never be as the schema "
                          "demands; give one of them");
    r->t->memory->tools = yaml_to_js(tools);
    if (!r->t->memory->tools)
        return task_no_memory(r->err);
    for (const yaml *tool = tools->child; tool && !s; tool = tool->next)
        s = read_tool(r, tool, r->t->memory->tools, i++);
    if (s)
        return s;
    r->t->tools = r->t->memory->tools;
    s = task_read_bool(r, root, "parallel_tool_calls", &parallel);
    r->t->one_call = !parallel;
    return s ? s : choice ? read_choice(r, choice) : OK;
}
