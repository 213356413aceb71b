/* embedder.c: texts to vectors by a local model, for the grader `similarity`. */
#include <string.h>

#include "base/mem.h"
#include "measure/tools_int.h"
#include "provider/embed.h"

typedef struct hearing {
    float *vectors;
    size_t size, n, got;
    bool bad;
} hearing;

static int hear(void *user, const event *e)
{
    hearing *h = user;
    if (e->kind != EVENT_VECTOR || h->bad)
        return h->bad;
    const event_vector *v = e->vector;
    if (!h->vectors) {
        h->size = v->n;
        h->vectors = mem_array(h->n * v->n + 1, sizeof *h->vectors);
    }
    h->bad = !h->vectors || v->n != h->size || v->input != h->got;
    if (!h->bad)
        memcpy(h->vectors + h->got++ * h->size, v->values, h->size * sizeof *h->vectors);
    return h->bad;
}

status embedder_embed(provider *at, const task *t, const char *const *texts, size_t n, float **vectors, size_t *size,
                      error *err)
{
    const provider_info *who = provider_get_info(at);
    hearing h = { .n = n };
    provider_limits limits = { .timeout_ms = TOOL_TIMEOUT_MS, .first_ms = TOOL_TIMEOUT_MS, .idle_ms = TOOL_TIMEOUT_MS };
    request_input *inputs = mem_array(n + 1, sizeof *inputs);
    if (!inputs)
        return fail(err, E_NOMEM, "no memory for %zu texts", n);
    for (size_t i = 0; i < n; i++)
        inputs[i] = (request_input){ .text = texts[i] };
    /* an answer may be longer than the model reads: that is no error of the task */
    const request_embed embed = { .inputs = inputs, .n_inputs = n, .truncate = true };
    request r;
    request_init(&r);
    r.kind = REQUEST_EMBED;
    r.embed = &embed;
    r.privacy = t->privacy;
    r.task = t->id;
    status s = provider_complete(at, &r, hear, &h, &limits, err);
    mem_free(inputs);
    if (!s && (h.bad || h.got != n))
        s = h.vectors ? fail(err, E_PROVIDER, "%s made %zu vectors of %zu texts", who->name, h.got, n)
                      : fail(err, E_NOMEM, "no memory for the vectors of %zu texts", n);
    else if (s)
        s = fail_prefix(err, s == E_NOMEM || s == E_DENIED ? s : E_PROVIDER, "the embedding model %s: ", who->name);
    if (s) {
        mem_free(h.vectors);
        return s;
    }
    *vectors = h.vectors;
    *size = h.size;
    return OK;
}
