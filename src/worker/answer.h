/* answer.h: an answer under way. The worker's own, between answer.c and answer_read.c. */
#ifndef WORKER_ANSWER_H
#define WORKER_ANSWER_H

#include "token/vocab.h"
#include "worker/constrain.h"
#include "worker/speech.h"
#include "worker/worker_int.h"

enum { PROMPT_TOKENS_MAX = 1 << 21 };

typedef struct answer {
    job job;             /* first */
    sampling_options sampling;
    token_list prompt;
    bool logprobs, echo, score_only, prompt_only;
    uint32_t n_alternatives, context; /* context: as the request asked, 0: the model's */
    session *session;
    scoring *scoring;    /* echo: the prompt is being judged */
    double *scores;      /* [prompt.n] */
    token_logprob *top;  /* [n_alternatives], for echo */
    uint32_t n_scored;   /* tokens of the prompt that were told */
    grammar *grammar;    /* what the answer must be; NULL: anything */
    schema_notes notes;  /* what of it is not enforced */
    speech speech;       /* the answer's text on its way to TEXT, REASONING and calls */
} answer;

/* Fills sampling, prompt and what else the request says. */
status answer_read(answer *a, error *err) MUST_CHECK;

#endif
