#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "api/recognise_int.h"
#include "base/mem.h"
#include "provider/embed.h"
#include "route/near.h"

enum { NEAR_TASKS_MAX = 48, NEAR_BYTES_MAX = 64 << 20, EMBED_BATCH = 256 };
#define ASKER "recognise"

struct near_index {
    pthread_mutex_t lock; /* held while it is made: who needs it waits for it */
    uint64_t version;     /* of the tasks; 0: not made */
    arena memory;         /* names, texts and vectors */
    near_task tasks[NEAR_TASKS_MAX];
    size_t n, dim, n_texts;
    const char **texts;   /* all tasks' examples, in order; NULL when their vectors are made */
};

status near_index_open(near_index **out, error *err)
{
    near_index *i = mem_zero(sizeof *i);
    if (!i)
        return fail(err, E_NOMEM, "no memory to recognise tasks");
    pthread_mutex_init(&i->lock, NULL);
    i->memory = (arena)ARENA_INIT(NEAR_BYTES_MAX);
    *out = i;
    return OK;
}

void near_index_close(near_index **at)
{
    if (!*at)
        return;
    arena_clear(&(*at)->memory);
    pthread_mutex_destroy(&(*at)->lock);
    mem_free(*at);
    *at = NULL;
}

/* ---- vectors ---- */

typedef struct hearing {
    float *to; /* NULL: the first vector says how large they are */
    arena *memory;
    size_t n, got, dim;
    bool bad;
    const http_request *r;
} hearing;

static int hear(void *user, const event *e)
{
    hearing *h = user;
    if (e->kind != EVENT_VECTOR || h->bad)
        return h->bad || http_gone(h->r);
    const event_vector *v = e->vector;
    if (!h->to && (h->dim = v->n) > 0)
        h->to = arena_alloc(h->memory, h->n * h->dim * sizeof *h->to);
    h->bad = !h->to || v->n != h->dim || h->got == h->n;
    if (!h->bad)
        memcpy(h->to + h->got++ * h->dim, v->values, h->dim * sizeof *h->to);
    return h->bad;
}

static bool embed_some(provider *p, const char *const *texts, size_t n, hearing *h, api_fault *f)
{
    request_input inputs[EMBED_BATCH];
    for (size_t i = 0; i < n; i++)
        inputs[i] = (request_input){ .text = texts[i] };
    const request_embed embed = { .inputs = inputs, .n_inputs = n, .truncate = true };
    request q;
    error e = { 0 };
    size_t before = h->got;
    request_init(&q); /* class private */
    q.kind = REQUEST_EMBED;
    q.embed = &embed;
    q.scope = ASKER;
    if (provider_complete(p, &q, hear, h, NULL, &e))
        return api_refuse_status(f, "", &e);
    if (h->bad || h->got != before + n)
        return api_refuse(f, FAULT_INTERNAL, "", http_gone(h->r) ? "the client has left" : "the model '%s' makes no "
                          "vectors that could be compared", provider_get_info(p)->name);
    return true;
}

/* n texts to n unit vectors in memory, by the local model that the config names. */
static bool embed(api *a, const http_request *r, const char *const *texts, size_t n, arena *memory, float **out,
                  size_t *dim, api_fault *f)
{
    const char *spec = a->options.config->recognise.embedding;
    hearing h = { .memory = memory, .n = n, .r = r };
    provider_place place;
    api_lease lease;
    error e = { 0 };
    if (provider_place_of(spec, a->options.config, &place, &e))
        return api_refuse_status(f, "", &e);
    if (place != PLACE_LOCAL)
        return api_refuse(f, FAULT_DENIED, "", "'%s', which would compare requests with tasks, is not local", spec);
    if (!api_take(a, spec, ASKER, 1, r, &lease, f))
        return false;
    bool ok = true;
    for (size_t at = 0; ok && at < n; at += EMBED_BATCH)
        ok = embed_some(lease.provider, texts + at, n - at < EMBED_BATCH ? n - at : EMBED_BATCH, &h, f);
    api_give(a, &lease);
    *out = h.to;
    *dim = h.dim;
    return ok;
}

/* ---- the index, with the lock held ---- */

/* A known_tasks_fn: everything is copied, since vectors take time. */
static status copy_examples(void *user, const known_task *tasks, size_t n, error *err)
{
    near_index *x = user;
    size_t all = 0;
    arena_clear(&x->memory);
    x->memory = (arena)ARENA_INIT(NEAR_BYTES_MAX);
    x->version = 0;
    x->n = x->n_texts = 0;
    for (size_t i = 0; i < n; i++)
        all += tasks[i].n;
    x->texts = arena_alloc(&x->memory, (all + 1) * sizeof *x->texts);
    bool ok = x->texts;
    for (size_t i = 0; ok && i < n && x->n < NEAR_TASKS_MAX; i++) {
        near_task *t = &x->tasks[x->n];
        if (!tasks[i].n)
            continue;
        *t = (near_task){ .name = arena_strndup(&x->memory, tasks[i].name, strlen(tasks[i].name)), .n = tasks[i].n,
                          .recognised = tasks[i].recognised };
        ok = t->name;
        for (size_t k = 0; ok && k < t->n; k++)
            ok = (x->texts[x->n_texts++] = arena_strndup(&x->memory, tasks[i].texts[k], strlen(tasks[i].texts[k])));
        x->n += ok;
    }
    return ok ? OK : fail(err, E_NOMEM, "no memory for the examples of tasks");
}

static bool make(near_index *x, api *a, const http_request *r, api_fault *f)
{
    float *vectors = NULL;
    error e = { 0 };
    size_t at = 0;
    if (x->n_texts && !embed(a, r, x->texts, x->n_texts, &x->memory, &vectors, &x->dim, f))
        return false;
    for (size_t i = 0; i < x->n; i++) {
        x->tasks[i].vectors = vectors + at * x->dim;
        at += x->tasks[i].n;
    }
    if (near_calibrate(x->tasks, x->n, x->dim, a->options.config->recognise.foreign, &e))
        return api_refuse_status(f, "", &e);
    x->texts = NULL;
    return true;
}

static bool refresh(near_index *x, api *a, const http_request *r, known_tasks *c, api_fault *f)
{
    error e = { 0 };
    uint64_t version = x->version;
    if (known_tasks_examples(c, &version, copy_examples, x, &e)) {
        x->version = 0;
        return api_refuse_status(f, "", &e);
    }
    if (version == x->version)
        return true;
    if (!make(x, a, r, f)) {
        x->n = 0;
        return false;
    }
    x->version = version;
    return true;
}

static js *counts_js(const api *a, const near_index *x)
{
    js *o = js_object();
    js_set(o, "model", js_new_string(a->options.config->recognise.embedding));
    js_set(o, "level", js_new_double(a->options.config->recognise.foreign));
    js_set(o, "confidence", js_new_double(NEAR_CONFIDENCE));
    js_set(o, "tasks", near_to_js(x->tasks, x->n));
    return o;
}

static void say(const near_task *t, double score, char why[256])
{
    snprintf(why, 256, "what it asks is near to examples of this task: cosine %.2f, the threshold %.2f takes %u of %u "
             "texts of other tasks (at most %.1f %%) and %u of its own %zu", score, t->threshold, t->n_foreign_taken,
             t->n_foreign, 100 * t->foreign_upper, t->n_own_taken, t->n);
}

bool near_index_find(near_index *x, api *a, const http_request *r, known_tasks *c, const char *text, bool *found,
                     char name[72], char why[256], js **counts, api_fault *f)
{
    arena memory = ARENA_INIT(1 << 20);
    float *vector = NULL;
    size_t dim = 0, which = 0;
    double score = 0;
    *found = false;
    pthread_mutex_lock(&x->lock);
    bool ok = refresh(x, a, r, c, f);
    if (ok)
        *counts = counts_js(a, x);
    bool any = x->n > 0;
    pthread_mutex_unlock(&x->lock);
    if (ok && any)
        ok = embed(a, r, &text, 1, &memory, &vector, &dim, f);
    pthread_mutex_lock(&x->lock);
    if (ok && any && dim == x->dim && near_find(x->tasks, x->n, dim, vector, &which, &score) &&
        strlen(x->tasks[which].name) < 72) {
        *found = true;
        memcpy(name, x->tasks[which].name, strlen(x->tasks[which].name) + 1);
        say(&x->tasks[which], score, why);
    }
    pthread_mutex_unlock(&x->lock);
    arena_clear(&memory);
    return ok;
}
