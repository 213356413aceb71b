/* openai_write.c: neutral events as a chat completion, whole or in chunks. Clients join the pieces of a call by its
 * index; id and name come once, with the call. Reasoning is said under both of the names that clients look for. */
#include <stdio.h>
#include <string.h>

#include "api/openai_int.h"
#include "plat/clock.h"

enum { ANSWER_BYTES_MAX = 32 << 20, PING_US = 5000000 };

/* ---- pieces ---- */

static js *new_object(const openai_answer *a, const char *kind)
{
    js *o = js_object();
    js_set(o, "id", js_new_string(a->id));
    js_set(o, "object", js_new_string(kind));
    js_set(o, "created", js_new_int(a->created));
    js_set(o, "model", js_new_string(a->call->model));
    js_set(o, "system_fingerprint", js_new_string(OPENAI_FINGERPRINT));
    return o;
}

static void add_token(openai_answer *a, const event_token *t)
{
    if (!a->logprobs)
        a->logprobs = js_array();
    a->broken |= !js_push(a->logprobs, api_token_js(t));
}

static js *take_logprobs(openai_answer *a)
{
    if (!a->logprobs)
        return js_null();
    js *o = js_object();
    js_set(o, "content", a->logprobs);
    a->logprobs = NULL;
    return o;
}

/* The prompt counts once, whatever the choices are. */
static void count(openai_answer *a, const event_done *end)
{
    if (a->choice == 0 && end->prompt_tokens > 0)
        a->tokens_in = end->prompt_tokens;
    if (a->choice == 0 && end->cached_tokens > 0)
        a->tokens_cached = end->cached_tokens;
    a->tokens_out += end->completion_tokens < 0 ? 0 : end->completion_tokens;
}

static js *usage_js(const openai_answer *a)
{
    js *o = js_object(), *details = js_object();
    js_set(o, "prompt_tokens", js_new_int(a->tokens_in));
    js_set(o, "completion_tokens", js_new_int(a->tokens_out));
    js_set(o, "total_tokens", js_new_int(a->tokens_in + a->tokens_out));
    js_set(details, "cached_tokens", js_new_int(a->tokens_cached));
    js_set(o, "prompt_tokens_details", details);
    return o;
}

static const char *finish_name(const event_done *end)
{
    return end->finish == ANSWER_LENGTH ? "length" : end->finish == ANSWER_TOOL_CALLS ? "tool_calls" : "stop";
}

/* ---- streamed ---- */

void openai_send(openai_answer *a, js *o)
{
    a->broken |= !api_write_js(a->r, "data: ", o, "\n\n");
    a->last_us = clock_mono_us();
}

/* Takes delta and logprobs. finish NULL: not yet. */
static void send_chunk(openai_answer *a, js *delta, js *logprobs, const char *finish)
{
    js *o = new_object(a, "chat.completion.chunk"), *choices = js_array(), *choice = js_object();
    js_set(choice, "index", js_new_int(a->choice));
    js_set(choice, "delta", delta);
    js_set(choice, "logprobs", logprobs);
    js_set(choice, "finish_reason", finish ? js_new_string(finish) : js_null());
    js_push(choices, choice);
    js_set(o, "choices", choices);
    if (finish && a->relaxed)
        js_set(o, "not_enforced", js_copy(a->relaxed));
    if (a->call->include_usage)
        js_set(o, "usage", js_null());
    openai_send(a, o);
}

static void begin_stream(openai_answer *a)
{
    if (a->begun)
        return;
    if (!http_begun(a->r))
        api_begin_events(a->r);
    a->begun = true;
    js *delta = js_object();
    js_set(delta, "role", js_new_string("assistant"));
    js_set(delta, "content", js_new_string(""));
    send_chunk(a, delta, js_null(), NULL);
}

static void stream_text(openai_answer *a, const char *text, size_t n)
{
    begin_stream(a);
    js *delta = js_object();
    js_set(delta, "content", js_new_stringn(text, n));
    send_chunk(a, delta, take_logprobs(a), NULL);
}

static void set_reasoning(js *message, const char *text, size_t n)
{
    js_set(message, "reasoning_content", js_new_stringn(text, n));
    js_set(message, "reasoning", js_new_stringn(text, n));
}

static void stream_reasoning(openai_answer *a, const char *text, size_t n)
{
    begin_stream(a);
    js *delta = js_object();
    set_reasoning(delta, text, n);
    send_chunk(a, delta, take_logprobs(a), NULL);
}

/* {index, id, type, function: {name, arguments}}; id, type and name only when there is an id. */
static js *call_js(int64_t index, const char *id, const char *name, const char *arguments, size_t n)
{
    js *o = js_object(), *function = js_object();
    if (index >= 0)
        js_set(o, "index", js_new_int(index));
    if (id) {
        js_set(o, "id", js_new_string(id));
        js_set(o, "type", js_new_string("function"));
        js_set(function, "name", js_new_string(name));
    }
    js_set(function, "arguments", js_new_stringn(arguments, n));
    js_set(o, "function", function);
    return o;
}

static void stream_call(openai_answer *a, const event *e)
{
    begin_stream(a);
    js *delta = js_object(), *list = js_array();
    bool begins = e->kind == EVENT_CALL;
    js_push(list, call_js(e->call->index, begins ? e->call->id : NULL, e->call->name, begins ? "" : e->text,
                          begins ? 0 : e->text_bytes));
    js_set(delta, "tool_calls", list);
    send_chunk(a, delta, take_logprobs(a), NULL);
}

static bool is_last(const openai_answer *a)
{
    return a->choice + 1 >= a->call->n;
}

static void end_stream(openai_answer *a, const event_done *end)
{
    begin_stream(a);
    send_chunk(a, js_object(), take_logprobs(a), finish_name(end));
    if (!is_last(a))
        return;
    if (a->call->include_usage) {
        js *o = new_object(a, "chat.completion.chunk");
        js_set(o, "choices", js_array());
        js_set(o, "usage", usage_js(a));
        openai_send(a, o);
    }
    if (http_write(a->r, "data: [DONE]\n\n", 14))
        a->broken = true;
}

/* A comment keeps proxies and clients from giving up while a long prompt is read. */
static void ping(openai_answer *a)
{
    if (clock_mono_us() - a->last_us < PING_US)
        return;
    begin_stream(a);
    if (http_write(a->r, ":\n\n", 3))
        a->broken = true;
    a->last_us = clock_mono_us();
}

/* ---- whole ---- */

/* Calls are collected as [id, name], their arguments beside them. */
static void collect_call(openai_answer *a, const event *e)
{
    if (e->kind == EVENT_CALL) {
        js *call = js_array();
        js_push(call, js_new_string(e->call->id));
        js_push(call, js_new_string(e->call->name));
        a->broken |= !a->calls && !(a->calls = js_array());
        a->broken |= !js_push(a->calls, call);
        a->arguments[e->call->index % OPENAI_CALLS_MAX].max = ANSWER_BYTES_MAX;
        a->broken |= e->call->index >= OPENAI_CALLS_MAX;
    } else if (e->kind == EVENT_ARGUMENTS && e->call->index < OPENAI_CALLS_MAX) {
        buf_add(&a->arguments[e->call->index], e->text, e->text_bytes);
        a->broken |= a->arguments[e->call->index].failed;
    }
}

static js *calls_js(const openai_answer *a)
{
    js *list = js_array();
    for (size_t i = 0; i < js_len(a->calls); i++) {
        const js *call = js_at(a->calls, i);
        js_push(list, call_js(-1, js_text(js_at(call, 0)), js_text(js_at(call, 1)), buf_text(&a->arguments[i]),
                              a->arguments[i].len));
    }
    return list;
}

static js *choice_js(openai_answer *a, const event_done *end)
{
    js *choice = js_object(), *message = js_object();
    js_set(message, "role", js_new_string("assistant"));
    js_set(message, "content", a->calls && !a->text.len ? js_null() : js_new_stringn(buf_text(&a->text), a->text.len));
    if (a->reasoning.len)
        set_reasoning(message, buf_text(&a->reasoning), a->reasoning.len);
    if (a->calls)
        js_set(message, "tool_calls", calls_js(a));
    js_set(choice, "index", js_new_int(a->choice));
    js_set(choice, "message", message);
    js_set(choice, "logprobs", take_logprobs(a));
    js_set(choice, "finish_reason", js_new_string(finish_name(end)));
    return choice;
}

static void reply_whole(openai_answer *a, const event_done *end)
{
    a->broken |= !a->choices && !(a->choices = js_array());
    a->broken |= !js_push(a->choices, choice_js(a, end));
    if (!is_last(a))
        return;
    js *o = new_object(a, "chat.completion");
    js_set(o, "choices", a->choices);
    a->choices = NULL;
    js_set(o, "usage", usage_js(a));
    if (a->relaxed)
        js_set(o, "not_enforced", js_copy(a->relaxed));
    api_reply_js(a->r, 200, o);
}

/* ---- events ---- */

static void on_text(openai_answer *a, const event *e)
{
    bool thought = e->kind == EVENT_REASONING;
    if (a->call->stream)
        (thought ? stream_reasoning : stream_text)(a, e->text, e->text_bytes);
    else
        buf_add(thought ? &a->reasoning : &a->text, e->text, e->text_bytes);
    a->broken |= a->text.failed || a->reasoning.failed;
}

static void on_done(openai_answer *a, const event_done *end)
{
    a->complete = end->finish != ANSWER_CANCELLED;
    if (!a->complete)
        return;
    count(a, end);
    if (a->call->stream)
        end_stream(a, end);
    else
        reply_whole(a, end);
}

int openai_event(void *user, const event *e)
{
    openai_answer *a = user;
    switch (e->kind) {
    case EVENT_WAIT:
    case EVENT_PREFILL:
        if (a->call->stream)
            ping(a);
        break;
    case EVENT_RELAXED: api_keep_not_enforced(a->r, &a->relaxed, e->relaxed); break;
    case EVENT_TOKEN: add_token(a, e->token); break;
    case EVENT_PROMPT:
    case EVENT_SPAN:
    case EVENT_VECTOR: break; /* not of an answer */
    case EVENT_TEXT:
    case EVENT_REASONING: on_text(a, e); break;
    case EVENT_CALL:
    case EVENT_ARGUMENTS:
        if (a->call->stream)
            stream_call(a, e);
        else
            collect_call(a, e);
        break;
    case EVENT_CALL_END: break;
    case EVENT_DONE: on_done(a, e->end); break;
    case EVENT_ERROR: break; /* ask.c keeps it */
    }
    return a->broken;
}

void openai_answer_init(openai_answer *a, http_request *r, const chat_call *call)
{
    *a = (openai_answer){ .r = r, .call = call, .text = BUF_INIT(ANSWER_BYTES_MAX),
                          .reasoning = BUF_INIT(ANSWER_BYTES_MAX), .last_us = clock_mono_us() };
}

/* Nothing of a choice is left. */
static void clear_choice(openai_answer *a)
{
    for (size_t i = 0; i < OPENAI_CALLS_MAX; i++)
        buf_clear(&a->arguments[i]);
    js_free(a->calls);
    js_free(a->logprobs);
    a->calls = a->logprobs = NULL;
    buf_reset(&a->text);
    buf_reset(&a->reasoning);
    a->begun = a->complete = false;
}

bool openai_next(void *user, request *neutral)
{
    openai_answer *a = user;
    if (!a->complete || a->broken || is_last(a))
        return false;
    clear_choice(a);
    a->choice++;
    neutral->sampling.seed++;
    return true;
}

void openai_answer_clear(openai_answer *a)
{
    clear_choice(a);
    js_free(a->choices);
    js_free(a->relaxed);
    buf_clear(&a->text);
    buf_clear(&a->reasoning);
}
