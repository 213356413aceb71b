/* import_log.c: logs of OpenAI-style requests, as proxies and applications write them, and OpenAI evals. */
#include <stdio.h>
#include <string.h>

#include "task/import_int.h"

/* The first of the members that is there (and not null). */
static const js *either(const js *o, const char *a, const char *b)
{
    const js *v = js_get(o, a);
    return v && js_typeof(v) != JS_NULL ? v : b ? js_get(o, b) : NULL;
}

/* ---- the request ---- */

/* {instructions, input: text | [items]}: the Responses API. */
static status responses_request(importer *im, const js *request, int line, js **out)
{
    const js *input = js_get(request, "input"), *instructions = js_get(request, "instructions");
    js *list = NULL, *whole = js_is(instructions, JS_STRING) ? js_array() : NULL;
    status s = js_is(input, JS_STRING) ? talk_text(im, input, "input", line, &list)
               : (list = js_copy(input)) ? OK : import_no_memory(im);
    if (s || !list) {
        js_free(whole);
        return s;
    }
    if (!s && whole) {
        js *m = js_object();
        bool ok = m && js_set(m, "role", js_new_string("system")) && js_set(m, "content", js_copy(instructions));
        if (!ok)
            js_free(m);
        ok = ok && js_push(whole, m);
        for (size_t i = 0; ok && i < js_len(list); i++)
            ok = js_push(whole, js_copy(js_at(list, i)));
        s = ok ? OK : import_no_memory(im);
    }
    if (!s)
        s = talk_messages(im, whole ? whole : list, line, out);
    js_free(list);
    js_free(whole);
    return s;
}

static bool is_filled(const js *v)
{
    return v && js_typeof(v) != JS_NULL && js_len(v) > 0;
}

/* *out NULL with OK: a problem. *plain: a text to continue. */
static status request_messages(importer *im, const js *record, int line, js **out, bool *plain)
{
    const js *request = either(record, "request", "body"), *body = js_get(request, "body");
    request = js_is(body, JS_OBJECT) ? body : js_is(request, JS_OBJECT) ? request : record;
    const js *messages = js_get(request, "messages"), *prompt = js_get(request, "prompt");
    bool text = false;
    *out = NULL;
    *plain = false;
    if (is_filled(js_get(request, "tools")) || is_filled(js_get(request, "functions")))
        return import_note(im, line, 1, "the request offers tools: that cannot be taken over");
    if (messages)
        return js_is(messages, JS_STRING) ? talk_guess(im, messages, "messages", line, out, &text) /* LiteLLM's */
                                          : talk_messages(im, messages, line, out);
    if (js_is(prompt, JS_ARRAY))
        return talk_messages(im, prompt, line, out);
    if (js_is(prompt, JS_STRING)) {
        *plain = true;
        return talk_text(im, prompt, "prompt", line, out);
    }
    if (js_get(request, "input"))
        return responses_request(im, request, line, out);
    return import_note(im, line, 1, "there are no messages, prompt or input in it");
}

/* ---- the response ---- */

/* The text parts of {output: [{type: message, content: […]}]}. */
static const js *responses_content(const js *response)
{
    const js *output = js_get(response, "output");
    for (size_t i = 0; js_is(output, JS_ARRAY) && i < js_len(output); i++) {
        const js *type = js_get(js_at(output, i), "type");
        if (js_is(type, JS_STRING) && !strcmp(js_text(type), "message"))
            return js_get(js_at(output, i), "content");
    }
    return NULL;
}

static const js *response_content(const js *record)
{
    const js *response = js_get(record, "response"), *body = js_get(response, "body");
    response = js_is(body, JS_OBJECT) ? body : response ? response : record;
    if (js_is(response, JS_STRING))
        return response;
    const js *choice = js_at(js_get(response, "choices"), 0), *message = js_get(choice, "message");
    if (choice)
        return message ? js_get(message, "content") : js_get(choice, "text");
    const js *completion = either(record, "completion", "output");
    if (js_is(completion, JS_STRING))
        return completion;
    if (js_is(completion, JS_OBJECT))
        return js_get(completion, "content");
    return js_is(response, JS_OBJECT) ? responses_content(response) : NULL;
}

/* An assistant's message at the end is the answer of a record without a response (files for fine-tuning). */
static js *last_answer(const js *messages, size_t *n)
{
    const js *last = js_at(messages, js_len(messages) - 1);
    if (strcmp(js_text(js_get(last, "role")), "assistant"))
        return NULL;
    (*n)--;
    return js_copy(js_get(last, "content"));
}

static js *first_of(const js *messages, size_t n)
{
    js *list = js_array();
    bool ok = list != NULL;
    for (size_t i = 0; i < n && ok; i++)
        ok = js_push(list, js_copy(js_at(messages, i)));
    if (!ok) {
        js_free(list);
        return NULL;
    }
    return list;
}

static status log_line(importer *im, void *at, const js *record, int line)
{
    const js *content = response_content(record);
    js *messages = NULL, *answer = NULL;
    bool plain = false;
    status s = request_messages(im, record, line, &messages, &plain);
    if (s || !messages)
        return s;
    size_t n = js_len(messages);
    if (!is_filled(content))
        answer = last_answer(messages, &n);
    if (n < js_len(messages)) {
        js *shorter = first_of(messages, n);
        js_free(messages);
        messages = shorter;
        if (!messages || !answer) {
            js_free(messages);
            js_free(answer);
            return import_no_memory(im);
        }
    }
    if (im->o->expected_from_response && !answer && is_filled(content)) {
        s = talk_content(im, content, "the response", line, &answer);
        if (s || !answer) {
            js_free(messages);
            return s;
        }
    }
    if (!im->o->expected_from_response) {
        js_free(answer);
        answer = NULL;
    }
    return talks_add(im, at, messages, answer, plain, true, line);
}

status import_openai_log(importer *im, const char *text, size_t n)
{
    talks all = { 0 };
    status s = import_lines(im, text, n, log_line, &all);
    if (!s)
        s = talks_finish(im, &all);
    talks_clear(&all);
    return s;
}

/* ---- evals: {"input": text | [messages], "ideal": text | [texts]} ---- */

static bool is_ideal(const js *v)
{
    for (size_t i = 0; js_is(v, JS_ARRAY) && i < js_len(v); i++)
        if (!js_is(js_at(v, i), JS_STRING))
            return false;
    return js_is(v, JS_STRING) || (js_is(v, JS_ARRAY) && js_len(v));
}

static status evals_line(importer *im, void *at, const js *record, int line)
{
    const js *input = js_get(record, "input"), *ideal = js_get(record, "ideal");
    js *messages = NULL;
    bool plain = js_is(input, JS_STRING);
    if (!input)
        return import_note(im, line, 1, "'input' is missing");
    if (ideal && !is_ideal(ideal))
        return import_note(im, line, 1, "'ideal' must be a text or a list of texts");
    status s = plain ? talk_text(im, input, "input", line, &messages)
                     : talk_messages(im, input, line, &messages);
    if (s || !messages)
        return s;
    const js *only = js_is(ideal, JS_ARRAY) && js_len(ideal) == 1 ? js_at(ideal, 0) : ideal;
    js *answer = only ? js_copy(only) : NULL;
    if (only && !answer) {
        js_free(messages);
        return import_no_memory(im);
    }
    return talks_add(im, at, messages, answer, false, false, line);
}

status import_openai_evals(importer *im, const char *text, size_t n)
{
    talks all = { 0 };
    status s = import_lines(im, text, n, evals_line, &all);
    if (!s)
        s = talks_finish(im, &all);
    talks_clear(&all);
    return s;
}
