/* session.c: sessions and stepping. Invariants: a session's KV holds exactly tokens[0..length), of window layers at
 * least what position `length` sees of them; it has ceil(length / 64) pages of global layers and no more, of window
 * layers the latest of these, up to session_pages of the plan; a step that fails leaves all of it as it was. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine_int.h"

static uint32_t pages_for(uint32_t length)
{
    return (length + KERNELS_PAGE - 1) / KERNELS_PAGE;
}

uint64_t session_bytes(const engine_budget *b)
{
    uint64_t lists = 0;
    for (int i = 0; i < MODEL_KINDS; i++)
        lists += b->pages[i].page_bytes ? pages_for(b->context) * sizeof(char *) : 0;
    return sizeof(session) + b->context * sizeof(int32_t) + lists;
}

status session_open(session **out, engine *e, error *err)
{
    if (e->info.is_encoder)
        return fail(err, E_UNSUPPORTED, "a model of architecture %s makes vectors of texts (hearth embed) and does not "
                    "continue them", e->info.arch);
    session *s = mem_zero(sizeof *s);
    bool enough = s != NULL;
    if (s) {
        s->e = e;
        s->scope = PREFIX_NONE;
        e->n_open++;
        s->tokens = mem_array(e->info.context, sizeof *s->tokens);
        enough = s->tokens != NULL;
    }
    for (int i = 0; enough && i < MODEL_KINDS; i++) {
        if (!e->budget.pages[i].page_bytes)
            continue;
        s->pages.of[i] = mem_array(pages_for(e->info.context), sizeof *s->pages.of[i]);
        enough = s->pages.of[i] != NULL;
    }
    if (!enough) {
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
    session_truncate(s, 0);
    prefix_scope_leave(s->e, s->scope);
    s->e->n_open--;
    mem_free(s->tokens);
    for (int i = 0; i < MODEL_KINDS; i++)
        mem_free(s->pages.of[i]);
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

static void give(session *s, int kind, uint32_t page)
{
    char **list = s->pages.of[kind];
    if (!list)
        return;
    kv_give(&s->e->kv[kind], list[page]);
    list[page] = NULL;
}

/* Are the pages there that a token at position n sees? */
static bool sees_enough(const session *s, uint32_t n)
{
    uint32_t window = s->e->budget.window;
    return s->window_from == 0 || (n >= window && (n - window + 1) / KERNELS_PAGE >= s->window_from);
}

uint32_t session_truncate(session *s, uint32_t n)
{
    n = n < s->length ? n : s->length;
    s->length = sees_enough(s, n) ? n : 0;
    while (s->n_pages > pages_for(s->length)) {
        uint32_t page = --s->n_pages;
        give(s, MODEL_GLOBAL, page);
        if (page >= s->window_from)
            give(s, MODEL_WINDOW, page);
    }
    if (s->length == 0)
        s->window_from = 0;
    return s->length;
}

uint32_t session_common(const session *s, const int32_t *tokens, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && i < s->length && s->tokens[i] == tokens[i])
        i++;
    return i;
}

/* ---- the prefix cache ---- */

status session_share(session *s, const char *scope, error *err)
{
    if (scope && strlen(scope) >= ENGINE_SCOPE_BYTES)
        return fail(err, E_RANGE, "a scope's name of %zu bytes: the limit is %d", strlen(scope),
                    ENGINE_SCOPE_BYTES - 1);
    int now = scope ? prefix_scope_use(s->e, scope) : PREFIX_NONE;
    if (now == PREFIX_NONE || now != s->scope)
        session_truncate(s, 0);
    prefix_scope_leave(s->e, s->scope);
    s->scope = now;
    return OK;
}

uint32_t session_recall(session *s, const int32_t *tokens, uint32_t n)
{
    uint32_t most_known = n ? n - 1 : 0, own = session_common(s, tokens, most_known), from = 0, cached = 0;
    if (s->scope != PREFIX_NONE)
        cached = prefix_match(s->e, s->scope, tokens, most_known, &from);
    if (cached <= (sees_enough(s, own) ? own : 0))
        return session_truncate(s, own);
    session_truncate(s, 0);
    uint32_t most = s->e->budget.pages[MODEL_WINDOW].session_pages, pages = cached / KERNELS_PAGE;
    s->window_from = s->pages.of[MODEL_WINDOW] && pages > most && pages - most > from ? pages - most : from;
    prefix_take(s->e, s->scope, tokens, cached, s->window_from, &s->pages);
    memcpy(s->tokens, tokens, cached * sizeof *tokens);
    s->n_pages = pages;
    s->length = cached;
    return cached;
}

void session_remember(session *s)
{
    if (s->scope != PREFIX_NONE)
        prefix_enter(s->e, s->scope, s);
}

/* A page that others hold is never written: before a session goes on in the middle of one, it takes a copy. */
static status own_tail(session *s, error *err)
{
    engine *e = s->e;
    uint32_t at = s->length / KERNELS_PAGE;
    for (int k = 0; s->length % KERNELS_PAGE && k < MODEL_KINDS; k++) {
        char *page = s->pages.of[k] ? s->pages.of[k][at] : NULL;
        if (!page || kv_holders(&e->kv[k], page) == 1)
            continue;
        if (!e->kv[k].n_free && !prefix_reclaim(e, k))
            prefix_drop_page(e, k, page);
        if (e->kv[k].n_free) {
            s->pages.of[k][at] = memcpy(kv_take(&e->kv[k]), page, e->kv[k].page_bytes);
            kv_give(&e->kv[k], page);
        } else if (kv_holders(&e->kv[k], page) > 1) {
            return fail(err, E_NOFIT, "the KV pool is full: the page of position %u is shared, and there is none for a "
                        "copy", s->length);
        }
    }
    return OK;
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

/* The first window page that is kept when the session has n_pages pages. */
static uint32_t keep_from(const session *s, uint32_t n_pages)
{
    uint32_t most = s->e->budget.pages[MODEL_WINDOW].session_pages, from = n_pages > most ? n_pages - most : 0;
    return s->pages.of[MODEL_WINDOW] && from > s->window_from ? from : s->window_from;
}

/* Adds the pages that the pending rows take from each pool, less those that the session gives back (its own: the cache
 * may still hold them, but for nobody else). */
static void count_pages(const session *s, int64_t wanted[MODEL_KINDS])
{
    uint32_t n = pages_for(s->length + s->pending);
    for (int k = 0; k < MODEL_KINDS; k++)
        wanted[k] += s->pages.of[k] ? n - s->n_pages : 0;
    for (uint32_t i = s->window_from; i < keep_from(s, n); i++)
        wanted[MODEL_WINDOW] -= i >= s->n_pages || kv_is_own(&s->e->kv[MODEL_WINDOW], s->pages.of[MODEL_WINDOW][i]);
}

static status check_pools(engine *e, const int64_t wanted[MODEL_KINDS], error *err)
{
    static const char *const of[] = { [MODEL_GLOBAL] = "", [MODEL_WINDOW] = " of window layers" };
    for (int i = 0; i < MODEL_KINDS; i++)
        while (wanted[i] > e->kv[i].n_free && prefix_reclaim(e, i))
            ;
    for (int i = 0; i < MODEL_KINDS; i++)
        if (wanted[i] > e->kv[i].n_free)
            return fail(err, E_NOFIT, "the KV pool%s is full: %u more pages of %d positions are needed, %u of %u are "
                        "free; %u sessions are open, each holds up to %u", of[i], (unsigned)wanted[i], KERNELS_PAGE,
                        e->kv[i].n_free, e->kv[i].n_pages, e->n_open, e->budget.pages[i].session_pages);
    return OK;
}

static char *take(engine *e, int kind)
{
    if (!e->kv[kind].n_free)
        prefix_reclaim(e, kind);
    return kv_take(&e->kv[kind]);
}

/* Takes the pages of the pending rows, which check_pools has found to be there. What is out of sight goes first. */
static void take_pages(session *s)
{
    uint32_t n = pages_for(s->length + s->pending), from = keep_from(s, n);
    for (; s->window_from < from; s->window_from++)
        give(s, MODEL_WINDOW, s->window_from);
    for (; s->n_pages < n; s->n_pages++)
        for (int i = 0; i < MODEL_KINDS; i++)
            if (s->pages.of[i])
                s->pages.of[i][s->n_pages] = take(s->e, i);
    assert(sees_enough(s, s->length));
}

status session_reserve(engine *e, const engine_row *rows, uint32_t n, error *err)
{
    int64_t wanted[MODEL_KINDS] = { 0 };
    uint32_t checked = 0;
    status s = OK;
    for (; !s && checked < n; checked++) {
        s = check_row(e, &rows[checked], err);
        if (!s && !rows[checked].session->pending)
            s = own_tail(rows[checked].session, err);
        if (!s)
            rows[checked].session->pending++;
    }
    for (uint32_t i = 0; !s && i < n; i++)
        if (rows[i].position == rows[i].session->length) /* each session once */
            count_pages(rows[i].session, wanted);
    if (!s)
        s = check_pools(e, wanted, err);
    for (uint32_t i = 0; s && i < checked; i++)
        rows[i].session->pending = 0;
    for (uint32_t i = 0; !s && i < n; i++)
        if (rows[i].position == rows[i].session->length)
            take_pages(rows[i].session);
    return s;
}

static void run_rows(engine *e, const engine_row *rows, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        e->rows[i] = (model_row){ rows[i].token, rows[i].position, &rows[i].session->pages, 0 };
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
    status s = session_reserve(e, rows, n, err);
    if (s)
        return s;
    run_rows(e, rows, n);
    if (wanted)
        model_logits(e->run, e->which, wanted);
    for (uint32_t i = 0; i < wanted; i++)
        logits[i] = model_logits_at(e->run, i);
    return OK;
}

status session_feed_chunk(session *s, const int32_t *tokens, uint32_t n, error *err)
{
    engine *e = s->e;
    uint32_t from = s->length;
    int64_t wanted[MODEL_KINDS] = { 0 };
    status st = own_tail(s, err);
    if (st)
        return st;
    s->pending = n;
    count_pages(s, wanted);
    st = check_pools(e, wanted, err);
    if (!st)
        take_pages(s);
    s->pending = 0;
    if (st)
        return st;
    for (uint32_t i = 0; i < n; i++)
        e->rows[i] = (model_row){ tokens[i], from + i, &s->pages, 0 };
    model_forward(e->run, e->rows, n);
    memcpy(s->tokens + from, tokens, n * sizeof *tokens);
    s->length += n;
    return OK;
}

status session_check_tokens(const session *s, const int32_t *tokens, uint32_t n, error *err)
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
    status st = session_check_tokens(s, tokens, n, err);
    uint32_t chunk = 0;
    for (uint32_t done = 0; !st && done < n; done += chunk) {
        if (progress && progress(user, done, n))
            return fail(err, E_CANCELLED, "feeding was cancelled after %u of %u tokens", done, n);
        chunk = n - done < e->batch ? n - done : e->batch;
        st = session_feed_chunk(s, tokens + done, chunk, err);
    }
    if (!st && logits) {
        uint32_t last = chunk - 1;
        model_logits(e->run, &last, 1);
        *logits = model_logits_at(e->run, 0);
    }
    return st;
}
