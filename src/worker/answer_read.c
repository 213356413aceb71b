/* answer_read.c: an answer's request: JSON to options, prompt to tokens. */
#include <string.h>

#include "token/vocab.h"
#include "worker/answer.h"

enum { MESSAGES_MAX = 4096 };

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
    const js *o = js_get(a->job.in, "sampling"), *stops = js_get(o, "stop");
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
    worker *w = a->job.w;
    const js *choice = js_get(a->job.in, "tool_choice");
    bool must = js_get(choice, "name") || (js_is(choice, JS_STRING) && strcmp(js_text(choice), "required") == 0);
    if (!w->can_known)
        w->can = tool_prompt_ask(w->chat, w->format.tools);
    w->can_known = true;
    return tool_prompt_messages(out, list, tools, must, w->format.tools, &w->can, err);
}

static status render_chat(answer *a, error *err)
{
    const js *list = js_get(a->job.in, "messages");
    size_t n = js_len(list);
    if (!a->job.w->chat)
        return fail(err, E_UNSUPPORTED, "messages: %s", a->job.w->no_chat.text);
    if (n == 0 || n > MESSAGES_MAX)
        return fail(err, E_RANGE, "request: there must be 1 to %d messages", (int)MESSAGES_MAX);
    const js *tools = js_get(a->job.in, "tools"), *documents = js_get(a->job.in, "documents");
    const js *kwargs = js_get(a->job.in, "template_kwargs");
    if (tools && !js_is(tools, JS_ARRAY))
        return fail(err, E_FORMAT, "request: tools is not a list");
    if (kwargs && !js_is(kwargs, JS_OBJECT))
        return fail(err, E_FORMAT, "request: template_kwargs is not an object");
    js *rewritten = NULL;
    status st = tool_prompt_is_needed(list, tools) ? rewrite_messages(a, list, tools, &rewritten, err) : OK;
    if (st)
        return st;
    chat_request q = { .messages = rewritten ? rewritten : list, .tools = a->job.w->can.tools ? tools : NULL,
                       .documents = documents, .kwargs = kwargs, .now = chat_now(),
                       .add_generation_prompt = js_bool(js_get(a->job.in, "add_generation_prompt"), true) };
    st = chat_render(a->job.w->chat, &q, &a->prompt, err);
    js_free(rewritten);
    return st;
}

static status read_ids(answer *a, error *err)
{
    const js *list = js_get(a->job.in, "tokens");
    const int64_t n_vocab = vocab_n_tokens(engine_vocab(a->job.w->engine));
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
    const char *kind = js_text(js_get(a->job.in, "kind"));
    const js *text = js_get(a->job.in, "text");
    const unsigned flags = (js_bool(js_get(a->job.in, "bare"), false) ? 0 : VOCAB_BOS) |
                           (js_bool(js_get(a->job.in, "control"), false) ? VOCAB_SPECIAL : 0);
    status s;
    if (kind && strcmp(kind, "chat") == 0)
        s = render_chat(a, err);
    else if (kind && strcmp(kind, "tokens") == 0)
        s = read_ids(a, err);
    else if (js_is(text, JS_STRING))
        s = vocab_encode(engine_vocab(a->job.w->engine), js_text(text), js_len(text), flags, &a->prompt, err);
    else
        s = fail(err, E_FORMAT, "request: no prompt");
    if (!s && a->prompt.n == 0 && !a->prompt_only)
        s = fail(err, E_RANGE, "request: the prompt is empty");
    return s;
}

status answer_read(answer *a, error *err)
{
    const js *in = a->job.in;
    a->logprobs = js_bool(js_get(in, "logprobs"), false);
    a->echo = js_bool(js_get(in, "echo"), false);
    a->score_only = js_bool(js_get(in, "score_only"), false);
    a->prompt_only = js_bool(js_get(in, "prompt_only"), false);
    a->n_alternatives = whole(in, "n_logprobs");
    a->context = whole(in, "context");
    if (a->n_alternatives > SAMPLING_LOGPROBS)
        a->n_alternatives = SAMPLING_LOGPROBS;
    status s = read_sampling(a, err);
    return s ? s : read_prompt(a, err);
}
