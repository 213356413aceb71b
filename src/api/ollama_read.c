/* ollama_read.c: the bodies of /api/chat and /api/generate to the neutral request. */
#include <string.h>

#include "api/ollama_int.h"
#include "base/str.h"

#define SHARED_FIELDS                                                                                     \
    { "model", FIELD_READ, NULL }, { "name", FIELD_READ, NULL }, { "stream", FIELD_READ, NULL },          \
    { "format", FIELD_READ, NULL }, { "options", FIELD_READ, NULL }, { "keep_alive", FIELD_READ, NULL },  \
    { "think", FIELD_READ, NULL }, { "logprobs", FIELD_READ, NULL }, { "top_logprobs", FIELD_READ, NULL }, \
    { "truncate", FIELD_IGNORED, NULL }, /* a prompt that is too long is a 400 with the counts */         \
    { "shift", FIELD_IGNORED, NULL }, { "template", FIELD_NEUTRAL, NULL }

static const field chat_fields[] = {
    SHARED_FIELDS,
    { "messages", FIELD_READ, NULL },
    { "tools", FIELD_READ, NULL },
};

static const field generate_fields[] = {
    SHARED_FIELDS,
    { "prompt", FIELD_READ, NULL },
    { "system", FIELD_READ, NULL },
    { "raw", FIELD_READ, NULL },
    { "suffix", FIELD_NEUTRAL, NULL },
    { "images", FIELD_NEUTRAL, NULL },
    { "context", FIELD_NEUTRAL, NULL },
    { "width", FIELD_NEUTRAL, NULL },
    { "height", FIELD_NEUTRAL, NULL },
    { "steps", FIELD_NEUTRAL, NULL },
};

/* ---- what both have ---- */

static bool read_format(ollama_call *c, api_fault *f)
{
    const js *format = js_get(c->body, "format");
    request *q = &c->chat.neutral;
    if (!format || js_is(format, JS_NULL) || (js_is(format, JS_STRING) && !js_len(format)))
        return true;
    if (api_is_text(format, "json")) {
        q->shape = SHAPE_JSON;
        return true;
    }
    if (!js_is(format, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, "format", "'format' must be \"json\" or a JSON Schema");
    q->shape = SHAPE_SCHEMA;
    q->schema = format;
    return true;
}

/* A template that knows no such variable says what it always says. */
static bool read_think(ollama_call *c, api_fault *f)
{
    const js *think = js_get(c->body, "think");
    if (!think || js_is(think, JS_NULL))
        return true;
    if (js_is(think, JS_STRING))
        return openai_read_effort(&c->chat, think, "think", f);
    if (!js_is(think, JS_BOOL))
        return api_refuse(f, FAULT_INVALID, "think", "'think' must be true, false or a level such as \"high\"");
    js *more = js_object();
    js_set(more, "enable_thinking", js_copy(think));
    if (!js_set(c->chat.body, "chat_template_kwargs", more))
        return api_no_memory(f);
    c->chat.neutral.template_kwargs = more;
    return true;
}

/* What clients send when nothing is meant. */
static bool says_nothing(const js *v, const char *name)
{
    return !v || js_is(v, JS_NULL) || ((js_is(v, JS_STRING) || js_is(v, JS_ARRAY)) && !js_len(v)) ||
           (strcmp(name, "raw") == 0 && js_is(v, JS_BOOL) && !js_bool(v, false));
}

/* A task's prompt, format and tools are its own. */
static bool check_task(const ollama_call *c, api_fault *f)
{
    static const char *const fixed[] = { "format", "tools", "think", "raw", "system" };
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        if (!says_nothing(js_get(c->body, fixed[i]), fixed[i]))
            return api_refuse(f, FAULT_INVALID, fixed[i], "'%s' is fixed by the task: it was measured so", fixed[i]);
    }
    return true;
}

static bool read_shared(span body, const field *fields, size_t n, ollama_call *c, api_fault *f)
{
    c->stream = true;
    c->said = "";
    c->chat.memory = (arena)ARENA_INIT(2 * REQUEST_BYTES_MAX);
    c->chat.model = c->model;
    request_init(&c->chat.neutral);
    c->chat.neutral.kind = REQUEST_CHAT;
    c->chat.body = js_object();
    if (!c->chat.body)
        return api_no_memory(f);
    if (!api_read_body(body, fields, n, &c->body, f) || !ollama_read_model(c->body, &c->said, c->model, f))
        return false;
    bool is_task = str_starts(c->model, "task:");
    return (!is_task || check_task(c, f)) && api_read_bool(c->body, "stream", &c->stream, f) &&
           ollama_read_keep(c->body, &c->keep_set, &c->keep_seconds, f) &&
           ollama_read_options(c->body, is_task, &c->chat.neutral, f) && read_format(c, f) && read_think(c, f) &&
           api_read_logprobs(c->body, &c->chat.neutral, f);
}

/* ---- chat ---- */

/* Their tools are OpenAI's, but for a type that may be missing. */
static bool take_tools(ollama_call *c, api_fault *f)
{
    const js *tools = js_get(c->body, "tools");
    js *copy = js_is(tools, JS_ARRAY) || js_is(tools, JS_OBJECT) ? js_copy(tools) : NULL;
    for (size_t i = 0; js_is(copy, JS_ARRAY) && i < js_len(copy); i++) {
        js *tool = js_at(copy, i);
        if (js_is(tool, JS_OBJECT) && !js_get(tool, "type"))
            js_set(tool, "type", js_new_string("function"));
    }
    if (!copy && tools && !js_is(tools, JS_NULL))
        return api_refuse(f, FAULT_INVALID, "tools", "'tools' must be a list");
    if (copy && !js_set(c->chat.body, "tools", copy))
        return api_no_memory(f);
    return openai_read_tools(&c->chat, f);
}

bool ollama_read_chat(span body, ollama_call *c, api_fault *f)
{
    if (!read_shared(body, chat_fields, ARRAY_LEN(chat_fields), c, f))
        return false;
    const js *list = js_get(c->body, "messages");
    c->load = !list || js_is(list, JS_NULL) || (js_is(list, JS_ARRAY) && !js_len(list));
    if (c->load)
        return true;
    js *messages = ollama_messages(list, f);
    if (!messages)
        return false;
    if (!js_set(c->chat.body, "messages", messages))
        return api_no_memory(f);
    return openai_read_messages(&c->chat, f) && take_tools(c, f);
}

/* ---- generate ---- */

static bool push_message(js *list, const char *role, const char *text)
{
    js *o = js_object();
    js_set(o, "role", js_new_string(role));
    js_set(o, "content", js_new_string(text));
    return js_push(list, o);
}

bool ollama_read_generate(span body, ollama_call *c, api_fault *f)
{
    const char *prompt = "", *system = "";
    bool raw = false;
    c->generate = true;
    if (!read_shared(body, generate_fields, ARRAY_LEN(generate_fields), c, f) ||
        !api_read_text(c->body, "prompt", &prompt, f) || !api_read_text(c->body, "system", &system, f) ||
        !api_read_bool(c->body, "raw", &raw, f))
        return false;
    c->load = !*prompt;
    if (raw && *system)
        return api_refuse(f, FAULT_INVALID, "system", "'system' has no place in a raw prompt");
    if (raw && c->chat.neutral.template_kwargs)
        return api_refuse(f, FAULT_INVALID, "think", "'think' has no place in a raw prompt");
    if (raw) {
        c->chat.neutral.kind = REQUEST_TEXT;
        c->chat.neutral.text = prompt;
    }
    if (raw || c->load)
        return true;
    js *messages = js_array();
    bool ok = (!*system || push_message(messages, "system", system)) && push_message(messages, "user", prompt);
    if (!js_set(c->chat.body, "messages", messages) || !ok)
        return api_no_memory(f);
    return openai_read_messages(&c->chat, f);
}

void ollama_call_clear(ollama_call *c)
{
    openai_chat_clear(&c->chat);
    js_free(c->body);
}
