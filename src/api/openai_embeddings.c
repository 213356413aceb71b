/* openai_embeddings.c: POST /v1/embeddings: texts (or token ids) to vectors of length 1, as numbers or as base64 of
 * little-endian f32. `truncate` is ours: without it a text that is too long is a 400 with the counts. */
#include <stdio.h>
#include <string.h>

#include "api/openai_int.h"
#include "base/str.h"

enum { REPLY_BYTES_MAX = 128 << 20 };

typedef struct embedding_call {
    http_request *r;
    js *body;
    const char *model;
    bool base64;
    request neutral;
    request_embed embed;
    request_input *inputs; /* owned, with their tokens */
    buf data;              /* the objects of `data` so far */
    int64_t tokens;
    bool done;
} embedding_call;

/* ---- reading ---- */

static const field fields[] = {
    { "model", FIELD_READ, NULL },           { "input", FIELD_READ, NULL },    { "encoding_format", FIELD_READ, NULL },
    { "dimensions", FIELD_READ, NULL },      { "truncate", FIELD_READ, NULL }, { "user", FIELD_IGNORED, NULL },
};

static bool read_call(embedding_call *c, api_fault *f)
{
    const char *format = "float";
    int64_t dimensions = 0;
    c->model = "";
    if (!api_read_body(http_body(c->r), fields, ARRAY_LEN(fields), &c->body, f) ||
        !api_read_text(c->body, "model", &c->model, f) || !api_read_text(c->body, "encoding_format", &format, f) ||
        !api_read_bool(c->body, "truncate", &c->embed.truncate, f) ||
        !api_read_whole(c->body, "dimensions", 1, 1 << 24, &dimensions, f) ||
        !openai_read_inputs(js_get(c->body, "input"), "input", &c->inputs, &c->embed.n_inputs, f))
        return false;
    c->embed.inputs = c->inputs;
    if (strcmp(format, "float") != 0 && strcmp(format, "base64") != 0)
        return api_refuse(f, FAULT_INVALID, "encoding_format", "'encoding_format' must be float or base64");
    if (str_starts(c->model, "task:"))
        return api_refuse(f, FAULT_INVALID, "model", "a task has no embeddings: name a model");
    c->base64 = strcmp(format, "base64") == 0;
    c->embed.dimensions = (uint32_t)dimensions;
    return true;
}

/* ---- writing ---- */

static void add_base64(buf *out, const float *v, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    buf_char(out, '"');
    for (size_t at = 0, bytes = 4 * n; at < bytes; at += 3) {
        uint32_t group = 0;
        for (size_t i = 0; i < 3; i++) {
            uint32_t bits = 0;
            if (at + i < bytes)
                memcpy(&bits, &v[(at + i) / 4], 4);
            group = group << 8 | (bits >> (8 * ((at + i) % 4)) & 255);
        }
        for (int i = 0; i < 4; i++)
            buf_char(out, at + (size_t)i > bytes ? '=' : digits[group >> (18 - 6 * i) & 63]);
    }
    buf_char(out, '"');
}

static void add_vector(embedding_call *c, const event_vector *v)
{
    buf_printf(&c->data, "%s{\"object\":\"embedding\",\"index\":%u,\"embedding\":", c->data.len ? "," : "", v->input);
    if (c->base64)
        add_base64(&c->data, v->values, v->n);
    else
        api_add_vector(&c->data, v);
    buf_char(&c->data, '}');
}

static int on_event(void *user, const event *e)
{
    embedding_call *c = user;
    if (e->kind == EVENT_VECTOR) {
        add_vector(c, e->vector);
    } else if (e->kind == EVENT_DONE) {
        c->done = e->end->finish != ANSWER_CANCELLED;
        c->tokens = e->end->prompt_tokens;
    }
    return c->data.failed;
}

static void reply(embedding_call *c)
{
    buf text = BUF_INIT(REPLY_BYTES_MAX);
    buf_str(&text, "{\"object\":\"list\",\"model\":");
    js_write_string(&text, c->model, strlen(c->model));
    buf_str(&text, ",\"data\":[");
    buf_add(&text, c->data.data, c->data.len);
    buf_printf(&text, "],\"usage\":{\"prompt_tokens\":%lld,\"total_tokens\":%lld}}\n", (long long)c->tokens,
               (long long)c->tokens);
    if (text.failed || c->data.failed)
        http_reply(c->r, 500, "text/plain", "no memory\n", 10);
    else
        http_reply(c->r, 200, "application/json", buf_text(&text), text.len);
    buf_clear(&text);
}

/* ---- the walk ---- */

void api_openai_embeddings(api *a, http_request *r)
{
    embedding_call c = { .r = r, .data = BUF_INIT(REPLY_BYTES_MAX) };
    api_fault f;
    request_init(&c.neutral);
    c.neutral.kind = REQUEST_EMBED;
    c.neutral.embed = &c.embed;
    api_ask ask = { .r = r, .neutral = &c.neutral, .param = "input", .fn = on_event, .user = &c };
    bool ok = read_call(&c, &f);
    ask.model = c.model;
    if (!ok || !api_ask_provider(a, &ask, NULL, &f))
        api_reply_fault(r, &f);
    else if (c.done)
        reply(&c);
    openai_inputs_free(c.inputs, c.embed.n_inputs);
    js_free(c.body);
    buf_clear(&c.data);
}
