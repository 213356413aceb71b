/* openai.c: a server behind a URL, through egress: OpenAI-compatible ones and Anthropic's (dialect.h writes the
 * request's words). The answer is read in egress, so that nothing from the network is parsed in this process.
 *
 *   class, dialect -> reservation (budget.h) -> attempt, pause, attempt ... (health.h) -> settled
 *
 * Another attempt is made only when egress says that nothing of an answer came and the same request may be sent again,
 * within the request's own deadline, and out of the server's bucket of retries.
 *
 * No record, no send: each attempt carries a receipt of the audit log of its own, without which egress sends nothing.
 * */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "egress/release.h"
#include "plat/clock.h"
#include "plat/paths.h"
#include "plat/random.h"
#include "privacy/audit.h"
#include "privacy/inspect.h"
#include "provider/budget.h"
#include "provider/dialect.h"
#include "provider/health.h"
#include "provider/lanes.h"
#include "provider/url.h"

enum { PROMPT_MARGIN = 1024, BUDGET_MAX_TOKENS = 4096, KEEP_MAX = 4, BODY_BYTES_MAX = 16 << 20, TICK_MS = 50 };
static const double BACKOFF_S = 0.5, BACKOFF_MAX_S = 8, WAIT_MAX_S = 10; /* WAIT_MAX_S: of what a server asks for */

typedef struct openai {
    lanes egress;
    audit *log;
    inspect_ring *inspectors, *own_inspectors; /* own: nobody gave us any */
    char host[URL_HOST_MAX + 24]; /* "https://host:port", as it is written down */
    js *settings;          /* of OPEN */
    const char *keep[KEEP_MAX + 1]; /* environment of egress: its own key's variable and nobody else's */
    const dialect *dialect;
    dialect_options options;
    health health;
    uint32_t retries;
    budget *budget;        /* NULL: nobody has one */
    budget_of own;
    budget_of *keys;       /* of keys that have a budget */
    size_t n_keys;
    char address[PROVIDER_ADDRESS]; /* with p->lock */
} openai;

/* ---- the request ---- */

static js *payload_of(const openai *o, const request *r)
{
    js *j = js_object();
    bool ok = js_set(j, "privacy", js_new_string(privacy_class_name(r->privacy)));
    ok = js_set(j, "path", js_new_string(o->dialect->path)) && ok;
    ok = js_set(j, "body", o->dialect->body(r, &o->options)) && ok;
    if (ok)
        return j;
    js_free(j);
    return NULL;
}

static uint32_t left_of(uint32_t ms, uint64_t passed_ms)
{
    return ms > passed_ms ? ms - (uint32_t)passed_ms : 1;
}

/* What is left of the deadlines. */
static status set_deadlines(js *payload, const provider_limits *l, const call *c, error *err)
{
    uint64_t passed = (clock_mono_us() - c->start_us) / 1000;
    bool ok = js_set(payload, "connect_ms", js_new_int(l->connect_ms));
    ok = js_set(payload, "first_ms", js_new_int(left_of(l->first_ms, passed))) && ok;
    ok = js_set(payload, "idle_ms", js_new_int(l->idle_ms)) && ok;
    ok = js_set(payload, "timeout_ms", js_new_int(left_of(l->timeout_ms, passed))) && ok;
    return ok ? OK : fail(err, E_NOMEM, "no memory for a request");
}

/* ---- money ---- */

static const budget_of *budget_of_key(const openai *o, const char *scope)
{
    static const budget_of nobody = { "", { NAN, NAN } };
    for (size_t i = 0; scope && i < o->n_keys; i++)
        if (strcmp(o->keys[i].name, scope) == 0)
            return &o->keys[i];
    return &nobody;
}

/* In nano-dollars: the most that this body can cost. A token is at least a byte of it. */
static status worst_case(const provider *p, const js *body, int64_t *out, error *err)
{
    buf text = BUF_INIT(BODY_BYTES_MAX);
    int64_t max_tokens = 0;
    js_write(body, JS_COMPACT, &text);
    status s = buf_ok(&text, "a request", err);
    double prompt = (double)(text.len + PROMPT_MARGIN);
    buf_clear(&text);
    if (!js_int(js_get(body, "max_tokens"), &max_tokens))
        (void)js_int(js_get(body, "max_completion_tokens"), &max_tokens);
    double nano = (prompt * p->info.price_input + (double)max_tokens * p->info.price_output) * 1000;
    *out = (int64_t)ceil(fmin(nano, 1e18));
    return s;
}

static status reserve(provider *p, const request *r, const js *body, call *c, budget_hold *hold, error *err)
{
    openai *o = p->own;
    const budget_of *key = budget_of_key(o, r->scope);
    int64_t amount = 0;
    double wait = 0;
    hold->amount = 0;
    if (!o->budget || (!o->own.name[0] && !key->name[0]))
        return OK;
    if (isnan(p->info.price_input) && p->info.place == PLACE_REMOTE)
        return call_fail(c, err, FAULT_DENIED, E_DENIED, "key %s has a budget, and what %s costs is not known: give it "
                         "a price", key->name, p->info.name);
    status s = worst_case(p, body, &amount, err);
    if (s || isnan(p->info.price_input) || !amount)
        return s;
    s = budget_reserve(o->budget, &o->own, key, amount, clock_utc_us(), hold, &wait, err);
    if (s) {
        c->fault.kind = s == E_DENIED ? FAULT_RATE_LIMITED : FAULT_INTERNAL;
        c->fault.retry_after_s = wait;
        c->fault_set = true;
        health_refused(&o->health, false);
    }
    return s;
}

/* After the last attempt. What may have been computed and was not counted stays reserved: it may be on the bill. */
static void settle(provider *p, status s, const call *c, budget_hold *hold)
{
    openai *o = p->own;
    const event_done *e = &c->end;
    const provider_info *i = &p->info;
    error why;
    double nano = 0;
    bool counted = !s && !c->cancelled && e->prompt_tokens >= 0 && e->completion_tokens >= 0;
    bool refused = s && (!c->sent || (c->fault.upstream_status && c->fault.upstream_status != 200));
    if (!hold->amount || (!counted && !refused))
        return;
    if (counted) {
        double cached = e->cached_tokens > 0 ? (double)e->cached_tokens : 0;
        double price = isnan(i->price_cached) ? i->price_input : i->price_cached;
        nano = (((double)e->prompt_tokens - cached) * i->price_input + cached * price +
                (double)e->completion_tokens * i->price_output) * 1000;
    }
    if (budget_settle(o->budget, hold, (int64_t)ceil(fmin(fmax(nano, 0), 1e18)), &why) != OK)
        log_line(LOG_LEVEL_WARN, "%s: %s: a reservation stays as it is", i->name, why.text);
}

/* ---- attempts ---- */

static double passed_s(const call *c)
{
    return (double)(clock_mono_us() - c->start_us) * 1e-6;
}

/* False: the caller left meanwhile. */
static bool pause_for(call *c, double seconds)
{
    uint64_t until = clock_mono_us() + (uint64_t)(seconds * 1e6), now;
    while (!c->cancelled && (now = clock_mono_us()) < until) {
        uint64_t ms = (until - now) / 1000 + 1;
        nanosleep(&(struct timespec){ 0, (long)(ms < TICK_MS ? ms : TICK_MS) * 1000000 }, NULL);
        call_wait(c);
    }
    return !c->cancelled;
}

/* Would there be time left after waiting so long? */
static bool has_time(const call *c, const provider_limits *l, double wait_s)
{
    uint32_t ms = l->first_ms < l->timeout_ms ? l->first_ms : l->timeout_ms;
    return passed_s(c) + wait_s < ms / 1000.0;
}

/* Full jitter (Brooker, "Exponential Backoff And Jitter"): anything up to twice as long as the last time; after what
 * the server asked for, if it did. */
static double backoff(uint32_t tries, double asked_s)
{
    uint32_t random = 0;
    error ignored;
    if (random_bytes(&random, sizeof random, &ignored))
        random = UINT32_MAX / 2;
    double most = asked_s > 0 ? BACKOFF_S : fmin(BACKOFF_S * ldexp(1, (int)tries), BACKOFF_MAX_S);
    return asked_s + most * ((double)random / UINT32_MAX);
}

static health_result result_of(status s, const call *c)
{
    if (!s)
        return c->cancelled ? HEALTH_UNKNOWN : HEALTH_GOOD;
    switch (c->fault.kind) {
    case FAULT_UNREACHABLE:
    case FAULT_TIMEOUT:
    case FAULT_BUSY: return HEALTH_BAD;
    case FAULT_INVALID:
    case FAULT_NOTFOUND: return HEALTH_GOOD;
    case FAULT_UPSTREAM: return c->fault.upstream_status >= 500 ? HEALTH_BAD : HEALTH_UNKNOWN;
    default: return HEALTH_UNKNOWN;
    }
}

/* Lets an attempt go: waits for a rate limit, if that is short; refuses where the circuit is open. */
static status admit(provider *p, call *c, const provider_limits *l, error *err)
{
    openai *o = p->own;
    bool circuit = false;
    double wait;
    while ((wait = health_enter(&o->health, clock_mono_us(), &circuit)) > 0) {
        if (!circuit && wait <= WAIT_MAX_S && has_time(c, l, wait)) {
            if (!pause_for(c, wait))
                return OK;
            continue;
        }
        health_refused(&o->health, circuit);
        c->fault.retry_after_s = ceil(wait);
        return circuit ? call_fail(c, err, FAULT_UNREACHABLE, E_PROVIDER, "too many of the last requests failed: the "
                                   "next try is in %.0f s", ceil(wait))
                       : call_fail(c, err, FAULT_RATE_LIMITED, E_PROVIDER, "its rate limit is used up: it comes back "
                                   "in %.0f s", ceil(wait));
    }
    return OK;
}

/* ---- the record ---- */

/* The last gate: whatever a dialect or a task forgot, the body that would leave is looked at as it is. */
static status look_at(const provider *p, const request *r, const js *body, call *c, error *err)
{
    openai *o = p->own;
    inspect_result found;
    if (r->synthetic) /* nobody's data */
        return OK;
    const inspector *i = inspect_ring_hold(o->inspectors);
    inspect_json(i, body, &found);
    inspect_ring_release(o->inspectors, i);
    if (provider_allows(p->info.kind, p->info.place, found.raises) && found.raises <= p->info.class_max)
        return OK;
    c->sent = false;
    return call_fail(c, err, FAULT_DENIED, E_DENIED, "what would be sent is %s (%s) and does not go there",
                     privacy_class_name(found.raises), found.reason);
}

/* Writes down what is about to leave. The bytes are those that egress will write from the same JSON. */
static status write_down(const provider *p, const request *r, js *payload, call *c, error *err)
{
    openai *o = p->own;
    audit_receipt receipt;
    buf text = BUF_INIT(MSG_BYTES_MAX);
    status s = look_at(p, r, js_get(payload, "body"), c, err);
    if (s)
        return s;
    js_write(js_get(payload, "body"), JS_COMPACT, &text);
    s = buf_ok(&text, "a request", err);
    if (!s) {
        audit_entry e = { .privacy = r->privacy, .place = p->info.place == PLACE_ON_PREMISES ? PRIVACY_ON_PREMISES
                                                                                            : PRIVACY_REMOTE,
                          .host = o->host, .model = p->info.model, .task = r->task, .caller = r->scope,
                          .request = r->id, .policy = r->policy, .detectors = r->detectors,
                          .body = text.data, .body_bytes = text.len };
        s = audit_append(o->log, &e, &receipt, err);
        if (s) {
            c->fault.kind = FAULT_DENIED;
            c->fault_set = true;
            c->sent = false;
            s = fail_prefix(err, s, "nothing was sent, because it could not be written down: ");
        }
    }
    buf_clear(&text);
    if (!s) {
        release word = { receipt.chain, receipt.sequence, receipt.mac, receipt.body, receipt.body_bytes };
        if (!js_set(payload, "release", release_to_js(&word)))
            s = fail(err, E_NOMEM, "no memory for a request");
    }
    return s;
}

static status attempt(provider *p, const request *r, js *payload, call *c, const provider_limits *l, error *err)
{
    openai *o = p->own;
    helper *egress = NULL;
    c->fault = (event_error){ .code = OK };
    c->fault_set = c->again = false;
    c->sent = true;
    c->address[0] = 0;
    c->requests_left = c->tokens_left = c->limit_s = NAN;
    status s = lanes_take(&o->egress, &egress, err);
    bool asked = !s;
    if (s) {
        c->fault.kind = FAULT_UNREACHABLE;
        c->fault_set = true;
        c->sent = false;
    } else if ((s = set_deadlines(payload, l, c, err)) == OK && (s = write_down(p, r, payload, c, err)) == OK) {
        s = helper_complete(egress, payload, c, err);
    }
    lanes_give(&o->egress, egress);
    if (c->address[0]) {
        pthread_mutex_lock(&p->lock);
        memcpy(o->address, c->address, sizeof o->address);
        pthread_mutex_unlock(&p->lock);
    }
    uint64_t now = clock_mono_us();
    bool limited = s && c->fault.kind == FAULT_RATE_LIMITED;
    health_limits(&o->health, c->requests_left, c->tokens_left,
                  limited ? fmax(c->fault.retry_after_s, isnan(c->limit_s) ? 0 : c->limit_s) : c->limit_s, now);
    health_leave(&o->health, asked ? result_of(s, c) : HEALTH_UNKNOWN, now);
    return s;
}

static status attempts(provider *p, const request *r, js *payload, call *c, const provider_limits *l, error *err)
{
    openai *o = p->own;
    health_request(&o->health);
    for (uint32_t tries = 0;; tries++) {
        status s = admit(p, c, l, err);
        if (s || c->cancelled)
            return s;
        s = attempt(p, r, payload, c, l, err);
        double asked = c->fault.retry_after_s, wait = backoff(tries, asked);
        if (!s || !c->again || c->first_us || c->cancelled || tries == o->retries || asked > WAIT_MAX_S ||
            !has_time(c, l, wait) || !health_retry(&o->health))
            return s;
        if (!pause_for(c, wait))
            return OK;
    }
}

static status openai_complete(provider *p, const request *r, call *c, error *err)
{
    openai *o = p->own;
    provider_limits given = c->limits;
    budget_hold hold;
    if (!provider_allows(p->info.kind, p->info.place, r->privacy)) /* asked before; asked here again, on purpose */
        return fail(err, E_DENIED, "a request of class %s does not leave", privacy_class_name(r->privacy));
    status s = o->dialect->check(r, &o->options, err);
    if (s)
        return s;
    js *payload = payload_of(o, r);
    if (!payload)
        return fail(err, E_NOMEM, "no memory for a request");
    /* egress keeps the finer deadlines; ours come a little later, for an egress that hangs itself */
    uint32_t *later[] = { &c->limits.timeout_ms, &c->limits.first_ms, &c->limits.idle_ms };
    for (size_t i = 0; i < ARRAY_LEN(later); i++)
        *later[i] += *later[i] < UINT32_MAX - 2000 ? 2000 : 0;
    if (c->limits.first_ms < given.connect_ms + 2000)
        c->limits.first_ms = given.connect_ms + 2000;
    s = reserve(p, r, js_get(payload, "body"), c, &hold, err);
    if (!s) {
        s = attempts(p, r, payload, c, &given, err);
        settle(p, s, c, &hold);
    }
    js_free(payload);
    return s ? fail_prefix(err, s, "%s: ", p->info.name) : s;
}

/* ---- opening ---- */

static void openai_close(provider *p)
{
    openai *o = p->own;
    lanes_clear(&o->egress);
    health_clear(&o->health);
    budget_close(&o->budget);
    audit_close(&o->log);
    inspect_ring_close(&o->own_inspectors);
    js_free(o->settings);
    mem_free(o->keys);
    mem_free(o);
}

static int openai_process(const provider *p)
{
    openai *o = p->own;
    return lanes_process(&o->egress);
}

static bool openai_health(provider *p, provider_health *out)
{
    openai *o = p->own;
    error ignored;
    bool known = false;
    health_tell(&o->health, out, clock_mono_us());
    if (o->budget && o->own.name[0])
        known = budget_spent(o->budget, o->own.name, clock_utc_us(), &out->usd_today, &out->usd_month, &ignored) == OK;
    if (!known)
        out->usd_today = out->usd_month = NAN;
    pthread_mutex_lock(&p->lock);
    memcpy(out->address, o->address, sizeof out->address);
    pthread_mutex_unlock(&p->lock);
    return true;
}

static status openai_helpers(provider *p, bool start, helper_fn *fn, void *user, error *err)
{
    openai *o = p->own;
    status s = OK;
    if (start && !lanes_process(&o->egress)) {
        helper *h = NULL;
        s = lanes_take(&o->egress, &h, err);
        lanes_give(&o->egress, h);
    }
    if (!s)
        lanes_each(&o->egress, fn, user);
    return s;
}

static const provider_ops ops = { openai_complete, openai_close, openai_process, openai_health, openai_helpers, true };

/* What egress must not be able to read, as far as it is there: it tries. */
static js *closed_files(void)
{
    static const struct {
        path_kind kind;
        const char *name;
    } rows[] = { { PATH_DATA, "models" },      { PATH_DATA, "ledger.db" },   { PATH_DATA, "audit.log" },
                 { PATH_DATA, "audit.state" }, { PATH_DATA, "tasks" },       { PATH_CONFIG, "config.yaml" },
                 { PATH_CONFIG, "audit.key" }, { PATH_CACHE, "prefix" } };
    js *list = js_array();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *path = NULL;
        if (path_of(&path, rows[i].kind, rows[i].name, NULL) == OK && access(path, F_OK) == 0)
            js_push(list, js_new_string(path));
        mem_free(path);
    }
    return list;
}

static js *settings_of(const config_provider *c, const dialect *d)
{
    const struct {
        const char *name, *value;
    } rows[] = { { "url", c->url },
                 { "dialect", d->name },
                 { "place", provider_place_name(c->place) },
                 { "class_max", privacy_class_name(c->class_max) },
                 { "proxy", c->proxy },
                 { "key_file", c->key_file },
                 { "key_env", c->key_env },
                 { "key_credential", c->key_credential } };
    js *j = js_object();
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ok = js_set(j, rows[i].name, js_new_string(rows[i].value)) && ok;
    ok = js_set(j, "closed", closed_files()) && ok;
    if (ok)
        return j;
    js_free(j);
    return NULL;
}

static bool has_limit(const config_budget *b)
{
    return !isnan(b->usd_per_day) || !isnan(b->usd_per_month);
}

/* Who has a budget here: the provider, and keys of the server's. */
static status open_budget(provider *p, const config_provider *c, const config *cfg, error *err)
{
    openai *o = p->own;
    size_t n = cfg ? cfg->n_keys : 0;
    o->own = (budget_of){ "", c->budget };
    if (has_limit(&c->budget)) {
        o->own.name = p->info.name;
        if (isnan(c->price_input))
            return fail(err, E_FORMAT, "provider '%s' has a budget, but no price: give it `price`, or its model a row "
                        "in prices.yaml", c->name);
    }
    if (n && !(o->keys = mem_array(n, sizeof *o->keys)))
        return fail(err, E_NOMEM, "no memory for a provider");
    for (size_t i = 0; i < n; i++) {
        if (!has_limit(&cfg->keys[i].budget))
            continue;
        budget_of *k = &o->keys[o->n_keys];
        k->limit = cfg->keys[i].budget;
        if (!(k->name = provider_keep(p, cfg->keys[i].name)))
            return fail(err, E_NOMEM, "no memory for a provider");
        o->n_keys++;
    }
    if (!o->n_keys && !o->own.name[0])
        return OK;
    if (!o->options.max_tokens && !isnan(c->price_input))
        o->options.max_tokens = BUDGET_MAX_TOKENS; /* an answer without an end has no price */
    return budget_open(&o->budget, NULL, err);
}

status openai_open(provider *p, const config_provider *c, const config *cfg, error *err)
{
    url u;
    status s = url_parse(c->url, &u, err);
    if (s)
        return s;
    openai *o = mem_zero(sizeof *o);
    if (!o)
        return fail(err, E_NOMEM, "no memory for a provider");
    p->own = o;
    p->ops = &ops;
    p->info.place = c->place == PLACE_ON_PREMISES ? PLACE_ON_PREMISES : PLACE_REMOTE; /* never local */
    p->info.price_input = c->price_input;
    p->info.price_output = c->price_output;
    p->info.price_cached = c->price_cached;
    p->info.price_as_of = isnan(c->price_input) ? NULL : provider_keep(p, c->price_as_of);
    p->info.has_template = true;
    p->limits = (provider_limits){ .timeout_ms = c->timeout_ms, .connect_ms = c->connect_ms, .first_ms = c->first_ms,
                                   .idle_ms = c->idle_ms };
    o->dialect = p->info.kind == PROVIDER_ANTHROPIC ? &dialect_anthropic : &dialect_openai;
    o->retries = c->retries;
    health_init(&o->health, c->retry_share);
    lanes_init(&o->egress, "hearth-egress", o->keep);
    o->keep[0] = "SSL_CERT_FILE";
    o->keep[1] = "SSL_CERT_DIR";
    o->keep[2] = c->key_env[0] ? provider_keep(p, c->key_env) : c->key_credential[0] ? "CREDENTIALS_DIRECTORY" : NULL;
    o->settings = settings_of(c, o->dialect);
    o->egress.settings = o->settings;
    p->info.parallel = LANES_MAX;
    snprintf(o->host, sizeof o->host, strchr(u.host, ':') ? "%s://[%s]:%u" : "%s://%s:%u", u.tls ? "https" : "http",
             u.host, u.port);
    p->info.model = provider_keep(p, c->model);
    p->info.url = provider_keep(p, c->url);
    o->options = (dialect_options){ .model = p->info.model, .max_tokens = c->max_tokens,
                                    .vendor = strcmp(u.host, "api.openai.com") == 0 };
    if (!p->info.model || !p->info.url || !o->settings || (c->key_env[0] && !o->keep[2]))
        return fail(err, E_NOMEM, "no memory for a provider");
    s = audit_open(&o->log, err);
    if (!s && (!cfg || !cfg->inspectors)) {
        inspect_settings look = cfg ? config_inspect(cfg) : (inspect_settings){ 0 };
        s = inspect_ring_open(&o->own_inspectors, &look, err);
    }
    o->inspectors = o->own_inspectors ? o->own_inspectors : cfg ? cfg->inspectors : NULL;
    return s ? s : open_budget(p, c, cfg, err);
}
