/* fields.c: reading what strangers send, naming what is wrong with it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/api_int.h"
#include "base/str.h"

static const field *find(const field *fields, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    }
    return NULL;
}

/* A value that asks for nothing. */
static bool is_neutral(const js *v, const char *neutral)
{
    double d;
    switch (js_typeof(v)) {
    case JS_NULL: return true;
    case JS_BOOL: return !js_bool(v, false);
    case JS_NUMBER: return js_double(v, &d) && d == 0;
    case JS_STRING: return js_len(v) == 0 || (neutral && strcmp(js_text(v), neutral) == 0);
    default: return js_len(v) == 0;
    }
}

bool api_check_fields(const js *object, const field *fields, size_t n, const char *where, api_fault *f)
{
    js_member m = { 0 };
    while (js_next(object, &m)) {
        char name[128];
        snprintf(name, sizeof name, "%s%s", where, m.key);
        const field *known = find(fields, n, m.key);
        if (!known) {
            const char *near = str_nearest(m.key, fields, n, sizeof *fields);
            return near ? api_refuse(f, FAULT_INVALID, name, "unknown field '%s' (did you mean '%s'?)", name, near)
                        : api_refuse(f, FAULT_INVALID, name, "unknown field '%s'", name);
        }
        if (known->rule == FIELD_NEUTRAL && !is_neutral(m.value, known->neutral))
            return api_refuse(f, FAULT_INVALID, name,
                              "field '%s' is not supported here and would change the answer; leave it out", name);
    }
    return true;
}

const js *api_value(const js *object, const char *name)
{
    const js *v = js_get(object, name);
    return js_is(v, JS_NULL) ? NULL : v;
}

bool api_is_text(const js *v, const char *text)
{
    return js_is(v, JS_STRING) && strcmp(js_text(v), text) == 0;
}

/* Letters, digits and what else stands in names: models write them between marks of their own. */
bool api_is_tool_name(const js *v)
{
    static const char known[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./";
    const char *text = js_is(v, JS_STRING) ? js_text(v) : "";
    size_t n = strlen(text);
    return n > 0 && n <= REQUEST_TOOL_NAME_MAX && n == js_len(v) && strspn(text, known) == n;
}

bool api_check_absent(const js *object, const char *const *names, size_t n, api_fault *f)
{
    for (size_t i = 0; i < n; i++)
        if (api_value(object, names[i]))
            return api_refuse(f, FAULT_INVALID, names[i], "'%s' is fixed by the task: it was measured so", names[i]);
    return true;
}

bool api_read_number(const js *object, const char *name, double low, double high, double *out, api_fault *f)
{
    const js *v = api_value(object, name);
    double d;
    if (!v)
        return true;
    if (!js_double(v, &d))
        return api_refuse(f, FAULT_INVALID, name, "'%s' must be a number, not a %s", name, js_type_name(js_typeof(v)));
    if (!(d >= low && d <= high))
        return api_refuse(f, FAULT_INVALID, name, "'%s' is %s; it must be from %g to %g", name, js_text(v), low, high);
    *out = d;
    return true;
}

bool api_read_whole(const js *object, const char *name, int64_t low, int64_t high, int64_t *out, api_fault *f)
{
    const js *v = api_value(object, name);
    int64_t i;
    if (!v)
        return true;
    if (!js_int(v, &i))
        return api_refuse(f, FAULT_INVALID, name, "'%s' must be a whole number", name);
    if (i < low || i > high)
        return api_refuse(f, FAULT_INVALID, name, "'%s' is %s; it must be from %lld to %lld", name, js_text(v),
                          (long long)low, (long long)high);
    *out = i;
    return true;
}

bool api_read_bool(const js *object, const char *name, bool *out, api_fault *f)
{
    const js *v = api_value(object, name);
    if (!v)
        return true;
    if (!js_is(v, JS_BOOL))
        return api_refuse(f, FAULT_INVALID, name, "'%s' must be true or false", name);
    *out = js_bool(v, false);
    return true;
}

bool api_read_text(const js *object, const char *name, const char **out, api_fault *f)
{
    const js *v = api_value(object, name);
    if (!v)
        return true;
    if (!js_is(v, JS_STRING))
        return api_refuse(f, FAULT_INVALID, name, "'%s' must be a string, not a %s", name,
                          js_type_name(js_typeof(v)));
    if (strlen(js_text(v)) != js_len(v))
        return api_refuse(f, FAULT_INVALID, name, "'%s' holds a zero byte", name);
    *out = js_text(v);
    return true;
}

bool api_read_stops(const js *object, const char *name, request_sampling *out, api_fault *f)
{
    const js *stop = api_value(object, name);
    bool one = js_is(stop, JS_STRING);
    size_t n = one ? 1 : js_len(stop);
    if (!stop)
        return true;
    if ((!one && !js_is(stop, JS_ARRAY)) || n > REQUEST_STOPS_MAX)
        return api_refuse(f, FAULT_INVALID, name, "'%s' must be a string or a list of at most %d strings", name,
                          REQUEST_STOPS_MAX);
    for (size_t i = 0; i < n; i++) {
        const js *text = one ? stop : js_at(stop, i);
        if (!js_is(text, JS_STRING) || !js_len(text) || js_len(text) > REQUEST_STOP_BYTES_MAX ||
            memchr(js_text(text), 0, js_len(text)))
            return api_refuse(f, FAULT_INVALID, name, "each '%s' must be a string of 1 to %d bytes", name,
                              REQUEST_STOP_BYTES_MAX);
        out->stops[out->n_stops++] = js_text(text);
    }
    return true;
}

bool api_read_body(span body, const field *fields, size_t n, js **out, api_fault *f)
{
    error e = { 0 };
    if (js_parse(out, body.p, body.n, "body", 1, &e))
        return api_refuse_status(f, "", &e);
    if (!js_is(*out, JS_OBJECT))
        return api_refuse(f, FAULT_INVALID, "", "the body must be a JSON object");
    return api_check_fields(*out, fields, n, "", f);
}

bool api_read_logprobs(const js *body, request *out, api_fault *f)
{
    int64_t top = 0;
    if (!api_read_bool(body, "logprobs", &out->logprobs, f) || !api_read_whole(body, "top_logprobs", 0, 20, &top, f))
        return false;
    if (top && !out->logprobs)
        return api_refuse(f, FAULT_INVALID, "top_logprobs", "'top_logprobs' needs 'logprobs': true");
    out->n_logprobs = (uint32_t)top;
    return true;
}

/* [[id, bias or false], …] as an object; NULL: it is no such list. */
static js *bias_of_list(const js *list)
{
    js *out = js_object();
    for (size_t i = 0; i < js_len(list); i++) {
        const js *id = js_at(js_at(list, i), 0), *bias = js_at(js_at(list, i), 1);
        char name[24];
        int64_t token;
        double b;
        bool never = js_is(bias, JS_BOOL) && !js_bool(bias, true);
        if (js_len(js_at(list, i)) != 2 || !js_int(id, &token) || (!never && !js_double(bias, &b))) {
            js_free(out);
            return NULL;
        }
        snprintf(name, sizeof name, "%lld", (long long)token);
        js_set(out, name, never ? js_new_int(-100) : js_copy(bias));
    }
    return out;
}

bool api_read_bias(js *body, request_sampling *s, api_fault *f)
{
    const js *bias = api_value(body, "logit_bias");
    error e = { 0 };
    if (js_is(bias, JS_ARRAY)) {
        js *object = bias_of_list(bias);
        if (!object)
            return api_refuse(f, FAULT_INVALID, "logit_bias", "'logit_bias' must be an object of token ids and "
                              "numbers, or a list of [token id, number or false]");
        if (!js_set(body, "logit_bias", object))
            return api_no_memory(f);
        bias = object;
    }
    if (request_check_bias(bias, &e))
        return api_refuse_status(f, "logit_bias", &e);
    s->bias = js_len(bias) ? bias : NULL;
    return true;
}
