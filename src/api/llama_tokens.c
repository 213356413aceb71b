/* llama_tokens.c: POST /tokenize, /detokenize, /apply-template: what a model makes of a text, computing nothing. */
#include <string.h>

#include "api/llama_int.h"
#include "base/utf8.h"

enum { REPLY_BYTES_MAX = 64 << 20 };

/* The answer on its way: of tokens their JSON, of texts their bytes. */
typedef struct reading {
    http_request *r;
    js *body;
    const char *model;
    request neutral;
    buf out;
    bool done;         /* the last event was a whole answer's end */
    /* /tokenize */
    llama_prompt prompt;
    size_t part;
    bool add_special, with_pieces;
    /* /apply-template */
    const request *chat; /* what is asked second */
    int32_t begin;       /* the token that the model wants before a text; -1: none */
    bool second, any;    /* the template is being asked; a token of it came */
} reading;

static void reading_init(reading *c, http_request *r)
{
    *c = (reading){ .r = r, .model = "", .out = BUF_INIT(REPLY_BYTES_MAX), .begin = -1 };
    request_init(&c->neutral);
    c->neutral.prompt_only = true;
}

static void reading_clear(reading *c)
{
    llama_prompt_clear(&c->prompt);
    buf_clear(&c->out);
    js_free(c->body);
}

/* The object that holds what was read, under this name. */
static void reply(reading *c, const char *name, bool is_text)
{
    buf text = BUF_INIT(2 * (size_t)REPLY_BYTES_MAX);
    buf_printf(&text, "{\"%s\":", name);
    if (is_text)
        js_write_string(&text, buf_text(&c->out), c->out.len);
    else
        buf_printf(&text, "[%s]", buf_text(&c->out));
    buf_str(&text, "}\n");
    if (text.failed || c->out.failed)
        http_reply(c->r, 500, "text/plain", "no memory\n", 10);
    else
        http_reply(c->r, 200, "application/json", buf_text(&text), text.len);
    buf_clear(&text);
}

static void walk(api *a, reading *c, api_ask *ask, const char *name, bool is_text)
{
    api_fault f;
    ask->r = c->r;
    ask->model = c->model;
    ask->neutral = &c->neutral;
    ask->user = c;
    if (!api_ask_provider(a, ask, NULL, &f))
        llama_reply_fault(c->r, &f);
    else if (c->done)
        reply(c, name, is_text);
}

/* ---- /tokenize ---- */

static void add_piece(buf *out, const event_alternative *t)
{
    if (utf8_valid(t->text, t->text_bytes)) {
        js_write_string(out, t->text, t->text_bytes);
        return;
    }
    for (size_t i = 0; i < t->text_bytes; i++) /* part of a character: its bytes */
        buf_printf(out, "%c%u", i ? ',' : '[', (unsigned char)t->text[i]);
    buf_char(out, ']');
}

static int on_tokens(void *user, const event *e)
{
    reading *c = user;
    if (e->kind == EVENT_DONE)
        c->done = e->end->finish != ANSWER_CANCELLED;
    for (size_t i = 0; e->kind == EVENT_PROMPT && i < e->prompt->n; i++) {
        const event_alternative *t = &e->prompt->tokens[i];
        buf_str(&c->out, c->out.len ? "," : "");
        buf_printf(&c->out, c->with_pieces ? "{\"id\":%d,\"piece\":" : "%d", t->id);
        if (c->with_pieces) {
            add_piece(&c->out, t);
            buf_char(&c->out, '}');
        }
    }
    return c->out.failed;
}

/* Only what begins the prompt gets the tokens that the model wants around a text. */
static void set_part(reading *c, request *q)
{
    llama_set_part(&c->prompt, c->part, q);
    q->bare = !c->add_special || c->part > 0;
}

static bool next_part(void *user, request *q)
{
    reading *c = user;
    if (!c->done || c->out.failed || ++c->part >= c->prompt.n)
        return false;
    set_part(c, q);
    return true;
}

static bool read_tokenize(reading *c, api_fault *f)
{
    static const field fields[] = {
        { "model", FIELD_READ, NULL },         { "content", FIELD_READ, NULL },     { "add_special", FIELD_READ, NULL },
        { "parse_special", FIELD_READ, NULL }, { "with_pieces", FIELD_READ, NULL },
    };
    c->neutral.control = true;
    if (!api_read_body(http_body(c->r), fields, ARRAY_LEN(fields), &c->body, f) ||
        !llama_read_model(c->body, &c->model, f) || !api_read_bool(c->body, "add_special", &c->add_special, f) ||
        !api_read_bool(c->body, "parse_special", &c->neutral.control, f) ||
        !api_read_bool(c->body, "with_pieces", &c->with_pieces, f) ||
        !llama_read_prompt(js_get(c->body, "content"), "content", &c->prompt, f))
        return false;
    set_part(c, &c->neutral);
    return true;
}

void api_llama_tokenize(api *a, http_request *r)
{
    reading c;
    api_fault f;
    reading_init(&c, r);
    if (read_tokenize(&c, &f))
        walk(a, &c, &(api_ask){ .param = "content", .fn = on_tokens, .next = next_part }, "tokens", false);
    else
        llama_reply_fault(r, &f);
    reading_clear(&c);
}

/* ---- /detokenize ---- */

static int on_text(void *user, const event *e)
{
    reading *c = user;
    if (e->kind == EVENT_DONE)
        c->done = e->end->finish != ANSWER_CANCELLED;
    for (size_t i = 0; e->kind == EVENT_PROMPT && i < e->prompt->n; i++)
        buf_add(&c->out, e->prompt->tokens[i].text, e->prompt->tokens[i].text_bytes);
    return c->out.failed;
}

static bool read_detokenize(reading *c, api_fault *f)
{
    static const field fields[] = { { "model", FIELD_READ, NULL }, { "tokens", FIELD_READ, NULL } };
    if (!api_read_body(http_body(c->r), fields, ARRAY_LEN(fields), &c->body, f) ||
        !llama_read_model(c->body, &c->model, f))
        return false;
    const js *tokens = js_get(c->body, "tokens");
    if (!js_is(tokens, JS_ARRAY))
        return api_refuse(f, FAULT_INVALID, "tokens", "'tokens' must be a list of token ids");
    if (!js_len(tokens))
        return true;
    if (!llama_read_prompt(tokens, "tokens", &c->prompt, f))
        return false;
    if (c->prompt.n != 1 || c->prompt.parts[0].text)
        return api_refuse(f, FAULT_INVALID, "tokens", "'tokens' must be a list of token ids, without texts");
    llama_set_part(&c->prompt, 0, &c->neutral);
    c->neutral.decoded = true;
    return true;
}

void api_llama_detokenize(api *a, http_request *r)
{
    reading c;
    api_fault f;
    reading_init(&c, r);
    if (!read_detokenize(&c, &f))
        llama_reply_fault(r, &f);
    else if (!c.prompt.n)
        reply(&c, "content", true);
    else
        walk(a, &c, &(api_ask){ .param = "tokens", .fn = on_text }, "content", true);
    reading_clear(&c);
}

/* ---- /apply-template ----
 *
 * The text is one that /completion reads as the conversation's tokens. What the model wants before every text is not
 * part of it, because it is put there again: so that is asked first. */

static int on_template(void *user, const event *e)
{
    reading *c = user;
    if (c->second && e->kind == EVENT_PROMPT && e->prompt->n && !c->any) {
        const event_prompt all = *e->prompt, rest = { all.tokens + 1, all.n - 1 };
        bool again = all.tokens[0].id == c->begin;
        c->any = true;
        return on_text(c, &(event){ .kind = EVENT_PROMPT, .prompt = again ? &rest : &all });
    }
    if (!c->second && e->kind == EVENT_PROMPT) {
        c->begin = e->prompt->n ? e->prompt->tokens[0].id : -1;
        return 0;
    }
    return on_text(c, e);
}

static bool next_template(void *user, request *q)
{
    reading *c = user;
    const request about = *q;
    if (!c->done || c->second)
        return false;
    *q = *c->chat;
    q->id = about.id;
    q->privacy = about.privacy;
    q->scope = about.scope;
    q->priority = about.priority;
    q->prompt_only = q->decoded = true;
    c->second = true;
    c->done = false;
    return true;
}

void api_llama_template(api *a, http_request *r)
{
    reading c;
    chat_call call = { 0 };
    api_fault f;
    reading_init(&c, r);
    c.neutral.kind = REQUEST_TEXT;
    c.neutral.text = "";
    c.chat = &call.neutral;
    if (openai_read_chat(http_body(r), &call, &f) && llama_read_model(call.body, &c.model, &f))
        walk(a, &c, &(api_ask){ .param = "messages", .fn = on_template, .next = next_template }, "prompt", true);
    else
        llama_reply_fault(r, &f);
    openai_chat_clear(&call);
    reading_clear(&c);
}
