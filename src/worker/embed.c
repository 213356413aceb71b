/* embed.c: one request for vectors. A turn computes a group of inputs, so that vectors leave as they are made and
 * others have their turns between. */
#include <string.h>

#include "base/mem.h"
#include "engine/embed.h"
#include "worker/vectors.h"

enum { GROUP = 32, GROUP_IN_COMPANY = 4 };

typedef struct embedding {
    vectors_job base;  /* first */
    const js *inputs;
    embed_options o;
    bool truncate;
    char *message;     /* of one vector: two numbers, then its values */
    float *vectors;    /* [GROUP][length] */
} embedding;

/* ---- reading ---- */

static status add_ids(embedding *m, const js *list, size_t input, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < js_len(list); i++) {
        int64_t id = -1;
        if (!js_int(js_at(list, i), &id) || id < 0 || id > INT32_MAX)
            s = fail(err, E_RANGE, "input %zu: token %zu is no id", input, i);
        else
            s = token_list_add(&m->base.tokens, (int32_t)id, err);
    }
    return s;
}

/* How many tokens a text has that engine_embed_tokens refused. */
static size_t count_tokens(const embedding *m, const js *in)
{
    token_list whole = TOKEN_LIST_INIT(VECTORS_TOKENS_MAX);
    const vocab *v = engine_vocab(m->base.job.w->engine);
    size_t n = vocab_encode(v, js_text(in), js_len(in), VOCAB_BOS, &whole, NULL) ? 0 : whole.n;
    token_list_clear(&whole);
    return n;
}

static status add_input(embedding *m, size_t i, error *err)
{
    const js *in = js_at(m->inputs, i);
    const engine *e = m->base.job.w->engine;
    size_t before = m->base.tokens.n, context = engine_get_info(e)->context, n = 0;
    status s;
    if (js_is(in, JS_STRING)) {
        s = engine_embed_tokens(e, js_text(in), js_len(in), m->truncate, &m->base.tokens, NULL, err);
        n = s == E_RANGE ? count_tokens(m, in) : 0;
    } else {
        s = add_ids(m, in, i, err);
        n = m->base.tokens.n - before;
        if (m->truncate && n > context)
            m->base.tokens.n = before + context;
    }
    if (n > context && !m->truncate) {
        m->base.too_long = n;
        s = fail(err, E_RANGE, "input %zu has %zu tokens, and the model takes %zu", i, n, context);
    }
    m->base.ends[i] = m->base.tokens.n;
    return s;
}

static status read_request(vectors_job *base, const js *in, error *err)
{
    embedding *m = (embedding *)base;
    int64_t dimensions = 0;
    const char *pooling = js_text(js_get(in, "pooling"));
    embed_options_init(&m->o);
    m->inputs = js_get(in, "inputs");
    m->base.n = js_len(m->inputs);
    m->truncate = js_bool(js_get(in, "truncate"), false);
    m->o.raw = js_bool(js_get(in, "raw"), false);
    if (!js_is(m->inputs, JS_ARRAY) || m->base.n == 0 || m->base.n > VECTORS_INPUTS_MAX)
        return fail(err, E_RANGE, "request: there must be 1 to %d inputs", (int)VECTORS_INPUTS_MAX);
    if (pooling && !engine_pooling_named(pooling, &m->o.pooling))
        return fail(err, E_RANGE, "request: pooling '%.20s' is none of mean, cls, last", pooling);
    (void)js_int(js_get(in, "dimensions"), &dimensions);
    if (dimensions < 0 || dimensions > engine_get_info(m->base.job.w->engine)->n_embd)
        return fail(err, E_RANGE, "dimensions: %lld; the model's vectors have %u", (long long)dimensions,
                    engine_get_info(m->base.job.w->engine)->n_embd);
    m->o.dimensions = (uint32_t)dimensions;
    size_t length = engine_embed_length(m->base.job.w->engine, &m->o);
    m->base.ends = mem_array(m->base.n, sizeof *m->base.ends);
    m->vectors = mem_array(GROUP, length * sizeof *m->vectors);
    m->message = mem_array(length + 2, 4);
    bool have = m->base.ends && m->vectors && m->message;
    status s = have ? OK : fail(err, E_NOMEM, "no memory for %zu inputs", m->base.n);
    for (size_t i = 0; !s && i < m->base.n; i++)
        s = add_input(m, i, err);
    return s;
}

/* ---- running ---- */

/* Without room for the group it is tried again, when there may be. */
static status embed_group(vectors_job *base, error *err)
{
    embedding *m = (embedding *)base;
    embed_input in[GROUP];
    worker *w = m->base.job.w;
    size_t most = w->batch && batch_count(w->batch) ? GROUP_IN_COMPANY : GROUP, left = m->base.n - m->base.n_done;
    uint32_t n = (uint32_t)(left < most ? left : most), length = engine_embed_length(w->engine, &m->o);
    bool wait;
    for (uint32_t i = 0; i < n; i++)
        in[i].tokens = vectors_tokens(base, m->base.n_done + i, &in[i].n);
    status s = engine_embed(w->engine, in, n, &m->o, m->vectors, err);
    if (s == E_NOFIT && (jobs_make_room(w, &m->base.job, &wait) || wait))
        return OK;
    for (uint32_t i = 0; !s && i < n; i++)
        vectors_send(base, m->message, m->base.n_done + i, in[i].n, m->vectors + (size_t)i * length, length);
    m->base.n_done += s ? 0 : n;
    return s;
}

static void clear(vectors_job *base)
{
    embedding *m = (embedding *)base;
    mem_free(m->vectors);
    mem_free(m->message);
}

static const vectors_kind embeddings = { sizeof(embedding), "vectors", read_request, embed_group, clear };

job *embed_begin(worker *w, uint32_t request, js *in)
{
    return vectors_begin(&embeddings, w, request, in);
}
