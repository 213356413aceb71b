/* helper.c: the front's side of a helper process.
 *
 *   stopped --helper_start--> running --helper_open--> open --helper_complete--> open
 *      ^                         |                      |          |
 *      +------- helper_stop, or the process died, hung or said what is no message ---+
 *
 * What comes from a helper is checked like what comes from a stranger: a worker reads hostile models. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/utf8.h"
#include "plat/build_id.h"
#include "plat/clock.h"
#include "provider/embed.h"
#include "provider/provider_int.h"

enum { START_MS = 20000, LOAD_QUIET_MS = 120000, SEND_MS = 10000, DRAIN_MS = 5000, TICK_MS = 100, GRACE_MS = 1000 };
enum { TOP_MAX = REQUEST_LOGPROBS_MAX, HEX_ROOM = 1 << 18 };

void helper_stop(helper *h)
{
    if (h->running) {
        msg_link_close(&h->link); /* end of file is the wish to end */
        proc_stop(&h->process, GRACE_MS);
        h->running = false;
    }
}

/* The helper is lost: why, in words; it is reaped. */
static status lost(helper *h, error *err, const error *link_error)
{
    char how[128];
    bool ended = proc_wait(&h->process, GRACE_MS);
    proc_how_ended(&h->process, how, sizeof how);
    status s = ended ? fail(err, E_PROVIDER, "%s %s", h->program, how)
                     : fail(err, E_PROVIDER, "%s: %s", h->program, link_error->text);
    helper_stop(h);
    return s;
}

/* ---- starting ---- */

static status check_hello(helper *h, const msg *m, error *err)
{
    js *j = NULL;
    if (m->type != MSG_HELLO || js_parse(&j, m->data, m->length, h->program, 1, err) != OK)
        return fail(err, E_PROVIDER, "%s: it did not say hello", h->program);
    js_free(h->hello);
    h->hello = j;
    const char *build = js_text(js_get(j, "build"));
    if (!build || strcmp(build, build_id()) != 0)
        return fail(err, E_PROVIDER, "%s is of another build (%.40s, this is %s): install both together", h->program,
                    build ? build : "?", build_id());
    const js *sandbox = js_get(j, "sandbox"), *checks = js_get(sandbox, "checks");
    for (size_t i = 0; i < js_len(checks); i++)
        if (!js_bool(js_get(js_at(checks, i), "denied"), false))
            return fail(err, E_PROVIDER, "%s: the sandbox of this system does not hold: '%.60s' was not denied",
                        h->program, js_text(js_get(js_at(checks, i), "name")));
    return OK;
}

status helper_start(helper *h, error *err)
{
    char path[PROC_PATH_MAX];
    int fd;
    msg m;
    bool got = false;
    error why = { 0 };
    status s = proc_find(path, h->program, err);
    if (!s)
        s = proc_spawn(&h->process, &fd, path, h->keep, err);
    if (s)
        return s == E_NOMEM ? s : E_PROVIDER;
    msg_link_open(&h->link, fd);
    h->running = true;
    h->next_request = 1;
    s = msg_receive(&h->link, &m, &got, START_MS, &why);
    if (s)
        return lost(h, err, &why);
    s = got ? check_hello(h, &m, err) : fail(err, E_PROVIDER, "%s did not start in time", h->program);
    if (s)
        helper_stop(h);
    return s;
}

/* ---- opening ---- */

static status status_of(const char *name)
{
    for (int s = OK; name && s <= E_EXISTS; s++)
        if (strcmp(status_name((status)s), name) == 0)
            return (status)s;
    return E_PROVIDER;
}

static status as_error(const js *j, error *err)
{
    status s = status_of(js_text(js_get(j, "status")));
    const char *text = js_text(js_get(j, "text"));
    return fail(err, s ? s : E_PROVIDER, "%s", text ? text : "it failed without saying why");
}

static status send_js(helper *h, msg_type type, uint32_t id, const js *payload, const int *fds, size_t n_fds,
                      error *err)
{
    buf text = BUF_INIT(MSG_BYTES_MAX);
    js_write(payload, JS_COMPACT, &text);
    status s = payload ? buf_ok(&text, "a message to a helper", err) : fail(err, E_NOMEM, "no memory for a message");
    if (!s)
        s = msg_send(&h->link, type, id, text.data, text.len, fds, n_fds, SEND_MS, err);
    buf_clear(&text);
    return s;
}

status helper_open(helper *h, const js *settings, const int *fds, size_t n_fds, js **opened, error *err)
{
    error why = { 0 };
    status s = send_js(h, MSG_OPEN, 0, settings, fds, n_fds, &why);
    if (s == E_PROVIDER)
        return lost(h, err, &why);
    while (!s) {
        msg m;
        bool got = false;
        js *j = NULL;
        if (msg_receive(&h->link, &m, &got, LOAD_QUIET_MS, &why) != OK)
            return lost(h, err, &why);
        if (!got) {
            s = fail(&why, E_PROVIDER, "%s: opening the model makes no progress", h->program);
        } else if (m.type == MSG_LOADING) {
            continue;
        } else if ((m.type != MSG_OPENED && m.type != MSG_ERROR) ||
                   js_parse(&j, m.data, m.length, h->program, 1, &why) != OK) {
            s = fail(&why, E_PROVIDER, "%s: an answer that is none", h->program);
        } else if (m.type == MSG_ERROR) {
            s = as_error(j, &why);
            js_free(j);
        } else {
            *opened = j;
            return OK;
        }
    }
    helper_stop(h);
    return fail(err, s, "%s", why.text);
}

/* ---- events ---- */

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

/* Reads {id, logprob, hex}; the bytes are appended to room. False: garbage. */
static bool read_alternative(const js *j, event_alternative *out, buf *room, size_t *at)
{
    const char *hex = js_text(js_get(j, "hex"));
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
    *out = (event_alternative){ .id = (int32_t)whole(j, "id", -1), .logprob = real(j, "logprob"), .text_bytes = n / 2 };
    return !room->failed;
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

static bool text_event(call *c, const msg *m)
{
    if (!utf8_valid(m->data, m->length))
        return false;
    if (m->length > 0)
        call_emit(c, &(event){ .kind = m->type == MSG_TEXT ? EVENT_TEXT : EVENT_REASONING, .text = m->data,
                               .text_bytes = m->length });
    return true;
}

static bool done_event(call *c, const js *j)
{
    event_done *e = &c->end;
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
    c->fault.n_prompt = whole(j, "n_prompt", 0);
    c->fault.n_context = whole(j, "n_context", 0);
    c->fault.upstream_status = (int)whole(j, "upstream_status", 0);
    c->fault.retry_after_s = wait > 0 ? wait : 0;
    return as_error(j, err);
}

/* One message of the running request. *over: it was the last. E_PROVIDER: it made no sense. */
static status one_event(helper *h, call *c, const msg *m, bool *over, error *err)
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
    } else if (m->type == MSG_TOKEN) {
        ok = token_event(c, j);
    } else if (m->type == MSG_CALL || m->type == MSG_ARGUMENTS || m->type == MSG_CALL_END) {
        ok = call_event(c, (msg_type)m->type, j);
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

/* Ends a request that the helper still works on: asks, waits a little, then ends the helper. */
static void abandon(helper *h, uint32_t id)
{
    uint64_t deadline = clock_mono_us() + (uint64_t)DRAIN_MS * 1000;
    bool over = msg_send(&h->link, MSG_CANCEL, id, "", 0, NULL, 0, 1000, NULL) != OK;
    while (!over && clock_mono_us() < deadline) {
        msg m;
        bool got;
        if (msg_receive(&h->link, &m, &got, TICK_MS, NULL) != OK)
            break;
        if (got && (m.type == MSG_DONE || m.type == MSG_ERROR) && m.request == id)
            return;
    }
    helper_stop(h);
}

/* Events until the last one. Cancelling: CANCEL is sent once, and the DONE that follows is waited for, so that counts
 * and times of a cancelled answer are known too. */
static status follow(helper *h, uint32_t id, call *c, error *err)
{
    bool asked = false, over = false;
    uint64_t asked_us = 0;
    error why = { 0 };
    while (!over) {
        msg m;
        bool got = false;
        if (c->cancelled && !asked) {
            if (msg_send(&h->link, MSG_CANCEL, id, "", 0, NULL, 0, 1000, &why) != OK)
                break;
            asked = true;
            asked_us = clock_mono_us();
        }
        status s = msg_receive(&h->link, &m, &got, TICK_MS, &why);
        if (s)
            break;
        uint64_t now = clock_mono_us();
        if (asked && now - asked_us > (uint64_t)DRAIN_MS * 1000) {
            helper_stop(h);
            return OK; /* cancelled, though not gracefully */
        }
        const char *late = asked ? NULL : call_overdue(c, now);
        if (late) {
            abandon(h, id);
            return call_fail(c, err, FAULT_TIMEOUT, E_PROVIDER, "%s (%.1f s)", late,
                             (double)(now - c->start_us) * 1e-6);
        }
        if (!got)
            call_wait(c);
        else if (m.request == id && (s = one_event(h, c, &m, &over, err)) != OK) {
            if (!over)
                helper_stop(h);
            return s;
        }
    }
    if (over)
        return OK;
    c->fault.kind = FAULT_CRASHED;
    c->fault_set = true;
    return lost(h, err, &why);
}

status helper_complete(helper *h, const js *payload, call *c, error *err)
{
    error why = { 0 };
    uint32_t id = h->next_request++;
    if (h->next_request == 0)
        h->next_request = 1;
    status s = send_js(h, MSG_COMPLETE, id, payload, NULL, 0, &why);
    if (s == E_PROVIDER) {
        c->fault.kind = FAULT_CRASHED;
        c->fault_set = true;
        return lost(h, err, &why);
    }
    if (s)
        return fail(err, s, "%s", why.text);
    return follow(h, id, c, err);
}
