/* rerank.c: one request for the scores of pairs: how well each document answers the query, by a model with a head for
 * that. Its inputs are the query, then the documents; a score is the vector of one value of its document. A turn judges
 * a group of pairs. */
#include <string.h>

#include "base/mem.h"
#include "engine/embed.h"
#include "plat/clock.h"
#include "token/vocab.h"
#include "worker/worker_int.h"

enum { INPUTS_MAX = 2048, TOKENS_MAX = 1 << 22, GROUP = 16 };

typedef struct reranking {
    job job;           /* first */
    uint64_t began_us;
    size_t n, n_done;  /* documents */
    token_list tokens; /* of all pairs */
    size_t *ends;      /* [n] in tokens */
    uint32_t *queries; /* [n] tokens of the query's part */
    size_t too_long;   /* tokens of a pair that does not fit, or 0 */
} reranking;

/* ---- reading ---- */

static status add_pair(reranking *m, const js *query, const js *document, size_t i, bool cut, error *err)
{
    size_t before = m->tokens.n, context = engine_get_info(m->job.w->engine)->context;
    if (!js_is(document, JS_STRING))
        return fail(err, E_FORMAT, "input %zu is no text: a pair is judged as texts", i + 1);
    status s = engine_rank_tokens(m->job.w->engine, (span){ js_text(query), js_len(query) },
                                  (span){ js_text(document), js_len(document) }, cut, &m->tokens, &m->queries[i], err);
    if (s == E_RANGE && m->tokens.n - before > context) {
        m->too_long = cut ? m->queries[i] : m->tokens.n - before;
        s = cut ? fail(err, E_RANGE, "input 0 has %zu tokens, and the model takes %zu with a document", m->too_long,
                       context)
                : fail(err, E_RANGE, "input %zu has %zu tokens with the query, and the model takes %zu", i + 1,
                       m->too_long, context);
    }
    m->ends[i] = m->tokens.n;
    return s;
}

static status read_request(reranking *m, const js *in, error *err)
{
    const js *inputs = js_get(in, "inputs"), *query = js_at(inputs, 0);
    const bool cut = js_bool(js_get(in, "truncate"), false);
    if (!js_is(inputs, JS_ARRAY) || js_len(inputs) < 2 || js_len(inputs) > INPUTS_MAX)
        return fail(err, E_RANGE, "request: there must be a query and 1 to %d documents", INPUTS_MAX - 1);
    if (!js_is(query, JS_STRING))
        return fail(err, E_FORMAT, "input 0 is no text: a pair is judged as texts");
    m->n = js_len(inputs) - 1;
    m->ends = mem_array(m->n, sizeof *m->ends);
    m->queries = mem_array(m->n, sizeof *m->queries);
    status s = m->ends && m->queries ? OK : fail(err, E_NOMEM, "no memory for %zu documents", m->n);
    for (size_t i = 0; !s && i < m->n; i++)
        s = add_pair(m, query, js_at(inputs, i + 1), i, cut, err);
    return s;
}

/* ---- running ---- */

static status judge_group(reranking *m, error *err)
{
    rank_input in[GROUP] = { { NULL, 0, 0 } };
    float scores[GROUP];
    const size_t left = m->n - m->n_done;
    const uint32_t n = (uint32_t)(left < GROUP ? left : GROUP);
    for (uint32_t i = 0; i < n; i++) {
        size_t at = m->n_done + i, begin = at ? m->ends[at - 1] : 0;
        in[i] = (rank_input){ m->tokens.ids + begin, (uint32_t)(m->ends[at] - begin), m->queries[at] };
    }
    status s = engine_rank(m->job.w->engine, in, n, scores, err);
    for (uint32_t i = 0; !s && i < n; i++) {
        char message[12];
        embed_send_vector(&m->job, message, m->n_done + i + 1, in[i].n, &scores[i], 1);
    }
    m->n_done += s ? 0 : n;
    return s;
}

static job_state turn(job *j)
{
    reranking *m = (reranking *)j;
    error err = { 0 };
    status s = j->cancelled ? OK : judge_group(m, &err);
    if (s)
        return embed_refused(j, s, m->too_long, &err);
    if (m->n_done < m->n && !j->cancelled)
        return JOB_TURNS;
    embed_send_done(j, m->tokens.n, m->began_us);
    return JOB_OVER;
}

static void rerank_close(job *j)
{
    reranking *m = (reranking *)j;
    token_list_clear(&m->tokens);
    mem_free(m->ends);
    mem_free(m->queries);
    js_free(j->in);
    mem_free(m);
}

static const job_kind rerankings = { .turn = turn, .close = rerank_close };

job *rerank_begin(worker *w, uint32_t request, js *in)
{
    reranking *m = mem_zero(sizeof *m);
    error err = { 0 };
    if (!m) {
        worker_send_error(w, request, E_NOMEM, "internal", "no memory for scores", 0, 0);
        js_free(in);
        return NULL;
    }
    m->job = (job){ .kind = &rerankings, .w = w, .request = request, .in = in, .state = JOB_TURNS };
    m->began_us = clock_mono_us();
    m->tokens = (token_list)TOKEN_LIST_INIT(TOKENS_MAX);
    status s = read_request(m, in, &err);
    if (s)
        m->job.state = embed_refused(&m->job, s, m->too_long, &err);
    return &m->job;
}
