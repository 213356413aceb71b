/* answer.c: one request's answer: the prompt judged if it is asked for, then a generation in the batch; tokens to
 * events. */
#include "worker/answer.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "plat/proc.h"

enum { SCORE_ROWS = 32 }; /* of a step beside which others answer */

/* ---- events ---- */

static js *one_token(const vocab *v, token_logprob t)
{
    js *j = js_object();
    js_set(j, "id", js_new_int(t.token));
    js_set(j, "logprob", js_new_double(t.logprob));
    js_set(j, "hex", worker_hex(vocab_piece(v, t.token)));
    return j;
}

static void send_token(answer *a, bool prompt, bool first, token_logprob t, const token_logprob *top, uint32_t n_top)
{
    const vocab *v = engine_vocab(a->job.w->engine);
    js *j = one_token(v, t), *list = js_array();
    for (uint32_t i = 0; i < n_top; i++)
        js_push(list, one_token(v, top[i]));
    js_set(j, "top", list);
    js_set(j, "prompt", js_new_bool(prompt));
    js_set(j, "first", js_new_bool(first));
    worker_send(a->job.w, MSG_TOKEN, a->job.request, j);
}

static void send_prefill(answer *a, uint32_t done, uint32_t total)
{
    js *j = js_object();
    js_set(j, "done", js_new_int(done));
    js_set(j, "total", js_new_int(total));
    worker_send(a->job.w, MSG_PREFILL, a->job.request, j);
}

static bool on_generate(void *user, const generate_event *e)
{
    answer *a = user;
    if (e->kind == GENERATE_PREFILL) {
        send_prefill(a, e->done, e->total);
    } else if (e->kind == GENERATE_TEXT) {
        speech_text(&a->speech, e->text, e->text_bytes, e->control);
    } else if (a->logprobs) {
        send_token(a, false, false, e->token, e->top, e->n_top);
    }
    return a->job.w->over || speech_over(&a->speech);
}

/* ---- prompt log-probabilities ---- */

/* The n most likely of n_vocab, ties to the lowest id; returns how many. */
static uint32_t pick_top(const float *logits, uint32_t n_vocab, double log_sum_exp, token_logprob *top, uint32_t n)
{
    uint32_t have = 0;
    for (uint32_t id = 0; id < n_vocab && n > 0; id++) {
        float l = (float)((double)logits[id] - log_sum_exp);
        if (have == n && !(l > top[n - 1].logprob))
            continue;
        uint32_t at = have < n ? have++ : n - 1;
        for (; at > 0 && l > top[at - 1].logprob; at--)
            top[at] = top[at - 1];
        top[at] = (token_logprob){ (int32_t)id, l };
    }
    return have;
}

static void on_score(void *user, uint32_t i, const float *logits, double log_sum_exp)
{
    answer *a = user;
    const uint32_t n_vocab = engine_get_info(a->job.w->engine)->n_vocab;
    int32_t id = a->prompt.ids[i];
    token_logprob own = { id, (float)((double)logits[id] - log_sum_exp) };
    if (i < a->n_scored) /* it was begun again */
        return;
    uint32_t n = pick_top(logits, n_vocab, log_sum_exp, a->top, a->top ? a->n_alternatives : 0);
    send_token(a, true, false, own, a->top, n);
    a->n_scored = i + 1;
}

static status begin_echo(answer *a, error *err)
{
    const uint32_t n = (uint32_t)a->prompt.n;
    a->scores = mem_array(n, sizeof *a->scores);
    a->top = a->n_alternatives ? mem_array(a->n_alternatives, sizeof *a->top) : NULL;
    if (!a->scores || (!a->top && a->n_alternatives))
        return fail(err, E_NOMEM, "no memory for log-probabilities");
    send_token(a, true, true, (token_logprob){ a->prompt.ids[0], 0 }, NULL, 0);
    a->n_scored = 1;
    a->job.holds = true;
    return OK;
}

/* ---- constraints ---- */

static void send_notes(answer *a)
{
    js *list = js_array();
    for (size_t i = 0; i < a->notes.n; i++)
        js_push(list, js_new_string(a->notes.line[i]));
    if (a->notes.n)
        worker_send(a->job.w, MSG_RELAXED, a->job.request, list);
    else
        js_free(list);
}

/* Before anything is computed: what cannot be enforced is refused at once. */
static status constrain_answer(answer *a, error *err)
{
    worker *w = a->job.w;
    const vocab *v = engine_vocab(w->engine);
    const char *kind = js_text(js_get(a->job.in, "kind"));
    output_format format = w->format;
    buf tail = BUF_INIT(SPEECH_TAIL_MAX);
    if (!js_get(a->job.in, "tools") && !js_get(a->job.in, "shape"))
        return OK;
    speech_prompt_tail(v, &a->prompt, &tail);
    if (!kind || strcmp(kind, "chat") != 0) /* a text that is continued has no reasoning and no headers */
        format = output_format_of(NULL);
    output_begun begun = output_begun_by(&format, buf_text(&tail));
    buf_clear(&tail);
    status s = constrain(&a->grammar, &format, a->job.in, begun == OUTPUT_IN_REASONING, begun == OUTPUT_IN_HEADER,
                         &a->notes, err);
    if (!s && a->grammar && !w->vocab && !w->vocab_known)
        s = constrain_vocab(&w->vocab, v, &w->format, err);
    w->vocab_known = w->vocab_known || (!s && a->grammar);
    if (!s)
        send_notes(a);
    a->sampling.grammar = a->grammar;
    a->sampling.grammar_vocab = w->vocab;
    return s;
}

/* ---- running ---- */

/* Whose prefixes this request may profit from and add to (design, "Routing and privacy"): requests that may leave the
 * machine share theirs, the others only with their own scope. What may be kept in a file is shared within a scope too:
 * a file lives longer than whoever may ask. */
static const char *scope_of(const answer *a, char name[ENGINE_SCOPE_BYTES])
{
    const char *class = js_text(js_get(a->job.in, "privacy")), *scope = js_text(js_get(a->job.in, "scope"));
    bool open = class && (!strcmp(class, "public") || !strcmp(class, "internal"));
    char kind = !open ? '=' : scope && a->job.w->snapshot.to >= 0 ? SNAPSHOT_SCOPE : '*';
    if (!open && !scope)
        return NULL;
    int n = snprintf(name, ENGINE_SCOPE_BYTES, "%c%s", kind, kind == '*' ? "" : scope);
    return n > 0 && n < ENGINE_SCOPE_BYTES ? name : NULL;
}

static status take_session(answer *a, error *err)
{
    char name[ENGINE_SCOPE_BYTES];
    return sessions_take(&a->job.w->sessions, a->job.w->engine, scope_of(a, name), a->prompt.ids,
                         (uint32_t)a->prompt.n, &a->session, err);
}

/* Which of the request's stop strings ended the answer, or -1. */
static int64_t stop_index(const answer *a, const generate_result *r)
{
    for (uint32_t i = 0; r->stop && i < a->sampling.n_stops; i++)
        if (a->sampling.stops[i] == r->stop)
            return i;
    return -1;
}

static void send_done(answer *a, const generate_result *r)
{
    js *j = js_object();
    const char *finish = r->finish == FINISH_CONTEXT ? "length" : finish_reason_name(r->finish);
    if (r->finish == FINISH_CANCELLED && !a->job.cancelled)
        finish = "stop"; /* the format said that the turn is over */
    finish = speech_finish_name(&a->speech, finish);
    js_set(j, "finish", js_new_string(a->job.cancelled ? "cancelled" : finish));
    js_set(j, "context_full", js_new_bool(r->finish == FINISH_CONTEXT));
    js_set(j, "stop", js_new_int(stop_index(a, r)));
    js_set(j, "prompt_tokens", js_new_int(r->n_prompt));
    js_set(j, "cached_tokens", js_new_int(r->n_reused));
    js_set(j, "completion_tokens", js_new_int(r->n_tokens));
    js_set(j, "prefill_seconds", js_new_double(r->prefill_s));
    js_set(j, "decode_seconds", js_new_double(r->decode_s));
    js_set(j, "mean_logprob", r->n_tokens ? js_new_double(r->sum_logprob / r->n_tokens) : js_null());
    js_set(j, "peak_bytes", js_new_int((int64_t)proc_peak_bytes()));
    worker_send(a->job.w, MSG_DONE, a->job.request, j);
}

static uint32_t context_of(const answer *a)
{
    uint32_t own = engine_get_info(a->job.w->engine)->context;
    return a->context && a->context < own ? a->context : own;
}

static job_state refused(answer *a, status s, const error *err)
{
    bool full = s == E_NOFIT;
    bool ours = s == E_NOMEM || s == E_IO;
    worker_send_error(a->job.w, a->job.request, s, full ? "context-too-long" : ours ? "internal" : "invalid", err->text,
                      full ? (int64_t)a->prompt.n : 0, full ? context_of(a) : 0);
    return JOB_OVER;
}

/* Nothing was drawn, and nothing more is wanted. */
static job_state done_without_answer(answer *a)
{
    generate_result r = { .finish = a->job.cancelled ? FINISH_CANCELLED : FINISH_LENGTH,
                          .n_prompt = (uint32_t)a->prompt.n };
    send_done(a, &r);
    return JOB_OVER;
}

/* The prompt is known: its answer goes to the batch. */
static job_state generate(answer *a)
{
    error err = { 0 };
    int64_t priority = 0;
    (void)js_int(js_get(a->job.in, "priority"), &priority);
    if (a->score_only || a->job.cancelled)
        return done_without_answer(a);
    status s = speech_begin(&a->speech, a->job.w, a->job.request, a->job.in, &a->prompt, &err);
    a->sampling.special = a->speech.parser != NULL;
    if (!s)
        s = generation_open(&a->job.generation, a->session, a->prompt.ids, (uint32_t)a->prompt.n, &a->sampling,
                            on_generate, a, &err);
    if (!s)
        s = batch_add(a->job.w->batch, a->job.generation, (int)priority, &err);
    return s ? refused(a, s, &err) : JOB_BATCH;
}

static job_state generated(job *j)
{
    answer *a = (answer *)j;
    generate_result r = { 0 };
    error err = { 0 };
    status s = generation_result(j->generation, &r, &err);
    if (!s)
        s = speech_end(&a->speech, &err);
    if (s)
        return refused(a, s, &err);
    send_done(a, &r);
    return JOB_OVER;
}

/* The next piece of a prompt that is judged. Without room it is begun again; what was told is not told twice. */
static status score(answer *a, bool *over, error *err)
{
    const uint32_t most = batch_count(a->job.w->batch) ? SCORE_ROWS : 0;
    bool wait;
    *over = false;
    status s = a->scoring ? OK : scoring_open(&a->scoring, a->session, a->prompt.ids, (uint32_t)a->prompt.n, a->scores,
                                              on_score, a, err);
    if (!s)
        s = scoring_step(a->scoring, most, over, err);
    if (s == E_NOFIT && (jobs_make_room(a->job.w, &a->job, &wait) || wait)) {
        scoring_close(&a->scoring);
        session_truncate(a->session, 0);
        s = OK;
    }
    return s;
}

static job_state turn(job *j)
{
    answer *a = (answer *)j;
    error err = { 0 };
    bool over = false;
    status s = j->cancelled ? OK : score(a, &over, &err);
    if (s)
        return refused(a, s, &err);
    if (!over && !j->cancelled)
        return JOB_TURNS;
    scoring_close(&a->scoring);
    j->holds = false;
    return generate(a);
}

static void answer_close(job *j)
{
    answer *a = (answer *)j;
    scoring_close(&a->scoring);
    sessions_give(&j->w->sessions, a->session);
    mem_free(a->scores);
    mem_free(a->top);
    speech_clear(&a->speech);
    grammar_close(&a->grammar);
    schema_notes_clear(&a->notes);
    token_list_clear(&a->prompt);
    js_free(j->in);
    mem_free(a);
}

/* ---- beginning ---- */

/* A context that the request made smaller leaves room for so many tokens. */
static void limit_answer(answer *a, uint32_t room)
{
    if (!a->sampling.max_tokens || a->sampling.max_tokens > room)
        a->sampling.max_tokens = room;
    a->score_only = a->score_only || room == 0;
}

static status check_context(answer *a, error *err)
{
    const uint32_t own = engine_get_info(a->job.w->engine)->context, context = context_of(a);
    if (a->prompt.n > context)
        return fail(err, E_NOFIT, "the prompt has %zu tokens, the context %u: shorten it, or open the model with a "
                    "larger context", a->prompt.n, context);
    if (context < own)
        limit_answer(a, context - (uint32_t)a->prompt.n);
    return OK;
}

static status prepare(answer *a, error *err)
{
    if (!a->job.w->batch && !js_bool(js_get(a->job.in, "prompt_only"), false))
        return fail(err, E_UNSUPPORTED, "this model makes vectors of texts and does not continue them: ask it for "
                    "embeddings");
    status s = answer_read(a, err);
    if (s || a->prompt_only)
        return s;
    s = check_context(a, err);
    if (!s)
        s = constrain_answer(a, err);
    if (!s)
        s = take_session(a, err);
    return s || !a->echo ? s : begin_echo(a, err);
}

static const job_kind answers = { turn, generated, answer_close };

job *answer_begin(worker *w, uint32_t request, js *in)
{
    answer *a = mem_zero(sizeof *a);
    error err = { 0 };
    if (!a) {
        worker_send_error(w, request, E_NOMEM, "internal", "no memory for an answer", 0, 0);
        js_free(in);
        return NULL;
    }
    a->job = (job){ .kind = &answers, .w = w, .request = request, .in = in };
    a->prompt = (token_list)TOKEN_LIST_INIT(PROMPT_TOKENS_MAX);
    status s = prepare(a, &err);
    if (s) {
        a->job.state = refused(a, s, &err);
    } else if (a->prompt_only) {
        worker_send_prompt(w, request, &a->prompt, js_bool(js_get(in, "decoded"), false));
        a->job.state = done_without_answer(a);
    } else {
        a->job.state = a->echo ? JOB_TURNS : generate(a);
    }
    return &a->job;
}
