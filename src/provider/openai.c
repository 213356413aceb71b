/* openai.c: an OpenAI-compatible server, through egress. The request's dialect is written here; the answer's is read
 * in egress, so that nothing from the network is parsed in this process.
 *
 * No record, no send: the payload for egress is made around a receipt of the audit log, of which there is one for each
 * request that is sent. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "egress/release.h"
#include "privacy/audit.h"
#include "provider/lanes.h"
#include "provider/url.h"

enum { OPENAI_TOP_LOGPROBS = 20, OPENAI_STOPS = 4 };

typedef struct openai {
    lanes egress;
    audit *log;
    char host[URL_HOST_MAX + 24]; /* "https://host:port", as it is written down */
    js *settings;          /* of OPEN */
    const char *keep[5];   /* environment of egress: its own key's variable and nobody else's */
    bool vendor;           /* api.openai.com itself: newer names of fields */
} openai;

/* ---- the request ---- */

/* What would change the answer and cannot be said in this dialect is an error, never dropped. */
static status check_fields(const request *r, error *err)
{
    const request_sampling *o = &r->sampling;
    const struct {
        bool bad;
        const char *what;
    } rules[] = {
        { r->kind != REQUEST_CHAT, "raw text, token ids or vectors (use messages)" },
        { o->top_k != 0, "top_k" },
        { o->min_p != 0, "min_p" },
        { o->repeat_penalty != 1, "repeat_penalty" },
        { o->ignore_eos, "ignore_eos" },
        { r->echo || r->score_only, "log-probabilities of the prompt" },
        { r->prompt_only, "the prompt's tokens" },
        { r->n_logprobs > OPENAI_TOP_LOGPROBS, "more than 20 alternatives with log-probabilities" },
        { o->n_stops > OPENAI_STOPS, "more than 4 stop strings" },
        { o->seed_set && o->seed > INT64_MAX, "a seed over 63 bits" },
        { r->shape == SHAPE_GRAMMAR || r->shape == SHAPE_REGEX || r->shape == SHAPE_CHOICE,
          "grammars, regular expressions or choices (use a JSON Schema)" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (rules[i].bad)
            return fail(err, E_UNSUPPORTED, "an openai provider does not take %s", rules[i].what);
    return OK;
}

static bool add_sampling(js *j, const request *r, bool vendor)
{
    const request_sampling *o = &r->sampling;
    bool ok = js_set(j, "temperature", js_new_double(o->temperature));
    if (o->top_p != 1)
        ok = js_set(j, "top_p", js_new_double(o->top_p)) && ok;
    if (o->presence_penalty != 0)
        ok = js_set(j, "presence_penalty", js_new_double(o->presence_penalty)) && ok;
    if (o->frequency_penalty != 0)
        ok = js_set(j, "frequency_penalty", js_new_double(o->frequency_penalty)) && ok;
    if (o->max_tokens)
        ok = js_set(j, vendor ? "max_completion_tokens" : "max_tokens", js_new_int(o->max_tokens)) && ok;
    if (o->seed_set)
        ok = js_set(j, "seed", js_new_int((int64_t)o->seed)) && ok;
    if (js_len(o->bias))
        ok = js_set(j, "logit_bias", js_copy(o->bias)) && ok;
    if (r->logprobs)
        ok = js_set(j, "logprobs", js_new_bool(true)) && ok;
    if (r->logprobs && r->n_logprobs)
        ok = js_set(j, "top_logprobs", js_new_int(r->n_logprobs)) && ok;
    if (o->n_stops) {
        js *stops = js_array();
        for (size_t i = 0; i < o->n_stops; i++)
            ok = js_push(stops, js_new_string(o->stops[i])) && ok;
        ok = js_set(j, "stop", stops) && ok;
    }
    return ok;
}

/* Messages of roles and texts, or the caller's own. */
static js *messages_of(const request *r)
{
    if (r->conversation)
        return js_copy(r->conversation);
    js *list = js_array();
    bool ok = true;
    for (size_t i = 0; i < r->n_messages; i++) {
        js *m = js_object();
        ok = js_set(m, "role", js_new_string(r->messages[i].role)) && ok;
        ok = js_set(m, "content", js_new_string(r->messages[i].content)) && ok;
        ok = js_push(list, m) && ok;
    }
    if (ok)
        return list;
    js_free(list);
    return NULL;
}

static bool add_tools(js *j, const request *r)
{
    static const char *const names[] = { "auto", "none", "required" };
    if (!js_len(r->tools))
        return true;
    bool ok = js_set(j, "tools", js_copy(r->tools));
    if (r->tool_choice == TOOLS_NAMED) {
        js *choice = js_object(), *function = js_object();
        ok = js_set(function, "name", js_new_string(r->tool_name)) && ok;
        ok = js_set(choice, "type", js_new_string("function")) && ok;
        ok = js_set(choice, "function", function) && ok;
        ok = js_set(j, "tool_choice", choice) && ok;
    } else if (r->tool_choice != TOOLS_AUTO) {
        ok = js_set(j, "tool_choice", js_new_string(names[r->tool_choice])) && ok;
    }
    return r->one_call ? js_set(j, "parallel_tool_calls", js_new_bool(false)) && ok : ok;
}

static bool add_shape(js *j, const request *r)
{
    if (r->shape == SHAPE_FREE)
        return true;
    js *format = js_object();
    bool ok = js_set(format, "type", js_new_string(r->shape == SHAPE_JSON ? "json_object" : "json_schema"));
    if (r->shape == SHAPE_SCHEMA) {
        js *body = js_object();
        ok = js_set(body, "name", js_new_string(r->shape_name ? r->shape_name : "answer")) && ok;
        ok = js_set(body, "schema", js_copy(r->schema)) && ok;
        ok = js_set(body, "strict", js_new_bool(!r->relaxed)) && ok;
        ok = js_set(format, "json_schema", body) && ok;
    }
    return js_set(j, "response_format", format) && ok;
}

static js *body_of(const provider *p, const request *r, bool vendor)
{
    js *j = js_object(), *options = js_object();
    bool ok = js_set(j, "model", js_new_string(p->info.model));
    ok = js_set(j, "messages", messages_of(r)) && ok;
    ok = add_tools(j, r) && ok;
    ok = add_shape(j, r) && ok;
    if (js_len(r->template_kwargs))
        ok = js_set(j, "chat_template_kwargs", js_copy(r->template_kwargs)) && ok;
    ok = add_sampling(j, r, vendor) && ok;
    ok = js_set(j, "stream", js_new_bool(true)) && ok;
    ok = js_set(options, "include_usage", js_new_bool(true)) && ok;
    ok = js_set(j, "stream_options", options) && ok;
    if (ok)
        return j;
    js_free(j);
    return NULL;
}

/* Takes body. */
static js *payload_of(const request *r, const provider_limits *l, js *body, const audit_receipt *receipt)
{
    release word = { receipt->chain, receipt->sequence, receipt->mac, receipt->body, receipt->body_bytes };
    js *j = js_object();
    bool ok = js_set(j, "privacy", js_new_string(privacy_class_name(r->privacy)));
    ok = js_set(j, "path", js_new_string("/chat/completions")) && ok;
    ok = js_set(j, "body", body) && ok;
    ok = js_set(j, "release", release_to_js(&word)) && ok;
    ok = js_set(j, "connect_ms", js_new_int(l->connect_ms)) && ok;
    ok = js_set(j, "first_ms", js_new_int(l->first_ms)) && ok;
    ok = js_set(j, "idle_ms", js_new_int(l->idle_ms)) && ok;
    ok = js_set(j, "timeout_ms", js_new_int(l->timeout_ms)) && ok;
    if (ok)
        return j;
    js_free(j);
    return NULL;
}

/* ---- the record ---- */

/* Writes down what is about to leave. The bytes are those that egress will write from the same JSON. */
static status write_down(const provider *p, const request *r, const js *body, audit_receipt *out, call *c, error *err)
{
    openai *o = p->own;
    buf text = BUF_INIT(MSG_BYTES_MAX);
    js_write(body, JS_COMPACT, &text);
    status s = buf_ok(&text, "a request", err);
    if (!s) {
        audit_entry e = { .privacy = r->privacy, .place = p->info.place == PLACE_ON_PREMISES ? PRIVACY_ON_PREMISES
                                                                                            : PRIVACY_REMOTE,
                          .host = o->host, .model = p->info.model, .task = r->task, .caller = r->scope,
                          .request = r->id, .policy = r->policy, .detectors = r->detectors,
                          .body = text.data, .body_bytes = text.len };
        s = audit_append(o->log, &e, out, err);
        if (s) {
            c->fault.kind = FAULT_DENIED;
            c->fault_set = true;
            s = fail_prefix(err, s, "nothing was sent, because it could not be written down: ");
        }
    }
    buf_clear(&text);
    return s;
}

/* ---- running ---- */

static status openai_complete(provider *p, const request *r, call *c, error *err)
{
    openai *o = p->own;
    provider_limits given = c->limits;
    if (!provider_allows(PROVIDER_OPENAI, p->info.place, r->privacy)) /* asked before; asked here again, on purpose */
        return fail(err, E_DENIED, "a request of class %s does not leave", privacy_class_name(r->privacy));
    status s = check_fields(r, err);
    if (s)
        return s;
    js *body = body_of(p, r, o->vendor), *payload = NULL;
    if (!body)
        return fail(err, E_NOMEM, "no memory for a request");
    helper *egress = NULL;
    audit_receipt receipt;
    if ((s = lanes_take(&o->egress, &egress, err)) != OK) {
        c->fault.kind = FAULT_UNREACHABLE;
        c->fault_set = true;
    }
    /* egress keeps the finer deadlines; ours come a little later, for an egress that hangs itself */
    uint32_t *later[] = { &c->limits.timeout_ms, &c->limits.first_ms, &c->limits.idle_ms };
    for (size_t i = 0; i < ARRAY_LEN(later); i++)
        *later[i] += *later[i] < UINT32_MAX - 2000 ? 2000 : 0;
    if (c->limits.first_ms < given.connect_ms + 2000)
        c->limits.first_ms = given.connect_ms + 2000;
    if (!s)
        s = write_down(p, r, body, &receipt, c, err);
    if (!s) {
        payload = payload_of(r, &given, body, &receipt);
        body = NULL;
        s = payload ? helper_complete(egress, payload, c, err) : fail(err, E_NOMEM, "no memory for a request");
    }
    lanes_give(&o->egress, egress);
    js_free(payload);
    js_free(body);
    return s ? fail_prefix(err, s, "%s: ", p->info.name) : s;
}

static void openai_close(provider *p)
{
    openai *o = p->own;
    lanes_clear(&o->egress);
    audit_close(&o->log);
    js_free(o->settings);
    mem_free(o);
}

static int openai_process(const provider *p)
{
    openai *o = p->own;
    return lanes_process(&o->egress);
}

static const provider_ops ops = { openai_complete, openai_close, openai_process, true };

static js *settings_of(const config_provider *c)
{
    js *j = js_object();
    bool ok = js_set(j, "url", js_new_string(c->url));
    ok = js_set(j, "place", js_new_string(provider_place_name(c->place))) && ok;
    ok = js_set(j, "key_file", js_new_string(c->key_file)) && ok;
    ok = js_set(j, "key_env", js_new_string(c->key_env)) && ok;
    if (ok)
        return j;
    js_free(j);
    return NULL;
}

status openai_open(provider *p, const config_provider *c, error *err)
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
    o->vendor = strcmp(u.host, "api.openai.com") == 0;
    lanes_init(&o->egress, "hearth-egress", o->keep);
    o->keep[0] = "SSL_CERT_FILE";
    o->keep[1] = "SSL_CERT_DIR";
    o->keep[2] = c->key_env[0] ? provider_keep(p, c->key_env) : NULL;
    o->settings = settings_of(c);
    o->egress.settings = o->settings;
    p->info.parallel = LANES_MAX;
    snprintf(o->host, sizeof o->host, strchr(u.host, ':') ? "%s://[%s]:%u" : "%s://%s:%u", u.tls ? "https" : "http",
             u.host, u.port);
    p->info.model = provider_keep(p, c->model);
    p->info.url = provider_keep(p, c->url);
    if (!p->info.model || !p->info.url || !o->settings || (c->key_env[0] && !o->keep[2]))
        return fail(err, E_NOMEM, "no memory for a provider");
    return audit_open(&o->log, err);
}
