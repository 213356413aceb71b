/* ask.c: one case put to a provider. A provider is a stranger: its text must be UTF-8 and bounded, its counts and times
 * plausible against our own clock, its model the one it was opened as; an answer that ends without having said so, or
 * that comes from another model, is no answer. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "measure/crew.h"
#include "plat/clock.h"
#include "privacy/privacy.h"

enum { CALLS_MAX = 1024 };

typedef struct listening {
    arm *s;
    const crew *c;
    reply *out;
    uint64_t began_us, first_us; /* first_us 0: no text yet */
    uint32_t timeout_ms;
    bool timed_out, stopped, too_long, done, model_differs;
    js *calls;                   /* NULL: none yet */
    buf arguments;               /* of the call that is being made, JSON as text */
    event_done end;              /* numbers only */
} listening;

static bool differs(const char *said, const char *known)
{
    return said && said[0] && known && known[0] && strcmp(said, known) != 0;
}

static void hear_text(listening *x, const event *e)
{
    if (!x->first_us && e->text_bytes)
        x->first_us = clock_mono_us();
    buf_add(&x->out->text, e->text, e->text_bytes);
    x->too_long = x->out->text.failed;
}

/* ---- calls: the answer becomes the text of a JSON list [{"name", "arguments"}] ---- */

/* Arguments that are no JSON stay what they are, a text: graders call them malformed. */
static bool end_arguments(listening *x)
{
    js *call = js_at(x->calls, js_len(x->calls) - 1), *arguments = NULL;
    const char *text = buf_text(&x->arguments);
    if (!call || js_get(call, "arguments"))
        return true;
    if (!x->arguments.len)
        arguments = js_object();
    else if (js_parse(&arguments, text, x->arguments.len, "arguments", 1, NULL) != OK)
        arguments = js_new_stringn(text, x->arguments.len);
    buf_reset(&x->arguments);
    return js_set(call, "arguments", arguments);
}

static void hear_call(listening *x, const event *e)
{
    js *call = js_object();
    bool ok = x->calls || (x->calls = js_array());
    ok = ok && (!js_len(x->calls) || end_arguments(x));
    ok = js_set(call, "name", js_new_string(e->call->name)) && ok;
    ok = js_push(x->calls, call) && ok;
    if (!x->first_us)
        x->first_us = clock_mono_us();
    x->too_long = x->too_long || !ok || js_len(x->calls) > CALLS_MAX;
}

static void hear_arguments(listening *x, const event *e)
{
    buf_add(&x->arguments, e->text, e->text_bytes);
    x->too_long = x->too_long || x->arguments.failed;
}

/* In place of what text there was around them. */
static void write_calls(listening *x)
{
    if (!x->calls)
        return;
    if (!end_arguments(x))
        x->too_long = true;
    buf_reset(&x->out->text);
    js_write(x->calls, JS_CANONICAL, &x->out->text);
    x->too_long = x->too_long || x->out->text.failed;
}

static void hear_end(listening *x, const event *e)
{
    x->done = true;
    x->end = *e->end;
    const provider_info *who = x->s->who;
    if (who->kind == PROVIDER_LOCAL)
        x->model_differs = differs(e->end->model_digest, who->model_digest) ||
                           differs(e->end->numerics, who->numerics);
}

static int hear(void *user, const event *e)
{
    listening *x = user;
    switch (e->kind) {
    case EVENT_TEXT: hear_text(x, e); break;
    case EVENT_CALL: hear_call(x, e); break;
    case EVENT_ARGUMENTS: hear_arguments(x, e); break;
    case EVENT_DONE: hear_end(x, e); return 0;
    case EVENT_ERROR:
        snprintf(x->out->kind, sizeof x->out->kind, "%s", fault_kind_name(e->error->kind));
        x->out->denied = e->error->kind == FAULT_DENIED;
        return 0;
    case EVENT_PREFILL:
        atomic_store(&x->s->prefill_done, e->done);
        atomic_store(&x->s->prefill_total, e->total);
        break;
    default: break;
    }
    if (crew_cancelled(x->c))
        x->stopped = true;
    if (clock_mono_us() - x->began_us > (uint64_t)x->timeout_ms * 1000 + 2000000) /* the provider should have, itself */
        x->timed_out = true;
    return x->stopped || x->timed_out || x->too_long;
}

static int64_t micros(double seconds, uint64_t most_us)
{
    if (!(seconds >= 0) || seconds * 1e6 > (double)most_us)
        return -1;
    return (int64_t)(seconds * 1e6);
}

static int64_t count_or_unknown(int64_t n)
{
    return n >= 0 && n <= 1 << 30 ? n : -1;
}

/* Our own clock is the judge: what a provider says of its times must fit into it. */
static void set_numbers(listening *x, uint64_t total_us)
{
    ledger_answer *a = &x->out->row;
    const event_done *d = &x->end;
    uint64_t most = total_us + total_us / 20 + 10000;
    a->finish = answer_finish_name(d->finish);
    a->n_prompt = count_or_unknown(d->prompt_tokens);
    a->n_output = count_or_unknown(d->completion_tokens);
    a->n_cached = count_or_unknown(d->cached_tokens);
    a->prefill_us = micros(d->prefill_seconds, most);
    a->decode_us = micros(d->decode_seconds, most);
    if (a->prefill_us >= 0 && a->decode_us >= 0 && (uint64_t)(a->prefill_us + a->decode_us) > most)
        a->prefill_us = a->decode_us = -1;
    a->ttft_us = micros(d->ttft_seconds, most);
    if (a->ttft_us < 0 && x->first_us)
        a->ttft_us = (int64_t)(x->first_us - x->began_us);
    a->total_us = (int64_t)total_us;
    if (x->s->who->kind == PROVIDER_REPLAY) { /* our clock would say how fast a file is read */
        a->prefill_us = micros(d->prefill_seconds, UINT32_MAX * 1000ull);
        a->decode_us = micros(d->decode_seconds, UINT32_MAX * 1000ull);
        a->ttft_us = -1;
        a->total_us = a->prefill_us >= 0 && a->decode_us >= 0 ? a->prefill_us + a->decode_us : -1;
    }
    a->mean_logprob = isfinite(d->mean_logprob) ? d->mean_logprob : NAN;
    x->out->peak_bytes = d->peak_bytes;
}

static status failure(reply *out, const char *kind, status code, error *err, const char *sentence)
{
    snprintf(out->kind, sizeof out->kind, "%s", kind);
    return fail(err, code, "%s", sentence);
}

static status judge(listening *x, status answered, error *err)
{
    reply *out = x->out;
    uint64_t total_us = clock_mono_us() - x->began_us;
    bool called = x->end.finish == ANSWER_TOOL_CALLS && x->s->t->tools;
    write_calls(x);
    if (x->stopped)
        return fail(err, E_CANCELLED, "stopped");
    if (x->timed_out)
        return failure(out, "timeout", E_PROVIDER, err, "the provider hung: no end of its answer in time");
    if (x->too_long)
        return failure(out, "garbage", E_PROVIDER, err, "the provider's answer has no end: over 8 MiB");
    if (answered) {
        if (!out->kind[0])
            snprintf(out->kind, sizeof out->kind, "%s", status_name(answered));
        return answered;
    }
    if (!x->done || (x->end.finish != ANSWER_STOP && x->end.finish != ANSWER_LENGTH && !called))
        return failure(out, "garbage", E_PROVIDER, err, "the provider's answer broke off without an end");
    if (x->model_differs)
        return failure(out, "wrong-model", E_PROVIDER, err, "the answer came from another model than was opened");
    if (!utf8_valid(buf_text(&out->text), out->text.len) || memchr(buf_text(&out->text), 0, out->text.len))
        return failure(out, "garbage", E_PROVIDER, err, "the provider's answer is not UTF-8 text");
    set_numbers(x, total_us);
    return OK;
}

static void set_request(arm *s, const task_case *c, uint32_t repeat, const task_messages *m, request *r)
{
    const task_sampling *p = &s->t->sampling;
    request_init(r);
    r->privacy = s->t->synthetic && s->who->place != PLACE_LOCAL ? PRIVACY_PUBLIC : s->t->privacy;
    r->synthetic = s->t->synthetic;
    r->task = s->t->id;
    r->case_id = c->id;
    r->scope = s->t->id; /* the cases of a task share its prompt's prefix, as its requests will when it is served */
    if (m->plain && !s->who->has_template && !s->t->tools) {
        r->kind = REQUEST_TEXT;
        r->text = m->items[0].content;
    } else {
        r->kind = REQUEST_CHAT;
        r->messages = (const request_message *)m->items; /* two pointers each: asserted below */
        r->n_messages = m->n;
    }
    r->tools = s->t->tools;
    r->tool_choice = (request_tool_choice)s->t->tool_choice; /* the same order: asserted below */
    r->tool_name = s->t->tool_name;
    r->one_call = s->t->one_call;
    if (s->t->schema && s->who->kind == PROVIDER_LOCAL) { /* enforced here; what others answer is graded by it */
        r->shape = SHAPE_SCHEMA;
        r->schema = s->t->schema;
        r->relaxed = true;
    }
    r->sampling.temperature = p->temperature;
    r->sampling.max_tokens = (uint32_t)p->max_tokens;
    r->sampling.seed = (uint64_t)p->seed + repeat;
    r->sampling.seed_set = true;
    for (size_t i = 0; i < p->n_stop && i < REQUEST_STOPS_MAX; i++)
        r->sampling.stops[r->sampling.n_stops++] = p->stop[i];
}
_Static_assert(sizeof(task_message) == sizeof(request_message) &&
                   offsetof(task_message, content) == offsetof(request_message, content),
               "a task's message is a request's message");
_Static_assert((int)TASK_TOOLS_AUTO == (int)TOOLS_AUTO && (int)TASK_TOOLS_NONE == (int)TOOLS_NONE &&
                   (int)TASK_TOOLS_REQUIRED == (int)TOOLS_REQUIRED && (int)TASK_TOOLS_NAMED == (int)TOOLS_NAMED,
               "a task's choice of tools is a request's");

/* The rendered prompt as it is kept in the ledger, for people to read. */
static char *prompt_as_text(const task *t, const task_messages *m)
{
    buf b = BUF_INIT(TASK_PROMPT_BYTES_MAX + 65536);
    for (size_t i = 0; i < m->n; i++) {
        if (!m->plain)
            buf_printf(&b, "%s[%s]\n", i ? "\n" : "", m->items[i].role);
        buf_str(&b, m->items[i].content);
    }
    if (t->tools) {
        buf_str(&b, "\n[tools]\n");
        js_write(t->tools, JS_COMPACT, &b);
    }
    return buf_take(&b);
}

status ask_case(arm *s, const crew *from, const task_case *c, uint32_t repeat, reply *out, char **prompt_text,
                error *err)
{
    task_messages m = { 0 };
    request r;
    status st = task_render(s->t, s->prompt, c->input, c->id, &m, err);
    if (st)
        return st;
    set_request(s, c, repeat, &m, &r);
    provider_limits limits = { .timeout_ms = s->o->case_timeout_ms ? s->o->case_timeout_ms : 120000 };
    limits.idle_ms = limits.first_ms = limits.timeout_ms;
    listening x = { .s = s, .c = from, .out = out, .arguments = BUF_INIT(ANSWER_BYTES_MAX),
                    .began_us = clock_mono_us(), .timeout_ms = limits.timeout_ms };
    st = s->ask(s->user, &r, hear, &x, &limits, err);
    st = judge(&x, st, err);
    if (!st && privacy_keeps_text(s->t->privacy))
        *prompt_text = prompt_as_text(s->t, &m);
    js_free(x.calls);
    buf_clear(&x.arguments);
    task_messages_clear(&m);
    return st;
}
