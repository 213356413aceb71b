/* generate.c: prompt in, pieces of text out. One answer is: feed | (sample, decode, hold back, emit) ... | flush.
 * A step computes the logits after the drawn token, and after tokens that lookup.c foresees: as long as the very same
 * sampling draws these, their logits are there already; what it does not draw is forgotten.
 *
 * Under a grammar one draw can be followed by tokens that are forced (constrain.h): they wait in `feed` with the drawn
 * one, and go through the model in one step.
 *
 * Text waits in `held` while it could still be the beginning of a stop string; what is emitted is final. The decode
 * loop allocates nothing (but what a grammar learns): `held` has its whole size from the start. */
#include "engine/generate.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "engine/constrain.h"
#include "engine/engine_int.h"
#include "plat/clock.h"

typedef struct run {
    session *s;
    const sampling_options *o;
    generate_callback *callback;
    void *user;
    generate_result result;
    vocab_decoder decoder;
    buf held;
    bool cancelled;
    constraint limits;        /* .state NULL: no grammar */
    int32_t feed[CONSTRAIN_TOKENS + 1]; /* tokens of the answer that the session has not seen yet, */
    uint32_t n_feed;
    int32_t forced[CONSTRAIN_TOKENS]; /* and forced ones that are not yet part of it: from next_forced on */
    uint32_t n_forced, next_forced;
    /* the step under way: tokens that were foreseen, the logits after the one before them and after each. The session
     * shows the tokens that were drawn; the pages of the others are kept until they are dropped. */
    int32_t draft[LOOKUP_ROWS];
    const float *rows[LOOKUP_ROWS];
    uint32_t n_draft, n_held;
} run;

const char *finish_reason_name(finish_reason r)
{
    static const char *const names[] = { "stop", "length", "context", "cancelled" };
    return (size_t)r < ARRAY_LEN(names) ? names[r] : "unknown";
}

static double seconds_since(uint64_t start_us)
{
    return (double)(clock_mono_us() - start_us) * 1e-6;
}

static void send(run *r, const generate_event *event)
{
    if (r->callback && !r->cancelled)
        r->cancelled = r->callback(r->user, event);
}

/* Sends the first n bytes of what is held. The byte after them is set to 0 for the call and put back. */
static void emit_as(run *r, size_t n, bool control)
{
    if (n == 0)
        return;
    char after = r->held.data[n];
    r->held.data[n] = 0;
    send(r, &(generate_event){ .kind = GENERATE_TEXT, .text = r->held.data, .text_bytes = n, .control = control });
    r->held.data[n] = after;
    buf_drop(&r->held, n);
}

static void emit(run *r, size_t n)
{
    emit_as(r, n, false);
}

/* Where the earliest stop string begins in the held text, or its length; *safe: how much cannot be part of one. */
static size_t find_stop(const run *r, const char **stop, size_t *safe)
{
    const char *text = buf_text(&r->held);
    size_t n = r->held.len;
    *stop = NULL;
    *safe = n;
    for (size_t at = 0; at < n; at++) {
        for (uint32_t i = 0; i < r->o->n_stops; i++) {
            size_t length = strlen(r->o->stops[i]), left = n - at;
            if (memcmp(text + at, r->o->stops[i], length < left ? length : left) != 0)
                continue;
            if (length <= left) {
                *stop = r->o->stops[i];
                return at;
            }
            *safe = at < *safe ? at : *safe;
        }
    }
    return n;
}

/* After new text: emits what is final. True: a stop string ended the answer. */
static bool emit_final(run *r)
{
    size_t safe;
    const char *stop;
    size_t at = find_stop(r, &stop, &safe);
    emit(r, stop ? at : safe);
    if (!stop)
        return false;
    r->result.stop = stop;
    buf_reset(&r->held);
    return true;
}

/* A control token's text, where it is wanted: what waited is final, stop strings do not go across it. */
static bool emit_control(run *r, int32_t token)
{
    const char *stop;
    size_t safe;
    vocab_decode_end(&r->decoder, &r->held);
    if (emit_final(r))
        return true;
    emit(r, r->held.len);
    vocab_decode(&r->decoder, token, &r->held);
    (void)find_stop(r, &stop, &safe);
    if (stop)
        return emit_final(r);
    emit_as(r, r->held.len, true);
    return false;
}

static status prepare(run *r, const int32_t *prompt, uint32_t n, error *err)
{
    engine *e = r->s->e;
    status st = sampling_options_check(r->o, err);
    if (st)
        return st;
    if (n == 0)
        return fail(err, E_RANGE, "the prompt is empty: it needs at least one token");
    if (n > e->info.context)
        return fail(err, E_NOFIT, "the prompt has %u tokens, the context %u", n, e->info.context);
    r->result.n_prompt = n;
    r->result.last_token = -1;
    r->result.n_reused = session_recall(r->s, prompt, n);
    /* room for the longest held text and piece: decoding never allocates. An ill-formed byte becomes 3 (U+FFFD). */
    size_t piece = e->vocab ? 3 * vocab_max_piece(e->vocab) : 0, room = SAMPLING_STOP_BYTES + piece + 64;
    r->held = (buf)BUF_INIT(room);
    if (!buf_reserve(&r->held, room))
        return fail(err, E_NOMEM, "no memory for the answer's text");
    if (e->vocab)
        vocab_decoder_init(&r->decoder, e->vocab, false, r->o->special);
    return r->o->grammar ? constraint_open(&r->limits, e, r->o->grammar, r->o->grammar_vocab, err) : OK;
}

static bool prefill_progress(void *user, uint32_t done, uint32_t total)
{
    run *r = user;
    send(r, &(generate_event){ .kind = GENERATE_PREFILL, .done = done, .total = total });
    return r->cancelled;
}

/* The token becomes part of the answer. True: the answer ends, result.finish says why. */
static bool take_token(run *r, const sampled *x)
{
    engine *e = r->s->e;
    generate_result *out = &r->result;
    out->last_token = x->token;
    out->n_tokens++;
    r->feed[r->n_feed++] = x->token;
    send(r, &(generate_event){ .kind = GENERATE_TOKEN,
                               .token = { x->token, x->logprob },
                               .top = x->top,
                               .n_top = x->n_top });
    out->finish = FINISH_STOP;
    if (e->vocab && !r->o->ignore_eos && vocab_is_eog(e->vocab, x->token))
        return true;
    if (e->vocab && r->o->special && vocab_is_control(e->vocab, x->token)) {
        if (emit_control(r, x->token))
            return true;
    } else if (e->vocab) {
        vocab_decode(&r->decoder, x->token, &r->held);
        if (emit_final(r))
            return true;
    }
    out->finish = FINISH_CANCELLED;
    if (r->cancelled)
        return true;
    out->finish = FINISH_LENGTH;
    if (r->o->max_tokens && out->n_tokens >= r->o->max_tokens)
        return true;
    out->finish = FINISH_CONTEXT;
    return r->s->length + r->n_feed > e->info.context;
}

/* What is forced becomes part of the answer: all of it unseen by the model, or the next one with its report. */
static bool take_forced(run *r, const float *logits)
{
    token_logprob top[SAMPLING_LOGPROBS];
    sampled x = { .top = top };
    bool ended = false;
    while (r->next_forced < r->n_forced && !ended) {
        x.token = r->forced[r->next_forced++];
        if (r->o->n_logprobs)
            engine_report(r->s->e, logits, r->o, x.token, &x);
        r->result.n_forced++;
        ended = take_token(r, &x);
        if (r->o->n_logprobs)
            break;
    }
    return ended;
}

static bool grammar_ends(run *r)
{
    return r->limits.state && r->next_forced == r->n_forced && grammar_state_must_end(r->limits.state);
}

static status find_forced(run *r, error *err)
{
    r->next_forced = r->n_forced = 0;
    return r->limits.state ? constraint_jump(&r->limits, r->forced, &r->n_forced, err) : OK;
}

static status draw_token(run *r, const float *logits, bool *ended, error *err)
{
    token_logprob top[SAMPLING_LOGPROBS];
    sampled drawn = { .top = top };
    token_mask mask;
    status st = r->limits.state ? constraint_mask(&r->limits, &mask, err) : OK;
    if (st)
        return st;
    engine_sample(r->s->e, r->s, logits, r->limits.state ? &mask : NULL, r->o, &drawn);
    if (r->limits.state)
        st = grammar_state_accept(r->limits.state, drawn.token, err);
    if (st)
        return st;
    r->result.sum_logprob += (double)drawn.logprob;
    *ended = take_token(r, &drawn);
    return *ended ? OK : find_forced(r, err);
}

/* The answer goes on by at least one token, from these logits; or it ends, and result.finish says why. */
static status next_tokens(run *r, const float *logits, bool *ended, error *err)
{
    status st = OK;
    *ended = false;
    r->n_feed = 0;
    if (r->next_forced == r->n_forced && !grammar_ends(r))
        st = draw_token(r, logits, ended, err);
    if (!st && !*ended && r->next_forced < r->n_forced && (!r->o->n_logprobs || !r->n_feed))
        *ended = take_forced(r, logits);
    if (!st && !*ended && grammar_ends(r)) {
        *ended = true;
        r->result.finish = FINISH_STOP;
    }
    return st;
}

/* ---- stepping ---- */

/* Most tokens that can be foreseen now: of what may still be drawn the last needs no row. */
static uint32_t draft_room(const run *r)
{
    const engine *e = r->s->e;
    uint32_t room = LOOKUP_ROWS - 1, left = e->info.context - r->s->length - 1;
    room = room < left ? room : left;
    room = room < e->batch ? room : e->batch - 1;
    room = room < e->logit_rows ? room : e->logit_rows - 1;
    left = r->o->max_tokens ? r->o->max_tokens - r->result.n_tokens - 1 : room;
    return room < left ? room : left;
}

/* Runs the drawn token and n foreseen ones in one step, and shows the session without the latter. */
static status step_draft(run *r, uint32_t n, error *err)
{
    session *s = r->s;
    engine_row rows[LOOKUP_ROWS];
    for (uint32_t i = 0; i <= n; i++)
        rows[i] = (engine_row){ s, i ? r->draft[i - 1] : r->result.last_token, s->length + i, true };
    status st = engine_step(s->e, rows, n + 1, r->rows, err);
    if (st)
        return st;
    s->length -= n;
    r->n_draft = n;
    r->result.n_drafted += n;
    return OK;
}

static void drop_draft(run *r)
{
    uint32_t shown = r->s->length, left = session_truncate(r->s, shown);
    assert(left == shown); /* a draft is shorter than a batch */
    (void)left;
    r->n_draft = r->n_held = 0;
}

/* Tokens of the feed that were foreseen: they are in already. Returns how many. */
static uint32_t take_foreseen(run *r)
{
    uint32_t n = 0;
    while (n < r->n_feed && r->n_held < r->n_draft && r->draft[r->n_held] == r->feed[n]) {
        r->s->length++;
        r->result.n_accepted++;
        r->n_held++;
        n++;
    }
    return n;
}

/* One token goes in, with what may follow it. */
static status step_one(run *r, error *err)
{
    lookup *l = r->s->e->lookup;
    uint32_t n = 0;
    if (r->o->speculate != SPECULATE_OFF)
        n = lookup_draft(l, draft_room(r), r->o->speculate == SPECULATE_ALWAYS, r->draft);
    if (n && r->limits.state)
        n = constraint_fits(&r->limits, r->draft, n);
    uint64_t start = clock_mono_us();
    status st = step_draft(r, n, err);
    if (st == E_NOFIT && n) /* the KV pool may still hold one position */
        st = step_draft(r, n = 0, err);
    if (!st)
        lookup_took(l, n + 1, clock_mono_us() - start);
    return st;
}

/* From the feed to the logits after it: they are there if it was foreseen, else the model takes a step. */
static status advance(run *r, const float **logits, error *err)
{
    for (uint32_t i = 0; i < r->n_feed && r->o->speculate != SPECULATE_OFF; i++)
        lookup_add(r->s->e->lookup, r->feed[i]);
    uint32_t n = take_foreseen(r), left = r->n_feed - n;
    if (left == 0) {
        *logits = r->rows[r->n_held];
        return OK;
    }
    drop_draft(r);
    if (left > 1)
        return session_feed(r->s, r->feed + n, left, logits, NULL, NULL, err);
    status st = step_one(r, err);
    *logits = r->rows[0];
    return st;
}

/* Feeds the prompt and loops. E_CANCELLED during the prefill becomes a result. */
static status produce(run *r, const int32_t *prompt, uint32_t n, error *err)
{
    uint64_t start = clock_mono_us();
    const float *logits;
    generate_result *out = &r->result;
    status st = session_feed(r->s, prompt + out->n_reused, n - out->n_reused, &logits, prefill_progress, r, err);
    out->prefill_s = seconds_since(start);
    if (st == E_CANCELLED && r->cancelled) {
        out->finish = FINISH_CANCELLED;
        return OK;
    }
    if (!st)
        session_remember(r->s);
    if (!st)
        send(r, &(generate_event){ .kind = GENERATE_PREFILL, .done = n - out->n_reused, .total = n - out->n_reused });
    if (!st && r->o->speculate != SPECULATE_OFF)
        lookup_start(r->s->e->lookup, prompt, n);
    uint64_t decoding = clock_mono_us();
    if (!st)
        st = find_forced(r, err);
    while (!st) {
        bool ended = false, first = out->n_tokens == 0;
        st = next_tokens(r, logits, &ended, err);
        if (first && out->n_tokens)
            out->first_token_s = seconds_since(start);
        if (st || ended)
            break;
        st = advance(r, &logits, err);
        if (st == E_NOFIT) { /* the KV pool is shared: it can be full before this session's context is */
            out->finish = FINISH_CONTEXT;
            st = OK;
            break;
        }
    }
    drop_draft(r);
    session_remember(r->s);
    out->decode_s = seconds_since(decoding);
    return st;
}

status engine_generate(session *s, const int32_t *prompt, uint32_t n, const sampling_options *o,
                       generate_callback *callback, void *user, generate_result *out, error *err)
{
    run r = { .s = s, .o = o, .callback = callback, .user = user };
    status st = prepare(&r, prompt, n, err);
    if (!st)
        st = produce(&r, prompt, n, err);
    if (!st && !r.result.stop && s->e->vocab) {
        vocab_decode_end(&r.decoder, &r.held);
        if (emit_final(&r))
            r.result.finish = FINISH_STOP;
        emit(&r, r.held.len);
    }
    if (!st)
        *out = r.result;
    constraint_close(&r.limits);
    buf_clear(&r.held);
    return st;
}
