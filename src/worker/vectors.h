/* vectors.h: what requests for vectors (embed.c) and for scores of pairs (rerank.c) have in common: many sequences of
 * tokens, worked off in groups, a turn each; a vector leaves for each, then DONE. The worker's thread. */
#ifndef WORKER_VECTORS_H
#define WORKER_VECTORS_H

#include "token/vocab.h"
#include "worker/worker_int.h"

enum { VECTORS_INPUTS_MAX = 2048, VECTORS_TOKENS_MAX = 1 << 22 };

typedef struct vectors_job {
    job job;           /* first */
    const struct vectors_kind *kind;
    uint64_t began_us;
    size_t n, n_done;  /* sequences */
    token_list tokens; /* of all */
    size_t *ends;      /* [n] in tokens */
    size_t too_long;   /* tokens of one that does not fit, or 0 */
} vectors_job;

/* A kind's own struct begins with a vectors_job. */
typedef struct vectors_kind {
    size_t bytes;     /* of it */
    const char *what; /* "vectors", for a sentence */
    status (*read)(vectors_job *m, const js *in, error *err); /* fills n, tokens, ends and its own */
    status (*group)(vectors_job *m, error *err);              /* computes and sends the next ones */
    void (*clear)(vectors_job *m);                            /* frees its own */
} vectors_kind;

/* As job_begin. */
job *vectors_begin(const vectors_kind *kind, worker *w, uint32_t request, js *in);
/* Sequence i, borrowed. */
const int32_t *vectors_tokens(const vectors_job *m, size_t i, uint32_t *n);
/* message: room for two numbers and the values. */
void vectors_send(const vectors_job *m, char *message, size_t input, uint32_t n_tokens, const float *v,
                  uint32_t length);

#endif
