/* judge.h: how far a model's predictions are from those of the model as it is, on tokens held out. Private to src/pack;
 * owner thread.
 *
 * Of a model that predicts: the mean divergence KL(P || Q) of the next token's distributions, in nats. Of an encoder:
 * the mean of 1 - cos between the means of a piece's states (what becomes an embedding). */
#ifndef PACK_JUDGE_H
#define PACK_JUDGE_H

#include "pack/job.h"

enum { JUDGE_BINS = 6 };

typedef struct judge {
    job *j;
    reference *r;
    reference_text text;
    size_t n_tokens, n_judged, step, n_logits, n_embd;
    uint32_t bins;   /* ranges of layers, JUDGE_BINS or as many as there are layers */
    float *entries;  /* [bins + 1][tokens][n_embd]: what enters the first layer of a bin, and what leaves the last */
    float *states;   /* [tokens][n_embd]: of the run at hand */
    float *expected; /* [judged][n_logits], or of an encoder [pieces][n_embd] */
} judge;

/* Runs the model as it is. Its layers stay in memory if they take no more than `memory` bytes. */
status judge_open(judge **out, job *j, uint64_t memory, error *err) MUST_CHECK;
void judge_close(judge **g);

uint32_t judge_bin_begin(const judge *g, uint32_t bin); /* a layer; n_layers for bin = bins */
void judge_enter(judge *g, uint32_t bin);               /* states = what entered it */
status judge_run(judge *g, uint32_t from, uint32_t to, error *err) MUST_CHECK; /* layers, over states */
/* states left the last layer. */
status judge_divergence(judge *g, double *out, error *err) MUST_CHECK;
/* Keeps no more than judge_file needs: 4 x n_embd bytes a token. Nothing else but judge_close may follow. */
void judge_rest(judge *g);
/* Of a whole other file of the same model; once, as the last thing. */
status judge_file(judge *g, const char *path, double *out, error *err) MUST_CHECK;

#endif
