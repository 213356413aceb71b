/* explain.c: see the header. */
#include "api/explain.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "ledger/ledger.h"
#include "plat/clock.h"
#include "route/dates.h"
#include "store/store.h"

enum { TEXT_MAX = 1 << 20, OFFERS_MAX = 16, MEMORY_MAX = 1 << 20 };

/* ---- when ---- */

/* Whoever could answer today, and what is known of its weights. Texts live in memory. */
static void add_offer(const api *a, arena *memory, const char *spec, plan_offer *offers, size_t *n)
{
    char hex[DIGEST_HEX];
    provider_place place;
    for (size_t i = 0; i < *n; i++)
        if (strcmp(offers[i].provider, spec) == 0)
            return;
    if (!spec[0] || *n == OFFERS_MAX || provider_place_of(spec, a->options.config, &place, NULL) != OK)
        return;
    if (!provider_weights(spec, a->options.config, hex))
        hex[0] = 0; /* nobody can know */
    char *name = arena_strndup(memory, spec, strlen(spec)), *model = arena_strndup(memory, hex, strlen(hex));
    if (name && model)
        offers[(*n)++] = (plan_offer){ name, model };
}

static js *dates_of(const api *a, const target *t)
{
    arena memory = ARENA_INIT(MEMORY_MAX);
    plan_offer offers[OFFERS_MAX];
    size_t n = 0;
    ledger *l = NULL;
    js *out = NULL;
    add_offer(a, &memory, t->sheet->in.local.provider, offers, &n);
    add_offer(a, &memory, t->sheet->in.cloud.provider, offers, &n);
    for (size_t i = 0; i < a->options.config->n_providers; i++)
        if (strcmp(a->options.config->providers[i].kind, "replay") != 0)
            add_offer(a, &memory, a->options.config->providers[i].name, offers, &n);
    if (ledger_open(&l, NULL, LEDGER_READ, NULL) != OK)
        l = NULL;
    if (route_dates(l, t->t, offers, n, clock_utc_us(), &out, NULL) != OK)
        out = NULL;
    ledger_close(&l);
    arena_clear(&memory);
    return out;
}

/* ---- the argument ---- */

static js *classes_js(const http_request *r, const target *t)
{
    char line[256];
    js *list = js_array();
    const char *label = http_header(r, "x-hearth-class");
    const key *who = api_visit_of(r)->who;
    if (t->why[0])
        js_push(list, js_new_string(t->why));
    if (t->t) {
        snprintf(line, sizeof line, "task %s: %s", t->t->id, privacy_class_name(t->t->privacy));
        js_push(list, js_new_string(line));
    }
    if (!t->t || t->recognised > RECOGNISED_MODEL) {
        snprintf(line, sizeof line, "requests of %s: %s", key_name(who), privacy_class_name(key_class(who)));
        js_push(list, js_new_string(line));
    }
    if (label) {
        snprintf(line, sizeof line, "x-hearth-class: %.20s", label);
        js_push(list, js_new_string(line));
    }
    return list;
}

static js *recognised_js(const target *t)
{
    js *o = js_object();
    js_set(o, "by", js_new_string(recognised_name(t->recognised)));
    js_set(o, "why", js_new_string(t->recognised_why));
    if (t->calibration)
        js_set(o, "calibration", js_copy(t->calibration));
    return o;
}

static js *fault_js(const api_fault *f)
{
    js *o = js_object();
    js_set(o, "status", js_new_int(f->http ? f->http : fault_http(f->kind)));
    js_set(o, "code", js_new_string(fault_kind_name(f->kind)));
    js_set(o, "message", js_new_string(f->text));
    return o;
}

static void add_text(js *o, const target *t, const route_input *in, const js *dates, const api_fault *refused)
{
    buf text = BUF_INIT(TEXT_MAX);
    const js *why = js_get(o, "class_because");
    if (t->sheet)
        route_explain(in, &t->decision, &text);
    else
        buf_printf(&text, "%s%s%s\n  because %s\n", api_route_word(t), t->spec[0] ? " -> " : "", t->spec,
                   api_reason(t));
    if (t->recognised_why[0])
        buf_printf(&text, "  recognised: %s\n", t->recognised_why);
    buf_printf(&text, "  class %s because", privacy_class_name(t->privacy));
    for (size_t i = 0; i < js_len(why); i++)
        buf_printf(&text, "%s %s", i ? ";" : "", js_text(js_at(why, i)));
    buf_char(&text, '\n');
    if (dates)
        route_dates_text(dates, &text);
    if (refused)
        buf_printf(&text, "  it would be refused (%d): %s\n", refused->http ? refused->http : fault_http(refused->kind),
                   refused->text);
    else
        buf_printf(&text, "  it would go to %s%s%s%s\n", t->spec, t->placed ? " (" : "",
                   t->placed ? provider_place_name(t->place) : "", t->placed ? ")" : "");
    js_set(o, "text", js_new_string(buf_text(&text)));
    buf_clear(&text);
}

static js *argument_js(const api *a, const http_request *r, const target *t, const api_fault *refused)
{
    js *o = js_object(), *dates = t->sheet ? dates_of(a, t) : NULL;
    route_input in;
    js_set(o, "object", js_new_string("route.explanation"));
    js_set(o, "task", t->t ? js_new_string(t->task) : js_null());
    js_set(o, "recognised", recognised_js(t));
    js_set(o, "class", js_new_string(privacy_class_name(t->privacy)));
    js_set(o, "class_because", classes_js(r, t));
    js_set(o, "route", js_new_string(api_route_word(t)));
    js_set(o, "provider", t->spec[0] ? js_new_string(t->spec) : js_null());
    js_set(o, "place", t->placed ? js_new_string(provider_place_name(t->place)) : js_null());
    js_set(o, "reason", js_new_string(api_reason(t)));
    js_set(o, "evidence", t->routed && t->decision.evidence[0] ? js_new_string(t->decision.evidence) : js_null());
    if (t->sheet) {
        api_target_facts(t, &in);
        js_set(o, "decision", route_to_js(&in, &t->decision));
    }
    add_text(o, t, &in, dates, refused);
    js_set(o, "dates", dates ? dates : js_null());
    js_set(o, "refused", refused ? fault_js(refused) : js_null());
    return o;
}

void api_explain_target(api *a, http_request *r, const target *t, const api_fault *refused)
{
    api_dry *d = api_visit_of(r)->dry;
    js_free(d->argument);
    js_begin();
    d->argument = argument_js(a, r, t, refused);
    if (refused)
        d->fault = *refused;
    if (!js_lost())
        return;
    js_free(d->argument);
    d->argument = NULL;
    api_no_memory(&d->fault);
}

/* ---- POST /v1/route/explain ---- */

static bool has(const js *body, const char *name)
{
    return js_get(body, name) != NULL;
}

/* Whose body this is. What two dialects share is read the same way by both. */
static const char *dialect_of(const http_request *r, const js *body)
{
    bool ollama = has(body, "options") || has(body, "keep_alive") || has(body, "think") || has(body, "format");
    if (has(body, "messages"))
        return has(body, "system") || http_header(r, "anthropic-version") ? "/v1/messages"
               : ollama                                                    ? "/api/chat"
                                                                           : "/v1/chat/completions";
    if (has(body, "prompt"))
        return ollama || has(body, "system") || has(body, "raw")         ? "/api/generate"
               : has(body, "n_predict") || has(body, "cache_prompt") ? "/completion"
                                                                     : "/v1/completions";
    if (has(body, "documents"))
        return "/v1/rerank";
    return has(body, "input") ? "/v1/responses" : NULL;
}

/* {"task": NAME}: the task alone, whatever it is asked. */
static bool explain_task(api *a, http_request *r, const js *body, api_fault *f)
{
    static const field fields[] = { { "task", FIELD_READ, NULL } };
    target t = { .unasked = true };
    const char *name = "";
    char model[VISIT_TASK_BYTES + 8];
    if (!api_check_fields(body, fields, ARRAY_LEN(fields), "", f) || !api_read_text(body, "task", &name, f))
        return false;
    snprintf(model, sizeof model, "task:%s", name);
    bool ok = api_target(a, r, model, NULL, NULL, 0, &t, f);
    if (ok || t.routed)
        api_explain_target(a, r, &t, ok ? NULL : f);
    api_target_clear(&t);
    return ok || api_visit_of(r)->dry->argument;
}

static bool explain(api *a, http_request *r, api_fault *f)
{
    api_visit *v = api_visit_of(r);
    const char *path = http_query(r, "path");
    span text = http_body(r);
    js *body = NULL;
    error e = { 0 };
    bool ok = false;
    if (js_parse(&body, text.p, text.n, "the request", 1, &e) || !js_is(body, JS_OBJECT))
        ok = api_refuse(f, FAULT_INVALID, "", "%s", e.text[0] ? e.text : "the body must be an object: a request as it "
                        "would be sent, or {\"task\": NAME}");
    else if (has(body, "task") && !path)
        ok = explain_task(a, r, body, f);
    else if (!path && !(path = dialect_of(r, body)))
        ok = api_refuse(f, FAULT_INVALID, "", "this is no request of a known path: say which, as ?path=/v1/messages, "
                        "or give {\"task\": NAME}");
    else if (!api_run_dry(a, r, path))
        ok = api_refuse(f, FAULT_INVALID, "path", "at '%s' no model is asked", path);
    else if (!(ok = v->dry->argument))
        *f = v->dry->fault;
    js_free(body);
    return ok;
}

void api_route_explain(api *a, http_request *r)
{
    api_dry dry = { 0 };
    api_fault f;
    api_visit_of(r)->dry = &dry;
    api_refuse(&dry.fault, FAULT_INVALID, "", "it asks no model");
    bool ok = explain(a, r, &f);
    api_visit_of(r)->dry = NULL;
    if (ok)
        api_reply_js(r, 200, dry.argument);
    else
        api_reply_fault(r, &f);
    if (!ok)
        js_free(dry.argument);
}
