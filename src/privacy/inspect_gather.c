/* inspect_gather.c: a request's body as texts to look through, whatever its dialect. It knows no dialect, but the words
 * that all of them share: those would be taken for words beside a number ("text", "call"), and so are set apart. What
 * is not among them is the caller's word, and is looked at. */
#include <stdlib.h>
#include <string.h>

#include "privacy/inspect_int.h"

typedef enum key_kind {
    KEY_OTHER, /* the caller's: looked at, before its value */
    KEY_WORD,  /* the protocol's: only its value is looked at */
    KEY_TAG,   /* its value too is a word of the protocol, if it looks like one */
    KEY_ID,    /* its value is an id, if it looks like one */
    KEY_DATA,  /* within its value there are no more words of the protocol */
    KEY_PARTS, /* its value is a text, or parts of which some may be no text */
    KEY_BLOB,  /* its value is no text */
    KEY_MODEL,
} key_kind;

/* Sorted, for bsearch. */
static const struct protocol_key {
    const char *name;
    key_kind kind;
} protocol_keys[] = {
    { "arguments", KEY_DATA },
    { "audio", KEY_BLOB },
    { "call_id", KEY_ID },
    { "chat_template_kwargs", KEY_DATA },
    { "content", KEY_PARTS },
    { "context", KEY_PARTS },
    { "description", KEY_WORD },
    { "detail", KEY_TAG },
    { "documents", KEY_PARTS },
    { "encoding_format", KEY_TAG },
    { "encrypted_content", KEY_BLOB },
    { "file_data", KEY_BLOB },
    { "file_id", KEY_BLOB },
    { "file_url", KEY_BLOB },
    { "finish_reason", KEY_TAG },
    { "format", KEY_WORD },
    { "frequency_penalty", KEY_WORD },
    { "function", KEY_WORD },
    { "id", KEY_ID },
    { "image", KEY_BLOB },
    { "image_url", KEY_BLOB },
    { "images", KEY_BLOB },
    { "input", KEY_PARTS },
    { "input_audio", KEY_BLOB },
    { "input_schema", KEY_WORD },
    { "instructions", KEY_WORD },
    { "item_id", KEY_ID },
    { "logit_bias", KEY_WORD },
    { "max_completion_tokens", KEY_WORD },
    { "max_output_tokens", KEY_WORD },
    { "max_tokens", KEY_WORD },
    { "messages", KEY_WORD },
    { "metadata", KEY_DATA },
    { "mm_data", KEY_BLOB },
    { "model", KEY_MODEL },
    { "multimodal_data", KEY_BLOB },
    { "name", KEY_WORD },
    { "num_ctx", KEY_WORD },
    { "num_predict", KEY_WORD },
    { "object", KEY_TAG },
    { "options", KEY_WORD },
    { "output", KEY_PARTS },
    { "parallel_tool_calls", KEY_WORD },
    { "parameters", KEY_WORD },
    { "presence_penalty", KEY_WORD },
    { "previous_response_id", KEY_ID },
    { "prompt", KEY_PARTS },
    { "prompt_cache_key", KEY_ID },
    { "properties", KEY_DATA },
    { "query", KEY_WORD },
    { "reasoning", KEY_WORD },
    { "reasoning_content", KEY_WORD },
    { "reasoning_effort", KEY_TAG },
    { "refusal", KEY_WORD },
    { "required", KEY_WORD },
    { "response_format", KEY_WORD },
    { "response_id", KEY_ID },
    { "role", KEY_TAG },
    { "safety_identifier", KEY_ID },
    { "schema", KEY_WORD },
    { "seed", KEY_WORD },
    { "service_tier", KEY_TAG },
    { "status", KEY_TAG },
    { "stop", KEY_WORD },
    { "stop_reason", KEY_TAG },
    { "stop_sequences", KEY_WORD },
    { "store", KEY_WORD },
    { "stream", KEY_WORD },
    { "strict", KEY_WORD },
    { "suffix", KEY_WORD },
    { "summary", KEY_PARTS },
    { "system", KEY_PARTS },
    { "temperature", KEY_WORD },
    { "text", KEY_WORD },
    { "texts", KEY_PARTS },
    { "thinking", KEY_WORD },
    { "tokens", KEY_PARTS },
    { "tool_call_id", KEY_ID },
    { "tool_calls", KEY_WORD },
    { "tool_choice", KEY_TAG },
    { "tool_use_id", KEY_ID },
    { "tools", KEY_WORD },
    { "top_p", KEY_WORD },
    { "type", KEY_TAG },
    { "user", KEY_ID },
    { "user_id", KEY_ID },
};

/* Types of parts that are text all through. */
static const char *const text_parts[] = {
    "text", "input_text", "output_text", "refusal", "tool_use", "tool_result", "thinking", "redacted_thinking",
    "reasoning", "reasoning_text", "summary_text", "message", "function_call", "function_call_output",
    "custom_tool_call", "custom_tool_call_output",
};

enum { ID_MAX = 64, TAG_MAX = 32, NUMBER_MIN = 7, TEXTS_MAX = 64 << 20 };

void gather_init(gather *g, const inspector *i)
{
    *g = (gather){ .i = i, .all = BUF_INIT(TEXTS_MAX), .joined = BUF_INIT(TEXTS_MAX), .ids = BUF_INIT(TEXTS_MAX) };
}

void gather_clear(gather *g)
{
    buf_clear(&g->all);
    buf_clear(&g->joined);
    buf_clear(&g->ids);
}

static int by_name(const void *key, const void *row)
{
    return strcmp(key, ((const struct protocol_key *)row)->name);
}

static key_kind kind_of(const char *key)
{
    const struct protocol_key *k = bsearch(key, protocol_keys, ARRAY_LEN(protocol_keys), sizeof *k, by_name);
    return k ? k->kind : KEY_OTHER;
}

static void unknown(gather *g, const char *what)
{
    if (g->unknown[0])
        return;
    size_t n = 0;
    for (; what[n] && n + 1 < sizeof g->unknown; n++) /* a stranger's word in a header */
        g->unknown[n] = (what[n] >= 'a' && what[n] <= 'z') || what[n] == '_' ? what[n] : '?';
    g->unknown[n] = 0;
    if (!n)
        memcpy(g->unknown, "?", 2);
}

/* ---- lines ---- */

static void end_line(buf *b)
{
    buf_add(b, ";\n", 2);
}

static bool is_exempt(gather *g, const char *text, size_t n)
{
    privacy_class as;
    bool is = declassified_find(g->i->exempt, text, n, &as);
    if (is)
        g->exempt = privacy_class_join(g->exempt, as);
    return is;
}

/* key may be NULL. */
static void add_line(gather *g, const char *key, const char *text, size_t n)
{
    if (key) {
        buf_str(&g->all, key);
        buf_str(&g->all, ": ");
    }
    buf_add(&g->all, text, n);
    end_line(&g->all);
}

void gather_text(gather *g, const char *text, size_t n)
{
    if (!is_exempt(g, text, n))
        add_line(g, NULL, text, n);
}

static bool is_shaped(const char *p, size_t n, const char *others, size_t most)
{
    for (size_t i = 0; i < n; i++)
        if (!((p[i] >= 'a' && p[i] <= 'z') || (p[i] >= 'A' && p[i] <= 'Z') || (p[i] >= '0' && p[i] <= '9')) &&
            (!p[i] || !strchr(others, p[i])))
            return false;
    return n > 0 && n <= most;
}

static bool is_tag(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(p[i] >= 'a' && p[i] <= 'z') && p[i] != '_')
            return false;
    return n > 0 && n <= TAG_MAX;
}

/* The prefix says what kind of id it is; its words would stand beside a number. */
static void add_id(gather *g, const char *p, size_t n)
{
    static const char *const prefixes[] = { "call_", "toolu_", "chatcmpl-", "msg_", "resp_", "fc_", "rs_", "ollama-" };
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        size_t length = strlen(prefixes[i]);
        if (n > length && memcmp(p, prefixes[i], length) == 0) {
            p += length;
            n -= length;
            break;
        }
    }
    buf_add(&g->ids, p, n);
    buf_str(&g->ids, "; z z z z z z;\n"); /* nothing stands beside it */
}

/* ---- values ---- */

typedef struct at {
    const char *key;
    key_kind kind;
    bool data;      /* no words of the protocol any more */
    unsigned nested; /* JSON in texts in JSON */
} at;

static void walk(gather *g, at a, const js *v);

/* A text that is JSON is looked at in both forms. */
static void walk_nested(gather *g, at a, const char *p, size_t n)
{
    js *inner = NULL;
    error ignored;
    size_t skip = strspn(p, " \t\r\n");
    if (skip >= n || (p[skip] != '{' && p[skip] != '[') || js_parse(&inner, p, n, "", 1, &ignored))
        return;
    if (a.nested == INSPECT_JSON_DEPTH)
        unknown(g, "json_in_json");
    else
        walk(g, (at){ .data = true, .nested = a.nested + 1 }, inner);
    js_free(inner);
}

static void walk_text(gather *g, at a, const char *p, size_t n)
{
    if (a.kind == KEY_MODEL) { /* openai:URL#MODEL: what is before is never sent as text */
        const char *hash = memchr(p, '#', n);
        n = hash ? n - (size_t)(hash + 1 - p) : 0;
        p = hash ? hash + 1 : p;
    }
    if ((a.kind == KEY_ID && is_shaped(p, n, "_-.:", ID_MAX)) || (a.kind == KEY_TAG && is_tag(p, n))) {
        add_id(g, p, n);
        return;
    }
    if (n > 5 && memcmp(p, "data:", 5) == 0 && memmem(p, n < 200 ? n : 200, ";base64,", 8))
        unknown(g, "data_url");
    if (is_exempt(g, p, n))
        return;
    add_line(g, a.kind == KEY_OTHER ? a.key : NULL, p, n);
    walk_nested(g, a, p, n);
}

static void walk_number(gather *g, at a, const char *text)
{
    if (a.kind == KEY_PARTS && !a.data)
        unknown(g, "tokens"); /* whoever has the vocabulary reads them */
    if (a.kind == KEY_OTHER || strlen(text) >= NUMBER_MIN)
        add_line(g, a.kind == KEY_OTHER ? a.key : NULL, text, strlen(text));
}

/* The text of a part: itself, or its member `text` or `content`. NULL: it has none. */
static const js *text_of(const js *part)
{
    const js *text = js_is(part, JS_OBJECT) ? js_get(part, "text") : part;
    if (!text && js_is(part, JS_OBJECT))
        text = js_get(part, "content");
    return js_is(text, JS_STRING) ? text : NULL;
}

static void join(gather *g, const js *list)
{
    size_t n = 0;
    for (size_t i = 0; i < js_len(list); i++)
        n += text_of(js_at(list, i)) != NULL;
    if (n < 2)
        return;
    for (size_t i = 0; i < js_len(list); i++) {
        const js *text = text_of(js_at(list, i));
        if (text && !is_exempt(g, js_text(text), js_len(text)))
            buf_add(&g->joined, js_text(text), js_len(text));
    }
    end_line(&g->joined);
}

static void check_part(gather *g, const js *part)
{
    const js *type = js_get(part, "type");
    if (!js_is(part, JS_OBJECT) || !type)
        return;
    for (size_t i = 0; i < ARRAY_LEN(text_parts); i++)
        if (js_is(type, JS_STRING) && strcmp(js_text(type), text_parts[i]) == 0)
            return;
    unknown(g, js_is(type, JS_STRING) ? js_text(type) : "?");
}

static void walk_list(gather *g, at a, const js *list)
{
    for (size_t i = 0; i < js_len(list); i++) {
        const js *v = js_at(list, i);
        if (a.kind == KEY_PARTS && !a.data)
            check_part(g, v);
        walk(g, a, v);
    }
    bool words = a.key && (strcmp(a.key, "enum") == 0 || strcmp(a.key, "required") == 0);
    if (a.kind == KEY_PARTS || (a.data && !words))
        join(g, list);
}

static void walk_object(gather *g, at a, const js *object)
{
    for (js_member m = { 0 }; js_next(object, &m);) {
        at next = { .key = m.key, .data = a.data, .nested = a.nested };
        next.kind = a.data ? KEY_OTHER : kind_of(m.key);
        if (next.kind == KEY_MODEL && (a.key || a.nested))
            next.kind = KEY_WORD;
        bool holds = js_is(m.value, JS_ARRAY) || js_is(m.value, JS_OBJECT);
        if (next.kind == KEY_BLOB && js_len(m.value))
            unknown(g, m.key);
        if (next.kind == KEY_OTHER && (holds || js_is(m.value, JS_BOOL) || js_is(m.value, JS_NULL) || !m.value))
            gather_text(g, m.key, strlen(m.key));
        /* `input` of a task and of a call is an object of the caller's */
        next.data |= next.kind == KEY_DATA || (next.kind == KEY_PARTS && js_is(m.value, JS_OBJECT));
        if (next.kind == KEY_PARTS && strcmp(m.key, "input") != 0)
            check_part(g, m.value);
        walk(g, next, m.value);
    }
}

static void walk(gather *g, at a, const js *v)
{
    switch (js_typeof(v)) {
    case JS_STRING: walk_text(g, a, js_text(v), js_len(v)); break;
    case JS_NUMBER: walk_number(g, a, js_text(v)); break;
    case JS_ARRAY: walk_list(g, a, v); break;
    case JS_OBJECT: walk_object(g, a, v); break;
    default: break;
    }
}

void gather_body(gather *g, const js *body)
{
    walk(g, (at){ .key = NULL }, body);
}
