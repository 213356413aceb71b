/* inspect.c: the class of a request, before anything else is decided: the highest of its labels, of what detectors and
 * fingerprints find in its body, and of its conversation. The body is looked at as it came, in whatever dialect: what
 * leaves is made of it and of nothing else that a caller sends. */
#include <stdio.h>
#include <string.h>

#include "api/visit.h"
#include "privacy/inspect.h"

/* ---- its texts ---- */

static void inspect_body(const inspector *i, span body, inspect_result *out)
{
    js *parsed = NULL;
    error ignored;
    *out = (inspect_result){ .raises = PRIVACY_PUBLIC };
    if (!body.n)
        return;
    status s = js_parse(&parsed, body.p, body.n, "body", 1, &ignored);
    if (s)
        *out = (inspect_result){ PRIVACY_PRIVATE, s, "not understood" };
    else
        inspect_json(i, parsed, out);
    js_free(parsed);
}

/* ---- all of it ---- */

static void raise_to(target *t, privacy_class c)
{
    t->privacy = privacy_class_join(t->privacy, c);
}

static void say(target *t, privacy_class c, const char *why)
{
    size_t n = strlen(t->why);
    if (c == t->privacy && *why)
        snprintf(t->why + n, sizeof t->why - n, "%s%s", n ? "; " : "", why);
}

void api_classify(api *a, const http_request *r, const declared *d, target *out)
{
    const struct {
        const privacy_class *said;
        const char *why;
    } labels[] = { { d->task, "task" }, { d->header, "header" }, { d->key, "key default" } };
    inspect_result found;
    inspect_ring *ring = a->options.config->inspectors;
    const inspector *i = inspect_ring_hold(ring);
    inspect_body(i, http_body(r), &found);
    snprintf(out->detectors, sizeof out->detectors, "%s%s%s", inspector_version(i), *found.reason ? ": " : "",
             found.reason);
    inspect_ring_release(ring, i);
    out->privacy = found.raises;
    for (size_t k = 0; k < ARRAY_LEN(labels); k++)
        if (labels[k].said)
            raise_to(out, *labels[k].said);
    out->why[0] = 0;
    say(out, found.raises, found.reason);
    for (size_t k = 0; k < ARRAY_LEN(labels); k++)
        if (labels[k].said)
            say(out, *labels[k].said, labels[k].why);
}
