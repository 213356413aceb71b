/* generate.c: prompt in, pieces of text out. One answer is: feed | (sample, decode, hold back, emit) ... | flush.
 * A step computes the logits after the drawn token, and after tokens that lookup.c foresees: as long as the very same
 * sampling draws these, their logits are there already; what it does not draw is forgotten.
 *
 * Text waits in `held` while it could still be the beginning of a stop string; what is emitted is final. The decode
 * loop allocates nothing: `held` has its whole size from the start. */
#include "engine/generate.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
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
static void emit(run *r, size_t n)
{
    if (n == 0)
        return;
    char after = r->held.data[n];
    r->held.data[n] = 0;
    send(r, &(generate_event){ .kind = GENERATE_TEXT, .text = r->held.data, .text_bytes = n });
    r->held.data[n] = after;
    buf_drop(&r->held, n);
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
    return OK;
}

static bool prefill_progress(void *user, uint32_t done, uint32_t total)
{
    run *r = user;
    send(r, &(generate_event){ .kind = GENERATE_PREFILL, .done = done, .total = total });
    return r->cancelled;
}

/* One token from these logits. True: the answer ends, result.finish says why. */
static bool next_token(run *r, const float *logits)
{
    engine *e = r->s->e;
    token_logprob top[SAMPLING_LOGPROBS];
    sampled drawn = { .top = top };
    engine_sample(e, r->s, logits, r->o, &drawn);
    generate_result *out = &r->result;
    out->last_token = drawn.token;
    out->sum_logprob += (double)drawn.logprob;
    out->n_tokens++;
    send(r, &(generate_event){ .kind = GENERATE_TOKEN,
                               .token = { drawn.token, drawn.logprob },
                               .top = top,
                               .n_top = drawn.n_top });
    out->finish = FINISH_STOP;
    if (e->vocab && !r->o->ignore_eos && vocab_is_eog(e->vocab, drawn.token))
        return true;
    if (e->vocab) {
        vocab_decode(&r->decoder, drawn.token, &r->held);
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
    return r->s->length >= e->info.context;
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

/* From a drawn token to the logits after it: they are there if the token was foreseen, else the model takes a step. */
static status advance(run *r, const float **logits, error *err)
{
    lookup *l = r->s->e->lookup;
    int32_t token = r->result.last_token;
    if (r->o->speculate != SPECULATE_OFF)
        lookup_add(l, token);
    if (r->n_held < r->n_draft && r->draft[r->n_held] == token) {
        r->s->length++;
        r->result.n_accepted++;
        *logits = r->rows[++r->n_held];
        return OK;
    }
    drop_draft(r);
    uint32_t n = 0;
    if (r->o->speculate != SPECULATE_OFF)
        n = lookup_draft(l, draft_room(r), r->o->speculate == SPECULATE_ALWAYS, r->draft);
    uint64_t start = clock_mono_us();
    status st = step_draft(r, n, err);
    if (st == E_NOFIT && n) /* the KV pool may still hold one position */
        st = step_draft(r, n = 0, err);
    if (!st)
        lookup_took(l, n + 1, clock_mono_us() - start);
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
    while (!st) {
        bool ended = next_token(r, logits);
        if (out->n_tokens == 1)
            out->first_token_s = seconds_since(start);
        if (ended)
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
    buf_clear(&r.held);
    return st;
}
