/* batch.h: many answers of one engine at once. Owner thread of the engine.
 *
 * A batch holds generations (generate.h) of one engine and steps them together: one call of batch_step is one
 * engine_step with the next row of every answer that is under way, and a chunk of one prompt of those that wait. Each
 * comes out as it would alone, bit for bit; company is a matter of time only.
 *
 *     batch_add(b, g, 0, err); ...
 *     while (batch_count(b)) {
 *         batch_step(b, err);
 *         while ((g = batch_next_finished(b)))
 *             generation_result(g, &r, err), generation_close(&g);
 *     }
 *
 * Prompts. While anybody answers, a chunk is as large as keeps the step below about BATCH_STRETCH times one without
 * (twice that, while more wait than answer), by what was measured so far, but BATCH_LEAST rows at least; else it is a
 * whole engine_batch. In an engine with slices it is larger, because it runs some layers at a time. Next is the prompt
 * of highest priority with the fewest tokens left; every BATCH_OLDEST-th chunk goes to the oldest of that priority.
 * What is computed is remembered page by page (session_share), so a beginning that several have in common, also if
 * they arrive together, is computed once.
 *
 * A full KV pool. Of those that hold pages the one with the lowest priority, of these the youngest, gives its pages
 * back and waits; later it is fed its prompt and its own tokens again, which costs time and changes nothing. New ones
 * begin when somebody has left. Only when one alone does not fit, it ends: FINISH_CONTEXT, or E_NOFIT where it has not
 * begun to answer. Sessions outside the batch keep their pages, unless `spare` gives them back first.
 *
 * Speculation happens only while one answer is alone. batch_step allocates nothing (but what a grammar learns). */
#ifndef ENGINE_BATCH_H
#define ENGINE_BATCH_H

#include "engine/generate.h"

enum {
    BATCH_GENERATIONS = 1024, /* most of one batch */
    BATCH_LEAST = 8,          /* rows of a chunk of a prompt, at least, while others answer */
    BATCH_OLDEST = 8,
};
#define BATCH_STRETCH 2.2

typedef struct batch batch;

typedef struct batch_options {
    size_t size;            /* sizeof(batch_options), set by batch_options_init */
    uint32_t n_generations; /* most at once, those that are over and not fetched yet included; 0: 64 */
    bool (*spare)(void *user); /* the KV pool is full: truncate a session outside the batch; false: there is none. */
                               /* May be NULL */
    void *user;
} batch_options;
void batch_options_init(batch_options *o);

typedef struct batch_stats {
    uint32_t n_answering, n_waiting; /* now; waiting: whose prompt is not all in, or that were sent back */
    uint64_t n_steps, n_rows;        /* so far; foreseen rows included */
    uint64_t n_prompt_rows;          /* of them rows of prompts, those fed again included */
    uint64_t n_slices;               /* pieces of chunks that ran beside steps (engine_options.slices) */
    uint64_t n_sent_back;            /* how often a full KV pool sent one back to wait */
} batch_stats;

/* o may be NULL. The engine must outlive the batch. E_RANGE, E_NOMEM. */
status batch_open(batch **out, engine *e, const batch_options *o, error *err) MUST_CHECK;
/* Generations in it stay their owners'. */
void batch_close(batch **b);

/* From the next step on. Higher priorities first. Borrowed until it was fetched or removed. E_RANGE: the batch is full,
 * another engine's, already over, or one of the same session is in. */
status batch_add(batch *b, generation *g, int priority, error *err) MUST_CHECK;
/* Takes it out wherever it is; its session keeps what it has. Nothing happens if it is not in. */
void batch_remove(batch *b, generation *g);
/* One step; none when nobody is left to step. Callbacks run inside, and must not call functions of the batch. An answer
 * that fails ends alone, its generation_result says why: an error here is the engine's, and no generation has
 * changed. */
status batch_step(batch *b, error *err) MUST_CHECK;
/* One that is over, and is no longer in the batch; NULL: there is none. */
generation *batch_next_finished(batch *b);
/* How many are in and not over. 0: batch_step has nothing to do. */
uint32_t batch_count(const batch *b);
batch_stats batch_get_stats(const batch *b);

#endif
