/* ask.c: the walk that every dialect shares once it has made its JSON a neutral request: class and route (target.c),
 * provider (pool.c), events. Until a dialect has begun its answer, a fault is still an HTTP status. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/cascade.h"
#include "api/explain.h"
#include "api/offline.h"
#include "api/shadow.h"
#include "plat/random.h"

bool api_new_id(const char *prefix, char out[API_ID_BYTES], api_fault *f)
{
    char uuid[UUID_TEXT];
    error e = { 0 };
    if (uuid_v7(uuid, &e))
        return api_refuse_status(f, "", &e);
    snprintf(out, API_ID_BYTES, "%s%s", prefix, uuid);
    return true;
}

/* A local answer obeys the task's schema while it is made, as it did when it was measured. */
static void enforce(const target *to, const provider_info *info, request *neutral)
{
    if (!to->t || !to->t->schema || info->kind != PROVIDER_LOCAL)
        return;
    neutral->shape = SHAPE_SCHEMA;
    neutral->schema = to->t->schema;
    neutral->relaxed = true;
}

void api_use_sampling(const target *to, request *neutral)
{
    const task_sampling *s = &to->t->sampling;
    neutral->task = to->task;
    neutral->sampling.temperature = s->temperature;
    neutral->sampling.seed = (uint64_t)s->seed;
    neutral->sampling.seed_set = true;
    neutral->sampling.max_tokens = (uint32_t)s->max_tokens;
    neutral->sampling.n_stops = s->n_stop < REQUEST_STOPS_MAX ? s->n_stop : REQUEST_STOPS_MAX;
    for (size_t i = 0; i < neutral->sampling.n_stops; i++)
        neutral->sampling.stops[i] = s->stop[i];
    if (to->t->tools) {
        neutral->tools = to->t->tools;
        neutral->tool_choice = (request_tool_choice)to->t->tool_choice; /* the same order: measure/ask.c asserts it */
        neutral->tool_name = to->t->tool_name;
        neutral->one_call = to->t->one_call;
    }
}

void api_use_messages(const target *to, request *neutral, request_message *messages)
{
    if (to->t->caller_prompt)
        return;
    for (size_t i = 0; i < to->messages.n; i++)
        messages[i] = (request_message){ to->messages.items[i].role, to->messages.items[i].content };
    neutral->messages = messages;
    neutral->n_messages = to->messages.n;
    neutral->conversation = NULL;
}

/* ---- events ---- */

typedef struct watch {
    api *a;
    const char *model; /* as its provider is named */
    api_ask *ask;
    api_fault *fault;
    bool failed;
    shadow_seen seen;
} watch;

static metrics_kind kind_of(const request *q)
{
    return q->prompt_only ? METRICS_PROMPTS : q->kind == REQUEST_EMBED ? METRICS_VECTORS : METRICS_ANSWERS;
}

static int on_event(void *user, const event *e)
{
    watch *w = user;
    if (!w->ask->held || e->kind == EVENT_DONE)
        api_visit_event(w->a, w->ask->r, e);
    shadow_event(&w->seen, e);
    if (e->kind == EVENT_DONE)
        api_metrics_end(w->a, w->model, kind_of(w->ask->neutral), e->end);
    api_remember(w->a, &w->ask->to, e);
    if (e->kind != EVENT_ERROR)
        return w->ask->fn(w->ask->user, e) || http_gone(w->ask->r);
    w->failed = !api_refuse_event(w->fault, w->ask->param ? w->ask->param : "", e->error);
    return 0;
}

/* What is the model's own failure, and not its caller's or the machine's. */
static const char *own_fault(const api_fault *f)
{
    return f->kind == FAULT_CRASHED || f->kind == FAULT_TIMEOUT ? fault_kind_name(f->kind) : "";
}

/* A context of the request's own only narrows the one that the model was opened with. */
static bool check_context(const provider_info *info, const api_ask *ask, api_fault *f)
{
    uint32_t wanted = ask->neutral->context;
    if (!wanted || wanted <= info->context)
        return true;
    return info->context ? api_refuse(f, FAULT_INVALID, "num_ctx", "a context of %u tokens is asked for, but '%s' is "
                                      "open with %u", wanted, ask->to.spec, info->context)
                         : api_refuse(f, FAULT_INVALID, "num_ctx", "a context of %u tokens is asked for, but that of "
                                      "'%s' is not known here", wanted, ask->to.spec);
}

static bool complete(api *a, provider *p, api_ask *ask, api_fault *f)
{
    const provider_info *info = provider_get_info(p);
    error e = { 0 };
    watch w = { a, info->name, ask, f, false, { .on = false } };
    enforce(&ask->to, info, ask->neutral);
    if (!api_may_have(&ask->to, info->kind, info->place, f) || !check_context(info, ask, f))
        return false;
    bool ok = true;
    if (!ask->held) /* of a cascade the unsure ones are asked elsewhere anyway */
        shadow_begin(a->shadow, &ask->to, ask->neutral, &w.seen);
    do {
        if (provider_complete(p, ask->neutral, on_event, &w, NULL, &e) && !w.failed)
            ok = api_refuse_status(f, "", &e);
    } while (ok && !w.failed && ask->next && ask->next(ask->user, ask->neutral));
    ok = ok && !w.failed;
    shadow_end(a->shadow, &ask->to, &w.seen, ok ? "" : own_fault(f));
    return ok;
}

/* x-hearth-priority: high, normal, low. What else stands there is normal: it changes no answer. */
static unsigned priority_of(const http_request *r)
{
    const char *said = http_header(r, "x-hearth-priority");
    return said && strcasecmp(said, "high") == 0 ? 0 : said && strcasecmp(said, "low") == 0 ? 2 : 1;
}

bool api_ask_arm(api *a, api_ask *ask, api_fault *f)
{
    api_lease lease;
    char rule[48];
    snprintf(rule, sizeof rule, "policy %lld", (long long)ask->to.decision.policy);
    if (ask->to.decision.policy && !ask->neutral->policy)
        ask->neutral->policy = rule;
    ask->neutral->privacy = ask->to.privacy;
    ask->neutral->scope = ask->to.scope;
    ask->neutral->detectors = ask->to.detectors;
    ask->neutral->priority = priority_of(ask->r);
    if (!api_take(a, ask->to.spec, ask->to.scope, ask->neutral->priority, ask->r, &lease, f))
        return false;
    bool ok = complete(a, lease.provider, ask, f);
    if (ask->keep_set)
        api_keep(a, ask->to.spec, ask->keep_s);
    api_give(a, &lease);
    return ok;
}

/* A dry run ends here, as a fault that nobody is told. */
static bool explain(api *a, api_ask *ask, bool ok, api_fault *f)
{
    if (ok || ask->to.routed || ask->to.policy || ask->to.placed)
        api_explain_target(a, ask->r, &ask->to, ok ? NULL : f);
    api_target_clear(&ask->to);
    return ok ? api_refuse(f, FAULT_INTERNAL, "", "a dry run") : false;
}

/* The task's own messages and sampling take the place of the caller's: what was measured is what is asked. */
static bool ask_target(api *a, api_ask *ask, api_fault *f)
{
    request_message messages[TASK_MESSAGES_MAX];
    if (api_cascade_wanted(ask))
        return api_cascade_ask(a, ask, f);
    if (ask->to.t) {
        api_use_sampling(&ask->to, ask->neutral);
        api_use_messages(&ask->to, ask->neutral, messages);
    }
    return api_ask_arm(a, ask, f);
}

bool api_ask_provider(api *a, api_ask *ask, const char *id, api_fault *f)
{
    request *q = ask->neutral;
    error e = { 0 };
    q->id = id;
    if (!q->sampling.seed_set && random_bytes(&q->sampling.seed, sizeof q->sampling.seed, &e))
        return api_refuse_status(f, "", &e);
    ask->to.asked = q;
    bool ok = api_target(a, ask->r, ask->model, ask->input, q->messages, q->n_messages, &ask->to, f);
    if (api_visit_of(ask->r)->dry)
        return explain(a, ask, ok, f);
    if (ok && !(ok = ask_target(a, ask, f)))
        api_offline_advice(a, &ask->to, f);
    api_target_clear(&ask->to);
    if (!ok && http_gone(ask->r))
        api_metrics_left(a);
    else if (!ok)
        api_metrics_fault(a, f->kind);
    return ok;
}
