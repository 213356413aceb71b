/* cascade.c: local first, then the cloud: see the header. The same class holds for both; the cloud's arm goes through
 * everything that any request goes through on its way out. */
#include "api/cascade.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/visit.h"
#include "base/mem.h"

enum { SAID_BYTES = 1024 };

typedef struct job {
    api *a;
    api_ask *ask;
    const route_cascade *rule;
    api_ask local, cloud; /* the arms: each with its own target and prompt */
    held first, second;   /* what they answered */
    char said[SAID_BYTES]; /* x-hearth-cascade; of several answers a list */
} job;

bool api_cascade_wanted(const api_ask *ask)
{
    const request *q = ask->neutral;
    return ask->to.routed && ask->to.decision.cascade.on && ask->to.t && q->kind == REQUEST_CHAT && !q->prompt_only &&
           !q->echo && !q->score_only;
}

/* ---- arms ---- */

/* One side as if the decision had chosen it, with the prompt that was measured there. What it answers is held. */
static bool init_arm(job *j, api_ask *arm, route_choice side, held *into, api_fault *f)
{
    const request *q = j->ask->neutral;
    bool local = side == ROUTE_LOCAL;
    *arm = *j->ask;
    arm->fn = held_event_fn;
    arm->user = into;
    arm->next = NULL;
    arm->held = true;
    arm->keep_set = arm->keep_set && local;
    arm->to.messages = (task_messages){ 0 };
    arm->to.variables = NULL;
    arm->to.said = (buf){ 0 };
    arm->to.decision.choice = side;
    snprintf(arm->to.spec, sizeof arm->to.spec, "%s", local ? j->rule->local : j->rule->cloud);
    memcpy(arm->to.decision.evidence, local ? j->rule->local_evidence : j->rule->cloud_evidence,
           sizeof arm->to.decision.evidence);
    return api_target_render(&arm->to, arm->input, q->messages, q->n_messages, f);
}

static void clear_arm(api_ask *arm)
{
    task_messages_clear(&arm->to.messages);
    js_free(arm->to.variables);
    buf_clear(&arm->to.said);
}

/* base: what is asked, but for the prompt. */
static bool ask_arm(job *j, api_ask *arm, const request *base, api_fault *f)
{
    request_message messages[TASK_MESSAGES_MAX];
    held *into = arm->user;
    request *q = arm->neutral;
    *q = *base;
    api_use_messages(&arm->to, q, messages);
    api_visit_target(j->ask->r, arm->model, &arm->to);
    bool ok = api_ask_arm(j->a, arm, f);
    *q = *base;
    if (into->failed)
        return api_no_memory(f);
    return ok && (into->done || api_refuse(f, FAULT_INTERNAL, "", "an answer came without an end"));
}

/* Whether the cloud may try where the local model gave no answer at all; other faults are the request's, or say that it
 * must wait its turn. */
static bool cloud_may_try(const api_fault *f)
{
    static const bool may[] = { [FAULT_CONTEXT] = true,  [FAULT_NOFIT] = true,   [FAULT_NOTFOUND] = true,
                                [FAULT_CRASHED] = true,  [FAULT_TIMEOUT] = true, [FAULT_UNREACHABLE] = true,
                                [FAULT_INTERNAL] = true };
    return (size_t)f->kind < ARRAY_LEN(may) && may[f->kind];
}

/* ---- what is told ---- */

static void say(job *j, metrics_cascade what, const api_fault *why)
{
    size_t at = strlen(j->said), room = sizeof j->said - at;
    char own[32] = "none";
    if (j->first.done && !isnan(j->first.end.mean_logprob))
        snprintf(own, sizeof own, "%.6f", j->first.end.mean_logprob);
    snprintf(j->said + at, room, "%s%s; logprob=%s; tau=%.6f; coverage=%.3f; risk=%.3f%s%s", at ? ", " : "",
             metrics_cascade_name(what), own, j->rule->tau, j->rule->coverage, j->rule->risk_upper,
             why ? "; fault=" : "", why ? fault_kind_name(why->kind) : "");
    api_metrics_cascade(j->a, what);
    if (!http_begun(j->ask->r))
        http_set(j->ask->r, "x-hearth-cascade", j->said);
}

static int tell(void *user, const event *e)
{
    job *j = user;
    if (e->kind != EVENT_DONE) /* its counts were logged when it came */
        api_visit_event(j->a, j->ask->r, e);
    return j->ask->fn(j->ask->user, e) || http_gone(j->ask->r);
}

static int64_t sum(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : a + b;
}

/* The answer of one arm, with the tokens of both. A client that has left hears no more, and nothing was decided. */
static void deliver(job *j, const api_ask *arm, metrics_cascade what, const api_fault *why)
{
    const held *h = arm->user, *other = h == &j->first ? &j->second : &j->first;
    event_done end = h->end;
    if (end.finish != ANSWER_CANCELLED)
        say(j, what, why);
    if (other->done) {
        end.prompt_tokens = sum(end.prompt_tokens, other->end.prompt_tokens);
        end.cached_tokens = sum(end.cached_tokens, other->end.cached_tokens);
        end.completion_tokens = sum(end.completion_tokens, other->end.completion_tokens);
    }
    api_visit_target(j->ask->r, arm->model, &arm->to);
    if (!http_begun(j->ask->r))
        api_set_headers(j->ask->r, &arm->to);
    held_tell(h, &end, tell, j);
}

/* ---- one answer ---- */

static bool is_sure(const job *j)
{
    return j->first.end.mean_logprob >= j->rule->tau; /* false for NAN */
}

/* The cloud is asked; what it cannot answer, the local answer does, and without one its fault is the fault. */
static bool escalate(job *j, const request *base, api_fault *f)
{
    api_fault cloud = { 0 };
    bool ok = privacy_allows(j->ask->to.privacy, j->rule->cloud_place)
                  ? ask_arm(j, &j->cloud, base, &cloud)
                  : api_refuse(&cloud, FAULT_DENIED, "model", "this request is %s and may not go to '%s'",
                               privacy_class_name(j->ask->to.privacy), j->rule->cloud);
    if (ok) {
        deliver(j, &j->cloud, CASCADE_ESCALATED, NULL);
        return true;
    }
    if (!j->first.done) {
        *f = cloud;
        return false;
    }
    held_clear(&j->second);
    deliver(j, &j->local, CASCADE_KEPT, &cloud);
    return true;
}

static bool answer(job *j, const request *base, api_fault *f)
{
    bool ok = ask_arm(j, &j->local, base, f);
    if (!ok && (http_gone(j->ask->r) || !cloud_may_try(f)))
        return false;
    if (!ok)
        held_clear(&j->first);
    if (ok && (is_sure(j) || j->first.end.finish == ANSWER_CANCELLED)) {
        deliver(j, &j->local, CASCADE_ACCEPTED, NULL);
        return true;
    }
    return escalate(j, base, f);
}

static bool answer_all(job *j, api_fault *f)
{
    request *q = j->ask->neutral;
    bool ok;
    api_use_sampling(&j->ask->to, q);
    do {
        const request base = *q;
        ok = answer(j, &base, f);
        held_clear(&j->first);
        held_clear(&j->second);
    } while (ok && !http_gone(j->ask->r) && j->ask->next && j->ask->next(j->ask->user, q));
    return ok;
}

bool api_cascade_ask(api *a, api_ask *ask, api_fault *f)
{
    job *j = mem_zero(sizeof *j);
    if (!j)
        return api_no_memory(f);
    j->a = a;
    j->ask = ask;
    j->rule = &ask->to.decision.cascade;
    held_init(&j->first);
    held_init(&j->second);
    bool ok = init_arm(j, &j->local, ROUTE_LOCAL, &j->first, f) && init_arm(j, &j->cloud, ROUTE_CLOUD, &j->second, f) &&
              answer_all(j, f);
    held_clear(&j->first);
    held_clear(&j->second);
    clear_arm(&j->local);
    clear_arm(&j->cloud);
    mem_free(j);
    return ok;
}
