/* llama_write.c: neutral events as llama-server's completions, whole or in chunks. Lists of tokens are written as text
 * at once: those of a long answer are large. A stream ends with the chunk whose `stop` is true; there is no [DONE]. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/llama_completion.h"
#include "base/utf8.h"
#include "plat/clock.h"

enum { ANSWER_BYTES_MAX = 60 << 20, PING_US = 5000000 };

static const double LOWEST = -3.4028234663852886e38; /* what llama-server says for a probability of 0 */

/* ---- tokens ---- */

/* Of a piece that is cut within a character, what is whole. */
static size_t whole_characters(const char *text, size_t n)
{
    size_t at = 0, step;
    uint32_t code;
    while (at < n && (step = utf8_decode(text + at, n - at, &code)) > 0)
        at += step;
    return at;
}

/* Without the closing brace. */
static void add_alternative(buf *out, const event_alternative *t)
{
    buf_printf(out, "{\"id\":%d,\"token\":", t->id);
    js_write_string(out, t->text, whole_characters(t->text, t->text_bytes));
    buf_str(out, ",\"bytes\":[");
    for (size_t i = 0; i < t->text_bytes; i++)
        buf_printf(out, "%s%u", i ? "," : "", (unsigned char)t->text[i]);
    buf_str(out, "],\"logprob\":");
    js_write_double(out, isfinite(t->logprob) ? t->logprob : LOWEST);
}

static void on_token(llama_answer *a, const event_token *t)
{
    a->drawn++;
    if (a->call->return_tokens)
        buf_printf(&a->tokens, "%s%d", a->tokens.len ? "," : "", t->token.id);
    if (!a->call->probabilities)
        return;
    buf *out = &a->probabilities;
    buf_str(out, out->len ? "," : "");
    add_alternative(out, &t->token);
    buf_str(out, ",\"top_logprobs\":[");
    for (size_t i = 0; i < t->n_top; i++) {
        buf_str(out, i ? "," : "");
        add_alternative(out, &t->top[i]);
        buf_char(out, '}');
    }
    buf_str(out, "]}");
}

static void add_list(buf *out, const char *name, const buf *items)
{
    buf_printf(out, ",\"%s\":[", name);
    buf_add(out, buf_text(items), items->len);
    buf_char(out, ']');
    out->failed |= items->failed;
}

/* ---- streamed ---- */

static void send_bytes(llama_answer *a, const char *bytes, size_t n)
{
    if (!http_begun(a->r))
        api_begin_events(a->r);
    a->broken |= http_write(a->r, bytes, n) != OK;
    a->last_us = clock_mono_us();
}

/* Sends and clears it. */
static void send_chunk(llama_answer *a, buf *chunk)
{
    buf_str(chunk, "\n\n");
    a->full |= chunk->failed;
    if (!a->broken && !chunk->failed)
        send_bytes(a, buf_text(chunk), chunk->len);
    buf_clear(chunk);
}

/* What has come since the last chunk; afterwards nothing has. */
static void send_piece(llama_answer *a)
{
    buf chunk = BUF_INIT(ANSWER_BYTES_MAX);
    buf_printf(&chunk, "data: {\"index\":%zu,\"content\":", a->prompt);
    js_write_string(&chunk, buf_text(&a->text), a->text.len);
    add_list(&chunk, "tokens", &a->tokens);
    buf_printf(&chunk, ",\"stop\":false,\"id_slot\":-1,\"tokens_predicted\":%lld,\"tokens_evaluated\":%lld",
               (long long)a->drawn, (long long)a->prompt_tokens);
    if (a->probabilities.len)
        add_list(&chunk, "completion_probabilities", &a->probabilities);
    buf_char(&chunk, '}');
    send_chunk(a, &chunk);
    buf_reset(&a->text);
    buf_reset(&a->tokens);
    buf_reset(&a->probabilities);
}

/* ---- the end of an answer ---- */

static void set_time(js *o, const char *n_name, const char *prefix, int64_t n, double seconds)
{
    char name[48];
    const double ms = seconds > 0 ? seconds * 1e3 : 0, count = n > 0 ? (double)n : 0;
    const struct {
        const char *suffix;
        double value;
    } members[] = { { "_ms", ms },
                    { "_per_token_ms", count > 0 ? ms / count : 0 },
                    { "_per_second", ms > 0 ? count / ms * 1e3 : 0 } };
    js_set(o, n_name, js_new_int(n > 0 ? n : 0));
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        snprintf(name, sizeof name, "%s%s", prefix, members[i].suffix);
        js_set(o, name, js_new_double(members[i].value));
    }
}

static js *timings_js(const event_done *end)
{
    js *o = js_object();
    int64_t cached = end->cached_tokens > 0 ? end->cached_tokens : 0;
    js_set(o, "cache_n", js_new_int(cached));
    set_time(o, "prompt_n", "prompt", end->prompt_tokens - cached, end->prefill_seconds);
    set_time(o, "predicted_n", "predicted", end->completion_tokens, end->decode_seconds);
    return o;
}

static void set_stop(const llama_answer *a, js *o, const event_done *end)
{
    const request_sampling *s = &a->call->neutral.sampling;
    bool word = end->finish == ANSWER_STOP && end->stop >= 0 && (size_t)end->stop < s->n_stops;
    js_set(o, "stop_type", js_new_string(word ? "word" : end->finish == ANSWER_LENGTH ? "limit" : "eos"));
    js_set(o, "stopping_word", js_new_string(word ? s->stops[end->stop] : ""));
}

static js *prompt_js(const llama_answer *a)
{
    const llama_prompt *p = &a->call->prompts[a->prompt];
    return p->n == 1 && p->parts[0].text ? js_new_string(p->parts[0].text)
                                         : js_new_stringn(buf_text(&a->written), a->written.len);
}

/* All but the lists. */
static js *final_js(const llama_answer *a, const event_done *end)
{
    js *o = js_object();
    js_set(o, "index", js_new_int((int64_t)a->prompt));
    js_set(o, "content", a->call->stream ? js_new_string("") : js_new_stringn(buf_text(&a->text), a->text.len));
    js_set(o, "id_slot", js_new_int(-1));
    js_set(o, "stop", js_new_bool(true));
    js_set(o, "model", js_new_string(a->call->model[0] ? a->call->model : end->model));
    js_set(o, "tokens_predicted", js_new_int(end->completion_tokens));
    js_set(o, "tokens_evaluated", js_new_int(end->prompt_tokens));
    js_set(o, "generation_settings", llama_settings_js(a->call));
    js_set(o, "prompt", prompt_js(a));
    js_set(o, "has_new_line", js_new_bool(a->new_line));
    js_set(o, "truncated", js_new_bool(end->context_full));
    set_stop(a, o, end);
    js_set(o, "tokens_cached", js_new_int(end->cached_tokens > 0 ? end->cached_tokens : 0));
    js_set(o, "timings", timings_js(end));
    return o;
}

static bool is_wanted(const llama_call *c, const char *name)
{
    for (size_t i = 0; i < js_len(c->fields); i++)
        if (api_is_text(js_at(c->fields, i), name))
            return true;
    return !c->fields;
}

/* "timings/prompt_n": the member of a member, under this whole name. */
static const js *find(const js *o, const char *path)
{
    char name[256];
    const char *slash;
    for (; o && (slash = strchr(path, '/')); path = slash + 1) {
        snprintf(name, sizeof name, "%.*s", (int)(slash - path), path);
        o = js_get(o, name);
    }
    return js_get(o, path);
}

/* Takes o. */
static js *select_fields(const llama_call *c, js *o)
{
    if (!c->fields)
        return o;
    js *picked = js_object();
    for (size_t i = 0; i < js_len(c->fields); i++) {
        const char *path = js_text(js_at(c->fields, i));
        const js *v = find(o, path);
        if (v)
            js_set(picked, path, js_copy(v));
    }
    js_free(o);
    return picked;
}

static void add_final(llama_answer *a, const event_done *end, buf *out)
{
    const buf none = BUF_INIT(1);
    js *o = select_fields(a->call, final_js(a, end));
    size_t begin = out->len;
    js_write(o, JS_COMPACT, out);
    js_free(o);
    if (out->failed)
        return;
    out->len--; /* the closing brace */
    if (is_wanted(a->call, "tokens"))
        add_list(out, "tokens", a->call->stream ? &none : &a->tokens);
    if (!a->call->stream && a->call->probabilities && is_wanted(a->call, "completion_probabilities"))
        add_list(out, "completion_probabilities", &a->probabilities);
    if (!out->failed && out->data[begin + 1] == ',') /* the lists stand alone */
        out->data[begin + 1] = ' ';
    buf_char(out, '}');
}

static void on_done(llama_answer *a, const event_done *end)
{
    a->complete = end->finish != ANSWER_CANCELLED;
    if (!a->complete)
        return;
    if (!a->call->stream) {
        buf_str(&a->replies, a->replies.len ? "," : "");
        add_final(a, end, &a->replies);
        a->full |= a->replies.failed;
        return;
    }
    if (a->text.len || a->tokens.len)
        send_piece(a);
    buf chunk = BUF_INIT(ANSWER_BYTES_MAX);
    buf_str(&chunk, "data: ");
    add_final(a, end, &chunk);
    send_chunk(a, &chunk);
}

/* ---- events ---- */

int llama_answer_event(void *user, const event *e)
{
    llama_answer *a = user;
    if (e->kind == EVENT_TOKEN) {
        on_token(a, e->token);
    } else if (e->kind == EVENT_TEXT) {
        a->new_line = a->new_line || memchr(e->text, '\n', e->text_bytes);
        buf_add(&a->text, e->text, e->text_bytes);
        if (a->call->stream)
            send_piece(a);
    } else if (e->kind == EVENT_PREFILL) {
        a->prompt_tokens = e->total;
    } else if (e->kind == EVENT_DONE) {
        on_done(a, e->end);
    }
    /* a comment keeps proxies and clients from giving up while a long prompt is read */
    if (a->call->stream && e->kind != EVENT_DONE && clock_mono_us() - a->last_us >= PING_US)
        send_bytes(a, ":\n\n", 3);
    a->full |= a->text.failed || a->tokens.failed || a->probabilities.failed;
    return a->broken || a->full;
}

bool llama_answer_end(llama_answer *a)
{
    if (a->full)
        return api_refuse(&a->fault, FAULT_INVALID, "prompt", "the answer would be larger than %d MiB, or than the "
                          "memory that is left: ask for fewer prompts or probabilities at a time",
                          ANSWER_BYTES_MAX >> 20);
    if (a->broken || !a->complete || a->call->stream)
        return true; /* nobody is there any more, or all is said */
    buf reply = BUF_INIT(ANSWER_BYTES_MAX + 16);
    buf_str(&reply, a->call->many ? "[" : "");
    buf_add(&reply, buf_text(&a->replies), a->replies.len);
    buf_str(&reply, a->call->many ? "]\n" : "\n");
    bool ok = !reply.failed || api_no_memory(&a->fault);
    if (ok)
        http_reply(a->r, 200, "application/json", buf_text(&reply), reply.len);
    buf_clear(&reply);
    return ok;
}

void llama_answer_fault(llama_answer *a)
{
    if (!http_begun(a->r))
        llama_reply_fault(a->r, &a->fault);
    else if (!a->broken)
        a->broken = !api_write_js(a->r, "data: ", api_llama_fault_js(&a->fault), "\n\n");
}

void llama_answer_begin(llama_answer *a)
{
    buf_reset(&a->text);
    buf_reset(&a->tokens);
    buf_reset(&a->probabilities);
    a->new_line = a->complete = false;
    a->drawn = a->prompt_tokens = 0;
}

void llama_answer_init(llama_answer *a, http_request *r, const llama_call *call)
{
    const buf empty = BUF_INIT(ANSWER_BYTES_MAX);
    *a = (llama_answer){ .r = r, .call = call, .ids = empty, .written = empty, .text = empty, .tokens = empty,
                         .probabilities = empty, .replies = empty, .last_us = clock_mono_us() };
}

void llama_answer_clear(llama_answer *a)
{
    buf *const all[] = { &a->ids, &a->written, &a->text, &a->tokens, &a->probabilities, &a->replies };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        buf_clear(all[i]);
}
