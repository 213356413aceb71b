/* openai_responses_items.c: input items in the words of chat completions, for openai_messages.c to complete. What the
 * assistant did in one turn is several items there and one message here: a thought begins one, a text or calls go on
 * with it. */
#include <stdio.h>
#include <string.h>

#include "api/openai_responses_int.h"

typedef struct reading {
    js *messages;
    js *turn;       /* the assistant's message that further items join, one of `messages`; NULL: none */
    char where[32]; /* the item's place in the request */
} reading;

typedef bool read_item(reading *r, const js *item, api_fault *f);

static bool is_text(const js *v)
{
    return js_is(v, JS_STRING) && !memchr(js_text(v), 0, js_len(v));
}

/* ---- texts ---- */

static bool is_text_part(const js *type)
{
    static const char *const known[] = { "input_text", "output_text", "text", "summary_text", "reasoning_text" };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (api_is_text(type, known[i]))
            return true;
    return false;
}

static bool add_part(buf *out, const js *part, const char *path, api_fault *f)
{
    static const field fields[] = {
        { "type", FIELD_READ, NULL },        { "text", FIELD_READ, NULL },      { "annotations", FIELD_IGNORED, NULL },
        { "logprobs", FIELD_IGNORED, NULL }, { "parsed", FIELD_IGNORED, NULL },
        { "prompt_cache_breakpoint", FIELD_IGNORED, NULL },
    };
    const js *type = js_get(part, "type"), *text = js_get(part, "text");
    char prefix[80];
    snprintf(prefix, sizeof prefix, "%s.", path);
    if (!is_text_part(type))
        return api_refuse(f, FAULT_INVALID, path, "%s is of type '%.64s'; only text can be read here", path,
                          js_is(type, JS_STRING) ? js_text(type) : "?");
    if (!api_check_fields(part, fields, ARRAY_LEN(fields), prefix, f))
        return false;
    if (!is_text(text))
        return api_refuse(f, FAULT_INVALID, path, "%s.text must be a string without zero bytes", path);
    buf_add(out, js_text(text), js_len(text));
    return true;
}

/* The member, a text or a list of parts, as one text. NULL and *ok false: a fault. */
static js *join(const reading *r, const js *item, const char *name, bool *ok, api_fault *f)
{
    const js *v = js_get(item, name);
    buf text = BUF_INIT(REQUEST_BYTES_MAX);
    char path[72];
    if (is_text(v))
        return js_copy(v);
    snprintf(path, sizeof path, "%s.%s", r->where, name);
    *ok = js_is(v, JS_ARRAY) || api_refuse(f, FAULT_INVALID, path, "%s must be a string without zero bytes, or a list "
                                           "of parts", path);
    for (size_t i = 0; i < js_len(v) && *ok; i++) {
        snprintf(path, sizeof path, "%s.%s[%zu]", r->where, name, i);
        *ok = add_part(&text, js_at(v, i), path, f);
    }
    if (*ok && text.failed)
        *ok = api_refuse(f, FAULT_INVALID, r->where, "%s: more than %d bytes", r->where, (int)REQUEST_BYTES_MAX);
    js *joined = *ok ? js_new_stringn(buf_text(&text), text.len) : NULL;
    buf_clear(&text);
    return joined;
}

/* ---- messages ---- */

static js *new_message(reading *r, const char *role, js *content)
{
    js *m = js_object();
    bool ok = js_set(m, "role", js_new_string(role));
    ok = js_set(m, "content", content) && ok;
    return js_push(r->messages, m) && ok ? m : NULL;
}

/* The assistant's message that is being put together, or a new one. */
static js *turn(reading *r)
{
    if (!r->turn)
        r->turn = new_message(r, "assistant", js_null());
    return r->turn;
}

static bool read_message(reading *r, const js *item, api_fault *f)
{
    static const char *const roles[] = { "user", "system", "developer", "assistant" };
    const js *role = js_get(item, "role");
    size_t i = 0;
    while (i < ARRAY_LEN(roles) && !api_is_text(role, roles[i]))
        i++;
    if (i == ARRAY_LEN(roles))
        return api_refuse(f, FAULT_INVALID, r->where, "%s.role must be user, assistant, system or developer",
                          r->where);
    bool ok = true, own = strcmp(roles[i], "assistant") == 0;
    js *content = join(r, item, "content", &ok, f);
    if (!ok)
        return false;
    if (!own || js_is(js_get(r->turn, "content"), JS_STRING))
        r->turn = NULL;
    ok = own ? js_set(turn(r), "content", content) : new_message(r, roles[i], content) != NULL;
    return ok || api_no_memory(f);
}

/* What a thought says; one that only OpenAI's servers can read is left out. */
static bool read_reasoning(reading *r, const js *item, api_fault *f)
{
    bool ok = true;
    js *text = NULL;
    if (js_len(js_get(item, "content")))
        text = join(r, item, "content", &ok, f);
    else if (js_len(js_get(item, "summary")))
        text = join(r, item, "summary", &ok, f);
    if (!text || !ok)
        return ok;
    r->turn = NULL;
    return js_set(turn(r), "reasoning_content", text) || api_no_memory(f);
}

/* ---- calls and their results ---- */

static bool take_text(const reading *r, js *out, const char *name, const js *item, const char *theirs, api_fault *f)
{
    const js *v = api_value(item, theirs);
    if (v && !is_text(v))
        return api_refuse(f, FAULT_INVALID, r->where, "%s.%s must be a string without zero bytes", r->where, theirs);
    return !js_len(v) || js_set(out, name, js_copy(v)) || api_no_memory(f);
}

static bool read_call(reading *r, const js *item, api_fault *f)
{
    const js *name = js_get(item, "name"), *arguments = api_value(item, "arguments");
    if (!is_text(name) || !js_len(name) || js_len(name) > REQUEST_TOOL_NAME_MAX)
        return api_refuse(f, FAULT_INVALID, r->where, "%s.name must be a name", r->where);
    if (arguments && !js_is(arguments, JS_STRING) && !js_is(arguments, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, r->where, "%s.arguments must be JSON as text", r->where);
    js *message = turn(r), *calls = js_get(message, "tool_calls"), *call = js_object(), *function = js_object();
    if (!calls && js_set(message, "tool_calls", js_array()))
        calls = js_get(message, "tool_calls");
    js_set(function, "name", js_copy(name));
    js_set(function, "arguments", arguments ? js_copy(arguments) : js_null());
    js_set(call, "function", function);
    bool ok = js_set(call, "type", js_new_string("function")) && take_text(r, call, "id", item, "call_id", f);
    return (js_push(calls, call) || api_no_memory(f)) && ok;
}

static bool read_result(reading *r, const js *item, api_fault *f)
{
    bool ok = true;
    js *output = join(r, item, "output", &ok, f);
    if (!ok)
        return false;
    r->turn = NULL;
    js *message = new_message(r, "tool", output);
    return message ? take_text(r, message, "tool_call_id", item, "call_id", f) &&
                         take_text(r, message, "name", item, "name", f)
                   : api_no_memory(f);
}

/* ---- all items ---- */

#define ITEM_FIELDS { "type", FIELD_READ, NULL }, { "id", FIELD_IGNORED, NULL }, { "status", FIELD_IGNORED, NULL }
static const field message_fields[] = { ITEM_FIELDS, { "role", FIELD_READ, NULL }, { "content", FIELD_READ, NULL },
                                        { "phase", FIELD_IGNORED, NULL } };
static const field reasoning_fields[] = { ITEM_FIELDS, { "content", FIELD_READ, NULL }, { "summary", FIELD_READ, NULL },
                                          { "encrypted_content", FIELD_IGNORED, NULL } };
static const field call_fields[] = { ITEM_FIELDS, { "call_id", FIELD_READ, NULL }, { "name", FIELD_READ, NULL },
                                     { "arguments", FIELD_READ, NULL }, { "parsed_arguments", FIELD_IGNORED, NULL },
                                     { "caller", FIELD_IGNORED, NULL }, { "namespace", FIELD_NEUTRAL, NULL },
                                     { "async", FIELD_NEUTRAL, NULL } };
static const field result_fields[] = { ITEM_FIELDS, { "call_id", FIELD_READ, NULL }, { "output", FIELD_READ, NULL },
                                       { "name", FIELD_READ, NULL }, { "caller", FIELD_IGNORED, NULL },
                                       { "namespace", FIELD_NEUTRAL, NULL } };
static const struct item_type {
    const char *type;
    read_item *read;
    const field *fields;
    size_t n_fields;
} item_types[] = {
    { "message", read_message, message_fields, ARRAY_LEN(message_fields) },
    { "reasoning", read_reasoning, reasoning_fields, ARRAY_LEN(reasoning_fields) },
    { "function_call", read_call, call_fields, ARRAY_LEN(call_fields) },
    { "function_call_output", read_result, result_fields, ARRAY_LEN(result_fields) },
};

static bool read_any(reading *r, const js *item, api_fault *f)
{
    const js *type = api_value(item, "type");
    const char *name = js_is(type, JS_STRING) ? js_text(type) : !type && js_get(item, "role") ? "message" : "?";
    char prefix[40];
    snprintf(prefix, sizeof prefix, "%s.", r->where);
    for (size_t i = 0; i < ARRAY_LEN(item_types); i++)
        if (strcmp(name, item_types[i].type) == 0)
            return api_check_fields(item, item_types[i].fields, item_types[i].n_fields, prefix, f) &&
                   item_types[i].read(r, item, f);
    if (strcmp(name, "item_reference") == 0)
        return api_refuse(f, FAULT_INVALID, r->where, "%s refers to an item, but none are kept here: send the item "
                          "itself (with the official client: store=False)", r->where);
    return api_refuse(f, FAULT_INVALID, r->where, "%s is of type '%.64s'; only message, reasoning, function_call and "
                      "function_call_output can be read here", r->where, name);
}

js *responses_messages(const char *instructions, const js *input, api_fault *f)
{
    reading r = { .messages = js_array(), .where = "input" };
    bool ok = r.messages && (!instructions || new_message(&r, "system", js_new_string(instructions)));
    if (!ok)
        api_no_memory(f);
    else if (is_text(input))
        ok = new_message(&r, "user", js_copy(input)) || api_no_memory(f);
    else if (!js_is(input, JS_ARRAY) || !js_len(input) || js_len(input) >= REQUEST_MESSAGES_MAX)
        ok = api_refuse(f, FAULT_INVALID, "input", "'input' must be a text without zero bytes, or a list of 1 to %d "
                        "items", REQUEST_MESSAGES_MAX - 1);
    for (size_t i = 0; ok && i < js_len(input) && js_is(input, JS_ARRAY); i++) {
        snprintf(r.where, sizeof r.where, "input[%zu]", i);
        ok = read_any(&r, js_at(input, i), f);
    }
    if (ok)
        return r.messages;
    js_free(r.messages);
    return NULL;
}
