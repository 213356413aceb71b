/* provider.c: SPEC to provider, and what all kinds have in common around a request: one at a time where a kind
 * wants that, the class checked again, the clock, exactly one last event. */
#include "provider/provider.h"

#include <ctype.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "plat/clock.h"
#include "provider/provider_int.h"
#include "provider/url.h"

enum { PROVIDER_ARENA = 1 << 20, ANSWER_BYTES_MAX = 16 << 20 };

static const char *const kinds[] = { "local", "openai", "replay", "anthropic" };

const char *provider_kind_name(provider_kind k)
{
    return (size_t)k < ARRAY_LEN(kinds) ? kinds[k] : "local";
}

bool provider_is_server(provider_kind k)
{
    return k == PROVIDER_OPENAI || k == PROVIDER_ANTHROPIC;
}

const char *provider_circuit_name(provider_circuit c)
{
    static const char *const names[] = { "closed", "open", "half-open" };
    return (size_t)c < ARRAY_LEN(names) ? names[c] : "open";
}

bool provider_get_health(provider *p, provider_health *out)
{
    return p->ops && p->ops->health && p->ops->health(p, out);
}

const provider_info *provider_get_info(const provider *p)
{
    return &p->info;
}

int provider_process(const provider *p)
{
    return p->ops && p->ops->process ? p->ops->process(p) : 0;
}

const char *provider_keep(provider *p, const char *text)
{
    return arena_strndup(&p->memory, text, strlen(text));
}

bool provider_allows(provider_kind kind, provider_place place, privacy_class privacy)
{
    return kind == PROVIDER_REPLAY || place == PLACE_LOCAL || privacy <= provider_place_ceiling(place);
}

/* A request may name a server that is in no configuration: so they are counted. */
static atomic_uint servers_open;

unsigned provider_servers_open(void)
{
    return servers_open;
}

/* ---- SPEC ---- */

typedef struct target {
    provider_kind kind;
    provider_place place;
    const char *name;           /* as info shows it */
    const char *what;           /* MODEL or FILE */
    const config_provider *row; /* openai; from config, or &made */
    config_provider made;
    char url[1024];
} target;

static status target_server(target *t, const char *rest, error *err)
{
    static const struct {
        const char *host, *env;
    } vendors[] = { { "api.openai.com", "OPENAI_API_KEY" }, { "api.anthropic.com", "ANTHROPIC_API_KEY" } };
    const char *hash = strchr(rest, '#'), *kind = kinds[t->kind];
    url u;
    if (!hash || !hash[1] || (size_t)(hash - rest) >= sizeof t->url)
        return fail(err, E_FORMAT, "provider '%s:%.200s': write %s:URL#MODEL", kind, rest, kind);
    memcpy(t->url, rest, (size_t)(hash - rest));
    status s = url_parse(t->url, &u, err);
    if (s)
        return fail_prefix(err, s, "provider: ");
    if (!u.tls && !u.loopback)
        return fail(err, E_DENIED, "provider '%s:%.200s': http:// would send prompts in clear text: use https://, "
                    "or configure it with place: on-premises", kind, rest);
    config_provider_init(&t->made, t->name, kind);
    t->made.url = t->url;
    t->made.model = hash + 1;
    t->made.key_env = "HEARTH_API_KEY"; /* a key is only sent to whom it was meant for */
    for (size_t i = 0; i < ARRAY_LEN(vendors); i++)
        if (strcmp(u.host, vendors[i].host) == 0)
            t->made.key_env = vendors[i].env;
    t->row = &t->made;
    t->place = PLACE_REMOTE;
    return OK;
}

static void target_row(target *t, const config_provider *row)
{
    t->row = row;
    t->name = row->name;
    t->place = row->place;
    t->kind = PROVIDER_LOCAL;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(row->kind, kinds[i]) == 0)
            t->kind = (provider_kind)i;
    t->what = t->kind == PROVIDER_REPLAY ? row->file : row->model;
}

static bool looks_like_kind(const char *spec, const char *colon)
{
    for (const char *p = spec; p < colon; p++)
        if (!islower((unsigned char)*p))
            return false;
    return colon > spec;
}

static status target_find(target *t, const char *spec, const config *cfg, error *err)
{
    const config_provider *row = config_find(cfg, spec);
    const char *colon = strchr(spec, ':');
    *t = (target){ .name = spec, .what = spec, .kind = PROVIDER_LOCAL, .place = PLACE_LOCAL };
    if (!spec[0] || strlen(spec) > 4096)
        return fail(err, E_FORMAT, "provider: a name from config.yaml, local:MODEL, openai:URL#MODEL, "
                    "anthropic:URL#MODEL or replay:FILE");
    if (row) {
        target_row(t, row);
        return OK;
    }
    if (!colon || !looks_like_kind(spec, colon) || store_is_place(spec))
        return OK;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strlen(kinds[i]) == (size_t)(colon - spec) && strncmp(spec, kinds[i], (size_t)(colon - spec)) == 0) {
            t->kind = (provider_kind)i;
            t->what = colon + 1;
            status s = provider_is_server(t->kind) ? target_server(t, colon + 1, err) : OK;
            if (!s && cfg && provider_is_server(t->kind))
                config_set_price(cfg, &t->made);
            return s;
        }
    if (!strpbrk(colon, "/#"))
        return OK; /* a model as Ollama names them: mistral:7b */
    return fail(err, E_FORMAT, "provider '%.200s': the kinds are local:MODEL, openai:URL#MODEL, "
                "anthropic:URL#MODEL and replay:FILE", spec);
}

status provider_place_of(const char *spec, const config *cfg, provider_place *out, error *err)
{
    target t;
    status s = target_find(&t, spec, cfg, err);
    if (!s)
        *out = t.place;
    return s;
}

status provider_kind_of(const char *spec, const config *cfg, provider_kind *out, error *err)
{
    target t;
    status s = target_find(&t, spec, cfg, err);
    if (!s)
        *out = t.kind;
    return s;
}

/* A bare word that is neither model nor provider may have been meant as a provider. */
static void suggest_provider(const char *spec, const config *cfg, error *err)
{
    const char *near = cfg && cfg->n_providers
                           ? str_nearest(spec, &cfg->providers[0].name, cfg->n_providers, sizeof cfg->providers[0])
                           : NULL;
    size_t n = err ? strlen(err->text) : 0;
    if (near && n + 60 + strlen(near) < sizeof err->text) {
        error first = *err;
        (void)fail(err, first.code, "%s (a provider '%s' is configured)", first.text, near);
    }
}

status provider_key(const char *spec, const config *cfg, char **out, error *err)
{
    target t;
    status s = target_find(&t, spec, cfg, err);
    if (!s && t.kind == PROVIDER_LOCAL) {
        s = store_find(out, t.what, err);
        if (s == E_NOTFOUND && t.what == spec)
            suggest_provider(spec, cfg, err);
    } else if (!s) {
        *out = mem_strdup(spec);
        s = *out ? OK : fail(err, E_NOMEM, "no memory for a name");
    }
    return s;
}

status provider_watch(const char *spec, const config *cfg, store_seen_fn *fn, void *user, error *err)
{
    target t;
    status s = target_find(&t, spec, cfg, NULL);
    if (s || t.kind != PROVIDER_LOCAL)
        return s == E_NOMEM ? fail(err, s, "no memory to watch a model") : OK;
    return store_watch(t.what, fn, user, err);
}

bool provider_weights(const char *spec, const config *cfg, char out[65])
{
    target t;
    char *path = NULL;
    out[0] = 0;
    if (target_find(&t, spec, cfg, NULL) || t.kind != PROVIDER_LOCAL)
        return false;
    status s = store_find(&path, t.what, NULL);
    if (!s)
        s = store_digest_file(path, out, NULL);
    mem_free(path);
    if (s)
        out[0] = 0;
    return !s || s == E_NOTFOUND;
}

status provider_open(provider **out, const char *spec, const config *cfg, error *err)
{
    target t;
    status s = target_find(&t, spec, cfg, err);
    if (s)
        return s;
    provider *p = mem_zero(sizeof *p);
    if (!p)
        return fail(err, E_NOMEM, "no memory for a provider");
    p->memory = (arena)ARENA_INIT(PROVIDER_ARENA);
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->naming, NULL);
    p->info = (provider_info){ .name = provider_keep(p, t.name), .kind = t.kind, .place = t.place, .parallel = 1,
                               .model = "", .class_max = t.row ? t.row->class_max : PRIVACY_SECRET,
                               .url = "", .model_digest = "", .numerics = "", .kv_type = "", .isa = "", .arch = "",
                               .file_type = "", .chat_template = "" };
    if (!p->info.name)
        s = fail(err, E_NOMEM, "no memory for a provider");
    else if (provider_is_server(t.kind)) {
        atomic_fetch_add(&servers_open, 1);
        s = openai_open(p, t.row, cfg, err);
    }
    else if (t.kind == PROVIDER_REPLAY)
        s = replay_open(p, t.what, err);
    else if ((s = local_open(p, t.what, cfg, err)) == E_NOTFOUND && t.what == spec)
        suggest_provider(spec, cfg, err);
    if (s)
        provider_close(&p);
    else
        *out = p;
    return s;
}

void provider_close(provider **p)
{
    if (!*p)
        return;
    if ((*p)->ops)
        (*p)->ops->close(*p);
    if (provider_is_server((*p)->info.kind) && (*p)->info.name)
        atomic_fetch_sub(&servers_open, 1);
    pthread_mutex_destroy(&(*p)->lock);
    pthread_mutex_destroy(&(*p)->naming);
    arena_clear(&(*p)->memory);
    mem_free(*p);
    *p = NULL;
}

/* ---- a call ---- */

bool call_emit(call *c, const event *e)
{
    if (e->kind != EVENT_WAIT)
        c->last_us = clock_mono_us();
    bool first = e->kind == EVENT_TEXT || e->kind == EVENT_REASONING || e->kind == EVENT_CALL ||
                 (e->kind == EVENT_TOKEN && !e->token->prompt);
    if (!c->first_us && first)
        c->first_us = c->last_us;
    if (!c->cancelled && c->fn && c->fn(c->user, e))
        c->cancelled = true;
    return c->cancelled;
}

bool call_wait(call *c)
{
    return call_emit(c, &(event){ .kind = EVENT_WAIT });
}

const char *call_overdue(const call *c, uint64_t now_us)
{
    uint64_t ms = (now_us - c->start_us) / 1000, quiet_ms = now_us > c->last_us ? (now_us - c->last_us) / 1000 : 0;
    if (ms >= c->limits.timeout_ms)
        return "the answer was not complete in time";
    if (!c->first_us && ms >= c->limits.first_ms)
        return "the answer did not begin in time";
    if (quiet_ms >= c->limits.idle_ms && c->last_us > c->start_us)
        return "the answer stopped in the middle";
    return NULL;
}

status call_fail(call *c, error *err, fault_kind kind, status code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    status s = fail_v(err, code, format, args);
    va_end(args);
    c->fault.kind = kind;
    c->fault_set = true;
    return s;
}

static fault_kind kind_of(status s)
{
    static const fault_kind map[] = {
        [OK] = FAULT_INTERNAL,        [E_NOMEM] = FAULT_INTERNAL,     [E_IO] = FAULT_INTERNAL,
        [E_FORMAT] = FAULT_INVALID,   [E_UNSUPPORTED] = FAULT_INVALID, [E_RANGE] = FAULT_INVALID,
        [E_NOTFOUND] = FAULT_NOTFOUND, [E_NOFIT] = FAULT_NOFIT,       [E_CANCELLED] = FAULT_INTERNAL,
        [E_PROVIDER] = FAULT_UPSTREAM, [E_DENIED] = FAULT_DENIED,     [E_EXISTS] = FAULT_INTERNAL,
    };
    return (size_t)s < ARRAY_LEN(map) ? map[s] : FAULT_INTERNAL;
}

static uint32_t first_of(uint32_t a, uint32_t b, uint32_t c)
{
    return a ? a : b ? b : c;
}

static provider_limits limits_with_defaults(const provider_limits *given, const provider_limits *own)
{
    provider_limits l = given ? *given : (provider_limits){ 0 };
    l.timeout_ms = first_of(l.timeout_ms, own->timeout_ms, 600000);
    l.connect_ms = first_of(l.connect_ms, own->connect_ms, 10000);
    l.first_ms = first_of(l.first_ms, own->first_ms, l.timeout_ms);
    l.idle_ms = first_of(l.idle_ms, own->idle_ms, 60000);
    return l;
}

static status run(provider *p, const request *r, call *c, error *err)
{
    status s = request_check(r, err);
    if (s)
        return s;
    if (!provider_allows(p->info.kind, p->info.place, r->privacy))
        return fail(err, E_DENIED, "%s is %s: a request of class %s does not go there", p->info.name,
                    provider_place_name(p->info.place), privacy_class_name(r->privacy));
    if (r->privacy > p->info.class_max)
        return fail(err, E_DENIED, "%s takes requests up to class %s (class_max): one of class %s does not go there",
                    p->info.name, privacy_class_name(p->info.class_max), privacy_class_name(r->privacy));
    return p->ops->complete(p, r, c, err);
}

/* The same name in the provider's memory, where *end's readers may look at it later; of many different ones the later
 * are not kept: then it is the provider's own. */
static const char *model_name(provider *p, const char *name)
{
    const char *found = NULL;
    pthread_mutex_lock(&p->naming);
    for (size_t i = 0; i < p->n_answered_by && !found; i++)
        if (strcmp(p->answered_by[i], name) == 0)
            found = p->answered_by[i];
    if (!found && p->n_answered_by < PROVIDER_NAMES_MAX && (found = provider_keep(p, name)))
        p->answered_by[p->n_answered_by++] = found;
    pthread_mutex_unlock(&p->naming);
    return found ? found : p->info.model;
}

static void finish(provider *p, call *c)
{
    uint64_t now = clock_mono_us();
    c->end.ttft_seconds = c->first_us ? (double)(c->first_us - c->start_us) * 1e-6 : NAN;
    c->end.total_seconds = (double)(now - c->start_us) * 1e-6;
    c->end.model = c->end.model ? model_name(p, c->end.model) : p->info.model;
    c->end.model_digest = p->info.model_digest;
    c->end.numerics = p->info.numerics;
    if (c->cancelled)
        c->end.finish = ANSWER_CANCELLED;
    if (c->fn)
        (void)c->fn(c->user, &(event){ .kind = EVENT_DONE, .end = &c->end });
}

status provider_complete(provider *p, const request *r, event_fn *fn, void *user, const provider_limits *limits,
                         error *err)
{
    error own = { 0 }, *e = err ? err : &own;
    call c = { .fn = fn, .user = user, .limits = limits_with_defaults(limits, &p->limits) };
    c.end = (event_done){ .stop = -1, .prompt_tokens = -1, .cached_tokens = -1, .completion_tokens = -1,
                          .prefill_seconds = NAN, .decode_seconds = NAN, .mean_logprob = NAN };
    char model[CALL_MODEL_MAX];
    bool alone = p->ops && !p->ops->parallel;
    if (alone)
        pthread_mutex_lock(&p->lock);
    c.model = model;
    c.start_us = c.last_us = clock_mono_us();
    status s = run(p, r, &c, e);
    if (s == OK) {
        finish(p, &c);
    } else {
        if (!c.fault_set)
            c.fault.kind = kind_of(s);
        c.fault.code = s;
        c.fault.text = e->text;
        if (fn)
            (void)fn(user, &(event){ .kind = EVENT_ERROR, .error = &c.fault });
    }
    if (alone)
        pthread_mutex_unlock(&p->lock);
    return s;
}

/* ---- collected ---- */

typedef struct collector {
    buf text;
    event_done end;
} collector;

static int collect(void *user, const event *e)
{
    collector *c = user;
    if (e->kind == EVENT_TEXT)
        buf_add(&c->text, e->text, e->text_bytes);
    else if (e->kind == EVENT_DONE)
        c->end = *e->end;
    return c->text.failed;
}

status provider_answer(provider *p, const request *r, char **answer, event_done *end, const provider_limits *limits,
                       error *err)
{
    collector c = { .text = BUF_INIT(ANSWER_BYTES_MAX) };
    status s = provider_complete(p, r, collect, &c, limits, err);
    if (!s)
        s = buf_ok(&c.text, "an answer", err);
    if (!s) {
        buf_str(&c.text, "");
        char *text = c.text.data ? buf_take(&c.text) : mem_strdup("");
        if (text) {
            *answer = text;
            *end = c.end;
        } else {
            s = fail(err, E_NOMEM, "no memory for an answer");
        }
    }
    buf_clear(&c.text);
    return s;
}
