/* conversation_texts.c: the texts of a request as digests by which its conversation is known again, in any dialect. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "privacy/conversations.h"

enum { TEXT_MAX = 16 << 20 };

typedef struct reading {
    const uint8_t *key;
    const char *scope;
    conversation_texts *out;
    size_t room, fresh;           /* fresh: where in `look` the turn begins that has no answer yet */
    uint8_t chain[DIGEST_BYTES];
    size_t bytes;                 /* of all texts so far */
    conversation_digest last;
    bool any;
    buf text;
} reading;

/* ---- digests ---- */

/* HMAC(key, kind, a, SHA-256(b)): all of them of fixed length. */
static void keyed(const uint8_t key[DIGEST_BYTES], const char kind[8], const uint8_t a[DIGEST_BYTES], const void *b,
                  size_t b_n, uint8_t out[DIGEST_BYTES])
{
    uint8_t all[8 + 2 * DIGEST_BYTES];
    memcpy(all, kind, 8);
    memcpy(all + 8, a, DIGEST_BYTES);
    digest_raw(b, b_n, all + 8 + DIGEST_BYTES);
    digest_hmac(key, DIGEST_BYTES, all, sizeof all, out);
}

static void cut(const uint8_t whole[DIGEST_BYTES], conversation_digest *out)
{
    memcpy(out->bytes, whole, sizeof out->bytes);
}

static void single(const uint8_t key[DIGEST_BYTES], const uint8_t sum[DIGEST_BYTES], conversation_digest *out)
{
    uint8_t whole[DIGEST_BYTES];
    keyed(key, "text   ", sum, "", 0, whole);
    cut(whole, out);
}

bool conversation_of_text(const char *text, size_t n, const uint8_t key[DIGEST_BYTES], conversation_digest *out)
{
    uint8_t sum[DIGEST_BYTES];
    span t = span_trim((span){ text, n });
    if (t.n < CONVERSATION_TEXT_MIN)
        return false;
    digest_raw(t.p, t.n, sum);
    single(key, sum, out);
    return true;
}

/* ---- lists ---- */

static status push(reading *r, conversation_digest d, error *err)
{
    conversation_texts *o = r->out;
    if (o->n_look == r->room) {
        size_t room = r->room ? 2 * r->room : 16;
        conversation_digest *more = mem_resize(o->look, room * sizeof *more);
        if (!more)
            return fail(err, E_NOMEM, "no memory for a conversation");
        o->look = more;
        r->room = room;
    }
    o->look[o->n_look++] = d;
    return OK;
}

/* One text of the conversation, in r->text. */
static status end_text(reading *r, error *err)
{
    uint8_t sum[DIGEST_BYTES], whole[DIGEST_BYTES];
    status s = buf_ok(&r->text, "a message", err);
    span t = span_trim((span){ buf_text(&r->text), r->text.len });
    if (s || !t.n)
        return s;
    digest_raw(t.p, t.n, sum);
    keyed(r->key, "chain  ", r->chain, sum, sizeof sum, r->chain);
    memcpy(whole, r->chain, sizeof whole);
    r->bytes += t.n;
    if (r->bytes < CONVERSATION_TEXT_MIN)
        keyed(r->key, "short  ", r->chain, r->scope, strlen(r->scope), whole);
    cut(whole, &r->last);
    r->any = true;
    s = push(r, r->last, err);
    if (!s && t.n >= CONVERSATION_TEXT_MIN) {
        conversation_digest d;
        single(r->key, sum, &d);
        s = push(r, d, err);
    }
    return s;
}

/* ---- texts ---- */

/* Members that are no part of what was said, or not sent back as they were. */
static bool is_said(const char *key)
{
    static const char *const others[] = { "role", "type", "id", "call_id", "tool_call_id", "tool_use_id", "status",
                                          "reasoning_content", "reasoning", "thinking", "signature", "cache_control" };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (strcmp(key, others[i]) == 0)
            return false;
    return true;
}

static void collect(buf *out, const js *v)
{
    js_member m = { 0 };
    switch (js_typeof(v)) {
    case JS_STRING: buf_add(out, js_text(v), js_len(v)); break;
    case JS_NUMBER: buf_str(out, js_text(v)); break;
    case JS_ARRAY:
        for (size_t i = 0; i < js_len(v); i++)
            collect(out, js_at(v, i));
        break;
    case JS_OBJECT:
        while (js_next(v, &m))
            if (is_said(m.key))
                collect(out, m.value);
        break;
    default: break;
    }
}

static bool is_word(const js *v, const char *a, const char *b)
{
    return js_is(v, JS_STRING) && (strcmp(js_text(v), a) == 0 || strcmp(js_text(v), b) == 0);
}

static status read_one(reading *r, const js *v, error *err)
{
    const js *role = js_get(v, "role"), *type = js_get(v, "type");
    if (is_word(role, "system", "developer"))
        return OK;
    buf_reset(&r->text);
    collect(&r->text, v);
    status s = end_text(r, err);
    if (is_word(role, "assistant", "model") || (!role && is_word(type, "function_call", "custom_tool_call")))
        r->fresh = r->out->n_look;
    return s;
}

static status read_all(reading *r, const js *body, error *err)
{
    static const char *const members[] = { "messages", "input", "prompt", "content", "query", "documents", "texts" };
    status s = OK;
    for (size_t i = 0; i < ARRAY_LEN(members) && !s; i++) {
        const js *v = js_get(body, members[i]);
        bool list = js_is(v, JS_ARRAY);
        for (size_t k = 0; k < js_len(v) && list && !s; k++)
            s = read_one(r, js_at(v, k), err);
        if (!list && v)
            s = read_one(r, v, err);
    }
    return s;
}

/* The end of the chain, and the texts of the turn that has no answer yet. */
static status set_keep(reading *r, error *err)
{
    conversation_texts *o = r->out;
    if (!r->any)
        return OK;
    o->keep = mem_array(o->n_look - r->fresh + 1, sizeof *o->keep);
    if (!o->keep)
        return fail(err, E_NOMEM, "no memory for a conversation");
    o->keep[o->n_keep++] = r->last;
    for (size_t i = r->fresh; i < o->n_look; i++)
        o->keep[o->n_keep++] = o->look[i];
    return OK;
}

status conversation_read(const js *body, const uint8_t key[DIGEST_BYTES], const char *scope, conversation_texts *out,
                         error *err)
{
    reading r = { .key = key, .scope = scope ? scope : "", .out = out, .text = BUF_INIT(TEXT_MAX) };
    *out = (conversation_texts){ 0 };
    status s = read_all(&r, body, err);
    if (!s)
        s = set_keep(&r, err);
    buf_clear(&r.text);
    if (s)
        conversation_clear(out);
    return s;
}

void conversation_clear(conversation_texts *t)
{
    mem_free(t->look);
    mem_free(t->keep);
    *t = (conversation_texts){ 0 };
}
