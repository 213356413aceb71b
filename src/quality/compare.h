/* compare.h: two models read the same passages side by side, and every judged token says how far apart they are.
 *
 * A is the reference. For the distribution P of A and Q of B over the whole vocabulary, at each judged token x:
 *   KL(P || Q) = sum_v P(v) (log P(v) - log Q(v)), in nats: what believing B costs where A is right
 *   log P(x), log Q(x)
 *   whether both hold the same token for the likeliest (ties: the lowest id)
 * exp is the kernels' F32 one; everything else is f64, so a divergence is good to about 1e-7 and that of a model from
 * itself is 0.
 *
 * Neither logits nor distributions are kept: both engines step through a passage together, a few rows at a time, and
 * the rows of both are gone after it. The arrays are the caller's, one entry for each judged token in the order of
 * passages. One thread owns both engines and calls this; the formulas run on as many
 * threads as A has. The numbers depend on neither threads nor steps. */
#ifndef QUALITY_COMPARE_H
#define QUALITY_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/engine.h"
#include "quality/passages.h"

/* After each passage: so many of p->n are done, and so many tokens are judged. Return true to stop (E_CANCELLED). */
typedef bool quality_progress(void *user, size_t done, size_t judged);

typedef struct quality_tokens {
    double *logp;   /* of the token, by A (or by the one model) */
    double *logp_b; /* the next three: of two models only */
    double *kl;
    double *same;   /* 1 or 0 */
    size_t n;       /* of entries: passages.n_judged */
} quality_tokens;
/* Room for all judged tokens. E_NOMEM. */
status quality_tokens_open(quality_tokens *t, size_t n, bool two, error *err) MUST_CHECK;
void quality_tokens_clear(quality_tokens *t);

/* One model reads. The engine's context must hold p->longest. */
status quality_read(engine *e, const passages *p, quality_tokens *out, quality_progress *progress, void *user,
                    error *err) MUST_CHECK;
/* Two models read. E_FORMAT: logits of one of them are not finite. Both engines must have as many logits. */
status quality_compare(engine *a, engine *b, const passages *p, quality_tokens *out, quality_progress *progress,
                       void *user, error *err) MUST_CHECK;

/* E_UNSUPPORTED with the first difference when an id does not stand for the same text in both. */
status quality_same_vocab(const vocab *a, const vocab *b, error *err) MUST_CHECK;

/* One position: the formulas above over n logits each. false: something is not finite. */
struct kernels;
typedef struct quality_token {
    double logp, logp_b, kl;
    bool same;
} quality_token;
bool quality_judge(const struct kernels *k, const float *a, const float *b, size_t n, int32_t token,
                   quality_token *out);

#endif
