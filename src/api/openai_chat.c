/* openai_chat.c: POST /v1/chat/completions: their JSON to the neutral request, the neutral events to their answer.
 *
 *   openai_read_chat -> api_target (class, route) -> api_take (provider) -> provider_complete -> openai_event:
 *     not streamed: everything is collected, one object at the end
 *     streamed:     role chunk, text, reasoning and call chunks, finish chunk, usage chunk if asked for, [DONE]
 * Until the first byte an error is an HTTP status; after it, one `data: {"error":…}` and the end. */
#include <stdio.h>
#include <string.h>

#include "api/openai_int.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "plat/random.h"

static void say_fault(openai_answer *a)
{
    if (http_begun(a->r))
        openai_send(a, api_fault_js(&a->fault));
    else
        api_reply_fault(a->r, &a->fault);
}

/* ---- the walk ---- */

/* A local answer obeys the task's schema while it is made, as it did when it was measured. */
static void enforce(const target *to, const provider_info *info, request *neutral)
{
    if (!to->t || !to->t->schema || info->kind != PROVIDER_LOCAL)
        return;
    neutral->shape = SHAPE_SCHEMA;
    neutral->schema = to->t->schema;
    neutral->relaxed = true;
}

static void run(api *ap, openai_answer *a, const target *to, request *neutral)
{
    pooled *held = NULL;
    provider *p = NULL;
    error e = { 0 };
    if (api_take(ap, to->spec, &held, &p, &e)) {
        api_refuse_status(&a->fault, "model", &e);
        say_fault(a);
        return;
    }
    const provider_info *info = provider_get_info(p);
    if (!to->routed)
        http_set(a->r, "x-hearth-route", info->place == PLACE_LOCAL ? "local" : "cloud");
    api_set_headers(a->r, to);
    enforce(to, info, neutral);
    if (!provider_allows(info->kind, info->place, neutral->privacy)) {
        api_refuse(&a->fault, FAULT_DENIED, "model", "this request is %s and may not go to '%s', which is %s",
                   privacy_class_name(neutral->privacy), to->spec, provider_place_name(info->place));
        a->failed = true;
    } else if (provider_complete(p, neutral, openai_event, a, NULL, &e) && !a->failed) {
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
    neutral->conversation = NULL;
}

static void answer_call(api *ap, http_request *r, chat_call *call)
{
    openai_answer a;
    openai_answer_init(&a, r, call);
    request_message task_messages_of[TASK_MESSAGES_MAX];
    target to = { 0 };
    char uuid[UUID_TEXT];
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
        run(ap, &a, &to, &call->neutral);
    }
    api_target_clear(&to);
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
