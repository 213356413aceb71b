/* openai_responses.c: POST /v1/responses: items in, items out, whole or as events. */
#include "api/openai_responses_int.h"
#include "plat/clock.h"

static void answer_call(api *ap, http_request *r, responses_call *c)
{
    responses_answer a;
    responses_answer_init(&a, r, c);
    a.created = clock_utc_us() / 1000000;
    api_ask ask = { .r = r, .model = c->chat.model, .input = c->chat.input, .neutral = &c->chat.neutral,
                    .fn = responses_event, .user = &a };
    if (!api_new_id("resp_", a.id, &a.fault) || !api_ask_provider(ap, &ask, a.id, &a.fault))
        responses_say_fault(&a);
    responses_answer_clear(&a);
}

void api_openai_responses(api *ap, http_request *r)
{
    responses_call c = { 0 };
    api_fault f;
    if (responses_read(http_body(r), &c, &f))
        answer_call(ap, r, &c);
    else
        api_reply_fault(r, &f);
    responses_clear(&c);
}
