#include "privacy/privacy.h"

#include <string.h>

static const char *const places[] = { "local", "on-premises", "remote" };

const char *privacy_place_name(privacy_place p)
{
    return (unsigned)p < ARRAY_LEN(places) ? places[p] : places[PRIVACY_REMOTE];
}

privacy_place privacy_place_of(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_LEN(places); i++)
        if (strcmp(name, places[i]) == 0)
            return (privacy_place)i;
    return PRIVACY_REMOTE;
}

privacy_place privacy_ceiling(privacy_class c)
{
    switch (c) { /* no table: a value outside of the enum must end as private */
    case PRIVACY_PUBLIC: return PRIVACY_REMOTE;
    case PRIVACY_INTERNAL: return PRIVACY_ON_PREMISES;
    default: return PRIVACY_LOCAL;
    }
}

bool privacy_allows(privacy_class c, privacy_place p)
{
    return (unsigned)p <= (unsigned)privacy_ceiling(c) || p == PRIVACY_LOCAL;
}

bool privacy_keeps_text(privacy_class c)
{
    return c == PRIVACY_PUBLIC || c == PRIVACY_INTERNAL || c == PRIVACY_PRIVATE;
}

privacy_class privacy_join(const char *const *names, size_t n)
{
    privacy_class highest = n == 0 ? PRIVACY_PRIVATE : PRIVACY_PUBLIC;
    for (size_t i = 0; i < n; i++) {
        privacy_class c = PRIVACY_PRIVATE;
        if (names[i] && !privacy_class_parse(names[i], &c))
            c = PRIVACY_PRIVATE;
        highest = privacy_class_join(highest, c);
    }
    return highest;
}

status privacy_check_measure(const char *what, privacy_class c, bool synthetic, const char *provider, privacy_place p,
                             error *err)
{
    if (synthetic || privacy_allows(c, p))
        return OK;
    return fail(err, E_DENIED,
                "%s is %s and %s is %s: its cases may go no farther than %s. Nothing was sent. "
                "If no case holds real data, say `cases: synthetic` in its task.yaml; else measure with a %s provider",
                what, privacy_class_name(c), provider, privacy_place_name(p), privacy_place_name(privacy_ceiling(c)),
                privacy_place_name(privacy_ceiling(c)));
}
