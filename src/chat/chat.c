/* chat.c: requests to variables of the template, its output to tokens. */
#include "chat/chat.h"

#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/str.h"
#include "chat/habits.h"
#include "chat/template.h"

enum { TOKENS = 4, FIXED = 4, KWARGS_MAX = 64 };

struct chat {
    template *t;
    const vocab *v;
    template_variable tokens[TOKENS]; /* bos_token ... as far as the vocabulary has them */
    size_t n_tokens;
    habits h;
};

static void name_tokens(chat *c)
{
    const struct {
        const char *name;
        int32_t id;
    } all[TOKENS] = { { "bos_token", vocab_bos(c->v) }, { "eos_token", vocab_eos(c->v) },
                      { "unk_token", vocab_unk(c->v) }, { "pad_token", vocab_pad(c->v) } };
    for (size_t i = 0; i < TOKENS; i++) {
        span s = { NULL, 0 };
        if (all[i].id >= 0)
            s = vocab_text(c->v, all[i].id);
        if (s.n)
            c->tokens[c->n_tokens++] = (template_variable){ .name = all[i].name, .text = s.p, .text_bytes = s.n };
    }
}

status chat_open(chat **out, const char *template_text, const vocab *v, error *err)
{
    if (!template_text || !*template_text)
        return fail(err, E_UNSUPPORTED, "this is a base model: no chat template; give it text to continue");
    chat *c = mem_zero(sizeof *c);
    if (!c)
        return fail(err, E_NOMEM, "no memory for the chat template");
    c->v = v;
    name_tokens(c);
    status st = template_compile(&c->t, template_text, strlen(template_text), err);
    if (!st)
        st = habits_find(&c->h, c->t, c->tokens, c->n_tokens, err);
    if (st) {
        chat_close(&c);
        return st;
    }
    *out = c;
    return OK;
}

void chat_close(chat **c)
{
    if (!c || !*c)
        return;
    template_free(&(*c)->t);
    mem_free(*c);
    *c = NULL;
}

bool chat_reads(const chat *c, const char *variable)
{
    return template_reads(c->t, variable);
}

bool chat_add(js *messages, const char *role, const char *content)
{
    js *m = js_object();
    bool ok = js_set(m, "role", js_new_string(role)) && js_set(m, "content", js_new_string(content));
    if (ok)
        return js_push(messages, m);
    js_free(m);
    return false;
}

int64_t chat_now(void)
{
    time_t t = time(NULL);
    struct tm at;
    return localtime_r(&t, &at) ? (int64_t)t + at.tm_gmtoff : (int64_t)t;
}

/* ---- variables --------------------------------------------------------------------------------------------------- */

static status add_kwargs(const js *kwargs, template_variable *v, size_t *n, error *err)
{
    static const char *const taken[] = { "messages", "tools", "documents", "add_generation_prompt", "bos_token",
                                         "eos_token", "unk_token", "pad_token" };
    for (js_member m = { 0 }; js_next(kwargs, &m); (*n)++) {
        if (*n == FIXED + TOKENS + KWARGS_MAX)
            return fail(err, E_RANGE, "template_kwargs: more than %d variables", KWARGS_MAX);
        for (size_t i = 0; i < ARRAY_LEN(taken); i++)
            if (!strcmp(m.key, taken[i]))
                return fail(err, E_FORMAT, "template_kwargs: '%s' is not free to choose", m.key);
        v[*n] = (template_variable){ .name = m.key, .j = m.value, .from = TEMPLATE_DATA };
    }
    return OK;
}

static bool has_text(const js *content)
{
    if (js_is(content, JS_STRING))
        return span_trim((span){ js_text(content), js_len(content) }).n > 0;
    for (size_t i = 0; i < js_len(content); i++)
        if (has_text(js_get(js_at(content, i), "text")))
            return true;
    return false;
}

/* Every message but an assistant's, of whose reasoning templates keep only some, must have left something. */
static status nothing_dropped(const js *messages, const template_output *out, error *err)
{
    size_t n = js_len(messages);
    bool *seen = mem_array(n, sizeof *seen);
    if (!seen)
        return fail(err, E_NOMEM, "no memory for a conversation of %zu messages", n);
    for (size_t i = 0; i < out->n_parts; i++)
        if (out->from[i] && out->from[i] <= n)
            seen[out->from[i] - 1] = true;
    status s = OK;
    for (size_t i = 0; i < n && !s; i++) {
        const js *m = js_at(messages, i);
        const char *role = js_text(js_get(m, "role"));
        if (!seen[i] && strcmp(role, "assistant") != 0 && has_text(js_get(m, "content")))
            s = fail(err, E_FORMAT, "the chat template has no place for message %zu with role '%.20s'", i + 1, role);
    }
    mem_free(seen);
    return s;
}

static status check(const chat *c, const chat_request *q, error *err)
{
    size_t n = js_is(q->messages, JS_ARRAY) ? js_len(q->messages) : 0;
    if (n < 1 || n > CHAT_MESSAGES_MAX)
        return fail(err, E_FORMAT, "a conversation has 1 to %d messages, not %zu", CHAT_MESSAGES_MAX, n);
    if (js_len(q->tools) && !chat_reads(c, "tools"))
        return fail(err, E_UNSUPPORTED, "this model's chat template has no place for tools");
    return OK;
}

static status render_messages(const chat *c, const chat_request *q, const js *messages, template_output *out,
                              error *err)
{
    js *go = js_new_bool(q->add_generation_prompt);
    template_variable v[FIXED + TOKENS + KWARGS_MAX] = {
        { .name = "messages", .j = messages, .from = TEMPLATE_MESSAGES },
        { .name = "tools", .j = js_len(q->tools) ? q->tools : NULL, .from = TEMPLATE_DATA },
        { .name = "documents", .j = q->documents, .from = TEMPLATE_DATA },
        { .name = "add_generation_prompt", .j = go },
    };
    size_t n = FIXED;
    for (size_t i = 0; i < c->n_tokens; i++)
        v[n++] = c->tokens[i];
    status s = go ? add_kwargs(q->kwargs, v, &n, err) : fail(err, E_NOMEM, "no memory to render a conversation");
    if (!s)
        s = template_render(c->t, v, n, q->now, out, err);
    js_free(go);
    return s;
}

static status render(const chat *c, const chat_request *q, template_output *out, error *err)
{
    js *fitting = NULL;
    status s = check(c, q, err);
    if (!s)
        s = habits_apply(&c->h, q->messages, &fitting, err);
    const js *messages = fitting ? fitting : q->messages;
    if (!s)
        s = render_messages(c, q, messages, out, err);
    if (!s)
        s = nothing_dropped(messages, out, err);
    if (s)
        template_output_clear(out);
    js_free(fitting);
    return s;
}

status chat_render(const chat *c, const chat_request *q, token_list *out, error *err)
{
    template_output text = { 0 };
    status s = render(c, q, &text, err);
    if (!s)
        s = vocab_encode_parts(c->v, text.parts, text.n_parts, 0, out, err);
    template_output_clear(&text);
    return s;
}

status chat_render_text(const chat *c, const chat_request *q, buf *out, error *err)
{
    template_output text = { 0 };
    status s = render(c, q, &text, err);
    if (!s)
        buf_add(out, text.bytes, text.n);
    template_output_clear(&text);
    return s ? s : buf_ok(out, "rendered conversation", err);
}
