/* inspect.c: the class of a request, before anything else is decided: the highest of its labels, of what detectors and
 * fingerprints find in its body, and of its conversation. The body is looked at as it came, in whatever dialect: what
 * leaves is made of it and of nothing else that a caller sends. */
#include <stdio.h>
#include <string.h>

#include "api/visit.h"
#include "base/log.h"
#include "privacy/conversations.h"
#include "privacy/inspect.h"

enum { SAID_MAX = 16 << 20 };

/* ---- the highest of all, and why ---- */

typedef struct source {
    privacy_class raises;
    const char *why; /* "": it says nothing */
} source;
enum { SOURCES_MAX = 8 };

typedef struct sources {
    source list[SOURCES_MAX];
    size_t n;
    privacy_class highest;
} sources;

static void raise_to(sources *all, privacy_class c, const char *why)
{
    if (all->n < SOURCES_MAX)
        all->list[all->n++] = (source){ c, why };
    all->highest = privacy_class_join(all->highest, c);
}

static void conclude(const sources *all, target *out)
{
    size_t n = 0;
    out->privacy = all->highest;
    out->why[0] = 0;
    for (size_t i = 0; i < all->n && n < sizeof out->why; i++)
        if (all->list[i].raises == all->highest && *all->list[i].why)
            n += (size_t)snprintf(out->why + n, sizeof out->why - n, "%s%s", n ? "; " : "", all->list[i].why);
}

/* ---- its conversation ---- */

/* What is more than public is written down before anything is answered. Whatever fails, it is private then. */
static void stick(api *a, const js *body, const char *scope, sources *all)
{
    conversation_texts t = { 0 };
    privacy_class before = PRIVACY_PUBLIC;
    error e = { 0 };
    if (!a->talk) {
        raise_to(all, PRIVACY_PRIVATE, "conversations are not known");
        return;
    }
    status s = conversation_read(body, conversations_key(a->talk), scope, &t, &e);
    if (!s && t.n_look)
        s = conversations_find(a->talk, t.look, t.n_look, &before, &e);
    raise_to(all, before, before ? "conversation" : "");
    privacy_class class = s ? privacy_class_join(all->highest, PRIVACY_PRIVATE) : all->highest;
    status kept = conversations_add(a->talk, t.keep, t.n_keep, class, &e);
    if (s || kept)
        raise_to(all, PRIVACY_PRIVATE, "conversations are not known");
    conversation_clear(&t);
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

static void look(api *a, const js *body, target *out, inspect_result *found)
{
    inspect_ring *ring = a->options.config->inspectors;
    const inspector *i = inspect_ring_hold(ring);
    inspect_json(i, body, found);
    snprintf(out->detectors, sizeof out->detectors, "%s%s%s", inspector_version(i), *found->reason ? ": " : "",
             found->reason);
    inspect_ring_release(ring, i);
}

void api_classify(api *a, const http_request *r, const declared *d, target *out)
{
    const struct {
        const privacy_class *said;
        const char *why;
    } labels[] = { { d->task, "task" }, { d->header, "header" }, { d->key, "key default" } };
    span body = http_body(r);
    js *parsed = NULL;
    error ignored;
    inspect_result found = { .raises = PRIVACY_PUBLIC };
    sources all = { .highest = PRIVACY_PUBLIC };
    bool strange = body.n && js_parse(&parsed, body.p, body.n, "body", 1, &ignored);
    if (parsed)
        look(a, parsed, out, &found);
    raise_to(&all, found.raises, found.reason);
    if (strange)
        raise_to(&all, PRIVACY_PRIVATE, "not understood");
    for (size_t k = 0; k < ARRAY_LEN(labels); k++)
        if (labels[k].said)
            raise_to(&all, *labels[k].said, labels[k].why);
    if (parsed)
        stick(a, parsed, out->scope, &all);
    js_free(parsed);
    conclude(&all, out);
}
