#include "quality/compare.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/kernels.h"
#include "plat/cpu.h"
#include "plat/pool.h"

enum { BLOCK = 1024, LANES = 8 };

status quality_tokens_open(quality_tokens *t, size_t n, bool two, error *err)
{
    *t = (quality_tokens){ .n = n };
    t->logp = mem_array(n, sizeof *t->logp);
    bool ok = t->logp != NULL;
    if (ok && two) {
        t->logp_b = mem_array(n, sizeof *t->logp_b);
        t->kl = mem_array(n, sizeof *t->kl);
        t->same = mem_array(n, sizeof *t->same);
        ok = t->logp_b && t->kl && t->same;
    }
    if (ok)
        return OK;
    quality_tokens_clear(t);
    return fail(err, E_NOMEM, "no memory for the figures of %zu tokens", n);
}

void quality_tokens_clear(quality_tokens *t)
{
    mem_free(t->logp);
    mem_free(t->logp_b);
    mem_free(t->kl);
    mem_free(t->same);
    *t = (quality_tokens){ 0 };
}

/* ---- one position ---- */

/* Lanes let the compiler add several values at once without changing their order from run to run. */
typedef struct sums {
    double a[LANES], b[LANES], cross[LANES];
} sums;

static void add_block(const float *a, const float *b, const float *ea, const float *eb, size_t n, sums *s)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            double p = ea[i + j];
            s->a[j] += p;
            s->b[j] += eb[i + j];
            s->cross[j] += p * ((double)a[i + j] - b[i + j]);
        }
    for (; i < n; i++) {
        s->a[0] += ea[i];
        s->b[0] += eb[i];
        s->cross[0] += ea[i] * ((double)a[i] - b[i]);
    }
}

static double total(const double *lanes)
{
    double sum = 0;
    for (size_t j = 0; j < LANES; j++)
        sum += lanes[j];
    return sum;
}

bool quality_judge(const kernels *k, const float *a, const float *b, size_t n, int32_t token, quality_token *out)
{
    float ea[BLOCK], eb[BLOCK];
    size_t top_a = k->argmax(a, n), top_b = k->argmax(b, n);
    sums s = { { 0 }, { 0 }, { 0 } };
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t m = n - i < BLOCK ? n - i : BLOCK;
        k->exp_from(a + i, a[top_a], m, ea);
        k->exp_from(b + i, b[top_b], m, eb);
        add_block(a + i, b + i, ea, eb, m, &s);
    }
    double sum_a = total(s.a), log_a = (double)a[top_a] + log(sum_a), log_b = (double)b[top_b] + log(total(s.b));
    double kl = total(s.cross) / sum_a - (log_a - log_b); /* E_P[a - b] - (log sum exp a - log sum exp b) */
    *out = (quality_token){ (double)a[token] - log_a, (double)b[token] - log_b, kl > 0 ? kl : 0, top_a == top_b };
    return isfinite(kl) && isfinite(out->logp) && isfinite(out->logp_b);
}

/* log p(token) of one model; not finite: its logits are not. */
static double log_p(const kernels *k, const float *a, size_t n, int32_t token)
{
    float e[BLOCK];
    size_t top = k->argmax(a, n);
    double lanes[LANES] = { 0 };
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t m = n - i < BLOCK ? n - i : BLOCK;
        k->exp_from(a + i, a[top], m, e);
        for (size_t j = 0; j < m; j++)
            lanes[j % LANES] += e[j];
    }
    return (double)a[token] - ((double)a[top] + log(total(lanes)));
}

/* ---- reading ---- */

enum { MODELS = 2 };

typedef struct reader {
    const passages *p;
    quality_tokens *out;
    size_t n_models, n_logits;
    uint32_t most;                 /* rows of a step */
    kernels k;
    engine *e[MODELS];
    session *s[MODELS];
    engine_row *rows;              /* [most] */
    const float **logits[MODELS];  /* [most] each */
    size_t judged;                 /* tokens so far */
    pool *threads;                 /* for the formulas: beside a large vocabulary they would hold many cores up */
    const int32_t *tokens;         /* of this step: what came */
    uint32_t n;
    size_t bad[POOL_MAX_THREADS];  /* the first token of each thread's whose logits are not finite, or SIZE_MAX */
} reader;

static void reader_close(reader *r)
{
    for (size_t m = 0; m < r->n_models; m++) {
        session_close(&r->s[m]);
        mem_free(r->logits[m]);
    }
    mem_free(r->rows);
    pool_close(&r->threads);
}

static status reader_open(reader *r, error *err)
{
    unsigned cpu;
    status s = cpu_choose(engine_get_info(r->e[0])->isa, &cpu, err);
    if (s)
        return s;
    kernels_init(&r->k, cpu);
    r->n_logits = engine_get_info(r->e[0])->n_vocab;
    r->most = UINT32_MAX;
    for (size_t m = 0; m < r->n_models; m++) {
        uint32_t rows = engine_logit_rows(r->e[m]);
        r->most = rows < r->most ? rows : r->most;
        if (engine_get_info(r->e[m])->n_vocab != r->n_logits)
            return fail(err, E_UNSUPPORTED, "one model has %zu logits and the other %u", r->n_logits,
                        engine_get_info(r->e[m])->n_vocab);
    }
    r->rows = mem_array(r->most, sizeof *r->rows);
    s = pool_open(&r->threads, engine_get_info(r->e[0])->n_threads, err);
    for (size_t m = 0; !s && m < r->n_models; m++) {
        r->logits[m] = mem_array(r->most, sizeof *r->logits[m]);
        s = r->logits[m] && r->rows ? session_open(&r->s[m], r->e[m], err) : fail(err, E_NOMEM, "no memory");
    }
    return s;
}

/* Feeds what comes before the position that judges the first token; what the last passage had in common is there. */
static status read_history(reader *r, const int32_t *ids, uint32_t n, error *err)
{
    status s = OK;
    for (size_t m = 0; !s && m < r->n_models; m++) {
        uint32_t have = session_truncate(r->s[m], session_common(r->s[m], ids, n));
        if (have < n)
            s = session_feed(r->s[m], ids + have, n - have, NULL, NULL, NULL, err);
    }
    return s;
}

static bool judge_row(const reader *r, uint32_t i)
{
    size_t at = r->judged + i;
    if (r->n_models == 1) {
        r->out->logp[at] = log_p(&r->k, r->logits[0][i], r->n_logits, r->tokens[i]);
        return isfinite(r->out->logp[at]);
    }
    quality_token t;
    bool ok = quality_judge(&r->k, r->logits[0][i], r->logits[1][i], r->n_logits, r->tokens[i], &t);
    r->out->logp[at] = t.logp;
    r->out->logp_b[at] = t.logp_b;
    r->out->kl[at] = t.kl;
    r->out->same[at] = t.same;
    return ok;
}

static void judge_part(void *arg, int index, int count)
{
    reader *r = arg;
    size_t from, to;
    pool_part(r->n, index, count, &from, &to);
    r->bad[index] = SIZE_MAX;
    for (size_t i = to; i-- > from;)
        if (!judge_row(r, (uint32_t)i))
            r->bad[index] = r->judged + i;
}

static status judge_rows(reader *r, const int32_t *tokens, uint32_t n, error *err)
{
    r->tokens = tokens;
    r->n = n;
    pool_run(r->threads, judge_part, r);
    r->judged += n;
    for (int i = 0; i < pool_threads(r->threads); i++)
        if (r->bad[i] != SIZE_MAX)
            return fail(err, E_FORMAT, "the logits of judged token %zu are not finite", r->bad[i] + 1);
    return OK;
}

static status read_passage(reader *r, const passage *x, error *err)
{
    const int32_t *ids = r->p->tokens.ids + x->at;
    status s = read_history(r, ids, x->first - 1, err);
    for (uint32_t at = x->first - 1; !s && at + 1 < x->n; at += r->most) {
        uint32_t n = x->n - 1 - at < r->most ? x->n - 1 - at : r->most;
        for (size_t m = 0; !s && m < r->n_models; m++) {
            for (uint32_t i = 0; i < n; i++)
                r->rows[i] = (engine_row){ r->s[m], ids[at + i], at + i, true };
            s = engine_step(r->e[m], r->rows, n, r->logits[m], err);
        }
        if (!s)
            s = judge_rows(r, ids + at + 1, n, err);
    }
    return s;
}

static status read_all(reader *r, quality_progress *progress, void *user, error *err)
{
    status s = reader_open(r, err);
    for (size_t i = 0; !s && i < r->p->n; i++) {
        s = read_passage(r, &r->p->items[i], err);
        if (!s && progress && progress(user, i + 1, r->judged))
            s = fail(err, E_CANCELLED, "stopped");
    }
    reader_close(r);
    return s;
}

status quality_read(engine *e, const passages *p, quality_tokens *out, quality_progress *progress, void *user,
                    error *err)
{
    reader r = { .p = p, .out = out, .n_models = 1, .e = { e } };
    return read_all(&r, progress, user, err);
}

status quality_compare(engine *a, engine *b, const passages *p, quality_tokens *out, quality_progress *progress,
                       void *user, error *err)
{
    reader r = { .p = p, .out = out, .n_models = 2, .e = { a, b } };
    return read_all(&r, progress, user, err);
}

/* ---- the same vocabulary ---- */

status quality_same_vocab(const vocab *a, const vocab *b, error *err)
{
    if (vocab_n_tokens(a) != vocab_n_tokens(b))
        return fail(err, E_UNSUPPORTED, "the vocabularies differ: %d tokens and %d", vocab_n_tokens(a),
                    vocab_n_tokens(b));
    for (int32_t id = 0; id < vocab_n_tokens(a); id++) {
        span x = vocab_text(a, id), y = vocab_text(b, id);
        if (x.n != y.n || (x.n && memcmp(x.p, y.p, x.n) != 0) || vocab_type_of(a, id) != vocab_type_of(b, id))
            return fail(err, E_UNSUPPORTED, "the vocabularies differ: token %d is not the same in both", id);
    }
    return OK;
}
