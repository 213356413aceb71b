/* stream.c: see the header. Strict: what is not understood is an error of the provider, never a shorter answer. */
#include "egress/stream_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

void stream_init(stream *s, bool want_tokens, bool want_calls)
{
    *s = (stream){ .want_tokens = want_tokens, .want_calls = want_calls, .stop = -1,
                   .prompt_tokens = -1, .cached_tokens = -1, .completion_tokens = -1 };
}

static void read_usage(stream *s, const js *chunk)
{
    const js *u = js_get(chunk, "usage");
    int64_t v;
    if (js_int(js_get(u, "prompt_tokens"), &v) && v >= 0)
        s->prompt_tokens = v;
    if (js_int(js_get(u, "completion_tokens"), &v) && v >= 0)
        s->completion_tokens = v;
    if (js_int(js_get(js_get(u, "prompt_tokens_details"), "cached_tokens"), &v) && v >= 0)
        s->cached_tokens = v;
}

void stream_model(stream *s, const js *name)
{
    const char *m = js_text(name);
    size_t n = m ? strlen(m) : 0;
    if (n > 0 && n < sizeof s->model && !s->model[0])
        memcpy(s->model, m, n + 1);
}

/* ---- calls: {index, id, function: {name, arguments}}; name and id once, arguments in pieces ---- */

const char stream_calls_unasked[] = "the provider answered with tool calls, which were not asked for";

static status give_call(stream *s, stream_call what, js *j, error *err)
{
    return s->call(s->user, what, j) ? OK : fail(err, E_CANCELLED, "cancelled");
}

static js *call_js(uint32_t index)
{
    js *j = js_object();
    js_set(j, "index", js_new_int(index));
    return j;
}

status stream_begin_call(stream *s, const js *id, const js *name, error *err)
{
    char own[32];
    if (!js_is(name, JS_STRING) || !js_len(name) || s->calls == STREAM_CALLS_MAX)
        return fail(err, E_PROVIDER, "the provider sent a tool call without a name, or too many of them");
    snprintf(own, sizeof own, "call_%u", s->calls);
    js *j = call_js(s->calls++);
    js_set(j, "id", js_new_string(js_is(id, JS_STRING) && js_len(id) ? js_text(id) : own));
    js_set(j, "name", js_new_string(js_text(name)));
    return give_call(s, STREAM_CALL, j, err);
}

status stream_arguments(stream *s, uint32_t index, const js *arguments, error *err)
{
    if (!arguments || js_is(arguments, JS_NULL) || (js_is(arguments, JS_STRING) && !js_len(arguments)))
        return OK;
    if (!js_is(arguments, JS_STRING) || memchr(js_text(arguments), 0, js_len(arguments)))
        return fail(err, E_PROVIDER, "the provider sent arguments that are not text");
    s->text_bytes += js_len(arguments);
    if (s->text_bytes > STREAM_ANSWER_MAX)
        return fail(err, E_PROVIDER, "the provider's answer is over %d bytes", (int)STREAM_ANSWER_MAX);
    js *j = call_js(index);
    js_set(j, "text", js_copy(arguments));
    return give_call(s, STREAM_ARGUMENTS, j, err);
}

static status read_calls(stream *s, const js *list, error *err)
{
    status r = OK;
    if (js_len(list) && !s->want_calls)
        return fail(err, E_PROVIDER, "%s", stream_calls_unasked);
    for (size_t i = 0; i < js_len(list) && !r; i++) {
        const js *call = js_at(list, i), *index = js_get(call, "index");
        int64_t at = (int64_t)i; /* a whole answer's calls have no index */
        if ((index && !js_int(index, &at)) || at < 0 || at > s->calls)
            return fail(err, E_PROVIDER, "the provider sent tool calls out of order");
        if (at == s->calls)
            r = stream_begin_call(s, js_get(call, "id"), js_get(js_get(call, "function"), "name"), err);
        if (!r)
            r = stream_arguments(s, (uint32_t)at, js_get(js_get(call, "function"), "arguments"), err);
    }
    return r;
}

/* Arguments are whole when the answer ended by itself; who reads them looks at them anyway. */
status stream_end_calls(stream *s, error *err)
{
    status r = OK;
    for (uint32_t i = 0; i < s->calls && !r; i++) {
        js *j = call_js(i);
        js_set(j, "complete", js_new_bool(strcmp(s->finish, "length") != 0));
        r = give_call(s, STREAM_CALL_END, j, err);
    }
    return r;
}

static status read_finish(stream *s, const js *choice, error *err)
{
    static const struct {
        const char *theirs, *ours, *refusal; /* a refusal beside a name of ours: unless calls were asked for */
    } reasons[] = {
        { "stop", "stop", NULL },
        { "length", "length", NULL },
        { "eos", "stop", NULL },
        { "content_filter", NULL, "the provider's content filter stopped the answer" },
        { "tool_calls", "tool_calls", stream_calls_unasked },
        { "function_call", NULL, "the provider answered with a function call, which was not asked for" },
    };
    const js *f = js_get(choice, "finish_reason");
    if (!f || js_is(f, JS_NULL))
        return OK;
    for (size_t i = 0; js_is(f, JS_STRING) && i < ARRAY_LEN(reasons); i++)
        if (strcmp(js_text(f), reasons[i].theirs) == 0) {
            if (!reasons[i].ours || (reasons[i].refusal && !s->want_calls))
                return fail(err, E_PROVIDER, "%s", reasons[i].refusal);
            s->finish = reasons[i].ours;
            s->finished = true;
            return stream_end_calls(s, err);
        }
    return fail(err, E_PROVIDER, "the provider ended with an unknown finish_reason");
}

static js *one_token(const js *t)
{
    static const char digits[] = "0123456789abcdef";
    const js *text = js_get(t, "token"), *bytes = js_get(t, "bytes");
    double logprob = NAN;
    js *j = js_object();
    buf hex = BUF_INIT(1 << 17);
    bool ok = js_double(js_get(t, "logprob"), &logprob) && js_is(text, JS_STRING);
    size_t n = js_is(bytes, JS_ARRAY) ? js_len(bytes) : js_len(text);
    for (size_t i = 0; i < n && ok; i++) {
        int64_t b = -1;
        if (js_is(bytes, JS_ARRAY))
            ok = js_int(js_at(bytes, i), &b) && b >= 0 && b <= 255;
        else
            b = (unsigned char)js_text(text)[i];
        buf_char(&hex, digits[(b >> 4) & 15]);
        buf_char(&hex, digits[b & 15]);
    }
    ok = ok && !hex.failed && js_set(j, "id", js_new_int(-1)) && js_set(j, "logprob", js_new_double(logprob)) &&
         js_set(j, "hex", js_new_string(buf_text(&hex)));
    buf_clear(&hex);
    if (ok)
        return j;
    js_free(j);
    return NULL;
}

static status read_logprobs(stream *s, const js *choice, error *err)
{
    const js *list = js_get(js_get(choice, "logprobs"), "content");
    for (size_t i = 0; i < js_len(list); i++) {
        const js *t = js_at(list, i), *top = js_get(t, "top_logprobs");
        double logprob = 0;
        js *j = one_token(t), *alternatives = js_array();
        bool ok = j && js_double(js_get(t, "logprob"), &logprob);
        for (size_t k = 0; k < js_len(top) && ok; k++)
            ok = js_push(alternatives, one_token(js_at(top, k)));
        ok = js_set(j, "top", alternatives) && ok;
        if (!ok) {
            js_free(j);
            return fail(err, E_PROVIDER, "the provider sent log-probabilities that make no sense");
        }
        s->sum_logprob += logprob;
        s->n_logprobs++;
        if (!s->want_tokens)
            js_free(j);
        else if (!s->token(s->user, j))
            return fail(err, E_CANCELLED, "cancelled");
    }
    return OK;
}

status stream_text(stream *s, bool reasoning, const js *content, error *err)
{
    if (!content || js_is(content, JS_NULL))
        return OK;
    if (!js_is(content, JS_STRING))
        return fail(err, E_PROVIDER, "the provider sent content that is not text");
    size_t n = js_len(content);
    s->text_bytes += n;
    if (s->text_bytes > STREAM_ANSWER_MAX)
        return fail(err, E_PROVIDER, "the provider's answer is over %d bytes", (int)STREAM_ANSWER_MAX);
    if (n > 0 && s->finished)
        return fail(err, E_PROVIDER, "the provider went on after it had finished");
    if (n > 0 && !(reasoning ? s->reasoning : s->text)(s->user, js_text(content), n))
        return fail(err, E_CANCELLED, "cancelled");
    return OK;
}

status stream_check_error(const js *doc, const char *data, size_t n, error *err)
{
    char text[300];
    const js *e = js_get(doc, "error");
    if (!e || js_is(e, JS_NULL))
        return OK;
    stream_error_text(data, n, text, sizeof text);
    return fail(err, E_PROVIDER, "the provider says: %s", text[0] ? text : "an error without a message");
}

/* part: "delta" of a chunk, "message" of a whole answer. */
static status read_document(stream *s, const char *data, size_t n, const char *part, error *err)
{
    js *doc = NULL;
    error why;
    if (js_parse(&doc, data, n, "answer", 1, &why) != OK)
        return fail(err, E_PROVIDER, "the provider sent what is no JSON (%.200s)", why.text);
    status r = stream_check_error(doc, data, n, err);
    const js *choices = js_get(doc, "choices");
    if (!r && (!js_is(doc, JS_OBJECT) || !js_is(choices, JS_ARRAY)))
        r = fail(err, E_PROVIDER, "the provider sent JSON without choices");
    if (!r) {
        read_usage(s, doc);
        stream_model(s, js_get(doc, "model"));
    }
    for (size_t i = 0; i < js_len(choices) && !r; i++) {
        const js *choice = js_at(choices, i), *body = js_get(choice, part);
        int64_t index = 0;
        if (!js_is(choice, JS_OBJECT) || (js_get(choice, "index") && !js_int(js_get(choice, "index"), &index)) || index)
            r = fail(err, E_PROVIDER, "the provider sent another choice than the one that was asked for");
        else if (body && !js_is(body, JS_OBJECT) && !js_is(body, JS_NULL))
            r = fail(err, E_PROVIDER, "the provider sent a choice whose %s is no object", part);
        const js *thought = js_get(body, "reasoning_content");
        if (!js_is(thought, JS_STRING))
            thought = js_get(body, "reasoning");
        if (!r)
            r = stream_text(s, true, js_is(thought, JS_STRING) ? thought : NULL, err);
        if (!r)
            r = read_logprobs(s, choice, err);
        if (!r)
            r = stream_text(s, false, js_get(body, "content"), err);
        if (!r)
            r = read_calls(s, js_get(body, "tool_calls"), err);
        if (!r)
            r = read_finish(s, choice, err);
    }
    js_free(doc);
    return r;
}

status stream_event(stream *s, const char *data, size_t n, error *err)
{
    if (s->dialect == STREAM_ANTHROPIC)
        return stream_anthropic_event(s, data, n, err);
    if (s->ended)
        return OK; /* some servers add an empty event */
    if (n == 6 && memcmp(data, "[DONE]", 6) == 0) {
        s->ended = true;
        return OK;
    }
    return read_document(s, data, n, "delta", err);
}

status stream_whole(stream *s, const char *data, size_t n, error *err)
{
    return s->dialect == STREAM_ANTHROPIC ? stream_anthropic_whole(s, data, n, err)
                                          : read_document(s, data, n, "message", err);
}

status stream_end(const stream *s, error *err)
{
    if (s->finished)
        return OK;
    return fail(err, E_PROVIDER, s->text_bytes || s->ended ? "the provider's answer broke off without a finish_reason"
                                                           : "the provider sent an empty answer");
}

js *stream_done(const stream *s, bool cancelled)
{
    js *j = js_object();
    js_set(j, "finish", js_new_string(cancelled ? "cancelled" : s->finish));
    js_set(j, "prompt_tokens", js_new_int(s->prompt_tokens));
    js_set(j, "cached_tokens", js_new_int(s->cached_tokens));
    js_set(j, "completion_tokens", js_new_int(s->completion_tokens));
    js_set(j, "mean_logprob", s->n_logprobs ? js_new_double(s->sum_logprob / (double)s->n_logprobs) : js_null());
    js_set(j, "model", js_new_string(s->model));
    js_set(j, "stop", js_new_int(s->stop));
    js_set(j, "context_full", js_new_bool(s->context_full));
    return j;
}

void stream_error_text(const char *data, size_t n, char *out, size_t out_bytes)
{
    js *doc = NULL;
    out[0] = 0;
    if (js_parse(&doc, data, n, "answer", 1, NULL) != OK)
        return;
    const js *e = js_get(doc, "error");
    const js *places[] = { js_get(e, "message"), e, js_get(doc, "message"), js_get(doc, "detail") };
    const char *text = NULL;
    for (size_t i = 0; i < ARRAY_LEN(places) && !text; i++)
        text = js_is(places[i], JS_STRING) ? js_text(places[i]) : NULL;
    size_t len = text ? strlen(text) : 0;
    if (len >= out_bytes)
        len = utf8_complete(text, out_bytes - 1);
    for (size_t i = 0; i < len; i++)
        out[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i];
    out[len] = 0;
    js_free(doc);
}
