/* texts.h: calibration text as tokens, in pieces that a model reads one by one. Owner thread (of the engine, where one
 * is given).
 *
 * A piece has at most `piece` tokens, begins with the tokens that the vocabulary wants before a text and ends with
 * those it wants after one. Every TEXTS_FIFTH-th piece is held out: what is chosen by the others is judged by it. What
 * there is is a function of the arguments alone: not of threads, of company in a batch, of the clock. */
#ifndef PACK_TEXTS_H
#define PACK_TEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct engine;
struct engine_options;
struct vocab;

enum {
    TEXTS_PIECE_LEAST = 16,      /* tokens */
    TEXTS_MOST_TOKENS = 1 << 20, /* that can be asked for */
    TEXTS_LEAST_TOKENS = 320,    /* a file with fewer is refused */
    TEXTS_FIFTH = 5,
    TEXTS_AT_ONCE = 24,          /* answers under way */
};

/* Zero-initialise; texts_clear frees. */
typedef struct texts {
    int32_t *ids; /* [n_ids] */
    size_t n_ids;
    size_t *starts; /* [n + 1]: piece i is ids[starts[i]] up to, not with, ids[starts[i + 1]] */
    size_t n;
} texts;
void texts_clear(texts *t);
/* Is piece i held out? Of five neighbours one is. */
bool texts_is_held_out(size_t i);

/* Pieces of about the same length from all over a text, any bytes: all of it if it has at most max_tokens, otherwise at
 * even distances. What looks like a control token is text. Pieces become shorter where there are fewer than ten of
 * them. E_RANGE: the text is too short, or a limit above; E_NOMEM. */
status texts_of(texts *out, const struct vocab *v, span text, uint32_t piece, uint64_t max_tokens,
                error *err) MUST_CHECK;

/* Return true to stop (E_CANCELLED). Tokens. */
typedef bool texts_progress(void *user, uint64_t done, uint64_t total);

typedef struct texts_options {
    const span *tasks; /* n_tasks texts of what the model is used for: prompts with their inputs. May be NULL */
    size_t n_tasks;
    uint32_t piece;
    uint64_t max_tokens; /* about 10,000 at least: less says too little */
    uint64_t seed;       /* another seed, other texts */
    texts_progress *progress; /* may be NULL */
    void *user;
} texts_options;

/* Text by the model itself: it goes on from openings of many kinds (openings.h), answers questions and the user's tasks
 * through its chat template if it has one, at temperature 0.9. A text that begins to repeat itself ends there. Texts
 * are packed whole, several into a piece where they are short. E_UNSUPPORTED: an encoder, or a model that hardly says
 * anything: the caller asks for a file, or takes texts_built_in; E_RANGE, E_NOMEM, E_CANCELLED. */
status texts_generate(texts *out, struct engine *e, const texts_options *o, error *err) MUST_CHECK;
/* What the engine for it is best opened with: TEXTS_AT_ONCE sessions of a piece each (283 MB of KV for SmolLM2-135M and
 * 512 tokens); set kv_bytes where that is too much. Changes speed and memory only. */
void texts_engine_options(struct engine_options *o, uint32_t piece);

/* Openings, questions and tasks in other and other company, up to some 20,000 tokens: for models that write nothing.
 * Pieces that are held out have texts of their own. seed and progress are not looked at. */
status texts_built_in(texts *out, const struct vocab *v, const texts_options *o, error *err) MUST_CHECK;

#endif
