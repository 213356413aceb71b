/* session.c: sessions and stepping. Invariants: a session's KV holds exactly tokens[0..length); it has pages for
 * ceil(length / 64) of them and no more; a step that fails leaves both as they were. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine_int.h"
#include "kernels/maths.h"

static uint32_t pages_for(uint32_t length)
{
    return (length + KERNELS_PAGE - 1) / KERNELS_PAGE;
}

uint64_t session_bytes(uint32_t context)
{
    return sizeof(session) + context * sizeof(int32_t) + pages_for(context) * sizeof(char *);
}

status session_open(session **out, engine *e, error *err)
{
    session *s = mem_zero(sizeof *s);
    if (s) {
        s->e = e;
        e->n_open++;
        s->tokens = mem_array(e->info.context, sizeof *s->tokens);
        s->pages = mem_array(pages_for(e->info.context), sizeof *s->pages);
    }
    if (!s || !s->tokens || !s->pages) {
        session_close(&s);
        return fail(err, E_NOMEM, "no memory for a session of %u positions", e->info.context);
    }
    *out = s;
    return OK;
}

void session_close(session **sp)
{
    if (!sp || !*sp)
        return;
    session *s = *sp;
    if (s->pages)
        session_truncate(s, 0);
    s->e->n_open--;
    mem_free(s->tokens);
    mem_free(s->pages);
    mem_free(s);
    *sp = NULL;
}

engine *session_engine(const session *s)
{
    return s->e;
}

uint32_t session_length(const session *s)
{
    return s->length;
}

const int32_t *session_tokens(const session *s)
{
    return s->tokens;
}

void session_truncate(session *s, uint32_t n)
{
    s->length = n < s->length ? n : s->length;
    while (s->n_pages > pages_for(s->length))
        kv_give(&s->e->kv, s->pages[--s->n_pages]);
}

uint32_t session_common(const session *s, const int32_t *tokens, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && i < s->length && s->tokens[i] == tokens[i])
        i++;
    return i;
}

/* ---- stepping ---- */

static status check_row(const engine *e, const engine_row *row, error *err)
{
    const session *s = row->session;
    if (s->e != e)
        return fail(err, E_RANGE, "a row's session belongs to another engine");
    if (row->token < 0 || (uint32_t)row->token >= e->info.n_vocab)
        return fail(err, E_RANGE, "token %d is not in the vocabulary of %u", row->token, e->info.n_vocab);
    if (row->position != s->length + s->pending)
        return fail(err, E_RANGE, "a row for position %u of a session that continues at %u", row->position,
                    s->length + s->pending);
    if (row->position >= e->info.context)
        return fail(err, E_NOFIT, "the context is full: %u of %u positions", row->position, e->info.context);
    return OK;
}

static status take_pages(session *s, error *err)
{
    kv_pool *kv = &s->e->kv;
    while (s->n_pages < pages_for(s->length + s->pending)) {
        char *page = kv_take(kv);
        if (!page)
            return fail(err, E_NOFIT, "the KV pool is full: all %u pages of %d positions are in use by %u sessions",
                        kv->n_pages, KERNELS_PAGE, s->e->n_open);
        s->pages[s->n_pages++] = page;
    }
    return OK;
}

/* Counts rows as pending and takes their pages; on failure nothing is pending and the pages are back. */
static status reserve(engine *e, const engine_row *rows, uint32_t n, error *err)
{
    status s = OK;
    uint32_t i = 0;
    for (; !s && i < n; i++) {
        s = check_row(e, &rows[i], err);
        if (!s) {
            rows[i].session->pending++;
            s = take_pages(rows[i].session, err);
        }
    }
    for (uint32_t k = 0; s && k < i; k++) {
        rows[k].session->pending = 0;
        session_truncate(rows[k].session, rows[k].session->length);
    }
    return s;
}

static void run_rows(engine *e, const engine_row *rows, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        e->rows[i] = (model_row){ rows[i].token, rows[i].position, rows[i].session->pages };
    model_forward(e->run, e->rows, n);
    for (uint32_t i = 0; i < n; i++) {
        session *s = rows[i].session;
        s->tokens[s->length++] = rows[i].token;
        s->pending = 0;
    }
}

status engine_step(engine *e, const engine_row *rows, uint32_t n, const float **logits, error *err)
{
    uint32_t wanted = 0;
    if (n == 0 || n > e->batch)
        return fail(err, E_RANGE, "a step of %u rows: it must be 1 to %u", n, e->batch);
    for (uint32_t i = 0; i < n; i++)
        if (rows[i].want_logits)
            e->which[wanted++] = i;
    if (wanted > e->logit_rows || (wanted && !logits))
        return fail(err, E_RANGE, "%u rows want logits: at most %u may", wanted, logits ? e->logit_rows : 0);
    status s = reserve(e, rows, n, err);
    if (s)
        return s;
    run_rows(e, rows, n);
    if (wanted)
        model_logits(e->run, e->which, wanted);
    for (uint32_t i = 0; i < wanted; i++)
        logits[i] = model_logits_at(e->run, i);
    return OK;
}

/* One chunk of one session, for feed and score. */
static status feed_chunk(session *s, const int32_t *tokens, uint32_t n, error *err)
{
    engine *e = s->e;
    status st = OK;
    uint32_t from = s->length;
    s->pending = n;
    st = take_pages(s, err);
    s->pending = 0;
    if (st) {
        session_truncate(s, from);
        return st;
    }
    for (uint32_t i = 0; i < n; i++)
        e->rows[i] = (model_row){ tokens[i], from + i, s->pages };
    model_forward(e->run, e->rows, n);
    memcpy(s->tokens + from, tokens, n * sizeof *tokens);
    s->length += n;
    return OK;
}

static status check_tokens(const session *s, const int32_t *tokens, uint32_t n, error *err)
{
    const engine *e = s->e;
    if (n > e->info.context - s->length)
        return fail(err, E_NOFIT, "%u tokens after %u do not fit the context of %u positions", n, s->length,
                    e->info.context);
    for (uint32_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= e->info.n_vocab)
            return fail(err, E_RANGE, "token %d is not in the vocabulary of %u", tokens[i], e->info.n_vocab);
    return OK;
}

status session_feed(session *s, const int32_t *tokens, uint32_t n, const float **logits, session_progress *progress,
                    void *user, error *err)
{
    engine *e = s->e;
    if (n == 0)
        return fail(err, E_RANGE, "no tokens to feed");
    status st = check_tokens(s, tokens, n, err);
    uint32_t chunk = 0;
    for (uint32_t done = 0; !st && done < n; done += chunk) {
        if (progress && progress(user, done, n))
            return fail(err, E_CANCELLED, "feeding was cancelled after %u of %u tokens", done, n);
        chunk = n - done < e->batch ? n - done : e->batch;
        st = feed_chunk(s, tokens + done, chunk, err);
    }
    if (!st && logits) {
        uint32_t last = chunk - 1;
        model_logits(e->run, &last, 1);
        *logits = model_logits_at(e->run, 0);
    }
    return st;
}

/* ---- scoring ---- */

/* softmax in F32 as everywhere, its sum once more in f64: p of the largest is the factor that both share. */
double engine_log_sum(engine *e, const float *logits)
{
    size_t n = e->info.n_vocab, top = e->k.argmax(logits, n);
    e->k.softmax(logits, n, e->work);
    double sums[4] = { 0 };
    for (size_t i = 0; i < n; i++)
        sums[i & 3] += (double)e->work[i];
    double sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    return (double)logits[top] + kernels_log(sum / (double)e->work[top]);
}

status session_score(session *s, const int32_t *tokens, uint32_t n, double *logprobs, session_top *top, void *user,
                     error *err)
{
    engine *e = s->e;
    if (n == 0)
        return fail(err, E_RANGE, "no tokens to score");
    session_truncate(s, 0);
    status st = check_tokens(s, tokens, n, err);
    logprobs[0] = st ? logprobs[0] : 0.0;
    uint32_t chunk;
    for (uint32_t done = 0; !st && done < n; done += chunk) {
        chunk = n - done < e->batch ? n - done : e->batch;
        st = feed_chunk(s, tokens + done, chunk, err);
        /* logits of position p judge token p + 1, so the last position of all needs none */
        uint32_t rows = done + chunk < n ? chunk : chunk - 1;
        for (uint32_t from = 0; !st && from < rows; from += e->logit_rows) {
            uint32_t count = rows - from < e->logit_rows ? rows - from : e->logit_rows;
            for (uint32_t i = 0; i < count; i++)
                e->which[i] = from + i;
            model_logits(e->run, e->which, count);
            for (uint32_t i = 0; i < count; i++) {
                const float *logits = model_logits_at(e->run, i);
                uint32_t at = done + from + i + 1;
                double sum = engine_log_sum(e, logits);
                logprobs[at] = (double)logits[tokens[at]] - sum;
                if (top)
                    top(user, at, logits, sum);
            }
        }
    }
    return st;
}
