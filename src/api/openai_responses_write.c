/* openai_responses_write.c: neutral events as a response of output items, whole or as events. Items are numbered as
 * they begin; a text or thought ends where something else begins, a call where the provider says so. Items are kept
 * also when they are streamed: the last event holds them all. */
#include <stdio.h>
#include <string.h>

#include "api/openai_responses_int.h"
#include "plat/clock.h"

enum { ANSWER_BYTES_MAX = 32 << 20, PING_US = 4500000 };

/* What differs between the kinds of items; the last two are names of events and of their members. */
static const struct kind {
    const char *prefix, *type, *part, *delta, *done, *member;
} kinds[] = {
    { "msg", "message", "output_text", "response.output_text.delta", "response.output_text.done", "text" },
    { "rs", "reasoning", "reasoning_text", "response.reasoning_text.delta", "response.reasoning_text.done", "text" },
    { "fc", "function_call", NULL, "response.function_call_arguments.delta", "response.function_call_arguments.done",
      "arguments" },
};

/* ---- items ---- */

static js *item_id(const responses_answer *a, const response_item *it)
{
    char id[API_ID_BYTES + 24];
    snprintf(id, sizeof id, "%s_%s_%d", kinds[it->kind].prefix, a->id + strlen("resp_"), (int)(it - a->items));
    return js_new_string(id);
}

static js *list_or_empty(const js *list)
{
    return list ? js_copy(list) : js_array();
}

/* The item's one part of content; begun: without what it says. */
static js *part_js(const response_item *it, bool begun)
{
    js *part = js_object();
    js_set(part, "type", js_new_string(kinds[it->kind].part));
    js_set(part, "text", begun ? js_new_string("") : js_new_stringn(buf_text(&it->text), it->text.len));
    if (it->kind == ITEM_MESSAGE) {
        js_set(part, "annotations", js_array());
        js_set(part, "logprobs", begun ? js_array() : list_or_empty(it->logprobs));
    }
    return part;
}

static js *item_js(const responses_answer *a, const response_item *it, bool begun)
{
    js *o = js_object(), *content = js_array();
    js_set(o, "id", item_id(a, it));
    js_set(o, "type", js_new_string(kinds[it->kind].type));
    js_set(o, "status", js_new_string(begun ? "in_progress" : it->cut ? "incomplete" : "completed"));
    if (it->kind == ITEM_CALL) {
        js_free(content);
        js_set(o, "call_id", js_new_string(it->call_id));
        js_set(o, "name", js_new_string(it->name));
        js_set(o, "arguments", begun ? js_new_string("") : js_new_stringn(buf_text(&it->text), it->text.len));
        return o;
    }
    if (!begun)
        js_push(content, part_js(it, false));
    js_set(o, "content", content);
    if (it->kind == ITEM_MESSAGE)
        js_set(o, "role", js_new_string("assistant"));
    else
        js_set(o, "summary", js_array());
    return o;
}

/* ---- the response ---- */

static js *usage_js(const event_done *end)
{
    int64_t in = end->prompt_tokens < 0 ? 0 : end->prompt_tokens;
    int64_t out = end->completion_tokens < 0 ? 0 : end->completion_tokens;
    js *o = js_object(), *in_details = js_object(), *out_details = js_object();
    js_set(in_details, "cached_tokens", js_new_int(end->cached_tokens < 0 ? 0 : end->cached_tokens));
    js_set(in_details, "cache_write_tokens", js_new_int(0));
    js_set(out_details, "reasoning_tokens", js_new_int(0)); /* not counted apart; clients fail without it */
    js_set(o, "input_tokens", js_new_int(in));
    js_set(o, "input_tokens_details", in_details);
    js_set(o, "output_tokens", js_new_int(out));
    js_set(o, "output_tokens_details", out_details);
    js_set(o, "total_tokens", js_new_int(in + out));
    return o;
}

/* A member as it was sent. Takes otherwise, which stands there when nothing was. */
static void echo(js *o, const js *body, const char *name, js *otherwise)
{
    const js *sent = api_value(body, name);
    js_set(o, name, sent ? js_copy(sent) : otherwise);
    if (sent)
        js_free(otherwise);
}

static void set_asked(js *o, const responses_call *c)
{
    static const char *const nulls[] = { "instructions", "user", "prompt_cache_key", "safety_identifier" };
    const request *q = &c->chat.neutral;
    js *text = js_object(), *format = js_object(), *reasoning = js_object();
    js_set(format, "type", js_new_string("text"));
    js_set(text, "format", format);
    js_set(reasoning, "effort", js_null());
    js_set(reasoning, "summary", js_null());
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
        echo(o, c->body, nulls[i], js_null());
    echo(o, c->body, "metadata", js_object());
    echo(o, c->body, "reasoning", reasoning);
    echo(o, c->body, "text", text);
    echo(o, c->body, "tools", js_array());
    echo(o, c->body, "tool_choice", js_new_string("auto"));
    js_set(o, "parallel_tool_calls", js_new_bool(!q->one_call));
    js_set(o, "max_output_tokens", q->sampling.max_tokens ? js_new_int(q->sampling.max_tokens) : js_null());
    js_set(o, "temperature", js_new_double(q->sampling.temperature));
    js_set(o, "top_p", js_new_double(q->sampling.top_p));
    js_set(o, "top_logprobs", js_new_int(q->n_logprobs));
    js_set(o, "truncation", js_new_string("disabled"));
    js_set(o, "store", js_new_bool(false));
    js_set(o, "background", js_new_bool(false));
    js_set(o, "previous_response_id", js_null());
}

/* With the items that have ended. end NULL: there is no usage yet, or none. */
static js *response_js(const responses_answer *a, const char *state, const event_done *end)
{
    js *o = js_object(), *output = js_array(), *why = js_null();
    for (uint32_t i = 0; i < a->n_items; i++)
        if (!a->items[i].open)
            js_push(output, item_js(a, &a->items[i], false));
    if (end && end->finish == ANSWER_LENGTH) {
        js_free(why);
        js_set(why = js_object(), "reason", js_new_string("max_output_tokens"));
    }
    js_set(o, "id", js_new_string(a->id));
    js_set(o, "object", js_new_string("response"));
    js_set(o, "created_at", js_new_int(a->created));
    js_set(o, "status", js_new_string(state));
    js_set(o, "model", js_new_string(a->call->chat.model));
    js_set(o, "output", output);
    js_set(o, "error", js_null());
    js_set(o, "incomplete_details", why);
    js_set(o, "usage", end ? usage_js(end) : js_null());
    set_asked(o, a->call);
    if (a->relaxed)
        js_set(o, "not_enforced", js_copy(a->relaxed));
    return o;
}

/* ---- streamed ---- */

/* Takes o, the event's own members. */
static void send_event(responses_answer *a, const char *name, js *o)
{
    char before[96];
    js_set(o, "type", js_new_string(name));
    js_set(o, "sequence_number", js_new_int(a->sequence++));
    snprintf(before, sizeof before, "event: %s\ndata: ", name);
    a->broken |= !api_write_js(a->r, before, o, "\n\n");
    a->last_us = clock_mono_us();
}

/* Takes response. */
static void send_response(responses_answer *a, const char *name, js *response)
{
    js *o = js_object();
    js_set(o, "response", response);
    send_event(a, name, o);
}

static void begin_stream(responses_answer *a)
{
    if (http_begun(a->r))
        return;
    api_begin_events(a->r);
    send_response(a, "response.created", response_js(a, "in_progress", NULL));
    send_response(a, "response.in_progress", response_js(a, "in_progress", NULL));
}

/* An event's members that say which item (and part of it) it is about. */
static js *about(const responses_answer *a, const response_item *it, bool part)
{
    js *o = js_object();
    js_set(o, "output_index", js_new_int(it - a->items));
    js_set(o, "item_id", item_id(a, it));
    if (part)
        js_set(o, "content_index", js_new_int(0));
    return o;
}

static void send_item(responses_answer *a, const char *name, const response_item *it, bool begun)
{
    js *o = js_object();
    js_set(o, "output_index", js_new_int(it - a->items));
    js_set(o, "item", item_js(a, it, begun));
    send_event(a, name, o);
}

static void send_part(responses_answer *a, const char *name, const response_item *it, bool begun)
{
    if (it->kind == ITEM_CALL)
        return;
    js *o = about(a, it, true);
    js_set(o, "part", part_js(it, begun));
    send_event(a, name, o);
}

static void send_begin(responses_answer *a, const response_item *it)
{
    begin_stream(a);
    send_item(a, "response.output_item.added", it, true);
    send_part(a, "response.content_part.added", it, true);
}

static void send_delta(responses_answer *a, const response_item *it, const event *e, const js *logprobs)
{
    js *o = about(a, it, it->kind != ITEM_CALL);
    js_set(o, "delta", js_new_stringn(e->text, e->text_bytes));
    if (it->kind == ITEM_MESSAGE)
        js_set(o, "logprobs", list_or_empty(logprobs));
    send_event(a, kinds[it->kind].delta, o);
}

static void send_end(responses_answer *a, const response_item *it)
{
    js *o = about(a, it, it->kind != ITEM_CALL);
    js_set(o, kinds[it->kind].member, js_new_stringn(buf_text(&it->text), it->text.len));
    if (it->kind == ITEM_MESSAGE)
        js_set(o, "logprobs", list_or_empty(it->logprobs));
    else if (it->kind == ITEM_CALL)
        js_set(o, "name", js_new_string(it->name));
    send_event(a, kinds[it->kind].done, o);
    send_part(a, "response.content_part.done", it, false);
    send_item(a, "response.output_item.done", it, false);
}

/* A comment keeps proxies and clients from giving up while a long prompt is read. */
static void ping(responses_answer *a)
{
    if (!a->call->chat.stream || clock_mono_us() - a->last_us < PING_US)
        return;
    begin_stream(a);
    a->broken |= http_write(a->r, ":\n\n", 3) != OK;
    a->last_us = clock_mono_us();
}

/* ---- from events to items ---- */

static void close_item(responses_answer *a, response_item *it)
{
    bool was_open = it->open;
    it->open = false;
    if (was_open && a->call->chat.stream)
        send_end(a, it);
}

/* name NULL: no call. NULL: there is no room or no memory. */
static response_item *open_item(responses_answer *a, response_kind kind, const event_call *call)
{
    if (a->n_items && a->items[a->n_items - 1].kind != ITEM_CALL)
        close_item(a, &a->items[a->n_items - 1]);
    if (a->n_items == RESPONSES_ITEMS_MAX) {
        a->broken = true;
        return NULL;
    }
    response_item *it = &a->items[a->n_items++];
    *it = (response_item){ .kind = kind, .text = BUF_INIT(ANSWER_BYTES_MAX), .open = true };
    if (call) {
        it->call = call->index;
        it->call_id = mem_strdup(call->id);
        it->name = mem_strdup(call->name);
        a->broken |= !it->call_id || !it->name;
    }
    if (!a->broken && a->call->chat.stream)
        send_begin(a, it);
    return a->broken ? NULL : it;
}

/* The tokens since the last text belong to this one; those of anything else are nobody's. */
static js *take_logprobs(responses_answer *a, response_item *it)
{
    js *taken = a->logprobs;
    a->logprobs = NULL;
    if (it->kind != ITEM_MESSAGE) {
        js_free(taken);
        return NULL;
    }
    if (taken && !it->logprobs)
        it->logprobs = js_array();
    for (size_t i = 0; i < js_len(taken); i++)
        a->broken |= !js_push(it->logprobs, js_copy(js_at(taken, i)));
    return taken;
}

static void add_piece(responses_answer *a, response_item *it, const event *e)
{
    js *logprobs = take_logprobs(a, it);
    buf_add(&it->text, e->text, e->text_bytes);
    a->broken |= it->text.failed;
    if (a->call->chat.stream)
        send_delta(a, it, e, logprobs);
    js_free(logprobs);
}

static void on_text(responses_answer *a, const event *e)
{
    response_kind kind = e->kind == EVENT_REASONING ? ITEM_REASONING : ITEM_MESSAGE;
    response_item *it = a->n_items ? &a->items[a->n_items - 1] : NULL;
    if (!e->text_bytes)
        return;
    if (!it || it->kind != kind || !it->open)
        it = open_item(a, kind, NULL);
    if (it)
        add_piece(a, it, e);
}

static void on_call(responses_answer *a, const event *e)
{
    response_item *it = NULL;
    if (e->kind == EVENT_CALL) {
        open_item(a, ITEM_CALL, e->call);
        return;
    }
    for (uint32_t i = 0; i < a->n_items && !it; i++)
        if (a->items[i].kind == ITEM_CALL && a->items[i].open && a->items[i].call == e->call->index)
            it = &a->items[i];
    if (!it)
        return;
    if (e->kind == EVENT_ARGUMENTS && e->text_bytes)
        add_piece(a, it, e);
    if (e->kind == EVENT_CALL_END) {
        it->cut = !e->call->complete;
        close_item(a, it);
    }
}

static void on_token(responses_answer *a, const event_token *t)
{
    if (!a->logprobs)
        a->logprobs = js_array();
    a->broken |= !js_push(a->logprobs, api_token_js(t));
}

/* An answer that says nothing is an empty text, and the token that ended a text belongs to it. */
static void close_all(responses_answer *a, const event_done *end)
{
    if (!a->n_items && end->finish == ANSWER_STOP)
        open_item(a, ITEM_MESSAGE, NULL);
    for (uint32_t i = 0; i < a->n_items; i++) {
        response_item *it = &a->items[i];
        if (!it->open)
            continue;
        js_free(take_logprobs(a, it));
        it->cut = end->finish == ANSWER_LENGTH;
        close_item(a, it);
    }
}

static void on_done(responses_answer *a, const event_done *end)
{
    bool cut = end->finish == ANSWER_LENGTH;
    if (end->finish == ANSWER_CANCELLED)
        return;
    close_all(a, end);
    js *response = response_js(a, cut ? "incomplete" : "completed", end);
    if (!a->call->chat.stream) {
        api_reply_js(a->r, 200, response);
        return;
    }
    begin_stream(a);
    send_response(a, cut ? "response.incomplete" : "response.completed", response);
}

int responses_event(void *user, const event *e)
{
    responses_answer *a = user;
    switch (e->kind) {
    case EVENT_WAIT:
    case EVENT_PREFILL: ping(a); break;
    case EVENT_RELAXED: api_keep_not_enforced(a->r, &a->relaxed, e->relaxed); break;
    case EVENT_TOKEN: on_token(a, e->token); break;
    case EVENT_TEXT:
    case EVENT_REASONING: on_text(a, e); break;
    case EVENT_CALL:
    case EVENT_ARGUMENTS:
    case EVENT_CALL_END: on_call(a, e); break;
    case EVENT_DONE: on_done(a, e->end); break;
    default: break; /* nobody asks for vectors here; ask.c keeps errors */
    }
    return a->broken;
}

/* ---- faults ---- */

void responses_say_fault(responses_answer *a)
{
    const fault_kind kind = a->fault.kind;
    if (!http_begun(a->r)) {
        api_reply_fault(a->r, &a->fault);
        return;
    }
    js *response = response_js(a, "failed", NULL), *what = js_object();
    const char *code = kind == FAULT_RATE_LIMITED                       ? "rate_limit_exceeded"
                       : kind == FAULT_INVALID || kind == FAULT_CONTEXT ? "invalid_prompt"
                                                                        : "server_error";
    js_set(what, "code", js_new_string(code));
    js_set(what, "message", js_new_string(a->fault.text));
    js_set(response, "error", what);
    if (a->broken)
        js_free(response);
    else
        send_response(a, "response.failed", response);
}

void responses_answer_init(responses_answer *a, http_request *r, const responses_call *call)
{
    memset(a, 0, sizeof *a);
    a->r = r;
    a->call = call;
    a->last_us = clock_mono_us();
}

void responses_answer_clear(responses_answer *a)
{
    for (uint32_t i = 0; i < a->n_items; i++) {
        buf_clear(&a->items[i].text);
        js_free(a->items[i].logprobs);
        mem_free(a->items[i].call_id);
        mem_free(a->items[i].name);
    }
    js_free(a->logprobs);
    js_free(a->relaxed);
}
