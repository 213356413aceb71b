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

static const js *value_of(const js *object, const char *name)
{
    const js *v = js_get(object, name);
    return js_is(v, JS_NULL) ? NULL : v;
}

bool api_read_number(const js *object, const char *name, double low, double high, double *out, api_fault *f)
{
    const js *v = value_of(object, name);
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
    const js *v = value_of(object, name);
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
    const js *v = value_of(object, name);
    if (!v)
        return true;
    if (!js_is(v, JS_BOOL))
        return api_refuse(f, FAULT_INVALID, name, "'%s' must be true or false", name);
    *out = js_bool(v, false);
    return true;
}

bool api_read_text(const js *object, const char *name, const char **out, api_fault *f)
{
    const js *v = value_of(object, name);
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
