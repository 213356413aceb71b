/* openai_read.c: a chat request's JSON to the neutral request. Every field is in a table; what is not done is refused
 * by name, because a field that is dropped changes the answer and nobody knows. */
#include <stdio.h>
#include <string.h>

#include "api/openai_int.h"
#include "base/mem.h"

static const field chat_fields[] = {
    { "model", FIELD_READ, NULL },
    { "messages", FIELD_READ, NULL },
    { "input", FIELD_READ, NULL },
    { "stream", FIELD_READ, NULL },
    { "stream_options", FIELD_READ, NULL },
    { "max_tokens", FIELD_READ, NULL },
    { "max_completion_tokens", FIELD_READ, NULL },
    { "temperature", FIELD_READ, NULL },
    { "top_p", FIELD_READ, NULL },
    { "top_k", FIELD_READ, NULL },
    { "min_p", FIELD_READ, NULL },
    { "repeat_penalty", FIELD_READ, NULL },
    { "repeat_last_n", FIELD_READ, NULL },
    { "presence_penalty", FIELD_READ, NULL },
    { "frequency_penalty", FIELD_READ, NULL },
    { "seed", FIELD_READ, NULL },
    { "stop", FIELD_READ, NULL },
    { "logit_bias", FIELD_READ, NULL },
    { "logprobs", FIELD_READ, NULL },
    { "top_logprobs", FIELD_READ, NULL },
    { "n", FIELD_READ, NULL },
    { "response_format", FIELD_READ, NULL },
    { "grammar", FIELD_READ, NULL },
    { "regex", FIELD_READ, NULL },
    { "choices", FIELD_READ, NULL },
    { "structured_outputs", FIELD_READ, NULL },
    { "tools", FIELD_READ, NULL },
    { "tool_choice", FIELD_READ, NULL },
    { "parallel_tool_calls", FIELD_READ, NULL },
    { "chat_template_kwargs", FIELD_READ, NULL },
    { "reasoning_effort", FIELD_READ, NULL },
    { "user", FIELD_IGNORED, NULL },
    { "metadata", FIELD_IGNORED, NULL },
    { "store", FIELD_IGNORED, NULL },
    { "service_tier", FIELD_IGNORED, NULL },
    { "safety_identifier", FIELD_IGNORED, NULL },
    { "prediction", FIELD_IGNORED, NULL },
    { "prompt_cache_key", FIELD_IGNORED, NULL },
    { "functions", FIELD_NEUTRAL, NULL },
    { "function_call", FIELD_NEUTRAL, "none" },
    { "modalities", FIELD_NEUTRAL, NULL },
    { "audio", FIELD_NEUTRAL, NULL },
    { "verbosity", FIELD_NEUTRAL, "medium" },
    { "web_search_options", FIELD_NEUTRAL, NULL },
};

/* ---- sampling ---- */

static bool read_lengths(chat_call *c, api_fault *f)
{
    int64_t old_name = 0, new_name = 0;
    if (!api_read_whole(c->body, "max_tokens", 1, REQUEST_TOKENS_MAX, &old_name, f) ||
        !api_read_whole(c->body, "max_completion_tokens", 1, REQUEST_TOKENS_MAX, &new_name, f))
        return false;
    if (old_name && new_name && old_name != new_name)
        return api_refuse(f, FAULT_INVALID, "max_completion_tokens",
                          "'max_tokens' and 'max_completion_tokens' contradict each other");
    c->neutral.sampling.max_tokens = (uint32_t)(new_name ? new_name : old_name);
    return true;
}

bool openai_read_sampling(js *body, request_sampling *s, api_fault *f)
{
    int64_t top_k = 0, last_n = 64, seed = 0;
    s->temperature = 1;
    bool ok = api_read_number(body, "temperature", 0, 2, &s->temperature, f) &&
              api_read_number(body, "top_p", 0, 1, &s->top_p, f) &&
              api_read_number(body, "min_p", 0, 1, &s->min_p, f) &&
              api_read_number(body, "repeat_penalty", 0.01, 100, &s->repeat_penalty, f) &&
              api_read_number(body, "presence_penalty", -2, 2, &s->presence_penalty, f) &&
              api_read_number(body, "frequency_penalty", -2, 2, &s->frequency_penalty, f) &&
              api_read_whole(body, "top_k", 0, 1 << 20, &top_k, f) &&
              api_read_whole(body, "repeat_last_n", 0, 4096, &last_n, f) &&
              api_read_whole(body, "seed", INT64_MIN, INT64_MAX, &seed, f);
    s->top_k = (uint32_t)top_k;
    s->repeat_last_n = (uint32_t)last_n;
    s->seed = (uint64_t)seed;
    s->seed_set = js_is(js_get(body, "seed"), JS_NUMBER);
    return ok && api_read_stops(body, "stop", s, f) && api_read_bias(body, s, f);
}

/* ---- the rest ---- */

bool openai_read_effort(chat_call *c, const js *effort, const char *name, api_fault *f)
{
    static const char *const words[] = { "none", "minimal", "low", "medium", "high", "xhigh", "max" };
    js *more = js_get(c->body, "chat_template_kwargs");
    size_t i = 0;
    if (!effort || js_is(effort, JS_NULL))
        return true;
    while (i < ARRAY_LEN(words) && !api_is_text(effort, words[i]))
        i++;
    if (i == ARRAY_LEN(words))
        return api_refuse(f, FAULT_INVALID, name, "'%s' must be none, minimal, low, medium, high, xhigh or max", name);
    if (!js_is(more, JS_OBJECT) && !js_set(c->body, "chat_template_kwargs", more = js_object()))
        return api_no_memory(f);
    bool ok = js_get(more, "enable_thinking") || js_set(more, "enable_thinking", js_new_bool(i > 0));
    if (i > 0)
        ok = (js_get(more, "reasoning_effort") || js_set(more, "reasoning_effort", js_copy(effort))) && ok;
    c->neutral.template_kwargs = more;
    return ok || api_no_memory(f);
}

/* A task is asked as it was measured: what would change that is refused. */
static bool check_task_fields(const chat_call *c, api_fault *f)
{
    static const char *const fixed[] = {
        "temperature", "top_p", "top_k", "min_p", "repeat_penalty", "repeat_last_n", "presence_penalty",
        "frequency_penalty", "seed", "stop", "logit_bias", "max_tokens", "max_completion_tokens", "tools",
        "tool_choice", "response_format", "grammar", "regex", "choices", "structured_outputs", "chat_template_kwargs",
        "reasoning_effort",
    };
    return strncmp(c->model, "task:", 5) != 0 || api_check_absent(c->body, fixed, ARRAY_LEN(fixed), f);
}

/* An object, null, or not there: what else stands there is not looked into, so it must not be. */
static bool is_object(const js *v, const char *name, api_fault *f)
{
    return !v || js_is(v, JS_NULL) || js_is(v, JS_OBJECT) ||
           api_refuse(f, FAULT_INVALID, name, "'%s' must be an object, not a %s", name, js_type_name(js_typeof(v)));
}

bool openai_read_stream(const js *body, bool *stream, bool *include_usage, api_fault *f)
{
    const js *options = js_get(body, "stream_options");
    static const field fields[] = {
        { "include_usage", FIELD_READ, NULL },
        { "include_obfuscation", FIELD_IGNORED, NULL },
    };
    return is_object(options, "stream_options", f) && api_read_bool(body, "stream", stream, f) &&
           api_check_fields(options, fields, ARRAY_LEN(fields), "stream_options.", f) &&
           api_read_bool(options, "include_usage", include_usage, f);
}

static bool read_options(chat_call *c, api_fault *f)
{
    const js *input = js_get(c->body, "input");
    int64_t n = 1;
    if (input && !js_is(input, JS_NULL)) {
        if (!js_is(input, JS_OBJECT))
            return api_refuse(f, FAULT_INVALID, "input", "'input' must be an object of the task's variables");
        c->input = input;
    }
    if (!openai_read_stream(c->body, &c->stream, &c->include_usage, f) ||
        !api_read_whole(c->body, "n", 1, OPENAI_CHOICES_MAX, &n, f))
        return false;
    if (n > 1 && strncmp(c->model, "task:", 5) == 0)
        return api_refuse(f, FAULT_INVALID, "n", "'n' is fixed by the task: it was measured with one answer");
    c->n = (uint32_t)n;
    return true;
}

bool openai_read_chat(span body, chat_call *c, api_fault *f)
{
    c->memory = (arena)ARENA_INIT(2 * REQUEST_BYTES_MAX);
    c->model = "";
    request_init(&c->neutral);
    c->neutral.kind = REQUEST_CHAT;
    return api_read_body(body, chat_fields, ARRAY_LEN(chat_fields), &c->body, f) &&
           api_read_text(c->body, "model", &c->model, f) && read_options(c, f) && openai_read_messages(c, f) &&
           check_task_fields(c, f) && openai_read_sampling(c->body, &c->neutral.sampling, f) && read_lengths(c, f) &&
           api_read_logprobs(c->body, &c->neutral, f) && openai_read_tools(c, f) &&
           openai_read_effort(c, js_get(c->body, "reasoning_effort"), "reasoning_effort", f) &&
           openai_read_shape(c, f);
}

void openai_chat_clear(chat_call *c)
{
    js_free(c->conversation);
    js_free(c->body);
    arena_clear(&c->memory);
}
