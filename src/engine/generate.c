/* generate.c: an answer from its prompt to its end, one step after the other: generation.h has the picture.
 *
 * A step computes the logits after the drawn token, and after tokens that lookup.c foresees: as long as the very same
 * sampling draws these, their logits are there already; what it does not draw is forgotten. */
#include "engine/generate.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "engine/generation.h"
#include "plat/clock.h"

const char *finish_reason_name(finish_reason r)
{
    static const char *const names[] = { "stop", "length", "context", "cancelled" };
    return (size_t)r < ARRAY_LEN(names) ? names[r] : "unknown";
}

static double seconds(uint64_t from_us, uint64_t to_us)
{
    return (double)(to_us - from_us) * 1e-6;
}

/* ---- opening ---- */

static status check(const engine *e, const int32_t *prompt, uint32_t n, const sampling_options *o, error *err)
{
    status st = sampling_options_check(o, err);
    if (st)
        return st;
    if (n == 0)
        return fail(err, E_RANGE, "the prompt is empty: it needs at least one token");
    if (n > e->info.context)
        return fail(err, E_NOFIT, "the prompt has %u tokens, the context %u", n, e->info.context);
    for (uint32_t i = 0; i < n; i++)
        if (prompt[i] < 0 || (uint32_t)prompt[i] >= e->info.n_vocab)
            return fail(err, E_RANGE, "token %d is not in the vocabulary of %u", prompt[i], e->info.n_vocab);
    for (uint32_t i = 0; i < o->n_bias; i++)
        if (o->bias[i].token < 0 || (uint32_t)o->bias[i].token >= e->info.n_vocab)
            return fail(err, E_RANGE, "logit_bias names token %d, which is not in the vocabulary of %u",
                        o->bias[i].token, e->info.n_vocab);
    return OK;
}

static status prepare(generation *g, const int32_t *prompt, uint32_t n, error *err)
{
    engine *e = g->s->e;
    const uint32_t most = e->info.context + 1; /* the last drawn token needs no position */
    g->result.n_prompt = n;
    g->result.last_token = -1;
    g->text_room = g->o->max_tokens && g->o->max_tokens < most - n ? n + g->o->max_tokens : most;
    g->text = mem_array(g->text_room, sizeof *g->text);
    /* room for the longest held text and piece: decoding never allocates. An ill-formed byte becomes 3 (U+FFFD). */
    size_t piece = e->vocab ? 3 * vocab_max_piece(e->vocab) : 0, room = SAMPLING_STOP_BYTES + piece + 64;
    g->held = (buf)BUF_INIT(room);
    if (!g->text || !buf_reserve(&g->held, room))
        return fail(err, E_NOMEM, "no memory for the answer's text");
    memcpy(g->text, prompt, n * sizeof *prompt);
    g->n_text = n;
    if (e->vocab)
        vocab_decoder_init(&g->decoder, e->vocab, false, g->o->special);
    return g->o->grammar ? constraint_open(&g->limits, e, g->o->grammar, g->o->grammar_vocab, err) : OK;
}

status generation_open(generation **out, session *s, const int32_t *prompt, uint32_t n, const sampling_options *o,
                       generate_callback *callback, void *user, error *err)
{
    status st = check(s->e, prompt, n, o, err);
    if (st)
        return st;
    generation *g = mem_zero(sizeof *g);
    if (!g)
        return fail(err, E_NOMEM, "no memory for an answer");
    g->s = s;
    g->o = o;
    g->callback = callback;
    g->user = user;
    g->opened_us = clock_mono_us();
    st = prepare(g, prompt, n, err);
    if (st)
        generation_close(&g);
    else
        *out = g;
    return st;
}

void generation_close(generation **gp)
{
    if (!gp || !*gp)
        return;
    generation *g = *gp;
    if (g->s->e->foreseen == g)
        g->s->e->foreseen = NULL;
    constraint_close(&g->limits);
    buf_clear(&g->held);
    mem_free(g->text);
    mem_free(g);
    *gp = NULL;
}

/* ---- the end ---- */

static void drop_draft(generation *g)
{
    uint32_t shown = g->s->length, left = session_truncate(g->s, shown);
    assert(left == shown); /* a draft is shorter than a batch */
    (void)left;
    g->n_draft = g->n_held = 0;
}

static void end(generation *g, status st)
{
    if (g->over)
        return;
    g->over = true;
    g->failed = st;
    if (g->n_draft)
        drop_draft(g);
    if (g->begun)
        session_remember(g->s);
    if (g->answering)
        g->result.decode_s = seconds(g->answering_us, clock_mono_us());
    else if (g->begun)
        g->result.prefill_s = seconds(g->began_us, clock_mono_us());
    if (!st)
        generation_flush(g);
}

void generation_end(generation *g, finish_reason finish)
{
    if (!g->over)
        g->result.finish = finish;
    end(g, OK);
}

void generation_fail(generation *g, status st, const error *why)
{
    if (!g->over)
        g->why = *why;
    end(g, st);
}

void generation_cancel(generation *g)
{
    g->cancelled = true;
}

bool generation_is_over(const generation *g)
{
    return g->over;
}

status generation_result(const generation *g, generate_result *out, error *err)
{
    if (!g->over)
        return fail(err, E_RANGE, "the answer is not over");
    if (g->failed) {
        if (err)
            *err = g->why;
        return g->failed;
    }
    *out = g->result;
    return OK;
}

/* ---- the prompt ---- */

static void tell_progress(generation *g)
{
    uint32_t total = g->result.n_prompt - g->first_reused, in = g->s->length > g->first_reused ?
        g->s->length - g->first_reused : 0;
    uint32_t done = in < total ? in : total;
    if (g->answering || (done <= g->told && g->told != UINT32_MAX))
        return;
    g->told = done;
    generation_send(g, &(generate_event){ .kind = GENERATE_PREFILL, .done = done, .total = total });
}

void generation_begin(generation *g)
{
    uint32_t before = g->begun ? g->s->length : 0, now = session_recall(g->s, g->text, g->n_text);
    if (!g->begun) {
        g->begun = true;
        g->began_us = clock_mono_us();
        g->first_reused = now;
        g->told = UINT32_MAX; /* nothing yet */
        tell_progress(g);
    }
    if (!g->answering && g->result.n_reused + (now - before) <= g->result.n_prompt)
        g->result.n_reused += now - before;
}

static void take_chunk(generation *g, uint32_t n_rows)
{
    if (g->s->length / KERNELS_PAGE != (g->s->length - n_rows) / KERNELS_PAGE)
        session_remember(g->s);
    tell_progress(g);
}

/* The prompt is in, for the first time. */
static status start_answer(generation *g, error *err)
{
    g->answering = true;
    g->answering_us = clock_mono_us();
    g->result.prefill_s = seconds(g->began_us, g->answering_us);
    return generation_find_forced(g, err);
}

/* ---- stepping ---- */

uint32_t generation_waiting(const generation *g)
{
    return g->n_text - g->s->length;
}

/* Most tokens that can be foreseen now: of what may still be drawn the last needs no row. */
static uint32_t draft_room(const generation *g, uint32_t most)
{
    const engine *e = g->s->e;
    uint32_t room = LOOKUP_ROWS - 1, left = e->info.context - g->s->length - 1;
    room = room < left ? room : left;
    room = room < most ? room : most - 1;
    room = room < e->logit_rows ? room : e->logit_rows - 1;
    left = g->o->max_tokens ? g->o->max_tokens - g->result.n_tokens - 1 : room;
    return room < left ? room : left;
}

/* Tokens that may follow, into g->draft. The lookup belongs to whoever asked last. */
static uint32_t foresee(generation *g, uint32_t most)
{
    engine *e = g->s->e;
    if (g->o->speculate == SPECULATE_OFF)
        return 0;
    if (e->foreseen != g)
        lookup_start(e->lookup, g->text, g->n_text);
    e->foreseen = g;
    uint32_t n = lookup_draft(e->lookup, draft_room(g, most), g->o->speculate == SPECULATE_ALWAYS, g->draft);
    return n && g->limits.state ? constraint_fits(&g->limits, g->draft, n) : n;
}

uint32_t generation_rows(generation *g, uint32_t most, bool may_foresee, engine_row *rows)
{
    uint32_t from = g->s->length, left = g->n_text - from, n = left < most ? left : most;
    for (uint32_t i = 0; i < n; i++)
        rows[i] = (engine_row){ g->s, g->text[from + i], from + i, from + i + 1 == g->n_text };
    if (left > 1 || !g->answering || !may_foresee)
        return n;
    uint32_t more = foresee(g, most);
    for (uint32_t i = 0; i < more; i++)
        rows[n + i] = (engine_row){ g->s, g->draft[i], from + n + i, true };
    return n + more;
}

/* Tokens of the feed that were foreseen: they are in already. Returns how many. */
static uint32_t take_foreseen(generation *g)
{
    uint32_t n = 0;
    const int32_t *feed = g->text + g->n_text - g->n_feed;
    while (n < g->n_feed && g->n_held < g->n_draft && g->draft[g->n_held] == feed[n]) {
        g->s->length++;
        g->result.n_accepted++;
        g->n_held++;
        n++;
    }
    return n;
}

/* From the logits after the text to tokens that the model has not seen, or to the end. */
static status go_on(generation *g, bool *ended, error *err)
{
    engine *e = g->s->e;
    status st = g->answering ? OK : start_answer(g, err);
    for (bool seen = true; !st && !*ended && seen;) {
        bool first = g->result.n_tokens == 0;
        st = generation_next(g, g->rows[g->n_held], ended, err);
        if (first && g->result.n_tokens)
            g->result.first_token_s = seconds(g->opened_us, clock_mono_us());
        for (uint32_t i = 0; !st && !*ended && i < g->n_feed && e->foreseen == g; i++)
            lookup_add(e->lookup, g->text[g->n_text - g->n_feed + i]);
        seen = !st && !*ended && take_foreseen(g) == g->n_feed;
    }
    return st;
}

void generation_took(generation *g, uint32_t n_rows, const float *const *logits, uint64_t us)
{
    session *s = g->s;
    error why = { 0 };
    bool ended = false;
    uint32_t n_draft = s->length > g->n_text ? s->length - g->n_text : 0;
    s->length -= n_draft;
    if (us && g->answering && n_rows == n_draft + 1 && s->e->foreseen == g)
        lookup_took(s->e->lookup, n_rows, us);
    g->drawn_ahead = g->drawn_ahead && !n_draft && !g->cancelled;
    g->n_draft = n_draft;
    g->n_held = 0;
    g->result.n_drafted += n_draft;
    take_chunk(g, n_rows - n_draft);
    if (g->cancelled) {
        generation_end(g, FINISH_CANCELLED);
        return;
    }
    if (s->length < g->n_text)
        return;
    g->rows = logits;
    status st = go_on(g, &ended, &why);
    if (st)
        generation_fail(g, st, &why);
    else if (ended)
        generation_end(g, g->result.finish);
    else if (g->n_draft)
        drop_draft(g);
}

void generation_evict(generation *g)
{
    session_remember(g->s);
    session_truncate(g->s, 0);
}

/* ---- alone ---- */

/* One step of nobody else. */
static void step_alone(generation *g)
{
    engine *e = g->s->e;
    error why = { 0 };
    uint32_t n = generation_rows(g, e->batch, true, e->step);
    uint64_t start = clock_mono_us();
    status st = engine_step(e, e->step, n, e->logits, &why);
    if (st == E_NOFIT && n > 1 && e->step[0].want_logits) { /* the KV pool may still hold one position */
        n = 1;
        st = engine_step(e, e->step, n, e->logits, &why);
    }
    if (!st)
        generation_took(g, n, e->logits, clock_mono_us() - start + 1);
    else if (st == E_NOFIT && g->answering) /* the KV pool is shared: it can be full before the context is */
        generation_end(g, FINISH_CONTEXT);
    else
        generation_fail(g, st, &why);
}

status engine_generate(session *s, const int32_t *prompt, uint32_t n, const sampling_options *o,
                       generate_callback *callback, void *user, generate_result *out, error *err)
{
    generation *g = NULL;
    status st = generation_open(&g, s, prompt, n, o, callback, user, err);
    if (st)
        return st;
    generation_begin(g);
    if (g->cancelled)
        generation_end(g, FINISH_CANCELLED);
    while (!g->over)
        step_alone(g);
    st = generation_result(g, out, err);
    generation_close(&g);
    return st;
}
