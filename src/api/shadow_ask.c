/* shadow_ask.c: one live answer compared with the cloud's: asked within the budget, stored in one transaction, and what
 * the detector then says of the route. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/shadow_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "plat/random.h"
#include "route/watch.h"

static const char ACCOUNT[] = "~shadow"; /* no provider can be called so */
enum { ANSWER_BYTES_MAX = 1 << 20, MESSAGE_TOKENS = 64, TIMEOUT_MS = 120000 };

/* ---- what the comparison is with ---- */

static status find_base(shadow *s, const shadow_facts *f, agree_base *out, error *err)
{
    shadow_base *b = NULL;
    for (size_t i = 0; i < s->n_bases && !b; i++)
        if (strcmp(s->bases[i].basis, f->basis) == 0)
            b = &s->bases[i];
    if (b && b->known)
        return fail(err, b->known, "live answers of task %s cannot be compared", f->t->id);
    if (b) {
        *out = b->base;
        return OK;
    }
    status st = agree_measure(s->l, f->t, &f->in.local, &f->in.cloud, out, err);
    if (st && st != E_UNSUPPORTED)
        return st;
    b = &s->bases[s->n_bases < SHADOW_BASES_MAX ? s->n_bases++ : s->counter % SHADOW_BASES_MAX];
    *b = (shadow_base){ .known = st };
    memcpy(b->basis, f->basis, sizeof b->basis);
    if (!st)
        b->base = *out;
    return st;
}

/* ---- asking ---- */

typedef struct hearing {
    shadow *s;
    buf text;
    char fault[32];
    bool done, denied;
    int64_t n_prompt, n_output;
} hearing;

static int hear(void *user, const event *e)
{
    hearing *h = user;
    if (e->kind == EVENT_TEXT)
        buf_add(&h->text, e->text, e->text_bytes);
    else if (e->kind == EVENT_DONE)
        h->done = e->end->finish == ANSWER_STOP || e->end->finish == ANSWER_LENGTH;
    else if (e->kind == EVENT_ERROR) {
        snprintf(h->fault, sizeof h->fault, "%s", fault_kind_name(e->error->kind));
        h->denied = e->error->kind == FAULT_DENIED;
    }
    if (e->kind == EVENT_DONE) {
        h->n_prompt = e->end->prompt_tokens;
        h->n_output = e->end->completion_tokens;
    }
    return atomic_load(&h->s->ending) || h->text.failed;
}

static void set_request(const task *t, const task_messages *m, const shadow_job *j, const char *rule, const char *id,
                        request *q)
{
    request_init(q);
    q->id = id;
    q->privacy = j->privacy > t->privacy ? j->privacy : t->privacy;
    q->task = t->id;
    q->policy = rule;
    q->kind = REQUEST_CHAT;
    q->messages = (const request_message *)m->items; /* two pointers each: measure/ask.c asserts it */
    q->n_messages = m->n;
    q->priority = 2;
    q->sampling.temperature = t->sampling.temperature;
    q->sampling.max_tokens = (uint32_t)t->sampling.max_tokens;
    q->sampling.seed = (uint64_t)t->sampling.seed;
    q->sampling.seed_set = true;
    for (size_t i = 0; i < t->sampling.n_stop && i < REQUEST_STOPS_MAX; i++)
        q->sampling.stops[q->sampling.n_stops++] = t->sampling.stop[i];
}

static double cost_of(const provider_info *who, int64_t n_prompt, int64_t n_output)
{
    return ((double)n_prompt * who->price_input + (double)n_output * who->price_output) / 1e6;
}

/* A byte is a token at most, and a message some more. */
static double most_cost(const provider_info *who, const request *q)
{
    int64_t n = 0;
    for (size_t i = 0; i < q->n_messages; i++)
        n += (int64_t)strlen(q->messages[i].content) + MESSAGE_TOKENS;
    return cost_of(who, n, q->sampling.max_tokens);
}

/* What stands on-premises has nobody's list price. */
static bool is_free(const provider_info *who)
{
    return who->place == PLACE_ON_PREMISES && isnan(who->price_input);
}

static status reserve(shadow *s, const provider_info *who, const request *q, budget_hold *hold, error *err)
{
    const budget_of account = { ACCOUNT, { s->told->shadow_usd_per_day, NAN } }, nobody = { "", { NAN, NAN } };
    double usd = most_cost(who, q), wait_s = 0;
    *hold = (budget_hold){ .amount = 0 };
    if (is_free(who))
        return OK;
    if (!s->spent)
        return fail(err, E_UNSUPPORTED, "nothing is compared: there is no place to keep account of what is spent");
    if (isnan(usd))
        return fail(err, E_UNSUPPORTED, "nothing is compared with '%s': what it costs is not known", who->name);
    return budget_reserve(s->spent, &account, &nobody, (int64_t)ceil(usd * 1e9), clock_utc_us(), hold, &wait_s, err);
}

static status send(shadow *s, const provider_info *who, provider *p, const request *q, hearing *h, double *cost,
                   error *err)
{
    provider_limits limits = { .timeout_ms = TIMEOUT_MS };
    budget_hold hold;
    error why = { 0 };
    if (!provider_allows(who->kind, who->place, q->privacy) || who->kind == PROVIDER_LOCAL)
        return fail(err, E_DENIED, "'%s' may not have a request of class %s", who->name,
                    privacy_class_name(q->privacy));
    status st = reserve(s, who, q, &hold, err);
    if (st)
        return st;
    double most = is_free(who) ? 0 : most_cost(who, q);
    status answered = provider_complete(p, q, hear, h, &limits, &why);
    if (answered && !h->fault[0])
        snprintf(h->fault, sizeof h->fault, "%s", status_name(answered));
    else if (!answered && (!h->done || h->text.failed || memchr(buf_text(&h->text), 0, h->text.len)))
        snprintf(h->fault, sizeof h->fault, "%s", fault_kind_name(FAULT_UPSTREAM));
    bool told = h->n_prompt >= 0 && h->n_output >= 0;
    *cost = is_free(who) || h->denied ? 0 : told ? cost_of(who, h->n_prompt, h->n_output) : most;
    if (hold.amount)
        st = budget_settle(s->spent, &hold, (int64_t)ceil(*cost * 1e9), err);
    if (h->denied || answered == E_DENIED) /* the last gate, or the provider's own budget: it is not the cloud's */
        return fail(err, E_DENIED, "%s", why.text);
    return st;
}

/* ---- what follows ---- */

static status decide_again(shadow *s, shadow_facts *f, error *err)
{
    const drift_state *d = &f->in.drift;
    route_decision *out = mem_zero(sizeof *out);
    status st = out ? OK : fail(err, E_NOMEM, "no memory for a decision");
    if (!st && d->phase == DRIFT_SUSPECT) {
        ledger_alarm row = { .task = f->t->id, .basis = f->basis, .kind = "drift", .value = d->alarm_value,
                             .level = d->rules.level, .n = d->alarm_n, .detail = "" };
        st = ledger_append_alarm(s->l, &row, err);
    }
    if (!st) {
        route_decide(&f->in, out);
        log_line(LOG_LEVEL_WARN, "task %s is %s (%s): %s", f->t->id, route_state_name(out->state),
                 route_choice_name(out->choice), out->reason);
        st = route_record(s->l, f->t, &f->in, out, NULL, err);
    }
    mem_free(out);
    return st;
}

/* Stores the row, and draws the conclusion when the detector's state is another one with it. */
static status store(shadow *s, shadow_facts *f, ledger_shadow *row, bool keep_text, error *err)
{
    drift_phase before = f->in.drift.phase;
    row->task = f->t->id;
    row->basis = f->basis;
    row->policy = s->number;
    row->local_evidence = f->in.local.evidence;
    row->cloud_evidence = f->in.cloud.evidence;
    row->provider = f->in.cloud.provider;
    status st = ledger_append_shadow(s->l, row, keep_text, err);
    if (!st)
        st = route_watch(s->l, f->t, &f->in, err);
    return !st && f->in.drift.phase != before ? decide_again(s, f, err) : st;
}

static char *prompt_text(const task_messages *m)
{
    buf b = BUF_INIT(TASK_PROMPT_BYTES_MAX + 65536);
    for (size_t i = 0; i < m->n; i++)
        buf_printf(&b, "%s[%s]\n%s", i ? "\n" : "", m->items[i].role, m->items[i].content);
    return buf_take(&b);
}

static status compare(shadow *s, const shadow_job *j, shadow_facts *f, const agree_base *base, hearing *h,
                      const task_messages *m, double cost, error *err)
{
    agree_result r = { .value = NAN };
    status st = h->fault[0] ? OK : agree_compare(f->t, base->graded, j->input, j->text, buf_text(&h->text), &r, err);
    char *asked = prompt_text(m);
    ledger_shadow row = { .kind = base->graded ? "graded" : "agreement", .prompt_text = asked, .local_text = j->text,
                          .cloud_text = h->fault[0] ? NULL : buf_text(&h->text), .cloud_fault = h->fault,
                          .value = r.value, .base = base->rate, .base_low = base->low, .cost_usd = cost };
    if (!st)
        st = store(s, f, &row, privacy_keeps_text(j->privacy) && privacy_keeps_text(f->t->privacy), err);
    mem_free(asked);
    return st;
}

static status ask_cloud(shadow *s, const shadow_job *j, shadow_facts *f, const agree_base *base, error *err)
{
    task_messages m = { 0 };
    hearing h = { .s = s, .text = BUF_INIT(ANSWER_BYTES_MAX), .n_prompt = -1, .n_output = -1 };
    char id[UUID_TEXT], rule[48];
    api_lease lease = { .p = NULL };
    api_fault why;
    request q;
    double cost = NAN;
    status st = uuid_v7(id, err);
    if (!st)
        st = task_render(f->t, task_prompt_for(f->t, f->in.cloud.provider), j->input, NULL, &m, err);
    if (!st && !api_take(s->a, f->in.cloud.provider, ACCOUNT, 2, NULL, &lease, &why))
        st = fail(err, E_PROVIDER, "%s", why.text);
    if (!st) {
        snprintf(rule, sizeof rule, "shadow, policy %lld", (long long)s->number);
        set_request(f->t, &m, j, rule, id, &q);
        st = send(s, provider_get_info(lease.provider), lease.provider, &q, &h, &cost, err);
    }
    api_give(s->a, &lease);
    if (!st && !atomic_load(&s->ending))
        st = compare(s, j, f, base, &h, &m, cost, err);
    buf_clear(&h.text);
    task_messages_clear(&m);
    return st;
}

status shadow_ask(shadow *s, const shadow_job *j, error *err)
{
    shadow_facts *f = NULL;
    agree_base base;
    status st = shadow_facts_open(s, j, &f, err);
    if (!st) {
        privacy_class c = j->privacy > f->t->privacy ? j->privacy : f->t->privacy;
        const route_side *cloud = &f->in.cloud;
        if (c >= PRIVACY_PRIVATE || !cloud->present || cloud->place == PRIVACY_LOCAL ||
            !privacy_allows(c, cloud->place))
            st = fail(err, E_DENIED, "a request of task %s is %s: there is nobody to compare it with", j->task,
                      privacy_class_name(c));
    }
    if (!st)
        st = find_base(s, f, &base, err);
    if (!st)
        st = ask_cloud(s, j, f, &base, err);
    shadow_facts_close(&f);
    return st;
}

status shadow_failed(shadow *s, const shadow_job *j, error *err)
{
    shadow_facts *f = NULL;
    if (j->privacy >= PRIVACY_PRIVATE || !(policy_shadow_rate(s->told, j->task) > 0))
        return OK; /* there is no route to go back to, or nobody watches */
    status st = shadow_facts_open(s, j, &f, err);
    ledger_shadow row = { .kind = "graded", .local_fault = j->fault, .value = NAN, .cost_usd = 0 };
    if (!st)
        st = store(s, f, &row, false, err);
    shadow_facts_close(&f);
    return st;
}
