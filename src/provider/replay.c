/* replay.c: recorded real answers, one JSON object a line:
 *
 *   {"task": "invoice", "case": "c17", "answer": "…", "finish_reason": "stop",
 *    "usage": {"prompt_tokens": 210, "completion_tokens": 40, "cached_tokens": 0},
 *    "timings": {"prefill_seconds": 0.2, "decode_seconds": 1.1, "ttft_seconds": 0.3}, "model": "gpt-4o-mini",
 *    "mean_logprob": -0.12, "reasoning": "…", "tool_calls": [{"name": "f", "arguments": {…}}]}
 *
 * A line is found by task and case, by "id" (which is CASE or TASK/CASE), or by "prompt_sha256"
 * (request_prompt_digest); it must have at least one of them. Two lines with the same key are an error, as are unknown
 * members. What a recording does not say stays unknown: no time is ever made up. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "provider/provider_int.h"

enum { REPLAY_BYTES_MAX = 512 << 20, REPLAY_LINE_MAX = 16 << 20, REPLAY_LINES_MAX = 1 << 20, PIECE = 4096 };

typedef struct recording {
    const char *answer, *model, *reasoning, *calls; /* calls: JSON, checked; NULL: none */
    size_t answer_bytes;
    answer_finish finish;
    int64_t prompt_tokens, cached_tokens, completion_tokens;
    double prefill_seconds, decode_seconds, mean_logprob;
    int line;
} recording;

typedef struct replay_key {
    const char *text; /* "case:TASK/CASE", "id:…", "prompt:…" */
    size_t at;        /* which recording */
} replay_key;

typedef struct replay {
    arena memory;
    recording *all;
    size_t n, size;
    replay_key *keys;
    size_t n_keys, keys_size;
    const char *file;
} replay;

/* ---- reading ---- */

static status grow(void **list, size_t n, size_t *size, size_t each, error *err)
{
    if (n < *size)
        return OK;
    size_t more = *size ? 2 * *size : 64;
    void *p = mem_resize(*list, more * each);
    if (!p)
        return fail(err, E_NOMEM, "no memory for recorded answers");
    *list = p;
    *size = more;
    return OK;
}

static status add_key(replay *r, const char *prefix, const char *a, const char *b, error *err)
{
    buf text = BUF_INIT(1 << 16);
    buf_printf(&text, "%s:%s%s%s", prefix, a, b ? "/" : "", b ? b : "");
    void *list = r->keys;
    status s = buf_ok(&text, "a recorded answer's key", err);
    if (!s)
        s = grow(&list, r->n_keys, &r->keys_size, sizeof *r->keys, err);
    r->keys = list;
    const char *copy = s ? NULL : arena_strndup(&r->memory, text.data, text.len);
    if (copy)
        r->keys[r->n_keys++] = (replay_key){ copy, r->n };
    else if (!s)
        s = fail(err, E_NOMEM, "no memory for recorded answers");
    buf_clear(&text);
    return s;
}

/* A member that must be a text when it is there; *out is NULL otherwise. */
static status text_of(const replay *r, int line, const js *j, const char *key, const char **out, error *err)
{
    const js *v = js_get(j, key);
    *out = js_is(v, JS_STRING) ? js_text(v) : NULL;
    if (v && !*out)
        return fail(err, E_FORMAT, "%s:%d: '%s' is not text", r->file, line, key);
    if (*out && strlen(*out) != js_len(v))
        return fail(err, E_FORMAT, "%s:%d: '%s' holds a zero byte", r->file, line, key);
    return OK;
}

static status number_of(const replay *r, int line, const js *j, const char *key, double *out, error *err)
{
    const js *v = js_get(j, key);
    if (v && !js_is(v, JS_NULL) && !js_double(v, out))
        return fail(err, E_FORMAT, "%s:%d: '%s' is not a number", r->file, line, key);
    return OK;
}

static status read_numbers(const replay *r, int line, const js *j, recording *x, error *err)
{
    static const char *const usage_known[] = { "prompt_tokens", "completion_tokens", "cached_tokens", "total_tokens" };
    static const char *const timing_known[] = { "prefill_seconds", "decode_seconds", "ttft_seconds", "total_seconds" };
    const js *usage = js_get(j, "usage"), *timings = js_get(j, "timings");
    double prompt = -1, cached = -1, completion = -1;
    char where[64];
    snprintf(where, sizeof where, "line %d", line);
    x->prefill_seconds = x->decode_seconds = x->mean_logprob = NAN;
    status s = usage ? js_known_keys(usage, usage_known, ARRAY_LEN(usage_known), where, err) : OK;
    if (!s && timings)
        s = js_known_keys(timings, timing_known, ARRAY_LEN(timing_known), where, err);
    const struct {
        const js *in;
        const char *key;
        double *to;
    } fields[] = { { usage, "prompt_tokens", &prompt }, { usage, "cached_tokens", &cached },
                   { usage, "completion_tokens", &completion }, { timings, "prefill_seconds", &x->prefill_seconds },
                   { timings, "decode_seconds", &x->decode_seconds }, { j, "mean_logprob", &x->mean_logprob } };
    for (size_t i = 0; i < ARRAY_LEN(fields) && !s; i++)
        s = number_of(r, line, fields[i].in, fields[i].key, fields[i].to, err);
    if (!s && !(prompt < 1e15 && cached < 1e15 && completion < 1e15))
        s = fail(err, E_RANGE, "%s:%d: an impossible count of tokens", r->file, line);
    if (s)
        return s;
    x->prompt_tokens = prompt < 0 ? -1 : (int64_t)prompt;
    x->cached_tokens = cached < 0 ? -1 : (int64_t)cached;
    x->completion_tokens = completion < 0 ? -1 : (int64_t)completion;
    return OK;
}

static status read_keys(replay *r, int line, const js *j, error *err)
{
    const char *task, *name, *id, *digest;
    status s = text_of(r, line, j, "task", &task, err);
    if (!s)
        s = text_of(r, line, j, "case", &name, err);
    if (!s)
        s = text_of(r, line, j, "id", &id, err);
    if (!s)
        s = text_of(r, line, j, "prompt_sha256", &digest, err);
    if (!s && !id && !digest && !(task && name))
        s = fail(err, E_FORMAT, "%s:%d: neither task and case, nor id, nor prompt_sha256", r->file, line);
    if (!s && task && name)
        s = add_key(r, "case", task, name, err);
    if (!s && id)
        s = add_key(r, "id", id, NULL, err);
    if (!s && digest)
        s = add_key(r, "prompt", digest, NULL, err);
    return s;
}

/* tool_calls as text, when they are what they should be. */
static status read_calls(replay *r, int line, const js *j, recording *x, error *err)
{
    const js *list = js_get(j, "tool_calls");
    buf text = BUF_INIT(REPLAY_LINE_MAX);
    if (!list)
        return OK;
    bool ok = js_is(list, JS_ARRAY);
    for (size_t i = 0; i < js_len(list) && ok; i++) {
        const js *one = js_at(list, i), *name = js_get(one, "name");
        ok = js_is(name, JS_STRING) && js_len(name) && js_is(js_get(one, "arguments"), JS_OBJECT);
    }
    if (!ok)
        return fail(err, E_FORMAT, "%s:%d: 'tool_calls' is no list of {name, arguments: {…}}", r->file, line);
    js_write(list, JS_COMPACT, &text);
    x->calls = text.failed ? NULL : arena_strndup(&r->memory, text.data, text.len);
    buf_clear(&text);
    return x->calls ? OK : fail(err, E_NOMEM, "no memory for recorded answers");
}

static status read_line(replay *r, int line, const char *text, size_t n, error *err)
{
    static const char *const known[] = { "task", "case", "id", "prompt_sha256", "answer", "finish_reason", "usage",
                                         "timings", "model", "mean_logprob", "recorded", "reasoning", "tool_calls" };
    js *j = NULL;
    char where[80];
    const char *answer = NULL, *finish = NULL, *model = NULL, *reasoning = NULL;
    recording x = { .line = line };
    void *list = r->all;
    status s = js_parse(&j, text, n, r->file, line, err);
    snprintf(where, sizeof where, "line %d", line);
    if (!s && !js_is(j, JS_OBJECT))
        s = fail(err, E_FORMAT, "%s:%d: a line must be one JSON object", r->file, line);
    if (!s && (s = js_known_keys(j, known, ARRAY_LEN(known), where, err)) != OK)
        s = fail_prefix(err, s, "%s: ", r->file);
    if (!s)
        s = text_of(r, line, j, "answer", &answer, err);
    if (!s)
        s = text_of(r, line, j, "finish_reason", &finish, err);
    if (!s)
        s = text_of(r, line, j, "model", &model, err);
    if (!s)
        s = text_of(r, line, j, "reasoning", &reasoning, err);
    if (!s)
        s = read_calls(r, line, j, &x, err);
    if (!s && !answer && x.calls)
        answer = "";
    if (!s && !answer)
        s = fail(err, E_FORMAT, "%s:%d: 'answer' is missing", r->file, line);
    if (!s && (!answer_finish_parse(finish ? finish : "stop", &x.finish) || x.finish > ANSWER_TOOL_CALLS))
        s = fail(err, E_FORMAT, "%s:%d: finish_reason is none of stop, length and tool_calls", r->file, line);
    if (!s)
        s = read_numbers(r, line, j, &x, err);
    if (!s)
        s = read_keys(r, line, j, err);
    if (!s)
        s = grow(&list, r->n, &r->size, sizeof *r->all, err);
    r->all = list;
    if (!s) {
        x.answer_bytes = strlen(answer);
        x.answer = arena_strndup(&r->memory, answer, x.answer_bytes);
        x.model = model ? arena_strndup(&r->memory, model, strlen(model)) : NULL;
        x.reasoning = reasoning ? arena_strndup(&r->memory, reasoning, strlen(reasoning)) : NULL;
        if (!x.answer || (model && !x.model) || (reasoning && !x.reasoning))
            s = fail(err, E_NOMEM, "no memory for recorded answers");
        else
            r->all[r->n++] = x;
    }
    js_free(j);
    return s;
}

static status read_file(replay *r, error *err)
{
    FILE *f = fopen(r->file, "rb");
    buf rest = BUF_INIT(REPLAY_LINE_MAX);
    status s = OK;
    int line = 1;
    size_t total = 0, n = 1;
    if (!f)
        return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", r->file, strerror(errno));
    while (n > 0 && !s) {
        char *to = buf_reserve(&rest, 1 << 16), *end;
        n = to ? fread(to, 1, 1 << 16, f) : 0;
        if (to)
            buf_advance(&rest, n);
        total += n;
        if (!to && (s = buf_ok(&rest, "a line of a recording", err)) != OK)
            s = fail_prefix(err, s, "%s:%d: ", r->file, line);
        else if (total > REPLAY_BYTES_MAX || r->n >= REPLAY_LINES_MAX)
            s = fail(err, E_RANGE, "%s: too large for a recording", r->file);
        if (n == 0 && !s && ferror(f))
            s = fail(err, E_IO, "%s: %s", r->file, strerror(errno));
        if (n == 0 && !s && rest.len > 0)
            buf_char(&rest, '\n'); /* a last line without its end */
        size_t used = 0;
        while (!s && rest.data && (end = memchr(rest.data + used, '\n', rest.len - used)) != NULL) {
            size_t k = (size_t)(end - rest.data) - used;
            span text = span_trim((span){ rest.data + used, k });
            if (text.n > 0)
                s = read_line(r, line, text.p, text.n, err);
            used += k + 1;
            line++;
        }
        buf_drop(&rest, used);
    }
    buf_clear(&rest);
    fclose(f);
    return s;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const replay_key *)a)->text, ((const replay_key *)b)->text);
}

static status sort_keys(replay *r, error *err)
{
    if (r->n_keys > 1)
        qsort(r->keys, r->n_keys, sizeof *r->keys, by_text);
    for (size_t i = 1; i < r->n_keys; i++)
        if (strcmp(r->keys[i - 1].text, r->keys[i].text) == 0)
            return fail(err, E_FORMAT, "%s: lines %d and %d are recordings of the same %s", r->file,
                        r->all[r->keys[i - 1].at].line, r->all[r->keys[i].at].line, r->keys[i].text);
    return OK;
}

/* ---- answering ---- */

static const recording *look_up(const replay *r, const char *prefix, const char *a, const char *b)
{
    buf text = BUF_INIT(1 << 16);
    buf_printf(&text, "%s:%s%s%s", prefix, a, b ? "/" : "", b ? b : "");
    replay_key key = { buf_text(&text), 0 };
    const replay_key *hit = text.failed || !r->n_keys ? NULL
                                                      : bsearch(&key, r->keys, r->n_keys, sizeof key, by_text);
    buf_clear(&text);
    return hit ? &r->all[hit->at] : NULL;
}

static status find(const replay *r, const request *q, const recording **out, error *err)
{
    char digest[65];
    const recording *x = NULL;
    status s = request_prompt_digest(q, digest, err);
    if (s)
        return s;
    if (q->task && q->case_id) {
        x = look_up(r, "case", q->task, q->case_id);
        x = x ? x : look_up(r, "id", q->task, q->case_id);
    }
    if (!x && q->case_id)
        x = look_up(r, "id", q->case_id, NULL);
    x = x ? x : look_up(r, "prompt", digest, NULL);
    if (!x)
        return fail(err, E_NOTFOUND, "%s: no recorded answer for %s%s%s (prompt %.16s)", r->file,
                    q->task ? q->task : "this request", q->case_id ? "/" : "", q->case_id ? q->case_id : "", digest);
    *out = x;
    return OK;
}

/* Text in pieces of whole characters. */
static void say(call *c, event_kind kind, const char *text, size_t n)
{
    for (size_t at = 0; at < n && !c->cancelled;) {
        size_t k = n - at < PIECE ? n - at : PIECE;
        char piece[PIECE + 1];
        while (at + k < n && k > 1 && ((unsigned char)text[at + k] & 0xc0) == 0x80)
            k--; /* not within a character */
        memcpy(piece, text + at, k);
        piece[k] = 0;
        call_emit(c, &(event){ .kind = kind, .text = piece, .text_bytes = k });
        at += k;
    }
}

static void say_calls(call *c, const recording *x)
{
    js *list = NULL;
    if (!x->calls || js_parse(&list, x->calls, strlen(x->calls), "calls", 1, NULL))
        return;
    for (size_t i = 0; i < js_len(list) && !c->cancelled; i++) {
        const js *one = js_at(list, i);
        buf text = BUF_INIT(REPLAY_LINE_MAX);
        char id[32];
        snprintf(id, sizeof id, "call_%zu", i);
        event_call e = { .index = (uint32_t)i, .id = id, .name = js_text(js_get(one, "name")), .complete = true };
        js_write(js_get(one, "arguments"), JS_COMPACT, &text);
        call_emit(c, &(event){ .kind = EVENT_CALL, .call = &e });
        call_emit(c, &(event){ .kind = EVENT_ARGUMENTS, .call = &e, .text = buf_text(&text), .text_bytes = text.len });
        call_emit(c, &(event){ .kind = EVENT_CALL_END, .call = &e });
        buf_clear(&text);
    }
    js_free(list);
}

static status replay_complete(provider *p, const request *q, call *c, error *err)
{
    const replay *r = p->own;
    const recording *x = NULL;
    if (q->logprobs || q->echo || q->score_only || q->prompt_only)
        return fail(err, E_UNSUPPORTED, "a recording has no tokens, and no log-probabilities of them");
    status s = find(r, q, &x, err);
    if (s)
        return s;
    if (x->reasoning)
        say(c, EVENT_REASONING, x->reasoning, strlen(x->reasoning));
    say(c, EVENT_TEXT, x->answer, x->answer_bytes);
    say_calls(c, x);
    c->end.finish = x->calls && x->finish == ANSWER_STOP ? ANSWER_TOOL_CALLS : x->finish;
    c->end.prompt_tokens = x->prompt_tokens;
    c->end.cached_tokens = x->cached_tokens;
    c->end.completion_tokens = x->completion_tokens;
    c->end.prefill_seconds = x->prefill_seconds;
    c->end.decode_seconds = x->decode_seconds;
    c->end.mean_logprob = x->mean_logprob;
    c->end.model = x->model;
    return OK;
}

static void replay_close(provider *p)
{
    replay *r = p->own;
    arena_clear(&r->memory);
    mem_free(r->all);
    mem_free(r->keys);
    mem_free(r);
}

static const provider_ops ops = { replay_complete, replay_close, NULL, NULL, NULL, false };

status replay_open(provider *p, const char *file, error *err)
{
    replay *r = mem_zero(sizeof *r);
    if (!r)
        return fail(err, E_NOMEM, "no memory for a provider");
    r->memory = (arena)ARENA_INIT(2 * (size_t)REPLAY_BYTES_MAX);
    p->own = r;
    p->ops = &ops;
    r->file = provider_keep(p, file);
    if (!r->file)
        return fail(err, E_NOMEM, "no memory for a provider");
    status s = read_file(r, err);
    if (!s)
        s = sort_keys(r, err);
    const char *model = NULL; /* named when all answers are of one */
    for (size_t i = 0; i < r->n && !s; i++) {
        const char *m = r->all[i].model ? r->all[i].model : "";
        if (!model)
            model = m;
        else if (strcmp(model, m) != 0)
            model = "";
    }
    p->info.model = model ? model : "";
    return s;
}
