/* ollama_messages.c: Ollama's messages in OpenAI's words, for openai_messages.c to check and complete. Theirs have no
 * call ids: a result names its tool, and belongs to the first call of that tool which has none yet. */
#include <stdio.h>
#include <string.h>

#include "api/ollama_int.h"

static const field message_fields[] = {
    { "role", FIELD_READ, NULL },       { "content", FIELD_READ, NULL },   { "thinking", FIELD_READ, NULL },
    { "tool_calls", FIELD_READ, NULL }, { "tool_name", FIELD_READ, NULL }, { "tool_call_id", FIELD_READ, NULL },
    { "name", FIELD_READ, NULL },       { "images", FIELD_NEUTRAL, NULL },
};
static const field call_fields[] = { { "id", FIELD_READ, NULL }, { "type", FIELD_READ, NULL },
                                     { "function", FIELD_READ, NULL } };
static const field function_fields[] = { { "name", FIELD_READ, NULL }, { "arguments", FIELD_READ, NULL },
                                         { "index", FIELD_IGNORED, NULL }, { "description", FIELD_IGNORED, NULL } };

/* Copies a member that is there under OpenAI's name for it. */
static void take(js *out, const char *name, const js *from, const char *theirs)
{
    const js *v = js_get(from, theirs);
    if (v && !js_is(v, JS_NULL))
        js_set(out, name, js_copy(v));
}

/* ---- calls ---- */

/* A call gets the id that its result will name. */
static bool take_call(js *list, const js *call, size_t message, size_t i, api_fault *f)
{
    char where[72], inner[88], id[56];
    const js *function = js_get(call, "function"), *own = js_get(call, "id");
    snprintf(where, sizeof where, "messages[%zu].tool_calls[%zu].", message, i);
    snprintf(inner, sizeof inner, "%sfunction.", where);
    if (!api_check_fields(call, call_fields, ARRAY_LEN(call_fields), where, f) ||
        !api_check_fields(function, function_fields, ARRAY_LEN(function_fields), inner, f))
        return false;
    snprintf(id, sizeof id, "call_%zu_%zu", message, i);
    js *out = js_object();
    js_set(out, "id", js_is(own, JS_STRING) && js_len(own) ? js_copy(own) : js_new_string(id));
    js_set(out, "type", js_new_string("function"));
    js_set(out, "function", function ? js_copy(function) : js_null());
    return js_push(list, out) || api_no_memory(f);
}

static bool take_calls(js *out, const js *message, size_t index, api_fault *f)
{
    const js *calls = js_get(message, "tool_calls");
    if (!js_is(calls, JS_ARRAY)) { /* whatever else stands there is refused by its name later */
        take(out, "tool_calls", message, "tool_calls");
        return true;
    }
    js *list = js_array();
    js_set(out, "tool_calls", list);
    for (size_t i = 0; i < js_len(calls); i++)
        if (!take_call(list, js_at(calls, i), index, i, f))
            return false;
    return true;
}

/* ---- results ---- */

static bool is_answered(const js *done, size_t from, const js *id)
{
    for (size_t i = from; i < js_len(done); i++)
        if (js_equal(js_get(js_at(done, i), "tool_call_id"), id))
            return true;
    return false;
}

/* The id of the first call of this tool without a result, among those of the last message that has calls. */
static const js *owed_id(const js *done, const char *tool)
{
    size_t at = js_len(done);
    while (at > 0 && api_is_text(js_get(js_at(done, at - 1), "role"), "tool"))
        at--;
    const js *calls = at ? js_get(js_at(done, at - 1), "tool_calls") : NULL;
    for (size_t i = 0; js_is(calls, JS_ARRAY) && i < js_len(calls); i++) {
        const js *call = js_at(calls, i), *id = js_get(call, "id");
        if (api_is_text(js_get(js_get(call, "function"), "name"), tool) && !is_answered(done, at, id))
            return id;
    }
    return NULL;
}

static void take_result(js *out, const js *message, const js *done)
{
    const js *tool = js_get(message, "tool_name");
    if (!js_is(tool, JS_STRING))
        tool = js_get(message, "name");
    take(out, "tool_call_id", message, "tool_call_id");
    if (!js_is(tool, JS_STRING))
        return;
    const js *id = js_get(out, "tool_call_id") ? NULL : owed_id(done, js_text(tool));
    js_set(out, "name", js_copy(tool));
    if (id)
        js_set(out, "tool_call_id", js_copy(id));
}

/* ---- all ---- */

static bool take_message(js *list, const js *message, size_t i, api_fault *f)
{
    char where[40];
    snprintf(where, sizeof where, "messages[%zu].", i);
    if (!js_is(message, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, where, "messages[%zu] must be an object", i);
    if (!api_check_fields(message, message_fields, ARRAY_LEN(message_fields), where, f))
        return false;
    js *out = js_object();
    take(out, "role", message, "role");
    take(out, "content", message, "content");
    take(out, "reasoning_content", message, "thinking");
    bool ok = take_calls(out, message, i, f);
    if (api_is_text(js_get(message, "role"), "tool"))
        take_result(out, message, list);
    else
        take(out, "name", message, "name");
    return (js_push(list, out) || api_no_memory(f)) && ok;
}

js *ollama_messages(const js *list, api_fault *f)
{
    js *out = js_array();
    if (!js_is(list, JS_ARRAY) || js_len(list) > REQUEST_MESSAGES_MAX) {
        api_refuse(f, FAULT_INVALID, "messages", "'messages' must be a list of at most %d messages",
                   REQUEST_MESSAGES_MAX);
        js_free(out);
        return NULL;
    }
    for (size_t i = 0; i < js_len(list); i++)
        if (!take_message(out, js_at(list, i), i, f)) {
            js_free(out);
            return NULL;
        }
    if (!out)
        api_no_memory(f);
    return out;
}
