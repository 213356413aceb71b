/* tokens.c: from logits to pieces of text: (sample, decode, hold back, emit) ... | flush.
 *
 * Under a grammar one draw can be followed by tokens that are forced (constrain.h): they become part of the text with
 * the drawn one, and go through the model in one step.
 *
 * Text waits in `held` while it could still be the beginning of a stop string; what is emitted is final. Nothing is
 * allocated (but what a grammar learns): `held` has its whole size from the start. */
#include <string.h>

#include "base/buf.h"
#include "engine/generation.h"

void generation_send(generation *g, const generate_event *event)
{
    if (g->callback && !g->cancelled)
        g->cancelled = g->callback(g->user, event);
}

/* Sends the first n bytes of what is held. The byte after them is set to 0 for the call and put back. */
static void emit_as(generation *g, size_t n, bool control)
{
    if (n == 0)
        return;
    char after = g->held.data[n];
    g->held.data[n] = 0;
    generation_send(g, &(generate_event){ .kind = GENERATE_TEXT,
                                          .text = g->held.data,
                                          .text_bytes = n,
                                          .control = control });
    g->held.data[n] = after;
    buf_drop(&g->held, n);
}

static void emit(generation *g, size_t n)
{
    emit_as(g, n, false);
}

/* Where the earliest stop string begins in the held text, or its length; *safe: how much cannot be part of one. */
static size_t find_stop(const generation *g, const char **stop, size_t *safe)
{
    const char *text = buf_text(&g->held);
    size_t n = g->held.len;
    *stop = NULL;
    *safe = n;
    for (size_t at = 0; at < n; at++) {
        for (uint32_t i = 0; i < g->o->n_stops; i++) {
            size_t length = strlen(g->o->stops[i]), left = n - at;
            if (memcmp(text + at, g->o->stops[i], length < left ? length : left) != 0)
                continue;
            if (length <= left) {
                *stop = g->o->stops[i];
                return at;
            }
            *safe = at < *safe ? at : *safe;
        }
    }
    return n;
}

/* After new text: emits what is final. True: a stop string ended the answer. */
static bool emit_final(generation *g)
{
    size_t safe;
    const char *stop;
    size_t at = find_stop(g, &stop, &safe);
    emit(g, stop ? at : safe);
    if (!stop)
        return false;
    g->result.stop = stop;
    buf_reset(&g->held);
    return true;
}

/* A control token's text, where it is wanted: what waited is final, stop strings do not go across it. */
static bool emit_control(generation *g, int32_t token)
{
    const char *stop;
    size_t safe;
    vocab_decode_end(&g->decoder, &g->held);
    if (emit_final(g))
        return true;
    emit(g, g->held.len);
    vocab_decode(&g->decoder, token, &g->held);
    (void)find_stop(g, &stop, &safe);
    if (stop)
        return emit_final(g);
    emit_as(g, g->held.len, true);
    return false;
}

/* ---- tokens ---- */

/* The token becomes part of the answer. True: the answer ends, result.finish says why. */
static bool take_token(generation *g, const sampled *x)
{
    engine *e = g->s->e;
    generate_result *out = &g->result;
    out->last_token = x->token;
    out->n_tokens++;
    g->text[g->n_text++] = x->token;
    g->n_feed++;
    generation_send(g, &(generate_event){ .kind = GENERATE_TOKEN,
                                          .token = { x->token, x->logprob },
                                          .top = x->top,
                                          .n_top = x->n_top });
    out->finish = FINISH_STOP;
    if (e->vocab && !g->o->ignore_eos && vocab_is_eog(e->vocab, x->token))
        return true;
    if (e->vocab && g->o->special && vocab_is_control(e->vocab, x->token)) {
        if (emit_control(g, x->token))
            return true;
    } else if (e->vocab) {
        vocab_decode(&g->decoder, x->token, &g->held);
        if (emit_final(g))
            return true;
    }
    out->finish = FINISH_CANCELLED;
    if (g->cancelled)
        return true;
    out->finish = FINISH_LENGTH;
    if (g->o->max_tokens && out->n_tokens >= g->o->max_tokens)
        return true;
    out->finish = FINISH_CONTEXT;
    return g->n_text > e->info.context;
}

/* What is forced becomes part of the answer: all of it unseen by the model, or the next one with its report. */
static bool take_forced(generation *g, const float *logits)
{
    token_logprob top[SAMPLING_LOGPROBS];
    sampled x = { .top = top };
    bool ended = false;
    while (g->next_forced < g->n_forced && !ended) {
        x.token = g->forced[g->next_forced++];
        if (g->o->n_logprobs)
            engine_report(g->s->e, &g->s->e->samplers[0], logits, g->o, x.token, &x);
        g->result.n_forced++;
        ended = take_token(g, &x);
        if (g->o->n_logprobs)
            break;
    }
    return ended;
}

static bool grammar_ends(generation *g)
{
    return g->limits.state && g->next_forced == g->n_forced && grammar_state_must_end(g->limits.state);
}

status generation_find_forced(generation *g, error *err)
{
    g->next_forced = g->n_forced = 0;
    return g->limits.state ? constraint_jump(&g->limits, g->forced, &g->n_forced, err) : OK;
}

static status draw_token(generation *g, const float *logits, bool *ended, error *err)
{
    token_logprob top[SAMPLING_LOGPROBS];
    sampled drawn = { .top = top };
    token_mask mask;
    status st = g->limits.state ? constraint_mask(&g->limits, &mask, err) : OK;
    if (st)
        return st;
    if (g->drawn_ahead)
        drawn = (sampled){ g->drawn.token, g->drawn.logprob, g->drawn.n_top, g->drawn.top };
    else
        engine_sample(g->s->e, &g->s->e->samplers[0], g->s, logits, g->limits.state ? &mask : NULL, g->o, &drawn);
    g->drawn_ahead = false;
    if (g->limits.state)
        st = grammar_state_accept(g->limits.state, drawn.token, err);
    if (st)
        return st;
    g->result.sum_logprob += (double)drawn.logprob;
    *ended = take_token(g, &drawn);
    return *ended ? OK : generation_find_forced(g, err);
}

void generation_draw_ahead(generation *g, sampler *m, const float *logits)
{
    if (g->limits.state || g->next_forced < g->n_forced)
        return;
    g->drawn.top = g->drawn_top;
    engine_sample(g->s->e, m, g->s, logits, NULL, g->o, &g->drawn);
    g->drawn_ahead = true;
}

/* The answer goes on by at least one token, from these logits; or it ends, and result.finish says why. */
status generation_next(generation *g, const float *logits, bool *ended, error *err)
{
    status st = OK;
    *ended = false;
    g->n_feed = 0;
    if (g->next_forced == g->n_forced && !grammar_ends(g))
        st = draw_token(g, logits, ended, err);
    if (!st && !*ended && g->next_forced < g->n_forced && (!g->o->n_logprobs || !g->n_feed))
        *ended = take_forced(g, logits);
    if (!st && !*ended && grammar_ends(g)) {
        *ended = true;
        g->result.finish = FINISH_STOP;
    }
    return st;
}

void generation_flush(generation *g)
{
    if (g->result.stop || !g->s->e->vocab)
        return;
    vocab_decode_end(&g->decoder, &g->held);
    if (emit_final(g))
        g->result.finish = FINISH_STOP;
    emit(g, g->held.len);
}
