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
    js *messages;    /* of {role, content}, with a template */
    size_t n_before; /* messages before the last say */
    buf text;        /* plain text: all of it */
    size_t text_before;
};

static size_t count(const conversation *c)
{
    return js_len(c->messages);
}

static bool is_role(const conversation *c, size_t i, const char *role)
{
    return strcmp(js_text(js_get(js_at(c->messages, i), "role")), role) == 0;
}

static status add(conversation *c, const char *role, const char *content, error *err)
{
    if (count(c) == MESSAGES_MAX)
        return fail(err, E_RANGE, "a conversation has at most %d messages", MESSAGES_MAX);
    return chat_add(c->messages, role, content) ? OK : fail(err, E_NOMEM, "no memory for the conversation");
}

/* Keeps the messages [0, head) and [tail, end). Without memory nothing changes. */
static bool keep(conversation *c, size_t head, size_t tail)
{
    js *kept = js_array();
    bool ok = kept != NULL;
    for (size_t i = 0; i < count(c) && ok; i++)
        if (i < head || i >= tail)
            ok = js_push(kept, js_copy(js_at(c->messages, i)));
    js_free(ok ? c->messages : kept);
    if (ok)
        c->messages = kept;
    return ok;
}

status conversation_open(conversation **out, engine *e, bool raw, const char *system_text, error *err)
{
    conversation *c = mem_zero(sizeof *c);
    if (!c)
        return fail(err, E_NOMEM, "no memory for the conversation");
    c->engine = e;
    c->text = (buf)BUF_INIT(TEXT_MAX);
    c->messages = js_array();
    status s = c->messages ? session_open(&c->session, e, err) : fail(err, E_NOMEM, "no memory for the conversation");
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
    js_free(c->messages);
    buf_clear(&c->text);
    chat_close(&c->template);
    session_close(&c->session);
    mem_free(c);
    *at = NULL;
}

status conversation_say(conversation *c, const char *text, error *err)
{
    c->n_before = count(c);
    c->text_before = c->text.len;
    if (c->template)
        return add(c, "user", text, err);
    buf_str(&c->text, text);
    return buf_ok(&c->text, "the conversation", err);
}

void conversation_take_back(conversation *c)
{
    (void)keep(c, c->n_before, count(c));
    if (c->text.data && c->text.len > c->text_before)
        c->text.data[c->text.len = c->text_before] = '\0';
}

/* question: an answer is to follow. */
static status render(const conversation *c, bool question, token_list *out, error *err)
{
    if (c->template)
        return chat_render(c->template, &(chat_request){ .messages = c->messages, .add_generation_prompt = question,
                                                         .now = chat_now() }, out, err);
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
    bool keeps = count(c) && is_role(c, 0, "system") && !system_text;
    (void)keep(c, keeps ? 1 : 0, count(c));
    buf_reset(&c->text);
    if (system_text && c->template)
        (void)!add(c, "system", system_text, NULL);
    c->n_before = count(c);
    c->text_before = 0;
}

bool conversation_drop_oldest(conversation *c)
{
    size_t first = count(c) && is_role(c, 0, "system"), end = first;
    while (end < count(c) && (end == first || !is_role(c, end, "user")))
        end++;
    return c->template && end > first && keep(c, first, end);
}

bool conversation_is_chat(const conversation *c)
{
    return c->template != NULL;
}

/* Not the session's length: that one still remembers what was cleared, in case it comes again. */
status conversation_length(const conversation *c, uint32_t *out, error *err)
{
    token_list tokens = TOKEN_LIST_INIT(TOKENS_MAX);
    status s = count(c) || c->text.len ? render(c, false, &tokens, err) : OK;
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
