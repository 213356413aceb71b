/* ollama_embed.c: POST /api/embed (texts) and /api/embeddings (one text, the older way): vectors of length 1. */
#include <string.h>

#include "api/ollama_int.h"
#include "base/str.h"
#include "plat/clock.h"

enum { REPLY_BYTES_MAX = 128 << 20 };

typedef struct embedding {
    http_request *r;
    bool old; /* /api/embeddings */
    js *body;
    const char *said;
    char model[ROUTE_NAME_BYTES];
    request neutral;
    request_embed embed;
    request_input *inputs; /* owned */
    buf vectors; /* one after another */
    uint64_t began_us;
    int64_t tokens;
    double seconds;
    bool done, keep_set;
    double keep_seconds;
} embedding;

static const field embed_fields[] = {
    { "model", FIELD_READ, NULL },    { "name", FIELD_READ, NULL },       { "input", FIELD_READ, NULL },
    { "truncate", FIELD_READ, NULL }, { "dimensions", FIELD_READ, NULL }, { "options", FIELD_READ, NULL },
    { "keep_alive", FIELD_READ, NULL },
};
static const field embeddings_fields[] = {
    { "model", FIELD_READ, NULL },   { "name", FIELD_READ, NULL },       { "prompt", FIELD_READ, NULL },
    { "options", FIELD_READ, NULL }, { "keep_alive", FIELD_READ, NULL },
};

static bool read_call(embedding *c, api_fault *f)
{
    const field *fields = c->old ? embeddings_fields : embed_fields;
    size_t n = c->old ? ARRAY_LEN(embeddings_fields) : ARRAY_LEN(embed_fields);
    const char *name = c->old ? "prompt" : "input";
    int64_t dimensions = 0;
    c->embed.truncate = true; /* Ollama's default, unlike OpenAI's */
    if (!api_read_body(http_body(c->r), fields, n, &c->body, f) ||
        !ollama_read_model(c->body, &c->said, c->model, f) ||
        !ollama_read_keep(c->body, &c->keep_set, &c->keep_seconds, f) ||
        !ollama_read_options(c->body, false, &c->neutral, f) ||
        !api_read_bool(c->body, "truncate", &c->embed.truncate, f) ||
        !api_read_whole(c->body, "dimensions", 0, 1 << 24, &dimensions, f))
        return false;
    if (c->neutral.context)
        return api_refuse(f, FAULT_INVALID, "num_ctx", "'num_ctx' does not limit embeddings here; leave it out");
    if (str_starts(c->model, "task:"))
        return api_refuse(f, FAULT_INVALID, "model", "a task has no embeddings: name a model");
    const js *in = js_get(c->body, name);
    if (c->old && !js_is(in, JS_STRING))
        return api_refuse(f, FAULT_INVALID, name, "'prompt' must be a text");
    if (!openai_read_inputs(in, name, &c->inputs, &c->embed.n_inputs, f))
        return false;
    c->embed.inputs = c->inputs;
    c->embed.dimensions = (uint32_t)dimensions;
    return true;
}

static int on_event(void *user, const event *e)
{
    embedding *c = user;
    if (e->kind == EVENT_VECTOR) {
        buf_str(&c->vectors, c->vectors.len ? "," : "");
        api_add_vector(&c->vectors, e->vector);
    } else if (e->kind == EVENT_DONE) {
        c->done = e->end->finish != ANSWER_CANCELLED;
        c->tokens = e->end->prompt_tokens;
        c->seconds = e->end->total_seconds;
    }
    return c->vectors.failed;
}

/* What stands beside the vectors, to the object's end. */
static void add_members(const embedding *c, buf *out)
{
    buf text = BUF_INIT(8 * ROUTE_NAME_BYTES + 1024);
    double total = (double)(clock_mono_us() - c->began_us) / 1e6;
    js *o = js_object();
    js_set(o, "model", js_new_string(c->said));
    ollama_set_time(o, "total_duration", total);
    ollama_set_time(o, "load_duration", total - c->seconds);
    js_set(o, "prompt_eval_count", js_new_int(c->tokens < 0 ? 0 : c->tokens));
    js_write(o, JS_COMPACT, &text);
    out->failed |= text.failed || !text.len;
    if (text.len)
        buf_str(out, text.data + 1); /* its '{' stands there already */
    buf_clear(&text);
    js_free(o);
}

/* {embeddings, model, total_duration, load_duration, prompt_eval_count}, or {embedding}. */
static void reply(embedding *c)
{
    buf text = BUF_INIT(REPLY_BYTES_MAX);
    if (c->old) {
        buf_str(&text, "{\"embedding\":");
        buf_add(&text, c->vectors.data, c->vectors.len);
        buf_str(&text, "}\n");
    } else {
        buf_str(&text, "{\"embeddings\":[");
        buf_add(&text, c->vectors.data, c->vectors.len);
        buf_str(&text, "],");
        add_members(c, &text);
    }
    if (text.failed || c->vectors.failed)
        http_reply(c->r, 500, "application/json", "{\"error\":\"no memory\"}\n", 22);
    else
        http_reply(c->r, 200, "application/json", buf_text(&text), text.len);
    buf_clear(&text);
}

static void handle(api *a, http_request *r, bool old)
{
    embedding c = { .r = r, .old = old, .said = "", .vectors = BUF_INIT(REPLY_BYTES_MAX), .began_us = clock_mono_us() };
    api_fault f;
    request_init(&c.neutral);
    c.neutral.kind = REQUEST_EMBED;
    c.neutral.embed = &c.embed;
    api_ask ask = { .r = r, .model = c.model, .neutral = &c.neutral, .param = "input", .fn = on_event, .user = &c };
    bool ok = read_call(&c, &f);
    ask.keep_set = c.keep_set;
    ask.keep_s = c.keep_seconds;
    if (!ok || !api_ask_provider(a, &ask, NULL, &f))
        api_reply_fault_as(r, &f, api_ollama_fault_js(&f));
    else if (c.done)
        reply(&c);
    openai_inputs_free(c.inputs, c.embed.n_inputs);
    js_free(c.body);
    buf_clear(&c.vectors);
}

void api_ollama_embed(api *a, http_request *r)
{
    handle(a, r, false);
}

void api_ollama_embeddings(api *a, http_request *r)
{
    handle(a, r, true);
}
