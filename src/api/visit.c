/* visit.c: see the header. The log's line is one JSON object; prompts and answers are in it only when asked for, and
 * never those of a secret request. */
#include "api/visit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/journal.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "plat/clock.h"

enum { PATH_BYTES = 256, LINE_MAX_BYTES = 1 << 20 };

api_visit *api_visit_begin(api *a, http_request *r)
{
    api_visit *v = mem_zero(sizeof *v);
    if (!v)
        return NULL;
    v->held = key_ring_hold(a->options.keys);
    v->prompt_tokens = v->completion_tokens = -1;
    v->text = (buf)BUF_INIT(VISIT_TEXT_MAX);
    http_set_context(r, v);
    return v;
}

api_visit *api_visit_of(const http_request *r)
{
    return http_context(r);
}

/* ---- in and out ---- */

static bool denied(http_request *r, key_answer why, api_fault *f)
{
    static const char *const texts[] = {
        [KEY_MISSING] = "a key is required: Authorization: Bearer KEY, or x-api-key",
        [KEY_WRONG] = "this key is none of this server's: Authorization: Bearer KEY, or x-api-key",
        [KEY_TWO] = "Authorization and x-api-key hold keys of two names: send one of them",
    };
    http_set(r, "WWW-Authenticate", "Bearer");
    api_refuse(f, FAULT_DENIED, "", "%s", texts[why]);
    f->http = 401;
    return false;
}

static bool limited(const key *who, limit_answer why, double wait_s, api_fault *f)
{
    if (why == LIMIT_TOO_MANY)
        api_refuse(f, FAULT_RATE_LIMITED, "", "the key '%s' has as many requests running as it may have at once",
                   key_name(who));
    else
        api_refuse(f, FAULT_RATE_LIMITED, "", "the key '%s' asks more often than it may; ask again in %.0f s",
                   key_name(who), ceil(wait_s));
    f->retry_after_s = ceil(wait_s);
    return false;
}

bool api_let_in(api *a, http_request *r, api_fault *f)
{
    api_visit *v = api_visit_of(r);
    const key *who;
    double wait_s = 1;
    key_answer found = keys_find(v->held, http_header(r, "Authorization"), http_header(r, "x-api-key"), &who);
    if (found != KEY_GOOD)
        return denied(r, found, f);
    v->who = who;
    limit_answer in = key_enter(a->options.keys, who, clock_mono_us(), &wait_s);
    return in == LIMIT_GO || limited(who, in, wait_s, f);
}

void api_let_out(api *a, http_request *r)
{
    key_leave(a->options.keys, api_visit_of(r)->who);
}

/* ---- for the log ---- */

void api_visit_target(http_request *r, const char *model, const target *t)
{
    api_visit *v = api_visit_of(r);
    snprintf(v->model, sizeof v->model, "%s", model);
    snprintf(v->provider, sizeof v->provider, "%s", t->spec);
    v->privacy = t->privacy;
    memcpy(v->why, t->why, sizeof v->why);
    v->classed = true;
}

static void count(int64_t *sum, int64_t n)
{
    if (n >= 0)
        *sum = (*sum < 0 ? 0 : *sum) + n;
}

void api_visit_event(const api *a, http_request *r, const event *e)
{
    api_visit *v = api_visit_of(r);
    if (e->kind == EVENT_DONE) {
        count(&v->prompt_tokens, e->end->prompt_tokens);
        count(&v->completion_tokens, e->end->completion_tokens);
    } else if (e->kind == EVENT_TEXT && a->options.log_prompts) {
        buf_add(&v->text, e->text, e->text_bytes);
    }
}

/* What strangers sent need not be UTF-8, and may be cut in a character: such bytes are shown as '?'. */
static void add_text(buf *line, const char *name, const char *text, size_t n)
{
    buf clean = BUF_INIT(n);
    uint32_t code;
    for (size_t i = 0, step; i < n; i += step ? step : 1) {
        step = utf8_decode(text + i, n - i, &code);
        buf_add(&clean, step ? text + i : "?", step ? step : 1);
    }
    buf_printf(line, ",\"%s\":", name);
    js_write_string(line, buf_text(&clean), clean.len);
    buf_clear(&clean);
}

static void add_visit(buf *line, const api *a, const api_visit *v, const http_summary *s)
{
    if (v->who)
        add_text(line, "key", key_name(v->who), strlen(key_name(v->who)));
    if (v->classed) {
        add_text(line, "model", v->model, strlen(v->model));
        add_text(line, "provider", v->provider, strlen(v->provider));
        buf_printf(line, ",\"class\":\"%s\"", privacy_class_name(v->privacy));
        add_text(line, "class_reason", v->why, strlen(v->why));
    }
    if (v->prompt_tokens >= 0)
        buf_printf(line, ",\"prompt_tokens\":%lld", (long long)v->prompt_tokens);
    if (v->completion_tokens >= 0)
        buf_printf(line, ",\"completion_tokens\":%lld", (long long)v->completion_tokens);
    if (!a->options.log_prompts || !v->classed || v->privacy == PRIVACY_SECRET)
        return;
    add_text(line, "request", s->body.p, s->body.n < VISIT_TEXT_MAX ? s->body.n : VISIT_TEXT_MAX);
    add_text(line, "answer", buf_text(&v->text), v->text.len);
}

static void write_line(api *a, const api_visit *v, const http_summary *s)
{
    buf line = BUF_INIT(LINE_MAX_BYTES);
    char when[CLOCK_TEXT];
    int64_t now_us = clock_utc_us();
    buf_printf(&line, "{\"time\":\"%.19s.%03dZ\"", clock_utc_text(now_us, when), (int)(now_us / 1000 % 1000));
    add_text(&line, "id", s->id, strlen(s->id));
    add_text(&line, "method", s->method, strnlen(s->method, 32));
    add_text(&line, "path", s->path, strnlen(s->path, PATH_BYTES));
    buf_printf(&line, ",\"status\":%d,\"whole\":%s", s->code, s->whole ? "true" : "false");
    if (v)
        add_visit(&line, a, v, s);
    if (s->first_us)
        buf_printf(&line, ",\"first_ms\":%.3f", (double)s->first_us / 1e3);
    buf_printf(&line, ",\"ms\":%.3f,\"bytes_in\":%llu,\"bytes_out\":%llu}\n", (double)s->total_us / 1e3,
               (unsigned long long)s->body.n, (unsigned long long)s->bytes_out);
    if (!line.failed)
        journal_add(a->options.journal, buf_text(&line), line.len);
    buf_clear(&line);
}

void api_done(void *user, const http_summary *s)
{
    api *a = user;
    api_visit *v = s->context;
    if (a->options.journal)
        write_line(a, v, s);
    if (!v)
        return;
    key_ring_release(a->options.keys, v->held);
    buf_clear(&v->text);
    mem_free(v);
}
