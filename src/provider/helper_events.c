/* helper_events.c: a helper's messages to the events of a call. What makes no sense is not passed on. */
#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "provider/embed.h"
#include "provider/helper_int.h"

enum { TOP_MAX = REQUEST_LOGPROBS_MAX, HEX_ROOM = 1 << 18, PROMPT_MAX = 1 << 21 };

static int64_t whole(const js *j, const char *key, int64_t otherwise)
{
    int64_t v;
    return js_int(js_get(j, key), &v) ? v : otherwise;
}

static double real(const js *j, const char *key)
{
    double v;
    return js_double(js_get(j, key), &v) ? v : NAN;
}

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Appends the bytes and a zero to room, at *at. False: garbage. */
static bool read_bytes(const char *hex, size_t *n_bytes, buf *room, size_t *at)
{
    size_t n = hex ? strlen(hex) : 1;
    if (n % 2)
        return false;
    *at = room->len;
    for (size_t i = 0; i < n; i += 2) {
        int hi = nibble(hex[i]), lo = nibble(hex[i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        buf_char(room, (char)(hi << 4 | lo));
    }
    buf_char(room, 0);
    *n_bytes = n / 2;
    return !room->failed;
}

/* Reads {id, logprob, hex}. */
static bool read_alternative(const js *j, event_alternative *out, buf *room, size_t *at)
{
    *out = (event_alternative){ .id = (int32_t)whole(j, "id", -1), .logprob = real(j, "logprob") };
    return read_bytes(js_text(js_get(j, "hex")), &out->text_bytes, room, at);
}

static bool token_event(call *c, const js *j)
{
    event_alternative all[TOP_MAX + 1];
    size_t at[TOP_MAX + 1];
    buf room = BUF_INIT(HEX_ROOM);
    const js *top = js_get(j, "top");
    size_t n = js_len(top) < TOP_MAX ? js_len(top) : TOP_MAX;
    bool ok = read_alternative(j, &all[0], &room, &at[0]);
    for (size_t i = 0; i < n && ok; i++)
        ok = read_alternative(js_at(top, i), &all[i + 1], &room, &at[i + 1]);
    if (ok) {
        for (size_t i = 0; i <= n; i++)
            all[i].text = room.data + at[i];
        event_token t = { .prompt = js_bool(js_get(j, "prompt"), false), .first = js_bool(js_get(j, "first"), false),
                          .token = all[0], .top = all + 1, .n_top = n };
        call_emit(c, &(event){ .kind = EVENT_TOKEN, .token = &t });
    }
    buf_clear(&room);
    return ok;
}

/* {ids, pieces}: at most a whole prompt, so the arrays grow with the message. */
static bool prompt_event(call *c, const js *j)
{
    const js *ids = js_get(j, "ids"), *pieces = js_get(j, "pieces");
    size_t n = js_len(ids);
    if (n > PROMPT_MAX || js_len(pieces) != n)
        return false;
    event_alternative *tokens = mem_array(n + 1, sizeof *tokens);
    size_t *at = mem_array(n + 1, sizeof *at);
    buf room = BUF_INIT(MSG_BYTES_MAX);
    bool ok = tokens && at;
    for (size_t i = 0; i < n && ok; i++) {
        int64_t id;
        ok = js_int(js_at(ids, i), &id) && id >= 0 && id <= INT32_MAX &&
             read_bytes(js_text(js_at(pieces, i)), &tokens[i].text_bytes, &room, &at[i]);
        tokens[i].id = (int32_t)id;
        tokens[i].logprob = 0;
    }
    if (ok) {
        for (size_t i = 0; i < n; i++)
            tokens[i].text = room.data + at[i];
        call_emit(c, &(event){ .kind = EVENT_PROMPT, .prompt = &(event_prompt){ tokens, n } });
    }
    buf_clear(&room);
    mem_free(tokens);
    mem_free(at);
    return ok;
}

/* CALL, ARGUMENTS, CALL_END. Calls begin in order. */
static bool call_event(call *c, msg_type type, const js *j)
{
    const js *text = js_get(j, "text"), *id = js_get(j, "id"), *name = js_get(j, "name");
    event_call e = { .index = (uint32_t)whole(j, "index", UINT32_MAX),
                     .id = js_is(id, JS_STRING) ? js_text(id) : "",
                     .name = js_is(name, JS_STRING) ? js_text(name) : "",
                     .complete = js_bool(js_get(j, "complete"), false) };
    if (type == MSG_CALL) {
        if (e.index != c->calls || !e.name[0])
            return false;
        c->calls++;
    }
    if (e.index >= c->calls)
        return false;
    event out = { .kind = type == MSG_CALL ? EVENT_CALL : type == MSG_CALL_END ? EVENT_CALL_END : EVENT_ARGUMENTS,
                  .call = &e };
    if (type == MSG_ARGUMENTS) {
        out.text = js_text(text);
        out.text_bytes = js_len(text);
        if (!js_is(text, JS_STRING) || memchr(out.text, 0, out.text_bytes))
            return false;
    }
    call_emit(c, &out);
    return true;
}

/* [[begin, end, label, probability]]; of which text, its reader knows. */
static bool spans_event(call *c, const js *list)
{
    for (size_t i = 0; i < js_len(list); i++) {
        const js *s = js_at(list, i), *label = js_at(s, 2);
        int64_t begin = -1, end = -1;
        double p = NAN;
        bool ok = js_len(s) == 4 && js_int(js_at(s, 0), &begin) && js_int(js_at(s, 1), &end) && begin >= 0 &&
                  end > begin && js_is(label, JS_STRING) && js_double(js_at(s, 3), &p) && p >= 0 && p <= 1;
        if (!ok)
            return false;
        event_span e = { (size_t)begin, (size_t)end, js_text(label), p };
        call_emit(c, &(event){ .kind = EVENT_SPAN, .span = &e });
    }
    return js_is(list, JS_ARRAY);
}

static bool text_event(call *c, const helper_message *m)
{
    if (!utf8_valid(m->data, m->length))
        return false;
    if (m->length > 0)
        call_emit(c, &(event){ .kind = m->type == MSG_TEXT ? EVENT_TEXT : EVENT_REASONING, .text = m->data,
                               .text_bytes = m->length });
    return true;
}

static void read_limits(call *c, const js *limits)
{
    c->requests_left = real(limits, "requests_left");
    c->tokens_left = real(limits, "tokens_left");
    c->limit_s = real(limits, "wait_s");
}

static void read_address(call *c, const js *address)
{
    const char *text = js_is(address, JS_STRING) ? js_text(address) : NULL;
    if (text && strlen(text) < sizeof c->address)
        memcpy(c->address, text, strlen(text) + 1);
}

static bool done_event(call *c, const js *j)
{
    event_done *e = &c->end;
    read_address(c, js_get(j, "address"));
    read_limits(c, js_get(j, "limits"));
    const char *model = js_text(js_get(j, "model"));
    if (model && model[0] && strlen(model) < CALL_MODEL_MAX) {
        memcpy(c->model, model, strlen(model) + 1);
        e->model = c->model;
    }
    if (!answer_finish_parse(js_text(js_get(j, "finish")), &e->finish) || e->finish == ANSWER_ERROR)
        return false;
    e->context_full = js_bool(js_get(j, "context_full"), false);
    int64_t stop = whole(j, "stop", -1);
    e->stop = stop >= 0 && stop < REQUEST_STOPS_MAX ? (int)stop : -1;
    e->prompt_tokens = whole(j, "prompt_tokens", -1);
    e->cached_tokens = whole(j, "cached_tokens", -1);
    e->completion_tokens = whole(j, "completion_tokens", -1);
    e->prefill_seconds = real(j, "prefill_seconds");
    e->decode_seconds = real(j, "decode_seconds");
    e->mean_logprob = real(j, "mean_logprob");
    e->peak_bytes = (uint64_t)whole(j, "peak_bytes", 0);
    return true;
}

static status error_event(call *c, const js *j, error *err)
{
    double wait = real(j, "retry_after");
    if (!fault_kind_parse(js_text(js_get(j, "kind")), &c->fault.kind))
        c->fault.kind = FAULT_UPSTREAM;
    c->fault_set = true;
    c->again = js_bool(js_get(j, "again"), false);
    c->sent = js_bool(js_get(j, "sent"), true);
    read_address(c, js_get(j, "address"));
    read_limits(c, js_get(j, "limits"));
    c->fault.n_prompt = whole(j, "n_prompt", 0);
    c->fault.n_context = whole(j, "n_context", 0);
    c->fault.upstream_status = (int)whole(j, "upstream_status", 0);
    c->fault.retry_after_s = wait > 0 ? wait : 0;
    return helper_error(j, err);
}

status helper_event(const helper *h, call *c, const helper_message *m, bool *over, error *err)
{
    js *j = NULL;
    bool ok = true;
    status s = OK;
    *over = m->type == MSG_DONE || m->type == MSG_ERROR;
    if (m->type == MSG_VECTOR) {
        event_vector v;
        ok = event_vector_read(&v, m->data, m->length);
        if (ok)
            call_emit(c, &(event){ .kind = EVENT_VECTOR, .vector = &v });
    } else if (m->type == MSG_TEXT || m->type == MSG_REASONING) {
        ok = text_event(c, m);
    } else if (js_parse(&j, m->data, m->length, h->program, 1, NULL) != OK) {
        ok = false;
    } else if (m->type == MSG_PREFILL) {
        call_emit(c, &(event){ .kind = EVENT_PREFILL, .done = (uint32_t)whole(j, "done", 0),
                               .total = (uint32_t)whole(j, "total", 0) });
    } else if (m->type == MSG_PROMPT) {
        ok = prompt_event(c, j);
    } else if (m->type == MSG_TOKEN) {
        ok = token_event(c, j);
    } else if (m->type == MSG_CALL || m->type == MSG_ARGUMENTS || m->type == MSG_CALL_END) {
        ok = call_event(c, (msg_type)m->type, j);
    } else if (m->type == MSG_SPANS) {
        ok = spans_event(c, j);
    } else if (m->type == MSG_RELAXED) {
        call_emit(c, &(event){ .kind = EVENT_RELAXED, .relaxed = j });
    } else if (m->type == MSG_DONE) {
        ok = done_event(c, j);
    } else if (m->type == MSG_ERROR) {
        s = error_event(c, j, err);
    } else {
        ok = false;
    }
    js_free(j);
    return ok ? s : call_fail(c, err, FAULT_CRASHED, E_PROVIDER, "%s: a message that makes no sense", h->program);
}
