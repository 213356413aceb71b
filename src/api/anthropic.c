/* anthropic.c: POST /v1/messages and /v1/messages/count_tokens: their JSON to the neutral request, the neutral events
 * to their answer.
 *
 *   anthropic_read -> api_ask_provider (class, route, provider) -> anthropic_event:
 *     not streamed: everything is collected, one message at the end
 *     streamed:     message_start, blocks (start, deltas, stop), message_delta, message_stop
 * Until the first byte an error is an HTTP status; after it, one `event: error` and the end. */
#include <stdio.h>

#include "api/anthropic_int.h"

/* ---- faults in Anthropic's form ---- */

static const char *type_of(const api_fault *f)
{
    switch (f->http ? f->http : fault_http(f->kind)) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    case 503:
    case 529: return "overloaded_error";
    case 500:
    case 502:
    case 504: return "api_error";
    default: return "invalid_request_error";
    }
}

js *api_anthropic_fault_js(const api_fault *f)
{
    js *e = js_object(), *body = js_object();
    js_set(e, "type", js_new_string(type_of(f)));
    js_set(e, "message", js_new_string(f->text));
    js_set(body, "type", js_new_string("error"));
    js_set(body, "error", e);
    return body;
}

static void reply_fault(http_request *r, const api_fault *f)
{
    api_reply_fault_as(r, f, api_anthropic_fault_js(f));
}

/* ---- messages ---- */

static void say_fault(anthropic_answer *a)
{
    if (http_begun(a->r))
        anthropic_send(a, "error", api_anthropic_fault_js(&a->fault));
    else
        reply_fault(a->r, &a->fault);
}

/* An answer that broke off here, and not because its reader left, has a fault that says so. */
static bool ask_provider(api *ap, anthropic_answer *a, anthropic_call *call)
{
    api_ask ask = { .r = a->r, .model = call->model, .neutral = &call->neutral, .fn = anthropic_event, .user = a };
    if (!api_new_id("msg_", a->id, &a->fault) || !api_ask_provider(ap, &ask, a->id, &a->fault))
        return false;
    return a->over || !a->broken || http_gone(a->r) ||
           api_refuse(&a->fault, FAULT_INTERNAL, "", "the answer is too large, or there is no memory for it");
}

static void answer_call(api *ap, http_request *r, anthropic_call *call)
{
    anthropic_answer a;
    anthropic_answer_init(&a, r, call);
    if (!ask_provider(ap, &a, call))
        say_fault(&a);
    anthropic_answer_clear(&a);
}

static void handle(api *ap, http_request *r, bool count)
{
    anthropic_call call = { 0 };
    api_fault f;
    if (anthropic_read(http_body(r), count, &call, &f))
        answer_call(ap, r, &call);
    else
        reply_fault(r, &f);
    anthropic_call_clear(&call);
}

void api_anthropic_messages(api *ap, http_request *r)
{
    handle(ap, r, false);
}

void api_anthropic_count(api *ap, http_request *r)
{
    handle(ap, r, true);
}
