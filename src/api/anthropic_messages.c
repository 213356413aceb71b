/* anthropic_messages.c: content blocks to OpenAI's messages. An assistant's blocks become one message (texts joined as
 * they are, thoughts as reasoning_content, tool_use as tool_calls); a user's tool_result blocks become messages of the
 * role tool, before and after which its texts stand as messages of the user.
 *
 * A history may hold what an earlier answer got wrong, and a client cannot unsay it: a call or result without an id
 * gets one by its number, an input that is no object is shown as it is. */
#include <stdio.h>
#include <string.h>

#include "api/anthropic_int.h"
#include "base/mem.h"

/* What is read of one message. */
typedef struct reading {
    anthropic_call *c;
    const char *role;
    char where[64];      /* the place in the request: of the message, then of a block */
    buf text, thought;   /* since the last flush */
    bool any_text;
    js *calls;           /* NULL: none */
    size_t *n_calls, *n_results; /* of the whole conversation */
    bool *rich;
} reading;

typedef bool read_block(reading *r, const js *block, api_fault *f);

/* A text of a block; NULL after a fault. */
static const js *text_of(const reading *r, const js *block, const char *name, api_fault *f)
{
    const js *v = js_get(block, name);
    if (js_is(v, JS_STRING) && !memchr(js_text(v), 0, js_len(v)))
        return v;
    api_refuse(f, FAULT_INVALID, r->where, "%s.%s must be a string without zero bytes", r->where, name);
    return NULL;
}

static js *new_message(reading *r, const char *role, const char *text)
{
    js *m = js_object();
    js_set(m, "role", js_new_string(role));
    js_set(m, "content", text ? js_new_string(text) : js_null());
    return js_push(r->c->conversation, m) ? m : NULL;
}

/* ---- blocks ---- */

static bool add_text(reading *r, const js *block, api_fault *f)
{
    const js *text = text_of(r, block, "text", f);
    if (!text)
        return false;
    buf_add(&r->text, js_text(text), js_len(text));
    r->any_text = true;
    return true;
}

static bool add_thought(reading *r, const js *block, api_fault *f)
{
    const js *text = text_of(r, block, "thinking", f);
    if (text)
        buf_add(&r->thought, js_text(text), js_len(text));
    return text != NULL;
}

/* Thoughts that only Anthropic's own servers can read. */
static bool skip_block(reading *r, const js *block, api_fault *f)
{
    (void)r, (void)block, (void)f;
    return true;
}

/* The id that is given, or one by number. False: a fault. */
static bool read_id(const reading *r, const js *block, const char *name, size_t number, char own[32], const char **out,
                    api_fault *f)
{
    const js *id = api_value(block, name);
    snprintf(own, 32, "toolu_%zu", number);
    *out = own;
    if (!id || (js_is(id, JS_STRING) && !js_len(id)))
        return true;
    id = text_of(r, block, name, f);
    *out = id ? js_text(id) : NULL;
    return id != NULL;
}

static bool add_call(reading *r, const js *block, api_fault *f)
{
    const js *name = text_of(r, block, "name", f), *input = api_value(block, "input");
    char own[32];
    const char *id;
    if (!name || !read_id(r, block, "id", (*r->n_calls)++, own, &id, f))
        return false;
    if (!js_len(name) || js_len(name) > REQUEST_TOOL_NAME_MAX)
        return api_refuse(f, FAULT_INVALID, r->where, "%s.name must be a name", r->where);
    buf arguments = BUF_INIT(REQUEST_BYTES_MAX);
    if (input)
        js_write(input, JS_COMPACT, &arguments);
    js *call = js_object(), *function = js_object();
    js_set(call, "id", js_new_string(id));
    js_set(call, "type", js_new_string("function"));
    js_set(function, "name", js_new_string(js_text(name)));
    js_set(function, "arguments", js_new_string(input ? buf_text(&arguments) : "{}"));
    bool ok = js_set(call, "function", function) && !arguments.failed;
    buf_clear(&arguments);
    if (!r->calls)
        r->calls = js_array();
    return (js_push(r->calls, call) && ok) || api_no_memory(f);
}

/* ---- results ---- */

static bool flush(reading *r, api_fault *f)
{
    if (r->text.failed || r->thought.failed)
        return api_refuse(f, FAULT_INVALID, r->where, "%s: more than %d bytes", r->where, (int)REQUEST_BYTES_MAX);
    bool ok = !r->any_text || new_message(r, r->role, buf_text(&r->text));
    buf_reset(&r->text);
    r->any_text = false;
    return ok || api_no_memory(f);
}

/* The result's text: a string, or blocks of text. */
static bool join_result(const reading *r, const js *content, buf *out, api_fault *f)
{
    if (js_is(content, JS_STRING) && !memchr(js_text(content), 0, js_len(content))) {
        buf_add(out, js_text(content), js_len(content));
        return true;
    }
    if (!js_is(content, JS_ARRAY))
        return api_refuse(f, FAULT_INVALID, r->where, "%s.content must be a string without zero bytes, or a list of "
                          "blocks", r->where);
    for (size_t i = 0; i < js_len(content); i++) {
        const js *type = js_get(js_at(content, i), "type"), *text = js_get(js_at(content, i), "text");
        if (!js_is(type, JS_STRING) || strcmp(js_text(type), "text") != 0 || !js_is(text, JS_STRING) ||
            memchr(js_text(text), 0, js_len(text)))
            return api_refuse(f, FAULT_INVALID, r->where, "%s.content[%zu] is of type '%.64s'; only text can be read "
                              "here", r->where, i, js_is(type, JS_STRING) ? js_text(type) : "?");
        buf_add(out, js_text(text), js_len(text));
    }
    return true;
}

static bool add_result(reading *r, const js *block, api_fault *f)
{
    const js *content = api_value(block, "content");
    buf text = BUF_INIT(REQUEST_BYTES_MAX);
    bool failed = false;
    char own[32];
    const char *id;
    *r->rich = true;
    if (!read_id(r, block, "tool_use_id", (*r->n_results)++, own, &id, f) ||
        !api_read_bool(block, "is_error", &failed, f) || !flush(r, f))
        return false;
    if (failed)
        buf_str(&text, "Error: "); /* OpenAI's messages have no other way to say it */
    bool ok = !content || join_result(r, content, &text, f);
    if (ok) {
        js *m = text.failed ? NULL : new_message(r, "tool", buf_text(&text));
        ok = (m && js_set(m, "tool_call_id", js_new_string(id))) || api_no_memory(f);
    }
    buf_clear(&text);
    return ok;
}

/* ---- all of them ---- */

#define BLOCK_FIELDS { "type", FIELD_READ, NULL }, { "cache_control", FIELD_IGNORED, NULL }
static const field text_fields[] = { BLOCK_FIELDS, { "text", FIELD_READ, NULL }, { "citations", FIELD_NEUTRAL, NULL },
                                     { "parsed_output", FIELD_IGNORED, NULL } };
static const field thinking_fields[] = { BLOCK_FIELDS, { "thinking", FIELD_READ, NULL },
                                         { "signature", FIELD_IGNORED, NULL }, { "data", FIELD_IGNORED, NULL } };
static const field call_fields[] = { BLOCK_FIELDS, { "id", FIELD_READ, NULL }, { "name", FIELD_READ, NULL },
                                     { "input", FIELD_READ, NULL }, { "caller", FIELD_IGNORED, NULL },
                                     { "toolset_name", FIELD_NEUTRAL, NULL } };
static const field result_fields[] = { BLOCK_FIELDS, { "tool_use_id", FIELD_READ, NULL },
                                       { "content", FIELD_READ, NULL }, { "is_error", FIELD_READ, NULL },
                                       { "toolset_name", FIELD_NEUTRAL, NULL } };
static const struct block_type {
    const char *type, *role; /* role NULL: any */
    read_block *read;
    const field *fields;
    size_t n_fields;
} block_types[] = {
    { "text", NULL, add_text, text_fields, ARRAY_LEN(text_fields) },
    { "thinking", "assistant", add_thought, thinking_fields, ARRAY_LEN(thinking_fields) },
    { "redacted_thinking", "assistant", skip_block, thinking_fields, ARRAY_LEN(thinking_fields) },
    { "tool_use", "assistant", add_call, call_fields, ARRAY_LEN(call_fields) },
    { "tool_result", "user", add_result, result_fields, ARRAY_LEN(result_fields) },
};

static bool read_any(reading *r, const js *block, api_fault *f)
{
    const js *type = js_get(block, "type");
    const char *name = js_is(type, JS_STRING) ? js_text(type) : "?";
    char prefix[72];
    snprintf(prefix, sizeof prefix, "%s.", r->where);
    for (size_t i = 0; i < ARRAY_LEN(block_types); i++) {
        const struct block_type *t = &block_types[i];
        if (strcmp(name, t->type) != 0)
            continue;
        if (t->role && strcmp(t->role, r->role) != 0)
            return api_refuse(f, FAULT_INVALID, r->where, "%s is of type '%s', which the role '%s' does not have",
                              r->where, name, r->role);
        return api_check_fields(block, t->fields, t->n_fields, prefix, f) && t->read(r, block, f);
    }
    return api_refuse(f, FAULT_INVALID, r->where, "%s is of type '%.64s'; only text, thinking, tool_use and "
                      "tool_result can be read here", r->where, name);
}

/* path: of the content. */
static bool read_content(reading *r, const js *content, const char *path, api_fault *f)
{
    snprintf(r->where, sizeof r->where, "%s", path);
    if (js_is(content, JS_STRING) && !memchr(js_text(content), 0, js_len(content))) {
        buf_add(&r->text, js_text(content), js_len(content));
        r->any_text = true;
        return true;
    }
    if (!js_is(content, JS_ARRAY))
        return api_refuse(f, FAULT_INVALID, path, "%s must be a string without zero bytes, or a list of blocks", path);
    for (size_t i = 0; i < js_len(content); i++) {
        snprintf(r->where, sizeof r->where, "%s[%zu]", path, i);
        if (!read_any(r, js_at(content, i), f))
            return false;
    }
    return true;
}

/* What the blocks of one message came to. */
static bool close_message(reading *r, api_fault *f)
{
    if (!r->calls && !r->thought.len)
        return flush(r, f);
    *r->rich = true;
    if (r->text.failed || r->thought.failed)
        return flush(r, f);
    js *m = new_message(r, r->role, r->any_text || !r->calls ? buf_text(&r->text) : NULL);
    bool ok = m != NULL;
    if (ok && r->calls) {
        ok = js_set(m, "tool_calls", r->calls);
        r->calls = NULL;
    }
    if (ok && r->thought.len)
        ok = js_set(m, "reasoning_content", js_new_string(buf_text(&r->thought)));
    return ok || api_no_memory(f);
}

static bool read_message(reading *r, const js *content, const char *path, api_fault *f)
{
    r->text = r->thought = (buf)BUF_INIT(REQUEST_BYTES_MAX);
    bool ok = read_content(r, content, path, f) && close_message(r, f);
    js_free(r->calls);
    buf_clear(&r->text);
    buf_clear(&r->thought);
    return ok;
}

static const char *role_of(const js *message)
{
    static const char *const roles[] = { "user", "assistant", "system" };
    const js *role = js_get(message, "role");
    for (size_t i = 0; js_is(role, JS_STRING) && i < ARRAY_LEN(roles); i++)
        if (strcmp(js_text(role), roles[i]) == 0)
            return roles[i];
    return NULL;
}

static bool read_list(anthropic_call *c, const js *list, bool *rich, api_fault *f)
{
    static const field fields[] = { { "role", FIELD_READ, NULL }, { "content", FIELD_READ, NULL } };
    const js *system = api_value(c->body, "system");
    size_t n_calls = 0, n_results = 0;
    reading r = { .c = c, .role = "system", .n_calls = &n_calls, .n_results = &n_results, .rich = rich };
    if (system && !read_message(&r, system, "system", f))
        return false;
    for (size_t i = 0; i < js_len(list); i++) {
        const js *m = js_at(list, i);
        char path[48];
        r = (reading){ .c = c, .role = role_of(m), .n_calls = &n_calls, .n_results = &n_results, .rich = rich };
        snprintf(path, sizeof path, "messages[%zu].", i);
        if (!r.role)
            return api_refuse(f, FAULT_INVALID, path, "%srole must be user, assistant or system", path);
        if (!api_check_fields(m, fields, ARRAY_LEN(fields), path, f))
            return false;
        snprintf(path, sizeof path, "messages[%zu].content", i);
        if (!read_message(&r, js_get(m, "content"), path, f))
            return false;
    }
    return true;
}

bool anthropic_read_messages(anthropic_call *c, api_fault *f)
{
    const js *list = js_get(c->body, "messages");
    size_t n = js_len(list);
    bool rich = false;
    if (!js_is(list, JS_ARRAY) || !n || n > REQUEST_MESSAGES_MAX)
        return api_refuse(f, FAULT_INVALID, "messages", "'messages' must be a list of 1 to %d messages",
                          REQUEST_MESSAGES_MAX);
    const char *last = role_of(js_at(list, n - 1));
    if (!c->count && last && strcmp(last, "assistant") == 0)
        return api_refuse(f, FAULT_INVALID, "messages", "'messages' ends with one of the assistant: an answer cannot "
                          "be begun by the caller here");
    if (!(c->conversation = js_array()))
        return api_no_memory(f);
    if (!read_list(c, list, &rich, f))
        return false;
    n = js_len(c->conversation);
    if (!n || n > REQUEST_MESSAGES_MAX)
        return api_refuse(f, FAULT_INVALID, "messages", "'messages' come to %zu; there must be 1 to %d", n,
                          REQUEST_MESSAGES_MAX);
    if (!(c->messages = mem_array(n, sizeof *c->messages)))
        return api_no_memory(f);
    for (size_t i = 0; i < n; i++) {
        const js *m = js_at(c->conversation, i), *content = js_get(m, "content");
        c->messages[i] = (request_message){ js_text(js_get(m, "role")),
                                            js_is(content, JS_STRING) ? js_text(content) : "" };
    }
    c->neutral.messages = c->messages;
    c->neutral.n_messages = n;
    c->neutral.conversation = rich ? c->conversation : NULL;
    return true;
}
