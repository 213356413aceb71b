/* rerank.c: one request for the scores of pairs: how well each document answers the query, by a model with a head for
 * that. Its inputs are the query, then the documents; a score is the vector of one value of its document. A turn judges
 * a group of pairs. */
#include <string.h>

#include "base/mem.h"
#include "engine/embed.h"
#include "worker/vectors.h"

enum { GROUP = 16 };

typedef struct reranking {
    vectors_job base;  /* first; its sequences are pairs */
    uint32_t *queries; /* [n] tokens of the query's part */
} reranking;

/* ---- reading ---- */

static status add_pair(reranking *m, const js *query, const js *document, size_t i, bool cut, error *err)
{
    vectors_job *base = &m->base;
    const engine *e = base->job.w->engine;
    size_t before = base->tokens.n, context = engine_get_info(e)->context;
    if (!js_is(document, JS_STRING))
        return fail(err, E_FORMAT, "input %zu is no text: a pair is judged as texts", i + 1);
    const span asked = { js_text(query), js_len(query) }, text = { js_text(document), js_len(document) };
    status s = engine_rank_tokens(e, asked, text, cut, &base->tokens, &m->queries[i], err);
    if (s == E_RANGE && base->tokens.n - before > context) {
        base->too_long = cut ? m->queries[i] : base->tokens.n - before;
        s = cut ? fail(err, E_RANGE, "input 0 has %zu tokens, and the model takes %zu with a document", base->too_long,
                       context)
                : fail(err, E_RANGE, "input %zu has %zu tokens with the query, and the model takes %zu", i + 1,
                       base->too_long, context);
    }
    base->ends[i] = base->tokens.n;
    return s;
}

static status read_request(vectors_job *base, const js *in, error *err)
{
    reranking *m = (reranking *)base;
    const js *inputs = js_get(in, "inputs"), *query = js_at(inputs, 0);
    const bool cut = js_bool(js_get(in, "truncate"), false);
    if (!js_is(inputs, JS_ARRAY) || js_len(inputs) < 2 || js_len(inputs) > VECTORS_INPUTS_MAX)
        return fail(err, E_RANGE, "request: there must be a query and 1 to %d documents", VECTORS_INPUTS_MAX - 1);
    if (!js_is(query, JS_STRING))
        return fail(err, E_FORMAT, "input 0 is no text: a pair is judged as texts");
    m->base.n = js_len(inputs) - 1;
    m->base.ends = mem_array(m->base.n, sizeof *m->base.ends);
    m->queries = mem_array(m->base.n, sizeof *m->queries);
    status s = m->base.ends && m->queries ? OK : fail(err, E_NOMEM, "no memory for %zu documents", m->base.n);
    for (size_t i = 0; !s && i < m->base.n; i++)
        s = add_pair(m, query, js_at(inputs, i + 1), i, cut, err);
    return s;
}

/* ---- running ---- */

static status judge_group(vectors_job *base, error *err)
{
    reranking *m = (reranking *)base;
    rank_input in[GROUP] = { { NULL, 0, 0 } };
    float scores[GROUP];
    const size_t left = m->base.n - m->base.n_done;
    const uint32_t n = (uint32_t)(left < GROUP ? left : GROUP);
    for (uint32_t i = 0; i < n; i++) {
        size_t at = m->base.n_done + i;
        in[i].tokens = vectors_tokens(base, at, &in[i].n);
        in[i].n_query = m->queries[at];
    }
    status s = engine_rank(m->base.job.w->engine, in, n, scores, err);
    for (uint32_t i = 0; !s && i < n; i++) {
        char message[12];
        vectors_send(base, message, m->base.n_done + i + 1, in[i].n, &scores[i], 1);
    }
    m->base.n_done += s ? 0 : n;
    return s;
}

static void clear(vectors_job *base)
{
    mem_free(((reranking *)base)->queries);
}

static const vectors_kind rerankings = { sizeof(reranking), "scores", read_request, judge_group, clear };

job *rerank_begin(worker *w, uint32_t request, js *in)
{
    return vectors_begin(&rerankings, w, request, in);
}
