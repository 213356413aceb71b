/* openai_messages.c: the conversation. Messages of a role and a text become just that; anything richer (tool calls,
 * their results, reasoning) becomes a list of OpenAI's own message objects, checked and completed.
 *
 * A history may hold what an earlier answer got wrong, and a client cannot unsay it: missing ids are made up, results
 * belong to the calls before them in order, arguments may be any text. What is no history at all is a 400 that names
 * the place. */
#include <stdio.h>
#include <string.h>

#include "api/openai_int.h"

static const field message_fields[] = {
    { "role", FIELD_READ, NULL },           { "content", FIELD_READ, NULL },
    { "name", FIELD_READ, NULL },           { "refusal", FIELD_NEUTRAL, NULL },
    { "tool_calls", FIELD_READ, NULL },     { "tool_call_id", FIELD_READ, NULL },
    { "audio", FIELD_NEUTRAL, NULL },       { "function_call", FIELD_NEUTRAL, NULL },
    { "annotations", FIELD_IGNORED, NULL }, { "reasoning_content", FIELD_READ, NULL },
    { "reasoning", FIELD_READ, NULL },
};

/* What is read of one message. */
typedef struct reading {
    chat_call *c;
    size_t index;
    const js *message;
    char where[40];
    const char *role, *content;
    js *out;      /* its OpenAI form */
    bool rich;    /* more than role and text */
} reading;

/* ---- content ---- */

static bool join_parts(reading *r, const js *parts, api_fault *f)
{
    buf text = BUF_INIT(REQUEST_BYTES_MAX);
    for (size_t i = 0; i < js_len(parts); i++) {
        const js *part = js_at(parts, i), *type = js_get(part, "type"), *piece = js_get(part, "text");
        char path[96];
        snprintf(path, sizeof path, "%s.content[%zu]", r->where, i);
        if (!js_is(type, JS_STRING) || strcmp(js_text(type), "text") != 0 || !js_is(piece, JS_STRING)) {
            buf_clear(&text);
            return api_refuse(f, FAULT_INVALID, path, "%s is of type '%s'; only text can be read here", path,
                              js_is(type, JS_STRING) ? js_text(type) : "?");
        }
        if (memchr(js_text(piece), 0, js_len(piece))) {
            buf_clear(&text);
            return api_refuse(f, FAULT_INVALID, path, "%s holds a zero byte", path);
        }
        buf_add(&text, js_text(piece), js_len(piece));
    }
    char *copy = text.failed ? NULL : arena_strndup(&r->c->memory, buf_text(&text), text.len);
    buf_clear(&text);
    r->content = copy;
    return copy ? true : api_no_memory(f);
}

static bool read_content(reading *r, api_fault *f)
{
    const js *content = js_get(r->message, "content");
    r->content = NULL;
    if (!content || js_is(content, JS_NULL))
        return true;
    if (js_is(content, JS_ARRAY))
        return join_parts(r, content, f);
    if (!js_is(content, JS_STRING))
        return api_refuse(f, FAULT_INVALID, r->where, "%s.content must be a string or a list of parts", r->where);
    if (memchr(js_text(content), 0, js_len(content)))
        return api_refuse(f, FAULT_INVALID, r->where, "%s.content holds a zero byte", r->where);
    r->content = js_text(content);
    return true;
}

static bool read_role(reading *r, api_fault *f)
{
    static const char *const roles[][2] = {
        { "system", "system" },       { "developer", "system" }, { "user", "user" },
        { "assistant", "assistant" }, { "tool", "tool" },        { "function", "tool" },
    };
    const js *role = js_get(r->message, "role");
    for (size_t i = 0; js_is(role, JS_STRING) && i < ARRAY_LEN(roles); i++) {
        if (strcmp(js_text(role), roles[i][0]) == 0) {
            r->role = roles[i][1];
            return true;
        }
    }
    return api_refuse(f, FAULT_INVALID, r->where, "%s.role must be system, developer, user, assistant or tool",
                      r->where);
}

/* ---- texts that stand beside the content ---- */

/* A member that is text, or not there. */
static bool read_text(reading *r, const char *name, const js **out, api_fault *f)
{
    const js *v = js_get(r->message, name);
    *out = NULL;
    if (!v || js_is(v, JS_NULL))
        return true;
    if (!js_is(v, JS_STRING) || memchr(js_text(v), 0, js_len(v))) {
        char path[96];
        snprintf(path, sizeof path, "%s.%s", r->where, name);
        return api_refuse(f, FAULT_INVALID, path, "%s must be a string", path);
    }
    *out = js_len(v) ? v : NULL;
    return true;
}

static bool read_reasoning(reading *r, api_fault *f)
{
    const js *a, *b;
    if (!read_text(r, "reasoning_content", &a, f) || !read_text(r, "reasoning", &b, f))
        return false;
    if (strcmp(r->role, "assistant") == 0 && (a || b)) {
        r->rich = true;
        js_set(r->out, "reasoning_content", js_copy(a ? a : b));
    }
    return true;
}

static bool read_name(reading *r, api_fault *f)
{
    const js *name;
    char path[96];
    if (!read_text(r, "name", &name, f))
        return false;
    snprintf(path, sizeof path, "%s.name", r->where);
    if (name && strcmp(r->role, "tool") != 0)
        return api_refuse(f, FAULT_INVALID, path, "field '%s' is not supported here and would change the answer; leave "
                          "it out", path);
    if (name)
        js_set(r->out, "name", js_copy(name));
    return true;
}

/* ---- calls and their results ---- */

static bool refuse_call(const reading *r, size_t i, const char *what, api_fault *f)
{
    char path[96];
    snprintf(path, sizeof path, "%s.tool_calls[%zu]", r->where, i);
    return api_refuse(f, FAULT_INVALID, path, "%s%s", path, what);
}

/* One call, completed. */
static bool read_call(reading *r, js *list, size_t i, const js *call, api_fault *f)
{
    const js *type = js_get(call, "type"), *function = js_get(call, "function"), *name = js_get(function, "name");
    const js *arguments = js_get(function, "arguments"), *id = js_get(call, "id");
    char own[48];
    if (!js_is(function, JS_OBJECT) || (js_is(type, JS_STRING) && strcmp(js_text(type), "function") != 0))
        return refuse_call(r, i, " must be a call of type 'function' with its 'function' object", f);
    if (!js_is(name, JS_STRING) || !js_len(name) || js_len(name) > REQUEST_TOOL_NAME_MAX ||
        memchr(js_text(name), 0, js_len(name)))
        return refuse_call(r, i, ".function.name must be a name", f);
    bool nothing = !arguments || js_is(arguments, JS_NULL) || (js_is(arguments, JS_STRING) && !js_len(arguments));
    if (!nothing && !js_is(arguments, JS_STRING) && !js_is(arguments, JS_OBJECT))
        return refuse_call(r, i, ".function.arguments must be JSON as text", f);
    snprintf(own, sizeof own, "call_%zu_%zu", r->index, i);
    js *out = js_object(), *out_function = js_object();
    buf text = BUF_INIT(REQUEST_BYTES_MAX);
    if (js_is(arguments, JS_OBJECT))
        js_write(arguments, JS_COMPACT, &text);
    js_set(out, "id", js_new_string(js_is(id, JS_STRING) && js_len(id) ? js_text(id) : own));
    js_set(out, "type", js_new_string("function"));
    js_set(out_function, "name", js_new_string(js_text(name)));
    js_set(out_function, "arguments", nothing                        ? js_new_string("{}")
                                      : js_is(arguments, JS_OBJECT) ? js_new_string(buf_text(&text))
                                                                    : js_copy(arguments));
    js_set(out, "function", out_function);
    buf_clear(&text);
    return js_push(list, out) ? true : api_no_memory(f);
}

static bool read_calls(reading *r, api_fault *f)
{
    const js *calls = js_get(r->message, "tool_calls");
    char path[96];
    if (!calls || js_is(calls, JS_NULL) || (js_is(calls, JS_ARRAY) && !js_len(calls)))
        return true;
    snprintf(path, sizeof path, "%s.tool_calls", r->where);
    if (!js_is(calls, JS_ARRAY) || strcmp(r->role, "assistant") != 0)
        return api_refuse(f, FAULT_INVALID, path, "%s must be a list, in a message of the assistant", path);
    js *list = js_array();
    js_set(r->out, "tool_calls", list);
    r->rich = true;
    for (size_t i = 0; i < js_len(calls); i++)
        if (!read_call(r, list, i, js_at(calls, i), f))
            return false;
    return true;
}

/* The id of the call whose result this could be: of the calls of the last assistant message the one that has as many
 * before it as there were results since. */
static const js *owed_call(const js *conversation)
{
    size_t results = 0;
    for (size_t i = js_len(conversation); i > 0; i--) {
        const js *m = js_at(conversation, i - 1);
        const char *role = js_text(js_get(m, "role"));
        if (strcmp(role, "tool") != 0)
            return js_at(js_get(m, "tool_calls"), results);
        results++;
    }
    return NULL;
}

static bool read_result(reading *r, const js *conversation, api_fault *f)
{
    const js *id;
    if (!read_text(r, "tool_call_id", &id, f))
        return false;
    if (strcmp(r->role, "tool") != 0)
        return true;
    r->rich = true;
    const js *owed = owed_call(conversation);
    if (!id)
        id = js_get(owed, "id");
    js_set(r->out, "tool_call_id", id ? js_copy(id) : js_new_string("call_unknown"));
    return true;
}

/* ---- all of them ---- */

static bool read_message(reading *r, const js *conversation, api_fault *f)
{
    char prefix[44];
    snprintf(prefix, sizeof prefix, "%s.", r->where);
    if (!js_is(r->message, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, r->where, "%s must be an object", r->where);
    if (!api_check_fields(r->message, message_fields, ARRAY_LEN(message_fields), prefix, f) || !read_role(r, f) ||
        !read_content(r, f))
        return false;
    js_set(r->out, "role", js_new_string(r->role));
    bool calls = js_len(js_get(r->message, "tool_calls")) > 0;
    js_set(r->out, "content", r->content || !calls ? js_new_string(r->content ? r->content : "") : js_null());
    return read_calls(r, f) && read_result(r, conversation, f) && read_name(r, f) && read_reasoning(r, f);
}

bool openai_read_messages(chat_call *c, api_fault *f)
{
    const js *list = js_get(c->body, "messages");
    if (!list || js_is(list, JS_NULL))
        return c->input ? true : api_refuse(f, FAULT_INVALID, "messages", "'messages' is missing");
    size_t n = js_len(list);
    if (!js_is(list, JS_ARRAY) || (!n && !c->input) || n > REQUEST_MESSAGES_MAX)
        return api_refuse(f, FAULT_INVALID, "messages", "'messages' must be a list of 1 to %d messages",
                          REQUEST_MESSAGES_MAX);
    request_message *messages = arena_alloc(&c->memory, (n + 1) * sizeof *messages);
    c->conversation = js_array();
    if (!messages || !c->conversation)
        return api_no_memory(f);
    bool rich = false;
    for (size_t i = 0; i < n; i++) {
        reading r = { .c = c, .index = i, .message = js_at(list, i), .out = js_object() };
        snprintf(r.where, sizeof r.where, "messages[%zu]", i);
        bool ok = read_message(&r, c->conversation, f);
        if (!js_push(c->conversation, r.out) && ok)
            ok = api_no_memory(f);
        if (!ok)
            return false;
        messages[i] = (request_message){ r.role, r.content ? r.content : "" };
        rich = rich || r.rich;
    }
    c->neutral.messages = messages;
    c->neutral.n_messages = n;
    c->neutral.conversation = rich ? c->conversation : NULL;
    return true;
}
