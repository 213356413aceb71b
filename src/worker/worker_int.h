/* worker_int.h: the worker's own. */
#ifndef WORKER_WORKER_INT_H
#define WORKER_WORKER_INT_H

#include <stdbool.h>

#include "base/js.h"
#include "chat/chat.h"
#include "chat/output.h"
#include "chat/tool_prompt.h"
#include "engine/batch.h"
#include "grammar/grammar.h"
#include "plat/msg.h"
#include "worker/sessions.h"
#include "worker/snapshot.h"

enum { WORKER_JOBS_MAX = 256 };

struct job;

typedef struct worker {
    msg_link link;
    engine *engine;
    batch *batch;        /* NULL: an encoder, which continues no text */
    sessions sessions;
    worker_snapshot snapshot;
    struct job *jobs;    /* in order of arrival */
    uint32_t n_jobs, n_parallel; /* now; most */
    uint64_t turn;
    chat *chat;          /* NULL: no_chat says why */
    error no_chat;
    output_format format; /* how this model calls tools and thinks */
    tool_abilities can;   /* what its template says of tools by itself; asked when tools first come */
    bool can_known;
    grammar_vocab *vocab; /* with the format's control tokens; NULL: there are none, the engine's will do */
    bool vocab_known;
    bool opening;        /* the model is being read: its messages' descriptors are borrowed from the link */
    bool over;           /* the front is gone or said CLOSE */
    status broken;       /* it broke the protocol */
} worker;

/* Sends JSON and frees it. False when the front is gone (w->over is set). */
bool worker_send(worker *w, msg_type type, uint32_t request, js *payload);
bool worker_send_bytes(worker *w, msg_type type, uint32_t request, const void *data, size_t n);
bool worker_send_error(worker *w, uint32_t request, status code, const char *kind, const char *text, int64_t n_prompt,
                       int64_t n_context);
/* Takes what the front has sent without waiting for more; with `wait`, for the next message. */
void worker_listen(worker *w, bool wait);

/* A token's bytes as hex text; NULL without memory. And PROMPT, in as many messages as it takes (prompt.c). */
js *worker_hex(span bytes);
struct token_list;
void worker_send_prompt(worker *w, uint32_t request, const struct token_list *prompt, bool decoded);

/* ---- jobs: requests under way (jobs.c) ----
 *
 * A job works in turns of its own (a piece of a text to judge, a group of inputs to embed), or hands a generation to
 * the batch and is told when that is over. The loop takes messages between all of them. */

typedef enum job_state {
    JOB_TURNS, /* wants turns */
    JOB_BATCH, /* its generation is in the batch */
    JOB_OVER,  /* DONE or ERROR was sent */
} job_state;

typedef struct job_kind {
    job_state (*turn)(struct job *j);
    job_state (*generated)(struct job *j); /* its generation is out of the batch, and over */
    void (*close)(struct job *j);          /* frees it */
} job_kind;

typedef struct job {
    struct job *next;
    const job_kind *kind;
    worker *w;
    uint32_t request;
    js *in;                /* the request; the job's */
    job_state state;
    generation *generation; /* in the batch, or NULL */
    bool cancelled;
    bool holds;            /* it keeps KV pages between its turns: one such job works at a time */
} job;

/* The request's job begins: answer.c, embed.c, rerank.c or tag.c. Takes in. NULL: it was refused, and that was sent. */
job *job_begin(worker *w, uint32_t request, js *in);
job *answer_begin(worker *w, uint32_t request, js *in);
job *embed_begin(worker *w, uint32_t request, js *in);
job *tag_begin(worker *w, uint32_t request, js *in);
/* For a model that engine_ranks (rerank.c). */
job *rerank_begin(worker *w, uint32_t request, js *in);

void jobs_add(worker *w, job *j);
void jobs_cancel(worker *w, uint32_t request);
/* A turn of one job that wants one, and a step of the batch. */
void jobs_step(worker *w);
/* KV pages are wanted: those of idle sessions go first. False: nothing can be had before others are done; *wait: but
 * then it can. */
bool jobs_make_room(worker *w, const job *j, bool *wait);
void jobs_clear(worker *w);

#endif
