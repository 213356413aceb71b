/* openai_chat.c: POST /v1/chat/completions: their JSON to the neutral request, the neutral events to their answer.
 *
 *   read_body -> api_target (class, route) -> api_take (provider) -> provider_complete -> on_event:
 *     not streamed: text is collected, one object at the end
 *     streamed:     role chunk, text chunks, finish chunk, usage chunk if asked for, [DONE]
 * Until the first byte an error is an HTTP status; after it, one `data: {"error":…}` and the end. */
#include <stdio.h>
#include <string.h>

#include "api/openai_int.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "plat/random.h"

enum { ANSWER_BYTES_MAX = 32 << 20, PING_US = 5000000 };

typedef struct answer {
    http_request *r;
    const chat_call *call;
    const target *to;
    char id[64];
    int64_t created;
    buf text;         /* not streamed: all of it */
    js *logprobs;     /* tokens since the last chunk, or all */
    bool broken;      /* no memory or no reader: stop */
    uint64_t last_us; /* when the client last heard something */
    api_fault fault;
    bool failed;
} answer;

/* ---- pieces ---- */

static js *new_object(const answer *a, const char *kind)
{
    js *o = js_object();
    js_set(o, "id", js_new_string(a->id));
    js_set(o, "object", js_new_string(kind));
    js_set(o, "created", js_new_int(a->created));
    js_set(o, "model", js_new_string(a->call->model));
    js_set(o, "system_fingerprint", js_new_string(OPENAI_FINGERPRINT));
    return o;
}

static js *token_js(const event_alternative *t)
{
    js *o = js_object(), *bytes = js_array();
    js_set(o, "token", js_new_stringn(t->text, t->text_bytes));
    js_set(o, "logprob", js_new_double(t->logprob));
    for (size_t i = 0; i < t->text_bytes; i++)
        js_push(bytes, js_new_int((unsigned char)t->text[i]));
    js_set(o, "bytes", bytes);
    return o;
}

static void add_token(answer *a, const event_token *t)
{
    js *o = token_js(&t->token), *top = js_array();
    for (size_t i = 0; i < t->n_top; i++)
        js_push(top, token_js(&t->top[i]));
    js_set(o, "top_logprobs", top);
    if (!a->logprobs)
        a->logprobs = js_array();
    a->broken |= !js_push(a->logprobs, o);
}

static js *take_logprobs(answer *a)
{
    if (!a->logprobs)
        return js_null();
    js *o = js_object();
    js_set(o, "content", a->logprobs);
    a->logprobs = NULL;
    return o;
}

static js *usage_js(const event_done *end)
{
    int64_t in = end->prompt_tokens < 0 ? 0 : end->prompt_tokens;
    int64_t out = end->completion_tokens < 0 ? 0 : end->completion_tokens;
    js *o = js_object(), *details = js_object();
    js_set(o, "prompt_tokens", js_new_int(in));
    js_set(o, "completion_tokens", js_new_int(out));
    js_set(o, "total_tokens", js_new_int(in + out));
    js_set(details, "cached_tokens", js_new_int(end->cached_tokens < 0 ? 0 : end->cached_tokens));
    js_set(o, "prompt_tokens_details", details);
    return o;
}

static const char *finish_name(const event_done *end)
{
    return end->finish == ANSWER_LENGTH ? "length" : "stop";
}

/* ---- streamed ---- */

static void send_event(answer *a, js *o)
{
    buf line = BUF_INIT(ANSWER_BYTES_MAX);
    buf_str(&line, "data: ");
    js_write(o, JS_COMPACT, &line);
    buf_str(&line, "\n\n");
    js_free(o);
    if (line.failed || http_write(a->r, buf_text(&line), line.len))
        a->broken = true;
    buf_clear(&line);
    a->last_us = clock_mono_us();
}

/* Takes delta and logprobs. finish NULL: not yet. */
static void send_chunk(answer *a, js *delta, js *logprobs, const char *finish)
{
    js *o = new_object(a, "chat.completion.chunk"), *choices = js_array(), *choice = js_object();
    js_set(choice, "index", js_new_int(0));
    js_set(choice, "delta", delta);
    js_set(choice, "logprobs", logprobs);
    js_set(choice, "finish_reason", finish ? js_new_string(finish) : js_null());
    js_push(choices, choice);
    js_set(o, "choices", choices);
    if (a->call->include_usage)
        js_set(o, "usage", js_null());
    send_event(a, o);
}

static void begin_stream(answer *a)
{
    if (http_begun(a->r))
        return;
    http_set(a->r, "Cache-Control", "no-cache");
    http_begin(a->r, 200, "text/event-stream");
    js *delta = js_object();
    js_set(delta, "role", js_new_string("assistant"));
    js_set(delta, "content", js_new_string(""));
    send_chunk(a, delta, js_null(), NULL);
}

static void stream_text(answer *a, const char *text, size_t n)
{
    begin_stream(a);
    js *delta = js_object();
    js_set(delta, "content", js_new_stringn(text, n));
    send_chunk(a, delta, take_logprobs(a), NULL);
}

static void end_stream(answer *a, const event_done *end)
{
    begin_stream(a);
    send_chunk(a, js_object(), take_logprobs(a), finish_name(end));
    if (a->call->include_usage) {
        js *o = new_object(a, "chat.completion.chunk");
        js_set(o, "choices", js_array());
        js_set(o, "usage", usage_js(end));
        send_event(a, o);
    }
    if (http_write(a->r, "data: [DONE]\n\n", 14))
        a->broken = true;
}

/* A comment keeps proxies and clients from giving up while a long prompt is read. */
static void ping(answer *a)
{
    if (clock_mono_us() - a->last_us < PING_US)
        return;
    begin_stream(a);
    if (http_write(a->r, ":\n\n", 3))
        a->broken = true;
    a->last_us = clock_mono_us();
}

/* ---- whole ---- */

static void reply_whole(answer *a, const event_done *end)
{
    js *o = new_object(a, "chat.completion"), *choices = js_array(), *choice = js_object(), *message = js_object();
    js_set(message, "role", js_new_string("assistant"));
    js_set(message, "content", js_new_stringn(buf_text(&a->text), a->text.len));
    js_set(choice, "index", js_new_int(0));
    js_set(choice, "message", message);
    js_set(choice, "logprobs", take_logprobs(a));
    js_set(choice, "finish_reason", js_new_string(finish_name(end)));
    js_push(choices, choice);
    js_set(o, "choices", choices);
    js_set(o, "usage", usage_js(end));
    api_reply_js(a->r, 200, o);
}

/* ---- events ---- */

static void on_error(answer *a, const event_error *e)
{
    api_refuse(&a->fault, e->kind, "", "%s", e->text);
    a->fault.n_prompt = e->n_prompt;
    a->fault.n_context = e->n_context;
    a->fault.retry_after_s = e->retry_after_s;
    a->failed = true;
}

static int on_event(void *user, const event *e)
{
    answer *a = user;
    bool stream = a->call->stream;
    switch (e->kind) {
    case EVENT_WAIT:
    case EVENT_PREFILL:
        if (stream)
            ping(a);
        break;
    case EVENT_TOKEN: add_token(a, e->token); break;
    case EVENT_TEXT:
        if (stream)
            stream_text(a, e->text, e->text_bytes);
        else
            buf_add(&a->text, e->text, e->text_bytes);
        a->broken |= a->text.failed;
        break;
    case EVENT_DONE:
        if (e->end->finish == ANSWER_CANCELLED)
            break;
        if (stream)
            end_stream(a, e->end);
        else
            reply_whole(a, e->end);
        break;
    case EVENT_VECTOR: break;
    case EVENT_ERROR: on_error(a, e->error); break;
    }
    return a->broken || http_gone(a->r);
}

static void say_fault(answer *a)
{
    if (http_begun(a->r))
        send_event(a, api_fault_js(&a->fault));
    else
        api_reply_fault(a->r, &a->fault);
}

/* ---- the walk ---- */

static void run(api *ap, answer *a, request *neutral)
{
    pooled *held = NULL;
    provider *p = NULL;
    error e = { 0 };
    if (api_take(ap, a->to->spec, &held, &p, &e)) {
        api_refuse_status(&a->fault, "model", &e);
        say_fault(a);
        return;
    }
    const provider_info *info = provider_get_info(p);
    if (!a->to->routed)
        http_set(a->r, "x-hearth-route", info->place == PLACE_LOCAL ? "local" : "cloud");
    api_set_headers(a->r, a->to);
    if (!provider_allows(info->kind, info->place, neutral->privacy)) {
        api_refuse(&a->fault, FAULT_DENIED, "model", "this request is %s and may not go to '%s', which is %s",
                   privacy_class_name(neutral->privacy), a->to->spec, provider_place_name(info->place));
        a->failed = true;
    } else if (provider_complete(p, neutral, on_event, a, NULL, &e) && !a->failed) {
        a->failed = !api_refuse_status(&a->fault, "", &e);
    }
    if (a->failed)
        say_fault(a);
    api_give(ap, held);
}

/* The task's own messages and sampling take the place of the caller's: what was measured is what is asked. */
static void use_task(const target *to, request *neutral, request_message *messages)
{
    neutral->task = to->task;
    const task_sampling *s = &to->t->sampling;
    neutral->sampling.temperature = s->temperature;
    neutral->sampling.seed = (uint64_t)s->seed;
    neutral->sampling.seed_set = true;
    neutral->sampling.max_tokens = (uint32_t)s->max_tokens;
    neutral->sampling.n_stops = s->n_stop < REQUEST_STOPS_MAX ? s->n_stop : REQUEST_STOPS_MAX;
    for (size_t i = 0; i < neutral->sampling.n_stops; i++)
        neutral->sampling.stops[i] = s->stop[i];
    if (to->t->caller_prompt)
        return;
    for (size_t i = 0; i < to->messages.n; i++)
        messages[i] = (request_message){ to->messages.items[i].role, to->messages.items[i].content };
    neutral->messages = messages;
    neutral->n_messages = to->messages.n;
}

static void answer_call(api *ap, http_request *r, chat_call *call)
{
    answer a = { .r = r, .call = call, .text = BUF_INIT(ANSWER_BYTES_MAX), .last_us = clock_mono_us() };
    request_message task_messages_of[TASK_MESSAGES_MAX];
    target to = { 0 };
    char uuid[UUID_TEXT];
    a.to = &to;
    a.created = clock_utc_us() / 1000000;
    error e = { 0 };
    if (uuid_v7(uuid, &e)) {
        api_refuse_status(&a.fault, "", &e);
        say_fault(&a);
        return;
    }
    snprintf(a.id, sizeof a.id, "chatcmpl-%s", uuid);
    request_sampling *sampling = &call->neutral.sampling;
    if (!sampling->seed_set && random_bytes(&sampling->seed, sizeof sampling->seed, &e)) {
        api_refuse_status(&a.fault, "", &e);
        say_fault(&a);
        return;
    }
    if (!api_target(ap, r, call->model, call->input, call->neutral.messages, call->neutral.n_messages, &to, &a.fault)) {
        if (to.routed)
            api_set_headers(r, &to);
        say_fault(&a);
    } else {
        call->neutral.privacy = to.privacy;
        call->neutral.scope = to.scope;
        call->neutral.id = a.id;
        if (to.t)
            use_task(&to, &call->neutral, task_messages_of);
        run(ap, &a, &call->neutral);
    }
    api_target_clear(&to);
    js_free(a.logprobs);
    buf_clear(&a.text);
}

void api_openai_chat(api *ap, http_request *r)
{
    chat_call call = { 0 };
    api_fault f;
    if (openai_read_chat(http_body(r), &call, &f))
        answer_call(ap, r, &call);
    else
        api_reply_fault(r, &f);
    openai_chat_clear(&call);
}
