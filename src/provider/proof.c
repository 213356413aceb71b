/* proof.c: see the header. */
#include "provider/proof.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "plat/build_id.h"
#include "plat/clock.h"
#include "plat/witness.h"
#include "privacy/audit_standing.h"
#include "privacy/detect.h"
#include "privacy/inspect.h"
#include "privacy/privacy.h"
#include "provider/proof_int.h"
#include "provider/tagger.h"

static void add_text(js *list, const char *format, va_list args)
{
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    js_push(list, js_new_string(text));
}

void proof_reason(proof *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_text(p->reasons, format, args);
    va_end(args);
}

void proof_note(proof *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_text(p->notes, format, args);
    va_end(args);
}

status proof_open(proof **out, const config *cfg, error *err)
{
    struct stat st;
    proof *p = mem_zero(sizeof *p);
    if (!p)
        return fail(err, E_NOMEM, "no memory for a proof");
    js_begin();
    *p = (proof){ .cfg = cfg, .doc = js_object(), .workers = js_array(), .servers = js_array(),
                  .reasons = js_array(), .notes = js_array() };
    js_set(p->doc, "holds", js_new_bool(false));
    js_set(p->doc, "reasons", p->reasons);
    js_set(p->doc, "notes", p->notes);
    js_set(p->doc, "workers", p->workers);
    js_set(p->doc, "servers", p->servers);
    p->any_server = provider_servers_open() > 0;
    for (size_t i = 0; i < cfg->n_providers; i++)
        p->any_server = p->any_server || config_is_server(&cfg->providers[i]);
    p->stderr_is_socket = fstat(STDERR_FILENO, &st) == 0 && S_ISSOCK(st.st_mode);
    *out = p;
    if (cfg->tagger)
        proof_add(p, tagger_provider(cfg->tagger), false);
    return OK;
}

/* ---- workers ---- */

typedef struct visit {
    proof *p;
    const provider_info *info;
    js *processes;
} visit;

static void add_worker(void *user, helper *h, bool busy)
{
    visit *v = user;
    (void)busy;
    js *o = proof_worker(v->p, h, v->info->name);
    js_set(o, "model", js_new_string(v->info->model));
    js_push(v->p->workers, o);
}

void proof_try_worker(proof *p)
{
    static const char *const nothing[] = { NULL };
    helper h;
    error err = { 0 };
    helper_init(&h, "hearth-worker", nothing);
    if (helper_start(&h, &err) == OK)
        js_push(p->workers, proof_worker(p, &h, "started for this"));
    else
        proof_reason(p, "no worker can be started: %s", err.text);
    helper_clear(&h);
}

/* ---- servers ---- */

static void add_egress(void *user, helper *h, bool busy)
{
    visit *v = user;
    js_push(v->processes, proof_egress(v->p, h, busy, v->info->name));
}

/* The way that every request goes: a text that may not leave is offered, and must be refused before anything starts. */
static js *offer(proof *p, provider *own)
{
    static const privacy_class tried[] = { PRIVACY_PRIVATE, PRIVACY_SECRET };
    static const request_message text = { "user", "hearth privacy proof" };
    js *o = js_object();
    for (size_t i = 0; i < ARRAY_LEN(tried); i++) {
        error err = { 0 };
        request r;
        request_init(&r);
        r.privacy = tried[i];
        r.messages = &text;
        r.n_messages = 1;
        bool refused = provider_complete(own, &r, NULL, NULL, NULL, &err) == E_DENIED;
        js_set(o, privacy_class_name(tried[i]), js_new_bool(refused));
        if (!refused)
            proof_reason(p, "%s took a %s request", provider_get_info(own)->name, privacy_class_name(tried[i]));
    }
    return o;
}

static js *key_of(const config_provider *row)
{
    const struct {
        const char *from, *name;
    } ways[] = { { "file", row->key_file }, { "environment", row->key_env }, { "credential", row->key_credential } };
    js *o = js_object();
    js_set(o, "provider", js_new_string(row->name));
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        if (ways[i].name[0]) {
            js_set(o, "from", js_new_string(ways[i].from));
            js_set(o, "name", js_new_string(ways[i].name));
            js_set(o, "in_this_process", js_new_bool(ways[i].name == row->key_env && getenv(row->key_env) != NULL));
            return o;
        }
    js_set(o, "from", js_new_string("none"));
    return o;
}

static void add_server(proof *p, provider *own, bool start)
{
    const provider_info *i = provider_get_info(own);
    const config_provider *row = config_find(p->cfg, i->name);
    provider_health health;
    error err = { 0 };
    js *o = js_object();
    js_set(o, "provider", js_new_string(i->name));
    js_set(o, "host", js_new_string(i->url));
    js_set(o, "place", js_new_string(provider_place_name(i->place)));
    js_set(o, "class_max", js_new_string(privacy_class_name(i->class_max)));
    if (row && row->proxy[0])
        js_set(o, "proxy", js_new_string(row->proxy));
    js_set(o, "refuses", offer(p, own));
    bool known = provider_get_health(own, &health) && health.address[0];
    js_set(o, "address", known ? js_new_string(health.address) : js_null());
    visit v = { p, i, js_array() };
    if (own->ops->helpers && own->ops->helpers(own, start, add_egress, &v, &err))
        proof_note(p, "%s: its process does not start: %s", i->name, err.text);
    js_set(o, "processes", v.processes);
    js_push(p->servers, o);
}

void proof_add(proof *p, provider *own, bool start)
{
    error err = { 0 };
    visit v = { p, provider_get_info(own), NULL };
    if (provider_is_server(v.info->kind))
        add_server(p, own, start);
    else if (own->ops->helpers)
        (void)own->ops->helpers(own, false, add_worker, &v, &err);
}

static bool has_server(const proof *p, const char *name)
{
    for (size_t i = 0; i < js_len(p->servers); i++)
        if (strcmp(js_text(js_get(js_at(p->servers, i), "provider")), name) == 0)
            return true;
    return false;
}

void proof_add_configured(proof *p, bool start)
{
    for (size_t i = 0; i < p->cfg->n_providers; i++) {
        const config_provider *row = &p->cfg->providers[i];
        provider *own = NULL;
        error err = { 0 };
        if (!config_is_server(row) || has_server(p, row->name))
            continue;
        if (provider_open(&own, row->name, p->cfg, &err) == OK)
            add_server(p, own, start);
        else
            proof_note(p, "%s cannot be opened: %s", row->name, err.text);
        provider_close(&own);
    }
}

/* ---- the front ---- */

static void add_front(proof *p)
{
    witness w;
    js *o = js_object(), *keys = js_array();
    witness_read(0, &w);
    if (!w.descriptors.known)
        proof_reason(p, "this process cannot see its own descriptors: /proc is not there");
    if (w.descriptors.outbound)
        proof_reason(p, "this process has %u outbound sockets of its own", w.descriptors.outbound);
    for (size_t i = 0; i < p->cfg->n_providers; i++) {
        const config_provider *row = &p->cfg->providers[i];
        if (!config_is_server(row))
            continue;
        js *k = key_of(row);
        if (js_bool(js_get(k, "in_this_process"), false))
            proof_note(p, "the key of %s is in this process's environment (%s): key_file or key_credential keeps it "
                       "out", row->name, row->key_env);
        js_push(keys, k);
    }
    js_set(o, "process", js_new_int(getpid()));
    js_set(o, "kernel", witness_to_js(&w));
    js_set(o, "keys", keys);
    js_set(p->doc, "front", o);
}

/* ---- which class goes where ---- */

static js *places_of(proof *p, privacy_class c)
{
    js *list = js_array();
    for (privacy_place at = PRIVACY_LOCAL; at <= PRIVACY_REMOTE; at++) {
        bool may = privacy_allows(c, at);
        if (may)
            js_push(list, js_new_string(privacy_place_name(at)));
        if (may && c >= PRIVACY_PRIVATE && at != PRIVACY_LOCAL)
            proof_reason(p, "the class %s may go to the place %s", privacy_class_name(c), privacy_place_name(at));
    }
    return list;
}

static void add_classes(proof *p)
{
    static const privacy_class all[] = { PRIVACY_PUBLIC, PRIVACY_INTERNAL, PRIVACY_PRIVATE, PRIVACY_SECRET };
    js *classes = js_object();
    for (size_t k = 0; k < ARRAY_LEN(all); k++) {
        js *o = js_object(), *providers = js_array(), *servers = js_array();
        for (size_t i = 0; i < p->cfg->n_providers; i++) {
            const config_provider *row = &p->cfg->providers[i];
            provider_kind kind;
            if (provider_kind_of(row->name, p->cfg, &kind, NULL) || !provider_allows(kind, row->place, all[k]) ||
                all[k] > row->class_max)
                continue;
            js_push(config_is_server(row) ? servers : providers, js_new_string(row->name));
            if (all[k] >= PRIVACY_PRIVATE && config_is_server(row))
                proof_reason(p, "the class %s may go to the server %s", privacy_class_name(all[k]), row->name);
        }
        js_set(o, "places", places_of(p, all[k]));
        js_set(o, "providers", providers);
        js_set(o, "servers", servers);
        js_set(classes, privacy_class_name(all[k]), o);
    }
    js_set(p->doc, "classes", classes);
}

/* ---- what it was decided by ---- */

static void add_config(proof *p)
{
    const config *c = p->cfg;
    char now[DIGEST_HEX];
    js *o = js_object();
    bool same = c->file_digest[0] && digest_file(c->path, now, NULL) == OK && strcmp(now, c->file_digest) == 0;
    js_set(o, "path", js_new_string(c->path));
    js_set(o, "sha256", js_new_string(c->file_digest));
    js_set(o, "on_disk", js_new_string(!c->file_digest[0] ? "none" : same ? "the same" : "changed"));
    if (c->file_digest[0] && !same)
        proof_note(p, "%s was changed since it was read: what is in force is the older one", c->path);
    js_set(p->doc, "config", o);
}

/* What looks at requests here; where nothing does, all recognisers with their scores, of this build. */
static void add_detectors(proof *p)
{
    if (p->cfg->inspectors) {
        const inspector *i = inspect_ring_hold(p->cfg->inspectors);
        js_set(p->doc, "detectors", js_new_string(inspector_version(i)));
        inspect_ring_release(p->cfg->inspectors, i);
        return;
    }
    char hex[DIGEST_HEX], text[64 + DIGEST_HEX];
    uint8_t sum[DIGEST_BYTES] = { 0 };
    digest *d = digest_open();
    if (!d)
        proof_reason(p, "no memory for the version of the detectors");
    for (size_t i = 0; d && i < detect_n_rules(); i++) {
        detect_about a = detect_rule_at(i);
        double numbers[] = { a.score, a.grouped, a.raises };
        digest_field(d, a.kind, strlen(a.kind));
        digest_field(d, a.what, strlen(a.what));
        digest_field(d, numbers, sizeof numbers);
    }
    if (d)
        digest_close(&d, sum);
    digest_hex(sum, hex);
    snprintf(text, sizeof text, "%s %.16s", build_id(), hex);
    js_set(p->doc, "detectors", js_new_string(text));
}

static void add_audit(proof *p)
{
    audit_standing a = { 0 };
    error err = { 0 };
    js *o = js_object();
    if (audit_stand(&a, &err))
        snprintf(a.why, sizeof a.why, "%.150s", err.text);
    js_set(o, "there", js_new_bool(a.there));
    js_set(o, "whole", js_new_bool(a.whole));
    js_set(o, "can_append", js_new_bool(a.can_append));
    js_set(o, "why", js_new_string(a.why));
    js_set(o, "chain", js_new_string(a.chain));
    js_set(o, "record", js_new_int((int64_t)a.record));
    js_set(o, "sha256", js_new_string(a.head));
    js_set(p->doc, "audit", o);
    if (!a.whole)
        proof_reason(p, "the audit log: %s", a.why);
    else if (!a.can_append)
        proof_note(p, "the audit log cannot be written, so nothing can be sent: %s", a.why);
}

js *proof_close(proof **proof_at, bool *holds)
{
    proof *p = *proof_at;
    char at[CLOCK_TEXT];
    add_front(p);
    add_classes(p);
    add_config(p);
    add_detectors(p);
    add_audit(p);
    *holds = js_len(p->reasons) == 0;
    js_set(p->doc, "at", js_new_string(clock_utc_text(clock_utc_us(), at)));
    js_set(p->doc, "build", js_new_string(build_id()));
    js *doc = p->doc;
    js_set(doc, "holds", js_new_bool(*holds));
    if (js_lost()) { /* maybe a reason */
        js_free(doc);
        doc = NULL;
        *holds = false;
    }
    mem_free(p);
    *proof_at = NULL;
    return doc;
}
