/* stream_anthropic.c: Anthropic's messages, streamed or whole, to hearth's events.
 *
 *   message_start, then blocks one after another (content_block_start, its deltas, content_block_stop), message_delta
 *   with the reason of the end and the counts, message_stop; pings and events that are not known mean nothing.
 * Counts: a prompt's tokens are those that were read, written to the cache and taken from it, together. */
#include <string.h>

#include "egress/stream_int.h"

enum { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING, BLOCK_CALL, BLOCK_OTHER };

static bool is_word(const js *v, const char *word)
{
    return js_is(v, JS_STRING) && strcmp(js_text(v), word) == 0;
}

/* ---- usage, the end ---- */

static void read_usage(stream *s, const js *u)
{
    static const char *const parts[] = { "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens" };
    int64_t sum = 0, v;
    if (js_int(js_get(u, "output_tokens"), &v) && v >= 0)
        s->completion_tokens = v;
    if (!js_int(js_get(u, "input_tokens"), &v))
        return;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (js_int(js_get(u, parts[i]), &v) && v >= 0 && v <= INT32_MAX)
            sum += v;
    s->prompt_tokens = sum;
    if (js_int(js_get(u, "cache_read_input_tokens"), &v) && v >= 0 && v <= sum)
        s->cached_tokens = v;
}

static void read_stop(stream *s, const js *text)
{
    for (size_t i = 0; js_is(text, JS_STRING) && i < js_len(s->stops); i++)
        if (js_equal(js_at(s->stops, i), text))
            s->stop = (int)i;
}

/* holder: message_delta's delta, or a whole message. */
static status read_finish(stream *s, const js *holder, error *err)
{
    static const struct {
        const char *theirs, *ours, *refusal;
    } reasons[] = {
        { "end_turn", "stop", NULL },
        { "stop_sequence", "stop", NULL },
        { "max_tokens", "length", NULL },
        { "model_context_window_exceeded", "length", NULL },
        { "tool_use", "tool_calls", stream_calls_unasked },
        { "refusal", NULL, "the provider declined to answer (stop_reason refusal)" },
        { "pause_turn", NULL, "the provider paused for tools of its own, which were not asked for" },
    };
    const js *f = js_get(holder, "stop_reason");
    if (!f || js_is(f, JS_NULL))
        return OK;
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (!is_word(f, reasons[i].theirs))
            continue;
        if (!reasons[i].ours || (reasons[i].refusal && !s->want_calls))
            return fail(err, E_PROVIDER, "%s", reasons[i].refusal);
        s->finish = reasons[i].ours;
        s->finished = true;
        s->context_full = i == 3;
        read_stop(s, js_get(holder, "stop_sequence"));
        return stream_end_calls(s, err);
    }
    return fail(err, E_PROVIDER, "the provider ended with an unknown stop_reason");
}

/* ---- blocks ---- */

static status open_block(stream *s, const js *block, error *err)
{
    static const struct {
        const char *type;
        int kind;
        const char *text;
    } kinds[] = { { "text", BLOCK_TEXT, "text" },
                  { "thinking", BLOCK_THINKING, "thinking" },
                  { "redacted_thinking", BLOCK_OTHER, NULL },
                  { "tool_use", BLOCK_CALL, NULL } };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!is_word(js_get(block, "type"), kinds[i].type))
            continue;
        s->block = kinds[i].kind;
        s->block_empty = true;
        if (s->block == BLOCK_CALL)
            return s->want_calls ? stream_begin_call(s, js_get(block, "id"), js_get(block, "name"), err)
                                 : fail(err, E_PROVIDER, "%s", stream_calls_unasked);
        return kinds[i].text ? stream_text(s, s->block == BLOCK_THINKING, js_get(block, kinds[i].text), err) : OK;
    }
    return fail(err, E_PROVIDER, "the provider sent a block of a type that was not asked for");
}

static status add_delta(stream *s, const js *delta, error *err)
{
    const js *type = js_get(delta, "type"), *part = js_get(delta, "partial_json");
    if (s->block == BLOCK_TEXT && is_word(type, "text_delta"))
        return stream_text(s, false, js_get(delta, "text"), err);
    if (s->block == BLOCK_THINKING && is_word(type, "thinking_delta"))
        return stream_text(s, true, js_get(delta, "thinking"), err);
    if (is_word(type, "signature_delta") || is_word(type, "citations_delta") || s->block == BLOCK_OTHER)
        return OK;
    if (s->block != BLOCK_CALL || !is_word(type, "input_json_delta"))
        return fail(err, E_PROVIDER, "the provider sent a delta that does not go with its block");
    s->block_empty = s->block_empty && !js_len(part);
    return stream_arguments(s, s->calls - 1, part, err);
}

/* A call without arguments has none of the deltas; its arguments are an empty object all the same. */
static status close_block(stream *s, error *err)
{
    status r = OK;
    if (s->block == BLOCK_CALL && s->block_empty) {
        js *none = js_new_string("{}");
        r = stream_arguments(s, s->calls - 1, none, err);
        js_free(none);
    }
    s->block = BLOCK_NONE;
    return r;
}

/* ---- events ---- */

static status on_block(stream *s, const js *doc, error *err)
{
    const js *type = js_get(doc, "type");
    int64_t index = -1;
    if (s->finished)
        return fail(err, E_PROVIDER, "the provider went on after it had finished");
    if (!js_int(js_get(doc, "index"), &index) || index < 0)
        return fail(err, E_PROVIDER, "the provider sent a block without an index");
    if (is_word(type, "content_block_start")) {
        if (s->block != BLOCK_NONE)
            return fail(err, E_PROVIDER, "the provider began a block inside of another");
        s->block_index = index;
        return open_block(s, js_get(doc, "content_block"), err);
    }
    if (s->block == BLOCK_NONE || index != s->block_index)
        return fail(err, E_PROVIDER, "the provider sent a part of a block that is not open");
    return is_word(type, "content_block_delta") ? add_delta(s, js_get(doc, "delta"), err) : close_block(s, err);
}

/* The kinds of error that are faults of their own. */
static status check_error(stream *s, const js *doc, const char *data, size_t n, error *err)
{
    static const struct {
        const char *type, *fault;
    } types[] = { { "overloaded_error", "busy" },
                  { "rate_limit_error", "rate-limited" },
                  { "invalid_request_error", "invalid" },
                  { "not_found_error", "not-found" } };
    status r = stream_check_error(doc, data, n, err);
    for (size_t i = 0; r && i < ARRAY_LEN(types); i++)
        if (is_word(js_get(js_get(doc, "error"), "type"), types[i].type))
            s->fault = types[i].fault;
    return r;
}

static status parse(stream *s, js **doc, const char *data, size_t n, error *err)
{
    error why;
    if (js_parse(doc, data, n, "answer", 1, &why) != OK)
        return fail(err, E_PROVIDER, "the provider sent what is no JSON (%.200s)", why.text);
    return check_error(s, *doc, data, n, err);
}

status stream_anthropic_event(stream *s, const char *data, size_t n, error *err)
{
    js *doc = NULL;
    status r = parse(s, &doc, data, n, err);
    const js *type = js_get(doc, "type"), *message = js_get(doc, "message");
    if (r || s->ended) {
        js_free(doc);
        return r;
    }
    if (!js_is(type, JS_STRING)) {
        r = fail(err, E_PROVIDER, "the provider sent an event without a type");
    } else if (is_word(type, "message_start")) {
        stream_model(s, js_get(message, "model"));
        read_usage(s, js_get(message, "usage"));
    } else if (strncmp(js_text(type), "content_block_", 14) == 0) {
        r = on_block(s, doc, err);
    } else if (is_word(type, "message_delta")) {
        read_usage(s, js_get(doc, "usage"));
        r = read_finish(s, js_get(doc, "delta"), err);
    } else if (is_word(type, "message_stop")) {
        s->ended = true;
    }
    js_free(doc);
    return r;
}

static status whole_call(stream *s, const js *block, error *err)
{
    const js *input = js_get(block, "input");
    buf text = BUF_INIT(STREAM_ANSWER_MAX);
    js_write(input, JS_COMPACT, &text);
    js *arguments = js_is(input, JS_OBJECT) && !text.failed ? js_new_string(buf_text(&text)) : NULL;
    status r = arguments ? stream_arguments(s, s->calls - 1, arguments, err)
                         : fail(err, E_PROVIDER, "the provider sent a tool call without an input");
    buf_clear(&text);
    js_free(arguments);
    return r;
}

status stream_anthropic_whole(stream *s, const char *data, size_t n, error *err)
{
    js *doc = NULL;
    status r = parse(s, &doc, data, n, err);
    const js *content = js_get(doc, "content");
    if (!r && !js_is(content, JS_ARRAY))
        r = fail(err, E_PROVIDER, "the provider sent a message without content");
    stream_model(s, js_get(doc, "model"));
    read_usage(s, js_get(doc, "usage"));
    for (size_t i = 0; !r && i < js_len(content); i++) {
        r = open_block(s, js_at(content, i), err);
        if (!r && s->block == BLOCK_CALL)
            r = whole_call(s, js_at(content, i), err);
        s->block = BLOCK_NONE;
    }
    if (!r)
        r = read_finish(s, doc, err);
    js_free(doc);
    return r;
}
