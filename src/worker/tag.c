/* tag.c: one request for the labelled parts of a text (engine/tag.h). A turn judges a window of it, so that others have
 * their turns between. */
#include "engine/tag.h"

#include "base/mem.h"
#include "plat/clock.h"
#include "plat/proc.h"
#include "worker/worker_int.h"

typedef struct tag_job {
    job job; /* first */
    engine_tagging *tagging;
    uint64_t began_us;
} tag_job;

static void add_span(void *to, const tag_span *s)
{
    js *o = js_array();
    js_push(o, js_new_int((int64_t)s->begin));
    js_push(o, js_new_int((int64_t)s->end));
    js_push(o, js_new_string(s->label));
    js_push(o, js_new_double(s->probability));
    js_push(to, o);
}

static void send_done(const tag_job *t)
{
    js *j = js_object();
    js_set(j, "finish", js_new_string(t->job.cancelled ? "cancelled" : "stop"));
    js_set(j, "prompt_tokens", js_new_int((int64_t)engine_tag_count(t->tagging)));
    js_set(j, "cached_tokens", js_new_int(0));
    js_set(j, "completion_tokens", js_new_int(0));
    js_set(j, "prefill_seconds", js_new_double((double)(clock_mono_us() - t->began_us) * 1e-6));
    js_set(j, "peak_bytes", js_new_int((int64_t)proc_peak_bytes()));
    worker_send(t->job.w, MSG_DONE, t->job.request, j);
}

static job_state refused(const tag_job *t, status s, const error *err)
{
    worker_send_error(t->job.w, t->job.request, s, s == E_NOMEM ? "internal" : "invalid", err->text, 0, 0);
    return JOB_OVER;
}

/* A span that found no memory must not be missing: then it is an error. */
static job_state turn(job *j)
{
    tag_job *t = (tag_job *)j;
    error err = { 0 };
    bool more = false;
    js_begin();
    js *list = js_array();
    status s = j->cancelled ? OK : engine_tag_step(t->tagging, add_span, list, &more, &err);
    if (!s && js_lost())
        s = fail(&err, E_NOMEM, "no memory for the spans of a text");
    if (!s && js_len(list))
        worker_send(j->w, MSG_SPANS, j->request, list); /* takes it */
    else
        js_free(list);
    if (s)
        return refused(t, s, &err);
    if (more)
        return JOB_TURNS;
    send_done(t);
    return JOB_OVER;
}

static void close_job(job *j)
{
    tag_job *t = (tag_job *)j;
    engine_tag_end(&t->tagging);
    js_free(j->in);
    mem_free(t);
}

static const job_kind kind = { .turn = turn, .close = close_job };

job *tag_begin(worker *w, uint32_t request, js *in)
{
    const js *text = js_get(in, "text");
    tag_job *t = mem_zero(sizeof *t);
    error err = { 0 };
    double least = -1;
    status s = OK;
    if (!t) {
        (void)fail(&err, E_NOMEM, "no memory to tag a text");
        worker_send_error(w, request, E_NOMEM, "internal", err.text, 0, 0);
        js_free(in);
        return NULL;
    }
    t->job = (job){ .kind = &kind, .w = w, .request = request, .in = in, .state = JOB_TURNS };
    t->began_us = clock_mono_us();
    if (!js_is(text, JS_STRING) || !js_double(js_get(in, "threshold"), &least) || !(least > 0 && least <= 1))
        s = fail(&err, E_FORMAT, "request: a text and a threshold from 0 to 1 are tagged");
    if (!s)
        s = engine_tag_begin(&t->tagging, w->engine, js_text(text), js_len(text), least, &err);
    if (s)
        t->job.state = refused(t, s, &err);
    return &t->job;
}
