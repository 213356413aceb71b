/* config.c: values of config.json. */
#include <string.h>

#include "import/import_int.h"

const js *import_get(const js *config, const char *key)
{
    const js *v = js_get(config, key);
    return js_typeof(v) == JS_NULL ? NULL : v;
}

status import_number(const js *config, const char *key, uint32_t most, uint32_t *out, error *err)
{
    int64_t v;
    const js *j = import_get(config, key);
    if (!js_int(j, &v) || v < 1 || v > most)
        return fail(err, j ? E_RANGE : E_NOTFOUND, "config.json: %s must be a whole number from 1 to %u", key, most);
    *out = (uint32_t)v;
    return OK;
}

status import_number_or(const js *config, const char *key, uint32_t most, uint32_t otherwise, uint32_t *out, error *err)
{
    *out = otherwise;
    return import_get(config, key) ? import_number(config, key, most, out, err) : OK;
}

status import_real(const js *config, const char *key, double low, double high, double *out, error *err)
{
    double v;
    const js *j = import_get(config, key);
    if (!js_double(j, &v) || !(v >= low && v <= high))
        return fail(err, j ? E_RANGE : E_NOTFOUND, "config.json: %s must be a number from %g to %g", key, low, high);
    *out = v;
    return OK;
}

status import_real_or(const js *config, const char *key, double low, double high, double otherwise, double *out,
                      error *err)
{
    *out = otherwise;
    return import_get(config, key) ? import_real(config, key, low, high, out, err) : OK;
}

bool import_is_text(const js *config, const char *key, const char *text, bool otherwise)
{
    const char *t = js_text(js_get(config, key));
    return t ? strcmp(t, text) == 0 : otherwise;
}
