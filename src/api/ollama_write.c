/* ollama_write.c: neutral events as Ollama's answers: lines of JSON, or one object at the end. A line is never empty:
 * clients parse each. A call is said whole, because its arguments are an object; what a cut answer began of a call is
 * not said, and `done_reason` is "length" then. */
#include <math.h>
#include <string.h>

#include "api/ollama_int.h"
#include "plat/clock.h"

enum { ANSWER_BYTES_MAX = 32 << 20, QUIET_US = 5000000 };

/* Ollama's clients take the text as it is: an object would be shown as one. */
js *api_ollama_fault_js(const api_fault *f)
{
    js *body = js_object();
    js_set(body, "error", js_new_string(f->text));
    return body;
}

/* ---- pieces ---- */

js *ollama_object(const char *said, bool done)
{
    char now[CLOCK_TEXT];
    js *o = js_object();
    js_set(o, "model", js_new_string(said));
    js_set(o, "created_at", js_new_string(clock_utc_text(clock_utc_us(), now)));
    js_set(o, "done", js_new_bool(done));
    return o;
}

void ollama_set_time(js *o, const char *name, double seconds)
{
    if (isfinite(seconds) && seconds < 1e9)
        js_set(o, name, js_new_int(seconds > 0 ? (int64_t)(seconds * 1e9) : 0));
}

static void set_count(js *o, const char *name, int64_t n)
{
    if (n >= 0)
        js_set(o, name, js_new_int(n));
}

/* The text under its name: in a message, or beside it. Takes calls. */
static void set_said(const ollama_answer *a, js *o, span text, span thinking, js *calls)
{
    js *in = o;
    if (!a->call->generate) {
        in = js_object();
        js_set(in, "role", js_new_string("assistant"));
        js_set(o, "message", in);
    }
    js_set(in, a->call->generate ? "response" : "content", js_new_stringn(text.p, text.n));
    if (thinking.n)
        js_set(in, "thinking", js_new_stringn(thinking.p, thinking.n));
    if (calls)
        js_set(in, "tool_calls", calls);
}

static void add_token(ollama_answer *a, const event_token *t)
{
    if (!a->logprobs)
        a->logprobs = js_array();
    a->broken |= !js_push(a->logprobs, api_token_js(t));
}

static void give_logprobs(ollama_answer *a, js *o)
{
    if (a->logprobs)
        js_set(o, "logprobs", a->logprobs);
    a->logprobs = NULL;
}

static void set_end(const ollama_answer *a, js *o, const event_done *end)
{
    double total = (double)(clock_mono_us() - a->began_us) / 1e6;
    js_set(o, "done_reason", js_new_string(end->finish == ANSWER_LENGTH ? "length" : "stop"));
    ollama_set_time(o, "total_duration", total);
    ollama_set_time(o, "load_duration", total - end->total_seconds);
    set_count(o, "prompt_eval_count", end->prompt_tokens);
    ollama_set_time(o, "prompt_eval_duration", end->prefill_seconds);
    set_count(o, "eval_count", end->completion_tokens);
    ollama_set_time(o, "eval_duration", end->decode_seconds);
    if (a->relaxed)
        js_set(o, "not_enforced", js_copy(a->relaxed));
}

/* ---- lines ---- */

/* Takes o. */
static void send_line(ollama_answer *a, js *o)
{
    if (!http_begun(a->r))
        http_begin(a->r, 200, "application/x-ndjson");
    a->broken |= !api_write_js(a->r, "", o, "\n");
    a->last_us = clock_mono_us();
}

static void send_piece(ollama_answer *a, span text, span thinking, js *calls)
{
    js *o = ollama_object(a->call->said, false);
    set_said(a, o, text, thinking, calls);
    give_logprobs(a, o);
    send_line(a, o);
}

void ollama_say_fault(ollama_answer *a)
{
    if (!http_begun(a->r)) {
        api_reply_fault_as(a->r, &a->fault, api_ollama_fault_js(&a->fault));
        return;
    }
    js *o = js_object();
    js_set(o, "error", js_new_string(a->fault.text));
    send_line(a, o);
}

/* ---- events ---- */

static void on_text(ollama_answer *a, const event *e)
{
    bool thought = e->kind == EVENT_REASONING;
    span piece = { e->text, e->text_bytes }, none = { "", 0 };
    if (a->call->stream)
        send_piece(a, thought ? none : piece, thought ? piece : none, NULL);
    else
        buf_add(thought ? &a->thinking : &a->text, e->text, e->text_bytes);
    a->broken |= a->text.failed || a->thinking.failed;
}

static void begin_call(ollama_answer *a, const event_call *call)
{
    mem_free(a->name);
    mem_free(a->id);
    a->name = mem_strdup(call->name);
    a->id = mem_strdup(call->id);
    buf_reset(&a->arguments);
    a->broken |= !a->name || !a->id;
}

/* {id, function: {index, name, arguments}}; NULL when the arguments are no object. */
static js *call_js(const ollama_answer *a, uint32_t index)
{
    js *arguments = NULL;
    error e = { 0 };
    if (js_parse(&arguments, buf_text(&a->arguments), a->arguments.len, "arguments", 1, &e) ||
        !js_is(arguments, JS_OBJECT)) {
        js_free(arguments);
        return NULL;
    }
    js *o = js_object(), *function = js_object();
    js_set(function, "index", js_new_int(index));
    js_set(function, "name", js_new_string(a->name));
    js_set(function, "arguments", arguments);
    js_set(o, "id", js_new_string(a->id));
    js_set(o, "function", function);
    return o;
}

static void end_call(ollama_answer *a, const event_call *call)
{
    js *one = call->complete && a->name ? call_js(a, call->index) : NULL;
    if (!one)
        return;
    js *list = a->call->stream || !a->calls ? js_array() : a->calls;
    a->broken |= !js_push(list, one);
    if (a->call->stream)
        send_piece(a, (span){ "", 0 }, (span){ "", 0 }, list);
    else
        a->calls = list;
}

/* Something is said now and then while a long prompt is read, so that proxies and clients do not give up. */
static void on_wait(ollama_answer *a)
{
    if (a->call->stream && clock_mono_us() - a->last_us >= QUIET_US)
        send_piece(a, (span){ "", 0 }, (span){ "", 0 }, NULL);
}

static void on_done(ollama_answer *a, const event_done *end)
{
    if (end->finish == ANSWER_CANCELLED)
        return;
    js *o = ollama_object(a->call->said, true);
    set_said(a, o, (span){ buf_text(&a->text), a->text.len }, (span){ buf_text(&a->thinking), a->thinking.len },
             a->calls);
    a->calls = NULL;
    give_logprobs(a, o);
    set_end(a, o, end);
    if (a->call->stream)
        send_line(a, o);
    else
        api_reply_js(a->r, 200, o);
}

int ollama_event(void *user, const event *e)
{
    ollama_answer *a = user;
    switch (e->kind) {
    case EVENT_WAIT:
    case EVENT_PREFILL: on_wait(a); break;
    case EVENT_PROMPT: break;
    case EVENT_RELAXED: api_keep_not_enforced(a->r, &a->relaxed, e->relaxed); break;
    case EVENT_TOKEN: add_token(a, e->token); break;
    case EVENT_TEXT:
    case EVENT_REASONING: on_text(a, e); break;
    case EVENT_CALL: begin_call(a, e->call); break;
    case EVENT_ARGUMENTS:
        buf_add(&a->arguments, e->text, e->text_bytes);
        a->broken |= a->arguments.failed;
        break;
    case EVENT_CALL_END: end_call(a, e->call); break;
    case EVENT_DONE: on_done(a, e->end); break;
    case EVENT_SPAN:
    case EVENT_VECTOR: break; /* only an embedding request has them */
    case EVENT_ERROR: break;  /* ask.c keeps it */
    }
    return a->broken;
}

void ollama_reply_loaded(ollama_answer *a, const char *reason)
{
    js *o = ollama_object(a->call->said, true);
    set_said(a, o, (span){ "", 0 }, (span){ "", 0 }, NULL);
    js_set(o, "done_reason", js_new_string(reason));
    if (a->call->stream)
        send_line(a, o);
    else
        api_reply_js(a->r, 200, o);
}

void ollama_answer_init(ollama_answer *a, http_request *r, const ollama_call *call)
{
    *a = (ollama_answer){ .r = r, .call = call, .text = BUF_INIT(ANSWER_BYTES_MAX),
                          .thinking = BUF_INIT(ANSWER_BYTES_MAX), .arguments = BUF_INIT(ANSWER_BYTES_MAX) };
    a->began_us = a->last_us = clock_mono_us();
}

void ollama_answer_clear(ollama_answer *a)
{
    mem_free(a->name);
    mem_free(a->id);
    js_free(a->calls);
    js_free(a->logprobs);
    js_free(a->relaxed);
    buf_clear(&a->text);
    buf_clear(&a->thinking);
    buf_clear(&a->arguments);
}
