/* generation.h: an answer under way, step by step. Private to src/engine.
 *
 * `text` is all there is: the prompt and the tokens of the answer. What the session holds of it has been seen by the
 * model, the rest waits; the last token's logits say how it goes on. So whoever steps asks generation_rows for the next
 * rows of what waits, runs them in one engine_step, alone or with the rows of others, and gives the logits to
 * generation_took. A session that was truncated meanwhile is no special case: more waits then.
 *
 *     open -> begin -> (rows -> step -> took) ... -> over -> result -> close */
#ifndef ENGINE_GENERATION_H
#define ENGINE_GENERATION_H

#include "engine/constrain.h"
#include "engine/engine_int.h"
#include "engine/generate.h"

struct generation {
    session *s;
    const sampling_options *o;
    generate_callback *callback;
    void *user;
    generate_result result;
    vocab_decoder decoder;
    buf held;
    bool cancelled, over;
    status failed; /* with `why`: the answer ended so */
    error why;
    constraint limits;        /* .state NULL: no grammar */
    int32_t *text;            /* [text_room]: prompt and answer, */
    uint32_t n_text, text_room;
    uint32_t n_feed;          /* of them those that the last logits led to, */
    int32_t forced[CONSTRAIN_TOKENS]; /* and forced ones that are not yet part of it: from next_forced on */
    uint32_t n_forced, next_forced;
    bool begun, answering;    /* the prompt has been looked for in the cache; is in the session, all of it */
    uint32_t first_reused, told; /* of the prompt: what the progress leaves out, and how much was told of the rest */
    uint64_t opened_us, began_us, answering_us;
    /* the step under way: tokens that were foreseen, the logits after the one before them and after each. The session
     * shows the tokens that were drawn; the pages of the others are kept until they are dropped. */
    int32_t draft[LOOKUP_ROWS];
    const float *const *rows;
    uint32_t n_draft, n_held;
    bool drawn_ahead; /* `drawn` is what these logits will lead to */
    sampled drawn;
    token_logprob drawn_top[SAMPLING_LOGPROBS];
};

/* ---- tokens.c: from logits to text ---- */

/* The answer goes on by at least one token, from these logits; or it ends, and result.finish says why. */
status generation_next(generation *g, const float *logits, bool *ended, error *err) MUST_CHECK;
/* Draws the next token already, from the logits that generation_took will be given for the last row: nothing else of
 * the answer changes. Any thread, one for each generation; not under a grammar, where a draw is work of its own: then
 * nothing happens. */
void generation_draw_ahead(generation *g, sampler *m, const float *logits);
/* What is forced where the answer begins. */
status generation_find_forced(generation *g, error *err) MUST_CHECK;
void generation_send(generation *g, const generate_event *event);
/* The answer's end: what is held is final. */
void generation_flush(generation *g);

/* ---- generate.c ---- */

/* Takes over what the session or its scope knows of the text: before the first rows, and again when others may have
 * computed more of it. */
void generation_begin(generation *g);
/* Tokens that the session has not seen. Never 0 while the answer goes on. */
uint32_t generation_waiting(const generation *g);
/* Writes the next rows, at most `most` (>= 1), and returns how many. The last one wants logits if it is the text's
 * last. may_foresee: with foreseen tokens behind it, which want logits too (LOOKUP_ROWS at most). */
uint32_t generation_rows(generation *g, uint32_t most, bool may_foresee, engine_row *rows);
/* After a step with these rows: logits of those that wanted them, borrowed during the call; us: what the step took, 0
 * if there were rows of others. */
void generation_took(generation *g, uint32_t n_rows, const float *const *logits, uint64_t us);
/* It is over: why it failed, or OK and result.finish. */
void generation_end(generation *g, finish_reason finish);
void generation_fail(generation *g, status st, const error *why);
/* The session forgets everything, and the text waits again. */
void generation_evict(generation *g);

#endif
