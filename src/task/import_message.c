/* import_message.c: messages as strangers write them, to texts with one of our roles. Parts that are no text are
 * problems: what was asked with an image cannot be asked without it. */
#include <stdio.h>
#include <string.h>

#include "task/import_int.h"

static status part_text(importer *im, const js *part, const char *where, size_t at, int line, buf *out, bool *ok)
{
    const js *type = js_get(part, "type"), *text = js_get(part, "text");
    const char *kind = js_is(type, JS_STRING) ? js_text(type) : "?";
    bool is_text = !strcmp(kind, "text") || !strcmp(kind, "input_text") || !strcmp(kind, "output_text");
    *ok = is_text && js_is(text, JS_STRING);
    if (*ok) {
        buf_str(out, out->len ? "\n" : "");
        buf_add(out, js_text(text), js_len(text));
        return OK;
    }
    return import_note(im, line, 1, "%s[%zu] is of type '%.40s': tasks are text only, images and files are refused",
                       where, at, kind);
}

status talk_content(importer *im, const js *content, const char *where, int line, js **out)
{
    buf text = BUF_INIT(IMPORT_LINE_BYTES_MAX);
    bool ok = true;
    status s = OK;
    *out = NULL;
    if (js_is(content, JS_STRING)) {
        buf_add(&text, js_text(content), js_len(content));
        ok = !str_starts(js_text(content), "data:image/");
        if (!ok)
            s = import_note(im, line, 1, "%s is an image: tasks are text only", where);
    } else if (js_is(content, JS_ARRAY) && js_len(content)) {
        for (size_t i = 0; i < js_len(content) && ok && !s; i++)
            s = part_text(im, js_at(content, i), where, i, line, &text, &ok);
    } else {
        ok = false;
        s = import_note(im, line, 1, "%s is no text", where);
    }
    if (!s && ok && memchr(buf_text(&text), 0, text.len)) {
        ok = false;
        s = import_note(im, line, 1, "%s holds a zero character", where);
    }
    if (!s && ok && (text.failed || !(*out = js_new_stringn(buf_text(&text), text.len))))
        s = import_no_memory(im);
    buf_clear(&text);
    return s;
}

js *talk_message(const char *role, js *content)
{
    js *m = js_object();
    if (m && js_set(m, "role", js_new_string(role))) {
        if (js_set(m, "content", content))
            return m;
    } else {
        js_free(content);
    }
    js_free(m);
    return NULL;
}

js *talk_user(const char *text, size_t n)
{
    js *list = js_array(), *m = talk_message("user", js_new_stringn(text, n));
    if (list && js_push(list, m))
        return list;
    if (!list)
        js_free(m);
    js_free(list);
    return NULL;
}

status talk_text(importer *im, const js *text, const char *where, int line, js **out)
{
    js *content = NULL;
    status s = talk_content(im, text, where, line, &content);
    *out = NULL;
    if (s || !content)
        return s;
    *out = talk_user(js_text(content), js_len(content));
    js_free(content);
    return *out ? OK : import_no_memory(im);
}

/* One message; *ok false: a problem. */
static status one_message(importer *im, const js *m, size_t i, int line, js *list, bool *ok)
{
    static const struct { const char *theirs, *ours; } roles[] = {
        { "system", "system" }, { "developer", "system" }, { "user", "user" }, { "human", "user" },
        { "assistant", "assistant" },
    };
    const js *given = js_get(m, "role"), *calls = js_get(m, "tool_calls");
    const char *role = js_is(given, JS_STRING) ? js_text(given) : "", *ours = NULL;
    char where[64];
    js *content = NULL;
    snprintf(where, sizeof where, "messages[%zu].content", i);
    for (size_t k = 0; k < ARRAY_LEN(roles); k++)
        ours = strcmp(roles[k].theirs, role) ? ours : roles[k].ours;
    *ok = false;
    if (!ours || js_len(calls) || js_is(js_get(m, "function_call"), JS_OBJECT))
        return import_note(im, line, 1, "messages[%zu] is %s: that cannot be taken over", i,
                           ours ? "a call of a tool" : *role ? "of a tool, or of another role" : "no message");
    status s = talk_content(im, js_get(m, "content"), where, line, &content);
    if (s || !content)
        return s;
    *ok = true;
    return js_push(list, talk_message(ours, content)) ? OK : import_no_memory(im);
}

status talk_messages(importer *im, const js *list, int line, js **out)
{
    *out = NULL;
    if (!js_is(list, JS_ARRAY) || js_len(list) == 0 || js_len(list) > TASK_MESSAGES_MAX)
        return import_note(im, line, 1, "there must be a list of 1 to %d messages", TASK_MESSAGES_MAX);
    js *made = js_array();
    bool ok = true;
    status s = made ? OK : import_no_memory(im);
    for (size_t i = 0; i < js_len(list) && !s && ok; i++)
        s = one_message(im, js_at(list, i), i, line, made, &ok);
    if (s || !ok)
        js_free(made);
    else
        *out = made;
    return s;
}

status talk_guess(importer *im, const js *text, const char *where, int line, js **out, bool *plain)
{
    js *list = NULL;
    bool may_be = js_is(text, JS_STRING) && str_starts(js_text(text), "[{\"");
    status s = may_be ? js_parse(&list, js_text(text), js_len(text), im->name, line, NULL) : OK;
    if (s == E_NOMEM)
        return import_no_memory(im);
    *plain = !js_get(js_at(list, 0), "role");
    s = *plain ? talk_text(im, text, where, line, out) : talk_messages(im, list, line, out);
    js_free(list);
    return s;
}
