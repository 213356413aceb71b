/* embed.c: one request for vectors. A turn computes a group of inputs, so that vectors leave as they are made and
 * others have their turns between. */
#include <string.h>

#include "base/mem.h"
#include "engine/embed.h"
#include "plat/clock.h"
#include "plat/proc.h"
#include "token/vocab.h"
#include "worker/worker_int.h"

enum { INPUTS_MAX = 2048, TOKENS_MAX = 1 << 22, GROUP = 32, GROUP_IN_COMPANY = 4 };

typedef struct embedding {
    job job;           /* first */
    uint64_t began_us;
    const js *inputs;
    embed_options o;
    bool truncate;
    size_t n, n_done;
    token_list tokens;
    size_t *ends;      /* [n] in tokens */
    char *message;     /* of one vector: two numbers, then its values */
    float *vectors;    /* [GROUP][length] */
    size_t too_long;   /* tokens of an input that does not fit, or 0 */
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
            s = token_list_add(&m->tokens, (int32_t)id, err);
    }
    return s;
}

/* How many tokens a text has that engine_embed_tokens refused. */
static size_t count_tokens(const embedding *m, const js *in)
{
    token_list whole = TOKEN_LIST_INIT(TOKENS_MAX);
    const vocab *v = engine_vocab(m->job.w->engine);
    size_t n = vocab_encode(v, js_text(in), js_len(in), VOCAB_BOS, &whole, NULL) ? 0 : whole.n;
    token_list_clear(&whole);
    return n;
}

static status add_input(embedding *m, size_t i, error *err)
{
    const js *in = js_at(m->inputs, i);
    size_t before = m->tokens.n, context = engine_get_info(m->job.w->engine)->context, n = 0;
    status s;
    if (js_is(in, JS_STRING)) {
        s = engine_embed_tokens(m->job.w->engine, js_text(in), js_len(in), m->truncate, &m->tokens, NULL, err);
        n = s == E_RANGE ? count_tokens(m, in) : 0;
    } else {
        s = add_ids(m, in, i, err);
        n = m->tokens.n - before;
        if (m->truncate && n > context)
            m->tokens.n = before + context;
    }
    if (n > context && !m->truncate) {
        m->too_long = n;
        s = fail(err, E_RANGE, "input %zu has %zu tokens, and the model takes %zu", i, n, context);
    }
    m->ends[i] = m->tokens.n;
    return s;
}

static status read_request(embedding *m, const js *in, error *err)
{
    int64_t dimensions = 0;
    const char *pooling = js_text(js_get(in, "pooling"));
    embed_options_init(&m->o);
    m->inputs = js_get(in, "inputs");
    m->n = js_len(m->inputs);
    m->truncate = js_bool(js_get(in, "truncate"), false);
    m->o.raw = js_bool(js_get(in, "raw"), false);
    if (!js_is(m->inputs, JS_ARRAY) || m->n == 0 || m->n > INPUTS_MAX)
        return fail(err, E_RANGE, "request: there must be 1 to %d inputs", (int)INPUTS_MAX);
    if (pooling && !engine_pooling_named(pooling, &m->o.pooling))
        return fail(err, E_RANGE, "request: pooling '%.20s' is none of mean, cls, last", pooling);
    (void)js_int(js_get(in, "dimensions"), &dimensions);
    if (dimensions < 0 || dimensions > engine_get_info(m->job.w->engine)->n_embd)
        return fail(err, E_RANGE, "dimensions: %lld; the model's vectors have %u", (long long)dimensions,
                    engine_get_info(m->job.w->engine)->n_embd);
    m->o.dimensions = (uint32_t)dimensions;
    size_t length = engine_embed_length(m->job.w->engine, &m->o);
    m->ends = mem_array(m->n, sizeof *m->ends);
    m->vectors = mem_array(GROUP, length * sizeof *m->vectors);
    m->message = mem_array(length + 2, 4);
    status s = m->ends && m->vectors && m->message ? OK : fail(err, E_NOMEM, "no memory for %zu inputs", m->n);
    for (size_t i = 0; !s && i < m->n; i++)
        s = add_input(m, i, err);
    return s;
}

/* ---- running ---- */

static void put_little(char *to, uint32_t v)
{
    for (size_t i = 0; i < 4; i++)
        to[i] = (char)(unsigned char)(v >> (8 * i));
}

void embed_send_vector(const job *j, char *message, size_t input, uint32_t n_tokens, const float *v, uint32_t length)
{
    put_little(message, (uint32_t)input);
    put_little(message + 4, n_tokens);
    for (uint32_t i = 0; i < length; i++) {
        uint32_t bits;
        memcpy(&bits, v + i, 4);
        put_little(message + 8 + 4 * (size_t)i, bits);
    }
    worker_send_bytes(j->w, MSG_VECTOR, j->request, message, 8 + 4 * (size_t)length);
}

/* Without room for the group it is tried again, when there may be. */
static status embed_group(embedding *m, error *err)
{
    embed_input in[GROUP];
    worker *w = m->job.w;
    size_t most = w->batch && batch_count(w->batch) ? GROUP_IN_COMPANY : GROUP, left = m->n - m->n_done;
    uint32_t n = (uint32_t)(left < most ? left : most), length = engine_embed_length(w->engine, &m->o);
    bool wait;
    for (uint32_t i = 0; i < n; i++) {
        size_t at = m->n_done + i, begin = at ? m->ends[at - 1] : 0;
        in[i] = (embed_input){ m->tokens.ids + begin, (uint32_t)(m->ends[at] - begin) };
    }
    status s = engine_embed(w->engine, in, n, &m->o, m->vectors, err);
    if (s == E_NOFIT && (jobs_make_room(w, &m->job, &wait) || wait))
        return OK;
    for (uint32_t i = 0; !s && i < n; i++)
        embed_send_vector(&m->job, m->message, m->n_done + i, in[i].n, m->vectors + (size_t)i * length, length);
    m->n_done += s ? 0 : n;
    return s;
}

void embed_send_done(const job *of, size_t n_tokens, uint64_t began_us)
{
    js *j = js_object();
    double seconds = (double)(clock_mono_us() - began_us) * 1e-6;
    js_set(j, "finish", js_new_string(of->cancelled ? "cancelled" : "stop"));
    js_set(j, "prompt_tokens", js_new_int((int64_t)n_tokens));
    js_set(j, "cached_tokens", js_new_int(0));
    js_set(j, "completion_tokens", js_new_int(0));
    js_set(j, "prefill_seconds", js_new_double(seconds));
    js_set(j, "peak_bytes", js_new_int((int64_t)proc_peak_bytes()));
    worker_send(of->w, MSG_DONE, of->request, j);
}

job_state embed_refused(const job *j, status s, size_t too_long, const error *err)
{
    bool ours = s == E_NOMEM || s == E_IO;
    worker_send_error(j->w, j->request, s, too_long ? "context-too-long" : ours ? "internal" : "invalid", err->text,
                      (int64_t)too_long, too_long ? engine_get_info(j->w->engine)->context : 0);
    return JOB_OVER;
}

static job_state turn(job *j)
{
    embedding *m = (embedding *)j;
    error err = { 0 };
    status s = j->cancelled ? OK : embed_group(m, &err);
    if (s)
        return embed_refused(j, s, m->too_long, &err);
    if (m->n_done < m->n && !j->cancelled)
        return JOB_TURNS;
    embed_send_done(j, m->tokens.n, m->began_us);
    return JOB_OVER;
}

static void embed_close(job *j)
{
    embedding *m = (embedding *)j;
    token_list_clear(&m->tokens);
    mem_free(m->ends);
    mem_free(m->vectors);
    mem_free(m->message);
    js_free(j->in);
    mem_free(m);
}

static const job_kind embeddings = { .turn = turn, .close = embed_close };

job *embed_begin(worker *w, uint32_t request, js *in)
{
    embedding *m = mem_zero(sizeof *m);
    error err = { 0 };
    if (!m) {
        worker_send_error(w, request, E_NOMEM, "internal", "no memory for vectors", 0, 0);
        js_free(in);
        return NULL;
    }
    m->job = (job){ .kind = &embeddings, .w = w, .request = request, .in = in, .state = JOB_TURNS };
    m->began_us = clock_mono_us();
    m->tokens = (token_list)TOKEN_LIST_INIT(TOKENS_MAX);
    status s = read_request(m, in, &err);
    if (s)
        m->job.state = embed_refused(&m->job, s, m->too_long, &err);
    return &m->job;
}
