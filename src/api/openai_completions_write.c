/* openai_completions_write.c: neutral events as text completions, whole or in chunks. Log-probabilities have the old
 * shape: four lists of equal length. Everything is written as text at once: the lists of a long prompt are large.
 *
 * A token that is no UTF-8 by itself is named "bytes:\xe2\x82", so that different tokens have different names. The
 * table of the likeliest always holds the token itself; of tokens with one name it holds the likeliest. Offsets count
 * characters of the choice's text. */
#include <math.h>
#include <string.h>

#include "api/openai_completions.h"
#include "base/utf8.h"
#include "plat/clock.h"

enum { ANSWER_BYTES_MAX = 60 << 20, PING_US = 5000000 };

/* ---- pieces ---- */

static void add_text(buf *out, const char *text, size_t n)
{
    if (utf8_valid(text, n)) {
        js_write_string(out, text, n);
        return;
    }
    js *s = js_new_stringn(text, n); /* a prompt of ids can end within a character */
    js_write(s, JS_COMPACT, out);
    js_free(s);
}

static void add_name(buf *out, const event_alternative *t)
{
    if (utf8_valid(t->text, t->text_bytes)) {
        js_write_string(out, t->text, t->text_bytes);
        return;
    }
    buf_str(out, "\"bytes:");
    for (size_t i = 0; i < t->text_bytes; i++)
        buf_printf(out, "\\\\x%02x", (unsigned char)t->text[i]);
    buf_char(out, '"');
}

static bool same_name(const event_alternative *a, const event_alternative *b)
{
    return a->text_bytes == b->text_bytes && memcmp(a->text, b->text, a->text_bytes) == 0;
}

static bool is_named(const event_token *t, size_t n, const event_alternative *name)
{
    for (size_t i = 0; i < n; i++)
        if (same_name(&t->top[i], name))
            return true;
    return false;
}

static void add_top_item(buf *out, const event_alternative *t, bool first)
{
    buf_str(out, first ? "" : ",");
    add_name(out, t);
    buf_char(out, ':');
    js_write_double(out, t->logprob);
}

static void add_top(buf *out, const event_token *t)
{
    buf_char(out, '{');
    for (size_t i = 0; i < t->n_top; i++)
        if (!is_named(t, i, &t->top[i]))
            add_top_item(out, &t->top[i], i == 0);
    if (!is_named(t, t->n_top, &t->token))
        add_top_item(out, &t->token, t->n_top == 0);
    buf_char(out, '}');
}

/* ---- tokens ---- */

static bool continues(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

/* How much of the prompt's text this token of it is. A tokenizer may begin with a token of its own or with a blank. */
static size_t match(const char *rest, const event_alternative *t)
{
    size_t n = t->text_bytes;
    if (strncmp(rest, t->text, n) == 0)
        return n;
    return n > 1 && t->text[0] == ' ' && strncmp(rest, t->text + 1, n - 1) == 0 ? n - 1 : 0;
}

/* The character of the choice's text at which the token begins; goes on behind it. */
static int64_t take_offset(completion_answer *a, const event_token *t)
{
    const char *prompt = a->call->echo ? a->call->prompts[a->prompt].text : NULL, *bytes = t->token.text;
    size_t n = t->token.text_bytes;
    if (prompt && t->prompt) {
        bytes = prompt + a->matched;
        n = match(bytes, &t->token);
        a->matched += n;
    } else if (prompt && prompt[a->matched]) { /* a tokenizer that rewrites texts: the answer begins where they end */
        a->matched = strlen(prompt);
        a->characters = (int64_t)utf8_count(prompt, a->matched);
    }
    int64_t at = a->characters - (n && continues(bytes[0]) && a->characters > 0);
    for (size_t i = 0; i < n; i++)
        a->characters += !continues(bytes[i]);
    return at;
}

static void on_token(completion_answer *a, const event_token *t)
{
    const char *comma = a->tokens.len ? "," : "";
    if (t->prompt && !a->call->prompts[a->prompt].text)
        buf_add(&a->text, t->token.text, t->token.text_bytes);
    if (!a->call->logprobs)
        return;
    buf_str(&a->tokens, comma);
    buf_str(&a->logprobs, comma);
    buf_str(&a->top, comma);
    add_name(&a->tokens, &t->token);
    js_write_double(&a->logprobs, t->first ? NAN : t->token.logprob);
    if (t->first)
        buf_str(&a->top, "null");
    else
        add_top(&a->top, t);
    buf_printf(&a->offsets, "%s%lld", comma, (long long)take_offset(a, t));
}

/* ---- choices ---- */

static void add_head(const completion_answer *a, buf *out)
{
    buf_str(out, "{\"id\":");
    add_text(out, a->id, strlen(a->id));
    buf_printf(out, ",\"object\":\"text_completion\",\"created\":%lld,\"model\":", (long long)a->created);
    add_text(out, a->call->model, strlen(a->call->model));
    buf_str(out, ",\"system_fingerprint\":\"" OPENAI_FINGERPRINT "\",\"choices\":[");
}

static void add_list(buf *out, const char *name, const buf *items)
{
    buf_printf(out, "%s\":[", name);
    buf_add(out, buf_text(items), items->len);
    buf_char(out, ']');
}

/* What has come since the last time; afterwards nothing has. finish NULL: not yet. */
static void add_choice(completion_answer *a, const char *finish, buf *out)
{
    buf *const parts[] = { &a->text, &a->tokens, &a->logprobs, &a->top, &a->offsets };
    buf_printf(out, "{\"index\":%zu,\"text\":", a->prompt * a->call->n + a->choice);
    add_text(out, buf_text(&a->text), a->text.len);
    buf_str(out, ",\"logprobs\":");
    if (a->call->logprobs) {
        add_list(out, "{\"tokens", &a->tokens);
        add_list(out, ",\"token_logprobs", &a->logprobs);
        add_list(out, ",\"top_logprobs", &a->top);
        add_list(out, ",\"text_offset", &a->offsets);
        buf_char(out, '}');
    } else {
        buf_str(out, "null");
    }
    buf_printf(out, finish ? ",\"finish_reason\":\"%s\"}" : ",\"finish_reason\":null}", finish ? finish : "");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        out->failed |= parts[i]->failed;
        buf_reset(parts[i]);
    }
}

static void add_usage(const completion_answer *a, buf *out)
{
    buf_printf(out, "\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld,"
               "\"prompt_tokens_details\":{\"cached_tokens\":%lld}}", (long long)a->tokens_in,
               (long long)a->tokens_out, (long long)(a->tokens_in + a->tokens_out), (long long)a->tokens_cached);
}

/* A prompt counts once, whatever it has of choices; what it was scored by is not taken from an earlier request. */
static void count(completion_answer *a, const event_done *end)
{
    if (a->choice == 0 && end->prompt_tokens > 0)
        a->tokens_in += end->prompt_tokens;
    if (a->choice == 0 && !a->call->neutral.echo && end->cached_tokens > 0)
        a->tokens_cached += end->cached_tokens;
    if (end->completion_tokens > 0)
        a->tokens_out += end->completion_tokens;
}

/* ---- streamed ---- */

static void begin_stream(completion_answer *a)
{
    if (http_begun(a->r))
        return;
    api_begin_events(a->r);
}

static void send_bytes(completion_answer *a, const char *bytes, size_t n)
{
    begin_stream(a);
    a->broken |= http_write(a->r, bytes, n) != OK;
    a->last_us = clock_mono_us();
}

/* Sends and clears it. */
static void send_chunk(completion_answer *a, buf *chunk)
{
    buf_str(chunk, "\n\n");
    a->full |= chunk->failed;
    if (!a->broken && !chunk->failed)
        send_bytes(a, buf_text(chunk), chunk->len);
    buf_clear(chunk);
}

static void send_choice(completion_answer *a, const char *finish)
{
    buf chunk = BUF_INIT(ANSWER_BYTES_MAX);
    buf_str(&chunk, "data: ");
    add_head(a, &chunk);
    add_choice(a, finish, &chunk);
    buf_str(&chunk, a->call->include_usage ? "],\"usage\":null}" : "]}");
    send_chunk(a, &chunk);
}

static void send_end(completion_answer *a)
{
    buf chunk = BUF_INIT(ANSWER_BYTES_MAX);
    if (a->call->include_usage) {
        buf_str(&chunk, "data: ");
        add_head(a, &chunk);
        buf_str(&chunk, "],");
        add_usage(a, &chunk);
        buf_str(&chunk, "}\n\n");
    }
    buf_str(&chunk, "data: [DONE]");
    send_chunk(a, &chunk);
}

/* ---- events ---- */

static void on_done(completion_answer *a, const event_done *end)
{
    const char *finish = end->finish == ANSWER_LENGTH ? "length" : "stop";
    a->complete = end->finish != ANSWER_CANCELLED;
    if (!a->complete)
        return;
    count(a, end);
    if (a->call->stream) {
        send_choice(a, finish);
        return;
    }
    buf_str(&a->choices, a->choices.len ? "," : "");
    add_choice(a, finish, &a->choices);
    a->full |= a->choices.failed;
}

int completion_event(void *user, const event *e)
{
    completion_answer *a = user;
    if (e->kind == EVENT_TOKEN) {
        on_token(a, e->token);
    } else if (e->kind == EVENT_TEXT) {
        buf_add(&a->text, e->text, e->text_bytes);
        if (a->call->stream)
            send_choice(a, NULL);
    } else if (e->kind == EVENT_DONE) {
        on_done(a, e->end);
    }
    /* a comment keeps proxies and clients from giving up while a long prompt is read or scored */
    if (a->call->stream && e->kind != EVENT_DONE && clock_mono_us() - a->last_us >= PING_US)
        send_bytes(a, ":\n\n", 3);
    a->full |= a->text.failed || a->tokens.failed || a->top.failed || a->logprobs.failed || a->offsets.failed;
    return a->broken || a->full;
}

void completion_begin(completion_answer *a)
{
    const char *prompt = a->call->prompts[a->prompt].text;
    a->complete = false;
    a->matched = 0;
    a->characters = 0;
    if (a->call->echo && prompt)
        buf_str(&a->text, prompt);
}

/* ---- the end ---- */

bool completion_end(completion_answer *a)
{
    if (a->full)
        return api_refuse(&a->fault, FAULT_INVALID, "prompt", "the answer would be larger than %d MiB, or than the "
                          "memory that is left: ask for fewer prompts or log-probabilities at a time",
                          ANSWER_BYTES_MAX >> 20);
    if (a->broken || !a->complete)
        return true; /* nobody is there any more */
    if (a->call->stream) {
        send_end(a);
        return true;
    }
    buf reply = BUF_INIT(ANSWER_BYTES_MAX + (1 << 20));
    add_head(a, &reply);
    buf_add(&reply, buf_text(&a->choices), a->choices.len);
    buf_str(&reply, "],");
    add_usage(a, &reply);
    buf_str(&reply, "}\n");
    bool ok = !reply.failed || api_refuse(&a->fault, FAULT_INTERNAL, "", "no memory for an answer");
    if (ok)
        http_reply(a->r, 200, "application/json", buf_text(&reply), reply.len);
    buf_clear(&reply);
    return ok;
}

void completion_say_fault(completion_answer *a)
{
    if (!http_begun(a->r)) {
        api_reply_fault(a->r, &a->fault);
        return;
    }
    if (!a->broken)
        a->broken = !api_write_js(a->r, "data: ", api_fault_js(&a->fault), "\n\n");
}

void completion_answer_init(completion_answer *a, http_request *r, const completion_call *call)
{
    const buf empty = BUF_INIT(ANSWER_BYTES_MAX);
    *a = (completion_answer){ .r = r, .call = call, .text = empty, .tokens = empty, .logprobs = empty, .top = empty,
                              .offsets = empty, .choices = empty, .last_us = clock_mono_us() };
}

void completion_answer_clear(completion_answer *a)
{
    buf *const all[] = { &a->text, &a->tokens, &a->logprobs, &a->top, &a->offsets, &a->choices };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        buf_clear(all[i]);
}
