/* score.c: how likely a model finds given text, chunk by chunk. */
#include "base/mem.h"
#include "engine/engine_int.h"
#include "kernels/maths.h"

struct scoring {
    session *s;
    const int32_t *tokens;
    uint32_t n;
    double *logprobs;
    session_top *top;
    void *user;
};

/* softmax in F32 as everywhere, its sum once more in f64: p of the largest is the factor that both share. */
double engine_log_sum(const engine *e, sampler *m, const float *logits)
{
    size_t n = e->info.n_vocab, top = e->k.argmax(logits, n);
    e->k.softmax(logits, n, m->work);
    double sums[4] = { 0 };
    for (size_t i = 0; i < n; i++)
        sums[i & 3] += (double)m->work[i];
    double sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    return (double)logits[top] + kernels_log(sum / (double)m->work[top]);
}

/* logits of position p judge token p + 1, so the last position of all needs none. */
static void judge(const scoring *g, uint32_t done, uint32_t rows)
{
    engine *e = g->s->e;
    for (uint32_t from = 0; from < rows; from += e->logit_rows) {
        uint32_t count = rows - from < e->logit_rows ? rows - from : e->logit_rows;
        for (uint32_t i = 0; i < count; i++)
            e->which[i] = from + i;
        model_logits(e->run, e->which, count);
        for (uint32_t i = 0; i < count; i++) {
            const float *logits = model_logits_at(e->run, i);
            uint32_t at = done + from + i + 1;
            double sum = engine_log_sum(e, &e->samplers[0], logits);
            g->logprobs[at] = (double)logits[g->tokens[at]] - sum;
            if (g->top)
                g->top(g->user, at, logits, sum);
        }
    }
}

static status begin(const scoring *g, error *err)
{
    if (g->n == 0)
        return fail(err, E_RANGE, "no tokens to score");
    session_truncate(g->s, 0);
    status st = session_check_tokens(g->s, g->tokens, g->n, err);
    if (!st)
        g->logprobs[0] = 0.0;
    return st;
}

status scoring_step(scoring *g, uint32_t most, bool *over, error *err)
{
    session *s = g->s;
    uint32_t done = s->length, left = g->n - done, chunk = most && most < s->e->batch ? most : s->e->batch;
    chunk = chunk < left ? chunk : left;
    status st = chunk ? session_feed_chunk(s, g->tokens + done, chunk, err) : OK;
    if (st)
        return st;
    if (chunk)
        judge(g, done, done + chunk < g->n ? chunk : chunk - 1);
    *over = s->length == g->n;
    return OK;
}

status scoring_open(scoring **out, session *s, const int32_t *tokens, uint32_t n, double *logprobs, session_top *top,
                    void *user, error *err)
{
    scoring *g = mem_zero(sizeof *g);
    if (!g)
        return fail(err, E_NOMEM, "no memory to score %u tokens", n);
    *g = (scoring){ s, tokens, n, logprobs, top, user };
    status st = begin(g, err);
    if (st)
        scoring_close(&g);
    else
        *out = g;
    return st;
}

void scoring_close(scoring **g)
{
    mem_free(*g);
    *g = NULL;
}

status session_score(session *s, const int32_t *tokens, uint32_t n, double *logprobs, session_top *top, void *user,
                     error *err)
{
    scoring g = { s, tokens, n, logprobs, top, user };
    bool over = false;
    status st = begin(&g, err);
    while (!st && !over)
        st = scoring_step(&g, 0, &over, err);
    return st;
}
