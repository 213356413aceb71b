/* cors.c: the pages of other sites that may ask: exactly the origins of a list. A browser asks first (a preflight,
 * which carries no key), and shows an answer to the page only where the answer names the page's origin. */
#include <string.h>

#include "base/mem.h"
#include "http/http_int.h"

static void free_list(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mem_free(list[i]);
    mem_free(list);
}

status http_set_origins(http_server *s, const char *const *origins, size_t n, error *err)
{
    char **fresh = n ? mem_array(n, sizeof *fresh) : NULL;
    bool ok = !n || fresh;
    for (size_t i = 0; ok && i < n; i++)
        ok = (fresh[i] = mem_strdup(origins[i])) != NULL;
    if (!ok) {
        free_list(fresh, fresh ? n : 0);
        return fail(err, E_NOMEM, "no memory for the origins");
    }
    pthread_mutex_lock(&s->lock);
    char **old = s->origins;
    size_t n_old = s->n_origins;
    s->origins = fresh;
    s->n_origins = n;
    pthread_mutex_unlock(&s->lock);
    free_list(old, n_old);
    return OK;
}

bool http_is_listed(http_server *s, const char *origin, bool *any)
{
    bool found = false;
    pthread_mutex_lock(&s->lock);
    *any = s->n_origins > 0;
    for (size_t i = 0; origin && i < s->n_origins; i++)
        found = found || strcmp(s->origins[i], origin) == 0;
    pthread_mutex_unlock(&s->lock);
    return found;
}

/* Header names in a list: what may be repeated in an answer. */
static bool names_ok(const char *s)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_, ";
    return strlen(s) < HTTP_HEADER_BYTES && strspn(s, good) == strlen(s);
}

void http_allow_origin(http_request *r, const char *origin)
{
    http_set(r, "Access-Control-Allow-Origin", origin);
    http_set(r, "Access-Control-Expose-Headers",
             "x-request-id, request-id, retry-after, x-hearth-route, x-hearth-provider, x-hearth-class, "
             "x-hearth-reason, x-hearth-evidence, x-hearth-task, x-hearth-state, x-hearth-recognised, "
             "x-hearth-cascade, x-hearth-class-reason, x-hearth-below-bar, x-hearth-policy, "
             "x-hearth-not-enforced");
}

/* The headers that clients send differ by client and version; which site asks is what is decided here. */
bool http_preflight(http_request *r)
{
    const char *headers = http_header(r, "Access-Control-Request-Headers");
    if (strcmp(r->method, "OPTIONS") != 0 || !http_header(r, "Access-Control-Request-Method"))
        return false;
    http_set(r, "Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE");
    if (headers && names_ok(headers))
        http_set(r, "Access-Control-Allow-Headers", headers);
    http_set(r, "Access-Control-Max-Age", "600");
    http_answer_early(r, 204, NULL, "");
    return true;
}
