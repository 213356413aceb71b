/* llama_read.c: the body of a completion as llama-server's clients write it. Every field is in a table; what is not
 * done is refused by name, because a field that is dropped changes the answer and nobody knows. */
#include <string.h>

#include "api/llama_completion.h"

enum { PROMPTS_MAX = 256, FIELDS_MAX = 64 };

static const int64_t RANDOM_SEED = -1, RANDOM_SEED_TOLD = 0xFFFFFFFF; /* as it is asked for, and told */

static const field call_fields[] = {
    { "model", FIELD_READ, NULL },
    { "prompt", FIELD_READ, NULL },
    { "n_predict", FIELD_READ, NULL },
    { "max_tokens", FIELD_READ, NULL },
    { "stream", FIELD_READ, NULL },
    { "temperature", FIELD_READ, NULL },
    { "top_k", FIELD_READ, NULL },
    { "top_p", FIELD_READ, NULL },
    { "min_p", FIELD_READ, NULL },
    { "repeat_penalty", FIELD_READ, NULL },
    { "repeat_last_n", FIELD_READ, NULL },
    { "presence_penalty", FIELD_READ, NULL },
    { "frequency_penalty", FIELD_READ, NULL },
    { "seed", FIELD_READ, NULL },
    { "stop", FIELD_READ, NULL },
    { "n_probs", FIELD_READ, NULL },
    { "grammar", FIELD_READ, NULL },
    { "json_schema", FIELD_READ, NULL },
    { "ignore_eos", FIELD_READ, NULL },
    { "return_tokens", FIELD_READ, NULL },
    { "samplers", FIELD_READ, NULL },
    { "response_fields", FIELD_READ, NULL },
    /* only their neutral value: `off` below */
    { "n", FIELD_READ, NULL },
    { "n_cmpl", FIELD_READ, NULL },
    { "typical_p", FIELD_READ, NULL },
    { "tfs_z", FIELD_READ, NULL },
    { "top_n_sigma", FIELD_READ, NULL },
    { "adaptive_target", FIELD_READ, NULL },
    { "t_max_predict_ms", FIELD_READ, NULL },
    { "dynatemp_range", FIELD_NEUTRAL, NULL },
    { "xtc_probability", FIELD_NEUTRAL, NULL },
    { "dry_multiplier", FIELD_NEUTRAL, NULL },
    { "mirostat", FIELD_NEUTRAL, NULL },
    { "min_keep", FIELD_NEUTRAL, NULL },
    { "n_indent", FIELD_NEUTRAL, NULL },
    { "logit_bias", FIELD_READ, NULL },
    { "lora", FIELD_NEUTRAL, NULL },
    { "image_data", FIELD_NEUTRAL, NULL },
    { "penalize_nl", FIELD_NEUTRAL, NULL },
    { "post_sampling_probs", FIELD_NEUTRAL, NULL },
    { "timings_per_token", FIELD_NEUTRAL, NULL },
    { "return_progress", FIELD_NEUTRAL, NULL },
    { "grammar_lazy", FIELD_NEUTRAL, NULL },
    { "grammar_triggers", FIELD_NEUTRAL, NULL },
    { "system_prompt", FIELD_NEUTRAL, NULL },
    { "echo", FIELD_NEUTRAL, NULL },
    /* nothing without what is refused above */
    { "dynatemp_exponent", FIELD_IGNORED, NULL },
    { "xtc_threshold", FIELD_IGNORED, NULL },
    { "dry_base", FIELD_IGNORED, NULL },
    { "dry_allowed_length", FIELD_IGNORED, NULL },
    { "dry_penalty_last_n", FIELD_IGNORED, NULL },
    { "dry_sequence_breakers", FIELD_IGNORED, NULL },
    { "mirostat_tau", FIELD_IGNORED, NULL },
    { "mirostat_eta", FIELD_IGNORED, NULL },
    { "adaptive_decay", FIELD_IGNORED, NULL },
    { "preserved_tokens", FIELD_IGNORED, NULL },
    /* how fast, not what: an answer does not depend on caches, slots or drafts here */
    { "cache_prompt", FIELD_IGNORED, NULL },
    { "n_cache_reuse", FIELD_IGNORED, NULL },
    { "id_slot", FIELD_IGNORED, NULL },
    { "slot_id", FIELD_IGNORED, NULL },
    { "n_keep", FIELD_IGNORED, NULL }, /* of a context that is shifted: none is */
    { "n_discard", FIELD_IGNORED, NULL },
    { "backend_sampling", FIELD_IGNORED, NULL },
    { "speculative.n_max", FIELD_IGNORED, NULL },
    { "speculative.n_min", FIELD_IGNORED, NULL },
    { "speculative.p_min", FIELD_IGNORED, NULL },
    { "speculative.type", FIELD_IGNORED, NULL },
    { "sse_ping_interval", FIELD_IGNORED, NULL },
    { "stream_options", FIELD_IGNORED, NULL },
    { "verbose", FIELD_IGNORED, NULL },
    { "user", FIELD_IGNORED, NULL },
};

/* What must have a value that means "off", which is not 0. */
static const struct off {
    const char *name;
    double low, high;
} off[] = {
    { "n", 1, 1 },
    { "n_cmpl", 1, 1 },
    { "typical_p", 1, 1 },
    { "tfs_z", 1, 1 },
    { "top_n_sigma", -1e9, 0 },
    { "adaptive_target", -1e9, -1e-9 },
    { "t_max_predict_ms", -1e9, 0 },
};

static bool check_off(const js *body, api_fault *f)
{
    for (size_t i = 0; i < ARRAY_LEN(off); i++) {
        const struct off *o = &off[i];
        double v = o->high;
        if (!api_read_number(body, o->name, -1e300, 1e300, &v, f))
            return false;
        if (v < o->low || v > o->high)
            return api_refuse(f, FAULT_INVALID, o->name, "field '%s' is not supported here and would change the "
                              "answer; leave it out", o->name);
    }
    return true;
}

/* ---- sampling ---- */

static bool read_length(llama_call *c, api_fault *f)
{
    int64_t other = -1;
    c->n_predict = -1;
    if (!api_read_whole(c->body, "n_predict", -2, REQUEST_TOKENS_MAX, &c->n_predict, f) ||
        !api_read_whole(c->body, "max_tokens", -2, REQUEST_TOKENS_MAX, &other, f))
        return false;
    if (api_value(c->body, "n_predict") && api_value(c->body, "max_tokens") && other != c->n_predict)
        return api_refuse(f, FAULT_INVALID, "max_tokens", "'n_predict' and 'max_tokens' contradict each other");
    if (api_value(c->body, "max_tokens"))
        c->n_predict = other;
    c->neutral.sampling.max_tokens = c->n_predict > 0 ? (uint32_t)c->n_predict : 0;
    c->neutral.score_only = c->n_predict == 0;
    return true;
}

/* llama-server's defaults. */
static bool read_sampling(llama_call *c, api_fault *f)
{
    const js *b = c->body;
    request_sampling *s = &c->neutral.sampling;
    int64_t top_k = 40, last_n = 64, seed = RANDOM_SEED;
    s->temperature = 0.8;
    s->top_p = 0.95;
    s->min_p = 0.05;
    bool ok = api_read_number(b, "temperature", 0, 100, &s->temperature, f) &&
              api_read_number(b, "top_p", 0, 1, &s->top_p, f) && api_read_number(b, "min_p", 0, 1, &s->min_p, f) &&
              api_read_number(b, "repeat_penalty", 0.01, 100, &s->repeat_penalty, f) &&
              api_read_number(b, "presence_penalty", -100, 100, &s->presence_penalty, f) &&
              api_read_number(b, "frequency_penalty", -100, 100, &s->frequency_penalty, f) &&
              api_read_whole(b, "top_k", 0, 1 << 20, &top_k, f) &&
              api_read_whole(b, "repeat_last_n", 0, 4096, &last_n, f) &&
              api_read_whole(b, "seed", INT64_MIN, INT64_MAX, &seed, f) &&
              api_read_bool(b, "ignore_eos", &s->ignore_eos, f);
    s->top_k = (uint32_t)top_k;
    s->repeat_last_n = (uint32_t)last_n;
    s->seed_set = seed != RANDOM_SEED && seed != RANDOM_SEED_TOLD;
    s->seed = (uint64_t)seed;
    return ok && api_read_bias(c->body, s, f) && api_read_stops(b, "stop", s, f) && read_length(c, f);
}

/* ---- samplers: which of them, in which order ---- */

typedef enum sampler { PENALTIES, TEMPERATURE, TOP_K, TOP_P, MIN_P, SAMPLERS, NOTHING } sampler;

static const struct {
    const char *name;
    sampler is;
} sampler_names[] = {
    { "penalties", PENALTIES }, { "temperature", TEMPERATURE }, { "top_k", TOP_K },     { "top_p", TOP_P },
    { "min_p", MIN_P },         { "dry", NOTHING },             { "typ_p", NOTHING },   { "typical_p", NOTHING },
    { "xtc", NOTHING },         { "top_n_sigma", NOTHING },     { "adaptive_p", NOTHING },
};

static sampler sampler_of(const js *name)
{
    for (size_t i = 0; i < ARRAY_LEN(sampler_names); i++)
        if (api_is_text(name, sampler_names[i].name))
            return sampler_names[i].is;
    return SAMPLERS;
}

static bool does_something(const request_sampling *s, sampler which)
{
    switch (which) {
    case PENALTIES: return s->repeat_penalty != 1 || s->presence_penalty != 0 || s->frequency_penalty != 0;
    case TEMPERATURE: return s->temperature != 1;
    case TOP_K: return s->top_k != 0;
    case TOP_P: return s->top_p != 1;
    case MIN_P: return s->min_p != 0;
    default: return false;
    }
}

static void leave_out(request_sampling *s, sampler which)
{
    switch (which) {
    case PENALTIES:
        s->repeat_penalty = 1;
        s->presence_penalty = s->frequency_penalty = 0;
        break;
    case TEMPERATURE: s->temperature = 1; break;
    case TOP_K: s->top_k = 0; break;
    case TOP_P: s->top_p = 1; break;
    case MIN_P: s->min_p = 0; break;
    default: break;
    }
}

/* The order here is fixed (docs/NUMERICS.md): another one is refused, unless it cannot matter. With temperature 0 the
 * likeliest is taken, whatever the filters leave beside it. */
static bool read_samplers(llama_call *c, api_fault *f)
{
    const js *list = api_value(c->body, "samplers");
    request_sampling *s = &c->neutral.sampling;
    bool named[SAMPLERS] = { false };
    sampler last = PENALTIES;
    if (list && !js_is(list, JS_ARRAY))
        return api_refuse(f, FAULT_INVALID, "samplers", "'samplers' must be a list of names");
    for (size_t i = 0; i < js_len(list); i++) {
        sampler is = sampler_of(js_at(list, i));
        if (is == SAMPLERS)
            return api_refuse(f, FAULT_INVALID, "samplers", "'samplers' names what is not done here (item %zu); there "
                              "are penalties, temperature, top_k, top_p, min_p", i);
        if (is == NOTHING || !does_something(s, is))
            continue;
        if (is < last && (s->temperature != 0 || is == PENALTIES))
            return api_refuse(f, FAULT_INVALID, "samplers", "the order of 'samplers' would change the answer: here it "
                              "is penalties, temperature, top_k, top_p, min_p");
        last = is;
        named[is] = true;
    }
    for (sampler is = PENALTIES; list && is < SAMPLERS; is++)
        if (!named[is])
            leave_out(s, is);
    return true;
}

/* ---- what is asked for ---- */

static bool read_shape(llama_call *c, api_fault *f)
{
    const js *schema = api_value(c->body, "json_schema");
    c->grammar = "";
    if (!api_read_text(c->body, "grammar", &c->grammar, f))
        return false;
    if (*c->grammar && schema)
        return api_refuse(f, FAULT_INVALID, "json_schema", "give either 'grammar' or 'json_schema', not both");
    if (schema && !js_is(schema, JS_OBJECT) && !js_is(schema, JS_BOOL))
        return api_refuse(f, FAULT_INVALID, "json_schema", "'json_schema' must be a JSON Schema");
    c->neutral.shape = schema ? SHAPE_SCHEMA : *c->grammar ? SHAPE_GRAMMAR : SHAPE_FREE;
    c->neutral.schema = schema;
    c->neutral.shape_text = *c->grammar ? c->grammar : NULL;
    return true;
}

static bool read_fields(llama_call *c, api_fault *f)
{
    const js *list = api_value(c->body, "response_fields");
    bool ok = !list || (js_is(list, JS_ARRAY) && js_len(list) <= FIELDS_MAX);
    for (size_t i = 0; i < js_len(list) && ok; i++)
        ok = js_is(js_at(list, i), JS_STRING) && js_len(js_at(list, i)) < 256;
    c->fields = js_len(list) ? list : NULL;
    return ok || api_refuse(f, FAULT_INVALID, "response_fields", "'response_fields' must be a list of at most %d names",
                            (int)FIELDS_MAX);
}

static bool read_output(llama_call *c, api_fault *f)
{
    int64_t n_probs = 0;
    if (!api_read_bool(c->body, "stream", &c->stream, f) ||
        !api_read_bool(c->body, "return_tokens", &c->return_tokens, f) ||
        !api_read_whole(c->body, "n_probs", 0, REQUEST_LOGPROBS_MAX, &n_probs, f) || !read_fields(c, f))
        return false;
    c->probabilities = n_probs > 0;
    c->return_tokens = c->return_tokens || c->stream; /* as llama-server does */
    c->neutral.logprobs = c->return_tokens || c->probabilities;
    c->neutral.n_logprobs = (uint32_t)n_probs;
    return true;
}

/* ---- prompts ---- */

/* A list that holds an id is one prompt, any other list one of prompts. */
static bool is_many(const js *prompt)
{
    bool many = js_is(prompt, JS_ARRAY) && js_len(prompt) > 0;
    for (size_t i = 0; many && i < js_len(prompt); i++)
        many = !js_is(js_at(prompt, i), JS_NUMBER);
    return many;
}

static bool read_prompts(llama_call *c, api_fault *f)
{
    const js *prompt = js_get(c->body, "prompt");
    c->many = is_many(prompt);
    size_t n = c->many ? js_len(prompt) : 1;
    if (n > PROMPTS_MAX)
        return api_refuse(f, FAULT_INVALID, "prompt", "'prompt' holds %zu prompts; the most is %d", n,
                          (int)PROMPTS_MAX);
    c->prompts = mem_array(n, sizeof *c->prompts);
    if (!c->prompts)
        return api_no_memory(f);
    c->n_prompts = n;
    for (size_t i = 0; i < n; i++)
        if (!llama_read_prompt(c->many ? js_at(prompt, i) : prompt, "prompt", &c->prompts[i], f))
            return false;
    return true;
}

bool llama_read_call(span body, llama_call *c, api_fault *f)
{
    *c = (llama_call){ .model = "", .grammar = "" };
    request_init(&c->neutral);
    return api_read_body(body, call_fields, ARRAY_LEN(call_fields), &c->body, f) &&
           llama_read_model(c->body, &c->model, f) && check_off(c->body, f) && read_sampling(c, f) &&
           read_samplers(c, f) && read_shape(c, f) && read_output(c, f) && read_prompts(c, f);
}

void llama_call_clear(llama_call *c)
{
    for (size_t i = 0; i < c->n_prompts; i++)
        llama_prompt_clear(&c->prompts[i]);
    mem_free(c->prompts);
    js_free(c->body);
}

/* ---- and told again ---- */

js *llama_settings_js(const llama_call *c)
{
    const request_sampling *s = &c->neutral.sampling;
    const sampler order[] = { PENALTIES, TEMPERATURE, TOP_K, TOP_P, MIN_P };
    js *o = js_object(), *stops = js_array(), *samplers = js_array();
    for (size_t i = 0; i < s->n_stops; i++)
        js_push(stops, js_new_string(s->stops[i]));
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        js_push(samplers, js_new_string(sampler_names[order[i]].name));
    js_set(o, "seed", s->seed_set ? js_new_int((int64_t)s->seed) : js_new_int(RANDOM_SEED_TOLD));
    js_set(o, "temperature", js_new_double(s->temperature));
    js_set(o, "top_k", js_new_int(s->top_k));
    js_set(o, "top_p", js_new_double(s->top_p));
    js_set(o, "min_p", js_new_double(s->min_p));
    js_set(o, "repeat_last_n", js_new_int(s->repeat_last_n));
    js_set(o, "repeat_penalty", js_new_double(s->repeat_penalty));
    js_set(o, "presence_penalty", js_new_double(s->presence_penalty));
    js_set(o, "frequency_penalty", js_new_double(s->frequency_penalty));
    js_set(o, "stop", stops);
    js_set(o, "max_tokens", js_new_int(c->n_predict));
    js_set(o, "n_predict", js_new_int(c->n_predict));
    js_set(o, "ignore_eos", js_new_bool(s->ignore_eos));
    js_set(o, "stream", js_new_bool(c->stream));
    js_set(o, "n_probs", js_new_int(c->probabilities ? c->neutral.n_logprobs : 0));
    js_set(o, "grammar", js_new_string(c->grammar));
    js_set(o, "samplers", samplers);
    return o;
}
