/* reply.c: answers and faults as JSON. Deterministic failures are 4xx, because clients try 5xx again. */
#include <stdio.h>
#include <string.h>

#include "api/explain.h"
#include "provider/embed.h"

enum { REPLY_BYTES_MAX = 64 << 20, PIECE_BYTES_MAX = 32 << 20, NOT_ENFORCED_HEADER_MAX = 1024 };

static void set_fault(api_fault *f, fault_kind kind, const char *param)
{
    memset(f, 0, sizeof *f);
    f->kind = kind;
    snprintf(f->param, sizeof f->param, "%s", param ? param : "");
}

bool api_refuse(api_fault *f, fault_kind kind, const char *param, const char *format, ...)
{
    set_fault(f, kind, param);
    error e;
    va_list args;
    va_start(args, format);
    fail_v(&e, E_FORMAT, format, args);
    va_end(args);
    memcpy(f->text, e.text, sizeof f->text);
    return false;
}

bool api_no_memory(api_fault *f)
{
    return api_refuse(f, FAULT_INTERNAL, "", "no memory");
}

static fault_kind kind_of(status code)
{
    static const fault_kind kinds[] = {
        [OK] = FAULT_INTERNAL,          [E_NOMEM] = FAULT_INTERNAL,      [E_IO] = FAULT_INTERNAL,
        [E_FORMAT] = FAULT_INVALID,     [E_UNSUPPORTED] = FAULT_INVALID, [E_RANGE] = FAULT_INVALID,
        [E_NOTFOUND] = FAULT_NOTFOUND,  [E_NOFIT] = FAULT_NOFIT,         [E_CANCELLED] = FAULT_INTERNAL,
        [E_PROVIDER] = FAULT_UPSTREAM,  [E_DENIED] = FAULT_DENIED,       [E_EXISTS] = FAULT_INTERNAL,
    };
    return (size_t)code < ARRAY_LEN(kinds) ? kinds[code] : FAULT_INTERNAL;
}

bool api_refuse_status(api_fault *f, const char *param, const error *err)
{
    set_fault(f, kind_of(err->code), param);
    memcpy(f->text, err->text, sizeof f->text);
    return false;
}

bool api_refuse_event(api_fault *f, const char *param, const event_error *e)
{
    if (strstr(e->text, "logit_bias names")) /* only the worker knows which tokens there are */
        param = "logit_bias";
    api_refuse(f, e->kind, param, "%s", e->text);
    f->n_prompt = e->n_prompt;
    f->n_context = e->n_context;
    f->retry_after_s = e->retry_after_s;
    return false;
}

/* The words that OpenAI's clients know; `code` is what they look at for a prompt that is too long. */
static const char *type_of(const api_fault *f)
{
    int http = f->http ? f->http : fault_http(f->kind);
    if (f->kind == FAULT_CONTEXT)
        return "exceed_context_size_error";
    switch (http) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    case 503: return "unavailable_error";
    default: return http < 500 ? "invalid_request_error" : "server_error";
    }
}

js *api_fault_js(const api_fault *f)
{
    js *e = js_object(), *body = js_object();
    js_set(e, "message", js_new_string(f->text));
    js_set(e, "type", js_new_string(type_of(f)));
    js_set(e, "param", f->param[0] ? js_new_string(f->param) : js_null());
    js_set(e, "code", f->kind == FAULT_CONTEXT ? js_new_string("context_length_exceeded")
                                               : js_new_string(fault_kind_name(f->kind)));
    if (f->kind == FAULT_CONTEXT) {
        js_set(e, "n_prompt_tokens", js_new_int(f->n_prompt));
        js_set(e, "n_ctx", js_new_int(f->n_context));
    }
    js_set(body, "error", e);
    return body;
}

void api_reply_js(http_request *r, int code, js *body)
{
    buf text = BUF_INIT(REPLY_BYTES_MAX);
    js_write(body, JS_COMPACT, &text);
    buf_char(&text, '\n');
    if (!body || text.failed)
        http_reply(r, 500, "text/plain", "no memory\n", 10);
    else
        http_reply(r, code, "application/json", buf_text(&text), text.len);
    buf_clear(&text);
    js_free(body);
}

/* What was not understood is private, and goes nowhere. */
static void say_unrouted(http_request *r, const api_fault *f)
{
    const api_visit *v = api_visit_of(r);
    if (!v || v->told)
        return;
    http_set(r, "x-hearth-class", privacy_class_name(PRIVACY_PRIVATE));
    http_set(r, "x-hearth-route", "none");
    http_set(r, "x-hearth-reason", f->text);
    http_set(r, "x-hearth-evidence", "none");
}

void api_reply_fault_as(http_request *r, const api_fault *f, js *body)
{
    api_visit *v = api_visit_of(r);
    if (v && v->dry) { /* the explanation says it */
        if (!v->dry->argument)
            v->dry->fault = *f;
        js_free(body);
        return;
    }
    say_unrouted(r, f);
    int code = f->http ? f->http : fault_http(f->kind);
    char seconds[24];
    if (f->retry_after_s > 0 || code == 503) {
        snprintf(seconds, sizeof seconds, "%.0f", f->retry_after_s > 1 ? f->retry_after_s : 1);
        http_set(r, "Retry-After", seconds);
    }
    if (code >= 500 && code != 503)
        http_set(r, "X-Should-Retry", "false");
    api_reply_js(r, code, body);
}

void api_reply_fault(http_request *r, const api_fault *f)
{
    api_reply_fault_as(r, f, api_fault_js(f));
}

void api_keep_not_enforced(http_request *r, js **kept, const js *list)
{
    buf line = BUF_INIT(NOT_ENFORCED_HEADER_MAX);
    js_free(*kept);
    *kept = js_copy(list);
    for (size_t i = 0; i < js_len(list) && !line.failed; i++)
        buf_printf(&line, "%s%s", i ? "; " : "", js_text(js_at(list, i)));
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)line.data[i] < ' ' || (unsigned char)line.data[i] > '~')
            line.data[i] = '?';
    if (!http_begun(r))
        http_set(r, "x-hearth-not-enforced", buf_text(&line));
    buf_clear(&line);
}

/* ---- pieces of answers ---- */

void api_begin_events(http_request *r)
{
    http_set(r, "Cache-Control", "no-cache");
    http_begin(r, 200, "text/event-stream");
}

bool api_write_js(http_request *r, const char *before, js *o, const char *after)
{
    buf line = BUF_INIT(PIECE_BYTES_MAX);
    buf_str(&line, before);
    js_write(o, JS_COMPACT, &line);
    buf_str(&line, after);
    bool ok = o && !line.failed && http_write(r, buf_text(&line), line.len) == OK;
    js_free(o);
    buf_clear(&line);
    return ok;
}

static js *alternative_js(const event_alternative *t)
{
    js *o = js_object(), *bytes = js_array();
    js_set(o, "token", js_new_stringn(t->text, t->text_bytes));
    js_set(o, "logprob", js_new_double(t->logprob));
    for (size_t i = 0; i < t->text_bytes; i++)
        js_push(bytes, js_new_int((unsigned char)t->text[i]));
    js_set(o, "bytes", bytes);
    return o;
}

js *api_token_js(const event_token *t)
{
    js *o = alternative_js(&t->token), *top = js_array();
    for (size_t i = 0; i < t->n_top; i++)
        js_push(top, alternative_js(&t->top[i]));
    js_set(o, "top_logprobs", top);
    return o;
}

void api_add_vector(buf *out, const event_vector *v)
{
    buf_char(out, '[');
    for (size_t i = 0; i < v->n; i++)
        buf_printf(out, "%s%.9g", i ? "," : "", (double)v->values[i]);
    buf_char(out, ']');
}
