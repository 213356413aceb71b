/* release.c: see the header. */
#include "egress/release.h"

#include <string.h>

js *release_to_js(const release *r)
{
    js *j = js_object();
    bool ok = js_set(j, "chain", js_new_string(r->chain));
    ok = js_set(j, "seq", js_new_int((int64_t)r->sequence)) && ok;
    ok = js_set(j, "mac", js_new_string(r->mac)) && ok;
    ok = js_set(j, "sha256", js_new_string(r->body)) && ok;
    ok = js_set(j, "bytes", js_new_int((int64_t)r->bytes)) && ok;
    if (ok)
        return j;
    js_free(j);
    return NULL;
}

static const char *hex_of(const js *v)
{
    const char *t = js_text(v);
    bool ok = js_is(v, JS_STRING) && js_len(v) == DIGEST_HEX - 1 && digest_is_hex(t);
    return ok ? t : NULL;
}

status release_check(const js *j, const void *body, size_t n, release_used *used, error *err)
{
    const js *chain = js_get(j, "chain");
    const char *sum = hex_of(js_get(j, "sha256"));
    int64_t seq = 0, bytes = -1;
    char have[DIGEST_HEX];
    if (!js_is(j, JS_OBJECT) || !js_is(chain, JS_STRING) || js_len(chain) != RELEASE_CHAIN - 1 || !sum ||
        !hex_of(js_get(j, "mac")) || !js_int(js_get(j, "seq"), &seq) || seq < 1 || !js_int(js_get(j, "bytes"), &bytes))
        return fail(err, E_DENIED, "egress: a request without a record in the audit log does not leave");
    digest_of(body, n, have);
    if (bytes < 0 || (uint64_t)bytes != n || strcmp(have, sum) != 0)
        return fail(err, E_DENIED, "egress: the record in the audit log is of another request than this");
    if (strcmp(used->chain, js_text(chain)) == 0 && (uint64_t)seq <= used->sequence)
        return fail(err, E_DENIED, "egress: this record in the audit log was used already");
    memcpy(used->chain, js_text(chain), RELEASE_CHAIN);
    used->sequence = (uint64_t)seq;
    return OK;
}
