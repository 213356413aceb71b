/* answer.c: one request: JSON to options, prompt to tokens, tokens to events. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "plat/proc.h"
#include "token/vocab.h"
#include "worker/constrain.h"
#include "worker/speech.h"
#include "worker/worker_int.h"

enum { PROMPT_TOKENS_MAX = 1 << 21, MESSAGES_MAX = 4096 };

typedef struct answer {
    worker *w;
    uint32_t request;
    const js *in;
    sampling_options sampling;
    token_list prompt;
    bool logprobs, echo, score_only;
    uint32_t n_alternatives;
    token_logprob *top; /* n_alternatives, for echo */
    bool cancelled;
    grammar *grammar;    /* what the answer must be; NULL: anything */
    schema_notes notes;  /* what of it is not enforced */
    speech speech;       /* the answer's text on its way to TEXT, REASONING and calls */
} answer;

/* ---- reading the request ---- */

static float real(const js *o, const char *key, float otherwise)
{
    double v;
    return js_double(js_get(o, key), &v) ? (float)v : otherwise;
}

static uint32_t whole(const js *o, const char *key)
{
    int64_t v;
    return js_int(js_get(o, key), &v) && v >= 0 && v <= UINT32_MAX ? (uint32_t)v : 0;
}

static status read_sampling(answer *a, error *err)
{
    const js *o = js_get(a->in, "sampling"), *stops = js_get(o, "stop");
    sampling_options *s = &a->sampling;
    sampling_options_init(s);
    s->temperature = real(o, "temperature", 0);
    s->top_k = whole(o, "top_k");
    s->top_p = real(o, "top_p", 1);
    s->min_p = real(o, "min_p", 0);
    s->repeat_penalty = real(o, "repeat_penalty", 1);
    s->repeat_last_n = whole(o, "repeat_last_n");
    s->presence_penalty = real(o, "presence_penalty", 0);
    s->frequency_penalty = real(o, "frequency_penalty", 0);
    s->seed = (uint64_t)whole(o, "seed_high") << 32 | whole(o, "seed_low");
    s->max_tokens = whole(o, "max_tokens");
    s->ignore_eos = js_bool(js_get(o, "ignore_eos"), false);
    s->speculate = s->ignore_eos ? SPECULATE_OFF : SPECULATE_AUTO; /* a speed test measures steps, not the text */
    s->n_logprobs = a->logprobs ? a->n_alternatives : 0;
    if (js_len(stops) > SAMPLING_STOPS)
        return fail(err, E_RANGE, "request: at most %d stop strings", SAMPLING_STOPS);
    for (size_t i = 0; i < js_len(stops); i++) {
        const char *text = js_text(js_at(stops, i));
        if (!text || strlen(text) != js_len(js_at(stops, i)))
            return fail(err, E_FORMAT, "request: a stop string is not text");
        s->stops[s->n_stops++] = text;
    }
    return sampling_options_check(s, err);
}

/* Tools, calls and results in the words that this model's template knows. */
static status rewrite_messages(answer *a, const js *list, const js *tools, js **out, error *err)
{
    worker *w = a->w;
    const js *choice = js_get(a->in, "tool_choice");
    bool must = js_get(choice, "name") || (js_is(choice, JS_STRING) && strcmp(js_text(choice), "required") == 0);
    if (!w->can_known)
        w->can = tool_prompt_ask(w->chat, w->format.tools);
    w->can_known = true;
    return tool_prompt_messages(out, list, tools, must, w->format.tools, &w->can, err);
}

static status render_chat(answer *a, error *err)
{
    const js *list = js_get(a->in, "messages");
    size_t n = js_len(list);
    if (!a->w->chat)
        return fail(err, E_UNSUPPORTED, "messages: %s", a->w->no_chat.text);
    if (n == 0 || n > MESSAGES_MAX)
        return fail(err, E_RANGE, "request: there must be 1 to %d messages", (int)MESSAGES_MAX);
    const js *tools = js_get(a->in, "tools"), *documents = js_get(a->in, "documents");
    const js *kwargs = js_get(a->in, "template_kwargs");
    if (tools && !js_is(tools, JS_ARRAY))
        return fail(err, E_FORMAT, "request: tools is not a list");
    if (kwargs && !js_is(kwargs, JS_OBJECT))
        return fail(err, E_FORMAT, "request: template_kwargs is not an object");
    js *rewritten = NULL;
    status st = tool_prompt_is_needed(list, tools) ? rewrite_messages(a, list, tools, &rewritten, err) : OK;
    if (st)
        return st;
    chat_request q = { .messages = rewritten ? rewritten : list, .tools = a->w->can.tools ? tools : NULL,
                       .documents = documents, .kwargs = kwargs, .now = chat_now(),
                       .add_generation_prompt = js_bool(js_get(a->in, "add_generation_prompt"), true) };
    st = chat_render(a->w->chat, &q, &a->prompt, err);
    js_free(rewritten);
    return st;
}

static status read_ids(answer *a, error *err)
{
    const js *list = js_get(a->in, "tokens");
    const int64_t n_vocab = vocab_n_tokens(engine_vocab(a->w->engine));
    status s = OK;
    for (size_t i = 0; i < js_len(list) && !s; i++) {
        int64_t id = -1;
        if (!js_int(js_at(list, i), &id) || id < 0 || id >= n_vocab)
            s = fail(err, E_RANGE, "request: token %zu is not an id of this model (0 to %lld)", i,
                     (long long)(n_vocab - 1));
        else
            s = token_list_add(&a->prompt, (int32_t)id, err);
    }
    return s;
}

static status read_prompt(answer *a, error *err)
{
    const char *kind = js_text(js_get(a->in, "kind"));
    const js *text = js_get(a->in, "text");
    status s;
    if (kind && strcmp(kind, "chat") == 0)
        s = render_chat(a, err);
    else if (kind && strcmp(kind, "tokens") == 0)
        s = read_ids(a, err);
    else if (js_is(text, JS_STRING))
        s = vocab_encode(engine_vocab(a->w->engine), js_text(text), js_len(text), VOCAB_BOS, &a->prompt, err);
    else
        s = fail(err, E_FORMAT, "request: no prompt");
    if (!s && a->prompt.n == 0)
        s = fail(err, E_RANGE, "request: the prompt is empty");
    return s;
}

/* ---- events ---- */

static void add_hex(js *j, const vocab *v, int32_t id)
{
    static const char digits[] = "0123456789abcdef";
    span piece = vocab_piece(v, id);
    buf hex = BUF_INIT(2 * (size_t)VOCAB_MAX_TOKEN_BYTES);
    for (size_t i = 0; i < piece.n; i++) {
        buf_char(&hex, digits[(unsigned char)piece.p[i] >> 4]);
        buf_char(&hex, digits[(unsigned char)piece.p[i] & 15]);
    }
    js_set(j, "hex", js_new_string(buf_text(&hex)));
    buf_clear(&hex);
}

static js *one_token(const vocab *v, token_logprob t)
{
    js *j = js_object();
    js_set(j, "id", js_new_int(t.token));
    js_set(j, "logprob", js_new_double(t.logprob));
    add_hex(j, v, t.token);
    return j;
}

static void send_token(answer *a, bool prompt, bool first, token_logprob t, const token_logprob *top, uint32_t n_top)
{
    const vocab *v = engine_vocab(a->w->engine);
    js *j = one_token(v, t), *list = js_array();
    for (uint32_t i = 0; i < n_top; i++)
        js_push(list, one_token(v, top[i]));
    js_set(j, "top", list);
    js_set(j, "prompt", js_new_bool(prompt));
    js_set(j, "first", js_new_bool(first));
    worker_send(a->w, MSG_TOKEN, a->request, j);
}

static void send_prefill(answer *a, uint32_t done, uint32_t total)
{
    js *j = js_object();
    js_set(j, "done", js_new_int(done));
    js_set(j, "total", js_new_int(total));
    worker_send(a->w, MSG_PREFILL, a->request, j);
}

static bool stop_asked(answer *a)
{
    if (!a->cancelled && worker_interrupted(a->w, a->request))
        a->cancelled = true;
    return a->cancelled || a->w->over || a->w->broken;
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
    return stop_asked(a) || speech_over(&a->speech);
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
    const uint32_t n_vocab = engine_get_info(a->w->engine)->n_vocab;
    int32_t id = a->prompt.ids[i];
    token_logprob own = { id, (float)((double)logits[id] - log_sum_exp) };
    uint32_t n = pick_top(logits, n_vocab, log_sum_exp, a->top, a->top ? a->n_alternatives : 0);
    if (!a->w->over)
        send_token(a, true, false, own, a->top, n);
    (void)stop_asked(a); /* takes effect after the prompt: session_score cannot be stopped */
}

static status echo_prompt(answer *a, error *err)
{
    const uint32_t n = (uint32_t)a->prompt.n;
    double *logprobs = mem_array(n, sizeof *logprobs);
    a->top = a->n_alternatives ? mem_array(a->n_alternatives, sizeof *a->top) : NULL;
    status s = logprobs && (a->top || !a->n_alternatives) ? OK : fail(err, E_NOMEM, "no memory for log-probabilities");
    if (!s) {
        send_token(a, true, true, (token_logprob){ a->prompt.ids[0], 0 }, NULL, 0);
        s = session_score(a->w->session, a->prompt.ids, n, logprobs, on_score, a, err);
    }
    mem_free(logprobs);
    mem_free(a->top);
    a->top = NULL;
    return s;
}

/* ---- constraints ---- */

static void send_notes(answer *a)
{
    js *list = js_array();
    for (size_t i = 0; i < a->notes.n; i++)
        js_push(list, js_new_string(a->notes.line[i]));
    if (a->notes.n)
        worker_send(a->w, MSG_RELAXED, a->request, list);
    else
        js_free(list);
}

/* Before anything is computed: what cannot be enforced is refused at once. */
static status constrain_answer(answer *a, error *err)
{
    worker *w = a->w;
    const vocab *v = engine_vocab(w->engine);
    const char *kind = js_text(js_get(a->in, "kind"));
    output_format format = w->format;
    buf tail = BUF_INIT(SPEECH_TAIL_MAX);
    if (!js_get(a->in, "tools") && !js_get(a->in, "shape"))
        return OK;
    speech_prompt_tail(v, &a->prompt, &tail);
    if (!kind || strcmp(kind, "chat") != 0) /* a text that is continued has no reasoning and no headers */
        format = output_format_of(NULL);
    output_begun begun = output_begun_by(&format, buf_text(&tail));
    buf_clear(&tail);
    status s = constrain(&a->grammar, &format, a->in, begun == OUTPUT_IN_REASONING, begun == OUTPUT_IN_HEADER,
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
 * machine share theirs, the others only with their own scope. */
static status enter_scope(answer *a, error *err)
{
    const char *class = js_text(js_get(a->in, "privacy")), *scope = js_text(js_get(a->in, "scope"));
    bool open = class && (!strcmp(class, "public") || !strcmp(class, "internal"));
    char name[ENGINE_SCOPE_BYTES];
    int n = open ? snprintf(name, sizeof name, "*") : scope ? snprintf(name, sizeof name, "=%s", scope) : 0;
    return session_share(a->w->session, n > 0 && (size_t)n < sizeof name ? name : NULL, err);
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
    if (r->finish == FINISH_CANCELLED && !a->cancelled)
        finish = "stop"; /* the format said that the turn is over */
    finish = speech_finish_name(&a->speech, finish);
    js_set(j, "finish", js_new_string(a->cancelled ? "cancelled" : finish));
    js_set(j, "context_full", js_new_bool(r->finish == FINISH_CONTEXT));
    js_set(j, "stop", js_new_int(stop_index(a, r)));
    js_set(j, "prompt_tokens", js_new_int(r->n_prompt));
    js_set(j, "cached_tokens", js_new_int(r->n_reused));
    js_set(j, "completion_tokens", js_new_int(r->n_tokens));
    js_set(j, "prefill_seconds", js_new_double(r->prefill_s));
    js_set(j, "decode_seconds", js_new_double(r->decode_s));
    js_set(j, "mean_logprob", r->n_tokens ? js_new_double(r->sum_logprob / r->n_tokens) : js_null());
    js_set(j, "peak_bytes", js_new_int((int64_t)proc_peak_bytes()));
    worker_send(a->w, MSG_DONE, a->request, j);
}

static status run(answer *a, generate_result *r, error *err)
{
    status s = constrain_answer(a, err);
    if (!s)
        s = enter_scope(a, err);
    if (!s && a->echo)
        s = echo_prompt(a, err);
    if (s)
        return s;
    if (a->score_only || stop_asked(a)) {
        r->finish = a->cancelled ? FINISH_CANCELLED : FINISH_LENGTH;
        r->n_prompt = (uint32_t)a->prompt.n;
        return OK;
    }
    s = speech_begin(&a->speech, a->w, a->request, a->in, &a->prompt, err);
    a->sampling.special = a->speech.parser != NULL;
    if (!s)
        s = engine_generate(a->w->session, a->prompt.ids, (uint32_t)a->prompt.n, &a->sampling, on_generate, a, r, err);
    return s ? s : speech_end(&a->speech, err);
}

/* A context that the request made smaller leaves room for so many tokens. */
static void limit_answer(answer *a, uint32_t room)
{
    if (!a->sampling.max_tokens || a->sampling.max_tokens > room)
        a->sampling.max_tokens = room;
    a->score_only = a->score_only || room == 0;
}

void worker_answer(worker *w, uint32_t request, const js *payload)
{
    answer a = { .w = w, .request = request, .in = payload, .prompt = TOKEN_LIST_INIT(PROMPT_TOKENS_MAX) };
    generate_result r = { 0 };
    error err = { 0 };
    const uint32_t own = engine_get_info(w->engine)->context, asked = whole(payload, "context");
    const uint32_t context = asked && asked < own ? asked : own;
    a.logprobs = js_bool(js_get(payload, "logprobs"), false);
    a.echo = js_bool(js_get(payload, "echo"), false);
    a.score_only = js_bool(js_get(payload, "score_only"), false);
    a.n_alternatives = whole(payload, "n_logprobs");
    if (a.n_alternatives > SAMPLING_LOGPROBS)
        a.n_alternatives = SAMPLING_LOGPROBS;
    status s = read_sampling(&a, &err);
    if (!s)
        s = read_prompt(&a, &err);
    bool too_long = !s && a.prompt.n > context;
    if (too_long)
        s = fail(&err, E_NOFIT, "the prompt has %zu tokens, the context %u: shorten it, or open the model with a "
                 "larger context", a.prompt.n, context);
    else if (!s && context < own)
        limit_answer(&a, context - (uint32_t)a.prompt.n);
    if (!s)
        s = run(&a, &r, &err);
    if (s == OK) {
        send_done(&a, &r);
    } else {
        bool full = s == E_NOFIT;
        bool ours = s == E_NOMEM || s == E_IO;
        worker_send_error(w, request, s, full ? "context-too-long" : ours ? "internal" : "invalid", err.text,
                          full ? (int64_t)a.prompt.n : 0, full ? context : 0);
    }
    speech_clear(&a.speech);
    grammar_close(&a.grammar);
    schema_notes_clear(&a.notes);
    token_list_clear(&a.prompt);
}
