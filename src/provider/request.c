/* request.c: see the header. The JSON form is documented in src/worker/README.md. */
#include "provider/request.h"

#include <math.h>
#include <string.h>

#include "base/digest.h"
#include "base/utf8.h"
#include "provider/embed.h"

/* ---- names ---- */

static const char *const finish_names[] = { "stop", "length", "cancelled", "error" };
static const char *const kind_names[] = { "chat", "text", "tokens", "embed" };
static const struct {
    const char *name;
    int http;
} faults[] = {
    [FAULT_INVALID] = { "invalid", 400 },
    [FAULT_CONTEXT] = { "context-too-long", 400 },
    [FAULT_NOFIT] = { "does-not-fit", 400 },
    [FAULT_DENIED] = { "denied", 403 },
    [FAULT_NOTFOUND] = { "not-found", 404 },
    [FAULT_RATE_LIMITED] = { "rate-limited", 429 },
    [FAULT_UPSTREAM] = { "upstream", 502 },
    [FAULT_UNREACHABLE] = { "unreachable", 503 },
    [FAULT_CRASHED] = { "crashed", 502 },
    [FAULT_TIMEOUT] = { "timeout", 504 },
    [FAULT_INTERNAL] = { "internal", 500 },
};

const char *answer_finish_name(answer_finish f)
{
    return (size_t)f < ARRAY_LEN(finish_names) ? finish_names[f] : "error";
}

bool answer_finish_parse(const char *name, answer_finish *out)
{
    for (size_t i = 0; name && i < ARRAY_LEN(finish_names); i++)
        if (strcmp(name, finish_names[i]) == 0) {
            *out = (answer_finish)i;
            return true;
        }
    return false;
}

const char *fault_kind_name(fault_kind k)
{
    return (size_t)k < ARRAY_LEN(faults) ? faults[k].name : "internal";
}

bool fault_kind_parse(const char *name, fault_kind *out)
{
    for (size_t i = 0; name && i < ARRAY_LEN(faults); i++)
        if (strcmp(name, faults[i].name) == 0) {
            *out = (fault_kind)i;
            return true;
        }
    return false;
}

int fault_http(fault_kind k)
{
    return (size_t)k < ARRAY_LEN(faults) ? faults[k].http : 500;
}

/* ---- checking ---- */

void request_init(request *r)
{
    memset(r, 0, sizeof *r);
    r->privacy = PRIVACY_PRIVATE;
    r->sampling.top_p = 1;
    r->sampling.repeat_penalty = 1;
    r->sampling.repeat_last_n = 64;
}

static status check_text(const char *what, const char *text, size_t max, size_t *total, error *err)
{
    if (!text)
        return fail(err, E_FORMAT, "request: %s is missing", what);
    size_t n = strlen(text);
    if (n > max || (*total += n) > REQUEST_BYTES_MAX)
        return fail(err, E_RANGE, "request: %s is too long: at most %zu bytes, %d in all", what, max,
                    (int)REQUEST_BYTES_MAX);
    if (!utf8_valid(text, n))
        return fail(err, E_FORMAT, "request: %s is not UTF-8", what);
    return OK;
}

static status check_prompt(const request *r, size_t *total, error *err)
{
    if (r->kind == REQUEST_TEXT)
        return check_text("the prompt", r->text, REQUEST_BYTES_MAX, total, err);
    if (r->kind == REQUEST_TOKENS) {
        if (!r->tokens || r->n_tokens == 0 || r->n_tokens > REQUEST_TOKENS_MAX)
            return fail(err, E_RANGE, "request: a prompt of token ids has 1 to %d of them", (int)REQUEST_TOKENS_MAX);
        return OK;
    }
    if (r->kind == REQUEST_EMBED)
        return request_embed_check(r->embed, total, err);
    if (!r->messages || r->n_messages == 0 || r->n_messages > REQUEST_MESSAGES_MAX)
        return fail(err, E_RANGE, "request: there must be 1 to %d messages", (int)REQUEST_MESSAGES_MAX);
    for (size_t i = 0; i < r->n_messages; i++) {
        status s = check_text("a message's role", r->messages[i].role, 64, total, err);
        if (!s)
            s = check_text("a message's content", r->messages[i].content, REQUEST_BYTES_MAX, total, err);
        if (s)
            return s;
    }
    return OK;
}

static status check_sampling(const request_sampling *o, size_t *total, error *err)
{
    const struct {
        const char *name;
        double value, low, high;
    } limits[] = {
        { "temperature", o->temperature, 0, 100 },
        { "top_p", o->top_p, 0, 1 },
        { "min_p", o->min_p, 0, 1 },
        { "repeat_penalty", o->repeat_penalty, 0.01, 100 },
        { "presence_penalty", o->presence_penalty, -100, 100 },
        { "frequency_penalty", o->frequency_penalty, -100, 100 },
        { "max_tokens", o->max_tokens, 0, REQUEST_TOKENS_MAX },
        { "stop strings", (double)o->n_stops, 0, REQUEST_STOPS_MAX },
    };
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        if (!(limits[i].value >= limits[i].low && limits[i].value <= limits[i].high))
            return fail(err, E_RANGE, "request: %s must be between %g and %g", limits[i].name, limits[i].low,
                        limits[i].high);
    for (size_t i = 0; i < o->n_stops; i++) {
        status s = check_text("a stop string", o->stops[i], REQUEST_STOP_BYTES_MAX, total, err);
        if (s)
            return s;
        if (!o->stops[i][0])
            return fail(err, E_RANGE, "request: a stop string is empty");
    }
    return OK;
}

status request_check(const request *r, error *err)
{
    size_t total = 0;
    status s = r->id ? check_text("the id", r->id, REQUEST_ID_BYTES_MAX, &total, err) : OK;
    if (!s && r->scope)
        s = check_text("the scope", r->scope, REQUEST_ID_BYTES_MAX, &total, err);
    if (!s)
        s = check_prompt(r, &total, err);
    if (!s)
        s = check_sampling(&r->sampling, &total, err);
    if (!s && r->n_logprobs > REQUEST_LOGPROBS_MAX)
        s = fail(err, E_RANGE, "request: at most %d alternatives with log-probabilities", (int)REQUEST_LOGPROBS_MAX);
    return s;
}

/* ---- the form in which it travels ---- */

static js *sampling_to_js(const request_sampling *o)
{
    js *j = js_object(), *stops = js_array();
    bool ok = true;
    for (size_t i = 0; i < o->n_stops; i++)
        ok = js_push(stops, js_new_string(o->stops[i])) && ok;
    ok = js_set(j, "temperature", js_new_double(o->temperature)) && ok;
    ok = js_set(j, "top_k", js_new_int(o->top_k)) && ok;
    ok = js_set(j, "top_p", js_new_double(o->top_p)) && ok;
    ok = js_set(j, "min_p", js_new_double(o->min_p)) && ok;
    ok = js_set(j, "repeat_penalty", js_new_double(o->repeat_penalty)) && ok;
    ok = js_set(j, "repeat_last_n", js_new_int(o->repeat_last_n)) && ok;
    ok = js_set(j, "presence_penalty", js_new_double(o->presence_penalty)) && ok;
    ok = js_set(j, "frequency_penalty", js_new_double(o->frequency_penalty)) && ok;
    /* two halves: a JSON reader elsewhere may hold numbers as signed 64-bit */
    ok = js_set(j, "seed_low", js_new_int((int64_t)(o->seed & 0xffffffffu))) && ok;
    ok = js_set(j, "seed_high", js_new_int((int64_t)(o->seed >> 32))) && ok;
    ok = js_set(j, "max_tokens", js_new_int(o->max_tokens)) && ok;
    ok = js_set(j, "ignore_eos", js_new_bool(o->ignore_eos)) && ok;
    ok = js_set(j, "stop", stops) && ok;
    if (ok)
        return j;
    js_free(j);
    return NULL;
}

/* Adds kind and messages, text or tokens. */
static bool add_prompt(js *j, const request *r)
{
    bool ok = js_set(j, "kind", js_new_string(kind_names[r->kind]));
    if (r->kind == REQUEST_EMBED)
        return request_embed_add(j, r->embed) && ok;
    if (r->kind == REQUEST_TEXT)
        return js_set(j, "text", js_new_string(r->text)) && ok;
    js *list = js_array();
    for (size_t i = 0; r->kind == REQUEST_TOKENS && i < r->n_tokens; i++)
        ok = js_push(list, js_new_int(r->tokens[i])) && ok;
    for (size_t i = 0; r->kind == REQUEST_CHAT && i < r->n_messages; i++) {
        js *m = js_object();
        ok = js_set(m, "role", js_new_string(r->messages[i].role)) && ok;
        ok = js_set(m, "content", js_new_string(r->messages[i].content)) && ok;
        ok = js_push(list, m) && ok;
    }
    return js_set(j, r->kind == REQUEST_TOKENS ? "tokens" : "messages", list) && ok;
}

js *request_to_js(const request *r)
{
    js *j = js_object();
    bool ok = add_prompt(j, r);
    if (r->id)
        ok = js_set(j, "id", js_new_string(r->id)) && ok;
    if (r->scope)
        ok = js_set(j, "scope", js_new_string(r->scope)) && ok;
    ok = js_set(j, "privacy", js_new_string(privacy_class_name(r->privacy))) && ok;
    ok = js_set(j, "sampling", sampling_to_js(&r->sampling)) && ok;
    ok = js_set(j, "logprobs", js_new_bool(r->logprobs)) && ok;
    ok = js_set(j, "n_logprobs", js_new_int(r->n_logprobs)) && ok;
    ok = js_set(j, "echo", js_new_bool(r->echo)) && ok;
    ok = js_set(j, "score_only", js_new_bool(r->score_only)) && ok;
    if (ok)
        return j;
    js_free(j);
    return NULL;
}

status request_prompt_digest(const request *r, char out[65], error *err)
{
    status s = OK;
    buf text = BUF_INIT(4 * (size_t)REQUEST_BYTES_MAX + 16 * (size_t)REQUEST_TOKENS_MAX);
    js *j = js_object();
    if (!add_prompt(j, r))
        s = fail(err, E_NOMEM, "no memory for a prompt's digest");
    if (!s) {
        js_write(j, JS_CANONICAL, &text);
        s = buf_ok(&text, "a prompt", err);
    }
    if (!s)
        digest_of(text.data, text.len, out);
    buf_clear(&text);
    js_free(j);
    return s;
}
