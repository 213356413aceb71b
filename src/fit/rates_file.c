/* rates_file.c: measured rates in the cache directory, one JSON object. Of anything odd about it, nothing is taken. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/js.h"
#include "base/mem.h"
#include "fit/rates.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "plat/paths.h"

enum { N_RATES = sizeof(fit_rates) / sizeof(double), FILE_BYTES = 1 << 20 };
_Static_assert(sizeof(fit_rates) == N_RATES * sizeof(double), "only doubles");

static bool read_rates(const js *o, const char *key, int max_days, fit_rates *out, int64_t *measured_at)
{
    const js *list = js_get(o, "rates");
    const char *found = js_text(js_get(o, "key"));
    double *to = (double *)(void *)out;
    int64_t now = clock_utc_us() / 1000000, oldest = now - (int64_t)max_days * 86400;
    if (!found || strcmp(found, key) != 0 || js_len(list) != N_RATES ||
        !js_int(js_get(o, "measured_at"), measured_at) || *measured_at > now || *measured_at < oldest)
        return false;
    for (size_t i = 0; i < N_RATES; i++)
        if (!js_double(js_at(list, i), &to[i]) || !isfinite(to[i]) || to[i] < 0)
            return false;
    return out->read_bytes_per_s[FIT_MEMORY] > 0;
}

bool fit_rates_recall(fit_rates *out, const char *name, const char *key, int max_days, int64_t *measured_at)
{
    char *path = NULL;
    buf text = BUF_INIT(FILE_BYTES);
    js *o = NULL;
    fit_rates found;
    bool ok = path_of(&path, PATH_CACHE, name, NULL) == OK && file_slurp(path, &text, NULL) == OK &&
              js_parse(&o, text.data ? text.data : "", text.len, path, 1, NULL) == OK &&
              read_rates(o, key, max_days, &found, measured_at);
    if (ok)
        *out = found;
    js_free(o);
    buf_clear(&text);
    mem_free(path);
    return ok;
}

static status write_whole(const char *path, const char *fresh, const buf *text, error *err)
{
    status s = file_create(fresh, 0600, text->data, text->len, err);
    if (s)
        return s;
    if (rename(fresh, path) == 0) /* whole or not at all: others read it at any moment */
        return OK;
    s = fail(err, E_IO, "%s: %s", path, strerror(errno));
    unlink(fresh);
    return s;
}

status fit_rates_remember(const fit_rates *r, const char *name, const char *key, int64_t measured_at, error *err)
{
    char *path = NULL, *fresh = NULL, temporary[128];
    const double *from = (const double *)(const void *)r;
    buf text = BUF_INIT(FILE_BYTES);
    snprintf(temporary, sizeof temporary, "%.80s.%ld", name, (long)getpid());
    js_begin();
    js *o = js_object(), *list = js_array();
    js_set(o, "key", js_new_string(key));
    js_set(o, "measured_at", js_new_int(measured_at));
    for (size_t i = 0; i < N_RATES; i++)
        js_push(list, js_new_double(from[i]));
    js_set(o, "rates", list);
    js_write(o, JS_COMPACT, &text);
    status s = js_lost() ? fail(err, E_NOMEM, "no memory to remember what was measured") : buf_ok(&text, name, err);
    if (!s)
        s = path_of(&path, PATH_CACHE, name, err);
    if (!s)
        s = path_of(&fresh, PATH_CACHE, temporary, err);
    if (!s)
        s = path_make_parents(path, err);
    if (!s)
        s = write_whole(path, fresh, &text, err);
    js_free(o);
    buf_clear(&text);
    mem_free(path);
    mem_free(fresh);
    return s;
}
