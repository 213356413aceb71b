/* request.c: names, neutral values, limits. */
#include "provider/request.h"

#include <math.h>
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"
#include "provider/embed.h"

/* ---- names ---- */

static const char *const finish_names[] = { "stop", "length", "tool_calls", "cancelled", "error" };
static const char *const shape_names[] = { "free", "json", "schema", "grammar", "regex", "choice" };
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
    [FAULT_BUSY] = { "busy", 503 },
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

const char *request_shape_name(request_shape s)
{
    return (size_t)s < ARRAY_LEN(shape_names) ? shape_names[s] : "free";
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
    r->priority = 1;
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

/* Bytes of all texts in a tree, and a little for each member. */
static size_t tree_bytes(const js *v)
{
    size_t n = 8;
    js_member m = { 0 };
    if (js_is(v, JS_STRING))
        return n + js_len(v);
    for (size_t i = 0; js_is(v, JS_ARRAY) && i < js_len(v); i++)
        n += tree_bytes(js_at(v, i));
    while (js_is(v, JS_OBJECT) && js_next(v, &m))
        n += strlen(m.key) + tree_bytes(m.value);
    return n;
}

static status check_tree(const char *what, const js *v, size_t *total, error *err)
{
    *total += v ? tree_bytes(v) : 0;
    return *total <= REQUEST_BYTES_MAX ? OK : fail(err, E_RANGE, "request: %s is too long: at most %d bytes in all",
                                                   what, (int)REQUEST_BYTES_MAX);
}

static status check_conversation(const js *list, size_t *total, error *err)
{
    if (!js_is(list, JS_ARRAY) || js_len(list) == 0 || js_len(list) > REQUEST_MESSAGES_MAX)
        return fail(err, E_RANGE, "request: there must be 1 to %d messages", (int)REQUEST_MESSAGES_MAX);
    for (size_t i = 0; i < js_len(list); i++)
        if (!js_is(js_get(js_at(list, i), "role"), JS_STRING))
            return fail(err, E_FORMAT, "request: message %zu has no role", i + 1);
    return check_tree("the conversation", list, total, err);
}

static status check_tools(const request *r, size_t *total, error *err)
{
    bool found = false;
    if (r->tools && (!js_is(r->tools, JS_ARRAY) || js_len(r->tools) > REQUEST_TOOLS_MAX))
        return fail(err, E_RANGE, "request: tools must be a list of at most %d", (int)REQUEST_TOOLS_MAX);
    for (size_t i = 0; i < js_len(r->tools); i++) {
        const js *name = js_get(js_get(js_at(r->tools, i), "function"), "name");
        size_t n = js_is(name, JS_STRING) ? js_len(name) : 0;
        if (!n || n > REQUEST_TOOL_NAME_MAX || strlen(js_text(name)) != n)
            return fail(err, E_FORMAT, "request: tool %zu has no name of 1 to %d bytes", i + 1,
                        (int)REQUEST_TOOL_NAME_MAX);
        found = found || (r->tool_name && strcmp(r->tool_name, js_text(name)) == 0);
    }
    if (r->tool_choice == TOOLS_NAMED && !found)
        return fail(err, E_NOTFOUND, "request: there is no tool '%.128s'", r->tool_name ? r->tool_name : "");
    if (r->tool_choice == TOOLS_REQUIRED && js_len(r->tools) == 0)
        return fail(err, E_RANGE, "request: a tool call is required, but there are no tools");
    if (js_len(r->tools) && r->kind != REQUEST_CHAT)
        return fail(err, E_UNSUPPORTED, "request: tools go with a conversation");
    return check_tree("the tools", r->tools, total, err);
}

static status check_shape(const request *r, size_t *total, error *err)
{
    bool required = r->tool_choice == TOOLS_REQUIRED || r->tool_choice == TOOLS_NAMED;
    if (r->shape == SHAPE_FREE)
        return OK;
    if (required)
        return fail(err, E_UNSUPPORTED, "request: a required tool call leaves no text that could have a format");
    if (r->shape == SHAPE_SCHEMA)
        return r->schema ? check_tree("the schema", r->schema, total, err)
                         : fail(err, E_FORMAT, "request: the schema is missing");
    if (r->shape == SHAPE_GRAMMAR || r->shape == SHAPE_REGEX)
        return check_text("the grammar", r->shape_text, REQUEST_BYTES_MAX, total, err);
    if (r->shape != SHAPE_CHOICE)
        return OK;
    for (size_t i = 0; i < js_len(r->choices); i++)
        if (!js_is(js_at(r->choices, i), JS_STRING) || !js_len(js_at(r->choices, i)))
            return fail(err, E_FORMAT, "request: choice %zu is no text", i + 1);
    if (!js_is(r->choices, JS_ARRAY) || js_len(r->choices) == 0)
        return fail(err, E_RANGE, "request: there are no choices");
    return check_tree("the choices", r->choices, total, err);
}

static status check_prompt(const request *r, size_t *total, error *err)
{
    if (r->kind == REQUEST_TEXT)
        return check_text("the prompt", r->text, REQUEST_BYTES_MAX, total, err);
    if (r->kind == REQUEST_TAG && !(r->tag_threshold > 0 && r->tag_threshold <= 1))
        return fail(err, E_RANGE, "request: the least probability of a span must be above 0, and 1 at most");
    if (r->kind == REQUEST_TAG)
        return check_text("the text", r->text, REQUEST_BYTES_MAX, total, err);
    if (r->kind == REQUEST_TOKENS) {
        if (!r->tokens || r->n_tokens == 0 || r->n_tokens > REQUEST_TOKENS_MAX)
            return fail(err, E_RANGE, "request: a prompt of token ids has 1 to %d of them", (int)REQUEST_TOKENS_MAX);
        return OK;
    }
    if (r->conversation)
        return check_conversation(r->conversation, total, err);
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

/* Ids as they are always written: so no token is named twice. */
static bool is_token_id(const char *text)
{
    int64_t id;
    return text[0] >= '0' && text[0] <= '9' && (text[0] != '0' || !text[1]) && str_i64(text, &id) && id <= INT32_MAX;
}

status request_check_bias(const js *bias, error *err)
{
    js_member m = { 0 };
    if (bias && !js_is(bias, JS_OBJECT))
        return fail(err, E_FORMAT, "'logit_bias' must be an object of token ids and numbers");
    if (js_len(bias) > REQUEST_BIASES_MAX)
        return fail(err, E_RANGE, "'logit_bias' has %zu tokens; at most %d can have a bias", js_len(bias),
                    (int)REQUEST_BIASES_MAX);
    while (js_next(bias, &m)) {
        double b;
        if (!is_token_id(m.key))
            return fail(err, E_FORMAT, "'logit_bias': '%.64s' is not a token's id", m.key);
        if (!js_double(m.value, &b) || !(b >= -100 && b <= 100))
            return fail(err, E_RANGE, "'logit_bias' of token %s must be a number from -100 to 100", m.key);
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
    return request_check_bias(o->bias, err);
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
        s = check_tools(r, &total, err);
    if (!s)
        s = check_tree("template_kwargs", r->template_kwargs, &total, err);
    if (!s)
        s = check_shape(r, &total, err);
    if (!s)
        s = check_sampling(&r->sampling, &total, err);
    if (!s && r->n_logprobs > REQUEST_LOGPROBS_MAX)
        s = fail(err, E_RANGE, "request: at most %d alternatives with log-probabilities", (int)REQUEST_LOGPROBS_MAX);
    return s;
}
