/* jobs.c: requests side by side: turns of their own, and the batch. See worker_int.h. */
#include <string.h>

#include "engine/embed.h"
#include "worker/worker_int.h"

job *job_begin(worker *w, uint32_t request, js *in)
{
    const char *kind = js_text(js_get(in, "kind"));
    if (kind && strcmp(kind, "tag") == 0)
        return tag_begin(w, request, in);
    if (!kind || strcmp(kind, "embed") != 0)
        return answer_begin(w, request, in);
    if (js_bool(js_get(in, "rank"), false) && engine_ranks(w->engine))
        return rerank_begin(w, request, in);
    return embed_begin(w, request, in);
}

void jobs_cancel(worker *w, uint32_t request)
{
    for (job *j = w->jobs; j; j = j->next)
        if (j->request == request) {
            j->cancelled = true;
            if (j->generation)
                generation_cancel(j->generation);
        }
}

static void end(worker *w, job **at)
{
    job *j = *at;
    *at = j->next;
    w->n_jobs--;
    if (j->generation) {
        batch_remove(w->batch, j->generation);
        generation_close(&j->generation);
    }
    j->kind->close(j);
}

/* One that is over already (it was refused, or computes nothing) leaves its place at once: its front may have asked
 * again before anybody has a turn. */
void jobs_add(worker *w, job *j)
{
    job **at = &w->jobs;
    while (*at)
        at = &(*at)->next;
    *at = j;
    j->next = NULL;
    w->n_jobs++;
    if (j->state == JOB_OVER)
        end(w, at);
}

void jobs_clear(worker *w)
{
    while (w->jobs)
        end(w, &w->jobs);
}

static void sweep(worker *w)
{
    for (job **at = &w->jobs; *at;) {
        if ((*at)->state == JOB_OVER)
            end(w, at);
        else
            at = &(*at)->next;
    }
}

/* ---- turns ---- */

static const job *first_holder(const worker *w)
{
    const job *j = w->jobs;
    while (j && !(j->state == JOB_TURNS && j->holds))
        j = j->next;
    return j;
}

static job *next_turn(worker *w)
{
    const job *holder = first_holder(w);
    uint32_t n = 0;
    for (job *j = w->jobs; j; j = j->next)
        n += j->state == JOB_TURNS && (!j->holds || j == holder);
    if (!n)
        return NULL;
    uint32_t k = (uint32_t)(w->turn++ % n);
    for (job *j = w->jobs; j; j = j->next)
        if (j->state == JOB_TURNS && (!j->holds || j == holder) && k-- == 0)
            return j;
    return NULL;
}

bool jobs_make_room(worker *w, const job *j, bool *wait)
{
    const job *holder = first_holder(w);
    *wait = false;
    if (sessions_spare(&w->sessions))
        return true;
    *wait = (w->batch && batch_count(w->batch)) || (holder && holder != j);
    return false;
}

/* ---- the batch ---- */

static job *of_generation(const worker *w, const generation *g)
{
    job *j = w->jobs;
    while (j && j->generation != g)
        j = j->next;
    return j;
}

/* The engine itself failed: nobody's answer can go on. */
static void fail_all(worker *w, status s, const error *err)
{
    for (job *j = w->jobs; j; j = j->next)
        if (j->state == JOB_BATCH) {
            worker_send_error(w, j->request, s, "internal", err->text, 0, 0);
            j->state = JOB_OVER;
        }
}

static void step_batch(worker *w)
{
    error err = { 0 };
    generation *g;
    status s = batch_count(w->batch) ? batch_step(w->batch, &err) : OK;
    if (s)
        fail_all(w, s, &err);
    while ((g = batch_next_finished(w->batch))) {
        job *j = of_generation(w, g);
        if (j && j->state == JOB_BATCH)
            j->state = j->kind->generated(j);
    }
}

void jobs_step(worker *w)
{
    job *j = next_turn(w);
    if (j)
        j->state = j->kind->turn(j);
    if (w->batch)
        step_batch(w);
    sweep(w);
}
