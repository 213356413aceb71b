/* openai_chat.c: POST /v1/chat/completions: their JSON to the neutral request, the neutral events to their answer.
 *
 *   openai_read_chat -> api_ask_provider (class, route, provider) -> openai_event:
 *     not streamed: everything is collected, one object at the end
 *     streamed:     role chunk, text, reasoning and call chunks, finish chunk, usage chunk if asked for, [DONE]
 *     several choices are asked one after another (openai_next)
 * Until the first byte an error is an HTTP status; after it, one `data: {"error":…}` and the end. */
#include "api/openai_int.h"
#include "plat/clock.h"

static void say_fault(openai_answer *a)
{
    if (http_begun(a->r))
        openai_send(a, api_fault_js(&a->fault));
    else
        api_reply_fault(a->r, &a->fault);
}

static void answer_call(api *ap, http_request *r, chat_call *call)
{
    openai_answer a;
    openai_answer_init(&a, r, call);
    a.created = clock_utc_us() / 1000000;
    api_ask ask = { .r = r, .model = call->model, .input = call->input, .neutral = &call->neutral, .fn = openai_event,
                    .user = &a, .next = openai_next };
    if (!api_new_id("chatcmpl-", a.id, &a.fault) || !api_ask_provider(ap, &ask, a.id, &a.fault))
        say_fault(&a);
    openai_answer_clear(&a);
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
