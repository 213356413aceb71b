/* anthropic_write.c: neutral events as a message of content blocks, whole or as events. Blocks are numbered as they
 * begin; a text or thought ends where something else begins, a call where the provider says so. */
#include <stdio.h>
#include <string.h>

#include "api/anthropic_int.h"
#include "base/mem.h"
#include "plat/clock.h"

enum { ANSWER_BYTES_MAX = 32 << 20, PING_US = 4500000 };

static const char *const kind_names[] = { "text", "thinking", "tool_use" };

/* ---- pieces ---- */

/* Anthropic counts what was computed and what was taken from a cache apart. */
static js *usage_js(int64_t prompt, int64_t cached, int64_t completion)
{
    js *o = js_object();
    cached = cached < 0 ? 0 : cached;
    js_set(o, "input_tokens", js_new_int(prompt > cached ? prompt - cached : 0));
    js_set(o, "cache_creation_input_tokens", js_new_int(0));
    js_set(o, "cache_read_input_tokens", js_new_int(cached));
    js_set(o, "output_tokens", js_new_int(completion < 0 ? 0 : completion));
    return o;
}

/* Sets stop_reason and stop_sequence. end NULL: not yet. */
static void set_stop(const anthropic_answer *a, js *o, const event_done *end)
{
    const request_sampling *s = &a->call->neutral.sampling;
    const char *reason = !end ? NULL : end->finish == ANSWER_LENGTH ? "max_tokens"
                         : end->finish == ANSWER_TOOL_CALLS ? "tool_use" : "end_turn";
    const char *stop = end && end->finish == ANSWER_STOP && end->stop >= 0 && (size_t)end->stop < s->n_stops
                           ? s->stops[end->stop] : NULL;
    js_set(o, "stop_reason", stop ? js_new_string("stop_sequence") : reason ? js_new_string(reason) : js_null());
    js_set(o, "stop_sequence", stop ? js_new_string(stop) : js_null());
}

/* Takes content and usage. */
static js *message_js(const anthropic_answer *a, js *content, const event_done *end, js *usage)
{
    js *o = js_object();
    js_set(o, "id", js_new_string(a->id));
    js_set(o, "type", js_new_string("message"));
    js_set(o, "role", js_new_string("assistant"));
    js_set(o, "model", js_new_string(a->call->model));
    js_set(o, "content", content);
    set_stop(a, o, end);
    js_set(o, "usage", usage);
    return o;
}

/* A call's arguments as an object; what was cut or is none becomes an empty one: stop_reason says it. */
static js *input_js(const content_block *b)
{
    js *input = NULL;
    if (js_parse(&input, buf_text(&b->text), b->text.len, "arguments", 1, NULL) == OK && js_is(input, JS_OBJECT))
        return input;
    js_free(input);
    return js_object();
}

static js *block_js(const content_block *b)
{
    js *o = js_object();
    js_set(o, "type", js_new_string(kind_names[b->kind]));
    if (b->kind == BLOCK_TOOL) {
        js_set(o, "id", js_new_string(b->id));
        js_set(o, "name", js_new_string(b->name));
        js_set(o, "input", input_js(b));
    } else {
        js_set(o, kind_names[b->kind], js_new_stringn(buf_text(&b->text), b->text.len));
    }
    if (b->kind == BLOCK_THINKING)
        js_set(o, "signature", js_new_string(""));
    return o;
}

/* ---- streamed ---- */

void anthropic_send(anthropic_answer *a, const char *name, js *o)
{
    char before[64];
    snprintf(before, sizeof before, "event: %s\ndata: ", name);
    a->broken |= !api_write_js(a->r, before, o, "\n\n");
    a->last_us = clock_mono_us();
}

static js *new_event(const char *name)
{
    js *o = js_object();
    js_set(o, "type", js_new_string(name));
    return o;
}

static void begin_stream(anthropic_answer *a)
{
    if (http_begun(a->r))
        return;
    api_begin_events(a->r);
    js *o = new_event("message_start");
    js_set(o, "message", message_js(a, js_array(), NULL, usage_js(a->n_prefill, 0, 0)));
    anthropic_send(a, "message_start", o);
}

static void send_delta(anthropic_answer *a, const content_block *b, const char *type, const char *member,
                       const char *text, size_t n)
{
    js *o = new_event("content_block_delta"), *delta = new_event(type);
    js_set(delta, member, js_new_stringn(text, n));
    js_set(o, "index", js_new_int(b - a->blocks));
    js_set(o, "delta", delta);
    anthropic_send(a, "content_block_delta", o);
}

static void send_start(anthropic_answer *a, const content_block *b)
{
    begin_stream(a);
    js *o = new_event("content_block_start");
    js_set(o, "index", js_new_int(b - a->blocks));
    js_set(o, "content_block", block_js(b));
    anthropic_send(a, "content_block_start", o);
}

/* A signature would prove a thought to Anthropic's servers; clients wait for one. */
static void send_stop(anthropic_answer *a, const content_block *b)
{
    if (b->kind == BLOCK_THINKING)
        send_delta(a, b, "signature_delta", "signature", "", 0);
    js *o = new_event("content_block_stop");
    js_set(o, "index", js_new_int(b - a->blocks));
    anthropic_send(a, "content_block_stop", o);
}

static void ping(anthropic_answer *a)
{
    if (!a->call->stream || clock_mono_us() - a->last_us < PING_US)
        return;
    begin_stream(a);
    anthropic_send(a, "ping", new_event("ping"));
}

static void end_stream(anthropic_answer *a, const event_done *end)
{
    begin_stream(a);
    js *o = new_event("message_delta"), *delta = js_object();
    set_stop(a, delta, end);
    js_set(o, "delta", delta);
    js_set(o, "usage", usage_js(end->prompt_tokens, end->cached_tokens, end->completion_tokens));
    if (a->relaxed)
        js_set(o, "not_enforced", js_copy(a->relaxed));
    anthropic_send(a, "message_delta", o);
    anthropic_send(a, "message_stop", new_event("message_stop"));
}

/* ---- blocks ---- */

static void close_block(anthropic_answer *a, content_block *b)
{
    if (b->open && a->call->stream)
        send_stop(a, b);
    b->open = false;
}

static content_block *open_block(anthropic_answer *a, block_kind kind)
{
    if (a->n_blocks && a->blocks[a->n_blocks - 1].kind != BLOCK_TOOL)
        close_block(a, &a->blocks[a->n_blocks - 1]);
    if (a->n_blocks == ANTHROPIC_BLOCKS_MAX) {
        a->broken = true;
        return NULL;
    }
    content_block *b = &a->blocks[a->n_blocks++];
    *b = (content_block){ .kind = kind, .text = BUF_INIT(ANSWER_BYTES_MAX), .open = true };
    return b;
}

static void add_piece(anthropic_answer *a, content_block *b, const event *e)
{
    static const char *const types[] = { "text_delta", "thinking_delta", "input_json_delta" };
    static const char *const members[] = { "text", "thinking", "partial_json" };
    if (a->call->stream)
        send_delta(a, b, types[b->kind], members[b->kind], e->text, e->text_bytes);
    else
        buf_add(&b->text, e->text, e->text_bytes);
    a->broken |= b->text.failed;
}

static void on_text(anthropic_answer *a, const event *e)
{
    block_kind kind = e->kind == EVENT_REASONING ? BLOCK_THINKING : BLOCK_TEXT;
    content_block *b = a->n_blocks ? &a->blocks[a->n_blocks - 1] : NULL;
    if (!e->text_bytes)
        return;
    if (!b || b->kind != kind || !b->open) {
        b = open_block(a, kind);
        if (b && a->call->stream)
            send_start(a, b);
    }
    if (b)
        add_piece(a, b, e);
}

static void on_call(anthropic_answer *a, const event *e)
{
    content_block *b = NULL;
    if (e->kind == EVENT_CALL) {
        if (!(b = open_block(a, BLOCK_TOOL)))
            return;
        b->call = e->call->index;
        b->id = mem_strdup(e->call->id);
        b->name = mem_strdup(e->call->name);
        a->broken |= !b->id || !b->name;
        if (!a->broken && a->call->stream)
            send_start(a, b);
        return;
    }
    for (uint32_t i = 0; i < a->n_blocks && !b; i++)
        if (a->blocks[i].kind == BLOCK_TOOL && a->blocks[i].open && a->blocks[i].call == e->call->index)
            b = &a->blocks[i];
    if (b && e->kind == EVENT_CALL_END)
        close_block(a, b);
    else if (b && e->text_bytes)
        add_piece(a, b, e);
}

/* ---- the end ---- */

static void reply_whole(anthropic_answer *a, const event_done *end)
{
    js *content = js_array();
    for (uint32_t i = 0; i < a->n_blocks; i++)
        js_push(content, block_js(&a->blocks[i]));
    js *o = message_js(a, content, end, usage_js(end->prompt_tokens, end->cached_tokens, end->completion_tokens));
    if (a->relaxed)
        js_set(o, "not_enforced", js_copy(a->relaxed));
    api_reply_js(a->r, 200, o);
}

static void reply_count(anthropic_answer *a, const event_done *end)
{
    js *o = js_object();
    js_set(o, "input_tokens", js_new_int(end->prompt_tokens < 0 ? 0 : end->prompt_tokens));
    api_reply_js(a->r, 200, o);
}

static void on_done(anthropic_answer *a, const event_done *end)
{
    if (end->finish == ANSWER_CANCELLED)
        return;
    for (uint32_t i = 0; i < a->n_blocks; i++)
        close_block(a, &a->blocks[i]);
    if (a->call->count)
        reply_count(a, end);
    else if (a->call->stream)
        end_stream(a, end);
    else
        reply_whole(a, end);
    a->over = true;
}

int anthropic_event(void *user, const event *e)
{
    anthropic_answer *a = user;
    switch (e->kind) {
    case EVENT_PREFILL: a->n_prefill = e->total; ping(a); break;
    case EVENT_TEXT:
    case EVENT_REASONING: on_text(a, e); break;
    case EVENT_CALL:
    case EVENT_ARGUMENTS:
    case EVENT_CALL_END: on_call(a, e); break;
    case EVENT_RELAXED: api_keep_not_enforced(a->r, &a->relaxed, e->relaxed); break;
    case EVENT_DONE: on_done(a, e->end); break;
    case EVENT_WAIT: ping(a); break;
    default: break; /* nobody asks for tokens or vectors here; ask.c keeps errors */
    }
    return a->broken;
}

void anthropic_answer_init(anthropic_answer *a, http_request *r, const anthropic_call *call)
{
    memset(a, 0, sizeof *a);
    a->r = r;
    a->call = call;
    a->last_us = clock_mono_us();
}

void anthropic_answer_clear(anthropic_answer *a)
{
    for (uint32_t i = 0; i < a->n_blocks; i++) {
        buf_clear(&a->blocks[i].text);
        mem_free(a->blocks[i].id);
        mem_free(a->blocks[i].name);
    }
    js_free(a->relaxed);
}
