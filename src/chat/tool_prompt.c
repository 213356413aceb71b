/* tool_prompt.c: see the header. */
#include "chat/tool_prompt.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { PROMPT_BYTES_MAX = 16 << 20 };

typedef struct rewrite {
    const tool_format *f;
    const tool_abilities *can;
    const js *tools;
    bool must;
    js *out;
    js *names; /* id as the client gave it -> the call's name */
    bool ours; /* the last message is one that results became */
    bool failed;
} rewrite;

static bool has_role(const js *m, const char *role)
{
    const js *r = js_get(m, "role");
    return js_is(r, JS_STRING) && strcmp(js_text(r), role) == 0;
}

static bool is_text(const js *v)
{
    return js_is(v, JS_STRING);
}

bool tool_prompt_is_needed(const js *messages, const js *tools)
{
    for (size_t i = 0; i < js_len(messages); i++)
        if (js_get(js_at(messages, i), "tool_calls") || has_role(js_at(messages, i), "tool"))
            return true;
    return js_len(tools) > 0;
}

static void put(rewrite *w, js *object, const char *key, js *value)
{
    w->failed |= !js_set(object, key, value);
}

/* The text of a content, parts joined; NULL without memory. */
static void add_content(const js *content, buf *out)
{
    if (is_text(content))
        buf_add(out, js_text(content), js_len(content));
    for (size_t i = 0; js_is(content, JS_ARRAY) && i < js_len(content); i++) {
        const js *text = js_get(js_at(content, i), "text");
        if (is_text(text))
            buf_add(out, js_text(text), js_len(text));
    }
}

/* ---- ids ---- */

static uint64_t hash(const char *text)
{
    uint64_t h = 14695981039346656037u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h;
}

static bool is_nine(const char *id)
{
    size_t n = strlen(id);
    for (size_t i = 0; i < n; i++)
        if (!((id[i] >= '0' && id[i] <= '9') || (id[i] >= 'a' && id[i] <= 'z') || (id[i] >= 'A' && id[i] <= 'Z')))
            return false;
    return n == 9;
}

static js *new_id(const rewrite *w, const char *id)
{
    char nine[TOOL_ID_MAX];
    if (w->f->id != TOOL_ID_NINE || is_nine(id))
        return js_new_string(id);
    tool_id_write(nine, TOOL_ID_NINE, "", 0, hash(id));
    return js_new_string(nine);
}

/* ---- calls ---- */

/* Arguments of any kind as an object. */
static js *as_object(const js *arguments)
{
    js *v = NULL;
    if (js_is(arguments, JS_OBJECT))
        return js_copy(arguments);
    if (!arguments || js_is(arguments, JS_NULL) || (is_text(arguments) && !js_len(arguments)))
        return js_object();
    if (is_text(arguments) && js_parse(&v, js_text(arguments), js_len(arguments), "arguments", 1, NULL) == OK &&
        js_is(v, JS_OBJECT))
        return v;
    js_free(v);
    js *raw = js_object();
    js_set(raw, "raw", js_copy(arguments));
    return raw;
}

static js *as_text(const js *object)
{
    buf text = BUF_INIT(PROMPT_BYTES_MAX);
    js_write(object, JS_COMPACT, &text);
    js *v = text.failed ? NULL : js_new_stringn(buf_text(&text), text.len);
    buf_clear(&text);
    return v;
}

static js *rewrite_call(rewrite *w, const js *call)
{
    const js *function = js_get(call, "function"), *name = js_get(function, "name"), *id = js_get(call, "id");
    const char *id_text = is_text(id) ? js_text(id) : "call";
    js *out = js_object(), *out_function = js_object(), *arguments = as_object(js_get(function, "arguments"));
    js *text = w->can->calls ? as_text(arguments) : js_copy(arguments);
    js_free(arguments);
    put(w, out_function, "name", js_new_string(is_text(name) ? js_text(name) : ""));
    put(w, out_function, "arguments", text);
    put(w, out, "type", js_new_string("function"));
    put(w, out, "id", new_id(w, id_text));
    put(w, out, "function", out_function);
    put(w, w->names, id_text, js_new_string(is_text(name) ? js_text(name) : ""));
    return out;
}

static js *rewrite_calls(rewrite *w, const js *calls)
{
    js *list = js_array();
    for (size_t i = 0; i < js_len(calls); i++)
        w->failed |= !js_push(list, rewrite_call(w, js_at(calls, i)));
    return list;
}

/* ---- messages ---- */

/* An assistant's message whose calls are text. */
static js *calls_as_text(rewrite *w, const js *m, const js *calls)
{
    buf text = BUF_INIT(PROMPT_BYTES_MAX);
    js *out = js_copy(m);
    add_content(js_get(m, "content"), &text);
    if (text.len && js_len(calls))
        buf_char(&text, '\n');
    tool_format_write(w->f, calls, &text);
    w->failed |= text.failed;
    js_remove(out, "tool_calls");
    put(w, out, "content", js_new_stringn(buf_text(&text), text.len));
    buf_clear(&text);
    return out;
}

static js *rewrite_assistant(rewrite *w, const js *m)
{
    js *calls = rewrite_calls(w, js_get(m, "tool_calls")), *out = NULL;
    if (js_len(calls) && !w->can->calls) {
        out = calls_as_text(w, m, calls);
        js_free(calls);
        return out;
    }
    out = js_copy(m);
    js_remove(out, "tool_calls");
    if (js_len(calls))
        put(w, out, "tool_calls", calls);
    else
        js_free(calls);
    const js *thought = js_get(m, "reasoning_content");
    if (is_text(thought) && w->f->start && !js_len(js_get(out, "content")))
        put(w, out, "thinking", js_copy(thought)); /* what addressed formats call it */
    return out;
}

/* A result within a message of the user. Neighbours share one, for templates in which roles alternate. */
static void result_as_text(rewrite *w, const js *m)
{
    buf text = BUF_INIT(PROMPT_BYTES_MAX);
    js *last = w->ours ? js_at(w->out, js_len(w->out) - 1) : NULL;
    if (last) {
        add_content(js_get(last, "content"), &text);
        buf_char(&text, '\n');
    }
    buf_str(&text, "<tool_response>\n");
    add_content(js_get(m, "content"), &text);
    buf_str(&text, "\n</tool_response>");
    js *content = js_new_stringn(buf_text(&text), text.len);
    w->failed |= text.failed;
    buf_clear(&text);
    if (last) {
        put(w, last, "content", content);
        return;
    }
    js *out = js_object();
    put(w, out, "role", js_new_string("user"));
    put(w, out, "content", content);
    w->failed |= !js_push(w->out, out);
    w->ours = true;
}

static js *rewrite_result(rewrite *w, const js *m)
{
    const js *id = js_get(m, "tool_call_id");
    js *out = js_copy(m);
    if (is_text(id)) {
        const js *name = js_get(w->names, js_text(id));
        put(w, out, "tool_call_id", new_id(w, js_text(id)));
        if (name && !is_text(js_get(m, "name")))
            put(w, out, "name", js_copy(name));
    }
    if (!is_text(js_get(m, "content")) && !js_is(js_get(m, "content"), JS_ARRAY))
        put(w, out, "content", js_new_string(""));
    return out;
}

/* ---- what a template can ---- */

static js *parsed(const char *text)
{
    js *v = NULL;
    return js_parse(&v, text, strlen(text), "probe", 1, NULL) == OK ? v : NULL;
}

/* Does the conversation come out, with these words in it? */
static bool renders(const chat *c, const char *messages, const char *tools, const char *word, const char *other)
{
    buf text = BUF_INIT(1 << 20);
    js *m = parsed(messages), *t = tools ? parsed(tools) : NULL;
    chat_request q = { .messages = m, .tools = t, .add_generation_prompt = true };
    bool ok = m && (t || !tools) && chat_render_text(c, &q, &text, NULL) == OK && strstr(buf_text(&text), word) &&
              (!other || strstr(buf_text(&text), other));
    buf_clear(&text);
    js_free(m);
    js_free(t);
    return ok;
}

#define PROBE_USER "[{\"role\":\"user\",\"content\":\"probe user\"}"
static const char probe_system[] = "[{\"role\":\"system\",\"content\":\"probe_system\"},{\"role\":\"user\",\"content\":"
                                   "\"x\"}]";
static const char probe_call[] = PROBE_USER
    ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"abcdefghi\",\"type\":\"function\","
    "\"function\":{\"name\":\"probe_tool\",\"arguments\":\"{\\\"a\\\":\\\"probe_value\\\"}\"}}]}]";
static const char probe_result[] = PROBE_USER
    ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"abcdefghi\",\"type\":\"function\","
    "\"function\":{\"name\":\"probe_tool\",\"arguments\":\"{\\\"a\\\":\\\"probe_value\\\"}\"}}]},"
    "{\"role\":\"tool\",\"tool_call_id\":\"abcdefghi\",\"name\":\"probe_tool\",\"content\":\"probe_result\"}]";
static const char probe_tools[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"probe_tool\",\"description\":\"probe\",\"parameters\":{\"type\":"
    "\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"description\":\"probe\"}},\"required\":[\"a\"]}}}]";

tool_abilities tool_prompt_ask(const chat *c, const tool_format *f)
{
    tool_abilities can = { 0 };
    can.system = renders(c, probe_system, NULL, "probe_system", NULL);
    if (!f->marks[0])
        return can;
    can.tools = renders(c, PROBE_USER "]", probe_tools, "probe_tool", NULL);
    can.results = renders(c, probe_result, NULL, "probe_value", "probe_result");
    can.calls = can.results || renders(c, probe_call, NULL, "probe_value", NULL);
    return can;
}

/* ---- our own description of the tools ---- */

/* How a call is written, shown on a tool of no name. */
static void add_example(const tool_format *f, buf *out)
{
    static const char example[] = "[{\"id\":\"000000000\",\"function\":{\"name\":\"TOOL_NAME\",\"arguments\":"
                                  "{\"PARAMETER\":\"VALUE\"}}}]";
    js *calls = NULL;
    if (js_parse(&calls, example, sizeof example - 1, "example", 1, NULL) == OK)
        tool_format_write(f, calls, out);
    js_free(calls);
}

static void describe(const rewrite *w, buf *out)
{
    buf_str(out, "You can call tools. Their names, and the JSON Schemas of their arguments:\n\n<tools>\n");
    for (size_t i = 0; i < js_len(w->tools); i++) {
        js_write(js_get(js_at(w->tools, i), "function"), JS_COMPACT, out);
        buf_char(out, '\n');
    }
    buf_str(out, "</tools>\n\nTo call a tool, write exactly this, with the tool's name and the values of its "
                 "arguments:\n\n");
    add_example(w->f, out);
    buf_str(out, w->must ? "\n\nAnswer with tool calls only."
                         : "\n\nIf no tool fits the request, answer in plain text. Results come between "
                           "<tool_response> and </tool_response>.");
}

/* Puts the description where the template takes it. */
static void add_description(rewrite *w)
{
    buf text = BUF_INIT(PROMPT_BYTES_MAX);
    js *first = NULL;
    for (size_t i = 0; i < js_len(w->out) && !first; i++)
        if (has_role(js_at(w->out, i), w->can->system ? "system" : "user"))
            first = js_at(w->out, i);
    if (first && w->can->system) {
        add_content(js_get(first, "content"), &text);
        buf_str(&text, text.len ? "\n\n" : "");
    }
    describe(w, &text);
    if (first && !w->can->system) {
        buf_str(&text, "\n\n");
        add_content(js_get(first, "content"), &text);
    }
    js *content = js_new_stringn(buf_text(&text), text.len);
    w->failed |= text.failed;
    buf_clear(&text);
    if (first) {
        put(w, first, "content", content);
        return;
    }
    js *made = js_object(), *all = js_array();
    put(w, made, "role", js_new_string(w->can->system ? "system" : "user"));
    put(w, made, "content", content);
    w->failed |= !js_push(all, made);
    for (size_t i = 0; i < js_len(w->out); i++)
        w->failed |= !js_push(all, js_copy(js_at(w->out, i)));
    js_free(w->out);
    w->out = all;
}

static void rewrite_message(rewrite *w, const js *m)
{
    bool result = has_role(m, "tool");
    if (result && !w->can->results) {
        result_as_text(w, m);
        return;
    }
    w->ours = false;
    w->failed |= !js_push(w->out, result                    ? rewrite_result(w, m)
                                  : has_role(m, "assistant") ? rewrite_assistant(w, m)
                                                             : js_copy(m));
}

status tool_prompt_messages(js **out, const js *messages, const js *tools, bool must, const tool_format *f,
                            const tool_abilities *can, error *err)
{
    rewrite w = { .f = f, .can = can, .tools = tools, .must = must, .out = js_array(), .names = js_object() };
    status s = js_is(messages, JS_ARRAY) ? OK : fail(err, E_FORMAT, "messages is not a list");
    for (size_t i = 0; i < js_len(messages) && !s; i++) {
        if (!js_is(js_at(messages, i), JS_OBJECT))
            s = fail(err, E_FORMAT, "messages[%zu] is not an object", i);
        else
            rewrite_message(&w, js_at(messages, i));
    }
    if (!s && js_len(tools) && !can->tools)
        add_description(&w);
    if (!s && w.failed)
        s = fail(err, E_NOMEM, "no memory for the messages");
    js_free(w.names);
    if (s)
        js_free(w.out);
    else
        *out = w.out;
    return s;
}
