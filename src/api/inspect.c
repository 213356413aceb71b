/* inspect.c: the class of a request, before anything else is decided: the highest of its labels, of what detectors and
 * fingerprints find in its body, and of its conversation. The body is looked at as it came, in whatever dialect: what
 * leaves is made of it and of nothing else that a caller sends. */
#include <stdio.h>
#include <string.h>

#include "api/visit.h"
#include "base/log.h"
#include "privacy/inspect.h"

enum { SAID_MAX = 16 << 20 };
static const char unknown[] = "conversations are not known";

void api_class_raise(target *t, privacy_class c, const char *why)
{
    if (c > t->privacy)
        t->why[0] = 0;
    t->privacy = privacy_class_join(t->privacy, c);
    size_t n = strlen(t->why);
    if (c == t->privacy && *why)
        snprintf(t->why + n, sizeof t->why - n, "%s%s", n ? "; " : "", why);
}

/* ---- its conversation ---- */

static void look_back(api *a, const js *body, target *t)
{
    privacy_class before = PRIVACY_PUBLIC;
    error ignored; /* the table has said it */
    if (!a->talk) {
        api_class_raise(t, PRIVACY_PRIVATE, unknown);
        return;
    }
    status s = conversation_read(body, conversations_key(a->talk), t->scope, &t->talk, &ignored);
    if (!s && t->talk.n_look)
        s = conversations_find(a->talk, t->talk.look, t->talk.n_look, &before, &ignored);
    if (s)
        api_class_raise(t, PRIVACY_PRIVATE, unknown);
    else if (before)
        api_class_raise(t, before, "conversation");
}

static bool has_servers(const config *c)
{
    for (size_t i = 0; i < c->n_providers; i++)
        if (config_is_server(&c->providers[i]))
            return true;
    return false;
}

bool api_stick(api *a, const http_request *r, target *t, api_fault *f)
{
    error e = { 0 };
    if (api_visit_of(r)->dry || (a->talk && !conversations_add(a->talk, t->talk.keep, t->talk.n_keep, t->privacy, &e)))
        return true;
    if (t->privacy < PRIVACY_PRIVATE)
        api_class_raise(t, PRIVACY_PRIVATE, unknown);
    if (!has_servers(a->options.config))
        return true;
    api_refuse(f, FAULT_INTERNAL, "", "the class of this request cannot be written down, so that it would not be known "
               "later: %s", e.text[0] ? e.text : unknown);
    f->http = 503;
    return false;
}

void api_remember(api *a, target *t, const event *e)
{
    conversation_digest d;
    error ignored; /* the table has said it, and lets nothing leave until it is well again */
    if (t->privacy == PRIVACY_PUBLIC || !a->talk)
        return;
    t->said.max = SAID_MAX;
    if (e->kind == EVENT_TEXT)
        buf_add(&t->said, e->text, e->text_bytes);
    if (e->kind != EVENT_DONE && e->kind != EVENT_ERROR)
        return;
    if (conversation_of_text(buf_text(&t->said), t->said.len, conversations_key(a->talk), &d) &&
        conversations_add(a->talk, &d, 1, t->privacy, &ignored))
        log_line(LOG_LEVEL_WARN, "an answer could not be written down");
    buf_reset(&t->said);
}

/* ---- all of it ---- */

static void look(api *a, const js *body, target *t)
{
    inspect_result found = { .raises = PRIVACY_PUBLIC };
    inspect_ring *ring = a->options.config->inspectors;
    const inspector *i = inspect_ring_hold(ring);
    inspect_json(i, body, &found);
    snprintf(t->detectors, sizeof t->detectors, "%s%s%s", inspector_version(i), *found.reason ? ": " : "",
             found.reason);
    inspect_ring_release(ring, i);
    api_class_raise(t, found.raises, found.reason);
}

void api_classify(api *a, const http_request *r, const declared *d, target *out)
{
    const struct {
        const privacy_class *said;
        const char *why;
    } labels[] = { { d->header, "header" }, { d->key, "key default" } };
    span body = http_body(r);
    js *parsed = NULL;
    error ignored;
    out->privacy = PRIVACY_PUBLIC;
    out->why[0] = 0;
    if (body.n && js_parse(&parsed, body.p, body.n, "body", 1, &ignored))
        api_class_raise(out, PRIVACY_PRIVATE, "not understood");
    if (parsed)
        look(a, parsed, out);
    for (size_t k = 0; k < ARRAY_LEN(labels); k++)
        if (labels[k].said)
            api_class_raise(out, *labels[k].said, labels[k].why);
    if (parsed)
        look_back(a, parsed, out);
    js_free(parsed);
}
