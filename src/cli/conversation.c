#include "cli/conversation.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "chat/chat.h"

enum { MESSAGES_MAX = 4096, TEXT_MAX = 64 << 20, TOKENS_MAX = 1 << 22 };

struct conversation {
    engine *engine;
    session *session;
    chat *template; /* NULL: plain text */
    chat_message *messages; /* texts are owned; roles are constants */
    size_t n, size;
    size_t n_before; /* messages before the last say */
    buf text;        /* plain text: all of it */
    size_t text_before;
};

static status add(conversation *c, const char *role, const char *content, error *err)
{
    if (c->n == MESSAGES_MAX)
        return fail(err, E_RANGE, "a conversation has at most %d messages", MESSAGES_MAX);
    if (c->n == c->size) {
        size_t size = c->size ? c->size * 2 : 16;
        chat_message *grown = mem_resize(c->messages, size * sizeof *grown);
        if (!grown)
            return fail(err, E_NOMEM, "no memory for the conversation");
        c->messages = grown;
        c->size = size;
    }
    char *copy = mem_strdup(content);
    if (!copy)
        return fail(err, E_NOMEM, "no memory for the conversation");
    c->messages[c->n++] = (chat_message){ role, copy };
    return OK;
}

static void shorten(conversation *c, size_t n)
{
    while (c->n > n)
        mem_free((char *)(uintptr_t)c->messages[--c->n].content);
}

status conversation_open(conversation **out, engine *e, bool raw, const char *system_text, error *err)
{
    conversation *c = mem_zero(sizeof *c);
    if (!c)
        return fail(err, E_NOMEM, "no memory for the conversation");
    c->engine = e;
    c->text = (buf)BUF_INIT(TEXT_MAX);
    status s = session_open(&c->session, e, err);
    if (!s && !raw && engine_chat_template(e))
        s = chat_open(&c->template, engine_chat_template(e), engine_vocab(e), err);
    if (!s && system_text && !c->template)
        s = fail(err, E_UNSUPPORTED, "a system message needs a chat template, and %s",
                 raw ? "--raw does without" : "this is a base model: put everything into the prompt");
    else if (!s && system_text)
        s = add(c, "system", system_text, err);
    if (s) {
        conversation_close(&c);
        return s;
    }
    *out = c;
    return OK;
}

void conversation_close(conversation **at)
{
    conversation *c = *at;
    if (!c)
        return;
    shorten(c, 0);
    mem_free(c->messages);
    buf_clear(&c->text);
    chat_close(&c->template);
    session_close(&c->session);
    mem_free(c);
    *at = NULL;
}

status conversation_say(conversation *c, const char *text, error *err)
{
    c->n_before = c->n;
    c->text_before = c->text.len;
    if (c->template)
        return add(c, "user", text, err);
    buf_str(&c->text, text);
    return buf_ok(&c->text, "the conversation", err);
}

void conversation_take_back(conversation *c)
{
    shorten(c, c->n_before);
    if (c->text.data && c->text.len > c->text_before)
        c->text.data[c->text.len = c->text_before] = '\0';
}

/* question: an answer is to follow. */
static status render(const conversation *c, bool question, token_list *out, error *err)
{
    if (c->template)
        return chat_render(c->template, c->messages, (int)c->n, question, out, err);
    return vocab_encode(engine_vocab(c->engine), buf_text(&c->text), c->text.len, VOCAB_BOS, out, err);
}

typedef struct listener {
    generate_callback *callback;
    void *user;
    buf *text;
} listener;

static bool listen_to(void *user, const generate_event *e)
{
    listener *l = user;
    if (e->kind == GENERATE_TEXT)
        buf_add(l->text, e->text, e->text_bytes);
    return l->callback && l->callback(l->user, e);
}

status conversation_answer(conversation *c, const sampling_options *o, generate_callback *callback, void *user,
                           generate_result *out, error *err)
{
    token_list tokens = TOKEN_LIST_INIT(TOKENS_MAX);
    buf answer = BUF_INIT(TEXT_MAX);
    listener l = { callback, user, &answer };
    status s = render(c, true, &tokens, err);
    if (!s && tokens.n == 0)
        s = fail(err, E_RANGE, "there is nothing to continue: the prompt is empty");
    if (!s)
        s = engine_generate(c->session, tokens.ids, (uint32_t)tokens.n, o, listen_to, &l, out, err);
    if (!s)
        s = buf_ok(&answer, "the answer", err);
    if (!s && c->template)
        s = add(c, "assistant", buf_text(&answer), err);
    else if (!s)
        buf_add(&c->text, buf_text(&answer), answer.len);
    buf_clear(&answer);
    token_list_clear(&tokens);
    return s;
}

void conversation_clear(conversation *c, const char *system_text)
{
    bool keeps = c->n && strcmp(c->messages[0].role, "system") == 0 && !system_text;
    shorten(c, keeps ? 1 : 0);
    buf_reset(&c->text);
    if (system_text && c->template && add(c, "system", system_text, NULL))
        shorten(c, 0);
    c->n_before = c->n;
    c->text_before = 0;
}

bool conversation_drop_oldest(conversation *c)
{
    size_t first = c->n && strcmp(c->messages[0].role, "system") == 0;
    size_t end = first;
    while (end < c->n && (end == first || strcmp(c->messages[end].role, "user") != 0))
        end++;
    if (!c->template || end == first)
        return false;
    for (size_t i = first; i < end; i++)
        mem_free((char *)(uintptr_t)c->messages[i].content);
    memmove(c->messages + first, c->messages + end, (c->n - end) * sizeof *c->messages);
    c->n -= end - first;
    return true;
}

bool conversation_is_chat(const conversation *c)
{
    return c->template != NULL;
}

/* Not the session's length: that one still remembers what was cleared, in case it comes again. */
status conversation_length(const conversation *c, uint32_t *out, error *err)
{
    token_list tokens = TOKEN_LIST_INIT(TOKENS_MAX);
    status s = c->n || c->text.len ? render(c, false, &tokens, err) : OK;
    uint32_t context = conversation_context(c);
    if (!s)
        *out = tokens.n < context ? (uint32_t)tokens.n : context;
    token_list_clear(&tokens);
    return s;
}

uint32_t conversation_context(const conversation *c)
{
    return engine_get_info(c->engine)->context;
}
