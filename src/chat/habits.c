#include "chat/habits.h"

#include <string.h>

#include "base/mem.h"

enum { ARGUMENTS_MAX = 16 << 20 };

#define NEEDLE "hearth-needle"
#define ARGUMENTS "{\"hearth_key\": \"hearth_value\"}"

/* ---- little conversations: built, not parsed: a failed allocation then is one ------------------------------------ */

/* Takes what it is given; NULL when that was NULL. */
static js *with(js *object, const char *key, js *v)
{
    if (js_set(object, key, v))
        return object;
    js_free(object);
    return NULL;
}

static js *text_of_needle(bool parts)
{
    if (!parts)
        return js_new_string(NEEDLE);
    js *all = js_array(), *part = with(js_object(), "type", js_new_string("text"));
    if (js_push(all, with(part, "text", js_new_string(NEEDLE))))
        return all;
    js_free(all);
    return NULL;
}

static js *message(const char *role, js *content)
{
    return with(with(js_object(), "role", js_new_string(role)), "content", content);
}

static js *plain(const char *role)
{
    return message(role, js_new_string("x"));
}

/* The arguments of the calls, as JSON text or as an object. */
static js *calling(js *content, bool object)
{
    js *arguments = object ? with(js_object(), "hearth_key", js_new_string("hearth_value")) : js_new_string(ARGUMENTS);
    js *function = with(with(js_object(), "name", js_new_string("hearth_tool")), "arguments", arguments);
    js *call = with(with(js_object(), "type", js_new_string("function")), "id", js_new_string("hearth000"));
    js *calls = js_array();
    if (!js_push(calls, with(call, "function", function))) {
        js_free(calls);
        calls = NULL;
    }
    return with(message("assistant", content), "tool_calls", calls);
}

static js *result(js *content)
{
    js *m = with(message("tool", content), "name", js_new_string("hearth_tool"));
    return with(m, "tool_call_id", js_new_string("hearth000"));
}

static js *one_tool(void)
{
    js *function = with(with(js_object(), "name", js_new_string("hearth_tool")), "description", js_new_string("x"));
    js *parameters = with(with(js_object(), "type", js_new_string("object")), "properties", js_object());
    js *tool = with(with(js_object(), "type", js_new_string("function")), "function",
                    with(function, "parameters", parameters));
    js *tools = js_array();
    if (js_push(tools, tool))
        return tools;
    js_free(tools);
    return NULL;
}

/* ---- trying ------------------------------------------------------------------------------------------------------ */

typedef struct trial {
    const template *t;
    const template_variable *tokens;
    size_t n_tokens;
    bool over; /* a bound was reached, or there is no memory: no more trials */
    status st; /* E_NOMEM */
    error *err;
} trial;

/* Does the conversation (n messages, taken) come out, with `must` in it and without `never`, `never2`? */
static bool comes_out(trial *x, int n, js **m, const char *must, const char *never, const char *never2)
{
    js *messages = js_array(), *tools = one_tool();
    bool built = messages && tools;
    for (int i = 0; i < n; i++)
        built = js_push(messages, m[i]) && built;
    template_output out = { 0 };
    error err;
    template_variable v[8] = { { .name = "messages", .j = messages, .from = TEMPLATE_MESSAGES },
                               { .name = "tools", .j = n > 1 ? tools : NULL, .from = TEMPLATE_DATA },
                               { .name = "documents" }, { .name = "add_generation_prompt" } };
    for (size_t i = 0; i < x->n_tokens; i++)
        v[4 + i] = x->tokens[i];
    status s = E_NOMEM;
    if (x->over)
        s = E_RANGE;
    else if (built)
        s = template_render(x->t, v, 4 + x->n_tokens, 0, &out, &err);
    bool good = !s && strstr(out.bytes, must) && !(never && strstr(out.bytes, never)) &&
                !(never2 && strstr(out.bytes, never2));
    x->over = s == E_RANGE || s == E_NOMEM;
    if (s == E_NOMEM)
        x->st = fail(x->err, E_NOMEM, "no memory for the chat template");
    template_output_clear(&out);
    js_free(messages);
    js_free(tools);
    return good;
}

/* Parts come out when their text does, and not as the list that they are. */
#define NOT_AS_LIST NEEDLE, NEEDLE "'}", NEEDLE "\"}"

static bool call_comes_out(trial *x, js *content, bool object, const char *must, const char *never)
{
    js *m[] = { plain("user"), calling(content, object), result(js_new_string("x")) };
    return comes_out(x, 3, m, must, never, NULL);
}

status habits_find(habits *out, const template *t, const template_variable *tokens, size_t n_tokens, error *err)
{
    trial x = { .t = t, .tokens = tokens, .n_tokens = n_tokens, .err = err };
    habits h = { 0 };
    bool *parts = h.takes_parts;
    parts[HABIT_USER] = comes_out(&x, 1, (js *[]){ message("user", text_of_needle(true)) }, NOT_AS_LIST);
    if (parts[HABIT_USER]) {
        js *text[] = { message("user", text_of_needle(false)) };
        h.wants_parts = !comes_out(&x, 1, text, NEEDLE, NULL, NULL);
        js *system[] = { message("system", text_of_needle(true)), plain("user") };
        parts[HABIT_SYSTEM] = comes_out(&x, 2, system, NOT_AS_LIST);
        js *assistant[] = { plain("user"), message("assistant", text_of_needle(true)), plain("user") };
        parts[HABIT_ASSISTANT] = comes_out(&x, 3, assistant, NOT_AS_LIST);
        js *tool[] = { plain("user"), calling(js_new_string(""), true), result(text_of_needle(true)) };
        parts[HABIT_TOOL] = comes_out(&x, 3, tool, NOT_AS_LIST);
    }
    h.takes_text = call_comes_out(&x, js_new_string(""), false, ARGUMENTS, NULL);
    h.wants_object = !h.takes_text && call_comes_out(&x, js_new_string(""), true, "hearth_value", NULL);
    h.takes_null = call_comes_out(&x, js_null(), !h.takes_text, "x", "None");
    if (!x.st)
        *out = h;
    return x.st;
}

/* ---- fitting ----------------------------------------------------------------------------------------------------- */

static habit_role role_of(const char *role)
{
    static const char *const names[] = { "user", "system", "assistant", "tool" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!strcmp(role, names[i]))
            return (habit_role)i;
    return HABIT_SYSTEM; /* developer and its like */
}

/* As json.dumps writes it. */
static void dump(const js *v, buf *out)
{
    js_type type = js_typeof(v);
    bool first = true;
    if (type == JS_ARRAY) {
        buf_char(out, '[');
        for (size_t i = 0; i < js_len(v); i++) {
            buf_str(out, i ? ", " : "");
            dump(js_at(v, i), out);
        }
        buf_char(out, ']');
    } else if (type == JS_OBJECT) {
        buf_char(out, '{');
        for (js_member m = { 0 }; js_next(v, &m); first = false) {
            buf_str(out, first ? "" : ", ");
            js_write_string(out, m.key, strlen(m.key));
            buf_str(out, ": ");
            dump(m.value, out);
        }
        buf_char(out, '}');
    } else {
        js_write(v, JS_COMPACT, out);
    }
}

static bool is_part(const js *part)
{
    return js_is(part, JS_OBJECT) && js_is(js_get(part, "type"), JS_STRING);
}

/* A list of parts as one string. */
static status flatten(const js *parts, size_t message, js **out, error *err)
{
    buf all = BUF_INIT(ARGUMENTS_MAX);
    status s = OK;
    for (size_t i = 0; i < js_len(parts) && !s; i++) {
        const js *part = js_at(parts, i), *text = js_get(part, "text");
        if (is_part(part) && strcmp(js_text(js_get(part, "type")), "text") != 0)
            s = fail(err, E_UNSUPPORTED, "message %zu: a part of type '%.30s': this model's chat template takes text "
                     "only", message + 1, js_text(js_get(part, "type")));
        else if (!is_part(part) || !js_is(text, JS_STRING))
            s = fail(err, E_FORMAT, "message %zu: part %zu of its content is no text", message + 1, i + 1);
        buf_str(&all, i ? "\n" : "");
        if (!s)
            buf_add(&all, js_text(text), js_len(text));
    }
    if (!s)
        s = buf_ok(&all, "a message", err);
    if (!s && !(*out = js_new_stringn(buf_text(&all), all.len)))
        s = fail(err, E_NOMEM, "no memory for the messages");
    buf_clear(&all);
    return s;
}

static js *one_part(const js *content)
{
    js *all = js_array(), *part = js_object();
    bool ok = js_set(part, "type", js_new_string("text")) && js_set(part, "text", js_copy(content));
    if (!ok) {
        js_free(part);
        part = NULL;
    }
    if (js_push(all, part))
        return all;
    js_free(all);
    return NULL;
}

static status no_memory(error *err)
{
    return fail(err, E_NOMEM, "no memory for the messages");
}

/* What the content of message i becomes; NULL: it stays. */
static status fit_content(const habits *h, const js *m, size_t i, js **fit, error *err)
{
    const js *content = js_get(m, "content");
    habit_role role = role_of(js_text(js_get(m, "role")));
    *fit = NULL;
    if (js_is(content, JS_ARRAY) && js_len(content) && !h->takes_parts[role])
        return flatten(content, i, fit, err);
    if (js_is(content, JS_STRING) && h->wants_parts)
        *fit = one_part(content);
    else if (js_typeof(content) == JS_NULL && role == HABIT_ASSISTANT && !h->takes_null)
        *fit = js_new_string("");
    else
        return OK;
    return *fit ? OK : no_memory(err);
}

/* What the arguments of a call become; NULL: they stay. */
static status fit_arguments(const habits *h, const js *arguments, js **fit, error *err)
{
    *fit = NULL;
    if (js_is(arguments, JS_STRING) && h->wants_object) {
        if (js_parse(fit, js_text(arguments), js_len(arguments), "arguments", 1, err) == E_NOMEM)
            return E_NOMEM;
        if (!js_is(*fit, JS_OBJECT)) {
            js_free(*fit);
            *fit = NULL;
        }
    } else if (js_is(arguments, JS_OBJECT) && h->takes_text) {
        buf b = BUF_INIT(ARGUMENTS_MAX);
        dump(arguments, &b);
        *fit = b.failed ? NULL : js_new_stringn(buf_text(&b), b.len);
        buf_clear(&b);
        return *fit ? OK : no_memory(err);
    }
    return OK;
}

/* Puts `fit` in its place (apply) or only notes that there is one. */
static status put(js *object, const char *key, js *fit, bool apply, bool *changes, error *err)
{
    *changes |= fit != NULL;
    if (fit && apply)
        return js_set(object, key, fit) ? OK : no_memory(err);
    js_free(fit);
    return OK;
}

/* apply: m is the copy; else only looks whether something must change. */
static status fit_message(const habits *h, js *m, size_t i, bool apply, bool *changes, error *err)
{
    const js *calls = js_get(m, "tool_calls");
    js *fit;
    status s = fit_content(h, m, i, &fit, err);
    if (!s)
        s = put(m, "content", fit, apply, changes, err);
    for (size_t k = 0; k < js_len(calls) && !s; k++) {
        js *call = js_at(calls, k), *function = js_get(call, "function");
        function = js_is(function, JS_OBJECT) ? function : call;
        s = fit_arguments(h, js_get(function, "arguments"), &fit, err);
        if (!s)
            s = put(function, "arguments", fit, apply, changes, err);
    }
    return s;
}

status habits_apply(const habits *h, const js *messages, js **out, error *err)
{
    bool changes = false;
    status s = OK;
    for (size_t i = 0; i < js_len(messages) && !s; i++) {
        js *m = js_at(messages, i), *role = js_get(m, "role");
        if (!js_is(m, JS_OBJECT) || !js_is(role, JS_STRING) || strlen(js_text(role)) != js_len(role))
            s = fail(err, E_FORMAT, "message %zu is no object with a role", i + 1);
        else
            s = fit_message(h, m, i, false, &changes, err);
    }
    *out = NULL;
    if (s || !changes)
        return s;
    js *copy = js_copy(messages);
    if (!copy)
        return fail(err, E_NOMEM, "no memory for the messages");
    for (size_t i = 0; i < js_len(copy) && !s; i++)
        s = fit_message(h, js_at(copy, i), i, true, &changes, err);
    if (s)
        js_free(copy);
    else
        *out = copy;
    return s;
}
