/* ollama_options.c: what Ollama's requests have in common: the model's name, keep_alive, `options`. Options that change
 * only speed or memory are taken and left; those that would change the answer and are not done are refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/ollama_int.h"
#include "base/str.h"

/* ---- names ---- */

bool ollama_read_model(const js *body, const char **said, char *out, api_fault *f)
{
    const char *old_name = "";
    *said = "";
    if (!api_read_text(body, "model", said, f) || !api_read_text(body, "name", &old_name, f))
        return false;
    if (!**said)
        *said = old_name;
    size_t n = strlen(*said);
    if (n > strlen(":latest") && str_ends(*said, ":latest"))
        n -= strlen(":latest");
    if (n >= ROUTE_NAME_BYTES)
        return api_refuse(f, FAULT_INVALID, "model", "'model' is longer than %d bytes", ROUTE_NAME_BYTES - 1);
    memcpy(out, *said, n);
    out[n] = '\0';
    return true;
}

/* ---- keep_alive ---- */

bool ollama_read_keep(const js *body, bool *set, double *seconds, api_fault *f)
{
    const js *v = js_get(body, "keep_alive");
    bool text = js_is(v, JS_STRING);
    *set = v && !js_is(v, JS_NULL) && !(text && !js_len(v));
    if (!*set)
        return true;
    if (text && strlen(js_text(v)) == js_len(v) && str_duration(js_text(v), seconds))
        return true;
    if (!text && js_double(v, seconds))
        return true;
    return api_refuse(f, FAULT_INVALID, "keep_alive", "'keep_alive' must be seconds or a time such as \"5m\" or "
                      "\"1h30m\"; negative: for ever");
}

/* ---- options ---- */

static const field option_fields[] = {
    { "temperature", FIELD_READ, NULL },
    { "top_k", FIELD_READ, NULL },
    { "top_p", FIELD_READ, NULL },
    { "min_p", FIELD_READ, NULL },
    { "typical_p", FIELD_READ, NULL },
    { "tfs_z", FIELD_READ, NULL },
    { "repeat_penalty", FIELD_READ, NULL },
    { "repeat_last_n", FIELD_READ, NULL },
    { "presence_penalty", FIELD_READ, NULL },
    { "frequency_penalty", FIELD_READ, NULL },
    { "seed", FIELD_READ, NULL },
    { "stop", FIELD_READ, NULL },
    { "num_predict", FIELD_READ, NULL },
    { "num_ctx", FIELD_READ, NULL },
    { "num_batch", FIELD_IGNORED, NULL },
    { "num_thread", FIELD_IGNORED, NULL },
    { "num_gpu", FIELD_IGNORED, NULL },
    { "main_gpu", FIELD_IGNORED, NULL },
    { "low_vram", FIELD_IGNORED, NULL },
    { "numa", FIELD_IGNORED, NULL },
    { "use_mmap", FIELD_IGNORED, NULL },
    { "use_mlock", FIELD_IGNORED, NULL },
    { "num_keep", FIELD_IGNORED, NULL }, /* of a context that is shifted: none is */
    { "mirostat", FIELD_NEUTRAL, NULL },
    { "mirostat_tau", FIELD_IGNORED, NULL }, /* nothing without mirostat */
    { "mirostat_eta", FIELD_IGNORED, NULL },
    { "penalize_newline", FIELD_NEUTRAL, NULL },
    { "logits_all", FIELD_NEUTRAL, NULL },
    { "vocab_only", FIELD_NEUTRAL, NULL },
    { "embedding_only", FIELD_NEUTRAL, NULL },
};

/* What an option must be because nothing else is done: 1 is off for both. */
static bool check_off(const js *options, const char *name, api_fault *f)
{
    double v = 1;
    if (!api_read_number(options, name, 0, 1, &v, f))
        return false;
    return v == 1 || api_refuse(f, FAULT_INVALID, name, "option '%s' is not supported here and would change the "
                                "answer; leave it out", name);
}

static bool read_sampling(const js *o, request_sampling *s, api_fault *f)
{
    int64_t top_k = 40, last_n = 64, seed = -1, predict = 0;
    s->temperature = 0.8; /* Ollama's defaults */
    s->top_p = 0.9;
    s->repeat_penalty = 1.1;
    bool ok = api_read_number(o, "temperature", 0, 100, &s->temperature, f) &&
              api_read_number(o, "top_p", 0, 1, &s->top_p, f) && api_read_number(o, "min_p", 0, 1, &s->min_p, f) &&
              api_read_number(o, "repeat_penalty", 0.01, 100, &s->repeat_penalty, f) &&
              api_read_number(o, "presence_penalty", -100, 100, &s->presence_penalty, f) &&
              api_read_number(o, "frequency_penalty", -100, 100, &s->frequency_penalty, f) &&
              api_read_whole(o, "top_k", 0, 1 << 20, &top_k, f) &&
              api_read_whole(o, "repeat_last_n", 0, 4096, &last_n, f) &&
              api_read_whole(o, "seed", INT64_MIN, INT64_MAX, &seed, f) &&
              api_read_whole(o, "num_predict", -2, REQUEST_TOKENS_MAX, &predict, f);
    s->top_k = (uint32_t)top_k;
    s->repeat_last_n = (uint32_t)last_n;
    s->seed_set = seed >= 0;
    s->seed = s->seed_set ? (uint64_t)seed : 0;
    s->max_tokens = predict > 0 ? (uint32_t)predict : 0;
    return ok && check_off(o, "typical_p", f) && check_off(o, "tfs_z", f) && api_read_stops(o, "stop", s, f);
}

/* A task is asked as it was measured. */
static bool check_task(const js *options, api_fault *f)
{
    for (size_t i = 0; i < ARRAY_LEN(option_fields); i++) {
        const js *v = js_get(options, option_fields[i].name);
        if (option_fields[i].rule == FIELD_READ && v && !js_is(v, JS_NULL))
            return api_refuse(f, FAULT_INVALID, option_fields[i].name, "option '%s' is fixed by the task: it was "
                              "measured so", option_fields[i].name);
    }
    return true;
}

bool ollama_read_options(const js *body, bool is_task, request *out, api_fault *f)
{
    const js *options = js_get(body, "options");
    int64_t context = 0;
    if (options && !js_is(options, JS_NULL) && !js_is(options, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, "options", "'options' must be an object");
    if (!api_check_fields(options, option_fields, ARRAY_LEN(option_fields), "options.", f) ||
        (is_task && !check_task(options, f)) || !read_sampling(options, &out->sampling, f) ||
        !api_read_whole(options, "num_ctx", 1, INT32_MAX, &context, f))
        return false;
    out->context = (uint32_t)context;
    return true;
}
