/* vectors.c: see the header. */
#include "worker/vectors.h"

#include <string.h>

#include "base/mem.h"
#include "plat/clock.h"
#include "plat/proc.h"

const int32_t *vectors_tokens(const vectors_job *m, size_t i, uint32_t *n)
{
    size_t begin = i ? m->ends[i - 1] : 0;
    *n = (uint32_t)(m->ends[i] - begin);
    return m->tokens.ids + begin;
}

/* ---- messages ---- */

static void put_little(char *to, uint32_t v)
{
    for (size_t i = 0; i < 4; i++)
        to[i] = (char)(unsigned char)(v >> (8 * i));
}

void vectors_send(const vectors_job *m, char *message, size_t input, uint32_t n_tokens, const float *v, uint32_t length)
{
    put_little(message, (uint32_t)input);
    put_little(message + 4, n_tokens);
    for (uint32_t i = 0; i < length; i++) {
        uint32_t bits;
        memcpy(&bits, v + i, 4);
        put_little(message + 8 + 4 * (size_t)i, bits);
    }
    worker_send_bytes(m->job.w, MSG_VECTOR, m->job.request, message, 8 + 4 * (size_t)length);
}

static void send_done(const vectors_job *m)
{
    js *j = js_object();
    double seconds = (double)(clock_mono_us() - m->began_us) * 1e-6;
    js_set(j, "finish", js_new_string(m->job.cancelled ? "cancelled" : "stop"));
    js_set(j, "prompt_tokens", js_new_int((int64_t)m->tokens.n));
    js_set(j, "cached_tokens", js_new_int(0));
    js_set(j, "completion_tokens", js_new_int(0));
    js_set(j, "prefill_seconds", js_new_double(seconds));
    js_set(j, "peak_bytes", js_new_int((int64_t)proc_peak_bytes()));
    worker_send(m->job.w, MSG_DONE, m->job.request, j);
}

static job_state refused(const vectors_job *m, status s, const error *err)
{
    bool ours = s == E_NOMEM || s == E_IO;
    const char *kind = m->too_long ? "context-too-long" : ours ? "internal" : "invalid";
    worker_send_error(m->job.w, m->job.request, s, kind, err->text, (int64_t)m->too_long,
                      m->too_long ? engine_get_info(m->job.w->engine)->context : 0);
    return JOB_OVER;
}

/* ---- the job ---- */

static job_state turn(job *j)
{
    vectors_job *m = (vectors_job *)j;
    error err = { 0 };
    status s = j->cancelled ? OK : m->kind->group(m, &err);
    if (s)
        return refused(m, s, &err);
    if (m->n_done < m->n && !j->cancelled)
        return JOB_TURNS;
    send_done(m);
    return JOB_OVER;
}

static void close_job(job *j)
{
    vectors_job *m = (vectors_job *)j;
    m->kind->clear(m);
    token_list_clear(&m->tokens);
    mem_free(m->ends);
    js_free(j->in);
    mem_free(m);
}

static const job_kind jobs = { .turn = turn, .close = close_job };

job *vectors_begin(const vectors_kind *kind, worker *w, uint32_t request, js *in)
{
    vectors_job *m = mem_zero(kind->bytes);
    error err = { 0 };
    if (!m) {
        (void)fail(&err, E_NOMEM, "no memory for %s", kind->what);
        worker_send_error(w, request, E_NOMEM, "internal", err.text, 0, 0);
        js_free(in);
        return NULL;
    }
    m->job = (job){ .kind = &jobs, .w = w, .request = request, .in = in, .state = JOB_TURNS };
    m->kind = kind;
    m->began_us = clock_mono_us();
    m->tokens = (token_list)TOKEN_LIST_INIT(VECTORS_TOKENS_MAX);
    status s = kind->read(m, in, &err);
    if (s)
        m->job.state = refused(m, s, &err);
    return &m->job;
}
