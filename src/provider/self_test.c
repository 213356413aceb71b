/* self_test.c: see the header. */
#include "provider/self_test.h"

#include <stdio.h>

#include "plat/sandbox.h"

self_test self_test_judge(const js *sandbox, const witness *seen, char why[SELF_TEST_WHY])
{
    enum { FILTER = 2 };
    const js *checks = js_get(sandbox, "checks");
    why[0] = 0;
    if (!js_bool(js_get(sandbox, "seccomp"), false) || (seen->seccomp >= 0 && seen->seccomp != FILTER)) {
        snprintf(why, SELF_TEST_WHY, "seccomp does not confine it");
        return SELF_TEST_NO_SECCOMP;
    }
    for (size_t i = 0; i < js_len(checks); i++) {
        const js *c = js_at(checks, i);
        const char *name = js_text(js_get(c, "name"));
        if (js_bool(js_get(c, "denied"), false))
            continue;
        snprintf(why, SELF_TEST_WHY, "its sandbox leaks: %.60s was not denied", name ? name : "a call without a name");
        return SELF_TEST_LEAKS;
    }
    size_t n = sandbox_test_count(SANDBOX_COMPUTE);
    if (js_len(checks) < n) {
        snprintf(why, SELF_TEST_WHY, "it attempted only %zu of %zu forbidden calls", js_len(checks), n);
        return SELF_TEST_LEAKS;
    }
    return SELF_TEST_HOLDS;
}

bool self_test_allows(self_test t, privacy_class c, bool servers)
{
    if (c == PRIVACY_PUBLIC || c == PRIVACY_INTERNAL)
        return true;
    return t == SELF_TEST_HOLDS || (t == SELF_TEST_NO_SECCOMP && !servers);
}
